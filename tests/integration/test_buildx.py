"""The buildx backend on real engines: how each names an image, failure, cancel, secrets, another builder."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from console.build.backend import SessionProbe, choose_backend
from console.build.buildx import BuildxBackend
from console.build.context.snapshot import Snapshot
from console.build.dockerfile import read_dockerfile
from console.build.probes import probe_buildx
from console.build.request import BuildRequest, Cancellation, SecretSource
from console.build.steps import StepLog
from console.config import BuildConfig
from console.engine import Engine, connect
from console.model import BuildOutcome, BuildStatus, BuildWarning, Step, StepStatus
from tests.engines import engines

pytestmark = pytest.mark.docker

OWN = "unix:///var/run/docker.sock"
TAG = "sdtest-buildx:1"
LABEL = "io.splitdeck.test"


@dataclass
class Heard:
    """An observer that keeps what it hears."""

    steps: list[Step] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    warnings: list[BuildWarning] = field(default_factory=list)
    on_step: Callable[[Step], object] = lambda step: None

    def step_updated(self, step: Step) -> None:
        self.steps.append(step)
        self.on_step(step)

    def logged(self, log: StepLog) -> None:
        self.lines.extend(log.lines)

    def warned(self, warning: BuildWarning) -> None:
        self.warnings.append(warning)


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The docker command with buildx, and with nobody else's builders."""
    folder = tmp_path / "docker"
    folder.mkdir()
    (folder / "cli-plugins").symlink_to(engines.docker_config() / "cli-plugins")
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)


