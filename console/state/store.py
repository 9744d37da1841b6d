"""The store: takes events from any thread, reduces them on the event loop's, tells subscribers what changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from queue import Empty, SimpleQueue

from console.events import BuildLogged, BuildStarted, BuildWarned, ContainerLogged, ContainerStarted, Event, Stamped
from console.model import Clock, SystemClock, Target
from console.state.app_state import AppState
from console.state.logs import MARKER, REMARK, LogRing
from console.state.reducer import reduce
from console.state.words import warning_lines

Subscriber = Callable[[list[Stamped]], None]
"""Called on the loop's thread with each batch of events, after the state holds them all."""


class Store:
    """One state, many readers.

    Only the thread of the event loop given to `attach` changes `state` and the log rings; `dispatch` may be called from
    anywhere and never blocks.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.state = AppState()
        self.build_logs = {target: LogRing() for target in Target}
        self.app_log = LogRing()
        self._clock = clock or SystemClock()
        self._queue: SimpleQueue[Stamped] = SimpleQueue()
        self._subscribers: list[Subscriber] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake_up_due = False

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on events are reduced on this loop, a batch per turn."""
        self._loop = loop
        self._schedule()

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Adds a subscriber; the returned function takes it off again."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def dispatch(self, event: Event, at: float | None = None) -> None:
        """Queues an event, stamped with the present unless `at` (seconds since 1970) says otherwise."""
        self._queue.put(Stamped(self._clock.now() if at is None else at, event))
        if not self._wake_up_due:
            self._schedule()

    def drain(self) -> None:
        """Reduces everything queued so far. The loop calls it; a caller without a loop may."""
        self._wake_up_due = False
        batch: list[Stamped] = []
        for _ in range(
            self._queue.qsize()
        ):  # what comes meanwhile has a turn of its own, so a flood cannot hold the loop
            try:
                batch.append(self._queue.get_nowait())
            except Empty:
                break
        if not batch:
            return
        for stamped in batch:
            self._take(stamped)
        for subscriber in tuple(self._subscribers):
            subscriber(batch)

    def _take(self, stamped: Stamped) -> None:
        event = stamped.event
        if isinstance(event, BuildLogged):
            self.build_logs[event.target].extend(stamped.at, event.step, event.lines)
            return
        if isinstance(event, ContainerLogged):
            self.app_log.extend(stamped.at, event.stream, event.lines)
            return
        if isinstance(event, BuildStarted):
            marker = f"#{event.build} {event.target.value}: {event.reason}"
            self.build_logs[event.target].extend(stamped.at, MARKER, (marker,))
        elif isinstance(event, ContainerStarted):
            marker = f"container {event.container_name} started"
            if event.build is not None:
                marker += f" from build #{event.build}"
            self.app_log.extend(stamped.at, MARKER, (marker,))
        elif isinstance(event, BuildWarned) and self._is_news(event):
            self.build_logs[event.target].extend(stamped.at, REMARK, warning_lines(event.warning))
        self.state = reduce(self.state, stamped)

    def _is_news(self, event: BuildWarned) -> bool:
        """Whether neither this build nor the one before has remarked the same."""
        build = self.state.build_of(event.target)
        known = () if build is None else (*build.warnings, *build.known_warnings)
        return event.warning not in known

    def _schedule(self) -> None:
        if self._loop is None or self._loop.is_closed():
            return
        self._wake_up_due = True
        self._loop.call_soon_threadsafe(self.drain)
