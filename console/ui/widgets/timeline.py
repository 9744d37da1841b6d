"""The timeline of a build: a bar for each step on one axis of time, so that parallel steps are seen as such. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content

from console.format import printable
from console.measurements import Sample
from console.model import Interval, Step, StepKind, StepStatus, Track
from console.state.words import step_took, took
from console.ui.lines import FAINT, MUTED, column, fit, text

_FIGURE = 9
_SHORTEST_NAME, _SHORTEST_BAR = 10, 8
_NAME_SHARE = 0.42
_TICK_CELLS = 9
_TICKS_S = (
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
)
_PREFIX = re.compile(r"^\[[^\]]*\]\s*")
_MARKS = {
    StepStatus.FAILED: ("✖", "bold $error"),
    StepStatus.CANCELLED: ("⊘", "$warning"),
    StepStatus.RUNNING: ("⊘", "$warning"),
}
TRACK_STYLES = {Track.LEGACY: "$track-legacy", Track.SPLIT: "$track-split"}


@dataclass(frozen=True, slots=True)
class Axis:
    """Where a moment stands in a row of cells; each has two halves."""

    start: float
    """Seconds since 1970, on the clock of the steps."""
    total_s: float
    cells: int

    @classmethod
    def of(cls, sample: Sample, cells: int) -> Axis:
        """From the build's start to its end.

        A builder on another machine may have another clock: where its steps are not within the build by ours, the last
        of them is taken to end with the build.
        """
        total = sample.duration_ms / 1000
        spans = [interval for step in sample.steps for interval in intervals_of(step)]
        if not spans:
            return cls(sample.started_at, total, cells)
        first, last = min(start for start, _ in spans), max(end for _, end in spans)
        total = max(total, last - first)
        within = sample.started_at <= first and last <= sample.started_at + total
        return cls(sample.started_at if within else last - total, total, cells)

    def place(self, at: float) -> float:
        """In cells from the left, within the axis."""
        share = (at - self.start) / self.total_s if self.total_s > 0 else 0.0
        return min(max(share, 0.0), 1.0) * self.cells

    @property
    def ticks_s(self) -> list[float]:
        """Round times from the start on, as many as can be labelled."""
        most = max(self.cells // _TICK_CELLS, 1)
        step = next((step for step in _TICKS_S if self.total_s / step <= most), _TICKS_S[-1])
        while self.total_s / step > most:
            step *= 2
        return [index * step for index in range(int(self.total_s / step) + 1)]

    def bar(self, spans: Sequence[Interval]) -> str:
        """The spans in halves of cells; each shows at least one half."""
        halves = [False] * (self.cells * 2)
        for start, end in spans:
            left = min(math.floor(self.place(start) * 2), len(halves) - 1)
            for half in range(left, max(math.ceil(self.place(end) * 2), left + 1)):
                halves[half] = True
        pairs = zip(halves[::2], halves[1::2], strict=True)
        return "".join(" ▌▐█"[first + 2 * second] for first, second in pairs)


def intervals_of(step: Step) -> tuple[Interval, ...]:
    """When a step ran; nothing for one from the cache."""
    if step.cached or step.status is StepStatus.PENDING:
        return ()
    if step.intervals or step.started_at is None:
        return step.intervals
    return ((step.started_at, step.started_at + step.duration_ms / 1000),)


def timeline_rows(sample: Sample, width: int) -> list[Content]:
    """The axis, then a row for each step in the order in which they began."""
    steps = in_order(sample.steps)
    if not steps:
        return [fit(text(("Nothing is known of its steps.", MUTED)), width)]
    names = [step_name(step) for step in steps]
    figure = _FIGURE if all(step.exact for step in steps) else _FIGURE + 2
    room = width - 2 - figure
    longest = max(text(name).cell_length for name in names) + 1
    name_cells = max(min(longest, int(room * _NAME_SHARE)), min(_SHORTEST_NAME, room))
    cells = room - name_cells
    if cells < _SHORTEST_BAR:
        name_cells, cells = room, 0
    axis = Axis.of(sample, cells)
    head = text(fit(text(("  step", MUTED)), name_cells + 2))
    exact = all(step.exact for step in steps)
    total = column(took(axis.total_s * 1000, exact=exact), figure, "bold")
    rows = [fit(text(head, (_scale(axis), MUTED), total), width)]
    style = TRACK_STYLES[sample.target.track]
    for name, step in zip(names, steps, strict=True):
        rows.append(fit(_row(name, step, axis, name_cells, figure, style), width))
    return rows


def in_order(steps: Sequence[Step]) -> list[Step]:
    """By their first moment; one that has none stays behind the one before it."""
    begins: list[float] = []
    for step in steps:
        moments = [start for start, _ in step.intervals] or ([] if step.started_at is None else [step.started_at])
        begins.append(min(moments, default=begins[-1] if begins else -math.inf))
    return [steps[index] for index in sorted(range(len(steps)), key=begins.__getitem__)]


def step_name(step: Step) -> str:
    """Without its number, but with its stage where there are several."""
    name = printable(step.name)
    if step.number or step.kind is StepKind.INTERNAL:
        name = _PREFIX.sub("", name) or name
    return f"{printable(step.stage_label)}: {name}" if step.stage_label else name


def _row(name: str, step: Step, axis: Axis, name_cells: int, figure: int, style: str) -> Content:
    mark, mark_style = _MARKS.get(step.status, (" ", ""))
    quiet = step.cached or not step.number
    head = text((mark, mark_style), " ", fit(text((name, mark_style or (MUTED if quiet else ""))), name_cells))
    spans = intervals_of(step)
    drawn = axis.bar(spans) if axis.cells else ""
    bar_style = mark_style or (style if step.number else MUTED)
    ticks = {int(axis.place(axis.start + tick)) for tick in axis.ticks_s[1:]} if axis.cells else set()
    parts = []
    for cell, char in enumerate(drawn):
        free = char == " "
        parts.append(("┊" if free and cell in ticks else char, FAINT if free else bar_style))
    if step.cached:
        spent = column("⚡ cached", figure, "$primary")
    else:
        spent = column(step_took(step) if spans or step.duration_ms else "–", figure, mark_style)
    return text(head, *parts, spent)


def _scale(axis: Axis) -> str:
    """The labels of the axis, each beginning where its moment is."""
    line = ""
    for tick in axis.ticks_s if axis.cells else ():
        at, label = int(axis.place(axis.start + tick)), _tick(tick)
        if at >= len(line) and at + len(label) < axis.cells:
            line = f"{line:<{at}}{label} "
    return f"{line:<{axis.cells}}"[: axis.cells]


def _tick(seconds: float) -> str:
    if seconds == 0:
        return "0 s"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:g} s"
    return f"{seconds / 60:g} m" if seconds < 3600 else f"{seconds / 3600:g} h"
