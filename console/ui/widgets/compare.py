"""Legacy against split: what the same save costs on either track, as measured on this machine and nothing else."""

from __future__ import annotations

from textual.content import Content

from console.format import age, duration, percent, printable, speedup
from console.measurements import Comparison, OtherMeasurement, StageTime, TrackSummary
from console.model import BuildStatus, Mode, StepStatus, Track
from console.state.app_state import AppState, BuildView
from console.state.outlook import build_outlook
from console.state.words import INEXACT, short_outlook, took
from console.ui.lines import FAINT, MUTED, bar, column, fit, keep, spread, text, trend
from console.ui.widgets.panel import Panel

_COLOUR = {Track.LEGACY: "$track-legacy", Track.SPLIT: "$track-split"}
_MISSING_SERVED = ("not measured yet – save a file", ", or press r")
_MISSING = {
    Track.LEGACY: ("not measured yet – press l", " to race it"),
    Track.SPLIT: ("not measured yet – press m", " to go back to it"),
}
_MISSING_HERE_SERVED = " – save a file"
_MISSING_HERE = {
    Track.LEGACY: " – save a file and press l",
    Track.SPLIT: " – press m and save a file",
}
_NARROW = 50
_NAME = 17
"""Cells of a stage's name where a bar is drawn beside it."""
_NOTHING_MS = 0.5
"""Below it a figure reads 0 ms."""


