"""What serves: bringing an image into service, telling of it, and going back when that was a mistake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from console import events as ev
from console.format import short_id
from console.loop.builds import FinishedBuild
from console.loop.guard import guarded
from console.loop.ports import AppRunner, Emit
from console.model import BuildNumber, ChangeBatch
from console.run.swap import SwapResult, SwapStatus

_PROVEN_AFTER_S = 10.0
"""A container that ends within this time after it answered has not proven itself."""


class Service:
    """The app in service, one swap at a time.

    Args:
        runner: Does the swapping.
        emit: Where events go.
        ended: Told after each try whether the new image serves.
        served: Told of a build that serves, how many milliseconds after its save.
    """

    def __init__(
        self,
        runner: AppRunner,
        emit: Emit,
        ended: Callable[[bool], None],
        served: Callable[[BuildNumber, float], None],
    ) -> None:
        self._runner = runner
        self._emit = emit
        self._ended = ended
        self._served = served
        self._swap: asyncio.Task[None] | None = None
        self._swapping_in = ""
        """Image ID that the last swap began to bring in."""
        self._good: ev.ContainerReady | None = None
        """How the serving container came into service."""
        self._earlier: ev.ContainerReady | None = None
        """The same of the container before it, which is kept."""
        self._ready_at = 0.0
        self._stopping = False

    @property
    def serving(self) -> bool:
        """Whether a container of the app serves."""
        return self._good is not None

    @property
    def swapping(self) -> asyncio.Task[None] | None:
        """The swap under way, if there is one."""
        return self._swap if self._swap is not None and not self._swap.done() else None

    def stop(self) -> None:
        """Begins nothing any more; what is under way ends soon, with a container running."""
        self._stopping = True
        self._runner.abandon()

    async def resume(self) -> None:
        """Takes over a container that an earlier session left running."""
        resumed = await guarded(self._emit, self._runner.resume())
        if resumed is not None:
            self._tell_ready(resumed, None, None)

    async def take_over(self, batch: ChangeBatch | None, finished: FinishedBuild) -> None:
        """Lets a new image serve, in place of one that may still be on its way; returns once that one is out of it."""
        if self._stopping:
            return
        if (earlier := self.swapping) is not None:
            if finished.outcome.image_id != self._swapping_in:
                self._runner.supersede()
            await asyncio.gather(earlier, return_exceptions=True)
        self._swapping_in = finished.outcome.image_id
        self._swap = asyncio.create_task(self._serve(batch, finished))

    async def keep(self) -> None:
        """After a failed build: where nothing serves, the container of an earlier session is better than nothing."""
        if self._good is not None or self._stopping or self.swapping is not None:
            return
        revived = await guarded(self._emit, self._runner.revive())
        if revived is not None and revived.status is SwapStatus.READY:
            self._tell_ready(revived, None, None)

    def container_exited(self, container: str) -> None:
        """The container ended by itself. If it had only just answered, the one before it serves again."""
        good, earlier = self._good, self._earlier
        if self._stopping or good is None or good.container != container or self.swapping is not None:
            return
        self._good = None
        if earlier is not None and asyncio.get_running_loop().time() - self._ready_at < _PROVEN_AFTER_S:
            self._swap = asyncio.create_task(self._fall_back(earlier))

    async def _serve(self, batch: ChangeBatch | None, finished: FinishedBuild) -> None:
        image_id = finished.outcome.image_id
        served = await guarded(self._emit, self._runner.serve(image_id, finished.number))
        if served is None:
            self._ended(False)
            return
        if served.status is SwapStatus.SUPERSEDED:
            return
        if served.status is SwapStatus.READY:
            self._tell_ready(served, batch, finished)
        else:
            self._tell_failure(served, image_id, finished.number)
        if served.container is None:
            self._good = None
        self._ended(served.status is SwapStatus.READY)
        await guarded(self._emit, self._runner.tidy())

    async def _fall_back(self, earlier: ev.ContainerReady) -> None:
        self._earlier = None
        served = await guarded(self._emit, self._runner.fall_back())
        if served is None or served.status is not SwapStatus.READY or served.container is None:
            return
        self._good = _untimed(earlier)
        self._emit(self._good)
        reason = "the new container ended soon after it had answered"
        self._emit(ev.ContainerRolledBack(self._swapping_in, served.container.image_id, reason))
        self._emit(ev.ErrorOccurred(reason, _back(served.container.image_id)))
        await guarded(self._emit, self._runner.tidy())

    def _tell_ready(self, served: SwapResult, batch: ChangeBatch | None, finished: FinishedBuild | None) -> None:
        build = finished.number if finished else None
        container = served.container.id if served.container else ""
        if self._good is None or self._good.container != container:
            self._earlier, self._ready_at = self._good, asyncio.get_running_loop().time()
        if batch is None or finished is None:
            self._good = ev.ContainerReady(container, build, None, served.address)
            self._emit(self._good)
            return
        outcome = finished.outcome
        context_ms = outcome.context.duration_ms if outcome.context else 0.0
        until_built_ms = (finished.ended_at - batch.closed_at) * 1000
        detect_ms = (batch.closed_at - batch.saved_at) * 1000
        save_to_ready_ms = detect_ms + until_built_ms + served.swap_ms + served.ready_ms
        self._served(finished.number, save_to_ready_ms)
        self._good = ev.ContainerReady(
            container,
            build,
            batch.number,
            served.address,
            batch.saved_at,
            save_to_ready_ms=save_to_ready_ms,
            detect_ms=detect_ms,
            wait_ms=max(0.0, until_built_ms - context_ms - outcome.duration_ms),
            context_ms=context_ms,
            build_ms=outcome.duration_ms,
            swap_ms=served.swap_ms,
            ready_ms=served.ready_ms,
        )
        self._emit(self._good)

    def _tell_failure(self, served: SwapResult, image_id: str, build: int) -> None:
        back_to = served.container.image_id if served.container else ""
        if served.container is not None and self._good is not None:
            self._emit(_untimed(replace(self._good, container=served.container.id, address=served.address)))
        self._emit(ev.ContainerRolledBack(image_id, back_to, served.reason, served.output))
        state = _back(back_to) if back_to else "no container serves"
        hint = f"{served.hint}; {state}" if served.hint else state
        self._emit(ev.ErrorOccurred(f"build #{build}: {served.reason}", hint))


def _untimed(ready: ev.ContainerReady) -> ev.ContainerReady:
    """In service again, but not because of a save."""
    return replace(
        ready,
        save_to_ready_ms=None,
        detect_ms=None,
        wait_ms=None,
        context_ms=None,
        build_ms=None,
        swap_ms=None,
        ready_ms=None,
    )


def _back(image_id: str) -> str:
    return f"the last good container serves again (image {short_id(image_id)})"
