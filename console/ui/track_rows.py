"""The two tracks of one scenario as rows: the table of stages, its total, what each track was measured by. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from console.format import age, duration, percent, printable, speedup
from console.measurements import Comparison, OtherMeasurement, StageTime, TrackSummary
from console.model import Mode, Track
from console.state.words import took
from console.ui.lines import MUTED, bar, column, fit, spread, text, trend

Columns = tuple[int, int, int, int]
"""Cells of the name, the legacy figure, the split figure, and what is saved."""

_COLOUR = {Track.LEGACY: "$track-legacy", Track.SPLIT: "$track-split"}
_MISSING_SERVED = ("not measured yet – save a file", ", or press r")
_MISSING = {
    Track.LEGACY: ("not measured yet – press l", " to race it"),
    Track.SPLIT: ("not measured yet – press m", " to go back to it"),
}
_MISSING_HERE_SERVED = (" – save a file", " – save")
_MISSING_HERE = {
    Track.LEGACY: (" – save a file and press l", " – press l"),
    Track.SPLIT: (" – press m and save a file", " – press m"),
}
_NARROW = 50
_WIDE = 100
_TRACK = 8
_NAME = 17
"""Cells of a stage's name where a bar is drawn beside it."""
_NOTHING_MS = 0.5
"""Below it a figure reads 0 ms."""
_TREND = 12
_SHORTEST_BAR = 6

# -- the table --------------------------------------------------------------------------------------------------------


def columns_of(width: int) -> Columns:
    """How a table of so many cells is divided."""
    figure = 9 if width < _NARROW else 10 if width < 70 else 12
    last = 8 if width < _NARROW else figure
    return (max(width - 2 * figure - last, 0), figure, figure, last)


def head_row(columns: Columns) -> Content:
    """What the columns are called."""
    names = ("stage", "legacy", "split", "saved")
    cells = [column(name, room, MUTED) for name, room in zip(names[1:], columns[1:], strict=True)]
    return text(fit(text((names[0], MUTED)), columns[0]), *cells)


def telling_stages(stages: Sequence[StageTime]) -> list[StageTime]:
    """Those with a figure that is not 0, or that tell that the base has what was not measured elsewhere."""
    return [stage for stage in stages if (stage.in_base and stage.legacy_ms is None) or weight(stage) >= _NOTHING_MS]


def weight(stage: StageTime) -> float:
    """What the slower track spends on a stage, in milliseconds."""
    return max(stage.legacy_ms or 0.0, 0.0 if stage.in_base else stage.split_ms or 0.0)


def stage_row(stage: StageTime, scale: float, columns: Columns, *, exact: bool) -> Content:
    """One stage; its bar is full where legacy takes `scale` milliseconds."""
    split = "in base" if stage.in_base else took(stage.split_ms, exact=exact)
    saved = None
    if stage.legacy_ms is not None and (stage.in_base or stage.split_ms is not None):
        saved = stage.legacy_ms - (0.0 if stage.in_base else stage.split_ms or 0.0)
    gained = "–"
    if saved is not None and abs(saved) >= 1:
        gained = took(saved, exact=exact) if saved > 0 else f"−{duration(-saved)}"
    name = text(printable(stage.stage))
    room = columns[0] - _NAME - 1
    if room >= _SHORTEST_BAR and scale > 0:
        name = text(fit(name, _NAME), (bar((stage.legacy_ms or 0.0) / scale, room), "$track-legacy 55%"))
    return text(
        fit(name, columns[0]),
        column(took(stage.legacy_ms, exact=exact), columns[1]),
        column(split, columns[2], MUTED if stage.in_base else _COLOUR[Track.SPLIT]),
        column(gained, columns[3], "$warning" if saved is not None and saved <= -1 else ""),
    )


def total_row(comparison: Comparison, columns: Columns, name: str = "Total") -> Content:
    """Both medians, and what they come to: with the interval and the marks of their samples where there is room."""
    legacy, split, ratio = comparison.legacy, comparison.split, comparison.speedup
    style = MUTED if ratio is None else "bold $success" if ratio >= 1 else "bold $warning"
    title = text((name, "bold"), (f"  {speedup(ratio)}" if ratio is not None else "", style))
    for more in _behind_the_total(comparison):
        longer = text(title, (more, MUTED))
        if longer.cell_length < columns[0]:
            title = longer
            break
    return text(
        fit(title, columns[0]),
        column(duration(legacy.median_ms if legacy else None), columns[1], "bold $track-legacy"),
        column(duration(split.median_ms if split else None), columns[2], "bold $track-split"),
        column(percent(comparison.reduction), columns[3], style),
    )


def _behind_the_total(comparison: Comparison) -> list[str]:
    """What to say of the speedup, in fewer and fewer words."""
    legacy, split = comparison.legacy, comparison.split
    if legacy is None or split is None:
        return []
    n = f"  n={min(legacy.n, split.n)}"
    marks = marks_words(legacy.old + split.old, legacy.outliers + split.outliers)
    # Marks are of all samples, so that no more can be marked than there are.
    counted = f"  n={legacy.n}+{split.n}{marks}" if marks and legacy.n != split.n else n + marks
    interval = ""
    if comparison.interval is not None:
        interval = f"  95 %: {speedup(comparison.interval[0])} to {speedup(comparison.interval[1])}"
    return [interval + counted, counted, interval + n, n]


def marks_words(old: int, outliers: int) -> str:
    """` (1 old, 2 outliers)`; empty where no sample is marked."""
    words = [f"{old} old"] if old else []
    if outliers:
        words.append(f"{outliers} outlier{'s' if outliers > 1 else ''}")
    return f" ({', '.join(words)})" if words else ""