class Compare(Panel, can_focus=True):
    """The comparison of one scenario, and the legacy race while it runs."""

    BORDER_TITLE = "Legacy vs split"
    SLICES = ("comparison", "legacy_build", "builder", "mode")

    def __init__(self, *, can_race: bool, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._can_race = can_race

    @property
    def live(self) -> bool:
        return True  # "measured 2 m ago" grows old, and the race has a clock

    def watch_state(self, before: AppState, after: AppState) -> None:
        super().watch_state(before, after)
        comparison = after.comparison
        if comparison is not before.comparison and comparison is not None:
            self.border_title = f"Legacy vs split — {comparison.scenario.value.replace('-', ' ')}"

    def rows(self, width: int, height: int) -> list[Content]:
        return compare_rows(self.state, self.now, width, height, can_race=self._can_race)


def compare_rows(state: AppState, now: float, width: int, height: int, *, can_race: bool = True) -> list[Content]:
    """The panel's rows, the least important left out where `height` does not hold them all.

    `can_race` is whether the project has a legacy Dockerfile.
    """
    exact = state.builder is None or state.builder.exact
    comparison = state.comparison
    race = state.legacy_build
    running = race is not None and race.status is BuildStatus.RUNNING
    racing = race if running and state.mode is Mode.SPLIT else None
    if comparison is None or (comparison.legacy is None and comparison.split is None):
        elsewhere = comparison.elsewhere if comparison is not None else ()
        return keep(_nothing_measured(racing, elsewhere, now, width, state.mode, can_race=can_race), height)
    rows: list[tuple[int, Content]] = []
    columns = _columns(width)
    slowest = max((stage.legacy_ms or 0.0 for stage in comparison.stages), default=0.0)
    rows.append((4, _head_row(columns)))
    rows += [(5, _stage_row(stage, slowest, columns, exact=exact)) for stage in comparison.stages if _says_much(stage)]
    rows.append((0, _total_row(comparison, columns)))
    rows.append((7, text("") if exact else fit(text((INEXACT, FAINT)), width)))
    scale = _scale(comparison, racing, now)
    legacy = _track_row(Track.LEGACY, comparison, scale, now, width, state.mode, can_race=can_race)
    rows.append((1, _race_row(racing, comparison.split, scale, now, width) if racing else legacy))
    rows.append((1, _track_row(Track.SPLIT, comparison, scale, now, width, state.mode, can_race=can_race)))
    if comparison.targets:
        rows.append((2, _targets_row(comparison, width)))
    if comparison.saved_today_ms > 0 or comparison.base_cost_today_ms > 0:
        rows.append((3, _today_row(comparison, width)))
    return keep(rows, height)


def _scale(comparison: Comparison, racing: BuildView | None, now: float) -> float:
    """What a bar of full length means, in milliseconds; 0 where there is nothing to compare yet."""
    known = [side.median_ms for side in (comparison.legacy, comparison.split) if side is not None]
    if racing is not None:
        known.append((now - racing.started_at) * 1000)
    return max(known) if len(known) > 1 else 0.0


def _nothing_measured(
    racing: BuildView | None,
    elsewhere: tuple[OtherMeasurement, ...],
    now: float,
    width: int,
    mode: Mode,
    *,
    can_race: bool,
) -> list[tuple[int, Content]]:
    legacy = _missing_row(Track.LEGACY, elsewhere, width, mode, can_race=can_race)
    if racing is not None:
        legacy = _race_row(racing, None, 0.0, now, width)
    races = can_race and mode is Mode.SPLIT
    return [
        (0, fit(text(("Nothing measured yet", "bold")), width)),
        (3, text("")),
        (1, legacy),
        (1, _missing_row(Track.SPLIT, elsewhere, width, mode, can_race=can_race)),
        (4, text("")),
        *([(4, fit(text(("A race is a real build; x cancels it.", FAINT)), width))] if races else []),
        (4, fit(text(("No figure here is ever estimated.", FAINT)), width)),
    ]


def _missing_row(
    track: Track, elsewhere: tuple[OtherMeasurement, ...], width: int, mode: Mode, *, can_race: bool
) -> Content:
    served = track is mode.target.track
    words, more = _MISSING_SERVED if served else _MISSING[track]
    if track is Track.LEGACY and not can_race:
        words, more, elsewhere = "config.toml has no [legacy]", " Dockerfile to race against", ()
    other = next((measured for measured in elsewhere if measured.track is track), None)
    if other is not None:
        scenario = other.scenario.value.replace("-", " ")
        words = f"only {scenario} so far: {duration(other.median_ms)} (n={other.n})"
        more = _MISSING_HERE_SERVED if served else _MISSING_HERE[track]
    return fit(text((f"{track.value:<8}", _COLOUR[track]), (words + (more if width >= _NARROW else ""), MUTED)), width)


def _columns(width: int) -> tuple[int, int, int, int]:
    figure = 9 if width < _NARROW else 10 if width < 70 else 12
    last = 8 if width < _NARROW else figure
    return (width - 2 * figure - last, figure, figure, last)


def _head_row(columns: tuple[int, int, int, int]) -> Content:
    names = ("stage", "legacy", "split", "saved")
    cells = [column(name, room, MUTED) for name, room in zip(names[1:], columns[1:], strict=True)]
    return text(fit(text((names[0], MUTED)), columns[0]), *cells)


def _says_much(stage: StageTime) -> bool:
    """Whether a row has a figure that is not 0, or tells that the base has what was not measured elsewhere."""
    if stage.in_base and stage.legacy_ms is None:
        return True
    return max(stage.legacy_ms or 0.0, 0.0 if stage.in_base else stage.split_ms or 0.0) >= _NOTHING_MS


def _stage_row(stage: StageTime, scale: float, columns: tuple[int, int, int, int], *, exact: bool) -> Content:
    split = "in base" if stage.in_base else took(stage.split_ms, exact=exact)
    saved = None
    if stage.legacy_ms is not None and (stage.in_base or stage.split_ms is not None):
        saved = stage.legacy_ms - (0.0 if stage.in_base else stage.split_ms or 0.0)
    gained = took(saved, exact=exact) if saved is not None and saved >= 1 else "–"
    split_style = MUTED if stage.in_base else _COLOUR[Track.SPLIT]
    name = text(printable(stage.stage))
    room = columns[0] - _NAME - 1
    if room >= 6 and scale > 0:
        name = text(fit(name, _NAME), (bar((stage.legacy_ms or 0.0) / scale, room), "$track-legacy 55%"))
    return text(
        fit(name, columns[0]),
        column(took(stage.legacy_ms, exact=exact), columns[1]),
        column(split, columns[2], split_style),
        column(gained, columns[3]),
    )


def _total_row(comparison: Comparison, columns: tuple[int, int, int, int]) -> Content:
    legacy, split = comparison.legacy, comparison.split
    n = min(side.n for side in (legacy, split)) if legacy and split else 0
    gain = f"  {speedup(comparison.speedup)}" if comparison.speedup else ""
    name = text(("Total", "bold"), (gain, "bold $success"), (f"  n={n}" if n and columns[0] > 17 else "", MUTED))
    return text(
        fit(name, columns[0]),
        column(duration(legacy.median_ms if legacy else None), columns[1], "bold $track-legacy"),
        column(duration(split.median_ms if split else None), columns[2], "bold $track-split"),
        column(percent(comparison.reduction), columns[3], "bold $success" if comparison.speedup else MUTED),
    )


def _track_row(
    track: Track, comparison: Comparison, scale: float, now: float, width: int, mode: Mode, *, can_race: bool
) -> Content:
    colour = _COLOUR[track]
    summary = comparison.legacy if track is Track.LEGACY else comparison.split
    if summary is None:
        return _missing_row(track, comparison.elsewhere, width, mode, can_race=can_race)
    name = text((f"{track.value:<8}", colour))
    since = age(max(now - summary.last_at, 0))
    if width < _NARROW:
        measured = text((f" n={summary.n} · {since}", MUTED))
    else:
        recent = f"{trend(summary.recent_ms, 12):>13}"
        ago = since if since == "now" else f"{since} ago"
        measured = text((recent, f"{colour} 75%"), (f"  n={summary.n:<3}", MUTED), (f"{ago:>9}", MUTED))
    room = width - name.cell_length - measured.cell_length - 1
    return spread(text(name, (bar(summary.median_ms / scale, room) if scale > 0 else "", colour)), measured, width)


def _race_row(race: BuildView, split: TrackSummary | None, scale: float, now: float, width: int) -> Content:
    so_far = max(now - race.started_at, 0.0) * 1000
    done = sum(step.status in {StepStatus.DONE, StepStatus.CACHED} for step in race.instructions)
    total = max((step.total for step in race.instructions), default=0)
    steps = f" {done}/{total}" if total and width >= _NARROW else ""
    head = text(
        (f"{'legacy':<8}", _COLOUR[Track.LEGACY]), (f"● racing {duration(so_far)}", "bold $accent"), (steps, MUTED)
    )
    left = short_outlook(build_outlook(race, now))
    tail = f" {left}" if left else " x cancels"
    if not left and split is not None and split.median_ms > 0 and so_far > split.median_ms:
        tail = f" {'already ' if width >= _NARROW else ''}{speedup(so_far / split.median_ms)}"
    room = width - head.cell_length - len(tail) - 2
    drawn = bar(so_far / scale, room) if scale > 0 and room > 3 else ""
    return spread(text(head, (f" {drawn}", _COLOUR[Track.LEGACY])), text((tail, MUTED)), width)


def _targets_row(comparison: Comparison, width: int) -> Content:
    met = sum(bool(target.met) for target in comparison.targets)
    for row in (_targets(comparison, measured=True), _targets(comparison, measured=False)):
        if row.cell_length <= width:
            return row
    missed = [printable(target.label) for target in comparison.targets if target.met is False]
    unknown = sum(target.met is None for target in comparison.targets)
    count = f"{met} of {len(comparison.targets)} met "
    verdict = ("✔", "$success")
    if missed:
        verdict = (f"✖ {', '.join(missed)}", "bold $error")
    elif unknown:
        verdict = (f"? {unknown} not measured", MUTED)
    return fit(text(("targets  ", MUTED), (count, ""), verdict), width)


def _targets(comparison: Comparison, *, measured: bool) -> Content:
    parts: list[tuple[str, str]] = [("targets ", MUTED)]
    for target in comparison.targets:
        mark, style = {True: ("✔", "$success"), False: ("✖", "bold $error"), None: ("?", MUTED)}[target.met]
        parts += [(f" {printable(target.label)} ", ""), (mark, style)]
        if measured and target.measured:
            parts.append((f" {printable(target.measured)}", MUTED))
        parts.append((" ", ""))
    return text(*parts)


def _today_row(comparison: Comparison, width: int) -> Content:
    saved = comparison.saved_today_ms
    cost = duration(comparison.base_cost_today_ms)
    row: list[tuple[str, str]] = [("today    ", MUTED), ("saved " if saved >= 0 else "lost ", "")]
    row.append((duration(abs(saved)), "bold $success" if saved >= 0 else "bold $warning"))
    if comparison.base_cost_today_ms > 0:
        row += [(" · base cost " if width >= _NARROW else " · base ", MUTED), (cost, "")]
    return fit(text(*row), width)
