"""From the store to the screen: marks what changed, and copies it over at most twenty times a second."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from console.events import Stamped
from console.model import BuildStatus, Clock, Target
from console.state.app_state import AppState
from console.state.store import Store
from console.ui.widgets.log_view import LogView

TICK_S = 1 / 20

_BUSY_PHASES = frozenset({"build", "swap", "ready"})


class Surface(Protocol):
    """What the bridge writes to: the dashboard."""

    state: AppState
    now: float
    """Wall clock, seconds since 1970 UTC."""

    def log_views(self) -> Iterable[LogView]:
        """The views whose rings may have grown."""


class Bridge:
    """Reads the store on the tick; between two ticks events only mark it dirty.

    The clock is passed on once a second, or as often as a running figure's last digit changes.
    """

    def __init__(self, store: Store, clock: Clock, surface: Surface) -> None:
        self._store = store
        self._clock = clock
        self._surface = surface
        self._dirty = True
        self._shown_now = 0.0
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Listens to the store from now on."""
        self._unsubscribe = self._store.subscribe(self._mark)

    def stop(self) -> None:
        """Stops listening."""
        self._unsubscribe()
        self._unsubscribe = lambda: None

    def _mark(self, _batch: list[Stamped]) -> None:
        self._dirty = True

    def tick(self) -> None:
        """Copies what changed; next to nothing when nothing did."""
        now = self._clock.now()
        state = self._store.state
        changed = state is not self._surface.state
        if changed or now - self._shown_now >= _step_of(state, now) or int(now) != int(self._shown_now):
            self._surface.now = self._shown_now = now
        if changed:
            self._surface.state = state
        if self._dirty:
            self._dirty = False
            for view in self._surface.log_views():
                view.advance()


def _step_of(state: AppState, now: float) -> float:
    """Seconds until the running figures look different."""
    elapsed = [
        now - build.started_at
        for build in map(state.build_of, Target)
        if build is not None and build.status is BuildStatus.RUNNING
    ]
    pipeline = state.pipeline
    if pipeline.phase in _BUSY_PHASES and pipeline.phase_started_at is not None:
        elapsed.append(now - pipeline.phase_started_at)
    if not elapsed:
        return 1.0
    youngest = min(elapsed)
    return TICK_S if youngest < 10 else 0.1 if youngest < 100 else 1.0
