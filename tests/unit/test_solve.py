"""Builds through the Control service, with a few lines in BuildKit's place."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from console.build import solve
from console.build.buildkit_session import grpc_client
from console.build.buildkit_session.byte_streams import SocketStream
from console.build.buildkit_session.control import SOLVE, STATUS, ControlConnection, Identity
from console.build.buildkit_session.grpc import Code, GrpcError
from console.build.buildkit_session.grpc_client import GrpcClient
from console.build.buildkit_session.grpc_server import GrpcServer, Handler, ServerCall
from console.build.buildkit_session.transport import SessionUnavailableError
from console.build.context import Entry, Kind, Snapshot
from console.build.dockerfile import parse_dockerfile
from console.build.protobuf import Fields, data_field, number_field, text_map_field
from console.build.request import BuildRequest
from console.build.solve import SolveBackend, cache_entry, frontend_attributes, normalized, solve_message
from console.errors import EngineUnreachableError
from console.model import BuildOutcome, BuildStatus

SOON_S = 5.0
DIFF_COPY = "/moby.filesync.v1.FileSync/DiffCopy"
DONE = data_field(1, data_field(1, "containerimage.digest") + data_field(2, "sha256:1"))


class Deaf:
    """An observer that does not listen."""

    def step_updated(self, step: Any) -> None: ...

    def logged(self, log: Any) -> None: ...

    def warned(self, warning: Any) -> None: ...


class Silent:
    """A connection to an engine that was stopped: it takes everything, and says nothing."""

    def __init__(self) -> None:
        self._closed = threading.Event()

    def receive(self) -> bytes:
        self._closed.wait()
        return b""

    def send(self, data: bytes) -> None: ...

    def close(self) -> None:
        self._closed.set()


class Full(Silent):
    """One whose socket takes nothing more."""

    def send(self, data: bytes) -> None:
        self._closed.wait()
        raise BrokenPipeError


class FakeControl(ControlConnection):
    """A connection whose other end is a server of ours; sessions that are opened on it can be asked by `ask`."""

    def __init__(self, handlers: Mapping[str, Handler], opened: list[GrpcClient]) -> None:
        ours, theirs = socket.socketpair()
        self._server = GrpcServer(SocketStream(theirs), handlers)
        threading.Thread(target=self._server.run, daemon=True).start()
        super().__init__(GrpcClient(SocketStream(ours)), None)
        self._opened = opened

    def open_session(self, identity: Identity) -> SocketStream:
        ours, theirs = socket.socketpair()
        self._opened.append(GrpcClient(SocketStream(theirs)))
        return SocketStream(ours)

    def close(self) -> None:
        super().close()
        self._server.close()


@pytest.fixture
def request_(tmp_path: Path) -> BuildRequest:
    place = tmp_path / "Dockerfile"
    place.write_text("FROM x\n")
    snapshot = Snapshot(tmp_path, {}, place, "Dockerfile", 0, 0, "", ())
    return BuildRequest("app:latest", snapshot, parse_dockerfile("FROM x\n", "Dockerfile"), str)


@pytest.fixture
def opened() -> Iterator[list[GrpcClient]]:
    clients: list[GrpcClient] = []
    yield clients
    for client in clients:
        client.close()


Build = Callable[..., BuildOutcome]


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch, opened: list[GrpcClient]) -> Build:
    """Builds with these handlers for Solve and Status in BuildKit's place, or with a control connection as given."""
    engine: Any = SimpleNamespace(info=None)
    backend = SolveBackend(engine, "project", "key")

    def run(request: BuildRequest, solve_: Handler | None = None, status: Handler | None = None, **other: Any) -> Any:
        def open_control(*_: Any) -> ControlConnection:
            if make := other.get("control"):
                return make()
            return FakeControl({SOLVE: solve_ or refuse, STATUS: status or end}, opened)

        monkeypatch.setattr(solve, "open_control", open_control)
        client: Any = None
        return backend.build(client, request, Deaf())

    return run


def end(call: ServerCall) -> None:
    call.receive()


def refuse(call: ServerCall) -> None:
    raise GrpcError(Code.UNKNOWN, "failed to solve: no such frontend")


def hold(call: ServerCall) -> None:
    """Until the other end cancels."""
    while True:
        call.receive()
        time.sleep(0.01)


