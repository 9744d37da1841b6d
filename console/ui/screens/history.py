"""The history: every build that was measured, what became of the figures over time, and how any two builds differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.reactive import var
from textual.screen import Screen
from textual.timer import Timer

from console import events as ev
from console.events import Stamped
from console.intents import HistoryBuildRequested, HistoryRequested, Intent
from console.measurements import BuildQuery
from console.model import BuildStatus, Clock, Scenario, Target
from console.state.app_state import AppState
from console.state.store import Store
from console.ui.bridge import TICK_S, Bridge
from console.ui.commands import HISTORY_KEYS, KEYS, Command
from console.ui.widgets.build_rows import MOST_LISTED, SORTS
from console.ui.widgets.builds_list import BuildsList
from console.ui.widgets.header import HeaderBar
from console.ui.widgets.history_details import HistoryDetails, View
from console.ui.widgets.key_bar import KeyBar
from console.ui.widgets.log_view import LogView
from console.ui.widgets.trend_plot import TrendPlot

if TYPE_CHECKING:
    from console.ui.app import ConsoleApp

REST_S = 0.12
"""How long a selection has to rest until its build is read."""
_PAGE = 200
_OUTCOMES = (BuildStatus.OK, BuildStatus.FAILED, BuildStatus.CANCELLED)
_BY_NAME = frozenset({"scenario", "target", "status"})
"""What is sorted from A to Z at first, not from the greatest on."""
_ABOUT_BUILDS = frozenset({"rebuild", "cancel"})
T = TypeVar("T")


class HistoryScreen(Screen[None]):
    """The builds of the history.

    Args:
        store: Whose state is shown.
        clock: Where the time on the screen comes from.
        dispatch: Takes the user's intents; must not block.
    """

    BINDINGS: ClassVar[list[BindingType]] = [command.binding for command in HISTORY_KEYS]
    PALETTE: ClassVar[tuple[Command, ...]] = (
        *HISTORY_KEYS,
        *(replace(command, keys="") for command in KEYS if command.id in _ABOUT_BUILDS),
    )
    BINDING_GROUP_TITLE = "History"
    AUTO_FOCUS = "BuildsList"
    ALLOW_IN_MAXIMIZED_VIEW = "HeaderBar, KeyBar"

    app: ConsoleApp

    state: var[AppState] = var(AppState, init=False)
    now: var[float] = var(0.0, init=False)
    question: var[BuildQuery] = var(BuildQuery, init=False)
    selected: var[int] = var(0, init=False)
    marked: var[int] = var(0, init=False)
    view: var[View] = var[View]("build", init=False)

    def __init__(self, store: Store, clock: Clock, dispatch: Callable[[Intent], None]) -> None:
        super().__init__()
        self._store = store
        self._send = dispatch
        self._bridge = Bridge(store, clock, self)
        self._unsubscribe: Callable[[], None] = lambda: None
        self._rest: Timer | None = None
        self._asked: set[int] = set()
        """Builds whose answer is awaited."""

    def compose(self) -> ComposeResult:
        yield HeaderBar().data_bind(HistoryScreen.state, HistoryScreen.now)
        with Container(id="history-panes"):
            with Vertical(id="history-left"):
                yield BuildsList(id="builds").data_bind(
                    HistoryScreen.state, HistoryScreen.now, HistoryScreen.question, HistoryScreen.marked
                )
                yield TrendPlot(id="trend").data_bind(HistoryScreen.state, HistoryScreen.now)
            yield HistoryDetails(id="history-details").data_bind(
                HistoryScreen.state, HistoryScreen.selected, HistoryScreen.marked, HistoryScreen.view
            )
        yield KeyBar()

    def on_mount(self) -> None:
        self._unsubscribe = self._store.subscribe(self._look_again)
        self._bridge.start()
        self._bridge.tick()
        self.set_interval(TICK_S, self._bridge.tick, name="bridge")
        self._send(HistoryRequested(self.question))

    def on_unmount(self) -> None:
        self._bridge.stop()
        self._unsubscribe()

    def refresh_from_store(self) -> None:
        """Copies what changed right now, instead of at the next tick."""
        self._bridge.tick()

    def log_views(self) -> Iterable[LogView]:
        return ()

    # -- what is asked -----------------------------------------------------------------------------

    def _look_again(self, batch: list[Stamped]) -> None:
        """A build was recorded: the list is not what it was."""
        if any(isinstance(stamped.event, ev.ComparisonUpdated) for stamped in batch):
            self._send(HistoryRequested(self.question))
        answers = (stamped.event for stamped in batch if isinstance(stamped.event, ev.HistoryBuildRead))
        self._asked -= {answer.sample.number for answer in answers}
        if any(isinstance(stamped.event, ev.ErrorOccurred) for stamped in batch):
            self._asked.clear()

    def watch_question(self, query: BuildQuery) -> None:
        self._send(HistoryRequested(query))

    def watch_selected(self) -> None:
        self._read_soon()

    def watch_view(self, view: View) -> None:
        self.set_class(view == "trend", "-trend")
        self._read_soon()

    def _read_soon(self) -> None:
        """Asks for what is shown once the selection rests."""
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST_S, self._read, name="rest")

    def _read(self) -> None:
        wanted = {self.selected, self.marked} if self.view == "difference" else {self.selected}
        for number in sorted(wanted - self._asked):
            if number and self._store.state.history.detail(number) is None:
                self._asked.add(number)
                self._send(HistoryBuildRequested(number))

    @on(BuildsList.Selected)
    def _selected(self, event: BuildsList.Selected) -> None:
        event.stop()
        self.selected = event.number

    @on(BuildsList.Wanted)
    def _wanted(self, event: BuildsList.Wanted) -> None:
        event.stop()
        self.view = "build"

    @on(BuildsList.SortWanted)
    def _sort_wanted(self, event: BuildsList.SortWanted) -> None:
        event.stop()
        self._sort_by(event.sort)

    @on(BuildsList.EndReached)
    def _end_reached(self, event: BuildsList.EndReached) -> None:
        event.stop()
        history, limit = self._store.state.history, self.question.limit
        known = len(history.builds or ())
        if history.query == self.question and history.total > known and limit < MOST_LISTED:
            self.question = replace(self.question, limit=limit + _PAGE)

    # -- actions -----------------------------------------------------------------------------------

    def action_sort(self) -> None:
        self._sort_by(_next(tuple(SORTS), self.question.sort) or next(iter(SORTS)))

    def action_reverse(self) -> None:
        self._ask(replace(self.question, descending=not self.question.descending))

    def _sort_by(self, sort: str) -> None:
        if sort == self.question.sort:
            self.action_reverse()
        else:
            self._ask(replace(self.question, sort=sort, descending=sort not in _BY_NAME))

    def action_next_image(self) -> None:
        self._ask(replace(self.question, target=_next(tuple(Target), self.question.target)))

    def action_next_scenario(self) -> None:
        self._ask(replace(self.question, scenario=_next(tuple(Scenario), self.question.scenario)))

    def action_next_outcome(self) -> None:
        self._ask(replace(self.question, status=_next(_OUTCOMES, self.question.status)))

    def _ask(self, query: BuildQuery) -> None:
        """Another question begins at its beginning."""
        self.question = replace(query, limit=_PAGE)

    def action_mark(self) -> None:
        if not self.selected:
            self._explain("There is no build here to mark.")
        else:
            self.marked = 0 if self.marked == self.selected else self.selected
            if self.view == "difference" and not self.marked:
                self.view = "build"

    def action_difference(self) -> None:
        if self.view == "difference":
            self.view = "build"
        elif not self.marked:
            self._explain("Mark a build with the space bar first, then select the one to set beside it.")
        else:
            self.view = "difference"

    def action_findings(self) -> None:
        self._toggle("findings")

    def action_trend(self) -> None:
        self._toggle("trend")

    def action_show_build(self) -> None:
        self.view = "build"

    def _toggle(self, view: View) -> None:
        self.view = "build" if self.view == view else view

    def action_zoom(self) -> None:
        if self.maximized is not None:
            self.minimize()
        elif self.focused is not None:
            self.maximize(self.focused)

    def action_help(self) -> None:
        from console.ui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self.state))

    def action_close(self) -> None:
        if self.maximized is not None:
            self.minimize()
        else:
            self.dismiss()

    def _explain(self, why: str) -> None:
        self.notify(why, markup=False, timeout=4)


def _next(values: Sequence[T], value: T | None) -> T | None:
    """The one after it; None, which stands for all, comes after the last."""
    if value is None:
        return values[0]
    index = values.index(value) + 1
    return values[index] if index < len(values) else None
