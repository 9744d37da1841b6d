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
from console.measurements import BuildQuery, Sample, Trigger
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


def depend_on_a_list(project: Project) -> None:
    """Gives the project a list of dependencies that its base is built from; the legacy Dockerfile copies everything."""
    project.write("requirements.txt", "# none yet\n")
    project.write("base.Dockerfile", f"FROM {ROOT_IMAGE}\nCOPY requirements.txt /\nRUN echo {project.name} > /base\n")


def kept(project: Project, monkeypatch: pytest.MonkeyPatch) -> list[Sample]:
    """The history of the project."""
    monkeypatch.setenv("SPLITDECK_STATE_DIR", project.environment["SPLITDECK_STATE_DIR"])
    history = History.open(history_path(project.name, project.folder / "config.toml"))
    try:
        return history.listed(BuildQuery(descending=False, limit=0))[1]
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
        assert each["verdict"]["sentence"]
    change, same, cold = report["scenarios"]
    assert (cold["base"]["n"], change["base"], same["base"]) == (2, None, None)
    assert (cold["edited"], change["edited"], same["edited"]) == (None, "app.py", None)

    targets = {each["target"]: each["measured"] for each in report["targets"]}
    assert len(targets) == 4
    assert "not measured" not in targets.values()
    assert (report["pull"], report["no_pull"]) == (None, "there is no [base] repository to pull it from")
    weights = report["images"]
    assert weights["app_bytes"] - weights["base_bytes"] < 10_000, "one small file"
    assert weights["app_pull_bytes"] < 10_000 < weights["base_bytes"] <= weights["legacy_bytes"]

    assert everything(project.folder) == files
    assert images(client, project) == before, "no image of the comparison is left, and no other has moved"
    assert list(temporary.iterdir()) == []

    history = kept(project, monkeypatch)
    samples = [sample for sample in history if sample.reason.startswith("compare: ")]
    counted = Counter((sample.target, sample.scenario) for sample in samples if "before" not in sample.reason)
    expected = {(target, scenario): 2 for target in (Target.LEGACY, Target.APP) for scenario in Scenario}
    expected |= {(Target.BASE, Scenario.COLD): 2}
    assert counted == {key: n for key, n in expected.items() if key[1] is not Scenario.DEPS_CHANGE}
    assert not any(sample.disturbed for sample in samples if "before" not in sample.reason)
    assert {sample.trigger for sample in samples} == {Trigger.COMPARE}
    own = {sample.target: sample.context_digest for sample in history[:3]}
    unedited = [sample for sample in samples if sample.scenario is not Scenario.CODE_CHANGE]
    assert {(s.target, s.context_digest) for s in unedited} == set(own.items()), "the source as it is, byte for byte"
    app = [s.duration_ms for s in samples if (s.target, s.scenario) == (Target.APP, Scenario.CODE_CHANGE)]
    assert change["split"]["times_ms"] == app


