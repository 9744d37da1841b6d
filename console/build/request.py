"""What every way of building is asked for, and what it answers to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from console.build.context.snapshot import Snapshot
from console.build.dockerfile import Dockerfile
from console.build.steps import StepLog
from console.model import BuildOutcome, BuildWarning, Step

if TYPE_CHECKING:
    from docker import APIClient


class BuildObserver(Protocol):
    """Hears of a build's progress, on the build's thread."""

    def step_updated(self, step: Step) -> None: ...

    def logged(self, log: StepLog) -> None: ...

    def warned(self, warning: BuildWarning) -> None: ...


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where a build secret is read when a step asks for it: exactly one of the two is set."""

    file: str = ""
    env: str = ""


class Cancellation:
    """Ends one build from another thread, whichever way it is being built."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = False
        self._stop: Callable[[], None] | None = None

    @property
    def asked(self) -> bool:
        return self._asked

    def cancel(self) -> None:
        """Asks for the end; blocks as long as the way of building takes to pass that on. More than once is fine."""
        with self._lock:
            if self._asked:
                return
            self._asked = True
            stop = self._stop
        if stop is not None:
            stop()

    @contextmanager
    def stopping(self, stop: Callable[[], None]) -> Iterator[None]:
        """While the block runs, `stop` ends it: called once, on the canceller's thread.

        Where that came before the block, `stop` is called on a thread of its own: it may wait for what the block does.
        """
        with self._lock:
            self._stop = stop
            asked = self._asked
        try:
            if asked:
                threading.Thread(target=stop, name="cancel build", daemon=True).start()
            yield
        finally:
            with self._lock:
                self._stop = None


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """One image to build."""

    tag: str
    snapshot: Snapshot
    dockerfile: Dockerfile
    stage_of: Callable[[str], str]
    """Puts a step's name under a row of the comparison."""
    cancellation: Cancellation = field(default_factory=Cancellation)
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    no_cache: bool = False
    network: str = "default"
    platform: str = ""
    secrets: Mapping[str, SecretSource] = field(default_factory=dict)
    ssh: Mapping[str, str] = field(default_factory=dict)
    """Agent sockets by id."""
    builder: str = ""
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    redact: Callable[[str], str] = str
    """Takes build secrets out of a text that people will see."""


class Backend(Protocol):
    """One way to build images."""

    def build(self, client: APIClient, request: BuildRequest, observer: BuildObserver) -> BuildOutcome:
        """Builds, and blocks until it is over. A failing step is an outcome, not an error.

        Args:
            client: The calling thread's own.
            request: What to build.
            observer: Hears of the progress.

        Raises:
            SplitdeckError: If the build could not begin, or the engine goes away.
        """
