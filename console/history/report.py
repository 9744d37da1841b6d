"""A comparison as text that others read: Markdown for a pull request or a job summary, JSON for scripts. Pure.

All figures but the time of a pull are from one run. What comes from a project (names, instructions, paths) is never
taken for Markdown.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any

from console import format as fmt
from console.history.budget import Judged
from console.history.statistics import CONFIDENCE, LEAST, fences
from console.measurements import Comparison, ImageBytes, PullTime, StageTime, TargetCheck
from console.model import Scenario

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
    Scenario.DEPS_CHANGE: "One line is added to {edited}, a list of dependencies, and both tracks build that, with a "
    "warm cache: legacy its image, the split track a base and then the app on it.",
    Scenario.NO_CHANGE: "The source that was built last is built again.",
}
_MARKUP = re.compile(r"[\\`*|]|<(?=[A-Za-z/!?])|](?=[(\[])|(?<![^\W_])_|_(?![^\W_])|~~|&(?=#?\w+;)")
"""What GitHub would take for markup within a line."""
_MARKS = {True: "✔", False: "✘", None: "–"}


@dataclass(frozen=True, slots=True)
class Measured:
    """One scenario: both tracks' builds, all from one run."""

    comparison: Comparison
    base_ms: tuple[float, ...] = ()
    """Durations of base builds."""
    app_ms: tuple[float, ...] = ()
    """Durations of app builds where the split track builds a base as well; else they are its own."""
    edited: str = ""
    """The file that was edited, relative to the project's folder; empty where none was."""
    notes: tuple[str, ...] = ()
    """What a reader of the figures should know; plain text."""

    @property
    def times_ms(self) -> dict[str, tuple[float, ...]]:
        """Every duration that counts, by the name of its figure (see `budget`)."""
        legacy, split = self.comparison.legacy, self.comparison.split
        split_ms = split.recent_ms if split else ()
        return {
            "legacy": legacy.recent_ms if legacy else (),
            "split": split_ms,
            "app": self.app_ms or split_ms,
            "base": self.base_ms,
        }


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
    judged: tuple[Judged, ...] = ()
    """What became of the budgets."""
    targets: tuple[TargetCheck, ...] = ()
    """The plan's."""
    images: ImageBytes = field(default_factory=ImageBytes)
    pull: PullTime | None = None
    """What pulling the base takes; None where that was never measured."""
    no_pull: str = ""
    """Why it was not; plain text."""


def to_markdown(report: Report) -> str:
    """The report as GitHub shows Markdown."""
    parts = [f"## {_plain(report.project)}: legacy against split"]
    for measured in report.measured:
        parts += _scenario(measured, report)
    if report.targets:
        rows = [(_plain(each.label), _plain(each.measured), _MARKS[each.met]) for each in report.targets]
        parts += ["### Targets of the plan", _table(("target", "measured", "met"), "lrl", rows)]
    parts += _images(report.images)
    if report.judged:
        parts += ["### Budgets", _table(("budget", "measured", "met"), "lrl", map(_judged_row, report.judged))]
    date = datetime.fromtimestamp(report.measured_at, timezone.utc)
    parts.append(
        f"Measured by {_code(report.command)} on {date:%Y-%m-%d}, the tracks taking turns: {_plain(report.engine)}; "
        f"{_plain(report.machine)}; splitdeck {report.version}."
    )
    return "\n\n".join(parts) + "\n"


def to_json(report: Report) -> str:
    """The report as one JSON object; times in milliseconds, sizes uncompressed, what was not measured null."""
    date = datetime.fromtimestamp(report.measured_at, timezone.utc)
    value = {
        "project": report.project,
        "measured_at": date.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "command": report.command,
        "engine": report.engine,
        "machine": report.machine,
        "splitdeck": report.version,
        "scenarios": [_scenario_value(measured) for measured in report.measured],
        "pull": None if report.pull is None else asdict(report.pull),
        "no_pull": report.no_pull or None,
        "targets": [{"target": each.label, "measured": each.measured, "met": each.met} for each in report.targets],
        "images": {f"{name}_bytes": count for name, count in asdict(report.images).items()},
        "budgets": [
            {"budget": each.budget.text, "measured": each.measured, "limit": each.budget.limit, "met": each.met}
            for each in report.judged
        ],
    }
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _scenario(measured: Measured, report: Report) -> Iterable[str]:
    comparison = measured.comparison
    scenario, verdict = comparison.scenario, comparison.verdict
    yield f"### {_TITLES[scenario]}"
    if verdict is not None:
        yield f"**{_plain(verdict.sentence)}**"
    yield _MEANINGS[scenario].format(edited=_code(measured.edited))
    yield _table(("build", "n", "median", "spread"), "lrrl", _builds(measured))
    yield _speedup(measured)
    if scenario is Scenario.COLD and (report.pull or report.no_pull):
        yield _pull(report)
    if comparison.stages:
        rows = [_stage_row(stage) for stage in comparison.stages if stage.legacy_ms or stage.split_ms or stage.in_base]
        yield _table(("stage, in the median build", "legacy", "split", "saved"), "lrrr", rows)
    if verdict is not None and verdict.advice:
        yield "What would gain more:"
        yield "\n".join(f"- {_plain(advice)}" for advice in verdict.advice)
    yield from map(_plain, measured.notes)