def test_an_image_is_known_by_what_solve_answers(build: Build, request_: BuildRequest) -> None:
    heard: list[bytes] = []

    def answer(call: ServerCall) -> None:
        heard.append(call.receive() or b"")
        call.send(DONE)

    outcome = build(request_, answer)
    assert (outcome.status, outcome.image_id) == (BuildStatus.OK, "sha256:1")
    assert Fields(heard[0]).text(6) == "dockerfile.v0"


def test_a_build_that_is_refused_does_not_wait_for_its_status(build: Build, request_: BuildRequest) -> None:
    outcome = build(request_, refuse, hold)
    assert outcome.status is BuildStatus.FAILED
    assert outcome.failure is not None
    assert outcome.failure.message == "no such frontend"


def test_a_builder_that_says_unavailable_is_there(build: Build, request_: BuildRequest) -> None:
    """BuildKit passes on with what status a service of ours, or a registry, has refused."""

    def refuse_with(call: ServerCall) -> None:
        raise GrpcError(Code.UNAVAILABLE, "no SSH agent answers")

    outcome = build(request_, refuse_with)
    assert outcome.status is BuildStatus.FAILED


def test_an_engine_that_goes_away(build: Build, request_: BuildRequest, opened: list[GrpcClient]) -> None:
    made: list[FakeControl] = []

    def control() -> ControlConnection:
        made.append(FakeControl({SOLVE: leave, STATUS: hold}, opened))
        return made[0]

    def leave(call: ServerCall) -> None:
        made[0]._server.close()

    with pytest.raises(EngineUnreachableError, match="the build: the container engine went away"):
        build(request_, control=control)


def test_a_build_that_was_cancelled_before_it_began(build: Build, request_: BuildRequest) -> None:
    request_.cancellation.cancel()

    def never() -> ControlConnection:
        pytest.fail("nobody should connect")

    assert build(request_, control=never).status is BuildStatus.CANCELLED


@pytest.mark.parametrize("error", [EngineUnreachableError("gone"), SessionUnavailableError("no")])
def test_a_build_that_is_cancelled_while_it_connects(build: Build, request_: BuildRequest, error: Exception) -> None:
    def control() -> ControlConnection:
        request_.cancellation.cancel()
        raise error

    assert build(request_, control=control).status is BuildStatus.CANCELLED


def test_a_build_that_is_cancelled_when_it_is_connected(
    build: Build, request_: BuildRequest, opened: list[GrpcClient]
) -> None:
    def control() -> ControlConnection:
        request_.cancellation.cancel()
        return FakeControl({SOLVE: hold, STATUS: hold}, opened)

    assert build(request_, control=control).status is BuildStatus.CANCELLED


def test_a_build_that_is_cancelled_while_it_runs(build: Build, request_: BuildRequest) -> None:
    def cancel(call: ServerCall) -> None:
        threading.Thread(target=request_.cancellation.cancel).start()
        hold(call)

    assert build(request_, cancel, hold).status is BuildStatus.CANCELLED


@pytest.mark.parametrize("pipe", [Silent, Full])
def test_cancelling_a_build_on_an_engine_that_has_stopped(
    build: Build, request_: BuildRequest, pipe: type[Silent], opened: list[GrpcClient]
) -> None:
    def control() -> ControlConnection:
        made = FakeControl({}, opened)
        made.calls.close()
        made.calls = GrpcClient(pipe())
        return made

    threading.Timer(0.1, request_.cancellation.cancel).start()
    began = time.monotonic()
    assert build(request_, control=control).status is BuildStatus.CANCELLED
    assert time.monotonic() - began < SOON_S


def test_an_engine_that_has_stopped_is_noticed(
    build: Build, request_: BuildRequest, monkeypatch: pytest.MonkeyPatch, opened: list[GrpcClient]
) -> None:
    monkeypatch.setattr(grpc_client, "PING_INTERVAL_S", 0.05)

    def control() -> ControlConnection:
        made = FakeControl({}, opened)
        made.calls.close()
        made.calls = GrpcClient(Silent())
        return made

    with pytest.raises(EngineUnreachableError, match="the peer does not answer"):
        build(request_, control=control)


def test_an_engine_that_is_quiet_but_there_is_waited_for(
    build: Build, request_: BuildRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_client, "PING_INTERVAL_S", 0.02)

    def answer(call: ServerCall) -> None:
        time.sleep(0.5)
        call.send(DONE)

    assert build(request_, answer).status is BuildStatus.OK


