"""The way to an engine's BuildKit: its Control service, and where sessions are opened."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING

from console.build.buildkit_session.grpc import Code, GrpcError
from console.build.buildkit_session.grpc_client import GrpcClient
from console.build.buildkit_session.http2 import ByteStream, Headers
from console.build.buildkit_session.transport import CONNECT_TIMEOUT_S, SessionUnavailableError, dial, upgrade
from console.build.protobuf import Fields, ProtobufError, data_field
from console.errors import EngineUnreachableError
from console.model import EngineInfo

if TYPE_CHECKING:
    from docker import APIClient
    from typing_extensions import Self

SOLVE = "/moby.buildkit.v1.Control/Solve"
STATUS = "/moby.buildkit.v1.Control/Status"
SESSION = "/moby.buildkit.v1.Control/Session"
_LIST_WORKERS = "/moby.buildkit.v1.Control/ListWorkers"

_PRIOR_KNOWLEDGE_FROM = (1, 53)
"""The first engine API whose socket speaks gRPC itself (moby d210449d)."""
_UPGRADE_FROM = (1, 39)
_PROBE_TIMEOUT_S = 3.0
_LARGEST_PIECE_BYTES = 1024 * 1024
"""Of a tunnel's bytes in one message: gRPC servers refuse messages of more than 4 MB unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What BuildKit is told of a session when it opens."""

    id: str
    """A build names its session by it; unique for all time."""
    name: str
    shared_key: str
    """Sessions with equal keys are taken for the same client: files that one has sent need not be sent by the next."""
    methods: tuple[str, ...]
    """What the session serves."""

    def headers(self) -> Headers:
        return [
            ("X-Docker-Expose-Session-Uuid", self.id),
            ("X-Docker-Expose-Session-Name", self.name),
            ("X-Docker-Expose-Session-Sharedkey", self.shared_key),
            *(("X-Docker-Expose-Session-Grpc-Method", method) for method in self.methods),
        ]


class Tunnel:
    """A byte stream within a call: `Control/Session`, whose messages hold the bytes of a connection of their own.

    Source: moby/buildkit, session/grpchijack.
    """

    def __init__(self, client: GrpcClient, identity: Identity) -> None:
        self._inbox: SimpleQueue[bytes] = SimpleQueue()
        metadata = [(name.lower(), value) for name, value in identity.headers()]
        self._call = client.open(SESSION, self._inbox.put, lambda: self._inbox.put(b""), metadata)

    @property
    def refusal(self) -> str:
        """What the engine said where it has ended the tunnel; empty while it is there."""
        return self._call.error.message if self._call.error is not None else ""

    def receive(self) -> bytes:
        while message := self._inbox.get():
            try:
                data = Fields(message).data(1)
            except ProtobufError as error:
                raise ConnectionError(f"the session's tunnel: {error}") from error
            if data:
                return data
        self._inbox.put(b"")
        if self._call.error is not None and self._call.error.code is not Code.CANCELLED:
            raise ConnectionError(f"the session's tunnel: {self._call.error}")
        return b""

    def send(self, data: bytes) -> None:
        try:
            for position in range(0, len(data), _LARGEST_PIECE_BYTES):
                self._call.send(data_field(1, data[position : position + _LARGEST_PIECE_BYTES]))
        except GrpcError as error:
            raise ConnectionError(f"the session's tunnel: {error}") from error

    def close(self) -> None:
        self._call.cancel()


class ControlConnection:
    """An open connection to BuildKit's Control service.

    Args:
        calls: Takes calls such as `SOLVE` and `STATUS`.
        client: docker-py's client that sessions are opened with; None where they go through a tunnel on `calls`.
    """

    def __init__(self, calls: GrpcClient, client: APIClient | None) -> None:
        self.calls = calls
        self._client = client
        self._lock = threading.Lock()

    def open_session(self, identity: Identity) -> ByteStream:
        """A connection on which BuildKit asks and the session serves.

        Raises:
            SessionUnavailableError: If the engine will not.
            EngineUnreachableError: If it went away.
        """
        if self._client is not None:
            with self._lock:
                return open_session(self._client, identity)
        try:
            return Tunnel(self.calls, identity)
        except GrpcError as error:
            raise EngineUnreachableError(f"the engine went away before the session: {error.message}") from error

    def probe_session(self) -> None:
        """Opens a session that serves nothing, and closes it again.

        Raises:
            SessionUnavailableError: If the engine will not, or takes more than a few seconds for it.
            EngineUnreachableError: If it went away.
        """
        identity = Identity(uuid.uuid4().hex, "splitdeck's question", "", ())
        if self._client is not None:
            open_session(self._client, identity, timeout_s=_PROBE_TIMEOUT_S).close()
            return
        try:
            tunnel = Tunnel(self.calls, identity)
            # calls are answered in their order: by this answer a tunnel that is refused has been refused
            self.calls.call(_LIST_WORKERS, b"", timeout_s=_PROBE_TIMEOUT_S)
        except GrpcError as error:
            raise EngineUnreachableError(f"the engine went away: {error.message}") from error
        if refusal := tunnel.refusal:
            raise SessionUnavailableError(f"the engine opens no session: {refusal}")
        tunnel.close()

    def close(self) -> None:
        """From any thread: ends it, and every call, at once."""
        self.calls.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_control(client: APIClient, info: EngineInfo) -> ControlConnection:
    """Connects to BuildKit's Control service: by HTTP/2 on the engine's own socket, else by an upgraded request.

    Args:
        client: docker-py's client; used by this thread, and by whoever opens a session, one at a time.
        info: What the engine said about itself.

    Raises:
        SessionUnavailableError: If the engine has neither; says why.
        EngineUnreachableError: If it does not answer.
    """
    if info.builder != "buildkit":
        raise SessionUnavailableError(f"{info.name} {info.version} builds without BuildKit")
    version = _api_version(client)
    if version < _UPGRADE_FROM:
        raise SessionUnavailableError(f"the engine's API {info.api_version} has no BuildKit")
    reason = ""
    if version >= _PRIOR_KNOWLEDGE_FROM:
        try:
            return control_by_prior_knowledge(client)
        except SessionUnavailableError as error:
            reason = f"{error.message}; "
    try:
        return ControlConnection(GrpcClient(upgrade(client, "/grpc")), client)
    except SessionUnavailableError as error:
        raise SessionUnavailableError(reason + error.message) from error


def control_by_prior_knowledge(client: APIClient) -> ControlConnection:
    """Speaks HTTP/2 on the engine's socket without asking; sessions go through a tunnel on the same connection.

    Raises:
        SessionUnavailableError: If that socket does not speak it.
    """
    calls = GrpcClient(dial(client))
    try:
        # an engine that has only HTTP/1 there drops the connection: better now than in the middle of a build
        calls.call(_LIST_WORKERS, b"", timeout_s=CONNECT_TIMEOUT_S)
    except GrpcError as error:
        calls.close()
        raise SessionUnavailableError(f"no gRPC on the engine's own socket ({error.code.name})") from error
    return ControlConnection(calls, None)


def open_session(client: APIClient, identity: Identity, *, timeout_s: float = CONNECT_TIMEOUT_S) -> ByteStream:
    """Opens a session by an upgraded request.

    Raises:
        SessionUnavailableError: If the engine will not, or takes longer than `timeout_s` to say so.
        EngineUnreachableError: If it went away.
    """
    return upgrade(client, "/session", identity.headers(), timeout_s=timeout_s)


def _api_version(client: APIClient) -> tuple[int, int]:
    major, _, minor = str(client.api_version).partition(".")
    return int(major), int(minor or 0)
