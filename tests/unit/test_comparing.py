"""`splitdeck compare` without an engine: what is refused before anything is built, and what becomes of a report."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from console import cli_compare, comparing
from console.cli_compare import compare
from console.compare_bench import to_its_end
from console.comparing import MEASURES, Wish, check_wish
from console.config import Config, TargetsConfig
from console.errors import ConfigError, EngineUnreachableError, ExitCode
from console.history.budget import judge
from console.history.compare import compare as compared
from console.history.report import Measured, Report
from console.history.stages import StageRules
from console.measurements import Sample
from console.model import BuildStatus, Scenario, Target
from tests.fakes import make_project


def command(*arguments: str, cwd: Path) -> tuple[int, str, str, BaseException | None]:
    """Runs the command as the command line does, but for what it makes of errors."""
    app = typer.Typer()
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
            comparison = compared(samples[:1], samples[1:], scenario, targets=TargetsConfig(), rules=StageRules())
            parts.append(Measured(comparison, edited="app.py"))
        found = {part.comparison.scenario: part for part in parts}
        verdicts = tuple(judge(budget, found[budget.scenario].times_ms) for budget in wish.budgets)
        return Report(config.project.name, tuple(parts), wish.command, "engine", "machine", 1.0, "1", verdicts)

    monkeypatch.setattr(comparing, "measure", measure)
    return wishes


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--budget", "app.code-change.p95<60s"], "'p95' is no statistic"),
        (["--budget", "app.no-change.p50<60s"], "no-change is not measured"),
        (["--scenario", "code-change", "--budget", "app.cold.p50<60s"], "cold is not measured"),
        (["--budget", "base.code-change.p50<60s"], "no base build is measured in code-change"),
        (["--scenario", "deps-change"], "deps-change cannot be measured by this command yet"),
        (["--format", "svg"], "there is no picture of a comparison yet"),
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


def test_every_scenario_but_one_can_be_measured(tmp_path: Path) -> None:
    config = make_project(tmp_path)
    check_wish(config, Wish(tuple(MEASURES), 1, ""))
    assert set(Scenario) - MEASURES.keys() == {Scenario.DEPS_CHANGE}


def test_a_build_that_turned_out_to_be_something_else_is_told() -> None:
    builds = [
        sample(Target.APP, Scenario.NO_CHANGE, 1),
        sample(Target.APP, Scenario.DEPS_CHANGE, 1),
        sample(Target.APP, Scenario.CODE_CHANGE, 1),
    ]
    legacy = [sample(Target.LEGACY, Scenario.CODE_CHANGE, 1)]
    told = list(comparing.left_out({Target.APP: builds, Target.LEGACY: legacy}, Scenario.CODE_CHANGE))
    assert told == ["2 app builds turned out to be no-change, deps-change, which no figure here counts."]


def test_a_cache_that_no_cache_does_not_switch_off_is_told(tmp_path: Path) -> None:
    config = make_project(tmp_path)
    assert list(comparing.cache_mounts(config)) == []
    text = (
        "FROM scratch\nRUN --mount=type=bind,target=/x true\nRUN --mount=type=cache,target=/pip \\\n  pip install x\n"
    )
    (tmp_path / "Dockerfile.legacy").write_text(f"{text}RUN --mount=target=/y,type=cache true\n")
    (told,) = comparing.cache_mounts(config)
    assert told.startswith("`Dockerfile.legacy:3,5` mounts a cache")


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
