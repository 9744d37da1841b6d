"""Push and pull on real engines to a real registry on loopback, through a relay that makes trouble when asked to."""

from __future__ import annotations

import base64
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError, ImageNotFound

from console.base import registry as module
from console.base.registry import Registry
from console.base.registry_errors import RegistryError, RegistryFault
from console.base.registry_line import EngineLine
from console.base_values import Transfer, TransferStatus
from console.credentials import Credentials, CredentialsError
from console.engine import Engine, connect
from console.errors import EngineError, EngineUnreachableError
from tests.engines.engines import ENGINES, ensure
from tests.engines.layered_image import load_image
from tests.engines.registry import (
    PASSWORD,
    USER,
    Relay,
    Trouble,
    free_port,
    layers_in,
    podman_for_loopback,
    started_registry,
)
from tests.integration.test_engine_lost import Relay as EngineRelay

pytestmark = [pytest.mark.docker, pytest.mark.timeout(60)]

SOON_S = 20.0
SIZES_BYTES = (3_000_000, 200_000, 1_000)
GOOD = Credentials(USER, PASSWORD)
ALWAYS = 10**6


@dataclass(frozen=True)
class Ports:
    """Of the registries: one for everybody, one with a password."""

    open: int
    locked: int


class Place:
    """One engine, doors to both registries in its network, and the images that the test makes."""

    def __init__(self, name: str, client: Any, ports: Ports, stack: ExitStack) -> None:
        network = "" if name == "docker" else name
        self.name = name
        self.client = client
        self.ports = ports
        self.door = stack.enter_context(Relay(ports.open, network))
        self.locked_door = stack.enter_context(Relay(ports.locked, network))
        self.told: list[Transfer] = []
        self._name = f"localhost/sdtest-registry-{os.getpid()}-{secrets.token_hex(4)}"
        self._made: set[str] = set()
        stack.callback(self._tidy)

    def image(self, *sizes_bytes: int) -> str:
        """A new image, by default of three layers, with a tag of its own."""
        layers = [os.urandom(size) for size in sizes_bytes or SIZES_BYTES]
        image_id = load_image(self.client, f"{self._name}:{len(self._made)}", layers)
        self._made.add(image_id)
        return image_id

    def repository(self, name: str = "base", *, locked: bool = False) -> str:
        return f"{(self.locked_door if locked else self.door).host}/{self._name[10:]}/{name}"

    def registry(self, repository: str = "", **options: Any) -> Registry:
        """Asks nobody's credentials and does not wait between attempts, unless told to."""
        options = {"credentials": lambda *_: None, "pause": lambda _: None} | options
        return Registry(self.client, repository or self.repository(), self.told.append, **options)

    def as_user(self, **options: Any) -> Registry:
        """At the registry with a password."""
        return self.registry(self.repository(locked=True), credentials=lambda *_: GOOD, **options)

    def forget(self, image_id: str) -> None:
        self.client.remove_image(image_id, force=True)

    def find(self, reference: str) -> str | None:
        with suppress(ImageNotFound):
            return str(self.client.inspect_image(reference)["Id"])
        return None

    def tags(self) -> set[tuple[str, str]]:
        """All tags on the engine that are ours, and what they are on; some engines have digests among them."""
        rows = self.client.images()
        ours = self._name.removeprefix("localhost/")
        return {(tag, row["Id"]) for row in rows for tag in row["RepoTags"] or () if ours in tag and "@" not in tag}

    def layers(self, tag: str = "t") -> dict[str, int]:
        """In the registry: digests and bytes, lowest first."""
        return layers_in(self.ports.open, self.repository().partition("/")[2], tag)

    def fetched(self) -> dict[str, list[int]]:
        """How many bytes of each layer went to the engine, by request."""
        found: dict[str, list[int]] = {}
        for one in list(self.door.seen):
            if one.method == "GET" and "/blobs/" in one.path:
                found.setdefault(one.path.rpartition("/")[2], []).append(one.sent_bytes)
        return found

    def _tidy(self) -> None:
        names = (self.door.host, self.locked_door.host, self._name)
        for row in self.client.images():
            if any(name.startswith(names) for name in (*(row["RepoTags"] or ()), *(row["RepoDigests"] or ()))):
                self._made.add(row["Id"])
        for image_id in self._made:
            with suppress(APIError):
                self.forget(image_id)
        self.client.close()


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    everybody, user = tmp_path_factory.mktemp("open"), tmp_path_factory.mktemp("locked")
    with started_registry(everybody) as port, started_registry(user, password=True) as locked:
        yield Ports(port, locked)


