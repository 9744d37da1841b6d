"""What a session serves, asked as BuildKit asks, without an engine."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from docker.auth import AuthConfig
from docker.errors import DockerException
from hypothesis import given
from hypothesis import strategies as st

from console import credential_helper
from console.build.buildkit_session.build_secrets import BuildSecrets
from console.build.buildkit_session.byte_streams import SocketStream
from console.build.buildkit_session.control import Identity
from console.build.buildkit_session.filesync import FileSync, Folder
from console.build.buildkit_session.grpc import Code, GrpcError
from console.build.buildkit_session.grpc_client import GrpcClient
from console.build.buildkit_session.listing import Listings, dockerfile_entries, names_without_text
from console.build.buildkit_session.registry_auth import RegistryAuth
from console.build.buildkit_session.session import Service, Session
from console.build.buildkit_session.ssh_agent import SshAgents
from console.build.context.files import Kind
from console.build.context.snapshot import Entry, walk_order
from console.build.protobuf import Fields, data_field, number_field
from console.build.secrets import LARGEST_BYTES
from console.errors import BuildError

SOON_S = 5.0
DIFF_COPY = "/moby.filesync.v1.FileSync/DiffCopy"
GET_SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
CREDENTIALS = "/moby.filesync.v1.Auth/Credentials"

Ask = Callable[..., GrpcClient]


@pytest.fixture
def serve() -> Iterator[Ask]:
    """Gives BuildKit's end of a session that serves these services."""
    opened: list[tuple[Session, GrpcClient]] = []

    def make(*services: Service) -> GrpcClient:
        ours, theirs = socket.socketpair()
        session = Session(lambda _: SocketStream(ours), services, name="test", shared_key="key")
        session.open()
        opened.append((session, GrpcClient(SocketStream(theirs))))
        return opened[-1][1]

    yield make
    for session, client in opened:
        session.close()
        assert session._thread is not None
        assert not session._thread.is_alive()
        assert session.failure is None
        client.close()


def refusal(client: GrpcClient, method: str, request: bytes) -> GrpcError:
    with pytest.raises(GrpcError) as raised:
        client.call(method, request, timeout_s=SOON_S)
    return raised.value


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_session_tells_what_it_serves_and_that_it_is_well() -> None:
    told: list[Identity] = []
    ours, theirs = socket.socketpair()

    def open_stream(identity: Identity) -> SocketStream:
        told.append(identity)
        return SocketStream(ours)

    with Session(open_stream, [BuildSecrets({})], name="n", shared_key="k") as session:
        client = GrpcClient(SocketStream(theirs))
        assert client.call("/grpc.health.v1.Health/Check", b"", timeout_s=SOON_S) == [number_field(1, 1)]
    client.close()
    assert told == [Identity(session.id, "n", "k", ("/grpc.health.v1.Health/Check", GET_SECRET))]
    assert Session(open_stream, [], name="n", shared_key="k").id != session.id


def test_secrets(serve: Ask) -> None:
    def missing() -> bytes:
        raise BuildError("build secret gone: cannot read /run/gone", "check it")

    client = serve(
        BuildSecrets({"a": lambda: b"\0hush\xff", "large": lambda: bytes(LARGEST_BYTES + 1), "gone": missing})
    )
    answer = client.call(GET_SECRET, data_field(1, "a"), timeout_s=SOON_S)
    assert Fields(answer[0]).data(1) == b"\0hush\xff"
    assert refusal(client, GET_SECRET, data_field(1, "b")).code is Code.NOT_FOUND
    assert refusal(client, GET_SECRET, data_field(1, "large")).code is Code.RESOURCE_EXHAUSTED
    assert refusal(client, GET_SECRET, data_field(1, "gone")).message == "build secret gone: cannot read /run/gone"


def test_a_secret_is_no_part_of_an_error() -> None:
    def breaks() -> bytes:
        raise OSError("hush")

    ours, theirs = socket.socketpair()
    with Session(lambda _: SocketStream(ours), [BuildSecrets({"a": breaks})], name="n", shared_key="k") as session:
        client = GrpcClient(SocketStream(theirs))
        error = refusal(client, GET_SECRET, data_field(1, "a"))
        client.close()
    assert "hush" not in str(error)
    assert isinstance(session.failure, OSError)


