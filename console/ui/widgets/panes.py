"""The two panes below the figures: the builds with their steps and output, and the app's own log."""

from __future__ import annotations

from collections.abc import Mapping

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import var

from console.format import age, duration, plural, printable, size
from console.model import BuildStatus, ContainerStatus, Mode, Target
from console.state.app_state import AppState, BuildView
from console.state.logs import LogRing
from console.state.outlook import build_outlook
from console.state.words import short_outlook
from console.ui.lines import FAINT, MUTED, fit, text
from console.ui.widgets.log_area import LogArea
from console.ui.widgets.panel import Panel
from console.ui.widgets.steps import StepsView


class BuildTabs(Panel):
    """One line with the three builds; a click shows one."""

    SLICES = ("app_build", "base_build", "legacy_build")
    DEFAULT_CSS = "BuildTabs { height: 1; }"

    shown: var[Target] = var(Target.APP, init=False)

    class Picked(Message):
        """The user wants to see another build."""

        def __init__(self, target: Target) -> None:
            super().__init__()
            self.target = target

    def watch_shown(self) -> None:
        self.redraw()

    def rows(self, width: int, _height: int) -> list[Content]:
        return [fit(text("  ").join(self._labels()), width)]

    def _labels(self) -> list[Content]:
        return [build_label(self.state, target, self.now, shown=target is self.shown) for target in Target]

    def on_click(self, event: events.Click) -> None:
        left = 0
        for target, label in zip(Target, self._labels(), strict=True):
            left += label.cell_length + 2
            if event.x < left:
                self.post_message(self.Picked(target))
                return


def build_label(state: AppState, target: Target, now: float, *, shown: bool) -> Content:
    """A tab: the target, its newest build and how that went."""
    build = state.build_of(target)
    name = text((f"▸{target.value}" if shown else f" {target.value}", "bold underline" if shown else MUTED))
    if build is None:
        return text(name, (" –", FAINT))
    return text(name, (f" #{build.number} ", "" if shown else MUTED), _outcome(build, now))


def _outcome(build: BuildView, now: float) -> Content:
    if build.status is BuildStatus.RUNNING:
        so_far = now - build.started_at
        return text((f"● {age(max(so_far, 0)) if so_far >= 1 else 'running'}", "bold $accent"))
    mark, style = {
        BuildStatus.OK: ("✔", "$success"),
        BuildStatus.FAILED: ("✖ failed", "bold $error"),
        BuildStatus.CANCELLED: ("⊘ cancelled", "$warning"),
    }[build.status]
    return text((mark, style), (f" {duration(build.duration_ms)}", MUTED))


def target_to_show(shown: Target, *, pinned: bool, before: AppState, after: AppState) -> tuple[Target, bool]:
    """Which build is to be seen after a change of the state, and whether the user's choice still holds.

    A build of what is served, the app image or in legacy mode the legacy one, is shown when it begins unless another
    one is running, and in any case when it fails; neither happens against the user's choice. The others are shown when
    they begin, because someone asked for them.
    """
    served = after.mode.target
    if before.mode is not after.mode:
        return served, False
    for target in Target:
        if target is not served and _began(target, before, after):
            return target, False
    if pinned:
        return shown, True
    build, watched = after.build_of(served), after.build_of(shown)
    if build is None or build is before.build_of(served):
        return shown, False
    busy = watched is not None and watched.status is BuildStatus.RUNNING
    if build.status is BuildStatus.FAILED or (_began(served, before, after) and not busy):
        return served, False
    return shown, False


def _began(target: Target, before: AppState, after: AppState) -> bool:
    old, new = before.build_of(target), after.build_of(target)
    return new is not None and (old is None or old.number != new.number)


def build_title(build: BuildView | None, target: Target, now: float) -> Content:
    """The build pane's title: which build, how much longer it takes, and whether the builder has remarks."""
    if build is None:
        return text("Build  ", target.value)
    title = text("Build  ", (f"#{build.number} ", "$primary"), target.value)
    if outlook := short_outlook(build_outlook(build, now)):
        title = text(title, (f" · {outlook}", "$accent" if build.status is BuildStatus.RUNNING else "$warning"))
    if build.warnings:
        count = plural(len(build.warnings), "warning")
        title = text(title, (f" · ! {count}", "$warning"), (", e shows", MUTED))
    return title