class Engines:
    """Those that the tests have asked for so far, brought up once."""

    def __init__(self, stack: ExitStack, ports: Ports) -> None:
        self._stack = stack
        self._ports = ports
        self._found: dict[str, Engine] = {}

    @contextmanager
    def placed(self, name: str) -> Iterator[Place]:
        with ExitStack() as stack:
            yield Place(name, self._find(name).client(), self._ports, stack)

    def _find(self, name: str) -> Engine:
        if name not in self._found:
            with pytest.MonkeyPatch.context() as patch:
                if name != "docker":
                    host = ensure([name])[name]
                    patch.setenv(
                        "DOCKER_HOST", self._stack.enter_context(podman_for_loopback()) if name == "podman" else host
                    )
                self._found[name] = connect()
        return self._found[name]


@pytest.fixture(scope="module")
def engines(ports: Ports) -> Iterator[Engines]:
    with ExitStack() as stack:
        yield Engines(stack, ports)


@pytest.fixture
def there(engines: Engines) -> Iterator[Place]:
    """The machine's own engine."""
    with engines.placed("docker") as place:
        yield place


@pytest.fixture(params=("docker", *ENGINES))
def anywhere(engines: Engines, request: pytest.FixtureRequest) -> Iterator[Place]:
    """Each engine."""
    with engines.placed(request.param) as place:
        yield place


@pytest.fixture(params=("docker", "containerd", "podman"))
def somewhere(engines: Engines, request: pytest.FixtureRequest) -> Iterator[Place]:
    """One engine of each kind, for what Docker 28 does as the others do."""
    with engines.placed(request.param) as place:
        yield place


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def when(condition: Callable[[], object], job: Callable[[], object]) -> threading.Thread:
    """Does a job on another thread as soon as something is so."""

    def work() -> None:
        eventually(condition)
        job()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def fault_of(job: Callable[[], object]) -> RegistryError:
    with pytest.raises(RegistryError) as caught:
        job()
    return caught.value


# -- there and back ----------------------------------------------------------------------------------------------------


def test_what_was_pushed_can_be_found_and_pulled_by_digest_and_by_tag(anywhere: Place) -> None:
    image_id = anywhere.image()
    before = anywhere.tags()
    registry = anywhere.registry()
    assert registry.digest_of("t") is None, "there is no such repository"
    digest = registry.push(image_id, "t")
    assert digest.startswith("sha256:")
    assert registry.digest_of("t") == digest
    assert registry.digest_of("other") is None
    assert anywhere.tags() == before
    name = anywhere.repository()
    assert f"{name}@{digest}" in anywhere.client.inspect_image(image_id)["RepoDigests"]

    anywhere.forget(image_id)
    assert anywhere.find(image_id) is None
    assert registry.pull(digest) == image_id
    assert anywhere.tags() == set(), "a digest is no tag"
    assert anywhere.find(f"{name}@{digest}") == image_id

    anywhere.forget(image_id)
    assert registry.pull("t") == image_id
    assert anywhere.tags() == {(f"{name}:t", image_id)}
    assert f"{name}@{digest}" in anywhere.client.inspect_image(image_id)["RepoDigests"]


