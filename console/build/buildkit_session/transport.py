"""How bytes get to the BuildKit inside an engine: upgraded requests, HTTP/2 on the engine's own socket, and tunnels.

Sources: moby, daemon/server/router/grpc/grpc.go and router/session/session_routes.go (the upgrades, deprecated since
API 1.53), daemon/command/httphandler.go (HTTP/2 by prior knowledge, from API 1.53 on, never on TCP without TLS).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from console.build.buildkit_session.byte_streams import (
    SocketStream,
    SshChannelStream,
    SshProcessStream,
    TlsStream,
)
from console.build.buildkit_session.http2 import ByteStream, Headers
from console.errors import EngineError, EngineUnreachableError

if TYPE_CHECKING:
    from docker import APIClient

CONNECT_TIMEOUT_S = 10.0
"""For the engine to take the connection; what is on it afterwards takes as long as it takes."""


_PING_TIMEOUT_S = 2.0
"""For an engine that has left a request unanswered to answer the simplest one."""
_KEEP_ALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Seconds of silence before the kernel asks whether the peer is there, seconds between, and how often it asks."""


class SessionUnavailableError(EngineError):
    """The engine answers, but opens no session, or none in the way it is reached; a tar still goes."""


def upgrade(
    client: APIClient, path: str, headers: Headers | None = None, *, timeout_s: float = CONNECT_TIMEOUT_S
) -> ByteStream:
    """Makes one of docker-py's connections an HTTP/2 one: `POST path` with an upgrade to h2c.

    Args:
        client: Its address, TLS settings and SSH are used; the connection is the caller's from then on.
        path: `/grpc` or `/session`.
        headers: More headers; a name may come several times.
        timeout_s: For the engine's answer.

    Raises:
        SessionUnavailableError: If the engine will not.
        EngineUnreachableError: If it answers nothing else either.
    """
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    private: Any = client  # docker-py has no public way to an upgraded connection
    try:
        response = private._post(  # noqa: SLF001
            private._url(path),  # noqa: SLF001
            headers={"Connection": "Upgrade", "Upgrade": "h2c"},
            auth=_with_headers(headers or []),
            stream=True,
            timeout=timeout_s,
        )
    except (RequestException, HTTPError, OSError) as error:
        reason = f"the engine does not answer POST {path}"
        if not _answers(private):
            raise EngineUnreachableError(f"{reason}, nor anything else", "is it running?") from error
        raise SessionUnavailableError(reason) from error
    if response.status_code != 101:
        reason = f"the engine answers POST {path} with HTTP {response.status_code} instead of an upgrade"
        response.close()
        raise SessionUnavailableError(reason)
    try:
        return _stream_of(private, response)
    except (AttributeError, OSError) as error:
        response.close()
        raise SessionUnavailableError(f"this connection to the engine cannot be upgraded: {error}") from error


def _answers(private: Any) -> bool:
    """Whether the engine answers at all, which tells one that refuses a request by silence from one that is away."""
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    try:
        private.get(f"{private.base_url}/_ping", timeout=_PING_TIMEOUT_S).close()
    except (RequestException, HTTPError, OSError):
        return False
    return True


def _keep_alive(connected: socket.socket) -> None:
    """Has the kernel notice a peer that was cut off, where the connection crosses a network."""
    if connected.family in (socket.AF_INET, socket.AF_INET6):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEP_ALIVE.items():
            if (option := getattr(socket, name, None)) is not None:  # not all of them are everywhere
                connected.setsockopt(socket.IPPROTO_TCP, option, value)


def _stream_of(private: Any, response: Any) -> ByteStream:
    """What an upgraded connection carries; the first bytes may be in the buffer that the answer was read through."""
    reader = response.raw._fp.fp  # noqa: SLF001 - as docker-py's own _get_raw_response_socket
    connected = private._get_raw_response_socket(response)  # noqa: SLF001
    connected = getattr(connected, "_sock", connected)
    if getattr(connected, "proc", None) is not None:
        return SshProcessStream(connected, reader, response)
    if not isinstance(connected, socket.socket):
        return SshChannelStream(connected, bytes(reader._rbuffer), response)  # noqa: SLF001 - it has no peek
    _keep_alive(connected)
    connected.setblocking(False)
    try:
        first = reader.read1() or b""
    except ssl.SSLWantReadError:
        first = b""
    if isinstance(connected, ssl.SSLSocket):
        return TlsStream(connected, first, response)
    connected.setblocking(True)
    return SocketStream(connected, first, response)


def dial(client: APIClient) -> ByteStream:
    """A new connection to the engine on which nothing was said yet, for HTTP/2 by prior knowledge.

    Raises:
        SessionUnavailableError: If the engine is reached in a way that has no such connection.
    """
    from docker.transport import UnixHTTPAdapter

    try:
        adapter = client.get_adapter(client.base_url)
        if isinstance(adapter, UnixHTTPAdapter):
            return SocketStream(_dial_unix(cast(Any, adapter).socket_path))
        if client.base_url.startswith("https://"):
            return TlsStream(_dial_tls(client))
        if client.base_url.startswith("http+docker://ssh"):
            return _dial_ssh(client, adapter)
    except OSError as error:
        raise SessionUnavailableError(f"the engine cannot be reached: {error}") from error
    raise SessionUnavailableError(f"engines speak no HTTP/2 at {client.base_url}")


def _dial_unix(path: str) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX)
    try:
        connected.settimeout(CONNECT_TIMEOUT_S)
        connected.connect(path)
        connected.settimeout(None)
    except BaseException:
        connected.close()
        raise
    return connected


def _dial_tls(client: APIClient) -> ssl.SSLSocket:
    """As docker-py's own connections, but for HTTP/2 (ALPN)."""
    from urllib.parse import urlsplit

    place = urlsplit(client.base_url)
    context = ssl.create_default_context(cafile=client.verify if isinstance(client.verify, str) else None)
    if client.verify is False:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if client.cert:
        chain = (client.cert,) if isinstance(client.cert, str) else client.cert
        context.load_cert_chain(*chain)
    context.set_alpn_protocols(["h2"])
    plain = socket.create_connection((place.hostname or "", place.port or 2376), CONNECT_TIMEOUT_S)
    try:
        _keep_alive(plain)
        connected = context.wrap_socket(plain, server_hostname=place.hostname)
    except BaseException:
        plain.close()
        raise
    if connected.selected_alpn_protocol() != "h2":
        connected.close()
        raise SessionUnavailableError("the engine's TLS listener offers no HTTP/2")
    return connected


def _dial_ssh(client: APIClient, adapter: Any) -> ByteStream:
    connection = adapter.get_connection(client.base_url)._new_conn()  # noqa: SLF001 - one that the pool does not know
    connection.connect()
    if getattr(connection.sock, "proc", None) is not None:
        return SshProcessStream(connection.sock, connection.sock.proc.stdout, connection)
    return SshChannelStream(connection.sock, b"", connection)


def _with_headers(more: Iterable[tuple[str, str]]) -> Callable[[Any], Any]:
    """A hook that lets a request have a header several times, which requests' own mapping cannot hold."""

    def apply(prepared: Any) -> Any:
        from urllib3 import HTTPHeaderDict

        headers = HTTPHeaderDict(cast(Mapping[str, str], prepared.headers))
        for name, value in more:
            headers.add(name, value)
        prepared.headers = headers
        return prepared

    return apply
