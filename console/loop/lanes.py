"""Lanes: one piece of work per image at a time, and small things in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from console.model import Target


class Lanes:
    """What is under way. Once `stopped`, nothing begins any more."""

    def __init__(self) -> None:
        self._lanes: dict[Target, asyncio.Task[None]] = {}
        self._background: set[asyncio.Task[Any]] = set()
        self.stopped = False

    def start(self, target: Target, work: Coroutine[Any, Any, None]) -> None:
        """Starts a target's lane unless it is under way; then that one sees to what is wanted."""
        if self.stopped or self.is_busy(target):
            work.close()
            return
        self._lanes[target] = asyncio.create_task(work)

    def is_busy(self, *targets: Target) -> bool:
        """Whether the lane of any of these targets is under way."""
        lanes = map(self._lanes.get, targets)
        return any(lane is not None and not lane.done() for lane in lanes)

    async def ended(self, target: Target) -> None:
        """Waits for a target's lane, if it is under way."""
        if (lane := self._lanes.get(target)) is not None:
            await asyncio.gather(lane, return_exceptions=True)

    def beside(self, work: Coroutine[Any, Any, Any]) -> None:
        """Does something in the background."""
        if self.stopped:
            work.close()
            return
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    @property
    def running(self) -> list[asyncio.Task[Any]]:
        """All that is not done."""
        return [task for task in (*self._lanes.values(), *self._background) if not task.done()]
