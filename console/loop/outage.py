"""An engine that goes away in the middle of something: waiting until it answers again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from console.errors import EngineUnreachableError, SplitdeckError
from console.events import ErrorOccurred
from console.loop.ports import Emit

_AGAIN_S = 1.0
"""Between two looks at an engine that has gone."""


class Outage:
    """Waits for the engine, unless what was to follow is wanted no more; tells of what is lost by it.

    Args:
        ask: Asks the engine something; raises `EngineUnreachableError` while it does not answer.
        emit: Where events go.
        told: Whether somebody else tells of the engine: who follows a container does.
    """

    def __init__(self, ask: Callable[[], Awaitable[object]], emit: Emit, told: Callable[[], bool]) -> None:
        self._ask = ask
        self._emit = emit
        self._told = told
        self._given_up = asyncio.Event()
        self._stopped = False

    def give_up(self) -> None:
        """What waits now is wanted no more."""
        self._given_up.set()

    def stop(self) -> None:
        """Nothing is wanted or told any more, from now on."""
        self._stopped = True
        self._given_up.set()

    async def is_over(self, why: str) -> bool:
        """Waits until the engine answers; false if nobody wants what was to follow.

        Args:
            why: What was told of the engine.
        """
        if not self._stopped and not self._told():
            self._emit(ErrorOccurred(why, "what was being built is built again once the engine is back"))
        self._given_up.clear()
        while not self._stopped:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._given_up.wait(), _AGAIN_S)
            if self._given_up.is_set():
                break
            try:
                await self._ask()
            except EngineUnreachableError:
                continue
            except SplitdeckError:
                pass  # it answers; what is wrong is told when it is needed
            return True
        return False

    def tell_cut_off(self, what: str, why: str) -> None:
        """Tells of something that is not done again by itself."""
        if not self._stopped:
            self._emit(ErrorOccurred(f"{what} was cut off: {why}", "try again: a save, r, b or l"))