def test_the_registry_with_a_password_lets_in_whoever_logged_in(
    anywhere: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the credentials that stand in Docker's config file."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    user = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    login = {"auths": {anywhere.locked_door.host: {"auth": user}}}
    (tmp_path / "config.json").write_text(json.dumps(login))
    registry = Registry(anywhere.client, anywhere.repository(locked=True), anywhere.told.append)
    image_id = anywhere.image(1000)
    digest = registry.push(image_id, "t")
    assert registry.digest_of("t") == digest
    anywhere.forget(image_id)
    assert registry.pull("t") == image_id


def test_a_tag_that_moved_in_the_registry_moves_here(there: Place) -> None:
    first, second = there.image(1000), there.image(1000)
    registry = there.registry()
    older, newer = registry.push(first, "t"), registry.push(second, "t")
    assert registry.digest_of("t") == newer
    assert registry.pull("t") == second
    assert registry.pull(older) == first
    assert there.find(f"{there.repository()}:t") == second, "a digest moves no tag"


# -- how far it is -----------------------------------------------------------------------------------------------------


def test_progress_is_told_for_each_layer(anywhere: Place) -> None:
    """The relay is slow in the middle of the largest until that has been told."""

    def middle_is_told() -> bool:
        return any(0 < layer.current_bytes < layer.total_bytes for layer in anywhere.told[-1].layers)

    def slow_in(part: str, *methods: str) -> None:
        anywhere.door.troubles[:] = [
            Trouble(method, part, after_bytes=1_000_000, slow_until=middle_is_told) for method in methods
        ]

    image_id = anywhere.image(16_000_000, 200_000, 1000)
    registry = anywhere.registry()
    if anywhere.name != "podman":  # which does not tell
        slow_in("/blobs/uploads/", "PATCH", "PUT")
    digest = registry.push(image_id, "t")
    pushed = anywhere.told.copy()
    anywhere.told.clear()
    registry.push(image_id, "u")
    again = anywhere.told.copy()
    anywhere.told.clear()
    anywhere.forget(image_id)
    slow_in(next(iter(anywhere.layers())), "GET")
    registry.pull(digest)
    pulled = anywhere.told
    for direction, told in (("push", pushed), ("push", again), ("pull", pulled)):
        assert {(one.direction, one.attempt, one.message) for one in told} == {(direction, 1, "")}
        assert told[0].status is TransferStatus.RUNNING
        assert told[0].layers == ()
        assert [one.status for one in told[1:]] == [TransferStatus.RUNNING] * (len(told) - 2) + [TransferStatus.OK]
    assert pulled[0].reference == f"{anywhere.repository()}@{digest}"
    assert pushed[0].reference == f"{anywhere.repository()}:t"
    if anywhere.name == "podman":
        assert pushed[-1].layers == ()
        assert {layer.status for layer in pulled[-1].layers} <= {"done", "there"}
        assert len(pulled[-1].layers) == 4, "with the image's configuration"
        return
    assert [layer.status for layer in pushed[-1].layers] == ["done"] * 3
    assert [layer.status for layer in again[-1].layers] == ["there"] * 3
    assert [layer.status for layer in pulled[-1].layers] == ["done"] * 3
    for told in (pushed, pulled):
        assert "moving" in {layer.status for one in told for layer in one.layers}
        assert [one.current_bytes for one in told] == sorted(one.current_bytes for one in told)
        assert told[-1].current_bytes == told[-1].total_bytes > 16_000_000


# -- what breaks goes on -----------------------------------------------------------------------------------------------


def test_a_pull_that_breaks_in_a_layer_fetches_no_finished_layer_again(somewhere: Place) -> None:
    """Docker waits five seconds and goes on by itself, Podman and we begin again."""
    image_id = somewhere.image()
    registry = somewhere.registry()
    registry.push(image_id, "t")
    somewhere.forget(image_id)
    large, *finished = somewhere.layers()

    def others_are_there() -> bool:
        return all(sum(somewhere.fetched().get(digest, ())) == somewhere.layers()[digest] for digest in finished)

    somewhere.door.seen.clear()
    somewhere.door.troubles[:] = [Trouble("GET", large, after_bytes=1_000_000, once=others_are_there)]
    assert registry.pull("t") == image_id
    fetched = somewhere.fetched()
    assert {digest: len(fetched[digest]) for digest in finished} == dict.fromkeys(finished, 1)
    first, *rest = fetched[large]
    assert first < somewhere.layers()[large], "it broke"
    assert rest
    assert somewhere.told[-1].status is TransferStatus.OK


def test_a_push_that_breaks_in_a_layer_sends_no_finished_layer_again(somewhere: Place) -> None:
    image_id = somewhere.image()
    registry = somewhere.registry()

    def others_are_there() -> bool:
        return sum(one.method == "PUT" and "/blobs/" in one.path and one.status == 201 for one in seen) >= 2

    seen = somewhere.door.seen
    somewhere.door.troubles[:] = [
        Trouble(method, "/blobs/uploads/", after_bytes=1_000_000, once=others_are_there) for method in ("PATCH", "PUT")
    ]
    digest = registry.push(image_id, "t")
    assert registry.digest_of("t") == digest
    assert sum(trouble.times for trouble in somewhere.door.troubles) == 1, "it broke"
    finished = [one.path for one in seen if one.method == "PUT" and "/blobs/" in one.path and one.status == 201]
    assert len(finished) == 4, "three layers and the configuration, each once"
    assert somewhere.told[-1].status is TransferStatus.OK


def test_a_push_whose_end_breaks_begins_again_and_sends_no_layer(somewhere: Place) -> None:
    image_id = somewhere.image()
    paused: list[float] = []
    registry = somewhere.registry(pause=paused.append)
    somewhere.door.troubles[:] = [Trouble("PUT", "/manifests/t", times=1)]
    digest = registry.push(image_id, "t")
    assert registry.digest_of("t") == digest
    if paused:
        assert paused == [2.0]
        (again,) = [one for one in somewhere.told if "again in" in one.message]
        assert again.attempt == 2
        assert again.message.startswith(f"pushing {somewhere.repository()}:t: the connection to")
        assert again.message.endswith("; again in 2 s")
        assert somewhere.told[-1].attempt == 2
        assert somewhere.told[-1].message == ""
    done = [one for one in somewhere.door.seen if one.method == "PUT" and "/blobs/" in one.path and one.status == 201]
    assert len(done) == 4


def test_a_registry_that_stays_away_is_given_up(there: Place) -> None:
    paused: list[float] = []
    registry = there.registry(pause=paused.append)
    there.door.troubles[:] = [Trouble("*", "/manifests/", ALWAYS)]
    error = fault_of(lambda: registry.pull("t"))
    assert error.fault is RegistryFault.BROKEN
    assert error.message.startswith(f"pulling {there.repository()}:t: the connection to {there.door.host} broke (")
    assert error.hint == "try again; finished layers are kept"
    assert paused == [2.0, 8.0]
    assert (there.told[-1].status, there.told[-1].message) == (TransferStatus.FAILED, error.message)
    assert [one.attempt for one in there.told if "again in" in one.message] == [2, 3]


# -- what a registry refuses -------------------------------------------------------------------------------------------


def each_question(registry: Registry, image_id: str) -> dict[str, Callable[[], object]]:
    return {
        "asking for": lambda: registry.digest_of("t"),
        "pulling": lambda: registry.pull("t"),
        "pushing": lambda: registry.push(image_id, "t"),
    }


@pytest.mark.parametrize("credentials", [None, Credentials(USER, "wrong")])
def test_without_a_login_and_with_a_wrong_password(somewhere: Place, credentials: Credentials | None) -> None:
    repository, host = somewhere.repository(locked=True), somewhere.locked_door.host
    image_id = somewhere.image(1000)
    before = somewhere.tags()
    registry = somewhere.registry(repository, credentials=lambda *_: credentials)
    expected = (
        f"{host} does not accept the credentials that `docker login` left"
        if credentials
        else f"{host} wants to know who asks, and nobody is logged in there"
    )
    for doing, ask in each_question(registry, image_id).items():
        error = fault_of(ask)
        assert error.fault is RegistryFault.LOGIN
        assert error.message == f"{doing} {repository}:t: {expected}"
        assert error.hint == f"run `docker login {host}`"
    assert somewhere.tags() == before
    assert {one.attempt for one in somewhere.told} == {1}, "a refusal is no broken connection"
    assert [one.status for one in somewhere.told].count(TransferStatus.FAILED) == 2


def test_what_the_registry_does_not_allow(somewhere: Place) -> None:
    denied = json.dumps({"errors": [{"code": "DENIED", "message": "requested access to the resource is denied"}]})
    somewhere.door.troubles[:] = [Trouble("*", somewhere.repository().partition("/")[2], ALWAYS, 403, denied)]
    asked = each_question(somewhere.registry(), somewhere.image(1000))
    if somewhere.name == "docker":
        del asked["pushing"]  # Docker itself tries that again for 50 s
    for doing, ask in asked.items():
        error = fault_of(ask)
        assert error.fault is RegistryFault.DENIED
        assert error.message.startswith(
            f"{doing} {somewhere.repository()}:t: {somewhere.door.host} does not allow it ("
        )
        assert error.hint.endswith(f"is to be written to, run `docker login {somewhere.door.host}`")


def test_what_the_registry_does_not_have(somewhere: Place) -> None:
    registry = somewhere.registry()
    registry.push(somewhere.image(1000), "t")
    for ask in (
        lambda: registry.pull("none"),
        lambda: registry.pull(f"sha256:{64 * '0'}"),
        lambda: somewhere.registry(somewhere.repository("nothing")).pull("t"),
    ):
        error = fault_of(ask)
        assert error.fault is RegistryFault.ABSENT
        assert error.message.endswith(f": {somewhere.door.host} has no such tag or repository")
        assert "[base] repository" in error.hint


def test_a_registry_that_is_not_there(somewhere: Place) -> None:
    image_id = somewhere.image(1000)
    host = f"127.0.0.1:{free_port()}"
    paused: list[float] = []
    registry = somewhere.registry(f"{host}/base", pause=paused.append)
    for doing, ask in each_question(registry, image_id).items():
        error = fault_of(ask)
        assert error.fault is RegistryFault.OFFLINE
        assert error.message.startswith(f"{doing} {host}/base:t: {host} cannot be reached (")
        assert "refused" in error.message
        assert "see whether the network is up" in error.hint
    assert paused == [], "who never answered is not waited for"


def test_an_image_that_is_not_there(there: Place) -> None:
    with pytest.raises(EngineError, match="tagging"):
        there.registry().push(f"sha256:{64 * '0'}", "t")
    assert there.told == []


def test_an_engine_that_goes_away(there: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = EngineRelay(tmp_path / "engine.sock")
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    registry = Registry(connect().client(), there.repository(), there.told.append, credentials=lambda *_: None)
    image_id = there.image()
    there.door.troubles[:] = [Trouble("PATCH", "/blobs/", ALWAYS, silent=True)]
    when(lambda: there.door.under_way, engine.cut)
    with pytest.raises(EngineUnreachableError):
        registry.push(image_id, "t")
    assert there.told[-1].status is TransferStatus.FAILED


# -- cancel ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("doing", ["asking for", "pulling", "pushing"])
def test_cancel_ends_it_at_once(somewhere: Place, doing: str) -> None:
    """In the middle of a layer, or of a question, to which a registry says nothing."""
    image_id = somewhere.image()
    registry = somewhere.registry()
    registry.push(image_id, "t")
    if doing == "pushing":
        image_id = somewhere.image()
    elif doing == "pulling":
        somewhere.forget(image_id)
    before, large = somewhere.tags(), max(somewhere.layers().items(), key=lambda one: one[1])[0]
    part = {"asking for": "/manifests/", "pulling": large, "pushing": "/blobs/uploads/"}[doing]
    methods = ("PATCH", "PUT") if doing == "pushing" else ("HEAD", "GET")
    after_bytes = 0 if doing == "asking for" else 1_000_000
    somewhere.door.troubles[:] = [Trouble(method, part, after_bytes=after_bytes, silent=True) for method in methods]
    begun: list[float] = []

    def cancel() -> None:
        begun.append(time.monotonic())
        registry.cancel()

    when(lambda: somewhere.door.silent, cancel)
    error = fault_of(each_question(registry, image_id)[doing])
    assert time.monotonic() - begun[0] < SOON_S / 4
    assert error.fault is RegistryFault.CANCELLED
    assert error.message == f"{doing} {somewhere.repository()}:t was cancelled"
    assert somewhere.tags() == before
    if doing != "asking for":
        assert (somewhere.told[-1].status, somewhere.told[-1].message) == (TransferStatus.FAILED, error.message)
    for ask in each_question(registry, image_id).values():
        assert fault_of(ask).fault is RegistryFault.CANCELLED, "and so is whatever comes later"


def test_cancel_ends_the_wait_between_two_attempts(there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSES_S", (1000.0,))
    heard: list[Transfer] = []

    def observe(transfer: Transfer) -> None:
        heard.append(transfer)
        if "again in" in transfer.message:
            registry.cancel()

    registry = Registry(there.client, there.repository(), observe, credentials=lambda *_: None)
    there.door.troubles[:] = [Trouble("*", "/manifests/", ALWAYS)]
    assert fault_of(lambda: registry.pull("t")).fault is RegistryFault.CANCELLED
    assert heard[-1].message == f"pulling {there.repository()}:t was cancelled"


def test_cancel_ends_a_credential_helper(there: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-slow"
    helper.write_text(f"#!/bin/sh\ntouch {tmp_path}/begun\nexec sleep 1000\n")
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text('{"credsStore": "slow"}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    registry = Registry(there.client, there.repository(), there.told.append)
    when((tmp_path / "begun").exists, registry.cancel)
    assert fault_of(lambda: registry.pull("t")).fault is RegistryFault.CANCELLED
    helper.unlink()
    with pytest.raises(CredentialsError):
        Registry(there.client, there.repository(), there.told.append).pull("t")
    assert there.told[-1].status is TransferStatus.FAILED


# -- tags --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["ok", "refused", "cancelled"])
def test_a_push_puts_a_tag_that_stood_elsewhere_back(somewhere: Place, end: str) -> None:
    before, image_id = somewhere.image(1000), somewhere.image()
    repository = somewhere.repository(locked=end == "refused")
    registry = somewhere.registry(repository)
    somewhere.client.tag(before, repository, "latest")
    tags = somewhere.tags()
    assert (f"{repository}:latest", before) in tags
    if end == "ok":
        registry.push(image_id, "latest")
    else:
        if end == "cancelled":
            somewhere.door.troubles[:] = [
                Trouble(method, "/blobs/", ALWAYS, silent=True) for method in ("PATCH", "PUT")
            ]
            when(lambda: somewhere.door.silent, registry.cancel)
        assert fault_of(lambda: registry.push(image_id, "latest")).fault in (
            RegistryFault.LOGIN,
            RegistryFault.CANCELLED,
        )
    assert somewhere.tags() == tags
    assert somewhere.find(f"{repository}:latest") == before


def test_a_tag_that_is_on_the_image_already_stays(somewhere: Place) -> None:
    image_id = somewhere.image(1000)
    somewhere.client.tag(image_id, somewhere.repository(), "t")
    tags = somewhere.tags()
    somewhere.registry().push(image_id, "t")
    assert somewhere.tags() == tags


def test_an_image_without_another_tag_is_not_lost(anywhere: Place) -> None:
    image_id = anywhere.image(1000)
    registry = anywhere.registry()
    digest = registry.push(image_id, "t")
    anywhere.forget(image_id)
    assert registry.pull(digest) == image_id
    assert anywhere.tags() == set()
    registry.push(image_id, "u")
    assert anywhere.find(image_id) == image_id
    assert registry.digest_of("u") == digest


def test_podman_keeps_nothing_of_what_it_was_asked(engines: Engines) -> None:
    with engines.placed("podman") as place:
        registry = place.registry()
        registry.push(place.image(1000), "t")
        assert registry.digest_of("t")
        assert registry.digest_of("none") is None
        place.door.troubles[:] = [Trouble("*", "/manifests/", ALWAYS, silent=True)]
        when(lambda: place.door.silent, registry.cancel)
        assert fault_of(lambda: registry.digest_of("t")).fault is RegistryFault.CANCELLED
        line = EngineLine(place.client)
        rows = json.loads(line.text(line.request("get", "/v5.0.0/libpod/images/json")))
        ours = f"localhost/splitdeck-look-{os.getpid()}-"
        assert [name for row in rows for name in row.get("Names") or () if name.startswith(ours)] == []
