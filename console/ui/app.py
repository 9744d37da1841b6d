"""The console's Textual application: theme, palette, and the way from a key to an intent."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.screen import Screen

from console.format import duration, printable
from console.intents import (
    BaseBuildRequested,
    CancelRequested,
    Intent,
    LegacyRaceRequested,
    ModeRequested,
    PauseRequested,
    RebuildRequested,
)
from console.model import BuildStatus, Clock, ContainerStatus, Mode, SystemClock, Target
from console.state.app_state import AppState
from console.state.store import Store
from console.ui import theme as own_theme
from console.ui.commands import BASE_KEYS, HISTORY_KEYS, KEYS, LOG_KEYS, ConsoleCommands
from console.ui.questions import mode_question
from console.ui.screens.dashboard import Dashboard
from console.ui.terminal import LastingDriver

_KEEP_TITLE, _RESTORE_TITLE = "\x1b[22;0t", "\x1b[23;0t"


class ConsoleApp(App[None]):
    """Shows a store's state and dispatches what the user asks for; owns nothing else, so ending it stops nothing.

    Args:
        store: Whose state and logs are shown; someone else attaches it to the event loop.
        dispatch: Takes the user's intents; must not block.
        clock: Where the time on the screen comes from.
        theme: One of Textual's or our own; ours, with a word about it, where the name means nothing.
        keys: Other keys for commands, by the ids in `console.ui.commands`.
        can_race: Whether the project has a legacy Dockerfile, to race against or to go back to.
        remote: Where the base image is published to and pulled from; empty where there is no registry.
    """

    TITLE = "splitdeck"
    CSS_PATH = "console.tcss"
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = App.COMMANDS | {ConsoleCommands}
    COMMAND_PALETTE_BINDING = "ctrl+p"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", "quit", show=False, priority=True, tooltip="Leave the console"),
    ]
    DEFAULT_MODE = "dashboard"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (160, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (20, "-short"), (32, "-tall"), (50, "-very-tall")]  # noqa: RUF012

    def __init__(
        self,
        store: Store,
        dispatch: Callable[[Intent], None],
        clock: Clock | None = None,
        *,
        theme: str = own_theme.NAME,
        keys: Mapping[str, str] | None = None,
        can_race: bool = True,
        remote: str = "",
    ) -> None:
        clock = clock or SystemClock()
        self._store = store
        self._clock = clock
        self._dispatch = dispatch
        self._shown_title = ""
        self._can_race = can_race
        self._remote = remote
        super().__init__()
        self.register_theme(own_theme.THEME)
        self._refused_theme = "" if theme in self.available_themes else theme
        self.theme = own_theme.NAME if self._refused_theme else theme
        known = {command.id for command in (*KEYS, *LOG_KEYS, *BASE_KEYS, *HISTORY_KEYS)}
        self._refused_keys = sorted(set(keys or ()) - known)
        self.set_keymap({name: key for name, key in (keys or {}).items() if name in known})
        self.add_mode("dashboard", lambda: Dashboard(store, clock, can_race=can_race))

    def get_driver_class(self) -> type[Driver]:
        chosen = super().get_driver_class()
        return LastingDriver if chosen is LinuxDriver else chosen

    def get_theme_variable_defaults(self) -> dict[str, str]:
        colours = self.current_theme.to_color_system().generate()
        return {name: colours[fallback.lstrip("$")] for name, fallback in own_theme.FALLBACKS.items()}

    def get_system_commands(self, _screen: Screen[object]) -> Iterable[SystemCommand]:
        yield SystemCommand("Change the theme", "Pick other colours", self.action_change_theme)
        yield SystemCommand("Save a screenshot", "As an SVG file", lambda: self.set_timer(0.1, self.deliver_screenshot))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "race_legacy":
            return self._can_race and self._store.state.mode is Mode.SPLIT
        return self._can_race if action == "change_mode" else super().check_action(action, parameters)

    # -- intents -----------------------------------------------------------------------------------

    def action_rebuild(self) -> None:
        self._dispatch(RebuildRequested())

    def action_build_base(self) -> None:
        self._dispatch(BaseBuildRequested())

    def action_race_legacy(self) -> None:
        self._dispatch(LegacyRaceRequested())

    def action_base_panel(self) -> None:
        from console.ui.screens.base import BaseScreen

        self.push_screen(BaseScreen(self._store, self._clock, self._dispatch, remote=self._remote))

    def action_history(self) -> None:
        from console.ui.screens.history import HistoryScreen

        self.push_screen(HistoryScreen(self._store, self._clock, self._dispatch))

    def action_change_mode(self) -> None:
        from console.ui.screens.confirm import ConfirmScreen

        mode = Mode.LEGACY if self._store.state.mode is Mode.SPLIT else Mode.SPLIT

        def decided(yes: bool | None) -> None:
            if yes:
                self._dispatch(ModeRequested(mode))

        self.push_screen(ConfirmScreen(mode_question(self._store.state, mode)), decided)

    def action_cancel_build(self) -> None:
        builds = map(self._store.state.build_of, Target)
        running = any(build is not None and build.status is BuildStatus.RUNNING for build in builds)
        if running or self._store.state.race is not None:
            self._dispatch(CancelRequested())
        else:
            self.notify("Nothing is being built.", markup=False, timeout=2)

    def action_toggle_pause(self) -> None:
        self._dispatch(PauseRequested(paused=not self._store.state.watch.paused))

    # -- the terminal's title ----------------------------------------------------------------------

    def on_mount(self) -> None:
        self._write(_KEEP_TITLE)
        if not self.is_headless:
            # Modules, classes and styles live as long as we do: the collector need not visit them again and again,
            # which would stop the screen for up to a tenth of a second each time.
            self.call_after_refresh(gc.freeze)
        if self._refused_theme:
            message = f"there is no theme {printable(self._refused_theme)}; ctrl+p lists them"
            self.notify(message, severity="warning", markup=False)

        if self._refused_keys:
            message = f"[ui] keys knows no {printable(', '.join(self._refused_keys))}; the README lists the names"
            self.notify(message, severity="warning", markup=False)

    def on_unmount(self) -> None:
        self._write(_RESTORE_TITLE)

    def show_in_title(self, state: AppState) -> None:
        """Tells people who look at another window how it stands."""
        title = terminal_title(state)
        if title != self._shown_title:
            self._shown_title = title
            self._write(f"\x1b]2;{title}\x07")

    def _write(self, sequence: str) -> None:
        if self._driver is not None and not self.is_headless:
            self._driver.write(sequence)


def terminal_title(state: AppState) -> str:
    """`● building – codesearch`, `✔ served in 349 ms – codesearch`, `✖ failed – codesearch`."""
    name = printable(state.project) or "splitdeck"
    pipeline = state.pipeline
    if pipeline.phase in {"build", "swap", "ready"}:
        word = "● building"
    elif pipeline.phase == "failed" or state.container.status is ContainerStatus.EXITED:
        word = "✖ failed"
    elif pipeline.phase == "served":
        took = pipeline.save_to_ready_ms
        word = "✔ served" if took is None else f"✔ served in {duration(took)}"
    else:
        return name
    return f"{word} – {name}"
