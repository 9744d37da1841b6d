"""The base panel: the present base image, the versions on this engine, and what can be done with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.reactive import var
from textual.screen import Screen

from console import events as ev
from console.base_values import HeldBecause
from console.events import Stamped
from console.intents import (
    BaseBuildRequested,
    BaseCompareRequested,
    BaseContentsRequested,
    BaseNewerRequested,
    BasePruneRequested,
    BasePublishRequested,
    BasePullRequested,
    BaseRollbackRequested,
    BaseUseRequested,
    BaseVersionsRequested,
    Intent,
)
from console.model import Clock
from console.state.app_state import AppState
from console.state.store import Store
from console.ui.base_rows import Entry, contents_of, diff_of, pair_of
from console.ui.bridge import TICK_S, Bridge
from console.ui.commands import BASE_KEYS, KEYS, Command
from console.ui.questions import Question, prune_question, publish_question, rollback_question, use_question
from console.ui.screens.confirm import ConfirmScreen
from console.ui.widgets.base_card import BaseCard
from console.ui.widgets.header import HeaderBar
from console.ui.widgets.key_bar import KeyBar
from console.ui.widgets.log_view import LogView
from console.ui.widgets.version_details import VersionDetails
from console.ui.widgets.versions_list import VersionsList

if TYPE_CHECKING:
    from console.ui.app import ConsoleApp

_OTHER_VERSIONS = (ev.BasePromoted, ev.BaseUsed, ev.BasePruned, ev.BaseHeld)
"""Events after which the list is not what it was."""
_LATEST = "latest"


class BaseScreen(Screen[None]):
    """Versions of the base image.

    Args:
        store: Whose state is shown.
        clock: Where the time on the screen comes from.
        dispatch: Takes the user's intents; must not block.
        remote: Where the base image is published to and pulled from; empty where there is no registry.
    """

    BINDINGS: ClassVar[list[BindingType]] = [command.binding for command in BASE_KEYS]
    PALETTE: ClassVar[tuple[Command, ...]] = (
        *BASE_KEYS,
        *(replace(command, keys="") for command in KEYS if command.id == "cancel"),
    )
    BINDING_GROUP_TITLE = "Base image"
    AUTO_FOCUS = "VersionsList"

    app: ConsoleApp

    state: var[AppState] = var(AppState, init=False)
    now: var[float] = var(0.0, init=False)
    selected: var[str] = var("", init=False)
    """Key of the entry that is selected."""
    comparing: var[bool] = var(default=False, init=False)
    reading: var[bool] = var(default=False, init=False)

    def __init__(self, store: Store, clock: Clock, dispatch: Callable[[Intent], None], *, remote: str) -> None:
        super().__init__()
        self._store = store
        self._send = dispatch
        self._remote = remote
        self._bridge = Bridge(store, clock, self)
        self._unsubscribe: Callable[[], None] = lambda: None
        self.versions = VersionsList(id="versions")

    def compose(self) -> ComposeResult:
        yield HeaderBar().data_bind(BaseScreen.state, BaseScreen.now)
        yield BaseCard(self._remote, id="base-card").data_bind(BaseScreen.state, BaseScreen.now)
        with Horizontal(id="base-panes"):
            yield self.versions.data_bind(BaseScreen.state, BaseScreen.now)
            yield VersionDetails(id="details").data_bind(
                BaseScreen.state, BaseScreen.now, BaseScreen.selected, BaseScreen.comparing, BaseScreen.reading
            )
        yield KeyBar()

    def on_mount(self) -> None:
        self._unsubscribe = self._store.subscribe(self._look_again)
        self._bridge.start()
        self._bridge.tick()
        self.set_interval(TICK_S, self._bridge.tick, name="bridge")
        self._send(BaseVersionsRequested())
        if self._remote:
            self._send(BaseNewerRequested())

    def on_unmount(self) -> None:
        self._bridge.stop()
        self._unsubscribe()

    def refresh_from_store(self) -> None:
        """Copies what changed right now, instead of at the next tick."""
        self._bridge.tick()

    def log_views(self) -> Iterable[LogView]:
        return ()

    def _look_again(self, batch: list[Stamped]) -> None:
        if any(isinstance(stamped.event, _OTHER_VERSIONS) for stamped in batch):
            self._send(BaseVersionsRequested())
        if any(isinstance(stamped.event, (ev.BaseCompared, ev.ErrorOccurred)) for stamped in batch):
            self.comparing = False
        if any(isinstance(stamped.event, (ev.BaseContentsRead, ev.ErrorOccurred)) for stamped in batch):
            self.reading = False

    def watch_state(self, before: AppState, after: AppState) -> None:
        if before.base is not after.base:
            self.refresh_bindings()

    @on(VersionsList.Selected)
    def _selected(self, event: VersionsList.Selected) -> None:
        event.stop()
        self.selected = event.key

    @on(VersionsList.Wanted)
    def _wanted(self, event: VersionsList.Wanted) -> None:
        event.stop()
        self.action_use_version()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in {"pull", "publish"}:
            return bool(self._remote)
        if action == "approve":
            return self._needs_approval
        return super().check_action(action, parameters)

    @property
    def _needs_approval(self) -> bool:
        base = self._store.state.base
        return base is not None and base.held is not None and base.held.because is HeldBecause.MAJOR

    # -- actions -----------------------------------------------------------------------------------

    def action_use_version(self) -> None:
        entry = self.versions.entry
        if entry is None:
            self._explain("There is no version here to use; b builds one.")
        elif entry.version is None:
            keys = "a approves it, b tries again" if self._needs_approval else "b tries again"
            self._explain(f"{entry.name} is held, so nothing can stand on it: {keys}.")
        elif not (wanted := self._tag_of(entry)):
            self._explain(f"{entry.name} has no tag of its own that config.toml could name.")
        else:
            self._ask(use_question(self.state, entry.version, wanted), BaseUseRequested(wanted))

    def _tag_of(self, entry: Entry) -> str:
        """What config.toml would say: `latest` where that goes back to following it, else the version's own tag."""
        version, base = entry.version, self.state.base
        assert version is not None
        if _LATEST in version.tags and base is not None and (base.pinned or not version.current):
            return _LATEST
        return version.name if version.name in version.tags else ""

    def action_roll_back(self) -> None:
        base = self.state.base
        if base is None or not base.previous:
            self._explain("There is no version before the present one to go back to.")
        else:
            self._ask(rollback_question(self.state, base), BaseRollbackRequested())

    def action_approve(self) -> None:
        self._send(BaseBuildRequested(allow_major=True))

    def action_pull(self) -> None:
        self._send(BasePullRequested())

    def action_publish(self) -> None:
        base = self.state.base
        if base is None or not base.present:
            self._explain("There is no base image here to publish; b builds one.")
        else:
            present = next((version for version in self.state.bases.versions or () if version.current), None)
            self._ask(publish_question(base, present, self._remote), BasePublishRequested())

    def action_compare(self) -> None:
        entry = self.versions.entry
        pair = None if entry is None else pair_of(self.state, entry)
        if entry is None or pair is None:
            self._explain("There are no two versions here to compare.")
        elif diff_of(self.state, entry) is None:
            self.comparing = True
            self._send(BaseCompareRequested(*pair))

    def action_show_contents(self) -> None:
        entry = self.versions.entry
        if entry is None:
            self._explain("There is no version here to look into.")
        elif contents_of(self.state, entry) is None:
            self.reading = True
            self._send(BaseContentsRequested(entry.reference))

    def action_prune(self) -> None:
        versions = self.state.bases.versions or ()
        if len(versions) < 2:
            self._explain("There is nothing to remove: the present base is the only version here.")
        else:
            self._ask(prune_question(self.state, versions), BasePruneRequested())

    def action_help(self) -> None:
        from console.ui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self.state))

    def action_close(self) -> None:
        self.dismiss()

    def _explain(self, why: str) -> None:
        self.notify(why, markup=False, timeout=4)

    def _ask(self, question: Question, intent: Intent) -> None:
        def decided(yes: bool | None) -> None:
            if yes:
                self._send(intent)

        self.app.push_screen(ConfirmScreen(question), decided)
