"""The line above the keys: the newest notice that nobody has read yet, for as long as nobody has."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.reactive import var

from console.format import clock_time, printable
from console.state.app_state import Notice
from console.ui.lines import MUTED, spread, text
from console.ui.widgets.panel import Panel

MARKS = {"error": ("✖", "bold $error"), "warning": ("!", "bold $warning"), "information": ("i", "$primary")}
"""A notice's sign and style by its severity."""


class NoticeLine(Panel):
    """One line; hidden while there is nothing unread. A click opens all notices."""

    DEFAULT_CSS = """
    NoticeLine { dock: bottom; height: 1; padding: 0 1; background: $surface; display: none; margin-bottom: 1; }
    NoticeLine.-unread { display: block; }
    NoticeLine:hover { background: $panel; }
    """

    unread: var[tuple[Notice, ...]] = var((), init=False)
    """Warnings and errors that the user has not opened, newest last."""

    @property
    def live(self) -> bool:
        return False

    def watch_unread(self) -> None:
        self.set_class(bool(self.unread), "-unread")
        self.redraw()

    def rows(self, width: int, _height: int) -> list[Content]:
        if not self.unread:
            return []
        notice = self.unread[-1]
        mark, style = MARKS[notice.severity]
        hint = f" — {printable(notice.hint)}" if notice.hint else ""
        said = text(
            (f"{mark} ", style), (f"{clock_time(notice.at)} ", MUTED), (printable(notice.message), "bold"), (hint, "")
        )
        more = f"e all {len(self.unread)}" if len(self.unread) > 1 else "e read"
        return [spread(said, text((more, "$primary")), width)]

    async def on_click(self, event: events.Click) -> None:
        event.stop()
        await self.run_action("screen.notices")
