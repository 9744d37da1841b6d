"""Sessions with real engines: files on demand, secrets, agents, registries, TLS, and how they end."""

from __future__ import annotations

import base64
import contextlib
import http.server
import io
import json
import os
import socket
import ssl
import subprocess
import sys
import tarfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from docker import APIClient
from docker.auth import AuthConfig
from docker.tls import TLSConfig

from console.build.buildkit_session import (
    SOLVE,
    STATUS,
    BuildSecrets,
    Code,
    ControlConnection,
    FileSync,
    Folder,
    Listings,
    RegistryAuth,
    Service,
    Session,
    SessionUnavailableError,
    SshAgents,
    dockerfile_entries,
    grpc_client,
    open_control,
    open_session,
)
from console.build.buildkit_session.control import control_by_prior_knowledge
from console.build.context.files import Kind
from console.build.context.snapshot import Entry, Snapshot, walk_order
from console.build.dockerfile import parse_dockerfile
from console.build.protobuf import Fields, data_field, text_map_field
from console.build.request import BuildRequest
from console.build.solve import SolveBackend
from console.engine import Engine, connect
from console.model import BuildOutcome, BuildStatus
from tests.engines import engines

pytestmark = pytest.mark.docker

ROOT_IMAGE = "busybox:test"
PYTHON_IMAGE = "python:3.11-slim-bookworm"
RELAY = Path(engines.__file__).with_name("buildkit_relay.py")
OWN = "own"
SOON_S = 20.0


@pytest.fixture(scope="module")
def endpoints() -> dict[str, str]:
    """The engines by name; the machine's own is at an empty address."""
    return {OWN: "", **engines.ensure(["docker28", "containerd"])}


@pytest.fixture(params=[OWN, "docker28", "containerd"])
def engine(request: pytest.FixtureRequest, endpoints: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Engine:
    if endpoints[request.param]:
        monkeypatch.setenv("DOCKER_HOST", endpoints[request.param])
    return connect()


@pytest.fixture
def own_engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    return connect()


def entries_of(root: Path) -> dict[str, Entry]:
    """What a folder holds, as a snapshot would say."""
    found = {}
    for path in root.rglob("*"):
        status, name = path.lstat(), path.relative_to(root).as_posix()
        mtime = int(status.st_mtime)
        if path.is_symlink():
            target = str(path.readlink())
            digest = sha256(os.fsencode(target)).digest()
            found[name] = Entry(Kind.LINK, 0o777, 0, mtime, target, digest, str(path))
        elif path.is_dir():
            found[name] = Entry(Kind.DIR, 0o755, 0, mtime, "", b"", str(path))
        else:
            content = path.read_bytes()
            mode = 0o755 if status.st_mode & 0o100 else 0o644
            found[name] = Entry(Kind.FILE, mode, len(content), mtime, "", sha256(content).digest(), str(path))
    return dict(sorted(found.items(), key=lambda item: walk_order(item[0])))


class Build:
    """Builds of one folder on one engine, with nothing but sessions."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.client: Any = engine.client()
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.key = f"sdtest-{uuid.uuid4().hex}"
        self.dockerfile = folder.parent / "any.dockerfile"
        self.listings = Listings()
        self.images: list[str] = []
        self.output = ""
        self.last: FileSync = FileSync({})

    def sync(self, entries: Mapping[str, Entry] | None = None) -> FileSync:
        context = Folder(entries if entries is not None else entries_of(self.folder), self.listings)
        dockerfile = Folder(dockerfile_entries("docker/app.Dockerfile", self.dockerfile))
        self.last = FileSync({"context": context, "dockerfile": dockerfile})
        return self.last

    def session(self, *services: Service, entries: Mapping[str, Entry] | None = None) -> Session:
        def open_stream(identity: Any) -> Any:
            return open_session(self.client, identity)

        return Session(open_stream, [self.sync(entries), *services], name="test", shared_key=self.key)

    def session_on(self, control: ControlConnection) -> Session:
        return Session(control.open_session, [self.sync()], name="test", shared_key=self.key)

    def run(self, dockerfile: str, *services: Service, entries: Mapping[str, Entry] | None = None) -> str:
        """Builds by `POST /build` without a body; gives the image's ID, or raises RuntimeError with the reason."""
        self.dockerfile.write_text(dockerfile)
        with self.session(*services, entries=entries) as session:
            image = self.build(session)
        assert session.failure is None
        return image

    def build(self, session: Session) -> str:
        client = self.engine.client()
        parameters = {
            "version": "2",
            "remote": "client-session",
            "session": session.id,
            "t": self.key,
            "dockerfile": "docker/app.Dockerfile",
        }
        response = client._post(client._url("/build"), params=parameters, stream=True, timeout=None)
        image = ""
        for line in response.iter_lines():
            message = json.loads(line)
            if message.get("id") == "moby.image.id":
                image = message["aux"]["ID"]
            elif message.get("id") == "moby.buildkit.trace":
                self.output += base64.b64decode(message["aux"]).decode("utf-8", "replace")
            elif "error" in message:
                raise RuntimeError(message["error"])
        assert image
        self.images.append(image)
        return image

    def contents(self, image: str, path: str) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
        """What an image holds beneath a path."""
        container = self.client.create_container(image, ["x"])["Id"]
        try:
            chunks, _ = self.client.get_archive(container, path)
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks)), errors="surrogateescape") as tar:
                return {
                    member.name.removeprefix("./").lstrip("/"): (
                        member,
                        (tar.extractfile(member) or io.BytesIO()).read() if member.isfile() else b"",
                    )
                    for member in tar
                }
        finally:
            self.client.remove_container(container, force=True)

    def close(self) -> None:
        for image in {*self.images, f"{self.key}:latest"}:
            with contextlib.suppress(Exception):  # whatever of them is there
                self.client.remove_image(image, force=True)
        self.client.close()


