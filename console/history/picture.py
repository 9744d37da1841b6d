"""A comparison as a picture: both tracks' median builds as bars on one axis, made of the stages that they spent it on.

The bar's length is the median, the line below it reaches from the fastest build to the slowest. The stages are those of
the build in the middle, in the shares that they have there. What is too short to be seen is drawn two pixels wide, and
its figure tells. Equal reports give equal pictures. Pure.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from console import format as fmt
from console.history import svg
from console.history.report import Measured, Report
from console.history.stages import OTHER
from console.history.statistics import CONFIDENCE, LEAST
from console.measurements import Comparison, StageTime, TrackSummary
from console.model import Scenario

WIDTH = 860
BAR_LEFT, BAR_WIDTH = 112.0, 510.0
"""Where bars begin, and how long the longest time is; figures stand behind them."""
LEAST_WIDTH = 2.0
_MARGIN = 24.0
_TEXT_WIDTH = WIDTH - 2 * _MARGIN
_BAR_HEIGHT, _THIN_HEIGHT = 28.0, 12.0
_TITLES = {
    Scenario.COLD: ("Cold", "nothing comes from a cache; the base is there"),
    Scenario.CODE_CHANGE: ("Code change", "a line is added to {edited}; the cache is warm"),
    Scenario.DEPS_CHANGE: ("Change of dependencies", "a line is added to {edited}; split is base and app build"),
    Scenario.NO_CHANGE: ("No change", "what was built last is built again"),
}
_STEPS_MS = (
    *(base * power for power in (1, 10, 100, 1000) for base in (1, 2, 5)),
    *(seconds * 1000 for seconds in (10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400)),
)
"""Distances of the axis' marks."""
_MOST_MARKS = 7
_SHORTEST_MS = 0.001
"""What an axis has room for at least."""
_UNITS = (("ms", 1, 1000.0), ("s", 1000, 240_000.0), ("m", 60_000, 7_200_000.0), ("h", 3_600_000, math.inf))
"""In which marks are written, by what the longest time stays below."""


@dataclass(frozen=True, slots=True)
class _Bar:
    """One bar: what was measured, and the stages that it is made of."""

    label: str
    times: TrackSummary | None
    stages: tuple[tuple[str, float], ...] = ()
    """With their milliseconds, in the order of the legend; empty where they are not told."""
    in_base: tuple[str, ...] = ()
    thin: bool = False


def to_svg(report: Report) -> str:
    """The report as an SVG document, 860 pixels wide."""
    panels = [(measured, _bars(measured)) for measured in report.measured]
    fills = svg.Fills(_stage_names(report.measured, [bar for _, bars in panels for bar in bars]))
    page = _Page(fills)
    page.words(f"{report.project}: legacy against split", 34, 20, bold=True)
    if panels:
        page.legend()
    for measured, bars in panels:
        page.panel(measured, bars)
    page.footer(report)
    height = svg.figure(page.y)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="splitdeck" role="img" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}">'
    )
    title = f"<title>{svg.content(report.project)}: legacy against split</title>"
    told = f"<desc>{svg.content(' '.join(_sentence(measured) for measured in report.measured))}</desc>"
    card = svg.rect(0.5, 0.5, WIDTH - 1, page.y - 1, "card", radius=8)
    style = f"<style>\n{svg.STYLE}\n</style>"
    return "\n".join([head, title, told, style, fills.definitions(), card, *page.parts, "</svg>"]) + "\n"


