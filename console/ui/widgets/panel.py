"""What every panel of the dashboard shares: it reads slices of the state and repaints only when its text changes."""

from __future__ import annotations

from typing import ClassVar

from textual.content import Content
from textual.reactive import var
from textual.widget import Widget

from console.state.app_state import AppState


class Panel(Widget):
    """A block of text made from the state.

    A subclass names the slices it reads and builds its rows for the size it has. `state` and `now` are bound to the
    screen's; a change of a slice, or of the clock while `live` says so, rebuilds the rows, and only rows that differ
    from those on the screen cause a repaint.
    """

    SLICES: ClassVar[tuple[str, ...]] = ()
    """The fields of `AppState` that this panel reads."""

    ALLOW_SELECT = False

    state: var[AppState] = var(AppState, init=False)
    now: var[float] = var(0.0, init=False)
    """Wall clock, seconds since 1970 UTC."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self._rows: list[Content] = []

    @property
    def live(self) -> bool:
        """Whether something is shown whose text changes as time passes."""
        return True

    def rows(self, width: int, height: int) -> list[Content]:
        """The panel's text for an area of so many cells."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Builds the rows anew and repaints when they differ from those shown."""
        width, height = self.content_size
        if not width or not height:
            return
        rows = self.rows(width, height)
        if len(rows) != len(self._rows) or not all(map(Content.is_same, rows, self._rows)):
            self._rows = rows
            self.refresh()

    def watch_state(self, before: AppState, after: AppState) -> None:
        if any(getattr(before, name) is not getattr(after, name) for name in self.SLICES):
            self.redraw()

    def watch_now(self) -> None:
        if self.live:
            self.redraw()

    def on_resize(self) -> None:
        self.redraw()

    def render(self) -> Content:
        return Content("\n").join(self._rows)

    @property
    def text(self) -> str:
        """The panel's text without styles."""
        return "\n".join(row.plain for row in self._rows)