def test_a_change_of_dependencies_is_a_base_of_its_own_and_the_app_on_it(
    project: Project, client: Any, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    depend_on_a_list(project)
    for target in ("base", "app", "legacy"):
        assert project.once("build", target).returncode == 0
    files, before = everything(project.folder), images(client, project)
    limits = ["--budget", "app.deps-change.p50<1h", "--budget", "split.deps-change.p50<1ms"]

    asked = ("compare", "--scenario", "deps-change", "--runs", "2", "--format", "json")
    done = project.once(*asked, *limits, TMPDIR=str(temporary))

    assert done.returncode == ExitCode.FAILED, done.stderr
    assert "budget missed: split.deps-change.p50<1ms: it is " in done.stderr
    assert "app.deps-change.p50<1h" not in done.stderr
    (change,) = json.loads(done.stdout)["scenarios"]
    assert (change["edited"], change["notes"]) == ("requirements.txt", [])
    assert everything(project.folder) == files
    assert images(client, project) == before, "no image of the comparison is left, and no other has moved"
    assert list(temporary.iterdir()) == []

    samples = [sample for sample in kept(project, monkeypatch) if "deps-change, " in sample.reason]
    made = {
        target: [one for one in samples if one.target is target and one.scenario is Scenario.DEPS_CHANGE][-2:]
        for target in Target
    }
    assert [base.image_id for base in made[Target.BASE]] == [app.base_id for app in made[Target.APP]]
    pairs = zip(made[Target.BASE], made[Target.APP], strict=True)
    assert change["split"]["times_ms"] == [base.duration_ms + app.duration_ms for base, app in pairs]
    for figure, target in (("legacy", Target.LEGACY), ("base", Target.BASE), ("app", Target.APP)):
        assert change[figure]["times_ms"] == [sample.duration_ms for sample in made[target]]
    assert not any(base.image_id in before for base in made[Target.BASE])

    project.edit("two")
    for target in ("legacy", "app"):
        assert project.once("build", target).returncode == 0
    own = [sample.scenario for sample in kept(project, monkeypatch)[-2:]]
    assert own == [Scenario.CODE_CHANGE] * 2, "the user has changed no dependency"


def test_each_change_is_one_that_no_cache_has(project: Project, temporary: Path) -> None:
    depend_on_a_list(project)
    assert project.once("build", "base").returncode == 0
    for _ in range(2):
        asked = ("--scenario", "code-change", "--scenario", "deps-change", "--runs", "1", "--format", "json")
        done = project.once("compare", *asked)
        assert done.returncode == 0, done.stderr
        for change in json.loads(done.stdout)["scenarios"]:
            assert (change["legacy"]["n"], change["split"]["n"]) == (1, 1), change["notes"]


def test_other_engines_are_measured_and_left_as_they_were(elsewhere: Project, temporary: Path) -> None:
    depend_on_a_list(elsewhere)
    assert elsewhere.once("build", "base").returncode == 0
    client = connect().client()
    try:
        before = images(client, elsewhere)
        asked = ("--scenario", "code-change", "--scenario", "deps-change", "--runs", "2", "--format", "json")
        done = elsewhere.once("compare", *asked)
        assert done.returncode == 0, done.stderr
        for change in json.loads(done.stdout)["scenarios"]:
            assert (change["legacy"]["n"], change["split"]["n"], change["notes"]) == (2, 2, [])
        assert images(client, elsewhere) == before
    finally:
        client.close()


def test_without_a_list_that_both_read_no_change_of_dependencies_begins(
    project: Project, client: Any, temporary: Path
) -> None:
    assert project.once("build", "base").returncode == 0
    before = images(client, project)
    done = project.once("compare", "--scenario", "deps-change", "--runs", "1", TMPDIR=str(temporary))
    assert (done.returncode, done.stdout) == (ExitCode.FAILED, "")
    assert "a change of dependencies cannot be measured: no file that the base is built from is a list" in done.stderr
    assert "requirements.txt" in done.stderr
    assert images(client, project) == before
    assert list(temporary.iterdir()) == []


def test_no_image_loses_its_name_to_the_base_that_is_built_here(project: Project, client: Any) -> None:
    depend_on_a_list(project)
    assert project.once("build", "base").returncode == 0
    theirs = f"{project.name}-base-compare"
    client.tag(ROOT_IMAGE, theirs, "candidate")
    try:
        done = project.once("compare", "--scenario", "deps-change", "--runs", "1")
        assert (done.returncode, done.stdout) == (ExitCode.FAILED, "")
        assert f"there is an image {theirs}:candidate that was not built for {project.name}" in done.stderr
        assert client.inspect_image(f"{theirs}:candidate")["Id"] == client.inspect_image(ROOT_IMAGE)["Id"]
    finally:
        client.remove_image(f"{theirs}:candidate")


def test_without_a_base_nothing_is_built(project: Project, client: Any, temporary: Path) -> None:
    done = project.once("compare", "--runs", "1", TMPDIR=str(temporary))
    assert (done.returncode, done.stdout) == (ExitCode.FAILED, "")
    assert f"there is no base image {project.name}-base:latest" in done.stderr
    assert "splitdeck build base" in done.stderr
    assert "base pull" not in done.stderr
    assert images(client, project) == {}
    assert list(temporary.iterdir()) == []


def test_a_base_that_is_published_can_be_pulled_first(project: Project) -> None:
    done = project.once("compare", "--runs", "1", SPLITDECK_BASE_REPOSITORY="registry.example/team/base")
    assert done.returncode == ExitCode.FAILED
    assert "take it from registry.example/team/base first: `splitdeck base pull`, which is measured" in done.stderr


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


@pytest.mark.parametrize(
    ("scenario", "sent"),
    [("code-change", signal.SIGINT), ("code-change", signal.SIGTERM), ("deps-change", signal.SIGINT)],
)
def test_interrupted_it_ends_its_build_and_leaves_nothing(
    project: Project,
    client: Any,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
    scenario: str,
    sent: signal.Signals,
) -> None:
    before = with_a_base(project, client)
    step = interrupt(project, temporary, scenario, sent)
    assert images(client, project) == before
    assert not running(step)
    assert kept(project, monkeypatch)[-1].status is BuildStatus.CANCELLED


def test_interrupted_on_other_engines_it_leaves_nothing_that_the_next_one_does_not_clear_away(
    elsewhere: Project, temporary: Path
) -> None:
    client = connect().client()
    try:
        before = with_a_base(elsewhere, client)
        step = interrupt(elsewhere, temporary, "deps-change", signal.SIGINT)
        for process in running(step):  # Podman goes on with the step, and keeps what it stands on
            os.kill(process, signal.SIGKILL)
        elsewhere.write("app.Dockerfile", "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY app.py /app/\n")
        done = elsewhere.once("compare", "--scenario", "no-change", "--runs", "1")
        assert done.returncode == 0, done.stderr
        assert images(client, elsewhere) == before
    finally:
        client.close()


def with_a_base(project: Project, client: Any) -> dict[str, list[str]]:
    """Builds the base; gives the images that there are then."""
    depend_on_a_list(project)
    assert project.once("build", "base").returncode == 0
    return images(client, project)


def interrupt(project: Project, temporary: Path, scenario: str, sent: signal.Signals) -> str:
    """Interrupts a comparison while a step of its app build runs, which is returned; no file is left or changed."""
    step = f"sleep 60{project.port}"
    project.write("app.Dockerfile", f"ARG BASE_IMAGE\nFROM ${{BASE_IMAGE}}\nCOPY app.py /app/\nRUN {step}\n")
    files = everything(project.folder)
    process = subprocess.Popen(
        [sys.executable, "-m", "console", "compare", "--scenario", scenario, "--runs", "1"],
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
    while not running(step) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
    assert running(step)
    assert list(temporary.iterdir()) != []

    process.send_signal(sent)
    out, told = process.communicate(timeout=DEADLINE_S / 2)

    assert (process.returncode, out) == (ExitCode.INTERRUPTED, ""), told
    assert everything(project.folder) == files
    assert list(temporary.iterdir()) == []
    return step


def running(command: str) -> list[int]:
    """The processes of a command on this machine."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().decode().split("\0")
        except (OSError, UnicodeDecodeError):
            continue
        if words[:-1] == command.split():
            found.append(int(entry.name))
    return found
