"""What the builds of both tracks took over time: one plot, newest at the right.

Drawn here and not by a plotting library, because the colours are the theme's variables, the tracks have to be told
apart without them, and a pane of eight rows has no room for a frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content

from console.format import duration
from console.measurements import Trend
from console.model import Track
from console.state.app_state import HistoryView
from console.ui.lines import FAINT, MUTED, fit, spread, text
from console.ui.widgets.panel import Panel
from console.ui.widgets.timeline import TRACK_STYLES

_LABEL = 9
_LOG_FROM = 10.0
"""How many times the quickest the slowest build takes before the scale is logarithmic."""
_DOTS = (0x01, 0x02, 0x04, 0x40)
"""Braille: the left dots from the top; those at the right are eight times as much, but for the last."""
_LEGACY = "×"
_SIGNS = {Track.SPLIT: "⠶", Track.LEGACY: _LEGACY}


class TrendPlot(Panel):
    """The plot, with a legend above and the times beside it."""

    SLICES = ("history",)

    @property
    def live(self) -> bool:
        return False

    def rows(self, width: int, height: int) -> list[Content]:
        history = self.state.history
        scenario = history.trends[0].scenario.value if history.trends else ""
        self.border_title = f"Trend — {scenario}, newest at the right" if scenario else "Trend"
        return trend_rows(history, width, height)


def trend_rows(history: HistoryView, width: int, height: int) -> list[Content]:
    """The rows of the plot, or a word on why there is none."""
    if history.builds is None:
        return [fit(text(("looking…", MUTED)), width)]
    trends = [trend for trend in history.trends if trend.points]
    if not trends:
        return [fit(text(("Nothing was measured here yet that could be compared.", MUTED)), width)]
    scale = _Scale.of([ms for trend in trends for _, ms in trend.points], max(height - 1, 1))
    rows = [_legend(trends, scale, width)]
    plotted = _plotted(trends, scale, max(width - _LABEL - 1, 1))
    for y, cells in enumerate(plotted):
        label = duration(scale.value(y)) if y in {0, scale.rows // 2, scale.rows - 1} else ""
        rows.append(fit(text((f"{label:>{_LABEL - 1}} ", MUTED), ("┤" if label else "│", FAINT), *cells), width))
    return rows[:height]


@dataclass(frozen=True, slots=True)
class _Scale:
    """From times to rows, counted from the top."""

    low: float
    high: float
    rows: int
    log: bool

    @classmethod
    def of(cls, times_ms: Sequence[float], rows: int) -> _Scale:
        low, high = max(min(times_ms), 0.1), max(*times_ms, 0.1)
        log = high / low > _LOG_FROM
        if log:
            return cls(math.log(low), math.log(high), rows, log=True)
        span = max(high - low, high / 5)
        return cls(max(high - span, 0.0), high, rows, log=False)

    def place(self, ms: float) -> int:
        """In quarters of rows."""
        at = math.log(max(ms, 0.1)) if self.log else ms
        share = (self.high - at) / (self.high - self.low)
        return min(max(round(share * (self.rows * 4 - 1)), 0), self.rows * 4 - 1)

    def value(self, row: int) -> float:
        """The time that the middle of a row stands for; of the first and last one their ends."""
        share = row / (self.rows - 1) if self.rows > 1 else 0.0
        at = self.high - share * (self.high - self.low)
        return math.exp(at) if self.log else at


def _plotted(trends: Sequence[Trend], scale: _Scale, width: int) -> list[list[tuple[str, str]]]:
    """The cells of each row. Builds stand one after the other, however long the time between them was."""
    built = sorted((at, ms, trend.track) for trend in trends for at, ms in trend.points)
    last = max(len(built) - 1, 1)
    dots: dict[tuple[int, int], int] = {}
    crosses: set[tuple[int, int]] = set()
    for index, (_, ms, track) in enumerate(built):
        x = width * 2 - 1 - round((len(built) - 1 - index) / last * (width * 2 - 1))
        row, quarter = divmod(scale.place(ms), 4)
        if track is Track.LEGACY:
            crosses.add((row, x // 2))
        else:
            dot = _DOTS[quarter] if x % 2 == 0 else _DOTS[quarter] << (3 if quarter < 3 else 1)
            dots[row, x // 2] = dots.get((row, x // 2), 0) | dot
    legacy, split = TRACK_STYLES[Track.LEGACY], TRACK_STYLES[Track.SPLIT]
    return [
        [
            (_LEGACY, legacy) if (y, x) in crosses else (chr(0x2800 + dots[y, x]) if (y, x) in dots else " ", split)
            for x in range(width)
        ]
        for y in range(scale.rows)
    ]


def _legend(trends: Sequence[Trend], scale: _Scale, width: int) -> Content:
    parts = []
    for trend in trends:
        style, newest = TRACK_STYLES[trend.track], duration(trend.points[-1][1])
        parts += [(f"{_SIGNS[trend.track]} {trend.track.value}", style), (f" {newest} n={len(trend.points)}   ", MUTED)]
    return spread(text(*parts), text(("log scale" if scale.log else "", MUTED)), width)
