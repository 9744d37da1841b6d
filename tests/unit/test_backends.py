"""Ways of building put together: what happens when the preferred one fails."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker import APIClient

from console.build import api, backends
from console.build.api import LinesBackend, TarBackend
from console.build.backend import BuildxProbe, SessionProbe
from console.build.backends import OnceMore, SessionOrTar, open_backend
from console.build.buildkit_session.transport import SessionUnavailableError
from console.build.context import Entry, Kind, Snapshot
from console.build.dockerfile import parse_dockerfile
from console.build.request import BuildRequest, SecretSource
from console.build.trace.classic import ClassicTrace
from console.config import BuildConfig
from console.errors import EngineUnreachableError
from console.model import BuildOutcome, BuildStatus, EngineInfo, StepFailure

SOON_S = 5.0

OK = BuildOutcome(BuildStatus.OK, 100.0, image_id="sha256:1")
UNPACKING = StepFailure(
    "exporting to image",
    'failed to prepare extraction snapshot "extract-1 sha256:a": parent snapshot sha256:b does not exist: not found',
)
REQUEST = BuildRequest(
    "app:latest",
    Snapshot(Path(), {}, Path("Dockerfile"), "Dockerfile", 0, 0, "", ()),
    parse_dockerfile("FROM x\n", "Dockerfile"),
    str,
)


class Scripted:
    """A way of building that answers in turn."""

    def __init__(self, *answers: BuildOutcome | Callable[[], BuildOutcome]) -> None:
        self.answers = list(answers)
        self.asked: list[BuildRequest] = []

    def build(self, _client: Any, request: BuildRequest, _observer: Any) -> BuildOutcome:
        self.asked.append(request)
        answer = self.answers.pop(0)
        return answer() if callable(answer) else answer


def refuse() -> BuildOutcome:
    raise SessionUnavailableError("no")


def build(backend: Any, request: BuildRequest = REQUEST) -> BuildOutcome:
    found: BuildOutcome = backend.build(None, request, None)
    return found


def test_without_a_session_the_tar_goes_on() -> None:
    tar = Scripted(OK)
    assert build(SessionOrTar(Scripted(refuse), tar)) is OK
    assert tar.asked == [REQUEST]


@pytest.mark.parametrize("needs", [{"secrets": {"t": SecretSource(env="T")}}, {"ssh": {"default": "/s"}}])
def test_what_a_tar_cannot_carry_is_refused(needs: dict[str, Any]) -> None:
    tar = Scripted(OK)
    with pytest.raises(SessionUnavailableError):
        build(SessionOrTar(Scripted(refuse), tar), replace(REQUEST, **needs))
    assert tar.asked == []


def test_what_was_refused_once_is_told_and_not_asked_for_again() -> None:
    told: list[str] = []
    session, tar = Scripted(refuse, refuse), Scripted(OK, OK)
    backend = SessionOrTar(session, tar, told.append)
    assert build(backend) is OK
    assert build(backend) is OK
    assert (len(session.asked), len(tar.asked)) == (1, 2)
    assert told == ["the engine opens no more sessions, so builds go as a tar (no)"]
    with pytest.raises(SessionUnavailableError):  # what needs one is worth another try
        build(backend, replace(REQUEST, cache_to=("type=inline",)))


def test_an_engine_that_is_away_gets_no_tar() -> None:
    def away() -> BuildOutcome:
        raise EngineUnreachableError("gone")

    with pytest.raises(EngineUnreachableError):
        build(SessionOrTar(Scripted(away), Scripted()))


@pytest.mark.parametrize(
    ("builder", "settings", "session", "asked"),
    [
        ("buildkit", {}, True, ["session"]),
        ("buildkit", {}, False, ["session", "buildx"]),
        ("buildkit", {"transport": "tar"}, True, []),
        ("buildkit", {"backend": "classic"}, True, []),
        ("classic", {}, False, []),
        ("buildah", {}, False, []),
    ],
)
def test_only_what_the_choice_looks_at_is_asked(
    monkeypatch: pytest.MonkeyPatch, builder: str, settings: dict[str, Any], session: bool, asked: list[str]
) -> None:
    heard: list[str] = []

    def probe_session(_: Any) -> SessionProbe:
        heard.append("session")
        return SessionProbe(session, "no")

    def probe_buildx(_: Any) -> BuildxProbe:
        heard.append("buildx")
        return BuildxProbe(None)

    monkeypatch.setattr(backends, "probe_session", probe_session)
    monkeypatch.setattr(backends, "probe_buildx", probe_buildx)
    info = EngineInfo("docker", "x", "1.41", builder, "overlay2", "unix:///x", remote=False)
    engine: Any = SimpleNamespace(info=info, command_environment=dict)
    config: Any = SimpleNamespace(
        build=BuildConfig(**settings),
        base=SimpleNamespace(reference="b"),
        project=SimpleNamespace(name="p"),
        path=Path("x"),
    )
    clock: Any = None
    open_backend(engine, config, clock)
    assert heard == asked


class FakeEngine:
    """An engine that begins the answer to a build, and then does as it is told; it answers nothing else."""

    def __init__(self, folder: Path, then: Callable[[socket.socket], object]) -> None:
        self.info = None
        self._path = str(folder / "engine.sock")
        self._then = then
        self.building = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self._path)
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def client(self) -> APIClient:
        return APIClient(base_url=f"unix://{self._path}", version="1.41")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, connected: socket.socket) -> None:
        with connected, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head and (data := connected.recv(1)):
                head += data
            if b"/build?" in head:
                line = b'{"stream": "Step 1/1 : FROM x\\n"}\n'
                connected.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                connected.sendall(b"%x\r\n%b\r\n" % (len(line), line))
                self.building.set()
                self._then(connected)
            else:
                threading.Event().wait(SOON_S)


@pytest.fixture
def fake_engine(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    made: list[FakeEngine] = []

    def make(then: Callable[[socket.socket], object]) -> FakeEngine:
        made.append(FakeEngine(tmp_path, then))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


class Deaf:
    """An observer that does not listen."""

    def step_updated(self, step: Any) -> None: ...

    def logged(self, log: Any) -> None: ...

    def warned(self, warning: Any) -> None: ...


def own_request(folder: Path) -> BuildRequest:
    (folder / "Dockerfile").write_text("FROM x\n")
    snapshot = Snapshot(folder, {}, folder / "Dockerfile", "Dockerfile", 0, 0, "", ())
    return BuildRequest("app:latest", snapshot, REQUEST.dockerfile, str)


def tar_backend(engine: Any) -> Any:
    return TarBackend(engine)


def lines_backend(_engine: Any) -> Any:
    return LinesBackend(ClassicTrace, SimpleNamespace(now=lambda: 0.0))  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [tar_backend, lines_backend])
def test_an_answer_that_breaks_off_is_an_engine_that_went_away(
    fake_engine: Callable[..., Any], tmp_path: Path, make: Callable[[Any], Any]
) -> None:
    engine = fake_engine(lambda _: None)
    with pytest.raises(EngineUnreachableError) as raised:
        make(engine).build(engine.client(), own_request(tmp_path), Deaf())
    assert raised.value.message == "the build: the container engine ended the connection in the middle of its answer"


@pytest.mark.parametrize("make", [tar_backend, lines_backend])
def test_cancelling_a_build_on_an_engine_that_has_stopped(
    fake_engine: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Any], Any]
) -> None:
    monkeypatch.setattr(api, "_CANCEL_GRACE_S", 0.2)
    over = threading.Event()
    engine = fake_engine(lambda _: over.wait(4 * SOON_S))
    request = own_request(tmp_path)

    def cancel() -> None:
        assert engine.building.wait(SOON_S)
        request.cancellation.cancel()

    threading.Thread(target=cancel, daemon=True).start()
    began = time.monotonic()
    outcome = make(engine).build(engine.client(), request, Deaf())
    over.set()
    assert outcome.status is BuildStatus.CANCELLED
    assert time.monotonic() - began < SOON_S


def test_names_that_are_no_utf8_go_as_a_tar() -> None:
    entry = Entry(Kind.FILE, 0o644, 0, 0, "", b"", "/x")
    snapshot = replace(REQUEST.snapshot, entries={"not-\udcff": entry})
    session, tar = Scripted(OK), Scripted(OK)
    assert build(SessionOrTar(session, tar), replace(REQUEST, snapshot=snapshot)) is OK
    assert (len(session.asked), len(tar.asked)) == (0, 1)


def test_a_result_that_could_not_be_unpacked_is_built_once_more_from_the_cache() -> None:
    failed = BuildOutcome(BuildStatus.FAILED, 50.0, failure=UNPACKING)
    backend = Scripted(failed, OK)
    outcome = build(OnceMore(backend), replace(REQUEST, no_cache=True))
    assert outcome == replace(OK, duration_ms=150.0)
    assert [request.no_cache for request in backend.asked] == [True, False]
    assert build(OnceMore(Scripted(failed, failed))).status is BuildStatus.FAILED


def test_other_failures_are_final() -> None:
    failed = BuildOutcome(BuildStatus.FAILED, 50.0, failure=StepFailure("[2/2] RUN x", "exit code: 1"))
    assert build(OnceMore(Scripted(failed))) is failed
