"""A registry for tests on this machine's loopback, and relays before it that break connections and refuse requests.

The registry is Debian's docker-registry (`ensure-registry.sh --help`), a child process of the test. A relay listens
where an engine can reach it: in the machine's own network, or in that of one of the test engines, which leads nowhere.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tests.engines.engines import SCRIPT as ENGINES_SCRIPT
from tests.engines.engines import endpoint

SCRIPT = Path(__file__).with_name("ensure-registry.sh")
USER, PASSWORD = "tester", "correct horse"
_HTPASSWD = f"{USER}:$2b$04$CBkut/HQLOv7CbWcjlqIbuSGnhksjEdcE7octttqaCIVPK5aT5nwS\n"
"""The password as bcrypt, the only hash that the registry takes; nothing that Python brings makes one any more."""
_START_S = 30.0
_CHUNK_BYTES = 16 * 1024
_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET."""
_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RegistryProcess:
    """A registry that keeps its data in a folder, on a port of 127.0.0.1 that it has again when it is started again.

    Args:
        folder: An empty one.
        password: Whether it asks for `USER` and `PASSWORD`.
    """

    def __init__(self, folder: Path, *, password: bool = False) -> None:
        self._folder = folder
        self._program = subprocess.run([SCRIPT], capture_output=True, text=True, check=True).stdout.strip()
        self.port = free_port()
        (folder / "htpasswd").write_text(_HTPASSWD)
        auth = f"auth: {{htpasswd: {{realm: tests, path: {folder}/htpasswd}}}}\n" if password else ""
        (folder / "config.yml").write_text(
            "version: 0.1\n"
            "log: {level: error}\n"
            f"storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}\n"
            f"http: {{addr: '127.0.0.1:{self.port}'}}\n{auth}"
        )

    def start(self) -> None:
        """Starts it, and returns when it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "serve", str(self._folder / "config.yml")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"},
            )
        _await_answer(self._process, self.port, self._folder / "log")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ends it; its data stay."""
        self._process.send_signal(number)
        self._process.wait(timeout=_START_S)


@contextmanager
def started_registry(folder: Path, *, password: bool = False) -> Iterator[int]:
    """Runs a registry, and gives its port; arguments as `RegistryProcess`."""
    registry = RegistryProcess(folder, password=password)
    registry.start()
    try:
        yield registry.port
    finally:
        registry.stop()


