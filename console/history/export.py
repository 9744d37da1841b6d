"""The history as text that leaves splitdeck: a table for people, JSON and CSV for scripts (docs/history.md). Pure.

JSON and CSV come piece by piece, so that a long history is never held as one text.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from itertools import islice
from operator import attrgetter
from typing import Any

from console import format as fmt
from console.event_json import iso_time, json_value
from console.measurements import Comparison, Findings, ImageBytes, Ledger, ListedBuild, Period, Sample, TrackSummary

DETAILS = ("steps", "causes", "layers")
"""What of a build is only told where it is asked for."""
FIELDS = ("number", *(item.name for item in fields(Sample) if item.name not in ("number", *DETAILS)), "marks")
"""Of a build: the keys of a JSON object and the columns of CSV, in this order."""
_FOREIGN = ("engine", "machine", "disturbed", "reason", "revision")
"""Text that others chose, if only in part."""
_FORMULA = "=+-@\t\r"
_AT_ONCE = 500
_HEADS = ("#", "began", "image", "scenario", "status", "took", "ready", "marks", "reason")
_RIGHT = frozenset({"#", "took", "ready"})
_MET = {True: "✔", False: "✘", None: "?"}
_LEAST_REASON = 12
_INDENT = "  "


@dataclass(frozen=True, slots=True)
class Summary:
    """What the history says on the engine and machine of its newest build."""

    engine: str
    machine: str
    findings: Findings


# -- for scripts ------------------------------------------------------------------------------------------------------


def to_json(builds: Iterable[ListedBuild], total: int, summary: Summary | None, *, details: bool) -> Iterator[str]:
    """One JSON object: each build on a line of its own, plain ASCII.

    Args:
        builds: Those wanted.
        total: How many there are of the kind that was asked for.
        summary: None while nothing was measured.
        details: Whether steps, causes and layers are told; then the builds must have them.
    """
    yield f'{{"total": {total}, "builds": ['
    separator = "\n"
    for build in builds:
        value = _row(build)
        if details:
            value |= {name: json_value(getattr(build.sample, name), name) for name in DETAILS}
        yield f"{separator}{json.dumps(value)}"
        separator = ",\n"
    told = None if summary is None else _summary_value(summary)
    yield f'\n], "summary": {json.dumps(told, indent=2)}}}\n'


def to_csv(builds: Iterable[ListedBuild]) -> Iterator[str]:
    """A header, then a line for each build, as RFC 4180 has it.

    No cell is taken for a formula by a spreadsheet: text that begins like one gets a `'` before it.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(FIELDS)
    rows = map(_cells, builds)
    while True:
        yield text.getvalue()
        text.seek(0)
        text.truncate()
        writer.writerows(islice(rows, _AT_ONCE))
        if not text.tell():
            return


def _row(build: ListedBuild) -> dict[str, Any]:
    values = _values(build.sample, _MADE)
    return {**dict(zip(FIELDS, values, strict=False)), "marks": [mark.value for mark in build.marks]}


def _cells(build: ListedBuild) -> list[Any]:
    return [*_values(build.sample, _MADE_CELLS), " ".join(mark.value for mark in build.marks)]


def _values(sample: Sample, made: Mapping[int, Callable[[Any], Any]]) -> list[Any]:
    """All fields but the marks. As quick as can be: a history may have a hundred thousand builds."""
    values = list(_ALL_OF(sample))
    for at, make in made.items():
        values[at] = make(values[at])
    return values


def _word(value: Enum) -> Any:
    return value.value


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _harmless(text: str) -> str:
    return f"'{text}" if text[:1] in _FORMULA and text else text


_ALL_OF = attrgetter(*FIELDS[:-1])
_MADE: Mapping[int, Callable[[Any], Any]] = {
    **{FIELDS.index(name): _word for name in ("target", "scenario", "status", "trigger")},
    **{FIELDS.index(name): _rounded for name in ("duration_ms", "context_ms", "save_to_ready_ms")},
    FIELDS.index("started_at"): iso_time,
}
"""What a value becomes, by its place: as events have it."""
_MADE_CELLS: Mapping[int, Callable[[Any], Any]] = {
    **_MADE,
    FIELDS.index("no_cache"): lambda value: "true" if value else "false",
    **{FIELDS.index(name): _harmless for name in _FOREIGN},
}


def _summary_value(summary: Summary) -> Mapping[str, Any]:
    found = summary.findings
    ledger = found.ledger
    return {
        "engine": summary.engine,
        "machine": summary.machine,
        "scenarios": [_scenario_value(comparison) for comparison in found.scenarios],
        "targets": [{"target": each.label, "measured": each.measured, "met": each.met} for each in found.targets],
        "ledger": {
            "today": _period_value(ledger.today),
            "week": _period_value(ledger.week),
            "in_all": _period_value(ledger.in_all),
            "base_build_ms": _rounded(ledger.base_build_ms),
            "gain_ms": _rounded(ledger.gain_ms),
            "saves_until_paid": ledger.saves_until_paid,
        },
        "images": {f"{item.name}_bytes": getattr(found.images, item.name) for item in fields(ImageBytes)},
        "base_cold_ms": _rounded(found.base_cold_ms),
        "pull": json_value(found.pull),
    }


def _scenario_value(comparison: Comparison) -> Mapping[str, Any]:
    verdict = comparison.verdict
    return {
        "scenario": comparison.scenario.value,
        "legacy": _track_value(comparison.legacy),
        "split": _track_value(comparison.split),
        "speedup": _rounded(comparison.speedup),
        "speedup_interval": json_value(comparison.interval),
        "reduction": None if comparison.reduction is None else round(comparison.reduction, 5),
        "stages": json_value(comparison.stages),
        "elsewhere": json_value(comparison.elsewhere),
        "verdict": None if verdict is None else verdict.sentence,
        "advice": [] if verdict is None else list(verdict.advice),
    }


