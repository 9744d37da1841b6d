"""A session: what a build may ask of this machine while it runs, and for how long."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from console.build.buildkit_session.control import Identity
from console.build.buildkit_session.grpc_server import GrpcServer, Handler, unary
from console.build.buildkit_session.http2 import ByteStream
from console.build.protobuf import number_field

if TYPE_CHECKING:
    from typing_extensions import Self

_HEALTH = "/grpc.health.v1.Health/Check"
_SERVING = number_field(1, 1)
"""HealthCheckResponse with status SERVING."""
_CLOSE_TIMEOUT_S = 2.0


class Service(Protocol):
    """Something that BuildKit may ask for."""

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """By method, as `/package.Service/Method`."""


class Session:
    """Serves one build, or several one after the other, from the moment it is entered until it is closed.

    BuildKit gives a session up whose health it cannot learn twice in a row, asking each second (0.8) or each five.

    Args:
        open_stream: Opens the connection: `ControlConnection.open_session`, or `open_session` on a docker-py client.
        services: What it serves.
        name: What BuildKit calls it in its own messages.
        shared_key: Stands for the client in BuildKit's store of files already sent: the same for one project's builds,
            another for any other's.
    """

    def __init__(
        self,
        open_stream: Callable[[Identity], ByteStream],
        services: Iterable[Service],
        *,
        name: str,
        shared_key: str,
    ) -> None:
        self._open_stream = open_stream
        self._handlers: dict[str, Handler] = {_HEALTH: unary(lambda _: _SERVING)}
        for service in services:
            self._handlers.update(service.handlers)
        self._identity = Identity(uuid.uuid4().hex, name, shared_key, tuple(self._handlers))
        self._server: GrpcServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def id(self) -> str:
        """What a build is told, to find the session."""
        return self._identity.id

    @property
    def failure(self) -> Exception | None:
        """The first thing that went wrong on our side, if any; what a service refused is not among it."""
        return self._server.failure if self._server is not None else None

    def open(self) -> None:
        """Connects, and serves on a thread of its own.

        Raises:
            SessionUnavailableError: If the engine will not have it.
        """
        server = GrpcServer(self._open_stream(self._identity), self._handlers)
        self._server = server
        self._thread = threading.Thread(target=server.run, name="buildkit session", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """From any thread, any number of times: ends it at once, and whatever a build is asking of it."""
        if self._server is not None:
            self._server.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_CLOSE_TIMEOUT_S)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
