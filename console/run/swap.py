"""The swap: old container out, new one in, and back again when the new one does not answer.

A new container is created while the old one serves. The old one is stopped, never removed, until the new one is ready;
if the new one fails, the old one is started again. So whatever goes wrong, the last good container is still there.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Protocol

from console.config import RunConfig
from console.errors import ContainerError, SplitdeckError
from console.model import Clock
from console.run.container import Container, ContainerState
from console.run.ready import Probe, needs_log, probe_for

_POLL_S = 0.004
_SLOW_POLL_S = 0.05
_SLOW_AFTER_S = 2.0
_PREVIOUS = "-previous"
_ATTEMPTS = 3
_ATTEMPT_S = 0.1


class Runtime(Protocol):
    """What the swap needs of an engine; `run.container` bound to one client, or a fake."""

    def create(self, image: str, settings: dict[str, Any]) -> Container: ...
    def start(self, container: Container) -> None: ...
    def stop(self, container: Container, grace_s: int) -> None: ...
    def remove(self, container: Container) -> None: ...
    def rename(self, container: Container, name: str) -> Container: ...
    def state_of(self, container: Container) -> ContainerState: ...
    def last_lines(self, container: Container, count: int = 20) -> tuple[str, ...]: ...


class SwapObserver(Protocol):
    """Hears of a swap's progress, on the swap's thread."""

    def started(self, container: Container) -> None: ...

    def about_to_stop(self, container: Container) -> None:
        """Its end is ours, not a crash."""


class SwapStatus(str, Enum):
    READY = "ready"
    ROLLED_BACK = "rolled back"
    """The new container failed and the old one serves again."""
    FAILED = "failed"
    """The new container failed and there was none to go back to."""
    SUPERSEDED = "superseded"
    """A newer image is waiting; nothing was rolled back, as the next swap follows at once."""


@dataclass(frozen=True, slots=True)
class SwapResult:
    status: SwapStatus
    container: Container | None
    """The one that serves now; None where none does."""
    address: str = ""
    swap_ms: float = 0.0
    """Creating the new one → the engine says that it has started."""
    ready_ms: float = 0.0
    """Started → the app answers."""
    reason: str = ""
    hint: str = ""
    output: tuple[str, ...] = ()
    """The failed container's last lines."""