def _track_value(summary: TrackSummary | None) -> Mapping[str, Any] | None:
    if summary is None:
        return None
    value: dict[str, Any] = json_value(summary)
    value["times_ms"] = value.pop("recent_ms")
    return value


def _period_value(period: Period) -> Mapping[str, Any]:
    value: dict[str, Any] = json_value(period)
    return {**value, "net_ms": _rounded(period.net_ms)}


# -- for people -------------------------------------------------------------------------------------------------------


def table_lines(builds: Sequence[ListedBuild], total: int, width: int | None = None) -> list[str]:
    """The builds with their most telling figures, and how many there are besides.

    Args:
        builds: Those wanted.
        total: How many there are of the kind that was asked for.
        width: Of the terminal; reasons are cut there. None where nothing is to be cut.
    """
    rows = [_HEADS, *map(_table_row, builds)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEADS))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(room) if head in _RIGHT else cell.ljust(room)
            for head, cell, room in zip(_HEADS, row, widths, strict=True)
        ]
        line = "  ".join(cells).rstrip()
        start = len("  ".join(cells[:-1])) + 2
        if width is not None and len(line) > max(width, start + _LEAST_REASON):
            line = f"{line[: max(width, start + _LEAST_REASON) - 1]}…"
        lines.append(line)
    if total > len(builds):
        lines.append(f"{len(builds):,} of {fmt.plural(total, 'build')}; `--limit` shows more")
    return lines


def summary_lines(summary: Summary) -> list[str]:
    """What both tracks take, what that means, the plan's targets, the account, and what images weigh."""
    findings = summary.findings
    lines = [f"legacy against split, on {fmt.printable(summary.engine)}; {fmt.printable(summary.machine)}"]
    for comparison in findings.scenarios:
        lines += _scenario_lines(comparison)
    if not findings.scenarios:
        lines.append(f"{_INDENT}neither is measured there")
    if findings.targets:
        lines += ["", "targets"]
        longest = max(len(target.label) for target in findings.targets)
        lines += [f"{_INDENT}{_MET[each.met]} {each.label:<{longest}}  {each.measured}" for each in findings.targets]
    lines += _ledger_lines(findings.ledger)
    if images := _images(findings.images):
        lines += ["", f"images, uncompressed: {images}"]
    return lines


def _table_row(build: ListedBuild) -> Sequence[str]:
    sample = build.sample
    marks = [mark.value for mark in build.marks]
    return (
        str(sample.number),
        f"{datetime.fromtimestamp(sample.started_at):%Y-%m-%d %H:%M}",  # noqa: DTZ006 - people read their own zone
        sample.target.value,
        sample.scenario.value,
        sample.status.value,
        fmt.duration(sample.duration_ms),
        fmt.duration(sample.save_to_ready_ms),
        ", ".join([*marks, "disturbed"] if sample.disturbed else marks),
        fmt.printable(sample.reason),
    )


def _scenario_lines(comparison: Comparison) -> Iterator[str]:
    sides = ", ".join(
        f"{name} not measured" if side is None else f"{name} {fmt.duration(side.median_ms)} (n={side.n})"
        for name, side in (("legacy", comparison.legacy), ("split", comparison.split))
    )
    ratio = ""
    if comparison.speedup is not None:
        ratio = f", {fmt.speedup(comparison.speedup)}"
        if comparison.interval is not None:
            low, high = map(fmt.speedup, comparison.interval)
            ratio += f" ({low} – {high})"
    yield f"{_INDENT}{comparison.scenario.value}: {sides}{ratio}"
    if comparison.verdict is not None:
        yield f"{2 * _INDENT}{fmt.printable(comparison.verdict.sentence)}"
        yield from (f"{2 * _INDENT}– {fmt.printable(advice)}" for advice in comparison.verdict.advice)


def _ledger_lines(ledger: Ledger) -> Iterator[str]:
    spans = [("today", ledger.today), ("this week", ledger.week), ("in all", ledger.in_all)]
    told = [(name, span) for name, span in spans if span != Period()]
    if not told:
        return
    yield ""
    yield "account"
    for name, span in told:
        saved = f"saved {_signed(span.saved_ms)} in {fmt.plural(span.builds, 'app build')}"
        pulls = f" and {fmt.plural(span.pulls, 'pull')}" if span.pulls else ""
        cost = f"base cost {fmt.duration(span.base_ms)} in {fmt.plural(span.base_builds, 'build')}{pulls}"
        yield f"{_INDENT}{name:<9}  {saved}, {cost}, net {_signed(span.net_ms)}"
    if ledger.saves_until_paid is not None:
        yield f"{_INDENT}a base build pays off after {fmt.plural(ledger.saves_until_paid, 'save')}"
    if unpriced := ledger.in_all.unpriced:
        yield f"{_INDENT}{fmt.plural(unpriced, 'app build')} not counted: legacy not measured in their scenario"


def _signed(ms: float) -> str:
    return fmt.duration(ms) if ms >= 0 else f"−{fmt.duration(-ms)}"


def _images(images: ImageBytes) -> str:
    parts = [
        (name, count)
        for name, count in (("base", images.base), ("app with its base", images.app), ("legacy", images.legacy))
        if count is not None
    ]
    pulls = [
        (name, count) for name, count in (("app", images.app_pull), ("legacy", images.legacy_pull)) if count is not None
    ]
    told = [f"{name} {fmt.size(count)}" for name, count in parts]
    if pulls:
        told.append(f"a teammate pulls {', '.join(f'{fmt.size(count)} ({name})' for name, count in pulls)}")
    return " · ".join(told)