@pytest.mark.parametrize(
    ("host", "name", "secret"),
    [
        ("registry-1.docker.io", "me", "hub"),
        ("localhost:5000", "you", "local"),
        ("token.example.org", "", "identity"),
        ("unknown.example.org", "", ""),
    ],
)
def test_credentials(serve: Ask, host: str, name: str, secret: str) -> None:
    config = AuthConfig(
        {
            "auths": {
                "https://index.docker.io/v1/": {"username": "me", "password": "hub"},
                "localhost:5000": {"username": "you", "password": "local"},
                "token.example.org": {"IdentityToken": "identity"},
            }
        }
    )
    answer = serve(RegistryAuth(lambda: config)).call(CREDENTIALS, data_field(1, host), timeout_s=SOON_S)
    fields = Fields(answer[0])
    assert (fields.text(1), fields.text(2)) == (name, secret)


def test_credentials_from_a_helper(serve: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-kept"
    helper.write_text('#!/bin/sh\nread host\necho "{\\"Username\\": \\"<token>\\", \\"Secret\\": \\"of $host\\"}"\n')
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text('{"credHelpers": {"r.example.org": "kept"}, "credsStore": "absent"}')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    client = serve(RegistryAuth())
    fields = Fields(client.call(CREDENTIALS, data_field(1, "r.example.org"), timeout_s=SOON_S)[0])
    assert (fields.text(1), fields.text(2)) == ("", "of r.example.org")
    assert refusal(client, CREDENTIALS, data_field(1, "other.example.org")).code is Code.UNAVAILABLE


def test_what_is_wrong_with_the_config_file_is_not_told(serve: Ask) -> None:
    def broken() -> None:
        raise DockerException("hush")

    error = refusal(serve(RegistryAuth(broken)), CREDENTIALS, data_field(1, "r"))
    assert error.code is Code.UNAVAILABLE
    assert "hush" not in error.message


def helper_at(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A credential helper for every registry."""
    helper = folder / "docker-credential-kept"
    helper.write_text(f"#!/bin/sh\n{script}\n")
    helper.chmod(0o755)
    (folder / "config.json").write_text('{"credsStore": "kept", "auths": {"r": {"auth": "bWU6ZmlsZQ=="}}}')
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))


@pytest.mark.parametrize(
    "script", ["echo hush", "echo '[\"hush\"]'", "echo '{\"Secret\": 7}'", "printf 'hush\\377'", "echo hush; exit 1"]
)
def test_a_helper_that_talks_nonsense(
    serve: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], script: str
) -> None:
    helper_at(tmp_path, monkeypatch, f"echo over the screen >&2; {script}")
    error = refusal(serve(RegistryAuth()), CREDENTIALS, data_field(1, "r"))
    assert error.code is Code.UNAVAILABLE
    assert "docker-credential-kept" in error.message
    assert "hush" not in error.message
    assert capfd.readouterr() == ("", "")


def test_a_helper_that_keeps_nothing_leaves_it_to_the_config_file(
    serve: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper_at(tmp_path, monkeypatch, "echo credentials not found in native keychain; exit 1")
    fields = Fields(serve(RegistryAuth()).call(CREDENTIALS, data_field(1, "r"), timeout_s=SOON_S)[0])
    assert (fields.text(1), fields.text(2)) == ("me", "file")


def test_a_helper_is_asked_for_the_hub_by_its_old_name(
    serve: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper_at(tmp_path, monkeypatch, 'echo "{\\"Username\\": \\"me\\", \\"Secret\\": \\"$(cat)\\"}"')
    request = data_field(1, "registry-1.docker.io")
    fields = Fields(serve(RegistryAuth()).call(CREDENTIALS, request, timeout_s=SOON_S)[0])
    assert fields.text(2) == "https://index.docker.io/v1/"


@pytest.mark.parametrize("end", ["time", "call", "session"])
def test_a_helper_that_hangs_is_ended(serve: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """With what it has started: here the `sleep` that writes its number down."""
    helper_at(tmp_path, monkeypatch, f"sleep 100 & echo $! > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; wait")
    if end == "time":
        monkeypatch.setattr(credential_helper, "_TIMEOUT_S", 0.3)
    over = threading.Event()
    client = serve(RegistryAuth())
    call = client.open(CREDENTIALS, lambda _: None, over.set)
    call.send_end(data_field(1, "r"))
    eventually((tmp_path / "pid").exists)
    if end == "call":
        call.cancel()
    elif end == "session":
        client.close()
    assert over.wait(SOON_S)
    if end == "time":
        assert call.error is not None
        assert call.error.message == "docker-credential-kept has not answered within 0.3 s"
    process = Path("/proc") / (tmp_path / "pid").read_text().strip() / "cmdline"
    eventually(lambda: not process.exists() or not process.read_bytes())


@pytest.mark.parametrize("config", ["[]", '{"credHelpers": ["r"]}', '{"auths": {"r": {"auth": "%"}}}'])
def test_a_config_file_that_is_broken(serve: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str) -> None:
    (tmp_path / "config.json").write_text(config)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    error = refusal(serve(RegistryAuth()), CREDENTIALS, data_field(1, "r"))
    assert (error.code, error.message) == (Code.UNAVAILABLE, "Docker's config file cannot be read")


def test_tokens_are_left_to_the_builder(serve: Ask) -> None:
    client = serve(RegistryAuth())
    for method in ("FetchToken", "GetTokenAuthority", "VerifyTokenAuthority"):
        assert refusal(client, f"/moby.filesync.v1.Auth/{method}", b"").code is Code.UNIMPLEMENTED


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """An agent that answers each question with itself, upper-case, and says goodbye."""
    path = str(tmp_path / "agent.sock")

    def answer(connected: socket.socket) -> None:
        with connected:
            while data := connected.recv(100):
                connected.sendall(data.upper())
            connected.sendall(b"BYE")

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        threading.Thread(target=accept, daemon=True).start()
        yield path
        listener.shutdown(socket.SHUT_RDWR)


def test_an_agent_is_passed_on(serve: Ask, agent: str) -> None:
    heard, over = threading.Semaphore(0), threading.Event()
    answers: list[bytes] = []

    def hear(message: bytes) -> None:
        answers.append(Fields(message).data(1))
        heard.release()

    client = serve(SshAgents({"default": agent}))
    call = client.open("/moby.sshforward.v1.SSH/ForwardAgent", hear, over.set, [("buildkit.ssh.id", "default")])
    for question in (b"one", b"two"):
        call.send(data_field(1, question))
        assert heard.acquire(timeout=SOON_S)
    call.send_end()
    assert over.wait(SOON_S)
    assert answers == [b"ONE", b"TWO", b"BYE"]
    assert call.error is None


@pytest.mark.parametrize("end", ["call", "session"])
def test_an_agent_that_never_answers_is_left_when_the_call_ends(serve: Ask, tmp_path: Path, end: str) -> None:
    path = str(tmp_path / "agent.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        client = serve(SshAgents({"default": path}))
        call = client.open("/moby.sshforward.v1.SSH/ForwardAgent", lambda _: None, lambda: None)
        call.send_end(data_field(1, b"?"))
        connected = listener.accept()[0]
        connected.settimeout(SOON_S)
        with connected:
            assert connected.recv(10) == b"?"
            assert connected.recv(10) == b""  # the questions are over
            if end == "call":
                call.cancel()
            else:
                client.close()
            eventually(lambda: not any("ForwardAgent" in thread.name for thread in threading.enumerate()))


def test_agents_that_are_not_there(serve: Ask, agent: str, tmp_path: Path) -> None:
    client = serve(SshAgents({"default": agent, "gone": str(tmp_path / "gone")}))
    check, forward = "/moby.sshforward.v1.SSH/CheckAgent", "/moby.sshforward.v1.SSH/ForwardAgent"
    assert client.call(check, b"", timeout_s=SOON_S) == [b""]
    assert client.call(check, data_field(1, "default"), timeout_s=SOON_S) == [b""]
    assert refusal(client, check, data_field(1, "other")).code is Code.NOT_FOUND
    over = threading.Event()
    call = client.open(forward, lambda _: None, over.set, [("buildkit.ssh.id", "gone")])
    assert over.wait(SOON_S)
    assert call.error is not None
    assert call.error.code is Code.UNAVAILABLE


def file(place: Path, content: bytes, mtime: int = 1_700_000_000, mode: int = 0o644) -> Entry:
    place.write_bytes(content)
    return Entry(Kind.FILE, mode, len(content), mtime, "", sha256(content).digest(), str(place))


def directory(place: Path) -> Entry:
    return Entry(Kind.DIR, 0o755, 0, 1_700_000_000, "", b"", str(place))


class Receiver:
    """BuildKit's side of a transfer."""

    def __init__(self, client: GrpcClient, *, name: str = "context", **patterns: list[str]) -> None:
        metadata = [("dir-name", name)]
        metadata += [(key.replace("_", "-"), value) for key, values in patterns.items() for value in values]
        self.listed: list[tuple[str, int, int, int, str]] = []
        """Path, mode, size, time in nanoseconds, link target."""
        self.content: dict[int, bytes] = {}
        self.complete: list[int] = []
        self._listed, self._arrived, self.over = threading.Event(), threading.Semaphore(0), threading.Event()
        self.finished = False
        self.call = client.open(DIFF_COPY, self._hear, self.over.set, metadata)

    def _hear(self, message: bytes) -> None:
        packet = Fields(message)
        kind, number = packet.number(1), packet.number(3)
        if kind == 0:
            stat = packet.message(2)
            if stat is None:
                self._listed.set()
            else:
                numbers = (stat.number(2), stat.number(5), stat.number(6))
                self.listed.append((os.fsdecode(stat.data(1)), *numbers, os.fsdecode(stat.data(7))))
        elif kind == 2:
            self.content[number] = self.content.get(number, b"") + packet.data(4)
            if not packet.data(4):
                self.complete.append(number)
                self._arrived.release()
        elif kind == 3:
            self.finished = True

    def listing(self) -> list[tuple[str, int, int, int, str]]:
        assert self._listed.wait(SOON_S)
        return self.listed

    def fetch(self, *numbers: int) -> dict[int, bytes]:
        for number in numbers:
            self.call.send(number_field(1, 1) + number_field(3, number))
        for _ in numbers:
            assert self._arrived.acquire(timeout=SOON_S)
        return self.content

    def finish(self) -> None:
        self.call.send_end(number_field(1, 3))
        assert self.over.wait(SOON_S)
        assert self.call.error is None
        assert self.finished


def test_a_folder_is_listed_and_only_what_is_asked_for_is_sent(serve: Ask, tmp_path: Path) -> None:
    large = os.urandom(700_000)
    entries = {
        "d": directory(tmp_path),
        "d/ü x": file(tmp_path / "u", b"one"),
        "d.txt": file(tmp_path / "t", large, mode=0o755),
        "link": Entry(Kind.LINK, 0o777, 0, 1, "d/../ü", sha256("d/../ü".encode()).digest(), str(tmp_path / "l")),
        "void": file(tmp_path / "v", b""),
    }
    sync = FileSync({"context": Folder(entries)})
    receiver = Receiver(serve(sync))
    assert [(path, mode, size, link) for path, mode, size, _, link in receiver.listing()] == [
        ("d", 0o755 | 1 << 31, 0, ""),
        ("d/ü x", 0o644, 3, ""),
        ("d.txt", 0o755, 700_000, ""),
        ("link", 0o777 | 1 << 27, 0, "d/../ü"),
        ("void", 0o644, 0, ""),
    ]
    assert {row[3] // 10**9 for row in receiver.listed} == {1_700_000_000, 1}
    assert receiver.fetch(2, 4) == {2: large, 4: b""}
    receiver.finish()
    assert (sync.sent.size_bytes, sync.sent.changed) == (700_000, set())


def test_an_edit_that_keeps_size_and_time_shows_in_the_nanoseconds(serve: Ask, tmp_path: Path) -> None:
    listings = Listings()
    times = []
    for content in (b"one", b"two", b"one"):
        folder = Folder({"a": file(tmp_path / "a", content), "b": file(tmp_path / "b", b"same")}, listings)
        times.append([row[3] for row in Receiver(serve(FileSync({"context": folder}))).listing()])
    assert times[0] == times[2]
    assert times[0][0] != times[1][0]
    assert times[0][1] == times[1][1]
    assert times[0][0] // 10**9 == times[1][0] // 10**9


@pytest.mark.parametrize("change", ["gone", "other", "pipe", "shrunk"])
def test_a_file_that_is_not_any_more_what_it_was_ends_the_transfer(serve: Ask, tmp_path: Path, change: str) -> None:
    """Otherwise BuildKit keeps what it got under the time and size of what was promised, for every later build."""
    place = tmp_path / "a"
    sync = FileSync({"context": Folder({"a": file(place, b"content")})})
    receiver = Receiver(serve(sync))
    receiver.listing()
    place.unlink()
    if change == "pipe":
        os.mkfifo(place)
    elif change != "gone":
        place.write_bytes({"other": b"tnetnoc", "shrunk": b"c"}[change])
    receiver.call.send(number_field(1, 1))
    assert receiver.over.wait(SOON_S)
    assert receiver.call.error is not None
    assert receiver.call.error.code is Code.ABORTED
    assert receiver.call.error.message == "a changed while it was being sent"
    assert receiver.complete == []
    assert sync.sent.changed == {("context", "a")}


def test_of_a_file_that_grows_what_was_promised_is_sent(serve: Ask, tmp_path: Path) -> None:
    sync = FileSync({"context": Folder({"log": file(tmp_path / "log", b"one ")})})
    (tmp_path / "log").write_bytes(b"one and more")
    receiver = Receiver(serve(sync))
    receiver.listing()
    assert receiver.fetch(0) == {0: b"one "}
    receiver.finish()
    assert not sync.sent.changed


def test_a_file_that_nobody_may_read_ends_the_transfer(serve: Ask, tmp_path: Path) -> None:
    entry = file(tmp_path / "a", b"hush")
    unreadable = Entry(entry.kind, entry.mode, entry.size, entry.mtime, "", entry.digest, str(tmp_path / ("x" * 300)))
    receiver = Receiver(serve(FileSync({"context": Folder({"a": unreadable})})))
    receiver.listing()
    receiver.call.send(number_field(1, 1))
    assert receiver.over.wait(SOON_S)
    assert receiver.call.error is not None
    assert receiver.call.error.message == "cannot read a: File name too long"


@pytest.mark.parametrize("packet", [number_field(1, 1) + number_field(3, 7), b"\xff", number_field(1, 4)])
def test_a_receiver_that_asks_for_nonsense_or_gives_up(serve: Ask, tmp_path: Path, packet: bytes) -> None:
    receiver = Receiver(serve(FileSync({"context": Folder({"d": directory(tmp_path)})})))
    receiver.listing()
    receiver.call.send(packet)
    assert receiver.over.wait(SOON_S)
    assert receiver.call.error is not None
    assert receiver.call.error.code in {Code.INVALID_ARGUMENT, Code.ABORTED}


def test_a_folder_that_is_not_offered(serve: Ask) -> None:
    receiver = Receiver(serve(FileSync({})), name="/etc")
    assert receiver.over.wait(SOON_S)
    assert receiver.call.error is not None
    assert receiver.call.error.code is Code.NOT_FOUND


def test_ignore_rules_have_done_their_work(serve: Ask, tmp_path: Path) -> None:
    rules, other = file(tmp_path / ".dockerignore", b"*"), file(tmp_path / "a", b"a")
    deep = {"sub": directory(tmp_path), "sub/.dockerignore": rules}
    entries = {".dockerignore": rules, "a": other, **deep}
    client = serve(FileSync({"context": Folder(entries), "dockerfile": Folder(entries)}))

    def names(**patterns: Any) -> list[str]:
        return [row[0] for row in Receiver(client, **patterns).listing()]

    assert names(followpaths=[".dockerignore"]) == []
    assert names(include_patterns=["%2Edockerignore"], include_patterns_encoded=["1"]) == []
    assert names() == list(entries)
    assert names(followpaths=["a"], exclude_patterns=["a"]) == list(entries)
    assert names(followpaths=[".dockerignore", "a"]) == list(entries)
    assert names(followpaths=["sub/.dockerignore"]) == list(entries)
    assert names(name="dockerfile", followpaths=[".dockerignore"]) == list(entries)


@pytest.mark.parametrize("dockerfile", ["", "Dockerfile", "docker/app.Dockerfile"])
def test_ignore_rules_that_a_build_copies_are_sent(serve: Ask, tmp_path: Path, dockerfile: str) -> None:
    entries = {".dockerignore": file(tmp_path / ".dockerignore", b"*")}
    if dockerfile:
        entries |= dockerfile_entries(dockerfile, tmp_path / ".dockerignore")
    client = serve(FileSync({"context": Folder(entries, dockerfile=dockerfile)}))
    assert [row[0] for row in Receiver(client, followpaths=[".dockerignore"]).listing()] == list(entries)


def test_a_dockerfile_that_is_a_link_is_sent_as_what_it_points_to(serve: Ask, tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"FROM x\n")
    (tmp_path / "Dockerfile").symlink_to("real")
    entries = dockerfile_entries("Dockerfile", tmp_path / "Dockerfile")
    receiver = Receiver(serve(FileSync({"dockerfile": Folder(entries)})), name="dockerfile")
    receiver.listing()
    assert receiver.fetch(0) == {0: b"FROM x\n"}
    receiver.finish()


def test_a_dockerfile_in_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "any").write_bytes(b"FROM x\n")
    entries = dockerfile_entries("docker/app/Dockerfile", tmp_path / "any")
    assert list(entries) == ["docker", "docker/app", "docker/app/Dockerfile"]
    assert entries["docker/app/Dockerfile"].digest == sha256(b"FROM x\n").digest()
    assert entries["docker/app"].kind is Kind.DIR


def test_names_that_newer_builders_refuse() -> None:
    link = Entry(Kind.LINK, 0o777, 0, 0, os.fsdecode(b"\xfe"), b"", "")
    plain = Entry(Kind.FILE, 0o644, 0, 0, "", b"", "")
    found = names_without_text({"a": plain, "l": link, "ü\U0001f600": plain, "x" + os.fsdecode(b"\xff"): plain})
    assert [os.fsencode(name) for name in found] == [b"l", b"x\xff"]


def test_what_has_not_changed_is_not_made_anew(tmp_path: Path) -> None:
    listings = Listings()
    entries = {str(number).zfill(4): file(tmp_path / "a", b"a") for number in range(100)}
    first = listings.make(entries)
    assert listings.make(dict(entries)).packets == first.packets
    assert len(listings._packets) == 100
    assert listings.make({}).packets == b"\0\0\0\0\0"
    assert not listings._packets


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=4)
odd = st.binary(min_size=1, max_size=3).map(os.fsdecode).filter(lambda name: "/" not in name and "\0" not in name)


@given(st.sets(st.one_of(names, odd).filter(lambda name: name not in {".", ".."}), min_size=1, max_size=12))
def test_names_are_listed_in_the_order_of_their_bytes(found: set[str]) -> None:
    """fsutil refuses a listing in any other order (`Validator.HandleChange`)."""
    entries = {name: Entry(Kind.FILE, 0o644, 0, 0, "", b"", "") for name in sorted(found, key=walk_order)}
    listing = Listings().make(entries)
    assert [os.fsencode(path) for path in listing.files.values()] == sorted(os.fsencode(name) for name in found)
