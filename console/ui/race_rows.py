"""The race as rows: both tracks on one scale while it runs, what it waits for, and how the last one ended. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from textual.content import Content

from console.format import duration, printable, speedup
from console.history.usual import unnumbered
from console.measurements import Race, RacePhase, RaceResult
from console.model import BuildStatus, Step, StepStatus
from console.state.app_state import AppState, BuildView
from console.state.comparison_words import race_words
from console.state.outlook import build_outlook
from console.state.words import short_outlook
from console.ui.lines import FAINT, MUTED, bar, column, fit, limited, paths, spread, text, wrapped

LEGACY = "$track-legacy"
SPLIT = "$track-split"
_TRACK = 8
_FIGURE = 8
_DONE = frozenset({StepStatus.DONE, StepStatus.CACHED})
_CANCEL = ("x cancels", MUTED)
_MOST_RESULT_ROWS = 2
_SHORTEST_PATH = 8
_NARROW = 56


def title_rows(race: Race, width: int) -> list[Content]:
    """Who races whom, or what the race waits for, and how to end it."""
    name = "race" if race.asked else "background race"
    cancel = text(_CANCEL)
    if race.phase is RacePhase.WAITING:
        head = text(("○ ", MUTED), (name, "bold"), (" waits", MUTED))
        why = text((f": {printable(race.why)}" if race.why else "", MUTED))
        if head.cell_length + why.cell_length + cancel.cell_length < width:
            return [spread(text(head, why), cancel, width)]
        return [spread(head, cancel, width), fit(text("  ", (printable(race.why), MUTED)), width)]
    head = text(("● ", "bold $accent"), (name, "bold"))
    room = width - head.cell_length - cancel.cell_length - len(" of ") - 1
    if race.paths and room >= _SHORTEST_PATH:
        head = text(head, (f" of {paths(race.paths, room)}", MUTED))
    return [spread(head, cancel, width)]


def race_rows(race: Race, state: AppState, now: float, width: int) -> list[Content]:
    """The two tracks of a race that runs, one row each, on a common scale.

    The bar of the legacy build is as long as what it has taken so far; the lighter part is what it is expected to take
    still. The app build of the same change ended before, and its bar stands still.
    """
    build = state.legacy_build
    if build is not None and build.status is not BuildStatus.RUNNING:
        build = None
    so_far = None if build is None else max(now - build.started_at, 0.0) * 1000
    outlook = None if build is None else build_outlook(build, now)
    left_ms = None if outlook is None else outlook.left_ms
    usual_ms = state.comparison.legacy.median_ms if state.comparison and state.comparison.legacy else 0.0
    end_ms = (so_far or 0.0) + left_ms if left_ms is not None else max(so_far or 0.0, usual_ms)
    scale = max(end_ms, race.split_ms or 0.0, 1.0)
    room = _bar_room(width)
    ran, rest = _bars(so_far or 0.0, left_ms, scale, room)
    figure = "" if so_far is None else duration(so_far)
    legacy = text(
        (f"{'legacy':<{_TRACK}}", LEGACY),
        ("● ", "bold $accent"),
        (ran, LEGACY),
        (rest, FAINT),
        column(figure, _FIGURE, "bold $accent"),
    )
    remark = "begins" if outlook is None else short_outlook(outlook)
    remark = _first_that_fits([remark], width - legacy.cell_length - 1)
    doing = _doing(build, width - legacy.cell_length - len(remark) - 4)
    legacy = text(legacy, (f"  {doing}" if doing else "", MUTED))
    return [spread(legacy, text((remark, "$accent")), width), _split_row(race, so_far, scale, width)]


def _split_row(race: Race, so_far: float | None, scale: float, width: int) -> Content:
    name = (f"{'split':<{_TRACK}}", SPLIT)
    if race.split_ms is None:
        return fit(text(name, ("– ", MUTED), ("of this source nothing is measured", MUTED)), width)
    room = _bar_room(width)
    drawn = f"{bar(race.split_ms / scale, room):<{room}}"
    row = text(name, ("✔ ", "$success"), (drawn, SPLIT), column(duration(race.split_ms), _FIGURE, "bold"))
    lead = _first_that_fits(_lead(race.split_ms, so_far), width - row.cell_length - 1)
    return spread(row, text((lead, "bold $success")), width)


def _lead(split_ms: float, so_far: float | None) -> list[str]:
    """By how much the app build is ahead while the legacy build runs, in fewer and fewer words."""
    if so_far is None:
        return []
    behind = so_far - split_ms
    if behind <= 0:
        return [f"legacy can still win, for {duration(-behind)} more", "legacy can still win"]
    words = f"{duration(behind)} behind"
    counting = f"legacy is {words} and counting"
    already = [f"{counting} (already {speedup(so_far / split_ms)})"] if split_ms > 0 else []
    return [*already, counting, f"legacy is {words}", words]


def _bar_room(width: int) -> int:
    """Cells of a bar of full length: the same for both tracks, so that their ends can be compared."""
    return width // 6 if width < _NARROW else min(width // 4, 48)


def _bars(so_far: float, left_ms: float | None, scale: float, room: int) -> tuple[str, str]:
    """What has been taken, and what is expected to come; together `room` cells."""
    ran = bar(so_far / scale, room) if room else ""
    rest = max(0, round((so_far + (left_ms or 0.0)) / scale * room) - len(ran))
    return ran, ("░" * rest).ljust(room - len(ran))


def _doing(build: BuildView | None, room: int) -> str:
    """`4/11 RUN pip install`, as much of it as fits; without the total before any step is known."""
    if build is None or room < 4:
        return ""
    steps = build.instructions
    total = max((step.total for step in steps), default=0)
    count = f"{sum(step.status in _DONE for step in steps)}/{total}" if total else ""
    running = next((step for step in steps if step.status is StepStatus.RUNNING), None)
    whole = f"{count} {_name(running)}" if running is not None else count
    if len(count) > room:
        return ""
    return fit(text(whole), room).plain.rstrip() if room >= len(count) + 8 else count


def _name(step: Step) -> str:
    return printable(unnumbered(step.name))


def shown_result(state: AppState) -> RaceResult | None:
    """How the last race ended; None once another one is under way or something was saved after it."""
    build, saved_at = state.legacy_build, state.pipeline.saved_at
    if state.race is not None or state.raced is None:
        return None
    if build is not None and saved_at is not None and saved_at > build.started_at + (build.duration_ms or 0.0) / 1000:
        return None
    return state.raced


def result_rows(result: RaceResult, width: int) -> list[Content]:
    """Who won, by how much, and in which scenario; or why there is no winner."""
    said, lead = printable(race_words(result)), result.lead_ms
    if lead is None:
        return limited(wrapped(("– ", MUTED), said, MUTED, width), _MOST_RESULT_ROWS, MUTED)
    sign = ("= ", "bold") if lead == 0 else ("✔ ", "$success") if lead > 0 else ("✖ ", "$warning")
    row = text(sign, (said, "bold" if lead == 0 else f"bold {SPLIT if lead > 0 else LEGACY}"))
    room = width - row.cell_length - 2
    if result.paths and room >= 16:
        return [spread(row, text((paths(result.paths, min(room, 40)), FAINT)), width)]
    return [fit(row, width)]


def _first_that_fits(forms: Iterable[str], room: int) -> str:
    return next((form for form in forms if len(form) <= room), "")
