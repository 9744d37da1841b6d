"""A list of builds as text: its columns and headings, a row for each build, or why there is none. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from textual.content import Content

from console.format import age, duration, printable, size
from console.measurements import BuildQuery, ListedBuild
from console.model import BuildStatus
from console.state.app_state import HistoryView
from console.ui.lines import FAINT, MUTED, column, fit, text
from console.ui.widgets.timeline import TRACK_STYLES

MOST_LISTED = 4000
"""Builds that are ever listed at once."""
SORTS = {
    "started_at": "when",
    "duration_ms": "took",
    "scenario": "scenario",
    "target": "image",
    "status": "outcome",
    "image_bytes": "size",
    "save_to_ready_ms": "ready",
}
"""What builds can be sorted by, and what the columns are called."""
STATUS = {
    BuildStatus.OK: ("✔", "ok", "$success"),
    BuildStatus.FAILED: ("✖", "failed", "bold $error"),
    BuildStatus.CANCELLED: ("⊘", "stopped", "$warning"),
    BuildStatus.RUNNING: ("●", "running", "$accent"),
}
_DAY_S = 86400.0
_MONTHS_WITHOUT_YEAR_S = 300 * _DAY_S
_READY_FROM, _WORDS_FROM, _SIZE_FROM = 72, 90, 100
"""Cells from which there is room for a column."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the list."""

    heading: str
    sort: str
    """The field that a click on the heading sorts by; empty for none."""
    cells: int
    right: bool
    made: Callable[[ListedBuild, float], Content]
    """A build's cell, at a moment."""


def columns_of(builds: Sequence[ListedBuild], width: int) -> list[Column]:
    """The columns that there is room for; the last one, with what led to a build, takes what is left."""
    digits = max((len(str(listed.sample.number)) for listed in builds), default=1)
    words = width >= _WORDS_FROM
    columns = [
        Column("build", "started_at", max(digits + 1, 5), True, lambda listed, _: text(f"#{listed.sample.number}")),
        Column("when", "started_at", 7, True, lambda listed, now: text((moment(listed.sample.started_at, now), MUTED))),
        Column("image", "target", 6, False, lambda listed, _: _image(listed)),
        Column("scenario", "scenario", 11, False, lambda listed, _: text(listed.sample.scenario.value)),
        Column(
            "outcome" if words else "", "status", 9 if words else 1, False, lambda listed, _: _status(listed, words)
        ),
        Column("took", "duration_ms", 8, True, lambda listed, _: text(duration(listed.sample.duration_ms))),
        Column("", "", 1, False, lambda listed, _: text(("!" if _marks(listed) else "", "bold $warning"))),
    ]
    if width >= _READY_FROM:
        columns.append(Column("ready", "save_to_ready_ms", 8, True, lambda listed, _: _ready(listed)))
    if width >= _SIZE_FROM:
        columns.append(Column("size", "image_bytes", 8, True, lambda listed, _: _size(listed)))
    room = width - 3 - sum(each.cells + 1 for each in columns)
    return [*columns, Column("why", "", max(room, 0), False, lambda listed, _: _why(listed))]


def column_at(columns: Sequence[Column], x: int) -> Column | None:
    """The column under a cell that builds can be sorted by."""
    left = 2
    for each in columns:
        if left <= x <= left + each.cells:
            return each if each.sort else None
        left += each.cells + 1
    return None


def heading_row(columns: Sequence[Column], query: BuildQuery, width: int) -> Content:
    """The headings; the one that the list is sorted by has an arrow: down where it begins with the greatest."""
    parts = [text("  ")]
    told = False
    for each in columns:
        sorts = each.sort == query.sort and not (each.heading == "build" and query.sort == "started_at") and not told
        told = told or sorts
        words = f"{each.heading}{arrow(query) if sorts else ''}"
        style = "bold $primary" if sorts else MUTED
        parts += [column(words, each.cells, style) if each.right else fit(text((words, style)), each.cells), text(" ")]
    return fit(text(*parts), width)


def arrow(query: BuildQuery) -> str:
    return "▼" if query.descending else "▲"


def build_row(
    listed: ListedBuild, columns: Sequence[Column], now: float, width: int, *, chosen: bool, marked: bool
) -> Content:
    parts = [text(("▸" if chosen else " ", "bold"), ("◆" if marked else " ", "bold $accent"))]
    for each in columns:
        cell = each.made(listed, now)
        parts.append(text(" " * max(each.cells - cell.cell_length, 0), cell) if each.right else fit(cell, each.cells))
        parts.append(text(" "))
    return fit(text(*parts), width)


def moment(at: float, now: float) -> str:
    """How long ago; the date of what is older than a day, with its year where that is not clear."""
    ago = max(now - at, 0.0)
    if ago < _DAY_S:
        return age(ago)
    date = datetime.fromtimestamp(at)  # noqa: DTZ006 - people read their own zone
    return f"{date.day} {date:%b}" if ago < _MONTHS_WITHOUT_YEAR_S else f"{date:%Y-%m}"


def _image(listed: ListedBuild) -> Content:
    target = listed.sample.target
    return text((target.value, TRACK_STYLES[target.track]))


def _status(listed: ListedBuild, words: bool) -> Content:
    sign, word, style = STATUS[listed.sample.status]
    return text((f"{sign} {word}" if words else sign, style))


def _ready(listed: ListedBuild) -> Content:
    ms = listed.sample.save_to_ready_ms
    return text((duration(ms), "" if ms is not None else FAINT))


def _size(listed: ListedBuild) -> Content:
    count = listed.sample.image_bytes
    return text((size(count) if count else "–", MUTED if count else FAINT))


def _why(listed: ListedBuild) -> Content:
    """Marks first: a figure should not be read without them."""
    sample = listed.sample
    marks = "".join(f"{mark} " for mark in _marks(listed))
    return text((marks, "$warning"), (printable(sample.reason) or sample.trigger.value, MUTED))


def _marks(listed: ListedBuild) -> list[str]:
    return [mark.value for mark in listed.marks] + (["disturbed"] if listed.sample.disturbed else [])


def empty_row(history: HistoryView, query: BuildQuery, line: int, width: int) -> Content:
    """Why there is no row."""
    if history.builds is None:
        lines = [("looking…", MUTED)]
    elif query.target or query.scenario or query.status:
        lines = [("No such build is in the history.", MUTED), ("i, c and o choose others.", FAINT)]
    else:
        lines = [
            ("No build is in the history yet.", MUTED),
            ("The first one that is made will be listed here.", FAINT),
        ]
    return fit(text(lines[line] if line < len(lines) else ""), width)


def more_row(history: HistoryView, width: int) -> Content:
    """What comes after the last row."""
    left = f"{history.total - len(history.builds or ()):,} more"
    full = history.query.limit >= MOST_LISTED
    said = f"  … {left}: no more are listed at once, i, c and o choose among them" if full else f"  … {left}"
    return fit(text((said, FAINT)), width)


def list_title(history: HistoryView, query: BuildQuery) -> Content:
    """How many are listed of what, in which order."""
    count = "" if history.builds is None else f" {len(history.builds):,} of {history.total:,}"
    chosen = [value.value for value in (query.target, query.scenario, query.status) if value is not None]
    shown = " · ".join([*(chosen or ["all"]), f"by {SORTS[query.sort]} {arrow(query)}"])
    asked = "" if history.builds is None or history.query == query else " · looking…"
    return text(f"Builds{count}", (f" · {shown}{asked}", "not bold"))
