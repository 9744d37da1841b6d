"""Every error and remark of the session, newest first, for as long as one wants to read."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from console.format import clock_time, plural, printable
from console.state.app_state import Notice
from console.ui.lines import MUTED, text
from console.ui.widgets.notice_line import MARKS


class NoticesScreen(ModalScreen[None]):
    """All notices kept."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,e,q", "dismiss_notices", "close", tooltip="Back to the dashboard"),
    ]

    def __init__(self, notices: tuple[Notice, ...]) -> None:
        super().__init__()
        self._notices = notices

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog") as dialog:
            dialog.border_title = plural(len(self._notices), "notice")
            dialog.border_subtitle = "esc closes"
            yield Static(notices_text(self._notices), classes="body")

    def action_dismiss_notices(self) -> None:
        self.dismiss()


def notices_text(notices: tuple[Notice, ...]) -> Content:
    """The page: newest first, each with its hint below."""
    if not notices:
        return text(("Nothing to report.", MUTED))
    return text("\n\n").join([_entry(notice) for notice in reversed(notices)])


def _entry(notice: Notice) -> Content:
    mark, style = MARKS[notice.severity]
    said = text((f"{mark} ", style), (f"{clock_time(notice.at)}  ", MUTED), (printable(notice.message), "bold"))
    return text(said, "\n", (f"            {printable(notice.hint)}", MUTED)) if notice.hint else said