@pytest.fixture(params=["own", "docker28", "containerd"])
def engine(request: pytest.FixtureRequest, docker_config: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    yield from engine_at(request.param, monkeypatch)


@pytest.fixture
def containerd(docker_config: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    yield from engine_at("containerd", monkeypatch)


def engine_at(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    listening = engines.ensure(["docker28", "containerd", engines.BUILDKIT])  # and buildx, and busybox for all
    monkeypatch.setenv("DOCKER_HOST", listening.get(name, OWN))
    engine = connect()
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")  # the command must find the session's engine all the same
    yield engine
    client: Any = engine.client()
    for row in client.images(filters={"label": LABEL}):
        client.remove_image(row["Id"], force=True)
    client.close()


def request_for(folder: Path, dockerfile: str, **changes: Any) -> BuildRequest:
    context = folder / "context"
    context.mkdir(exist_ok=True)
    (context / "a.txt").write_text("hello\n")
    (context / "left-out.txt").write_text("never\n")
    (context / ".dockerignore").write_text("left-out.txt\n")
    place = folder / "elsewhere.Dockerfile"  # outside of its context
    place.write_text(dockerfile)
    snapshot = Snapshot(context, {}, place, "", 1, 6, "", ())
    request = BuildRequest(TAG, snapshot, read_dockerfile(place), lambda name: "stage", labels={LABEL: "buildx"})
    return replace(request, **changes)


def build(engine: Engine, request: BuildRequest, heard: Heard | None = None) -> BuildOutcome:
    client = engine.client()
    try:
        return BuildxBackend(engine.command_environment()).build(client, request, heard or Heard())
    finally:
        client.close()


def inspect(engine: Engine, name: str) -> dict[str, Any]:
    client: Any = engine.client()
    try:
        found: dict[str, Any] = client.inspect_image(name)
        return found
    finally:
        client.close()


def test_an_image_is_built_with_everything_asked_for(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SD_TEST_TOKEN", "from-a-variable")
    (tmp_path / "a, secret").write_text("from-a-file")
    request = request_for(
        tmp_path,
        "FROM busybox:test AS first\nARG GREETING\nARG HTTP_PROXY\nWORKDIR /all\nCOPY . .\n"
        "RUN --mount=type=secret,id=file --mount=type=secret,id=env "
        'test "$(cat /run/secrets/file) $(cat /run/secrets/env)" = "from-a-file from-a-variable" '
        '&& test ! -e left-out.txt && echo "$GREETING, $HTTP_PROXY"\n'
        "FROM first AS later\nRUN exit 7\n",
        args={"GREETING": "good day", "HTTP_PROXY": "http://127.0.0.1:9"},
        secrets={"file": SecretSource(file=str(tmp_path / "a, secret")), "env": SecretSource(env="SD_TEST_TOKEN")},
        target="first",
        network="host",
        no_cache=True,
    )
    heard = Heard()
    outcome = build(engine, request, heard)
    assert (outcome.status, outcome.failure) == (BuildStatus.OK, None)
    found = inspect(engine, outcome.image_id)
    assert found["Id"] == outcome.image_id == inspect(engine, TAG)["Id"]
    assert found["Config"]["Labels"][LABEL] == "buildx"
    assert any("good day, http://127.0.0.1:9" in line for line in heard.lines)
    assert outcome.duration_ms > sum(step.duration_ms for step in outcome.steps if step.number) > 0
    assert all(step.exact for step in outcome.steps)
    run = next(step for step in outcome.steps if "RUN" in step.name)
    assert (run.line, run.stage, run.status) == (6, "stage", StepStatus.DONE)
    again = build(engine, replace(request, no_cache=False))
    assert again.image_id == outcome.image_id, "the same build makes the same image"
    assert next(step for step in again.steps if "RUN" in step.name).cached


def test_a_failing_step_is_told_with_its_place_and_last_words(engine: Engine, tmp_path: Path) -> None:
    outcome = build(engine, request_for(tmp_path, "FROM busybox:test\nRUN echo last words; exit 3\n", no_cache=True))
    assert (outcome.status, outcome.image_id) == (BuildStatus.FAILED, "")
    assert outcome.failure is not None
    assert (outcome.failure.line, outcome.failure.output) == (2, ("last words",))
    assert outcome.failure.message == "exit code: 3"


def test_what_buildx_refuses_is_told_in_its_words(engine: Engine, tmp_path: Path) -> None:
    outcome = build(engine, request_for(tmp_path, "FROM busybox:test\n", ssh={"default": str(tmp_path / "nowhere")}))
    assert outcome.status is BuildStatus.FAILED
    assert outcome.failure is not None
    assert "nowhere" in outcome.failure.message
    assert "ERROR" not in outcome.failure.message


def test_a_cancelled_build_ends_soon_and_leaves_nothing_running(engine: Engine, tmp_path: Path) -> None:
    cancellation = Cancellation()

    def on_step(step: Step) -> None:
        if "sleep" in step.name and step.status is StepStatus.RUNNING:
            threading.Thread(target=cancellation.cancel).start()

    dockerfile = "FROM busybox:test\nRUN sleep 3477\n"
    request = request_for(tmp_path, dockerfile, no_cache=True, cancellation=cancellation)
    outcome = build(engine, request, Heard(on_step=on_step))
    assert (outcome.status, outcome.failure) == (BuildStatus.CANCELLED, None)
    deadline = time.monotonic() + 10
    while processes("sleep 3477") or processes(str(tmp_path)):
        assert time.monotonic() < deadline, "the step or the command is still running"
        time.sleep(0.05)


def processes(part: str) -> bool:
    return subprocess.run(["pgrep", "-f", "--", part], capture_output=True, check=False).returncode == 0


def test_a_cancel_that_comes_first_is_kept(containerd: Engine, tmp_path: Path) -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    request = request_for(tmp_path, "FROM busybox:test\nRUN sleep 3478\n", no_cache=True, cancellation=cancellation)
    assert build(containerd, request).status is BuildStatus.CANCELLED


def test_a_cache_that_is_not_there_is_a_warning(engine: Engine, tmp_path: Path) -> None:
    heard = Heard()
    request = request_for(tmp_path, "FROM busybox:test\n", cache_from=(f"type=local,src={tmp_path}/no-cache",))
    outcome = build(engine, request, heard)
    assert outcome.status is BuildStatus.OK
    assert [warning.message for warning in heard.warnings if "no-cache" in warning.message]
    assert outcome.warnings == tuple(heard.warnings)


def test_a_local_cache_is_written_and_read(containerd: Engine, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    request = request_for(tmp_path, "FROM busybox:test\nRUN echo cached\n", cache_to=(f"type=local,dest={cache}",))
    assert build(containerd, request).status is BuildStatus.OK
    assert (cache / "index.json").is_file()


def test_several_platforms_are_one_image_on_the_containerd_store(containerd: Engine, tmp_path: Path) -> None:
    request = request_for(tmp_path, "FROM scratch\nCOPY a.txt /\n", platform="linux/amd64, linux/arm64")
    outcome = build(containerd, request)
    assert outcome.status is BuildStatus.OK
    assert outcome.image_id == inspect(containerd, TAG)["Id"]


def test_what_buildx_is_here(engine: Engine, docker_config: None) -> None:
    probe = probe_buildx(engine.command_environment())
    assert probe.version is not None
    own = probe.builders["default"]
    assert (own.driver, own.endpoint, own.problem) == ("docker", engine.info.host, "")
    assert "linux/amd64" in own.platforms
    settings = BuildConfig(backend="buildx")
    assert choose_backend(settings, engine.info, SessionProbe(available=False), probe).builder == "default"


def test_podman_has_no_builder_of_its_own_for_buildx(docker_config: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", engines.ensure(["podman"])["podman"])
    engine = connect()
    assert (engine.info.builder, engine.info.name) == ("buildah", "podman")
    assert probe_buildx(engine.command_environment()).builders["default"].driver != "docker"


def test_without_buildx_the_reason_is_told(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    environment = {"PATH": "/usr/bin:/bin", "DOCKER_CONFIG": str(tmp_path / "docker"), "DOCKER_HOST": OWN}
    probe = probe_buildx(environment)
    assert (probe.version, probe.builders) == (None, {})
    assert "buildx" in probe.reason
    assert probe_buildx({**environment, "PATH": str(tmp_path / "docker")}).reason == "there is no docker command"


def test_an_image_from_another_builder_is_found_on_the_engine(engine: Engine, tmp_path: Path) -> None:
    """A builder that is not the engine's: what it makes is loaded, and a graph driver names it by its config."""
    environment = engine.command_environment()
    create = ["docker", "buildx", "create", "--driver", "remote", "--name", "far", engines.endpoint(engines.BUILDKIT)]
    subprocess.run(create, env=environment, check=True, capture_output=True)
    builder = probe_buildx(environment).builders["far"]
    assert (builder.driver, builder.problem) == ("remote", "")
    outcome = build(engine, request_for(tmp_path, "FROM scratch\nCOPY a.txt /\n", builder="far"))
    assert (outcome.status, outcome.failure) == (BuildStatus.OK, None)
    assert outcome.image_id == inspect(engine, TAG)["Id"]
