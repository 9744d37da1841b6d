"""What there is to say of a build of the history: its facts, its timeline, why its steps were run."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from textual.content import Content
from textual.reactive import var

from console.format import duration, plural, printable, short_id, size
from console.measurements import ListedBuild, Mark, Sample
from console.model import Target
from console.state.app_state import AppState
from console.state.words import cause_line, telling_causes
from console.ui.lines import FAINT, MUTED, fit, spread, text, wrapped
from console.ui.widgets.build_difference import difference_rows
from console.ui.widgets.build_rows import STATUS
from console.ui.widgets.findings import findings_rows
from console.ui.widgets.rows import RowsView
from console.ui.widgets.timeline import timeline_rows

View = Literal["build", "difference", "findings", "trend"]
_NAME = 9
_FACTS_FIRST_FROM = 20
"""Rows of the pane; below, the timeline comes first."""
_MARKS = {
    Mark.OLD: "measured more than a month ago, or with other instructions in the Dockerfile than now",
    Mark.OUTLIER: "far from the others of its kind",
}


class HistoryDetails(RowsView):
    """The pane beside the list."""

    state: var[AppState] = var(AppState, init=False)
    selected: var[int] = var(0, init=False)
    """Number of the build that is shown."""
    marked: var[int] = var(0, init=False)
    """Number of the build that it is compared with."""
    view: var[View] = var[View]("build", init=False)

    BORDER_TITLE: ClassVar[str] = "Build"

    def rows(self, width: int) -> list[Content]:
        match self.view:
            case "findings":
                self.border_title = "Findings"
                return findings_rows(self.state.findings, width)
            case "difference":
                self.border_title = "Difference"
                return compared_rows(self.state, self.marked, self.selected, width)
        self.border_title = "Build"
        return build_rows(self.state, self.selected, width, self.scrollable_content_region.height)

    def watch_state(self, before: AppState, after: AppState) -> None:
        if before.history is not after.history or before.findings is not after.findings:
            self.redraw()

    def watch_selected(self) -> None:
        if self.view == "build":
            self.scroll_to(y=0, animate=False, force=True)
        self.redraw()

    def watch_marked(self) -> None:
        self.redraw()

    def watch_view(self) -> None:
        self.scroll_to(y=0, animate=False, force=True)
        self.redraw()


def build_rows(state: AppState, number: int, width: int, height: int) -> list[Content]:
    """A build's page; what the list does not have comes once it was read."""
    history = state.history
    listed = next((listed for listed in history.builds or () if listed.sample.number == number), None)
    whole = history.detail(number)
    if listed is None:
        return [fit(text(("What the selected build was is shown here.", MUTED)), width)]
    sample = listed.sample
    facts = _fact_rows(sample, width)
    if whole is None:
        times = [fit(text(("reading its steps…", MUTED)), width)]
    else:
        times = [*timeline_rows(whole, width), *_cause_rows(whole, width)]
    parts = (times, facts) if height < _FACTS_FIRST_FROM else (facts, times)
    return [_title(sample, width), *_mark_rows(listed, width), *parts[0], text(""), *parts[1]]


def _title(sample: Sample, width: int) -> Content:
    sign, word, style = STATUS[sample.status]
    name = text((f"#{sample.number} {sample.target.value}", "bold $primary"), (f"  {sample.scenario.value}", MUTED))
    return spread(text(name, (f"  {sign} {word}", style)), text((duration(sample.duration_ms), "bold")), width)


def _mark_rows(listed: ListedBuild, width: int) -> list[Content]:
    said = [(mark.value, _MARKS[mark]) for mark in listed.marks]
    said += [("disturbed", printable(listed.sample.disturbed))] if listed.sample.disturbed else []
    rows = []
    for word, meaning in said:
        rows += wrapped(text(("! ", "bold $warning")), f"{word}: {meaning}", "$warning", width)
    return rows


def _fact_rows(sample: Sample, width: int) -> list[Content]:
    began = datetime.fromtimestamp(sample.started_at)  # noqa: DTZ006 - people read their own zone
    cache = "; the cache was switched off" if sample.no_cache else ""
    context = f"{plural(sample.context_files, 'file')}, {size(sample.context_bytes)}, {duration(sample.context_ms)}"
    weight = f"  {size(sample.image_bytes)}" if sample.image_bytes else ""
    facts = (
        ("why", f"{sample.reason or '–'} ({sample.trigger.value}){cache}"),
        ("began", f"{began:%Y-%m-%d %H:%M:%S}"),
        ("ready", f"{duration(sample.save_to_ready_ms)} after the save" if sample.save_to_ready_ms is not None else ""),
        ("context", context),
        ("image", f"{short_id(sample.image_id)}{weight}"),
        ("base", short_id(sample.base_id) if sample.target is Target.APP else ""),
        ("commit", short_id(sample.revision)),
        ("engine", sample.engine),
        ("machine", sample.machine),
    )
    rows = []
    for name, value in facts:
        rows += wrapped(text((f"{name:<{_NAME}}", MUTED)), printable(value), "$foreground", width)
    return rows


def _cause_rows(sample: Sample, width: int) -> list[Content]:
    """Why steps were run."""
    exact = all(step.exact for step in sample.steps)
    rows: list[Content] = []
    for cause in telling_causes(sample.causes):
        rows += wrapped(text(("└ ", FAINT)), cause_line(cause, exact=exact), MUTED, width)
    return [text(""), *rows] if rows else []


def compared_rows(state: AppState, marked: int, selected: int, width: int) -> list[Content]:
    """The difference of two builds, or what to do for one."""
    if marked == selected:
        said = f"#{marked} is the marked build: select another one to set beside it."
        return wrapped("", said, MUTED, width)
    before, after = state.history.detail(marked), state.history.detail(selected)
    if before is None or after is None:
        return [fit(text((f"reading #{marked} and #{selected}…", MUTED)), width)]
    return difference_rows(before, after, width)
