"""`splitdeck compare` without an engine: what is refused before anything is built, and what becomes of a report."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import typer
from typer.testing import CliRunner

from console import cli_compare, comparing
from console.cli_compare import compare
from console.compare_bench import _is_served
from console.comparing import MEASURES, ScenarioRun, Surroundings, Wish, check_wish, judged, weighed
from console.config import CompareConfig, Config
from console.errors import ConfigError, EngineUnreachableError, ExitCode
from console.history.budget import judge
from console.history.compare import compare as compared
from console.history.recorder import HistoryRecorder
from console.history.report import Measured, Report
from console.history.stages import StageRules
from console.lock import project_lock
from console.loop.endings import to_its_end
from console.measurements import ImageBytes, Layer, PullTime, Sample, Trigger
from console.model import BuildStatus, Scenario, Step, StepKind, StepStatus, Target
from tests.fakes import FakeClock, make_project


def command(*arguments: str, cwd: Path) -> tuple[int, str, str, BaseException | None]:
    """Runs the command as the command line does, but for what it makes of errors."""
    app = typer.Typer(rich_markup_mode=None)
    app.command()(compare)
    result = CliRunner().invoke(app, ["-C", str(cwd), *arguments])
    return result.exit_code, result.stdout, result.stderr, result.exception


@pytest.fixture(autouse=True)
def _no_engine_and_no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    def finish(work: Coroutine[Any, Any, ExitCode], _config: Config) -> None:
        raise typer.Exit(asyncio.run(work))

    monkeypatch.setattr(cli_compare, "finish", finish)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")


def sample(target: Target, scenario: Scenario, duration_ms: float) -> Sample:
    return Sample(target, scenario, 1.0, duration_ms, BuildStatus.OK, "engine", "machine")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Wish]:
    """Builds that took 4 s (legacy) and 1 s (app), in place of real ones; and what was asked for."""
    wishes = []

    async def measure(config: Config, wish: Wish, tell: object) -> Report:
        wishes.append(wish)
        parts = []
        for scenario in wish.scenarios:
            samples = [sample(target, scenario, ms) for target, ms in ((Target.LEGACY, 4_000), (Target.APP, 1_000))]
            found = compared(samples[:1], samples[1:], scenario, rules=StageRules(), now=2.0)
            parts.append(Measured(found.comparison, edited="app.py"))
        times_ms = {part.comparison.scenario: part.times_ms for part in parts}
        judged = tuple(judge(budget, times_ms[budget.scenario]) for budget in wish.budgets)
        return Report(config.project.name, tuple(parts), wish.command, "engine", "machine", 1.0, "1", judged)

    monkeypatch.setattr(comparing, "measure", measure)
    return wishes


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--budget", "app.code-change.p95<60s"], "'p95' is no statistic"),
        (["--budget", "app.no-change.p50<60s"], "no-change is not measured"),
        (["--scenario", "code-change", "--budget", "app.cold.p50<60s"], "cold is not measured"),
        (["--budget", "base.code-change.p50<60s"], "no base build is measured in code-change"),
        (["-o", "nowhere/report.md"], "there is no folder nowhere"),
        (["-o", "/"], "that is a folder"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_built(
    tmp_path: Path, measured: list[Wish], arguments: list[str], why: str
) -> None:
    make_project(tmp_path)
    _, out, _, error = command(*arguments, cwd=tmp_path)
    assert isinstance(error, ConfigError)
    assert why in error.message
    assert error.hint
    assert error.exit_code is ExitCode.USAGE
    assert (out, measured) == ("", [])


@pytest.mark.parametrize("arguments", [["--runs", "0"], ["--scenario", "warm"], ["--format", "pdf"]])
def test_wrong_options_are_usage_errors(tmp_path: Path, measured: list[Wish], arguments: list[str]) -> None:
    make_project(tmp_path)
    code, _, told, _ = command(*arguments, cwd=tmp_path)
    assert (code, measured) == (ExitCode.USAGE, [])
    assert arguments[0] in told


def test_a_project_without_a_legacy_dockerfile_has_nothing_to_compare_with(
    tmp_path: Path, measured: list[Wish]
) -> None:
    make_project(tmp_path, legacy=False)
    error = command(cwd=tmp_path)[-1]
    assert isinstance(error, ConfigError)
    assert "[legacy] dockerfile" in error.hint
    assert measured == []


def test_without_an_engine_nothing_begins(tmp_path: Path) -> None:
    make_project(tmp_path)
    assert isinstance(command(cwd=tmp_path)[-1], EngineUnreachableError)


def test_cold_and_code_change_three_times_unless_told_otherwise(tmp_path: Path, measured: list[Wish]) -> None:
    make_project(tmp_path)
    assert command(cwd=tmp_path)[0] == 0
    assert (measured[0].scenarios, measured[0].runs) == ((Scenario.COLD, Scenario.CODE_CHANGE), 3)


def test_the_report_names_the_command_that_makes_it_again(tmp_path: Path, measured: list[Wish]) -> None:
    make_project(tmp_path)
    options = ["--scenario", "no-change", "--scenario", "no-change", "--runs", "5"]
    _, out, _, _ = command(*options, "--budget", "app.no-change.p50<60s", "-C", str(tmp_path), cwd=tmp_path)
    wanted = "splitdeck compare --scenario no-change --runs 5 --budget 'app.no-change.p50<60s'"
    assert f"Measured by `{wanted}`" in out
    assert str(tmp_path) not in out
    assert measured[0].scenarios == (Scenario.NO_CHANGE,)


def test_budgets_that_hold(tmp_path: Path, measured: list[Wish]) -> None:
    make_project(tmp_path)
    limits = ["--budget", "app.code-change.p50<1001ms", "--budget", "speedup.code-change.p50>=4"]
    code, out, told, _ = command(*limits, cwd=tmp_path)
    assert (code, told) == (ExitCode.OK, "")
    assert "| `app.code-change.p50<1001ms` | 1.00 s (1,000 ms) | ✔ |" in out


def test_a_missed_budget_is_named_with_its_figure(tmp_path: Path, measured: list[Wish]) -> None:
    make_project(tmp_path)
    limits = ["--budget", "app.code-change.p50<1s", "--budget", "speedup.cold.p50>4", "--budget", "app.cold.max<2s"]
    code, out, told, _ = command(*limits, cwd=tmp_path)
    assert code == ExitCode.FAILED
    assert told.splitlines() == [
        "splitdeck: budget missed: app.code-change.p50<1s: it is 1.00 s (1,000 ms)",
        "splitdeck: budget missed: speedup.cold.p50>4: it is ×4",
    ]
    assert "### Budgets" in out


def test_a_report_in_a_file(tmp_path: Path, measured: list[Wish]) -> None:
    make_project(tmp_path)
    code, out, told, _ = command("--format", "json", "-o", str(tmp_path / "report.json"), cwd=tmp_path)
    assert (code, out, told) == (0, "", "")
    assert [each["scenario"] for each in json.loads((tmp_path / "report.json").read_text())["scenarios"]] == [
        "cold",
        "code-change",
    ]


def test_a_file_that_fails_at_the_end_does_not_lose_the_report(tmp_path: Path, measured: list[Wish]) -> None:
    make_project(tmp_path)
    code, out, told, _ = command("-o", "/dev/full", cwd=tmp_path)
    assert code == 0
    assert out.startswith("## demo: legacy against split")
    assert "/dev/full cannot be written" in told


def test_a_picture_in_place_of_words(tmp_path: Path, measured: list[Wish]) -> None:
    make_project(tmp_path)
    code, out, _, _ = command("--format", "svg", cwd=tmp_path)
    assert code == 0
    assert ET.fromstring(out).tag == "{http://www.w3.org/2000/svg}svg"


def test_help_says_what_is_measured_and_what_a_budget_may_be_about(tmp_path: Path) -> None:
    _, out, _, _ = command("--help", cwd=tmp_path)
    told = " ".join(out.split()).replace("- ", "-")
    for word in (*(f"{scenario.value}: " for scenario in Scenario), "legacy, app, base", "split (the app", "speedup"):
        assert word in told


def test_every_scenario_can_be_measured(tmp_path: Path) -> None:
    config = make_project(tmp_path)
    check_wish(config, Wish(tuple(Scenario), 1, ""))
    assert list(MEASURES[Scenario.DEPS_CHANGE]).index(Target.BASE) < list(MEASURES[Scenario.DEPS_CHANGE]).index(
        Target.APP
    ), "the app is built on that base"


def test_a_build_that_turned_out_to_be_something_else_is_told() -> None:
    builds = [
        sample(Target.APP, Scenario.NO_CHANGE, 1),
        sample(Target.APP, Scenario.DEPS_CHANGE, 1),
        sample(Target.APP, Scenario.CODE_CHANGE, 1),
    ]
    legacy = [sample(Target.LEGACY, Scenario.CODE_CHANGE, 1)]
    told = list(comparing.left_out({Target.APP: builds, Target.LEGACY: legacy}, Scenario.CODE_CHANGE))
    assert told == ["2 app builds turned out to be no-change, deps-change, which no figure here counts."]


def test_a_build_that_did_not_run_alone_is_told() -> None:
    builds = [replace(sample(Target.BASE, Scenario.COLD, 1), disturbed="another build ran at the same time")]
    (told,) = comparing.left_out({Target.BASE: builds}, Scenario.COLD)
    why = "another build ran at the same time"
    assert told == f"1 base build says nothing about itself alone ({why}), which no figure here counts."


def step(name: str, seconds: float, line: int) -> Step:
    return Step(name, name, StepKind.INSTRUCTION, StepStatus.DONE, intervals=((1.0, 1.0 + seconds),), line=line)


def built(target: Target, scenario: Scenario, duration_ms: float, **more: Any) -> Sample:
    return replace(sample(target, scenario, duration_ms), **more)


DEPS = ScenarioRun(
    Scenario.DEPS_CHANGE,
    {
        Target.LEGACY: [built(Target.LEGACY, Scenario.DEPS_CHANGE, 20_000, steps=(step("[2/2] RUN make", 20, 2),))],
        Target.BASE: [
            built(Target.BASE, Scenario.DEPS_CHANGE, 6_000, image_id="base 1"),
            built(Target.BASE, Scenario.NO_CHANGE, 100, image_id="base 2"),
        ],
        Target.APP: [
            built(Target.APP, Scenario.DEPS_CHANGE, 1_000, base_id="base 1"),
            built(Target.APP, Scenario.NO_CHANGE, 100, base_id="base 2"),
        ],
    },
    edited="requirements.txt",
)
NOWHERE = Surroundings(None, None, {Target.LEGACY: "docker/Dockerfile.legacy"})


def test_after_a_change_of_dependencies_the_split_is_base_and_app(tmp_path: Path) -> None:
    part = judged(DEPS, make_project(tmp_path), NOWHERE, 2.0)
    assert part.times_ms == {"legacy": (20_000,), "split": (7_000,), "app": (1_000,), "base": (6_000,)}
    assert part.comparison.speedup == pytest.approx(20 / 7)
    assert part.edited == "requirements.txt"
    assert [note.partition(" turned")[0] for note in part.notes] == ["1 base build", "1 app build"]


def test_the_verdict_is_found_from_the_builds_of_the_run(tmp_path: Path) -> None:
    verdict = judged(DEPS, make_project(tmp_path), NOWHERE, 2.0).comparison.verdict
    assert verdict is not None
    assert "7.00 s in place of 20.0 s" in verdict.sentence
    assert "RUN make (docker/Dockerfile.legacy:2)" in verdict.sentence


def test_a_verdict_on_cold_tells_what_having_the_base_takes(tmp_path: Path) -> None:
    run = ScenarioRun(
        Scenario.COLD,
        {
            Target.LEGACY: [sample(Target.LEGACY, Scenario.COLD, 60_000)],
            Target.APP: [sample(Target.APP, Scenario.COLD, 1_000)],
            Target.BASE: [sample(Target.BASE, Scenario.COLD, 50_000)],
        },
    )
    part = judged(run, make_project(tmp_path), replace(NOWHERE, pull=PullTime(1, 20_000.0, 5)), 2.0)
    assert part.times_ms["base"] == (50_000,)
    assert part.comparison.verdict is not None
    assert "20.0 s to pull, 50.0 s to build" in part.comparison.verdict.sentence


def layered(target: Target, *digests: str, base_layers: int = 0) -> Sample:
    layers = tuple(Layer(digest, 10 ** int(digest[0])) for digest in digests)
    return built(target, Scenario.CODE_CHANGE, 1, layers=layers, base_layers=base_layers, image_id="".join(digests))


def test_images_weigh_what_their_layers_do_and_a_code_change_makes_some_anew() -> None:
    change = ScenarioRun(
        Scenario.CODE_CHANGE,
        {
            Target.LEGACY: [layered(Target.LEGACY, "5os", "3code2", "4deps2")],
            Target.APP: [layered(Target.APP, "5os", "4deps", "2code2", base_layers=2)],
        },
        {
            Target.LEGACY: layered(Target.LEGACY, "5os", "3code1", "4deps1"),
            Target.APP: layered(Target.APP, "5os", "4deps", "2code1", base_layers=2),
        },
    )
    assert weighed([DEPS, change]) == ImageBytes(110_000, 110_100, 111_000, 100, 11_000)
    again = replace(
        change,
        samples={target: [change.samples[target][0], change.before[target]] for target in change.samples},
        before={target: layered(target, "1x") for target in change.samples},
    )
    assert weighed([again]).app_pull == 100, "held against the build before it"
    cold = ScenarioRun(Scenario.COLD, change.samples)
    assert weighed([cold]) == ImageBytes(110_000, 110_100, 111_000), "nothing was changed"


def test_where_layers_are_not_told_an_image_weighs_what_the_engine_says() -> None:
    bare = {target: [built(target, Scenario.COLD, 1, image_bytes=7)] for target in (Target.LEGACY, Target.APP)}
    assert weighed([ScenarioRun(Scenario.COLD, bare)]) == ImageBytes(app=7, legacy=7)


def test_a_cache_that_no_cache_does_not_switch_off_is_told(tmp_path: Path) -> None:
    config = make_project(tmp_path)
    assert list(comparing.cache_mounts(config)) == []
    text = (
        "FROM scratch\nRUN --mount=type=bind,target=/x true\nRUN --mount=type=cache,target=/pip \\\n  pip install x\n"
    )
    (tmp_path / "Dockerfile.legacy").write_text(f"{text}RUN --mount=target=/y,type=cache true\n")
    (told,) = comparing.cache_mounts(config)
    assert told.startswith("Dockerfile.legacy:3,5 mounts a cache")


async def test_a_dependency_that_was_only_changed_to_be_measured_is_none_of_the_users(tmp_path: Path) -> None:
    recorder = HistoryRecorder(tmp_path / "demo.db", CompareConfig(), "engine", "machine", FakeClock())
    await recorder.open()
    try:
        copied, installed = step("[1/2] COPY app.py /", 1, 1), step("[2/2] RUN pip install x", 1, 2)
        half = (replace(copied, status=StepStatus.CACHED), installed)

        async def scenario(at: float, trigger: Trigger, digest: str, deps: str) -> Scenario:
            one = built(Target.LEGACY, Scenario.COLD, 9, started_at=at, steps=half, base_id=deps, trigger=trigger)
            return (await recorder.record(replace(one, context_digest=digest))).sample.scenario

        await scenario(1, Trigger.SAVE, "as it was", "theirs")
        assert await scenario(2, Trigger.COMPARE, "with a line more", "changed") is Scenario.DEPS_CHANGE
        assert await scenario(3, Trigger.COMPARE, "with another line", "changed again") is Scenario.DEPS_CHANGE
        assert await scenario(4, Trigger.SAVE, "saved", "theirs") is Scenario.CODE_CHANGE
        assert await scenario(5, Trigger.SAVE, "saved", "their new ones") is Scenario.DEPS_CHANGE
    finally:
        await recorder.close()


async def test_a_cancelled_command_waits_for_its_build_to_end() -> None:
    began, cancelled, ended = asyncio.Event(), asyncio.Event(), []

    async def build() -> None:
        began.set()
        await cancelled.wait()
        ended.append("in order")

    waiting = asyncio.create_task(to_its_end(build(), cancelled.set))
    await began.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended == ["in order"]


def test_a_session_that_runs_on_the_project_is_noticed(tmp_path: Path) -> None:
    history = tmp_path / "demo-0123.db"
    assert not _is_served(history, "demo")
    session = project_lock(history.with_suffix(".lock"), "demo")
    session.take()
    assert _is_served(history, "demo")
    session.release()
    assert not _is_served(history, "demo"), "looking takes nothing away"