@pytest.fixture
def build(engine: Engine, tmp_path: Path) -> Iterator[Build]:
    made = Build(engine, tmp_path / "context")
    yield made
    made.close()


@pytest.fixture
def own_build(own_engine: Engine, tmp_path: Path) -> Iterator[Build]:
    made = Build(own_engine, tmp_path / "context")
    yield made
    made.close()


def test_files_links_and_modes_arrive_as_they_are(build: Build) -> None:
    root = build.folder
    (root / "d" / "empty").mkdir(parents=True)
    (root / "d" / "ü x\n%20'\"").write_bytes(b"odd")
    (root / "d.txt").write_bytes(b"before d/")
    (root / "run.sh").write_bytes(b"#!/bin/sh\n")
    (root / "run.sh").chmod(0o700)
    (root / ("n" * 200)).write_bytes(b"long")
    (root / "large").write_bytes(large := os.urandom(3_000_000))
    (root / "void").touch()
    (root / "link").symlink_to("d/../nowhere ü")
    (root / ".dockerignore").write_text("*\n")
    os.utime(root / "d.txt", (1_600_000_000, 1_600_000_000))
    found = build.contents(build.run(f"FROM {ROOT_IMAGE}\nCOPY . /x/\n"), "/x")
    assert {name: content for name, (member, content) in found.items() if member.isfile()} == {
        "x/d/ü x\n%20'\"": b"odd",
        "x/d.txt": b"before d/",
        "x/run.sh": b"#!/bin/sh\n",
        f"x/{'n' * 200}": b"long",
        "x/large": large,
        "x/void": b"",
        "x/.dockerignore": b"*\n",
    }
    assert found["x/link"][0].linkname == "d/../nowhere ü"
    assert found["x/d/empty"][0].isdir()
    assert {name: member.mode & 0o777 for name, (member, _) in found.items() if not member.issym()} == {
        name: 0o755 if member.isdir() or name == "x/run.sh" else 0o644
        for name, (member, _) in found.items()
        if not member.issym()
    }
    assert {(member.uid, member.gid) for member, _ in found.values()} == {(0, 0)}
    assert int(found["x/d.txt"][0].mtime) == 1_600_000_000