class _Page:
    """What is drawn, from the top on.

    Args:
        fills: Of the stages.
    """

    def __init__(self, fills: svg.Fills) -> None:
        self._fills = fills
        self.parts: list[str] = []
        self.y = 0.0
        """Where what comes next begins."""

    def words(
        self, text: str, down: float, size: float = 13, *, x: float = _MARGIN, kind: str = "words", bold: bool = False
    ) -> None:
        """A line of text, as much further down; what does not fit is cut."""
        self.y += down
        self.parts.append(svg.words(x, self.y, svg.cut(text, WIDTH - _MARGIN - x, size), size, kind=kind, bold=bold))

    def legend(self) -> None:
        """What the fills, the outline and the line below a bar mean."""
        self.y += 16
        x = _MARGIN
        known = [(name, svg.rect(0, 0, 14, 12, fill=self._fills.of(name), radius=2)) for name in self._fills.names]
        further = [
            ("in the base: not built", svg.rect(0.5, 0.5, 13, 11, "hollow", radius=2)),
            ("fastest to slowest build", svg.path("M0 2V10M14 2V10M0 6H14", "range")),
        ]
        for name, sign in (*known, *further):
            name = svg.cut(name, 240, 12)
            taken = 20 + svg.room(name, 12) + 14
            if x > _MARGIN and x + taken > WIDTH - _MARGIN:
                x, self.y = _MARGIN, self.y + 20
            self.parts.append(f'<g transform="translate({svg.figure(x)} {svg.figure(self.y)})">{sign}</g>')
            self.parts.append(svg.words(x + 20, self.y + 10, name, 12, kind="muted"))
            x += taken
        self.y += 24

    def panel(self, measured: Measured, bars: Sequence[_Bar]) -> None:
        """One scenario."""
        comparison = measured.comparison
        title, meaning = _TITLES[comparison.scenario]
        self.parts.append(svg.path(f"M{_MARGIN:g} {svg.figure(self.y)}H{WIDTH - _MARGIN:g}", "grid"))
        self._speedup(measured)
        self.words(title, 28, 16, bold=True)
        meaning = meaning.format(edited=fmt.printable(measured.edited) or "the source")
        self.parts.append(svg.words(_MARGIN, self.y + 18, svg.cut(meaning, 500, 12), 12, kind="muted"))
        self.y += 34
        self._bars(bars)
        if comparison.verdict is not None:
            self._lines(comparison.verdict.sentence, 13, "words")
        for note in measured.notes:
            self._lines(note, 12, "muted")
        self.y += 14

    def footer(self, report: Report) -> None:
        """What reproduces it, and where it was measured."""
        date = datetime.fromtimestamp(report.measured_at, timezone.utc)
        self.parts.append(svg.path(f"M{_MARGIN:g} {svg.figure(self.y)}H{WIDTH - _MARGIN:g}", "grid"))
        self.y += 6
        self._lines(
            f"Measured by `{report.command}` on {date:%Y-%m-%d}, the tracks taking turns: {report.engine}; "
            f"{report.machine}; splitdeck {report.version}.",
            *(11, "muted"),
        )
        self.y += 14

    def _speedup(self, measured: Measured) -> None:
        ratio, interval = measured.comparison.speedup, measured.comparison.interval
        x = WIDTH - _MARGIN
        if ratio is None:
            self.parts.append(
                svg.words(x, self.y + 28, "no speedup: a side is missing", 12, kind="muted", anchor="end")
            )
            return
        told = f"fewer than {LEAST} builds a side: no interval"
        if interval is not None:
            told = f"{CONFIDENCE * 100:.0f} % interval {fmt.speedup(interval[0])} – {fmt.speedup(interval[1])}"
        self.parts.append(svg.words(x, self.y + 30, fmt.speedup(ratio), 20, bold=True, anchor="end"))
        self.parts.append(svg.words(x, self.y + 46, f"legacy ÷ split; {told}", 12, kind="muted", anchor="end"))

    def _bars(self, bars: Sequence[_Bar]) -> None:
        longest = max((max(bar.times.max_ms, bar.times.median_ms) for bar in bars if bar.times is not None), default=0)
        scale = BAR_WIDTH / max(longest, _SHORTEST_MS)
        marks = list(_marks(longest))
        top, behind = self.y, len(self.parts)
        for bar in bars:
            self._bar(bar, scale)
        grid = "".join(
            f"M{svg.figure(BAR_LEFT + at * scale)} {svg.figure(top)}V{svg.figure(self.y)}" for at, _ in marks
        )
        if grid:
            self.parts.insert(behind, svg.path(grid, "grid"))
        self.y += 13
        for at, mark in marks:
            x = BAR_LEFT + at * scale
            self.parts.append(svg.words(x, self.y, mark, 11, kind="muted", anchor="middle"))
        self.y += 8

    def _bar(self, bar: _Bar, scale: float) -> None:
        height = _THIN_HEIGHT if bar.thin else _BAR_HEIGHT
        self.y += 8
        middle = self.y + height / 2 + 4.5
        kind = "muted" if bar.thin else "words"
        label = svg.words(BAR_LEFT - 10, middle, bar.label, 12 if bar.thin else 13, kind=kind, anchor="end")
        self.parts.append(label)
        if bar.times is None:
            self.parts.append(svg.words(BAR_LEFT + 6, middle, "not measured", 12, kind="muted"))
            self.y += height + 6
            return
        width = max(LEAST_WIDTH, bar.times.median_ms * scale)
        self._stack(bar, width, height)
        low, high = (BAR_LEFT + at * scale for at in (bar.times.min_ms, bar.times.max_ms))
        self._figures(bar, max(BAR_LEFT + width, high) + 8, height)
        self.y += height
        if bar.times.n > 1:
            at = svg.figure(self.y + 5)
            ends = (f"M{svg.figure(x)} {svg.figure(self.y + 2)}v6" for x in (low, high))
            self.parts.append(svg.path(f"{''.join(ends)}M{svg.figure(low)} {at}H{svg.figure(high)}", "range"))
        self.y += 8
        if bar.in_base:
            self._in_base(bar.in_base)

    def _stack(self, bar: _Bar, width: float, height: float) -> None:
        """The bar, from its stages in their shares; whole where they are not told."""
        assert bar.times is not None
        total = sum(ms for _, ms in bar.stages)
        whole = f"{bar.label}: {fmt.duration(bar.times.median_ms)}"
        if bar.thin or total <= 0:
            kind = "thin" if bar.thin else "plain"
            self.parts.append(svg.rect(BAR_LEFT, self.y, width, height, kind, name=whole))
            return
        x = BAR_LEFT
        labels = []
        for name, ms in bar.stages:
            part = width * (ms / total)
            told = fmt.duration(ms)
            title = f"{bar.label}, {name}: {told}"
            self.parts.append(svg.rect(x, self.y, part, height, fill=self._fills.of(name), name=title))
            taken = svg.room(told, 11) + 8
            if part >= taken + 2:
                middle = x + part / 2
                labels.append(svg.rect(middle - taken / 2, self.y + height / 2 - 8, taken, 16, "label", radius=3))
                labels.append(svg.words(middle, self.y + height / 2 + 4, told, 11, anchor="middle"))
            x += part
            if part > 4 and x < BAR_LEFT + width - 4:
                labels.append(svg.path(f"M{svg.figure(x)} {svg.figure(self.y)}v{height:g}", "edge"))
        self.parts += labels

    def _figures(self, bar: _Bar, x: float, height: float) -> None:
        """The median, and how many builds are behind it."""
        times = bar.times
        assert times is not None
        median, told = fmt.duration(times.median_ms), f"n={times.n}"
        if times.n > 1:
            told += f", {fmt.duration(times.min_ms)} – {fmt.duration(times.max_ms)}"
        if bar.thin:
            told = f"{median} ({told})"
        told = svg.cut(told, WIDTH - 8 - x, 11)
        taken = max(svg.room(told, 11), svg.room(median, 14, bold=True))
        self.parts.append(svg.rect(x, self.y, taken, height + 1, "behind"))  # no mark of the axis runs through it
        if bar.thin:
            self.parts.append(svg.words(x, self.y + height / 2 + 4.5, told, 11, kind="muted"))
        else:
            self.parts.append(svg.words(x, self.y + 12, median, 14, bold=True))
            self.parts.append(svg.words(x, self.y + 27, told, 11, kind="muted"))

    def _in_base(self, names: Iterable[str]) -> None:
        """Outlines with the names of what the split track has in its base."""
        x = BAR_LEFT
        self.y += 4
        self.parts.append(svg.words(x - 10, self.y + 12, "in the base", 11, kind="muted", anchor="end"))
        for name in names:
            name = svg.cut(name, 240, 11)
            taken = 30 + svg.room(name, 11)
            if x > BAR_LEFT and x + taken > WIDTH - _MARGIN:
                x, self.y = BAR_LEFT, self.y + 22
            self.parts.append(svg.rect(x, self.y, taken - 6, 17, "behind"))
            self.parts.append(svg.rect(x, self.y, taken - 6, 17, "hollow", radius=3))
            self.parts.append(svg.words(x + 8, self.y + 12, name, 11, kind="muted"))
            x += taken
        self.y += 22

    def _lines(self, text: str, size: float, kind: str) -> None:
        for line in svg.wrapped(text, _TEXT_WIDTH, size):
            self.words(line, size + 5, size, kind=kind)


