"""Every error and remark of the session, newest first, and what the builder remarks on the Dockerfiles."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from console.format import clock_time, plural, printable
from console.model import Target
from console.state.app_state import AppState, BuildView, Notice
from console.state.words import warning_lines
from console.ui.lines import MUTED, text
from console.ui.widgets.notice_line import MARKS


class NoticesScreen(ModalScreen[None]):
    """All notices kept."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,e,q", "dismiss_notices", "close", tooltip="Back to the dashboard"),
    ]

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._notices = state.notices
        self._builds = [build for build in map(state.build_of, Target) if build is not None and build.warnings]

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog") as dialog:
            remarks = sum(len(build.warnings) for build in self._builds)
            on_files = f", {plural(remarks, 'remark')} on Dockerfiles" if remarks else ""
            dialog.border_title = plural(len(self._notices), "notice") + on_files
            dialog.border_subtitle = "esc closes"
            yield Static(text("\n\n").join(self._parts()), classes="body")

    def _parts(self) -> list[Content]:
        remarks = [remarks_text(build) for build in self._builds]
        return [notices_text(self._notices), *remarks] if self._notices or not remarks else remarks

    def action_dismiss_notices(self) -> None:
        self.dismiss()


def notices_text(notices: tuple[Notice, ...]) -> Content:
    """The page: newest first, each with its hint below."""
    if not notices:
        return text(("Nothing to report.", MUTED))
    return text("\n\n").join([_entry(notice) for notice in reversed(notices)])


def remarks_text(build: BuildView) -> Content:
    """What the builder remarked on the Dockerfile of a build."""
    lines = [text((f"! Remarks of the builder, {build.target.value} build #{build.number}", "bold $warning"))]
    for warning in build.warnings:
        first, *more = warning_lines(warning)
        lines += [text(f"  {first}"), *(text((f"  {line}", MUTED)) for line in more)]
    return text("\n").join(lines)


def _entry(notice: Notice) -> Content:
    mark, style = MARKS[notice.severity]
    said = text((f"{mark} ", style), (f"{clock_time(notice.at)}  ", MUTED), (printable(notice.message), "bold"))
    return text(said, "\n", (f"            {printable(notice.hint)}", MUTED)) if notice.hint else said