class BuildPane(Vertical):
    """Steps and output of one build: whichever began last, or the one that the user picked."""

    ALLOW_MAXIMIZE = True
    BORDER_TITLE = "Build"

    state: var[AppState] = var(AppState, init=False)
    now: var[float] = var(0.0, init=False)
    shown: var[Target] = var(Target.APP, init=False)

    def __init__(self, rings: Mapping[Target, LogRing]) -> None:
        super().__init__(id="build")
        self._rings = rings
        self._pinned = False
        self._title: Content | None = None
        self.tabs = BuildTabs()
        self.steps = StepsView()
        self.log_area = LogArea(rings[Target.APP], empty="no build output yet")

    def compose(self) -> ComposeResult:
        yield self.tabs.data_bind(BuildPane.state, BuildPane.now, BuildPane.shown)
        with Horizontal():
            yield self.steps.data_bind(BuildPane.now)
            yield self.log_area

    def watch_state(self, before: AppState, after: AppState) -> None:
        self.shown, self._pinned = target_to_show(self.shown, pinned=self._pinned, before=before, after=after)
        self._show()

    def watch_now(self) -> None:
        build = self.state.build_of(self.shown)
        if build is not None and build.usual is not None and build.status is BuildStatus.RUNNING:
            self._show_title()

    def _show(self) -> None:
        self.steps.build = self.state.build_of(self.shown)
        self._show_title()

    def _show_title(self) -> None:
        title = build_title(self.state.build_of(self.shown), self.shown, self.now)
        if self._title is None or not title.is_same(self._title):
            self.border_title = self._title = title

    def watch_shown(self, target: Target) -> None:
        self._show()
        self.log_area.view.show_ring(self._rings[target])

    def pick(self, target: Target) -> None:
        """Shows a build because the user wants to see it."""
        self._pinned = True
        self.shown = target

    @on(BuildTabs.Picked)
    def _picked(self, event: BuildTabs.Picked) -> None:
        event.stop()
        self.pick(event.target)

    @on(LogArea.StatusChanged)
    def _log_changed(self) -> None:
        self.border_subtitle = None if self.log_area.view.following else self.log_area.status


class AppPane(Vertical):
    """The app's log; its title says how the container is."""

    ALLOW_MAXIMIZE = True
    BORDER_TITLE = "App"

    state: var[AppState] = var(AppState, init=False)
    now: var[float] = var(0.0, init=False)

    def __init__(self, ring: LogRing) -> None:
        super().__init__(id="app")
        self.log_area = LogArea(ring, empty="the app has not said anything yet")

    def compose(self) -> ComposeResult:
        yield self.log_area

    def on_mount(self) -> None:
        self.border_title = container_title(self.state)
        self.border_subtitle = self.log_area.status

    def watch_state(self, before: AppState, after: AppState) -> None:
        if before.container is not after.container or before.mode is not after.mode:
            self.border_title = container_title(after)

    @on(LogArea.StatusChanged)
    def _log_changed(self) -> None:
        self.border_subtitle = self.log_area.status


def container_title(state: AppState) -> Content:
    """The app pane's title: which image it is where that is not the usual one, state, address, what it takes."""
    container = state.container
    word, style = {
        ContainerStatus.ABSENT: ("○ not running", MUTED),
        ContainerStatus.STARTING: ("● starting", "bold $accent"),
        ContainerStatus.READY: ("✔ running · healthy", "$success"),
        ContainerStatus.EXITED: ("✖ exited", "bold $error"),
    }[container.status]
    if container.status is ContainerStatus.EXITED and container.exit_code is not None:
        word = f"✖ exited with code {container.exit_code}"
    parts: list[tuple[str, str]] = [("App  ", "bold"), *_mode_parts(state), (word, style)]
    if container.address and container.status is ContainerStatus.READY:
        parts.append((f" · {printable(container.address)}", ""))
    if container.usage is not None:
        usage = container.usage
        parts.append((f" · cpu {usage.cpu_percent:.1f} % · {size(usage.memory_bytes)}", MUTED))
    return text(*parts)


def _mode_parts(state: AppState) -> list[tuple[str, str]]:
    """Which image is served: in legacy mode always, else only until the app image is back."""
    container = state.container
    serves = container.status in {ContainerStatus.STARTING, ContainerStatus.READY}
    if state.mode is Mode.LEGACY:
        still = ", the app image still" if serves and container.target is Target.APP else ""
        return [(f"! legacy mode{still}  ", "bold $warning")]
    return [("! the legacy image still  ", "bold $warning")] if serves and container.target is Target.LEGACY else []
