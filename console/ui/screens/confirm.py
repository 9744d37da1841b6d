"""A question before something is done: what will happen, and two answers."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from console.ui.lines import MUTED, text
from console.ui.questions import Question


class ConfirmScreen(ModalScreen[bool]):
    """True if the user wants it; enter answers with the button that has the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes", tooltip="Do it"),
        Binding("n,escape,q", "answer(False)", "no", tooltip="Leave everything as it is"),
        Binding("left,right", "app.focus_next", "other answer", show=False),
    ]

    def __init__(self, question: Question) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        question = self._question
        with VerticalScroll(classes="dialog", can_focus=False) as dialog:
            dialog.border_title = text(question.title)
            dialog.border_subtitle = "y yes · esc no"
            yield Static(text("\n\n").join([text(line) for line in question.happens]), classes="body")
            with Horizontal(classes="answers"):
                yield Button(text(question.yes, ("  y", MUTED)), id="yes", compact=True)
                yield Button(text("Leave it", ("  esc", MUTED)), id="no", compact=True)

    def on_mount(self) -> None:
        self.query_one("#no" if self._question.careful else "#yes", Button).focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)
