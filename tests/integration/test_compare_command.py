"""`splitdeck compare` on a real engine: both tracks built, the history kept, nothing of the user's changed."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.engine import Engine, connect
from console.errors import ExitCode
from console.history.records import History, history_path
from console.measurements import Sample
from console.model import LABEL_PROJECT, BuildStatus, Scenario, Target
from tests.engines.engines import ensure
from tests.integration.conftest import DEADLINE_S, ROOT_IMAGE, Project, made_project

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]


@pytest.fixture
def client(engine: Engine) -> Iterator[Any]:
    client = engine.client()
    yield client
    client.close()


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Where the commands keep what they need for a while."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture(params=["containerd", "podman"])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project on an engine that keeps images in another way."""
    monkeypatch.setenv("DOCKER_HOST", ensure([request.param])[request.param])
    with made_project(tmp_path) as project:
        yield project


def everything(folder: Path) -> dict[str, tuple[object, ...]]:
    """All that can be told of a folder's files, but when they were last read."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path)] = (content, status.st_mode, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    return found


def images(client: Any, project: Project) -> dict[str, list[str]]:
    """IDs and names of the project's images, those without a name among them."""
    rows = client.images(filters={"label": f"{LABEL_PROJECT}={project.name}"})
    return {row["Id"]: row["RepoTags"] or [] for row in rows}


def kept(project: Project, monkeypatch: pytest.MonkeyPatch) -> list[Sample]:
    """The history of the project."""
    monkeypatch.setenv("SPLITDECK_STATE_DIR", project.environment["SPLITDECK_STATE_DIR"])
    history = History.open(history_path(project.name, project.folder / "config.toml"))
    try:
        return history.since(0)
    finally:
        history.close()


