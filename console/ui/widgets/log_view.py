"""The log view: draws the visible lines of a ring, follows its end, and finds text in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Offset, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from console.format import clock_time
from console.state.logs import MARKER, REMARK, LogLine, LogRing
from console.ui.widgets.log_search import LogSearch
from console.ui.widgets.log_text import LONGEST, clean, to_text

_STEP = re.compile(r"^\[[^\]]*?(\d+/\d+)\]")
_TIME_FROM_WIDTH = 72
"""Narrower views leave out the time of each line."""


class LogView(ScrollView, can_focus=True):
    """Shows one ring. Nothing is copied and only rows on the screen are ever parsed.

    It follows the end of the log until the user scrolls up, and again once he is back at the end (or presses End).
    `advance` takes in what came since the last call; a lot of lines costs no more than a few.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "match(1)", "next", id="log.next", show=False),
        Binding("N", "match(-1)", "previous", id="log.previous", show=False),
        Binding("escape", "leave_search", "leave search", id="log.leave", show=False),
        Binding("end", "scroll_end", "follow", id="log.follow", tooltip="Go to the end and follow the log again"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "log--gutter",
        "log--error",
        "log--marker",
        "log--match",
        "log--current",
        "log--empty",
    }
    DEFAULT_CSS = """
    LogView {
        background: $background;
        color: $foreground 90%;
        overflow-x: auto;
        overflow-y: scroll;
        scrollbar-size: 0 1;
        .log--gutter { color: $foreground 35%; }
        .log--error { color: $warning; }
        .log--marker { color: $primary; }
        .log--match { background: $warning 35%; color: $foreground; }
        .log--current { background: $warning; color: $background; text-style: bold; }
        .log--empty { color: $foreground 60%; }
    }
    """

    @dataclass
    class Changed(Message):
        """Whether it follows, how many lines came since it stopped, or the search, is now another."""

        view: LogView

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, LogView.Changed) and message.view is self.view

        @property
        def control(self) -> LogView:
            return self.view

    def __init__(self, ring: LogRing, *, empty: str = "no output yet", id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.search: LogSearch | None = None
        self._ring = ring
        self._empty = empty
        self._first = ring.first
        self._end = ring.end
        self._following = True
        self._stopped_at = ring.end
        self._adjusting = False
        self._widest = 0
        self._strips: LRUCache[tuple[int, int], Strip] = LRUCache(512)

    # -- what it shows -----------------------------------------------------------------------------

    @property
    def following(self) -> bool:
        """Whether the newest line is kept in view."""
        return self._following

    @property
    def missed(self) -> int:
        """How many lines came since it stopped following."""
        return 0 if self._following else self._end - self._stopped_at

    @property
    def lines_on_screen(self) -> list[str]:
        """The visible rows as text."""
        return [self.render_line(y).text.rstrip() for y in range(self.scrollable_content_region.height)]

    def show_ring(self, ring: LogRing) -> None:
        """Shows another ring, from its end."""
        if ring is self._ring:
            return
        self._ring = ring
        self._first, self._end = ring.first, ring.end
        self._following = True
        self._widest = 0
        self._strips.clear()
        if self.search is not None:
            self.search = LogSearch(self.search.pattern, ring)
        self._resized()
        self.post_message(self.Changed(self))

    def advance(self) -> None:
        """Takes in the lines that came since the last call."""
        ring = self._ring
        if ring.end == self._end and ring.first == self._first:
            return
        dropped = ring.first - self._first
        self._first, self._end = ring.first, ring.end
        searched = self.search is not None and self.search.update()
        if self._following:
            self._resized()
        else:
            self._keep_place(dropped)
            self._resized()
        if searched or not self._following:
            self.post_message(self.Changed(self))

    def _keep_place(self, dropped: int) -> None:
        """Scrolls along with the lines on the screen as `dropped` older ones make room for new ones."""
        if dropped:
            self._adjusting = True
            self.scroll_y = self.scroll_target_y = max(0, self.scroll_y - dropped)
            self._adjusting = False

    def _resized(self) -> None:
        if not self.size:
            return
        self._adjusting = True
        size = Size(self._widest, self._end - self._first)
        if size != self.virtual_size:
            self.virtual_size = size
        if self._following:
            self.scroll_y = self.scroll_target_y = self.max_scroll_y
        self._adjusting = False
        self.refresh()

    # -- following ---------------------------------------------------------------------------------

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if not self._adjusting and round(old_value) != round(new_value):
            self._set_following(new_value >= self.max_scroll_y)

    def on_resize(self) -> None:
        self._strips.clear()
        self._resized()

    def action_scroll_end(self) -> None:
        """Goes to the end at once (an animation would chase an end that moves) and follows again."""
        self._set_following(True)
        self._resized()

    def _set_following(self, following: bool) -> None:
        if following != self._following:
            self._following = following
            self._stopped_at = self._end
            self.refresh_bindings()
            self.post_message(self.Changed(self))

    # -- searching ---------------------------------------------------------------------------------

    def find(self, pattern: str) -> None:
        """Searches while the user types: the match nearest to the end of what he sees becomes the current one."""
        before = self.search
        self.search = LogSearch(pattern, self._ring) if pattern else None
        self._strips.clear()
        if self.search is not None and self.search.count:
            bottom = self._first + self.scroll_offset.y + self.scrollable_content_region.height - 1
            self._reveal(self.search.step(-1, bottom))
        if (before is None) != (self.search is None):
            self.refresh_bindings()
        self.refresh()
        self.post_message(self.Changed(self))

    def action_match(self, direction: int) -> None:
        """Goes to the next (1) or the previous (-1) match."""
        if self.search is None:
            return
        self._strips.clear()
        self._reveal(self.search.step(direction, self._first + self.scroll_offset.y))
        self.refresh()
        self.post_message(self.Changed(self))

    def action_leave_search(self) -> None:
        self.find("")

    def check_action(self, action: str, _parameters: tuple[object, ...]) -> bool | None:
        if action in {"match", "leave_search"}:
            return self.search is not None
        if action == "scroll_end":
            return not self._following
        return True

    def _reveal(self, sequence: int | None) -> None:
        if sequence is None:
            return
        row, height = sequence - self._first, self.scrollable_content_region.height
        if not self.scroll_offset.y <= row < self.scroll_offset.y + height:
            self.scroll_to(y=max(0, row - height // 2), animate=False)

    # -- drawing -----------------------------------------------------------------------------------

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()

    def render_line(self, y: int) -> Strip:
        scroll_x, scroll_y = self.scroll_offset
        width = self.scrollable_content_region.width
        sequence = self._first + scroll_y + y
        base = self.rich_style
        if self._end == self._first and y == 0:
            empty = Segment(self._empty, self.get_component_rich_style("log--empty"))
            return Strip([empty]).adjust_cell_length(width, base)
        if sequence >= self._end:
            return Strip.blank(width, base)
        strip = self._strip(sequence, width, base)
        if strip.cell_length > scroll_x + width:
            more = Segment("›", self.get_component_rich_style("log--gutter"))
            strip = Strip([*strip.crop(0, scroll_x + width - 1).extend_cell_length(scroll_x + width - 1, base), more])
        return strip.crop_extend(scroll_x, scroll_x + width, base).apply_offsets(
            scroll_x - self._gutter_width(sequence, width), sequence
        )

    def _strip(self, sequence: int, width: int, base: Style) -> Strip:
        selection = self.text_selection
        key = (sequence, width)
        if selection is None and (cached := self._strips.get(key)) is not None:
            return cached
        line = self._ring.line(sequence)
        if line is None:
            return Strip.blank(width, base)
        if line.origin == MARKER:
            return self._rule(line, width, base)
        drawn = to_text(line.text)
        drawn.stylize_before(base)
        self._highlight(drawn, sequence)
        if selection is not None and (span := selection.get_span(sequence)) is not None:
            end = len(drawn) if span[1] < 0 else span[1]
            drawn.stylize(self.screen.get_component_rich_style("screen--selection"), max(0, span[0]), end)
        gutter = self._gutter(line, width)
        strip = Strip([*gutter, *(segment for segment in drawn.render(self.app.console) if segment.text)])
        if strip.cell_length > self._widest:
            self._widest = strip.cell_length
            self.call_later(self._resized)
        if selection is None:
            self._strips[key] = strip
        return strip

    def _gutter_width(self, sequence: int, width: int) -> int:
        line = self._ring.line(sequence)
        if line is None or line.origin == MARKER:
            return 0
        return sum(segment.cell_length for segment in self._gutter(line, width))

    def _gutter(self, line: LogLine, width: int) -> list[Segment]:
        quiet = self.get_component_rich_style("log--gutter")
        parts = [Segment(f"{clock_time(line.at)} ", quiet)] if width >= _TIME_FROM_WIDTH else []
        if line.origin in {"stderr", REMARK}:
            parts.append(Segment("! ", self.get_component_rich_style("log--error")))
        elif line.origin == "stdout":
            parts.append(Segment("  ", quiet))
        elif step := _STEP.match(line.origin):
            parts.append(Segment(f"{step[1]:>5} │ ", quiet))
        return parts

    def _highlight(self, drawn: Text, sequence: int) -> None:
        search = self.search
        if search is None or not search.matches(sequence):
            return
        name = "log--current" if sequence == search.current else "log--match"
        style = self.get_component_rich_style(name)
        for match in search.regex.finditer(drawn.plain):
            drawn.stylize(style, match.start(), match.end())

    def _rule(self, line: LogLine, width: int, base: Style) -> Strip:
        style = self.get_component_rich_style("log--marker")
        title = Text(f"── {clean(line.text)} ")
        when = f" {clock_time(line.at)} ──"
        title.truncate(max(width - len(when), 4), overflow="ellipsis")
        fill = "─" * max(0, width - title.cell_len - len(when))
        return Strip([Segment(title.plain + fill + when, style)]).adjust_cell_length(width, base)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text as it was logged, without colours. Rows are sequence numbers."""
        start = selection.start or Offset(0, self._first)
        end = selection.end or Offset(LONGEST, self._end - 1)
        lines = [self._ring.line(sequence) for sequence in range(start.y, end.y + 1)]
        texts = [clean(line.text) if line is not None else "" for line in lines]
        if not texts:
            return None
        texts[-1] = texts[-1][: max(0, end.x)]
        texts[0] = texts[0][max(0, start.x) :]
        return "\n".join(texts), "\n"

    def selection_updated(self, _selection: Selection | None) -> None:
        self.refresh()
