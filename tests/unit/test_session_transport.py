"""How connections to an engine are made, with engines of a few lines that say what a real one would, or should not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from socket import (
    AF_UNIX,
    SHUT_RDWR,
    SO_KEEPALIVE,
    SOL_SOCKET,
    create_connection,
    create_server,
    socket,
    socketpair,
)
from types import SimpleNamespace
from typing import Any

import pytest
from docker import APIClient

from console.build.buildkit_session import control, transport
from console.build.buildkit_session.byte_streams import SocketStream, SshChannelStream, SshProcessStream
from console.build.buildkit_session.control import Identity, Tunnel, open_control, open_session
from console.build.buildkit_session.grpc import Code, GrpcError
from console.build.buildkit_session.grpc_client import GrpcClient
from console.build.buildkit_session.grpc_server import GrpcServer, Handler, ServerCall, unary
from console.build.buildkit_session.http2 import ByteStream
from console.build.buildkit_session.transport import SessionUnavailableError, upgrade
from console.build.protobuf import Fields, data_field
from console.errors import EngineUnreachableError
from console.model import EngineInfo

SOON_S = 5.0
SWITCHING = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
PONG = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK"
IDENTITY = Identity("id", "name", "key", ("/a/B", "/c/D"))

Answer = Callable[[socket, bytes], None]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Callable[..., APIClient]]:
    """Gives a client for an engine that answers a request's head as it is told."""
    closing: list[Any] = []

    def make(answer: Answer, *, version: str = "1.41") -> APIClient:
        path = str(tmp_path / f"{len(closing)}.sock")
        listener = socket(AF_UNIX)
        listener.bind(path)
        listener.listen()
        closing.append(listener)

        def serve(connected: socket) -> None:
            with connected, suppress(OSError):  # clients may leave at any time
                head = b""
                while not head.endswith(b"\r\n\r\n") and (data := connected.recv(1)):
                    head += data
                answer(connected, head)

        def accept() -> None:
            while True:
                try:
                    connected = listener.accept()[0]
                except OSError:
                    return
                threading.Thread(target=serve, args=(connected,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return APIClient(base_url=f"unix://{path}", version=version)

    yield make
    for listener in closing:
        listener.shutdown(SHUT_RDWR)
        listener.close()


def info(version: str = "1.41", builder: str = "buildkit") -> EngineInfo:
    return EngineInfo("docker", "x", version, builder, "overlay2", "unix:///x", remote=False)


def read_all(stream: ByteStream) -> bytes:
    data = b""
    while more := stream.receive():
        data += more
    return data


def test_bytes_that_come_with_the_answer_are_not_lost(engine: Callable[..., APIClient]) -> None:
    def answer(connected: socket, head: bytes) -> None:
        connected.sendall(SWITCHING + b"first ")
        connected.sendall(connected.recv(100) + b" last")

    stream = upgrade(engine(answer), "/grpc")
    stream.send(b"between")
    assert read_all(stream) == b"first between last"
    stream.close()


def test_a_session_says_who_it_is_and_each_thing_that_it_serves(engine: Callable[..., APIClient]) -> None:
    def answer(connected: socket, head: bytes) -> None:
        connected.sendall(SWITCHING + head)

    stream = open_session(engine(answer), IDENTITY)
    head = read_all(stream).decode()
    stream.close()
    assert head.startswith("POST /v1.41/session HTTP/1.1\r\n")
    lines = head.splitlines()
    assert "Connection: Upgrade" in lines
    assert "Upgrade: h2c" in lines
    assert [line for line in lines if line.startswith("X-Docker")] == [
        "X-Docker-Expose-Session-Uuid: id",
        "X-Docker-Expose-Session-Name: name",
        "X-Docker-Expose-Session-Sharedkey: key",
        "X-Docker-Expose-Session-Grpc-Method: /a/B",
        "X-Docker-Expose-Session-Grpc-Method: /c/D",
    ]


def test_a_blocked_reader_notices_that_its_stream_is_closed(engine: Callable[..., APIClient]) -> None:
    stop = threading.Event()

    def answer(connected: socket, head: bytes) -> None:
        connected.sendall(SWITCHING)
        stop.wait(SOON_S)

    stream = upgrade(engine(answer), "/grpc")

    def read() -> None:
        with suppress(OSError):  # where it was closed before
            stream.receive()

    reader = threading.Thread(target=read)
    reader.start()
    threading.Timer(0.05, stream.close).start()
    reader.join(SOON_S)
    stop.set()
    assert not reader.is_alive()


def test_a_closed_stream_keeps_no_file_descriptor(engine: Callable[..., APIClient]) -> None:
    client = engine(lambda connected, _: connected.sendall(SWITCHING))
    stream = upgrade(client, "/grpc")
    descriptor = stream._socket.fileno()  # type: ignore[attr-defined]
    os.fstat(descriptor)
    stream.close()
    stream.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}", "HTTP 404"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP 200"),
        (b"", "does not answer POST"),
    ],
)
def test_an_engine_that_refuses(engine: Callable[..., APIClient], said: bytes, reason: str) -> None:
    def answer(connected: socket, head: bytes) -> None:
        connected.sendall(PONG if b"/_ping" in head else said)

    client = engine(answer)
    with pytest.raises(SessionUnavailableError, match=reason):
        upgrade(client, "/session")
    with pytest.raises(SessionUnavailableError, match=reason):
        open_control(client, info())