def _builds(measured: Measured) -> Iterable[Sequence[str]]:
    times = measured.times_ms
    yield _build_row("legacy", times["legacy"])
    match measured.comparison.scenario:
        case Scenario.DEPS_CHANGE:
            yield _build_row("base and app", times["split"])
            yield _build_row("of that, base", times["base"])
            yield _build_row("of that, app", times["app"])
        case Scenario.COLD:
            yield _build_row("app, on the present base", times["app"])
            yield _build_row("base, where it is built", times["base"])
        case _:
            yield _build_row("app", times["app"])


def _build_row(name: str, times_ms: Sequence[float]) -> Sequence[str]:
    if not times_ms:
        return name, "0", "–", "not measured"
    spread = f"{fmt.duration(min(times_ms))} – {fmt.duration(max(times_ms))}"
    far = ", ".join(map(fmt.duration, _outliers(times_ms)))
    if far:
        spread += f"; far from the others: {far}"
    return name, str(len(times_ms)), fmt.duration(statistics.median(times_ms)), spread


def _outliers(times_ms: Sequence[float]) -> list[float]:
    low, high = fences(times_ms)
    return [each for each in times_ms if not low <= each <= high]


def _speedup(measured: Measured) -> str:
    comparison = measured.comparison
    if comparison.speedup is None:
        return "Speedup: not measured, as a side is missing."
    split = "base and app together" if comparison.scenario is Scenario.DEPS_CHANGE else "app median"
    text = f"Speedup {fmt.speedup(comparison.speedup)} (legacy median ÷ {split}"
    interval = comparison.interval
    if interval is None:
        text += f"; no interval with fewer than {LEAST} builds a side)"
    else:
        text += (
            f"; {CONFIDENCE * 100:.0f} % bootstrap interval {fmt.speedup(interval[0])} – {fmt.speedup(interval[1])})"
        )
        if interval[0] <= 1 <= interval[1]:
            text += ": no difference that these builds can show"
    return f"**{text}.**"


def _pull(report: Report) -> str:
    if report.pull is None:
        return f"Pulling the base was not measured here: {_plain(report.no_pull)}."
    pull = report.pull
    took = f"{fmt.duration(pull.median_ms)} (n={pull.n}, {fmt.size(pull.size_bytes)})"
    return f"Pulling the base: {took}, as measured here whenever all of it was pulled; in no figure above."


def _images(images: ImageBytes) -> Iterable[str]:
    above = None if images.app is None or images.base is None else images.app - images.base
    weights = [
        *([] if images.base is None else [f"base {fmt.size(images.base)}"]),
        *([] if above is None else [f"app {fmt.size(above)} above it"]),
        *([] if images.app is None or above is not None else [f"app {fmt.size(images.app)}"]),
        *([] if images.legacy is None else [f"legacy {fmt.size(images.legacy)}"]),
    ]
    pulls = [
        f"{fmt.size(count)} of the {name} image"
        for name, count in (("app", images.app_pull), ("legacy", images.legacy_pull))
        if count is not None
    ]
    if weights:
        text = f"Images, uncompressed: {', '.join(weights)}."
        if pulls:
            text += f" After this code change, whoever has the image before it pulls {' or '.join(pulls)}."
        yield text


def _stage_row(stage: StageTime) -> Sequence[str]:
    legacy, split = stage.legacy_ms, stage.split_ms
    saved = None if legacy is None or split is None else legacy - split
    return (
        _plain(stage.stage),
        fmt.duration(legacy),
        "in base" if stage.in_base else fmt.duration(split),
        f"−{fmt.duration(-saved)}" if saved is not None and saved <= -0.5 else fmt.duration(saved and abs(saved)),
    )


def _judged_row(judged: Judged) -> Sequence[str]:
    return _code(judged.budget.text, in_cell=True), judged.figure, _MARKS[judged.met]


def _scenario_value(measured: Measured) -> Mapping[str, Any]:
    comparison = measured.comparison
    interval, verdict = comparison.interval, comparison.verdict
    times = measured.times_ms
    return {
        "scenario": comparison.scenario.value,
        "edited": fmt.printable(measured.edited) or None,
        "verdict": None if verdict is None else {"sentence": verdict.sentence, "advice": list(verdict.advice)},
        "legacy": _times_value(times["legacy"]),
        "split": _times_value(times["split"]),
        "app": _times_value(times["app"]),
        "base": _times_value(times["base"]),
        "speedup": comparison.speedup,
        "speedup_interval": None if interval is None else list(interval),
        "confidence": None if interval is None else CONFIDENCE,
        "reduction": comparison.reduction,
        "stages": [
            {"stage": each.stage, "legacy_ms": each.legacy_ms, "split_ms": each.split_ms, "in_base": each.in_base}
            for each in comparison.stages
        ],
        "notes": list(measured.notes),
    }


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
        "outliers_ms": _outliers(times_ms),
    }


def _table(head: Sequence[str], alignment: str, rows: Iterable[Sequence[str]]) -> str:
    """A table; `alignment` has an `l` or `r` for each column."""
    rule = ["--:" if side == "r" else "---" for side in alignment]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _code(text: str, *, in_cell: bool = False) -> str:
    """A file's name or an expression as code, on one line; in a cell of a table a bar has to be escaped even so."""
    text = fmt.printable(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    code = f"{fence} {text} {fence}" if "`" in text else f"{fence}{text}{fence}"
    return code.replace("|", "\\|") if in_cell else code


def _plain(text: str) -> str:
    """Text as text, on one line; also in a cell of a table."""
    return _MARKUP.sub(r"\\\g<0>", fmt.printable(text))