# -- each track -------------------------------------------------------------------------------------------------------


def track_rows(
    comparison: Comparison, now: float, width: int, mode: Mode, *, can_race: bool, brief: bool
) -> list[Content]:
    """What each track was measured by, on a row each; on one for both if `brief` says so and it holds both."""
    legacy, split = comparison.legacy, comparison.split
    if legacy is not None and split is not None:
        both = _both(legacy, split, now, width) if brief else None
        return _measured(legacy, split, now, width) if both is None else [both]
    rows = []
    for track, summary in ((Track.LEGACY, legacy), (Track.SPLIT, split)):
        if summary is None:
            rows.append(missing_row(track, comparison.elsewhere, width, mode, can_race=can_race))
        else:
            name = text((f"{track.value:<{_TRACK}}", _COLOUR[track]))
            rows.append(spread(name, _behind(track, summary, now, width), width))
    return rows


def _measured(legacy: TrackSummary, split: TrackSummary, now: float, width: int) -> list[Content]:
    scale = max(legacy.median_ms, split.median_ms)
    marks = max(len(marks_words(summary.old, summary.outliers)) for summary in (legacy, split))
    rows = []
    for track, summary in ((Track.LEGACY, legacy), (Track.SPLIT, split)):
        name = text((f"{track.value:<{_TRACK}}", _COLOUR[track]))
        behind = _behind(track, summary, now, width, marks)
        room = width - name.cell_length - behind.cell_length - 1
        if scale > 0:
            name = text(name, (bar(summary.median_ms / scale, room), _COLOUR[track]))
        rows.append(spread(name, behind, width))
    return rows


def _behind(track: Track, summary: TrackSummary, now: float, width: int, marks: int = 0) -> Content:
    """The trend, how many samples with their marks (in at least `marks` cells), and how old the newest is."""
    since = age(max(now - summary.last_at, 0))
    said = f"n={summary.n}{marks_words(summary.old, summary.outliers)}"
    if width < _NARROW:
        return text((f" {said} · {since}", MUTED))
    recent = f"{trend(summary.recent_ms, _TREND):>{_TREND + 1}}"
    ago = since if since == "now" else f"{since} ago"
    spread_ms = f"{duration(summary.min_ms)} to {duration(summary.max_ms)}"
    return text(
        (f"{spread_ms:>20}" if width >= _WIDE and summary.n > 1 else "", MUTED),
        (recent, f"{_COLOUR[track]} 75%"),
        (f"  {said:<{5 + marks}}", MUTED),
        (f"{ago:>9}", MUTED),
    )


def _both(legacy: TrackSummary, split: TrackSummary, now: float, width: int) -> Content | None:
    """Both tracks on one row, in as many words as fit; None where even the fewest do not."""
    forms = ((True, True), (False, True), (False, False))
    rows = (_beside((legacy, split), now, trends=trends, ago=ago) for trends, ago in forms)
    return next((fit(row, width) for row in rows if row.cell_length <= width), None)


def _beside(summaries: tuple[TrackSummary, TrackSummary], now: float, *, trends: bool, ago: bool) -> Content:
    parts = []
    for track, summary in zip((Track.LEGACY, Track.SPLIT), summaries, strict=True):
        since = age(max(now - summary.last_at, 0))
        since = f"{since} ago" if ago and since != "now" else since
        drawn = f" {trend(summary.recent_ms, _TREND)}" if trends and summary.recent_ms else ""
        said = f" n={summary.n}{marks_words(summary.old, summary.outliers)} · {since}"
        parts.append(text((track.value, _COLOUR[track]), (drawn, f"{_COLOUR[track]} 75%"), (said, MUTED)))
    return text(parts[0], "   " if ago else "  ", parts[1])


def missing_row(
    track: Track, elsewhere: tuple[OtherMeasurement, ...], width: int, mode: Mode, *, can_race: bool
) -> Content:
    """Why there is no figure of a track, what is known instead, and how to get one; the key is never what is cut."""
    name = text((f"{track.value:<{_TRACK}}", _COLOUR[track]))
    room = width - _TRACK
    forms = _missing_forms(track, elsewhere, mode, can_race=can_race)
    words, key = next((form for form in forms if len(form[0]) + len(form[1]) <= room), forms[-1])
    said = text((words, MUTED))
    if said.cell_length + len(key) > room:
        said = fit(said, room - len(key))
    return fit(text(name, said, (key, MUTED)), width)


def _missing_forms(
    track: Track, elsewhere: tuple[OtherMeasurement, ...], mode: Mode, *, can_race: bool
) -> list[tuple[str, str]]:
    """What to say of a track without a figure, and the key that gets one; in fewer and fewer words."""
    served = track is mode.target.track
    if track is Track.LEGACY and not can_race:
        return [("config.toml has no [legacy] Dockerfile to race against", ""), ("config.toml has no [legacy]", "")]
    other = next((measured for measured in elsewhere if measured.track is track), None)
    if other is None:
        words, more = _MISSING_SERVED if served else _MISSING[track]
        return [(words + more, ""), (words, "")]
    how, brief = _MISSING_HERE_SERVED if served else _MISSING_HERE[track]
    figure, scenario = duration(other.median_ms), other.scenario.value.replace("-", " ")
    if other.elsewhere:
        place = printable(other.elsewhere)
        return [(f"only measured on {place}: {figure} (n={other.n})", how), (f"only {figure} on {place}", brief)]
    return [
        (f"only {scenario} so far: {figure} (n={other.n})", how),
        (f"only {scenario} so far: {figure} (n={other.n})", brief),
        (f"only {scenario}: {figure}", brief),
    ]