def test_only_what_was_edited_is_sent(build: Build) -> None:
    for number in range(50):
        (build.folder / f"f{number}").write_bytes(b"x" * 1000)
    text = f"FROM {ROOT_IMAGE}\nCOPY . /x/\n"
    build.run(text)
    assert build.last.sent.size_bytes == 50_000 + len(text)
    (build.folder / "f7").write_bytes(b"y" * 900)
    image = build.run(text)
    assert build.last.sent.size_bytes in {900, 900 + len(text)}  # newer builders ask for the Dockerfile each time
    found = build.contents(image, "/x")
    assert found["x/f7"][1] == b"y" * 900
    (build.folder / "f8").unlink()
    assert "x/f8" not in build.contents(build.run(text), "/x")
    assert build.last.sent.size_bytes in {0, len(text)}


def test_an_edit_that_keeps_size_and_time_travels(build: Build) -> None:
    text = f"FROM {ROOT_IMAGE}\nCOPY . /x/\n"
    for content in (b"one", b"two", b"one", b"one"):
        (build.folder / "a").write_bytes(content)
        os.utime(build.folder / "a", (1_600_000_000, 1_600_000_000))
        assert build.contents(build.run(text), "/x")["x/a"][1] == content
    assert build.last.sent.size_bytes in {0, len(text)}


def test_what_was_written_during_a_build_and_taken_back_is_not_kept(build: Build) -> None:
    """BuildKit drops its copy of a folder whose transfer fails; else it kept `two` under what is told of `one`."""
    text = f"FROM {ROOT_IMAGE}\nCOPY . /x/\n"
    (build.folder / "a").write_bytes(b"one")
    (build.folder / "z").write_bytes(b"z")
    before = entries_of(build.folder)
    (build.folder / "a").write_bytes(b"two")
    with pytest.raises(RuntimeError, match="a changed while it was being sent"):
        build.run(text, entries=before)
    assert build.last.sent.changed == {("context", "a")}
    (build.folder / "a").write_bytes(b"one")
    build.listings = Listings()  # as another process would
    assert build.contents(build.run(text, entries=before), "/x")["x/a"][1] == b"one"


def test_a_file_that_vanishes_does_not_keep_a_build_waiting(build: Build) -> None:
    (build.folder / "a").write_bytes(b"one")
    entries = entries_of(build.folder)
    (build.folder / "a").unlink()
    with pytest.raises(RuntimeError, match="a changed while it was being sent"):
        build.run(f"FROM {ROOT_IMAGE}\nCOPY . /x/\n", entries=entries)


def test_a_file_that_cannot_be_read_fails_the_build_in_words(build: Build) -> None:
    (build.folder / "a").write_bytes(b"one")
    (entry,) = entries_of(build.folder).values()
    unreadable = Entry(entry.kind, entry.mode, entry.size, entry.mtime, "", entry.digest, "/" + "x" * 300)
    with pytest.raises(RuntimeError, match="cannot read a: File name too long"):
        build.run(f"FROM {ROOT_IMAGE}\nCOPY . /x/\n", entries={"a": unreadable})


def test_a_context_that_is_nothing_but_ignore_rules(build: Build) -> None:
    (build.folder / ".dockerignore").write_text("*\n")
    image = build.run(f"FROM {ROOT_IMAGE}\nCOPY .dockerignore /x/\n")
    assert build.contents(image, "/x")["x/.dockerignore"][1] == b"*\n"


def test_ten_thousand_files(build: Build) -> None:
    for number in range(10_000):
        place = build.folder / f"d{number % 100}"
        place.mkdir(exist_ok=True)
        (place / f"f{number}").write_bytes(b"%d" % number)
    text = f"FROM {ROOT_IMAGE}\nCOPY d7 /x/\n"
    build.run(text)
    everything = sum(entry.size for entry in entries_of(build.folder).values()) + len(text)
    assert build.last.sent.size_bytes == everything
    (build.folder / "d7" / "f7").write_bytes(b"edited")
    found = build.contents(build.run(text), "/x")
    assert found["x/f7"][1] == b"edited"
    assert found["x/f107"][1] == b"107"
    assert build.last.sent.size_bytes in {6, 6 + len(text)}