class Swapper:
    """Keeps one app container serving. Used from one thread; only `supersede` may be called from another.

    Args:
        project: Gives the serving container its name.
        run: The [run] settings.
        host: The name under which the engine's published ports are reached.
    """

    def __init__(
        self, project: str, run: RunConfig, settings: dict[str, Any], host: str, runtime: Runtime, clock: Clock
    ) -> None:
        self._project = project
        self._run = run
        self.settings = settings
        """The engine's create parameters for the next container."""
        self._host = host
        self._runtime = runtime
        self._clock = clock
        self._superseded = threading.Event()
        self._abandoned = threading.Event()
        self.good: Container | None = None
        """The last container that answered; stopped while a new one is on trial."""
        self.previous: Container | None = None
        """The one that served before `good`; kept, stopped, in case `good` ends soon after it answered."""
        self._trial: Container | None = None
        self._retired: list[Container] = []
        self._name_refused = False

    def supersede(self) -> None:
        """Ends the wait for readiness of the swap under way: a newer image is coming. Safe from any thread."""
        self._superseded.set()

    def abandon(self) -> None:
        """The session ends: whatever is under way comes to an end that leaves a container running. From any thread."""
        self._abandoned.set()
        self._superseded.set()

    def adopt(self, found: list[tuple[Container, bool]]) -> Container | None:
        """Takes over what an earlier session left (newest first, with whether it runs); gives the one that runs.

        A container under the project's own name answered once: it is the one to go back to. One that runs beside it
        was on trial when that session ended.
        """
        spare = f"{self._project}{_PREVIOUS}"
        self.previous = next((container for container, runs in found if container.name == spare and not runs), None)
        running = next((container for container, runs in found if runs), None)
        self.good = next((container for container, _ in found if container.name == self._project), running)
        self._trial = None if running == self.good else running
        for container, _ in found:
            if container not in (self.good, self._trial, self.previous):
                self._runtime.remove(container)
        return running

    def confirm(self) -> SwapResult:
        """Waits until the container that runs answers, without touching it."""
        container = self._trial or self.good
        assert container is not None
        result = self._await_ready(container, self._clock.monotonic(), 0.0)
        return self._settled(result, container) if self._trial and result.status is SwapStatus.READY else result

    def revive(self, observer: SwapObserver) -> SwapResult | None:
        """Starts the container to go back to, if there is one and nothing serves."""
        self._superseded.clear()
        if self.good is None:
            return None
        if self._trial is None and self._runtime.state_of(self.good).running:
            return self.confirm()
        self._give_up_trial(observer)
        return self._start(self.good, observer, self._clock.monotonic())

    def serves(self, image_id: str, settings_digest: str) -> bool:
        """Whether the serving container was made from exactly this image and these settings, and still runs."""
        good = self.good
        if good is None or self._trial is not None:
            return False
        same = good.image_id == image_id and good.settings == settings_digest
        return same and self._runtime.state_of(good).running

    def swap(self, image_id: str, observer: SwapObserver) -> SwapResult:
        """Replaces the serving container by one of another image, and rolls back when that one fails."""
        if self._abandoned.is_set():
            return SwapResult(SwapStatus.SUPERSEDED, None)
        self._superseded.clear()
        began = self._clock.monotonic()
        try:
            new = self._runtime.create(image_id, self.settings)
        except SplitdeckError as error:
            return self._failed(error.message, error.hint, (), observer, began)
        earlier, self._trial = self._trial, new
        try:
            result = self._exchange(earlier, new, observer, began)
        except SplitdeckError as error:
            return self._failed(error.message, error.hint, (), observer, began)
        except Exception:
            self._failed("", "", (), observer, began)  # whoever called tells the defect; the app comes first
            raise
        if result.status is SwapStatus.READY:
            return self._settled(result, new)
        if result.status is SwapStatus.SUPERSEDED:
            return result
        return self._failed(result.reason, result.hint, result.output, observer, began)

    def _exchange(self, earlier: Container | None, new: Container, observer: SwapObserver, began: float) -> SwapResult:
        """Stops what runs and starts the new one."""
        for leftover in tuple(self._retired):
            self._retired.remove(leftover)
            self._discard(leftover)
        for old in (earlier, self.good):
            if old is not None:
                observer.about_to_stop(old)
                self._runtime.stop(old, self._run.stop_grace_s)
        if earlier is not None:
            self._discard(earlier)
        if self._abandoned.is_set():
            reason = "the session ended before the new container was started"
            return SwapResult(SwapStatus.FAILED, None, reason=reason)
        return self._start(new, observer, began)

    def _start(self, container: Container, observer: SwapObserver, began: float) -> SwapResult:
        self._runtime.start(container)
        started = self._clock.monotonic()
        observer.started(container)
        return self._await_ready(container, started, (started - began) * 1000)

    def _await_ready(self, container: Container, started: float, swap_ms: float) -> SwapResult:
        probe: Probe | None = None
        timeout_s = self._run.ready.timeout_s
        while True:
            state = self._runtime.state_of(container)
            waited = self._clock.monotonic() - started
            probe = probe or (probe_for(self._run, self._host, state) if state.running else None)
            if probe is not None and state.running and self._asks(probe, container, state, waited):
                ready_ms = (self._clock.monotonic() - started) * 1000
                return SwapResult(SwapStatus.READY, container, probe.address, swap_ms, ready_ms)
            if not state.running:
                output = self._runtime.last_lines(container)
                code = f"exit code {state.exit_code}" + (f", {state.error}" if state.error else "")
                reason = f"the new container ended at once ({code})"
                return SwapResult(SwapStatus.FAILED, None, reason=reason, hint="its last lines say why", output=output)
            if waited > timeout_s:
                asked = probe.description if probe else "nothing"
                reason = f"the new container was not ready after {timeout_s:g} s ({asked})"
                hint = "is [run.ready] right? A slow start may need a larger timeout_s"
                output = self._runtime.last_lines(container)
                return SwapResult(SwapStatus.FAILED, None, reason=reason, hint=hint, output=output)
            if self._superseded.wait(_POLL_S if waited < _SLOW_AFTER_S else _SLOW_POLL_S):
                return SwapResult(SwapStatus.SUPERSEDED, None, swap_ms=swap_ms)

    def _asks(self, probe: Probe, container: Container, state: ContainerState, waited_s: float) -> bool:
        def log() -> str:
            return "\n".join(self._runtime.last_lines(container, 1000)) if needs_log(self._run.ready) else ""

        return probe.ask(state, log, waited_s * 1000)

    def _settled(self, result: SwapResult, new: Container) -> SwapResult:
        if self.previous is not None:
            self._retired.append(self.previous)
        self.previous, self.good, self._trial = self.good, new, None
        return result

    def fall_back(self, observer: SwapObserver) -> SwapResult | None:
        """After the serving container ended by itself: the one before it serves again; None where there is none."""
        ended, self.good, self.previous = self.good, self.previous, None
        if ended is not None:
            self._retired.append(ended)
        self._superseded.clear()
        return None if self.good is None else self._start(self.good, observer, self._clock.monotonic())

    def tidy(self) -> None:
        """Removes containers that are of no use any more, and gives the serving one the project's name.

        Apart from `swap`, so that nobody waits for it.
        """
        while self._retired:
            self._runtime.remove(self._retired[-1])
            self._retired.pop()
        if self.good is None or self._trial is not None or self.good.name == self._project or self._name_refused:
            return
        try:
            if self.previous is not None and self.previous.name == self._project:
                self.previous = self._runtime.rename(self.previous, f"{self._project}{_PREVIOUS}")
            self.good = self._runtime.rename(self.good, self._project)
        except ContainerError as error:
            self._name_refused = True  # someone else's container has it; told once
            hint = (
                f"nothing is wrong with the app; to have the name, rename or remove the other container {self._project}"
            )
            raise ContainerError(error.message, hint) from error

    def _failed(
        self, reason: str, hint: str, output: tuple[str, ...], observer: SwapObserver, began: float
    ) -> SwapResult:
        """Takes the new container away and starts the old one again."""
        untouched = self._trial is None
        if not self._abandoned.is_set():
            self._superseded.clear()  # a newer image is no reason to leave the last good one stopped
        self._give_up_trial(observer)
        nothing = SwapResult(SwapStatus.FAILED, None, reason=reason, hint=hint, output=output)
        if self.good is None:
            return nothing
        try:
            if untouched and (state := self._runtime.state_of(self.good)).running:
                address = probe_for(self._run, self._host, state).address
                return replace(nothing, status=SwapStatus.ROLLED_BACK, container=self.good, address=address)
            back = self._start(self.good, observer, began)
        except SplitdeckError as error:
            if error.message == reason:
                return nothing
            return replace(nothing, reason=f"{reason}; nor does the last good one start: {error.message}")
        if back.status is SwapStatus.SUPERSEDED:
            return back
        if back.status is not SwapStatus.READY:
            return nothing
        return replace(nothing, status=SwapStatus.ROLLED_BACK, container=self.good, address=back.address)

    def _give_up_trial(self, observer: SwapObserver) -> None:
        trial, self._trial = self._trial, None
        if trial is not None:
            observer.about_to_stop(trial)
            self._discard(trial)

    def _discard(self, container: Container) -> None:
        """Removes a container. One that cannot be removed must not keep a better one from starting: `tidy` and the next
        swap try again."""
        for attempt in range(_ATTEMPTS):
            try:
                return self._runtime.remove(container)
            except SplitdeckError:
                if attempt + 1 < _ATTEMPTS:
                    time.sleep(_ATTEMPT_S)
        self._retired.append(container)
        return None
