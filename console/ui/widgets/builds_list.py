"""The builds of the history: one row each, one of them selected, one perhaps marked to be compared.

There may be thousands: only the rows on the screen are made.
"""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import var
from textual.strip import Strip
from textual.visual import Visual

from console.measurements import BuildQuery, ListedBuild
from console.state.app_state import AppState
from console.ui.widgets.build_rows import (
    Column,
    build_row,
    column_at,
    columns_of,
    empty_row,
    heading_row,
    list_title,
    more_row,
)
from console.ui.widgets.rows import RowsView


class BuildsList(RowsView):
    """Arrows and clicks select, a click on a heading sorts; going to its end asks for more."""

    BORDER_TITLE = "Builds"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "select(-1)", "up", show=False),
        Binding("down,j", "select(1)", "down", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
        Binding("pagedown", "page(1)", "page down", show=False),
        Binding("home", "select(-100000)", "first", show=False),
        Binding("end", "select(100000)", "last", show=False),
    ]

    state: var[AppState] = var(AppState, init=False)
    now: var[float] = var(0.0, init=False)
    question: var[BuildQuery] = var(BuildQuery, init=False)
    """What is wanted; the list may still be the answer to another question."""
    selected: var[int] = var(0, init=False)
    """Number of the selected build; 0 for none."""
    marked: var[int] = var(0, init=False)
    """Number of the build that others are compared with; 0 for none."""

    class Selected(Message):
        """Another build is selected."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    class Wanted(Message):
        """The user wants to see the selected one."""

    class SortWanted(Message):
        """The user wants another order."""

        def __init__(self, sort: str) -> None:
            super().__init__()
            self.sort = sort

    class EndReached(Message):
        """The last build of the list is on the screen."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._index: dict[int, int] = {}
        self._columns: list[Column] = []
        self._strips: dict[int, Strip] = {}
        """Lines as they were drawn, so that scrolling draws only those that come in."""

    @property
    def builds(self) -> tuple[ListedBuild, ...]:
        return self.state.history.builds or ()

    @property
    def listed(self) -> ListedBuild | None:
        """The selected build; the first while nobody has selected another."""
        builds = self.builds
        return builds[self._index.get(self.selected, 0)] if builds else None

    def rows(self, width: int) -> list[Content]:
        return [self._row(y, width) for y in range(self.virtual_size.height)]

    @property
    def text(self) -> str:
        return "\n".join(row.plain for row in self.rows(self._width))

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width - 1  # a gap before the scrollbar

    def redraw(self) -> None:
        """Notes how many rows there are, and repaints."""
        builds, history = self.builds, self.state.history
        self._columns = columns_of(builds, self._width)
        more = 1 if history.total > len(builds) > 0 else 0
        self.virtual_size = Size(max(self._width, 0), (len(builds) or 1) + 1 + more)
        self.border_title = list_title(history, self.question)
        self._repaint()

    def _repaint(self) -> None:
        self._strips.clear()
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        line = 0 if y == 0 else y + self.scroll_offset.y
        if line >= self.virtual_size.height:
            return Strip.blank(width, self.rich_style)
        if line not in self._strips:
            row = self._row(line, self._width)
            self._strips[line] = Visual.to_strips(self, row, width, 1, self.visual_style, pad=True)[0]
        return self._strips[line]

    def _row(self, line: int, width: int) -> Content:
        """A line of the list; the first one has the headings and stays where it is."""
        builds, history = self.builds, self.state.history
        if not builds:
            return empty_row(history, self.question, line, width)
        if line == 0:
            return heading_row(self._columns, history.query, width)
        if line > len(builds):
            return more_row(history, width)
        listed = builds[line - 1]
        chosen = listed.sample.number == self.selected
        row = build_row(
            listed, self._columns, self.now, width, chosen=chosen, marked=listed.sample.number == self.marked
        )
        return row.stylize("on $primary 22%" if self.has_focus else "on $panel") if chosen else row

    # -- what changes it ---------------------------------------------------------------------------

    def watch_state(self, before: AppState, after: AppState) -> None:
        if before.history is after.history:
            return
        if before.history.builds is after.history.builds:
            self.redraw()
            return
        was = self._index.get(self.selected)
        self._index = {listed.sample.number: index for index, listed in enumerate(self.builds)}
        now = self._index.get(self.selected)
        self.redraw()
        if now is None:
            listed = self.listed
            self.selected = 0 if listed is None else listed.sample.number
            self.scroll_to(y=0, animate=False, force=True)
        elif was is not None and self.scroll_offset.y and was != now:  # what is looked at stays where it is
            self.scroll_to(y=self.scroll_offset.y + now - was, animate=False, force=True)

    def watch_now(self, before: float, after: float) -> None:
        if int(before) != int(after):
            self._repaint()

    def watch_question(self) -> None:
        self.redraw()

    def watch_marked(self, before: int, after: int) -> None:
        self._repaint_builds(before, after)

    def watch_selected(self, before: int, after: int) -> None:
        self._repaint_builds(before, after)
        self.post_message(self.Selected(after))

    def _repaint_builds(self, *numbers: int) -> None:
        for number in numbers:
            if number in self._index:
                line = self._index[number] + 1
                self._strips.pop(line, None)
                self.refresh_line(line)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if self.builds and new_value > old_value and new_value >= self.max_scroll_y:
            self.post_message(self.EndReached())

    def on_focus(self) -> None:
        self._repaint()

    def on_blur(self) -> None:
        self._repaint()

    def action_select(self, steps: int) -> None:
        if not self.builds:
            return
        index = min(max(self._index.get(self.selected, 0) + steps, 0), len(self.builds) - 1)
        self.selected = self.builds[index].sample.number
        self._show(index)
        if index == len(self.builds) - 1:
            self.post_message(self.EndReached())

    def action_page(self, pages: int) -> None:
        self.action_select(pages * max(self.scrollable_content_region.height - 2, 1))

    def _show(self, index: int) -> None:
        """Scrolls as little as need be; the headings cover the first line."""
        height = self.scrollable_content_region.height - 1
        top = self.scroll_offset.y
        if not top <= index < top + height:
            self.scroll_to(y=index if index < top else index - height + 1, animate=False, force=True)

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        if place is None or not self.builds:
            return
        if place.y == 0:
            wanted = column_at(self._columns, place.x)
            if wanted is not None:
                self.post_message(self.SortWanted(wanted.sort))
            return
        index = place.y + self.scroll_offset.y - 1
        if 0 <= index < len(self.builds):
            self.selected = self.builds[index].sample.number
            if event.chain == 2:
                self.post_message(self.Wanted())