def test_secrets_reach_a_step_and_no_layer(build: Build) -> None:
    text = (
        f"FROM {ROOT_IMAGE}\nRUN --mount=type=secret,id=token sha256sum < /run/secrets/token > /sum # {build.key}\n"
        f"RUN --mount=type=secret,id=absent test ! -e /run/secrets/absent # {build.key}\n"
    )
    value = f"hush {build.key}".encode()
    found = build.contents(build.run(text, BuildSecrets({"token": lambda: value})), "/")
    assert found["sum"][1].decode().split()[0] == sha256(value).hexdigest()
    assert [name for name, (_, content) in found.items() if value in content] == []


def test_a_secret_that_must_be_there(build: Build) -> None:
    text = f"FROM {ROOT_IMAGE}\nRUN --mount=type=secret,id=absent,required=true true # {build.key}\n"
    with pytest.raises(RuntimeError, match="absent"):
        build.run(text, BuildSecrets({}))


@contextlib.contextmanager
def fake_agent(path: str) -> Iterator[None]:
    """Answers each question with `answer to` and the question."""

    def answer(connected: socket.socket) -> None:
        with connected:
            while question := connected.recv(100):
                connected.sendall(b"answer to " + question)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        threading.Thread(target=accept, daemon=True).start()
        yield
        listener.shutdown(socket.SHUT_RDWR)


def test_an_agent_answers_a_step(build: Build, tmp_path: Path) -> None:
    ask = (
        "import os, socket; s = socket.socket(socket.AF_UNIX); s.connect(os.environ['SSH_AUTH_SOCK']); "
        f"s.sendall(b'{build.key}'); open('/said', 'wb').write(s.recv(100))"
    )
    path = str(tmp_path / "agent")
    with fake_agent(path):
        image = build.run(
            f'FROM {PYTHON_IMAGE}\nRUN --mount=type=ssh python3 -c "{ask}"\n', SshAgents({"default": path})
        )
    assert build.contents(image, "/said")["said"][1] == f"answer to {build.key}".encode()


def test_an_agent_that_is_not_there_fails_the_build(build: Build, tmp_path: Path) -> None:
    text = f"FROM {ROOT_IMAGE}\nRUN --mount=type=ssh,required=true echo {build.key}\n"
    with pytest.raises(RuntimeError, match=r"(?i)ssh"):
        build.run(text, SshAgents({}))


class Breaking:
    """A secrets service with a defect."""

    def __init__(self, break_down: Callable[[], bytes]) -> None:
        self.handlers = BuildSecrets({"token": break_down}).handlers


def test_a_defect_of_ours_fails_the_build_at_once(build: Build) -> None:
    def breaks() -> bytes:
        raise LookupError("hush")

    build.dockerfile.write_text(f"FROM {ROOT_IMAGE}\nRUN --mount=type=secret,id=token true # {build.key}\n")
    with build.session(Breaking(breaks)) as session:
        began = time.monotonic()
        with pytest.raises(RuntimeError, match="LookupError") as raised:
            build.build(session)
    assert time.monotonic() - began < 10
    assert "hush" not in str(raised.value)
    assert isinstance(session.failure, LookupError)


def test_a_session_closed_in_the_middle_of_a_call_ends_the_build(build: Build) -> None:
    asked, release = threading.Event(), threading.Event()

    def wait() -> bytes:
        asked.set()
        release.wait(60)
        return b""

    build.dockerfile.write_text(f"FROM {ROOT_IMAGE}\nRUN --mount=type=secret,id=token true # {build.key}\n")
    ended: list[str] = []

    def run() -> None:
        try:
            build.build(session)
        except RuntimeError as error:
            ended.append(str(error))

    with build.session(BuildSecrets({"token": wait})) as session:
        running = threading.Thread(target=run)
        running.start()
        assert asked.wait(SOON_S)
        began = time.monotonic()
        session.close()
        assert time.monotonic() - began < 1
    running.join(50)
    release.set()
    print(f"the build ended {time.monotonic() - began:.1f} s after its session: {ended}")
    assert not running.is_alive()
    assert ended