@pytest.mark.parametrize("silent", [True, False])
def test_an_engine_that_answers_nothing_is_away(
    engine: Callable[..., APIClient], monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    monkeypatch.setattr(transport, "_PING_TIMEOUT_S", 0.2)
    over = threading.Event()
    client = engine(lambda *_: silent and over.wait(SOON_S))
    with pytest.raises(EngineUnreachableError, match="nor anything else"):
        upgrade(client, "/grpc", timeout_s=0.2)
    over.set()
    gone = APIClient(base_url="unix:///nowhere/docker.sock", version="1.41")
    with pytest.raises(EngineUnreachableError):
        open_control(gone, info())


@pytest.mark.parametrize(
    ("said", "reason"),
    [(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "HTTP 403"), (b"", "does not answer POST /session")],
)
def test_an_engine_that_opens_control_but_no_session(
    engine: Callable[..., APIClient], monkeypatch: pytest.MonkeyPatch, said: bytes, reason: str
) -> None:
    monkeypatch.setattr(control, "_PROBE_TIMEOUT_S", 0.2)
    over = threading.Event()

    def answer(connected: socket, head: bytes) -> None:
        if b"/grpc" in head:
            connected.sendall(SWITCHING)
            serve_control(connected, b"", {})
        elif b"/_ping" in head:
            connected.sendall(PONG)
        elif said:
            connected.sendall(said)
        else:
            over.wait(SOON_S)

    with open_control(engine(answer), info()) as opened, pytest.raises(SessionUnavailableError, match=reason):
        opened.probe_session()
    over.set()


@pytest.mark.parametrize("served", [True, False])
def test_a_new_engine_is_asked_whether_it_opens_a_tunnel(engine: Callable[..., APIClient], served: bool) -> None:
    handlers: dict[str, Handler] = {"/moby.buildkit.v1.Control/ListWorkers": unary(lambda _: b"")}
    if served:
        handlers["/moby.buildkit.v1.Control/Session"] = lambda call: list(call) and None
    client = engine(lambda connected, head: serve_control(connected, head, handlers), version="1.53")
    with open_control(client, info("1.53")) as opened:
        if served:
            opened.probe_session()
        else:
            with pytest.raises(SessionUnavailableError, match="is not served here"):
                opened.probe_session()


def test_a_connection_over_a_network_notices_that_it_was_cut() -> None:
    with create_server(("127.0.0.1", 0)) as server, create_connection(server.getsockname()) as connected:
        transport._keep_alive(connected)
        assert connected.getsockopt(SOL_SOCKET, SO_KEEPALIVE)


def test_builders_and_engines_without_buildkit(engine: Callable[..., APIClient]) -> None:
    def answer(connected: socket, head: bytes) -> None:
        pytest.fail("nobody should ask")

    with pytest.raises(SessionUnavailableError, match="without BuildKit"):
        open_control(engine(answer), info(builder="classic"))
    with pytest.raises(SessionUnavailableError, match=r"1\.30"):
        open_control(engine(answer, version="1.30"), info("1.30"))


def serve_control(connected: socket, first: bytes, handlers: dict[str, Handler]) -> None:
    GrpcServer(SocketStream(connected, first), handlers).run()


def test_a_new_engine_is_asked_without_an_upgrade(engine: Callable[..., APIClient]) -> None:
    heads: list[bytes] = []

    def answer(connected: socket, head: bytes) -> None:
        heads.append(head)
        serve_control(connected, head, {"/moby.buildkit.v1.Control/ListWorkers": unary(lambda _: b"")})

    with open_control(engine(answer, version="1.53"), info("1.53")):
        pass
    assert heads == [b"PRI * HTTP/2.0\r\n\r\n"]


def test_a_new_engine_that_speaks_only_http1_is_asked_for_an_upgrade(engine: Callable[..., APIClient]) -> None:
    heads: list[bytes] = []

    def answer(connected: socket, head: bytes) -> None:
        heads.append(head.split(b"\r\n")[0])
        if head.startswith(b"PRI"):
            connected.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return
        connected.sendall(SWITCHING)
        serve_control(connected, b"", {"/s/Echo": unary(lambda request: request)})

    with open_control(engine(answer, version="1.53"), info("1.53")) as opened:
        assert opened.calls.call("/s/Echo", b"x", timeout_s=SOON_S) == [b"x"]
    assert heads == [b"PRI * HTTP/2.0", b"POST /v1.53/grpc HTTP/1.1"]


def test_why_a_new_engine_has_neither(engine: Callable[..., APIClient]) -> None:
    client = engine(lambda connected, _: connected.sendall(b"HTTP/1.1 404 Not Found\r\n\r\n"), version="1.53")
    with pytest.raises(SessionUnavailableError, match=r"no gRPC on the engine's own socket.*HTTP 404"):
        open_control(client, info("1.53"))


@pytest.fixture
def tunnel() -> Iterator[SimpleNamespace]:
    """A tunnel, and the engine's end of it."""
    calls: list[ServerCall] = []
    arrived, over = threading.Event(), threading.Event()

    def hold(call: ServerCall) -> None:
        calls.append(call)
        arrived.set()
        assert over.wait(SOON_S)
        raise GrpcError(Code.ABORTED, "enough")

    ours, theirs = socketpair()
    server = GrpcServer(SocketStream(ours), {"/moby.buildkit.v1.Control/Session": hold})
    threading.Thread(target=server.run, daemon=True).start()
    client = GrpcClient(SocketStream(theirs))
    stream = Tunnel(client, IDENTITY)
    assert arrived.wait(SOON_S)
    yield SimpleNamespace(stream=stream, call=calls[0], over=over)
    over.set()
    client.close()
    server.close()


def test_a_tunnel_carries_bytes_in_messages(tunnel: SimpleNamespace) -> None:
    assert tunnel.call.metadata.first("x-docker-expose-session-uuid") == "id"
    assert tunnel.call.metadata.all("x-docker-expose-session-grpc-method") == ["/a/B", "/c/D"]
    tunnel.call.send(data_field(1, b"down"))
    assert tunnel.stream.receive() == b"down"
    large = bytes(range(256)) * 10_000
    threading.Thread(target=tunnel.stream.send, args=(large,), daemon=True).start()
    arrived = b""
    while len(arrived) < len(large):
        message = tunnel.call.receive()
        assert len(message) < 2 * 1024 * 1024  # gRPC servers refuse 4 MB
        arrived += Fields(message).data(1)
    assert arrived == large


def test_a_tunnel_that_the_engine_ends(tunnel: SimpleNamespace) -> None:
    tunnel.over.set()
    with pytest.raises(ConnectionError, match="enough"):
        tunnel.stream.receive()
    with pytest.raises(ConnectionError):
        tunnel.stream.send(b"x")


def test_a_tunnel_that_is_closed(tunnel: SimpleNamespace) -> None:
    threading.Timer(0.05, tunnel.stream.close).start()
    assert tunnel.stream.receive() == b""
    assert tunnel.stream.receive() == b""


def test_an_ssh_process_is_a_stream() -> None:
    """docker-py's own class needs paramiko; this is what of it counts."""
    process = subprocess.Popen([sys.executable, "-c", ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert isinstance(process.stdout, BufferedReader)
    assert process.stdout.readline() == b"head\n"

    def sendall(data: bytes) -> None:
        process.stdin.write(data)  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]

    stream = SshProcessStream(SimpleNamespace(proc=process, sendall=sendall), process.stdout, None)
    stream.send(b"x\n")
    assert stream.receive() + stream.receive() == b"first\nx\n"
    threading.Timer(0.05, stream.close).start()
    assert stream.receive() == b""
    process.wait(SOON_S)
    process.stdin.close()
    process.stdout.close()


ECHO = (
    "import sys, time\n"
    "sys.stdout.write('head\\nfirst\\n'); sys.stdout.flush()\n"
    "for line in sys.stdin: sys.stdout.write(line); sys.stdout.flush()\n"
)


def test_an_ssh_channel_is_a_stream() -> None:
    ours, theirs = socketpair()
    with theirs:
        stream = SshChannelStream(ours, b"first", None)
        theirs.sendall(b"second")
        assert (stream.receive(), stream.receive()) == (b"first", b"second")
        stream.send(b"back")
        assert theirs.recv(10) == b"back"
        stream.close()
        assert theirs.recv(10) == b""
