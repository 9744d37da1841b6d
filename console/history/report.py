"""A comparison as text that others read: Markdown for a pull request or a job summary, JSON for scripts. Pure."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from console import format as fmt
from console.history.budget import Verdict
from console.history.statistics import CONFIDENCE, LEAST, speedup_interval
from console.measurements import Comparison, StageTime, TrackSummary
from console.model import Scenario, Target

_TITLES = {
    Scenario.COLD: "Cold",
    Scenario.CODE_CHANGE: "Code change",
    Scenario.DEPS_CHANGE: "Change of dependencies",
    Scenario.NO_CHANGE: "No change",
}
_MEANINGS = {
    Scenario.COLD: "Nothing comes from a cache: what CI and a fresh machine pay. The base counts as present (pulled); "
    "building it is measured beside it and in no other figure here.",
    Scenario.CODE_CHANGE: "One line is added to {edited}, and both tracks build that, with a warm cache.",
    Scenario.DEPS_CHANGE: "An input of the base is changed.",
    Scenario.NO_CHANGE: "The source that was built last is built again.",
}
_MARKS = {True: "✔", False: "✘", None: "–"}


@dataclass(frozen=True, slots=True)
class Measured:
    """One scenario: both tracks' builds, all from one run."""

    comparison: Comparison
    base_ms: tuple[float, ...] = ()
    """Durations of base builds."""
    edited: str = ""
    """The file that was edited, relative to the project's folder; empty where none was."""
    notes: tuple[str, ...] = ()
    """What a reader of the figures should know."""

    @property
    def times_ms(self) -> dict[Target, tuple[float, ...]]:
        """Every duration that counts, by target."""
        legacy, split = self.comparison.legacy, self.comparison.split
        return {
            Target.LEGACY: legacy.recent_ms if legacy else (),
            Target.APP: split.recent_ms if split else (),
            Target.BASE: self.base_ms,
        }

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of the speedup; None where a side has too few builds."""
        times = self.times_ms
        return speedup_interval(times[Target.LEGACY], times[Target.APP])


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was measured in one run, and where."""

    project: str
    measured: tuple[Measured, ...]
    command: str
    """What reproduces it, in the project's folder."""
    engine: str
    machine: str
    measured_at: float
    """Seconds since 1970."""
    version: str
    """Of splitdeck."""
    verdicts: tuple[Verdict, ...] = ()


def to_markdown(report: Report) -> str:
    """The report as GitHub shows Markdown."""
    parts = [f"## {report.project}: legacy against split"]
    for measured in report.measured:
        parts += _scenario(measured)
    if report.verdicts:
        parts += ["### Budgets", _table(("budget", "measured", "met"), "lrl", map(_verdict_row, report.verdicts))]
    date = datetime.fromtimestamp(report.measured_at, timezone.utc)
    parts.append(
        f"Measured by `{report.command}` on {date:%Y-%m-%d}, the tracks taking turns: {report.engine}; "
        f"{report.machine}; splitdeck {report.version}."
    )
    return "\n\n".join(parts) + "\n"


def to_json(report: Report) -> str:
    """The report as one JSON object; times in milliseconds, what was not measured null."""
    date = datetime.fromtimestamp(report.measured_at, timezone.utc)
    value = {
        "project": report.project,
        "measured_at": date.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "command": report.command,
        "engine": report.engine,
        "machine": report.machine,
        "splitdeck": report.version,
        "scenarios": [_scenario_value(measured) for measured in report.measured],
        "budgets": [
            {"budget": each.budget.text, "measured": each.measured, "limit": each.budget.limit, "met": each.met}
            for each in report.verdicts
        ],
    }
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _scenario(measured: Measured) -> Iterable[str]:
    comparison = measured.comparison
    scenario = comparison.scenario
    yield f"### {_TITLES[scenario]}"
    yield _MEANINGS[scenario].format(edited=_code(measured.edited))
    yield _table(("build", "n", "median", "spread"), "lrrl", _builds(measured))
    yield _speedup(measured)
    if comparison.stages:
        rows = [_stage_row(stage) for stage in comparison.stages if stage.legacy_ms or stage.split_ms or stage.in_base]
        yield _table(("stage, in the median build", "legacy", "split", "saved"), "lrrr", rows)
    yield _table(
        ("target", "measured", "met"), "lrl", [(t.label, t.measured, _MARKS[t.met]) for t in comparison.targets]
    )
    yield from measured.notes


