"""The live screen: composes the panels, binds them to the state, and turns keys into intents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.reactive import var
from textual.screen import Screen

from console.format import printable
from console.model import Clock, Mode, Target
from console.state.app_state import AppState, Notice
from console.state.store import Store
from console.ui.bridge import TICK_S, Bridge
from console.ui.commands import KEYS, LOG_KEYS, SHOW_BUILDS, Command
from console.ui.widgets.compare import Compare
from console.ui.widgets.header import HeaderBar
from console.ui.widgets.key_bar import KeyBar
from console.ui.widgets.log_area import LogArea
from console.ui.widgets.log_view import LogView
from console.ui.widgets.notice_line import NoticeLine
from console.ui.widgets.panes import AppPane, BuildPane
from console.ui.widgets.pipeline import Pipeline

if TYPE_CHECKING:
    from console.ui.app import ConsoleApp

_TOASTS_AT_ONCE = 3


class Dashboard(Screen[None]):
    """Everything about the running session at one glance."""

    BINDINGS: ClassVar[list[BindingType]] = [command.binding for command in KEYS]
    PALETTE: ClassVar[tuple[Command, ...]] = (*KEYS, *LOG_KEYS, *SHOW_BUILDS)
    BINDING_GROUP_TITLE = "Console"
    AUTO_FOCUS = "#app LogView"
    ALLOW_IN_MAXIMIZED_VIEW = "HeaderBar, NoticeLine, KeyBar"

    app: ConsoleApp

    state: var[AppState] = var(AppState, init=False)
    now: var[float] = var(0.0, init=False)
    unread: var[tuple[Notice, ...]] = var((), init=False)
    """Warnings and errors that the user has not opened yet, newest last."""

    def __init__(self, store: Store, clock: Clock, *, can_race: bool) -> None:
        super().__init__()
        self._can_race = can_race
        self._bridge = Bridge(store, clock, self)
        self._builds = BuildPane(store.build_logs)
        self._app_pane = AppPane(store.app_log)

    def compose(self) -> ComposeResult:
        yield HeaderBar().data_bind(Dashboard.state, Dashboard.now)
        with Horizontal(id="figures"):
            yield Pipeline(id="pipeline").data_bind(Dashboard.state, Dashboard.now)
            yield Compare(can_race=self._can_race, id="compare").data_bind(Dashboard.state, Dashboard.now)
        with Horizontal(id="panes"):
            yield self._builds.data_bind(Dashboard.state, Dashboard.now)
            yield self._app_pane.data_bind(Dashboard.state, Dashboard.now)
        yield NoticeLine().data_bind(Dashboard.unread)
        yield KeyBar(self._labels)

    def _labels(self) -> dict[str, str]:
        return {"app.change_mode": "legacy" if self.state.mode is Mode.SPLIT else "split"}

    def on_mount(self) -> None:
        self._bridge.start()
        self._bridge.tick()
        self.set_interval(TICK_S, self._bridge.tick, name="bridge")

    def on_unmount(self) -> None:
        self._bridge.stop()

    def refresh_from_store(self) -> None:
        """Copies what changed right now, instead of at the next tick."""
        self._bridge.tick()

    def log_views(self) -> Iterable[LogView]:
        return (self._builds.log_area.view, self._app_pane.log_area.view)

    def watch_state(self, before: AppState, after: AppState) -> None:
        self.app.show_in_title(after)
        if before.mode is not after.mode:
            self.refresh_bindings()
        if before.notices is not after.notices:
            held = set(map(id, after.notices))
            self.unread = tuple(notice for notice in self.unread if id(notice) in held)
            self._announce(_added(before.notices, after.notices))

    def _announce(self, notices: tuple[Notice, ...]) -> None:
        for notice in notices[-_TOASTS_AT_ONCE:]:
            message = printable(notice.message)
            if notice.hint:
                message += f"\n{printable(notice.hint)}"
            self.notify(message, severity=notice.severity, markup=False, timeout=6)
        serious = tuple(notice for notice in notices if notice.severity != "information")
        if serious:
            self.unread = (*self.unread, *serious)

    # -- actions -----------------------------------------------------------------------------------

    def action_search(self) -> None:
        self._log_in_use().open_search()

    def action_follow(self) -> None:
        self._log_in_use().view.action_scroll_end()

    def action_match(self, direction: int) -> None:
        self._log_in_use().view.action_match(direction)

    def action_leave_search(self) -> None:
        self._log_in_use().close_search()

    def _log_in_use(self) -> LogArea:
        """The log that has the focus or shares a pane with what has it; else the app's."""
        in_builds = self.focused is not None and self._builds in self.focused.ancestors
        if (in_builds or self.maximized is self._builds) and self._builds.log_area.region:
            return self._builds.log_area
        return self._app_pane.log_area

    def action_next_build(self) -> None:
        targets = list(Target)
        self._builds.pick(targets[(targets.index(self._builds.shown) + 1) % len(targets)])

    def action_show_build(self, target: str) -> None:
        self._builds.pick(Target(target))

    def action_zoom(self) -> None:
        if self.maximized is not None:
            self.minimize()
        elif self.focused is not None:
            self.maximize(self.focused)

    def action_help(self) -> None:
        from console.ui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self.state))

    def action_notices(self) -> None:
        from console.ui.screens.notices import NoticesScreen

        self.unread = ()
        self.app.push_screen(NoticesScreen(self.state))


def _added(before: tuple[Notice, ...], after: tuple[Notice, ...]) -> tuple[Notice, ...]:
    """The notices that were not there before; older ones may have gone meanwhile, from either end."""
    known = set(map(id, before))
    return tuple(notice for notice in after if id(notice) not in known)