def _bars(measured: Measured) -> list[_Bar]:
    comparison = measured.comparison
    bars = [
        _Bar("legacy", comparison.legacy, _told((row.stage, row.legacy_ms) for row in comparison.stages)),
        _Bar(
            "split",
            comparison.split,
            _told((row.stage, row.split_ms) for row in comparison.stages),
            in_base=tuple(row.stage for row in comparison.stages if row.in_base) if comparison.split else (),
        ),
    ]
    if measured.base_ms:
        label = "of that, base" if comparison.scenario is Scenario.DEPS_CHANGE else "base, built"
        bars.append(_Bar(label, _summary(measured.base_ms), thin=True))
    return bars


def _told(rows: Iterable[tuple[str, float | None]]) -> tuple[tuple[str, float], ...]:
    return tuple((name, ms) for name, ms in rows if ms is not None and ms > 0)


def _summary(times_ms: Sequence[float]) -> TrackSummary:
    return TrackSummary(len(times_ms), statistics.median(times_ms), min(times_ms), max(times_ms), last_at=0.0)


def _stage_names(measured: Iterable[Measured], bars: Iterable[_Bar]) -> list[str]:
    """Those that any bar has, in the order of the comparisons; what is left over at the end."""
    shown = {name for bar in bars for name, _ in bar.stages}
    rows: Iterable[StageTime] = (row for one in measured for row in one.comparison.stages)
    names = [name for name in dict.fromkeys(row.stage for row in rows) if name in shown]
    return sorted(names, key=lambda name: name == OTHER)