class Reading:
    """Solve as BuildKit does it, as far as files go: asks the session for each, and fails if it does not get it."""

    def __init__(self, opened: list[GrpcClient], before: Callable[[], None]) -> None:
        self._opened = opened
        self._before = before
        self.content: list[bytes] = []

    def __call__(self, call: ServerCall) -> None:
        call.receive()
        self._before()
        over = threading.Event()
        got: list[bytes] = []

        def hear(message: bytes) -> None:
            packet = Fields(message)
            if packet.number(1) == 2:
                got.append(packet.data(4))
                if not packet.data(4):
                    with suppress(GrpcError):
                        asked.send_end(number_field(1, 3))

        asked = self._opened[-1].open(DIFF_COPY, hear, over.set, [("dir-name", "context")])
        asked.send(number_field(1, 1))
        assert over.wait(SOON_S)
        if asked.error is not None:
            raise GrpcError(Code.UNKNOWN, f"failed to solve: {asked.error.message}")
        self.content.append(b"".join(got))
        call.send(DONE)


def with_file(request: BuildRequest, content: bytes) -> tuple[BuildRequest, Path]:
    place = request.snapshot.root / "app.py"
    place.write_bytes(content)
    entry = Entry(Kind.FILE, 0o644, len(content), 1, "", sha256(content).digest(), str(place))
    return replace(request, snapshot=replace(request.snapshot, entries={"app.py": entry})), place


def test_a_file_that_changes_while_it_is_sent_is_looked_at_again(
    build: Build, request_: BuildRequest, opened: list[GrpcClient]
) -> None:
    request, place = with_file(request_, b"one")
    reading = Reading(opened, lambda: place.write_bytes(b"other") and None)
    outcome = build(request, reading)
    assert outcome.status is BuildStatus.OK
    assert reading.content == [b"other"]
    assert outcome.sent_bytes == len(b"oth" + b"other")


def test_a_file_that_never_stays_as_it_is_fails_the_build_in_words(
    build: Build, request_: BuildRequest, opened: list[GrpcClient]
) -> None:
    request, place = with_file(request_, b"one")
    outcome = build(request, Reading(opened, lambda: place.write_bytes(place.read_bytes()[::-1] + b"x") and None))
    assert outcome.status is BuildStatus.FAILED
    assert outcome.failure is not None
    assert outcome.failure.message.startswith("app.py changed while it was being sent")


def test_what_a_build_asks_for(request_: BuildRequest) -> None:
    request = replace(
        request_,
        args={"A": "1"},
        labels={"l": "2"},
        target="t",
        platform="linux/arm64",
        network="host",
        no_cache=True,
        cache_from=("me/app",),
        cache_to=("type=inline",),
    )
    attributes = frontend_attributes(request)
    imports = json.loads(attributes.pop("cache-imports"))
    assert imports == [{"Type": "registry", "Attrs": {"ref": "docker.io/me/app"}}]
    assert attributes == {
        "filename": "Dockerfile",
        "image-resolve-mode": "local",
        "build-arg:A": "1",
        "label:l": "2",
        "target": "t",
        "platform": "linux/arm64",
        "force-network-mode": "host",
        "no-cache": "",
    }
    message = Fields(solve_message(request, "ref", "session"))
    assert (message.text(1), message.text(3), message.text(5)) == ("ref", "moby", "session")
    assert message.text_map(4) == {"name": "docker.io/library/app:latest"}
    assert message.text(9) == "network.host"
    assert data_field(5, data_field(1, "registry") + text_map_field(2, {"ref": "docker.io/me/app"})) in message.data(8)
    assert data_field(4, data_field(1, "inline")) in message.data(8)


@pytest.mark.parametrize(
    ("text", "kind", "attributes"),
    [
        ("app", "registry", {"ref": "docker.io/library/app"}),
        ("type=registry,ref=r.example.org/app,mode=max", "registry", {"ref": "r.example.org/app", "mode": "max"}),
        ("ref=r.example.org/app", "registry", {"ref": "r.example.org/app"}),
        ('type=local,"src=/a,b",tag=x=y', "local", {"src": "/a,b", "tag": "x=y"}),
        ("type=inline", "inline", {}),
    ],
)
def test_caches(text: str, kind: str, attributes: dict[str, str]) -> None:
    assert cache_entry(text) == (kind, attributes)


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("app:1", "docker.io/library/app:1"),
        ("me/app", "docker.io/me/app"),
        ("localhost/app", "localhost/app"),
        ("localhost:5000/app:1", "localhost:5000/app:1"),
        ("r.example.org/a/b", "r.example.org/a/b"),
    ],
)
def test_names_of_images(tag: str, name: str) -> None:
    assert normalized(tag) == name