class Solve:
    """A build through the Control service."""

    def __init__(self, control: ControlConnection, build: Build, session: Session) -> None:
        reference = uuid.uuid4().hex
        request = (
            data_field(1, reference)
            + data_field(3, "moby")
            + text_map_field(4, {"name": f"docker.io/library/{build.key}:latest"})
            + data_field(5, session.id)
            + data_field(6, "dockerfile.v0")
            + text_map_field(7, {"filename": "docker/app.Dockerfile", "image-resolve-mode": "local"})
        )
        self.answers: list[bytes] = []
        self.updates: list[bytes] = []
        self.group = control.calls.group()
        self.solve = self.group.start(SOLVE, request, self.answers.append)
        self.status = self.group.start(STATUS, data_field(1, reference), self.updates.append)


@contextlib.contextmanager
def relay(engine: Engine, folder: Path) -> Iterator[Any]:
    """A client for a socket that speaks gRPC itself, as engines' own sockets do from API 1.53 on."""
    path, target = str(folder / "relay.sock"), engine.info.host.removeprefix("unix://")
    process = subprocess.Popen([sys.executable, RELAY, target, path])
    try:
        deadline = time.monotonic() + SOON_S
        while not Path(path).exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield APIClient(base_url=f"unix://{path}", version=engine.info.api_version)
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("way", ["upgrade", "prior knowledge", "tunnel over an upgrade"])
def test_builds_through_the_control_service(build: Build, tmp_path: Path, way: str) -> None:
    build.dockerfile.write_text(f"FROM {ROOT_IMAGE}\nCOPY . /x/\nRUN echo {build.key}\n")
    (build.folder / "a").write_bytes(large := os.urandom(2_000_000))
    with contextlib.ExitStack() as stack:
        if way == "prior knowledge":
            control = control_by_prior_knowledge(stack.enter_context(relay(build.engine, tmp_path)))
        else:
            control = open_control(build.client, build.engine.info)
        stack.enter_context(control)
        tunnelled = ControlConnection(control.calls, None) if way == "tunnel over an upgrade" else control
        session = stack.enter_context(build.session_on(tunnelled))
        run = Solve(control, build, session)
        run.group.run()
        assert (run.solve.error, run.status.error) == (None, None)
        assert Fields(run.answers[0]).text_map(1)["containerimage.digest"].startswith("sha256:")
        assert build.key.encode() in b"".join(run.updates)
    assert session.failure is None
    assert build.contents(f"{build.key}:latest", "/x")["x/a"][1] == large


def test_a_cancelled_build_ends_at_once(build: Build) -> None:
    build.dockerfile.write_text(f"FROM {ROOT_IMAGE}\nRUN echo {build.key}; sleep 50\n")
    with open_control(build.client, build.engine.info) as control, build.session_on(control) as session:
        run = Solve(control, build, session)
        began: list[float] = []

        def cancel_when_it_runs() -> None:
            deadline = time.monotonic() + SOON_S
            while f"{build.key}\n".encode() not in b"".join(run.updates):  # what the step says, not its name
                assert time.monotonic() < deadline
                time.sleep(0.02)
            began.append(time.monotonic())
            run.solve.cancel()

        threading.Thread(target=cancel_when_it_runs).start()
        run.group.run()
        assert time.monotonic() - began[0] < 5
        assert run.solve.error is not None
        assert run.solve.error.code is Code.CANCELLED


def test_an_error_of_a_build_comes_with_its_words(build: Build) -> None:
    build.dockerfile.write_text(f"FROM {ROOT_IMAGE}\nCOPY nowhere /\n")
    with open_control(build.client, build.engine.info) as control, build.session_on(control) as session:
        run = Solve(control, build, session)
        run.group.run()
    assert run.solve.error is not None
    assert "nowhere" in run.solve.error.message


class Deaf:
    """An observer that does not listen."""

    def step_updated(self, step: Any) -> None: ...

    def logged(self, log: Any) -> None: ...

    def warned(self, warning: Any) -> None: ...


def solve(build: Build, text: str, entries: Mapping[str, Entry]) -> BuildOutcome:
    """As a new process builds it: with nothing kept from other builds but what BuildKit keeps."""
    snapshot = Snapshot(build.folder, entries, build.dockerfile, "Dockerfile", 0, 0, "", ())
    build.dockerfile.write_text(text)
    request = BuildRequest(f"{build.key}:latest", snapshot, parse_dockerfile(text, "Dockerfile"), str)
    return SolveBackend(build.engine, "test", build.key).build(build.client, request, Deaf())


