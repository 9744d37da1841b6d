"""The steps of one build: what ran, what came from the cache, what is running, and where it broke."""

from __future__ import annotations

import re

from textual.content import Content
from textual.reactive import var

from console.format import clock_time, duration, plural, printable, short_id, size
from console.model import BuildStatus, Cause, CauseKind, Step, StepFailure, StepKind, StepStatus
from console.state.app_state import BuildView
from console.state.outlook import Outlook, build_outlook, step_outlook
from console.state.words import INEXACT, cause_words, outlook_words, short_outlook, telling_causes, took
from console.ui.lines import FAINT, MUTED, bar, column, fit, spread, text, wrapped
from console.ui.widgets.log_text import clean
from console.ui.widgets.rows import RowsView

_MARKS: dict[StepStatus, tuple[str, str]] = {
    StepStatus.PENDING: ("○ waits", MUTED),
    StepStatus.RUNNING: ("● running", "bold $accent"),
    StepStatus.DONE: ("✔ done", "$success"),
    StepStatus.CACHED: ("⚡ cached", "$primary"),
    StepStatus.FAILED: ("✖ FAILED", "bold $error"),
    StepStatus.CANCELLED: ("⊘ stopped", "$warning"),
}
_MARK = 10
_FIGURE = 9
_SHORTEST_NAME = 12
"""Cells of a step's name that a remark beside it has to leave."""
_QUICK_MS = 100.0
"""The builder's own doing is shown from this time on; below it, it is summed up in one row."""
_PREFIX = re.compile(r"^\[[^\]]*\]\s*")


class StepsView(RowsView):
    """A scrollable table of steps. Follows the running or failing step until the user scrolls away from it."""

    build: var[BuildView | None] = var(None, init=False)
    now: var[float] = var(0.0, init=False)

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._attention = self._attended = -1

    def watch_build(self, before: BuildView | None, after: BuildView | None) -> None:
        if before is None or after is None or before.number != after.number:
            self._attended = -1
            self.scroll_to(y=0, animate=False, force=True)
        self.redraw()

    def watch_now(self) -> None:
        if self.build is not None and self.build.status is BuildStatus.RUNNING:
            self.redraw()

    def on_resize(self) -> None:
        self._attended = -1
        super().on_resize()

    def rows(self, width: int) -> list[Content]:
        rows, self._attention = step_rows(self.build, self.now, width)
        return rows

    def redraw(self) -> None:
        super().redraw()
        if self._attention not in (self._attended, -1):
            self._attended = self._attention
            self.bring_into_view(self._attention, to_top=self.build is not None and self.build.failure is not None)


def step_rows(build: BuildView | None, now: float, width: int) -> tuple[list[Content], int]:
    """The rows of a build's table, and which of them wants to be seen (-1 for none)."""
    if build is None:
        return [fit(text(("not built in this session", MUTED)), width)], -1
    rows: list[Content] = []
    attention = -1
    quick = [step for step in build.steps if _is_quick(step)]
    causes = {cause.step: cause for cause in telling_causes(build.causes)}
    figure = _FIGURE if build.exact else _FIGURE + 2
    for step in build.steps:
        if step in quick:
            continue
        if step.status is StepStatus.RUNNING and attention < 0:
            attention = len(rows)
        rows += _step_rows(step, build, causes.get(step.name), now, width, figure)
        if build.failure is not None and step.status is StepStatus.FAILED:
            attention = len(rows) - 1
            rows += _failure_rows(build.failure, width)
    if build.failure is not None and not any(step.status is StepStatus.FAILED for step in build.steps):
        attention = len(rows)
        rows += _failure_rows(build.failure, width)
    if quick and build.status is not BuildStatus.RUNNING:
        total = took(sum(step.duration_ms for step in quick), exact=build.exact)
        name = text((f"{'':<{_MARK}}", ""), (plural(len(quick), "builder step"), FAINT))
        rows.append(spread(name, column(total, figure, FAINT), width))
    if not build.exact:
        rows += wrapped("", INEXACT, FAINT, width)
    rows += _summary_rows(build, now, width)
    return rows, attention


def _is_quick(step: Step) -> bool:
    settled = step.status in {StepStatus.DONE, StepStatus.CACHED, StepStatus.PENDING}
    return step.kind is not StepKind.INSTRUCTION and settled and step.duration_ms < _QUICK_MS


