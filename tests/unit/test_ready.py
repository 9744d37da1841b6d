"""Readiness: probes against real local servers, well behaved and not."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from console.config import ReadyConfig, RunConfig
from console.run import ready as ready_module
from console.run.container import ContainerState
from console.run.ready import Probe, needs_log, probe_for

UP = ContainerState(True, 0, "", "")
Talk = Callable[[socket.socket], None]


@contextmanager
def server(talk: Talk) -> Iterator[int]:
    """A TCP server on a free port that talks to one connection after the other; gives the port."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    assert not thread.is_alive()


def answering(answer: bytes) -> Talk:
    def talk(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)

    return talk


def keep_open(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def hang_up(connection: socket.socket) -> None:
    """As the engine's port proxy does while nobody listens behind it."""


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


def ask(probe: Probe, state: ContainerState = UP, log: str = "", alive_ms: float = 0.0) -> bool:
    return probe.ask(state, lambda: log, alive_ms)


def http_probe(port: int, path: str = "/health") -> Probe:
    return probe_for(RunConfig(ports=(f"{port}:{port}",), ready=ReadyConfig(http=path)), "127.0.0.1", UP)


@pytest.mark.parametrize(
    ("answer", "is_ready"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n", True),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", False),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False),
        (b"\x16\x03\x01 this is no HTTP\r\n\r\n", False),
        (b"HTTP/1.1 200", True),
        (b"HTTP/1.1 two hundred\r\n\r\n", False),
        (b"", False),
    ],
)
def test_http_needs_an_answer_below_400(answer: bytes, is_ready: bool) -> None:
    with server(answering(answer)) as port:
        assert ask(http_probe(port)) is is_ready


def test_http_asks_for_the_path_with_its_query() -> None:
    asked: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        asked.append(connection.recv(4096).splitlines()[0])
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with server(talk) as port:
        probe = http_probe(port, "/health?deep=1")
        assert ask(probe)
        assert ask(probe_for(RunConfig(ready=ReadyConfig(http=f"http://127.0.0.1:{port}")), "elsewhere", UP)), (
            "a whole URL stands for itself"
        )
    assert asked == [b"GET /health?deep=1 HTTP/1.1", b"GET / HTTP/1.1"]
    assert probe.address == f"http://127.0.0.1:{port}"
    assert probe.description == f"GET http://127.0.0.1:{port}/health?deep=1"


def test_http_is_not_ready_where_nobody_listens_or_hangs_up() -> None:
    assert not ask(http_probe(free_port()))
    with server(hang_up) as port:
        assert not ask(http_probe(port))


def test_a_server_that_accepts_and_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready_module, "_CONNECT_S", 0.1)
    with server(keep_open) as port:
        began = time.monotonic()
        assert not ask(http_probe(port))
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("url", ["/ü", "/a b", "http://a..b/"])
def test_what_http_cannot_carry_is_not_ready_and_never_an_exception(url: str) -> None:
    assert not ask(http_probe(free_port(), url))


def test_tcp_counts_only_what_is_kept_open() -> None:
    """The engine's port proxy accepts long before the app does, and hangs up at once."""
    with server(hang_up) as proxy, server(keep_open) as silent, server(lambda each: each.sendall(b"220 hi")) as polite:
        results = {}
        for name, port in (("proxy", proxy), ("silent", silent), ("polite", polite), ("nobody", free_port())):
            probe = probe_for(RunConfig(ready=ReadyConfig(tcp=str(port))), "127.0.0.1", UP)
            results[name] = ask(probe)
    assert results == {"proxy": False, "silent": True, "polite": True, "nobody": False}


@pytest.mark.parametrize(
    ("tcp", "asked"), [("9000", "engine:9000"), ("db:9000", "db:9000"), ("[::1]:9000", "::1:9000")]
)
def test_tcp_places(tcp: str, asked: str) -> None:
    probe = probe_for(RunConfig(ready=ReadyConfig(tcp=tcp)), "engine", UP)
    assert probe.description == f"connect to {asked}"


def test_a_log_line() -> None:
    probe = probe_for(RunConfig(ready=ReadyConfig(log=r"Uvicorn running on \S+")), "engine", UP)
    assert not ask(probe, log="INFO: starting")
    assert ask(probe, log="INFO: starting\nINFO: Uvicorn running on http://0.0.0.0:8000 (Press CTRL+C)")


@pytest.mark.parametrize(("health", "is_ready"), [("starting", False), ("unhealthy", False), ("healthy", True)])
def test_the_images_own_healthcheck(health: str, is_ready: bool) -> None:
    probe = probe_for(RunConfig(ready=ReadyConfig(healthcheck=True)), "engine", UP)
    assert ask(probe, ContainerState(True, 0, "", health)) is is_ready


def test_without_settings_the_first_port_must_accept() -> None:
    with server(keep_open) as port:
        probe = probe_for(RunConfig(ports=(f"{port}:8000",)), "127.0.0.1", UP)
        assert ask(probe)
        assert probe.address == f"http://127.0.0.1:{port}"
    assert not ask(probe)


def test_without_a_port_it_must_stay_up_for_a_moment() -> None:
    probe = probe_for(RunConfig(ports=("53:53/udp",)), "engine", UP)
    assert (ask(probe, alive_ms=299), ask(probe, alive_ms=300)) == (False, True)
    assert probe.address == ""


@pytest.mark.parametrize(
    ("ports", "published", "address"),
    [
        (("8080:8000",), ((8000, 8080),), "engine:8080"),
        (("0.0.0.0:8080:8000",), (), "engine:8080"),
        (("[::]:8080:8000",), (), "engine:8080"),
        (("8000",), ((8000, 32768),), "engine:32768"),
        (("192.168.7.7:8080:8000",), (), "192.168.7.7:8080"),
        (("[fd00::1]:8080:8000",), (), "[fd00::1]:8080"),
        (("53:53/udp", "8080:8000"), (), "engine:8080"),
    ],
)
def test_where_the_app_is_reached(ports: tuple[str, ...], published: tuple[tuple[int, int], ...], address: str) -> None:
    state = ContainerState(True, 0, "", "", published)
    probe = probe_for(RunConfig(ports=ports), "engine", state)
    assert probe.address == f"http://{address}"
    assert probe.description == f"connect to {address}"


def test_on_the_hosts_network_ports_are_the_containers_own() -> None:
    run = RunConfig(ports=("8080:8000",), network="host", ready=ReadyConfig(http="/"))
    assert probe_for(run, "engine", UP).description == "GET http://engine:8000/"


@pytest.mark.parametrize(
    ("ready", "needed"),
    [(ReadyConfig(log="x"), True), (ReadyConfig(log="x", http="/"), False), (ReadyConfig(healthcheck=True), False)],
)
def test_the_log_is_read_only_for_the_probe_that_needs_it(ready: ReadyConfig, needed: bool) -> None:
    assert needs_log(ready) is needed


def test_the_first_probe_that_is_set_is_asked() -> None:
    every = ReadyConfig(http="/", tcp="1", log="x", healthcheck=True)
    run = RunConfig(ports=("8080:8000",), ready=every)
    assert probe_for(run, "engine", UP).description.startswith("GET")