def contents_of(build: Build, outcome: BuildOutcome) -> dict[str, bytes]:
    assert outcome.status is BuildStatus.OK, outcome.failure
    return {name: content for name, (_, content) in build.contents(f"{build.key}:latest", "/x").items()}


def test_a_file_that_changes_while_it_is_sent_and_back_again(build: Build) -> None:
    """As `cp -p app.py old; edit app.py; mv old app.py` does: nothing tells the first state from the last."""
    text = f"FROM {ROOT_IMAGE}\nCOPY . /x/\n"
    (build.folder / "app.py").write_bytes(b"one")
    (build.folder / "z").write_bytes(b"z")
    os.utime(build.folder / "app.py", (1_600_000_000, 1_600_000_000))
    before = entries_of(build.folder)
    (build.folder / "app.py").write_bytes(b"two")
    assert contents_of(build, solve(build, text, before))["x/app.py"] == b"two"
    (build.folder / "app.py").write_bytes(b"one")
    os.utime(build.folder / "app.py", (1_600_000_000, 1_600_000_000))
    assert contents_of(build, solve(build, text, before))["x/app.py"] == b"one"


def test_ignore_rules_are_copied_and_not_heeded_again(build: Build) -> None:
    (build.folder / "sub").mkdir()
    (build.folder / "a").write_bytes(b"a")
    for place in (".dockerignore", "sub/.dockerignore"):
        (build.folder / place).write_text("*\n")
    everything = entries_of(build.folder)
    for copied in (".dockerignore", "sub/.dockerignore"):
        text = f"FROM {ROOT_IMAGE}\nCOPY {copied} /x/\n"
        entries = {name: entry for name, entry in everything.items() if copied.startswith(name)}
        entries["Dockerfile"] = everything["a"]  # always there where it lies in the build context
        entries = dict(sorted(entries.items(), key=lambda item: walk_order(item[0])))
        found = contents_of(build, solve(build, text, entries))
        assert found["x/.dockerignore"] == b"*\n"
    found = contents_of(build, solve(build, f"FROM {ROOT_IMAGE}\nCOPY . /x/\n", everything))
    assert found["x/a"] == b"a"


def test_a_dockerfile_that_is_a_link(build: Build) -> None:
    (build.folder / "a").write_bytes(b"a")
    build.dockerfile.symlink_to("real.dockerfile")
    found = contents_of(build, solve(build, f"FROM {ROOT_IMAGE}\nCOPY . /x/\n", entries_of(build.folder)))
    assert found["x/a"] == b"a"