def test_all_scenarios_measured_kept_and_cleared_away(
    project: Project, client: Any, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for target in ("base", "app", "legacy"):
        assert project.once("build", target).returncode == 0
    files, before = everything(project.folder), images(client, project)
    options = [word for name in ("code-change", "no-change", "cold") for word in ("--scenario", name)]
    limits = ["--budget", "app.code-change.p50<1h", "--budget", "base.cold.max<1ms"]

    done = project.once("compare", *options, "--runs", "2", "--format", "json", *limits, TMPDIR=str(temporary))

    assert done.returncode == ExitCode.FAILED, done.stderr
    assert "budget missed: base.cold.max<1ms: it is " in done.stderr
    assert "app.code-change.p50<1h" not in done.stderr
    report = json.loads(done.stdout)
    assert [each["scenario"] for each in report["scenarios"]] == ["code-change", "no-change", "cold"]
    for each in report["scenarios"]:
        assert (each["legacy"]["n"], each["split"]["n"], each["notes"]) == (2, 2, []), each
        assert each["speedup"] == pytest.approx(each["legacy"]["median_ms"] / each["split"]["median_ms"])
    change, same, cold = report["scenarios"]
    assert (cold["base"]["n"], change["base"], same["base"]) == (2, None, None)
    assert (cold["edited"], change["edited"], same["edited"]) == (None, "app.py", None)

    assert everything(project.folder) == files
    assert images(client, project) == before, "no image of the comparison is left, and no other has moved"
    assert list(temporary.iterdir()) == []

    history = kept(project, monkeypatch)
    samples = [sample for sample in history if sample.reason.startswith("compare: ")]
    counted = Counter((sample.target, sample.scenario) for sample in samples if "before" not in sample.reason)
    expected = {(target, scenario): 2 for target in (Target.LEGACY, Target.APP) for scenario in Scenario}
    expected |= {(Target.BASE, Scenario.COLD): 2}
    assert counted == {key: n for key, n in expected.items() if key[1] is not Scenario.DEPS_CHANGE}
    assert not any(sample.alongside for sample in samples)
    own = {sample.target: sample.context_digest for sample in history[:3]}
    unedited = [sample for sample in samples if sample.scenario is not Scenario.CODE_CHANGE]
    assert {(s.target, s.context_digest) for s in unedited} == set(own.items()), "the source as it is, byte for byte"
    app = [s.duration_ms for s in samples if (s.target, s.scenario) == (Target.APP, Scenario.CODE_CHANGE)]
    assert change["split"]["times_ms"] == app


def test_each_code_change_is_one_that_no_cache_has(project: Project, temporary: Path) -> None:
    assert project.once("build", "base").returncode == 0
    for _ in range(2):
        done = project.once("compare", "--scenario", "code-change", "--runs", "1", "--format", "json")
        assert done.returncode == 0, done.stderr
        (change,) = json.loads(done.stdout)["scenarios"]
        assert (change["legacy"]["n"], change["split"]["n"]) == (1, 1), change["notes"]


def test_other_engines_are_measured_and_left_as_they_were(elsewhere: Project, temporary: Path) -> None:
    assert elsewhere.once("build", "base").returncode == 0
    client = connect().client()
    try:
        before = images(client, elsewhere)
        done = elsewhere.once("compare", "--scenario", "code-change", "--runs", "1", "--format", "json")
        assert done.returncode == 0, done.stderr
        (change,) = json.loads(done.stdout)["scenarios"]
        assert (change["legacy"]["n"], change["split"]["n"], change["notes"]) == (1, 1, [])
        assert images(client, elsewhere) == before
    finally:
        client.close()


def test_without_a_base_nothing_is_built(project: Project, client: Any, temporary: Path) -> None:
    done = project.once("compare", "--runs", "1", TMPDIR=str(temporary))
    assert (done.returncode, done.stdout) == (ExitCode.FAILED, "")
    assert f"there is no base image {project.name}-base:latest" in done.stderr
    assert "splitdeck build base" in done.stderr
    assert images(client, project) == {}
    assert list(temporary.iterdir()) == []


def test_a_build_that_fails_ends_it_with_the_steps_last_words(
    project: Project, client: Any, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert project.once("build", "base").returncode == 0
    project.write("Dockerfile.legacy", f"FROM {ROOT_IMAGE}\nCOPY . /app\nRUN echo the last words; exit 3\n")
    before = images(client, project)
    done = project.once("compare", "--scenario", "cold", "--runs", "1", TMPDIR=str(temporary))
    assert (done.returncode, done.stdout) == (ExitCode.FAILED, "")
    assert "the last words" in done.stderr
    assert "failed at Dockerfile.legacy:3" in done.stderr
    assert "the legacy build did not succeed" in done.stderr
    assert images(client, project) == before
    assert list(temporary.iterdir()) == []
    assert [sample.status for sample in kept(project, monkeypatch)] == [BuildStatus.OK, BuildStatus.FAILED]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_ends_its_build_and_leaves_nothing(
    project: Project, client: Any, temporary: Path, monkeypatch: pytest.MonkeyPatch, sent: signal.Signals
) -> None:
    assert project.once("build", "base").returncode == 0
    step = f"sleep 60{project.port}"
    project.write("app.Dockerfile", f"ARG BASE_IMAGE\nFROM ${{BASE_IMAGE}}\nCOPY app.py /app/\nRUN {step}\n")
    files, before = everything(project.folder), images(client, project)
    process = subprocess.Popen(
        [sys.executable, "-m", "console", "compare", "--scenario", "code-change", "--runs", "1"],
        cwd=project.folder,
        env={
            **os.environ,
            **project.environment,
            "TMPDIR": str(temporary),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + DEADLINE_S / 2
    while not runs(step) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
    assert runs(step)
    assert list(temporary.iterdir()) != []

    process.send_signal(sent)
    out, told = process.communicate(timeout=DEADLINE_S / 2)

    assert (process.returncode, out) == (ExitCode.INTERRUPTED, ""), told
    assert everything(project.folder) == files
    assert images(client, project) == before
    assert list(temporary.iterdir()) == []
    assert not runs(step)
    assert kept(project, monkeypatch)[-1].status is BuildStatus.CANCELLED


def runs(command: str) -> bool:
    """Whether a process of that command runs on this machine."""
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().decode().split("\0")
        except (OSError, UnicodeDecodeError):
            continue
        if words[:-1] == command.split():
            return True
    return False