def _marks(longest_ms: float) -> Iterator[tuple[float, str]]:
    """Round times up to the longest, and how they are written."""
    if longest_ms <= 0:
        return
    step: float = next((step for step in _STEPS_MS if longest_ms / step <= _MOST_MARKS), 0)
    if not step:  # longer than a week
        step = _STEPS_MS[-1]
        while longest_ms / step > _MOST_MARKS:
            step *= 2
    unit, divisor, _ = next(each for each in _UNITS if longest_ms < each[2])
    for number in range(int(longest_ms / step) + 1):
        at = number * step
        yield at, f"{at / divisor:g} {unit}" if at else "0"


def _sentence(measured: Measured) -> str:
    """What a panel shows, for who cannot see it."""
    comparison = measured.comparison
    title, _ = _TITLES[comparison.scenario]
    sides = ", ".join(f"{name} {_words(side)}" for name, side in _sides(comparison))
    ratio = f", {fmt.speedup(comparison.speedup)}" if comparison.speedup is not None else ""
    return f"{title}: {sides}{ratio}."


def _sides(comparison: Comparison) -> tuple[tuple[str, TrackSummary | None], ...]:
    return ("legacy", comparison.legacy), ("split", comparison.split)


def _words(side: TrackSummary | None) -> str:
    return "not measured" if side is None else f"{fmt.duration(side.median_ms)} (n={side.n})"