def test_engines_answer_many_questions_during_a_quiet_step(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """gRPC servers of their own make end a connection that asks more often than every five minutes."""
    monkeypatch.setattr(grpc_client, "PING_INTERVAL_S", 0.1)
    text = f"FROM {ROOT_IMAGE}\nRUN sleep 3 # {build.key}\n"
    outcome = solve(build, text, {})
    assert outcome.status is BuildStatus.OK, outcome.failure


def test_a_probe_opens_a_session(build: Build, tmp_path: Path) -> None:
    with open_control(build.client, build.engine.info) as control:
        control.probe_session()
    with relay(build.engine, tmp_path) as client, control_by_prior_knowledge(client) as control:
        control.probe_session()


def test_engines_that_have_no_sessions(
    own_engine: Engine, endpoints: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SessionUnavailableError, match="no gRPC on the engine's own socket"):
        control_by_prior_knowledge(own_engine.client())
    monkeypatch.setenv("DOCKER_HOST", engines.ensure(["podman"])["podman"])
    podman = connect()
    with pytest.raises(SessionUnavailableError, match="without BuildKit"):
        open_control(podman.client(), podman.info)
    with (
        pytest.raises(SessionUnavailableError, match="HTTP 404"),
        Session(lambda identity: open_session(podman.client(), identity), [], name="t", shared_key="t"),
    ):
        pass


class Registry(http.server.BaseHTTPRequestHandler):
    """A registry that holds nothing, and says so to whoever has the right to ask."""

    protocol_version = default_request_version = "HTTP/1.1"  # also to a TLS greeting, upon which builders try HTTP
    challenge = ""
    heard: list[tuple[str, str]]

    def do_GET(self) -> None:
        authorization = self.headers.get("Authorization", "")
        type(self).heard.append((self.path.partition("?")[0], authorization))
        if self.path.startswith("/token"):
            self.answer(200, b'{"token": "t", "access_token": "t"}')
        elif authorization:
            self.answer(404, b"{}")
        else:
            self.answer(401, b"{}")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def answer(self, status: int, body: bytes) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", self.challenge.format(port=self.server.server_address[1]))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.mark.parametrize(
    "challenge",
    ['Basic realm="r"', 'Bearer realm="http://127.0.0.1:{port}/token",service="s",scope="repository:x:pull"'],
)
def test_a_registry_is_told_who_asks(own_build: Build, challenge: str) -> None:
    handler = type("Here", (Registry,), {"challenge": challenge, "heard": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        name = f"127.0.0.1:{server.server_address[1]}"
        config = AuthConfig({"auths": {name: {"username": "me", "password": "hush"}}})
        with pytest.raises(RuntimeError) as raised:
            own_build.run(f"FROM {name}/x:1\n", RegistryAuth(lambda: config))
        server.shutdown()
    assert "hush" not in str(raised.value)
    told = {authorization for _, authorization in handler.heard}  # type: ignore[attr-defined]
    paths = {path for path, _ in handler.heard}  # type: ignore[attr-defined]
    if challenge.startswith("Basic"):
        assert "Basic " + base64.b64encode(b"me:hush").decode() in told
    else:
        assert "/token" in paths
        assert "Bearer t" in told


@contextlib.contextmanager
def tls_front(engine: Engine, folder: Path, *, alpn: list[str], upgrade: bytes) -> Iterator[Any]:
    """A client for an engine behind TLS; `upgrade` is what is said to the engine first, its answer is kept back."""
    key, certificate = folder / "key.pem", folder / "cert.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    make += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(make, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(alpn)

    def serve(plain: socket.socket) -> None:
        with contextlib.suppress(OSError), plain, socket.socket(socket.AF_UNIX) as inner:
            inner.connect(engine.info.host.removeprefix("unix://"))
            if upgrade:
                inner.sendall(upgrade)
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += inner.recv(1)
            with context.wrap_socket(plain, server_side=True) as front:
                pass_on(front, inner)

    def pass_on(front: ssl.SSLSocket, inner: socket.socket) -> None:
        """On one thread, because a TLS connection takes no more: reads a little here, a little there."""
        front.settimeout(0.005)
        while True:
            with contextlib.suppress(TimeoutError):
                if not (data := front.recv(65536)):
                    return
                inner.setblocking(True)
                inner.sendall(data)
            inner.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                if not (data := inner.recv(65536)):
                    return
                front.settimeout(None)
                front.sendall(data)
                front.settimeout(0.005)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield APIClient(
            base_url=f"https://127.0.0.1:{listener.getsockname()[1]}",
            version=engine.info.api_version,
            tls=TLSConfig(ca_cert=str(certificate), verify=True),
        )
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("way", ["upgrade", "prior knowledge"])
def test_sessions_over_tls(own_build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # requests prefers them to what docker-py says
        monkeypatch.delenv(variable, raising=False)
    own_build.dockerfile.write_text(f"FROM {ROOT_IMAGE}\nCOPY . /x/\n")
    (own_build.folder / "a").write_bytes(large := os.urandom(1_000_000))
    prior = way == "prior knowledge"
    said = b"POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" if prior else b""
    with tls_front(own_build.engine, tmp_path, alpn=["h2"] if prior else ["http/1.1"], upgrade=said) as client:
        control = control_by_prior_knowledge(client) if prior else open_control(client, own_build.engine.info)
        with control, own_build.session_on(control) as session:
            run = Solve(control, own_build, session)
            run.group.run()
            assert run.solve.error is None
        assert session.failure is None
        if not prior:
            with pytest.raises(SessionUnavailableError, match="TLS listener offers no HTTP/2"):
                control_by_prior_knowledge(client)
    assert own_build.contents(f"{own_build.key}:latest", "/x")["x/a"][1] == large
