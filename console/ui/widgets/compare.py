"""Legacy against split: what the same save costs on either track, as measured on this machine and nothing else."""

from __future__ import annotations

from textual.content import Content

from console.state.app_state import AppState
from console.ui.compare_rows import compare_rows
from console.ui.widgets.panel import Panel


class Compare(Panel, can_focus=True):
    """The comparison of one scenario and what follows from it, and the race while there is one."""

    BORDER_TITLE = "Legacy vs split"
    SLICES = ("comparison", "findings", "race", "raced", "legacy_build", "pipeline", "builder", "mode")

    def __init__(self, *, can_race: bool, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._can_race = can_race

    @property
    def live(self) -> bool:
        return True  # "measured 2 m ago" grows old, and the race has a clock

    def watch_state(self, before: AppState, after: AppState) -> None:
        super().watch_state(before, after)
        comparison = after.comparison
        if comparison is not before.comparison and comparison is not None:
            self.border_title = f"Legacy vs split — {comparison.scenario.value.replace('-', ' ')}"

    def rows(self, width: int, height: int) -> list[Content]:
        return compare_rows(self.state, self.now, width, height, can_race=self._can_race)