def _step_rows(
    step: Step, build: BuildView, cause: Cause | None, now: float, width: int, figure_width: int
) -> list[Content]:
    """A step's row; what there is to say of it beside its name, or below where there is no room."""
    mark, style = _MARKS[step.status]
    place = f"{step.number}/{step.total}" if step.number else ""
    if step.stage_label and width >= 60 and place:
        place = f"{printable(step.stage_label)} {place}"
    running = step.status is StepStatus.RUNNING
    ms = step.duration_ms
    if running and step.started_at is not None:
        ms = max(ms, (now - step.started_at) * 1000)
    pending = step.status in {StepStatus.PENDING, StepStatus.CACHED}
    spent = "" if pending and ms < 1 else took(ms, exact=step.exact)
    figure = column(spent, figure_width, style if running else "")
    name = _PREFIX.sub("", printable(step.name)) if step.number else printable(step.name)
    failed = step.status is StepStatus.FAILED
    title = (name, "bold $error" if failed else MUTED if pending or not step.number else "")
    head = text((mark, style), " " * max(1, _MARK - text(mark).cell_length), (f"{place:<5} " if place else "", FAINT))
    outlook = step_outlook(build.usual, step, now)
    free = width - head.cell_length - figure.cell_length
    forms = _progress(step, outlook, 8) if running else [text("")]
    doing = next((form for form in forms if free - form.cell_length > _SHORTEST_NAME), forms[-1])
    room = free - (doing.cell_length + 1 if doing else 0)
    notes = [] if cause is None else [(cause_words(cause), MUTED)]
    if outlook.usually_ms is not None:
        notes.insert(0, (outlook_words(outlook), "$warning"))
    beside, below = text(title), []
    for note, note_style in notes:
        said = text((f" — {note}", note_style))
        if beside.cell_length + said.cell_length <= room:
            beside = text(beside, said)
        elif cause is not None and cause.kind is CauseKind.PARENT and room - said.cell_length >= _SHORTEST_NAME:
            beside = text(fit(beside, room - said.cell_length), said)
        else:
            below += wrapped(" " * _MARK + "└ ", note, note_style, width)
    return [text(head, fit(beside, room), " " if doing else "", doing, figure), *below]


def _progress(step: Step, outlook: Outlook, width: int) -> list[Content]:
    """How far a running step is and how much longer it takes, in fewer and fewer cells."""
    left = text((f" {short_outlook(outlook)}" if outlook.left_ms is not None else "", "$accent"))
    if step.total_bytes > 0:
        share = step.current_bytes / step.total_bytes
        drawn = bar(share, width)
        done = text((drawn, "$accent"), ("·" * (width - len(drawn)), FAINT))
        return [text(done, (f" {size(step.current_bytes)}", MUTED), left), text(done, left), left or done]
    return [text((printable(step.detail), MUTED), left), left]


def _failure_rows(failure: StepFailure, width: int) -> list[Content]:
    """The place, the instruction, what was wrong and the last output: wrapped, because every word may be needed."""
    edge = text(("  ┃ ", "$error"))
    rows: list[Content] = []
    if failure.dockerfile:
        place = printable(failure.dockerfile) + (f":{failure.line}" if failure.line else "")
        rows.append(fit(text(edge, (place, "bold underline")), width))
    for offset, line in enumerate(failure.source):
        number = f"{failure.line + offset:>4} " if failure.line else ""
        rows += wrapped(
            text(edge, (number, FAINT)), clean(line), "$foreground", width, below=text(edge, " " * len(number))
        )
    rows += wrapped(edge, printable(failure.message), "bold $error", width, below=edge)
    for line in failure.output:
        rows += wrapped(edge, clean(line), MUTED, width, below=edge) or [fit(edge, width)]
    return rows


def _summary_rows(build: BuildView, now: float, width: int) -> list[Content]:
    outlook = build_outlook(build, now)
    if build.status is BuildStatus.RUNNING:
        so_far = max(now - build.started_at, 0.0) * 1000
        left = text((f"● since {clock_time(build.started_at)}", "$accent"))
        if remark := short_outlook(outlook):
            left = text(left, (f" · {remark}", "$accent"))
        return [spread(left, column(duration(so_far), _FIGURE, "bold $accent"), width)]
    words = {
        BuildStatus.OK: ("✔ built", "bold $success"),
        BuildStatus.FAILED: ("✖ failed", "bold $error"),
        BuildStatus.CANCELLED: ("⊘ cancelled", "bold $warning"),
    }
    image = f"  {short_id(build.image_id)}" if build.image_id else ""
    image += f"  {size(build.size_bytes)}" if build.size_bytes else ""
    figure = column(duration(build.duration_ms), _FIGURE, "bold")
    summary = spread(text(words[build.status], (image, MUTED)), figure, width)
    return [*wrapped("", outlook_words(outlook), "$warning", width), summary]
