"""A log view with its search line, and the words for the border: following, or how much was missed."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from console.format import plural
from console.state.logs import LogRing
from console.ui.lines import MUTED, text
from console.ui.widgets.log_view import LogView


class SearchInput(Input):
    """Where the pattern is typed; the arrow keys go through the matches meanwhile."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app_match(-1)", "previous", show=False),
        Binding("down", "app_match(1)", "next", show=False),
        Binding("escape", "leave", "leave search", tooltip="Forget the search"),
    ]

    @property
    def _area(self) -> LogArea:
        area = self.query_ancestor(LogArea)
        assert isinstance(area, LogArea)
        return area

    def action_app_match(self, direction: int) -> None:
        self._area.view.action_match(direction)

    def action_leave(self) -> None:
        self._area.close_search()


class SearchButton(Static):
    """A search key for the mouse."""

    ALLOW_SELECT = False

    def __init__(self, label: str, action: str) -> None:
        super().__init__(label, markup=False)
        self._action = action

    async def on_click(self, event: events.Click) -> None:
        event.stop()
        area = self.query_ancestor(LogArea)
        if self._action == "close":
            area.close_search()
        else:
            area.view.action_match(1 if self._action == "next" else -1)


class LogArea(Vertical):
    """A log and, while one is open, the search in it."""

    DEFAULT_CSS = """
    LogArea {
        height: 1fr;
        .search { height: 1; display: none; background: $surface; }
        &.-searching .search { display: block; }
        .search > Static { width: auto; padding: 0 1; color: $foreground 60%; }
        .search > SearchButton { color: $primary; }
        .search > SearchButton:hover { background: $panel; }
        SearchInput, SearchInput:focus { border: none; height: 1; padding: 0; width: 1fr; background: $surface; }
    }
    """

    class StatusChanged(Message):
        """`status` reads otherwise now.

        A message of its own, because Textual ends a message's way up at the widget during whose handler it was made,
        and the view's are often made during ours.
        """

    def __init__(self, ring: LogRing, *, empty: str, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.view = LogView(ring, empty=empty)

    def compose(self) -> ComposeResult:
        yield self.view
        with Horizontal(classes="search"):
            yield Static("/", markup=False)
            yield SearchInput(placeholder="text or regular expression", compact=True)
            yield Static("", classes="found", markup=False)
            yield SearchButton("▲ N", "previous")
            yield SearchButton("▼ n", "next")
            yield SearchButton("✕ esc", "close")

    @property
    def status(self) -> Content:
        """`following`, or that it does not and what came since."""
        view = self.view
        if view.following:
            return text(("following", MUTED))
        missed = f" – {plural(view.missed, 'new line')}" if view.missed else ""
        return text((f"paused{missed}", "bold $warning"), (" · end follows", MUTED))

    def open_search(self) -> None:
        """Shows the search line, with the last pattern, and lets the user type."""
        self.add_class("-searching")
        field = self.query_one(SearchInput)
        field.focus()
        if field.value:
            self.view.find(field.value)

    def close_search(self) -> None:
        """Forgets the search and gives the log the focus."""
        self.remove_class("-searching")
        self.view.find("")
        self.view.focus()

    @on(Input.Changed)
    def _search(self, event: Input.Changed) -> None:
        event.stop()
        if self.has_class("-searching"):
            self.view.find(event.value)

    @on(Input.Submitted)
    def _to_the_log(self, event: Input.Submitted) -> None:
        event.stop()
        self.view.focus()

    @on(LogView.Changed)
    def _show_count(self, event: LogView.Changed) -> None:
        event.stop()
        self.post_message(self.StatusChanged())
        search = self.view.search
        if search is None:
            if not self.query_one(SearchInput).has_focus:
                self.remove_class("-searching")
            found = ""
        elif not search.count:
            found = "no match"
        else:
            found = f"{search.position} of {search.count:,}" if search.position else f"{search.count:,} lines"
        self.query_one(".found", Static).update(found)