def _await_answer(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        with suppress(OSError, HTTPException):
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                connection.request("GET", "/v2/")
                connection.getresponse().read()
                return
            finally:
                connection.close()
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the registry does not answer:\n{log.read_text()}")
        time.sleep(0.02)


def layers_in(port: int, repository: str, tag: str) -> dict[str, int]:
    """The layers of an image in a registry without a password, lowest first: their digests there, and bytes."""
    connection = HTTPConnection("127.0.0.1", port, timeout=_START_S)
    kinds = ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json")
    try:
        connection.request("GET", f"/v2/{repository}/manifests/{tag}", headers={"Accept": ", ".join(kinds)})
        return {layer["digest"]: layer["size"] for layer in json.loads(connection.getresponse().read())["layers"]}
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that a relay has answered, or not."""

    method: str
    path: str
    status: int
    """0 where the connection was broken."""
    received_bytes: int
    """Of the request's body."""
    sent_bytes: int
    """Of the answer's body."""


@dataclass(slots=True)
class Trouble:
    """What a relay does to the requests that it is meant for, instead of passing them on."""

    method: str
    path: str
    """A part of it."""
    times: int = 1
    """To how many requests; one that ends before `after_bytes` does not count."""
    status: int = 0
    """What to answer; 0: the connection is broken."""
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    after_bytes: int = 0
    """How much of the request's or the answer's body may pass before the connection is broken."""
    silent: bool = False
    """Neither answer nor break the connection, until the other side does."""
    once: Callable[[], bool] = lambda: True
    """Waited for before the connection is broken: what is to have passed by then."""
    slow_until: Callable[[], bool] | None = None
    """Break nothing, but let the rest pass slowly until this is so."""


class _BrokenError(Exception):
    """This connection is to be broken here."""


class Relay:
    """A door to a registry: passes requests on, keeps what it saw, and makes trouble when asked to.

    Args:
        registry_port: Of the registry, in this machine's own network.
        engine: The test engine in whose network to listen; empty for the machine's own.
        address: At which to listen.
        tls: Wraps accepted connections.
    """

    def __init__(
        self,
        registry_port: int,
        engine: str = "",
        address: str = "127.0.0.1",
        tls: Callable[[socket.socket], socket.socket] | None = None,
    ) -> None:
        self.seen: list[Seen] = []
        self.troubles: list[Trouble] = []
        self.under_way = 0
        """Requests that are being answered."""
        self.silent = 0
        """Requests that never will be."""
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        listener = _listen(address, _process_of(engine) if engine else 0)
        if tls is not None:
            listener = tls(listener)
        self.port = int(listener.getsockname()[1])
        self.host = f"{address}:{self.port}"

        class Handler(_Handler):
            relay = self
            upstream_port = registry_port

        self._server = _Server(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = listener
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Relay:  # noqa: PYI034 - Self is not in Python 3.10
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.break_all()

    def trouble_for(self, method: str, path: str) -> Trouble | None:
        with self._lock:
            for trouble in self.troubles:
                if trouble.times > 0 and trouble.method in {method, "*"} and trouble.path in path:
                    trouble.times -= not trouble.after_bytes
                    return trouble
        return None

    def stops_at(self, trouble: Trouble | None, passed_bytes: int) -> bool:
        """Whether a request's or an answer's body is to stop before so many bytes of it have passed."""
        if trouble is None or passed_bytes <= trouble.after_bytes:
            return False
        with self._lock:
            if trouble.after_bytes and not trouble.times:
                return False
            trouble.times -= bool(trouble.after_bytes)
        deadline = time.monotonic() + _START_S
        while not trouble.once() and time.monotonic() < deadline:
            time.sleep(0.01)
        return True

    def break_all(self) -> None:
        """Breaks every connection."""
        with self._lock:
            connected = list(self._open)
        for one in connected:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def note(self, connected: socket.socket, *, is_open: bool) -> None:
        with self._lock:
            (self._open.add if is_open else self._open.discard)(connected)

    def count(self, change: int) -> None:
        with self._lock:
            self.under_way += change


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken connections are what it is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"
    """TLS gets an answer with a head, by which engines tell a server that speaks no TLS."""
    relay: Relay
    upstream_port: int

    def setup(self) -> None:
        super().setup()
        self.relay.note(self.connection, is_open=True)

    def finish(self) -> None:
        self.relay.note(self.connection, is_open=False)
        with suppress(OSError):
            super().finish()

    def log_message(self, *_: Any) -> None:
        pass

    def _pass(self) -> None:
        self._received = self._sent = self._status = 0
        self.relay.count(1)
        try:
            self._answer(self.relay.trouble_for(self.command, self.path))
        except (_BrokenError, OSError, HTTPException):
            self.close_connection = True
            self._status = 0
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
        finally:
            self.relay.count(-1)
            self.relay.seen.append(Seen(self.command, self.path, self._status, self._received, self._sent))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815 - the names that the server calls

    def _answer(self, trouble: Trouble | None) -> None:
        if trouble is not None and trouble.silent and not trouble.after_bytes:
            self.stay_silent()
        if trouble is not None and trouble.status:
            for _ in self._body(None):
                pass
            self._refuse(trouble)
            return
        has_body = "Transfer-Encoding" in self.headers or int(self.headers.get("Content-Length") or 0) > 0
        if trouble is not None and not trouble.after_bytes and not has_body and self.command != "GET":
            raise _BrokenError
        upstream = HTTPConnection("127.0.0.1", self.upstream_port, timeout=60)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():  # several of one name too: engines send many Accept
                if name.lower() not in _HOP_BY_HOP:
                    upstream.putheader(name, value)
            length = self.headers.get("Content-Length")
            chunked = has_body and length is None
            if chunked or length is not None:
                upstream.putheader(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", length)))
            upstream.endheaders(self._body(trouble) if has_body else None, encode_chunked=chunked)
            self._give_back(upstream.getresponse(), trouble if self.command == "GET" else None)
        finally:
            upstream.close()

    def stay_silent(self) -> None:
        """Waits until the other side ends the connection.

        Raises:
            _BrokenError: Then.
        """
        self.relay.silent += 1
        while self.connection.recv(_CHUNK_BYTES):
            pass
        raise _BrokenError

    def _pass_on(self, trouble: Trouble | None, passed_bytes: int) -> None:
        """Goes on if so many bytes of a body may pass.

        Raises:
            _BrokenError: If not.
        """
        if trouble is not None and trouble.slow_until:
            if passed_bytes > trouble.after_bytes and not trouble.slow_until():
                time.sleep(0.02)
        elif self.relay.stops_at(trouble, passed_bytes):
            if trouble is not None and trouble.silent:
                self.stay_silent()
            raise _BrokenError

    def _body(self, trouble: Trouble | None) -> Iterator[bytes]:
        """The request's body."""
        for chunk in self._chunked() if "Transfer-Encoding" in self.headers else self._whole():
            self._received += len(chunk)
            self._pass_on(trouble, self._received)
            yield chunk

    def _whole(self) -> Iterator[bytes]:
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            chunk = self.rfile.read(min(left, _CHUNK_BYTES))
            if not chunk:
                raise _BrokenError
            left -= len(chunk)
            yield chunk

    def _chunked(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0] or b"!", 16):
            chunk = self.rfile.read(size)
            if len(chunk) < size:
                raise _BrokenError
            self.rfile.readline()
            yield chunk
        while self.rfile.readline().strip():
            pass

    def _give_back(self, response: Any, trouble: Trouble | None) -> None:
        self._status = response.status
        self.send_response_only(response.status)
        length = response.getheader("Content-Length")
        for name, value in response.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", length)
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        while self.command != "HEAD" and (chunk := response.read(_CHUNK_BYTES)):
            self._pass_on(trouble, self._sent + len(chunk))
            self._sent += len(chunk)
            self.wfile.write(chunk)

    def _refuse(self, trouble: Trouble) -> None:
        self._status = trouble.status
        body = trouble.body.encode()
        self.send_response_only(trouble.status)
        for name, value in {"Content-Type": "application/json", **trouble.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def podman_for_loopback() -> Iterator[str]:
    """A second API service on the test engine Podman's images, and gives its endpoint.

    Docker takes registries on 127.0.0.1 for insecure ones by itself; Podman has to be told, when its service starts.
    """
    name = f"podman-{os.getpid()}"
    state = Path(endpoint("podman").removeprefix("unix://")).parent
    made, conf = state / f"{name}.sock", state / f"{name}.conf"
    conf.write_text(
        'unqualified-search-registries = ["docker.io"]\nshort-name-mode = "disabled"\n'
        '[[registry]]\nprefix = "127.0.0.1"\nlocation = "127.0.0.1"\ninsecure = true\n'
    )
    inside = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "TMPDIR=/var/tmp", "PODMAN_IGNORE_CGROUPSV1_WARNING=1"]
    inside += ["CONTAINERS_CONF=/state/podman/containers.conf", f"CONTAINERS_REGISTRIES_CONF=/state/{conf.name}"]
    spaces = ["--mount", "--net", "--pid", "--ipc", "--uts", "--root", "--wd"]
    enter = ["nsenter", "--target", str(_process_of("podman")), *spaces, "env", "-i"]
    process = subprocess.Popen(
        [*enter, *inside, "podman", "system", "service", "--time", "0", f"unix:///state/{made.name}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # so that it can be ended with the process that entered
    )
    try:
        deadline = time.monotonic() + _START_S
        while not made.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("Podman does not start a second service")
            time.sleep(0.02)
        yield f"unix://{made}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=_START_S)
        made.unlink(missing_ok=True)
        conf.unlink()


@cache
def _process_of(engine: str) -> int:
    """The process of a test engine, whose network is to be entered."""
    lines = subprocess.run([ENGINES_SCRIPT, "status"], capture_output=True, text=True, check=True).stdout.splitlines()
    fields = next(line.split() for line in lines if line.startswith(f"{engine} "))
    if fields[1] != "up":
        raise RuntimeError(f"{engine} is not up")
    return int(fields[3])


def _listen(address: str, process: int) -> socket.socket:
    """A listening socket in the network of a process (0: this one's); a socket stays where it was made.

    Only the thread that makes it goes there.
    """
    made: SimpleQueue[socket.socket | BaseException] = SimpleQueue()

    def make() -> None:
        try:
            if process:
                with Path(f"/proc/{process}/ns/net").open("rb") as network:
                    libc = ctypes.CDLL(None, use_errno=True)
                    if libc.setns(network.fileno(), _NEW_NETWORK):
                        raise OSError(  # noqa: TRY301 - handed to whoever waits
                            ctypes.get_errno(), f"cannot enter the network of process {process}"
                        )
            made.put(socket.create_server((address, 0), backlog=64))
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            made.put(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    found = made.get()
    if isinstance(found, BaseException):
        raise found
    return found
