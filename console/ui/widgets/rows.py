"""Rows of text that scroll: only rows that changed are repainted, and only those on the screen are drawn."""

from __future__ import annotations

from typing import ClassVar

from textual.content import Content
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual


class RowsView(ScrollView, can_focus=True):
    """A subclass says what its rows are for a width, and calls `redraw` when they may read otherwise."""

    ALLOW_SELECT: ClassVar[bool] = False
    DEFAULT_CSS = """
    RowsView {
        height: 1fr;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-gutter: stable;
        scrollbar-size: 1 1;
        text-wrap: nowrap;
        background: $background;
    }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._rows: list[Content] = []

    def rows(self, width: int) -> list[Content]:
        """The rows for so many cells."""
        raise NotImplementedError

    @property
    def text(self) -> str:
        """The rows without styles."""
        return "\n".join(row.plain for row in self._rows)

    def on_resize(self) -> None:
        self.redraw()

    def redraw(self) -> None:
        """Builds the rows anew; repaints those that differ."""
        width = self.scrollable_content_region.width - 1  # a gap before the scrollbar
        if width <= 0:
            return
        before, self._rows = self._rows, self.rows(width)
        if len(self._rows) != len(before):
            self.virtual_size = Size(width, len(self._rows))
            self.refresh()
            return
        for y, (old, new) in enumerate(zip(before, self._rows, strict=True)):
            if not old.is_same(new):
                self.refresh_line(y)

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        index = y + self.scroll_offset.y
        if index >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        return Visual.to_strips(self, self._rows[index], width, 1, self.visual_style, pad=True)[0]

    def bring_into_view(self, row: int, *, to_top: bool = False) -> None:
        """Scrolls to a row that is not seen; with `to_top` so that as much as possible of what follows it is seen."""
        height = self.scrollable_content_region.height
        top = self.scroll_offset.y
        if to_top and len(self._rows) > height:
            self.scroll_to(y=row, animate=False, force=True)
        elif not top <= row < top + height:
            self.scroll_to(y=max(0, row - height // 2), animate=False, force=True)