def _builds(measured: Measured) -> Iterable[Sequence[str]]:
    split = "app, on the present base" if measured.comparison.scenario is Scenario.COLD else "app"
    times = measured.times_ms
    yield _build_row("legacy", times[Target.LEGACY])
    yield _build_row(split, times[Target.APP])
    if measured.base_ms:
        yield _build_row("base, where it is built", measured.base_ms)


def _build_row(name: str, times_ms: Sequence[float]) -> Sequence[str]:
    if not times_ms:
        return name, "0", "–", "not measured"
    spread = f"{fmt.duration(min(times_ms))} – {fmt.duration(max(times_ms))}"
    return name, str(len(times_ms)), fmt.duration(statistics.median(times_ms)), spread


def _speedup(measured: Measured) -> str:
    comparison = measured.comparison
    if comparison.speedup is None:
        return "Speedup: not measured, as a side is missing."
    text = f"Speedup {fmt.speedup(comparison.speedup)} (legacy median ÷ app median"
    interval = measured.interval
    if interval is None:
        text += f"; no interval with fewer than {LEAST} builds a side)"
    else:
        text += (
            f"; {CONFIDENCE * 100:.0f} % bootstrap interval {fmt.speedup(interval[0])} – {fmt.speedup(interval[1])})"
        )
        if interval[0] <= 1 <= interval[1]:
            text += ": no difference that these builds can show"
    return f"**{text}.**"


def _stage_row(stage: StageTime) -> Sequence[str]:
    legacy, split = stage.legacy_ms, stage.split_ms
    saved = None if legacy is None or split is None else legacy - split
    return (
        _escaped(stage.stage),
        fmt.duration(legacy),
        "in base" if stage.in_base else fmt.duration(split),
        f"−{fmt.duration(-saved)}" if saved is not None and saved <= -0.5 else fmt.duration(saved and abs(saved)),
    )


def _verdict_row(verdict: Verdict) -> Sequence[str]:
    return _code(verdict.budget.text), verdict.figure, _MARKS[verdict.met]


def _scenario_value(measured: Measured) -> Mapping[str, Any]:
    comparison = measured.comparison
    interval = measured.interval
    return {
        "scenario": comparison.scenario.value,
        "edited": fmt.printable(measured.edited) or None,
        "legacy": _track_value(comparison.legacy),
        "split": _track_value(comparison.split),
        "base": _times_value(measured.base_ms),
        "speedup": comparison.speedup,
        "speedup_interval": None if interval is None else list(interval),
        "confidence": None if interval is None else CONFIDENCE,
        "reduction": comparison.reduction,
        "stages": [
            {"stage": each.stage, "legacy_ms": each.legacy_ms, "split_ms": each.split_ms, "in_base": each.in_base}
            for each in comparison.stages
        ],
        "targets": [{"target": each.label, "measured": each.measured, "met": each.met} for each in comparison.targets],
        "notes": list(measured.notes),
    }


def _track_value(summary: TrackSummary | None) -> Mapping[str, Any] | None:
    return None if summary is None else _times_value(summary.recent_ms)


def _times_value(times_ms: Sequence[float]) -> Mapping[str, Any] | None:
    if not times_ms:
        return None
    return {
        "n": len(times_ms),
        "median_ms": statistics.median(times_ms),
        "min_ms": min(times_ms),
        "max_ms": max(times_ms),
        "mean_ms": statistics.fmean(times_ms),
        "times_ms": list(times_ms),
    }


def _table(head: Sequence[str], alignment: str, rows: Iterable[Sequence[str]]) -> str:
    """A table; `alignment` has an `l` or `r` for each column."""
    rule = ["--:" if side == "r" else "---" for side in alignment]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _code(text: str) -> str:
    """A file's name or an expression as code, on one line and in one cell."""
    text = fmt.printable(text).replace("|", "\\|")
    fence = "``" if "`" in text else "`"
    return f"{fence} {text} {fence}" if "`" in text else f"{fence}{text}{fence}"


def _escaped(text: str) -> str:
    """A name from config.toml as plain text in a cell."""
    return fmt.printable(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
