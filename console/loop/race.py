"""The race: the legacy build of the last change, set against the app build of it.

The app build was measured at the save. The legacy build follows once nothing else is under way, so that the two do not
steal each other's cores, and gives way to a newer save: then it begins anew with the newest source, once the loop has
been idle for a while. `[compare] race = "beside"` lets both run at a time; then neither figure counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from console import events as ev
from console.config import CompareConfig
from console.format import duration
from console.format import paths as some_paths
from console.loop.builds import FinishedBuild
from console.loop.guard import guarded
from console.loop.ports import Emit
from console.measurements import Race, RacePhase, RaceResult, Recorded, Trigger
from console.model import BuildStatus, ChangeBatch

_AFTER_THE_BUILD = "what is being built goes first"
_LOOK_AGAIN_S = 0.25
"""How often it is looked whether what else is under way has ended."""


class Racing:
    """At most one race at a time.

    Args:
        settings: Whether it gives way, and after how long it begins by itself.
        emit: Where events go.
        build: Builds the legacy image, for a reason.
        cancel: Ends that build.
        is_busy: Whether anything else is being built or brought into service.
    """

    def __init__(
        self,
        settings: CompareConfig,
        emit: Emit,
        build: Callable[[str, Trigger], Awaitable[FinishedBuild]],
        cancel: Callable[[], None],
        is_busy: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._emit = emit
        self._build = build
        self._cancel = cancel
        self._is_busy = is_busy
        self._race: Race | None = None
        self._gave_way = False
        """The legacy build was ended for something else, and is to begin anew."""
        self._given_up = False
        """Nobody wants the race any more whose legacy build is under way."""
        self._stirred = asyncio.Event()
        self._quiet_since = 0.0
        """When something was last saved or built, on the event loop's clock."""
        self._app: FinishedBuild | None = None
        """The app build of the source as it is; None while there is none."""
        self._paths: tuple[str, ...] = ()

    @property
    def running(self) -> bool:
        """Whether the legacy build of a race is under way."""
        return self._race is not None and self._race.phase is RacePhase.RUNNING

    def ask(self, *, asked: bool = True) -> bool:
        """Wants a race; false if the user's own is under way already, and `run` need not be called."""
        if self._race is not None:
            if not asked or self._race.asked:
                return False
            self._tell(replace(self._race, asked=True))
            self._stirred.set()
            return False
        why = _AFTER_THE_BUILD if asked else self._when_idle()
        self._tell(Race(RacePhase.WAITING, self._paths, asked=asked, why=why))
        return True

    async def run(self) -> None:
        """Races until there is a result, or nobody wants one any more."""
        while self._race is not None:
            race = await self._free()
            if race is None:
                continue
            app = self._app
            self._gave_way = self._given_up = False
            split_ms = app.outcome.duration_ms if app is not None else None
            self._tell(replace(race, phase=RacePhase.RUNNING, paths=self._paths, split_ms=split_ms, why=""))
            trigger = Trigger.RACE if race.asked else Trigger.IDLE
            what = f"saved {some_paths(self._paths)}" if self._paths else "the source as it is now"
            finished = await self._build(f"race: {what}", trigger)
            if self._gave_way and not self._given_up and self._race is not None:
                self._tell(replace(self._race, phase=RacePhase.WAITING, split_ms=None, why=self._when_idle()))
                continue
            self._race = None
            result = None
            if finished.outcome.status is BuildStatus.OK:
                result = await self._result(finished, app if app is self._app else None)
            self._emit(ev.RaceFinished(result))

    def give_way(self) -> None:
        """Something else is to be built: what was built before is no match any more, and a race goes on later."""
        self._app = None
        self._touch()
        if self.running and self._settings.race == "in-turn":
            self._gave_way = True
            self._cancel()

    def built(self, finished: FinishedBuild, batch: ChangeBatch | None) -> None:
        """The app image of the newest save was built."""
        self._app, self._paths = finished, batch.paths if batch is not None else ()
        self._touch()

    def give_up(self) -> None:
        """Nobody wants a race any more; its build is left to whoever cancels it."""
        if self.running:
            self._given_up = True
        elif self._race is not None:
            self._race = None
            self._emit(ev.RaceFinished(None))
            self._stirred.set()

    async def _free(self) -> Race | None:
        """The race if it may begin; else None, after a while in which that may have changed."""
        race = self._race
        if race is None:
            return None
        wait = _LOOK_AGAIN_S
        if self._is_busy():
            self._touch()
        else:
            must_be_idle = not race.asked or self._gave_way
            quiet = asyncio.get_running_loop().time() - self._quiet_since
            wait = self._settings.idle_s - quiet if must_be_idle else 0.0
            if wait <= 0:
                return race
        self._stirred.clear()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._stirred.wait(), wait)
        return None

    def _touch(self) -> None:
        self._quiet_since = asyncio.get_running_loop().time()

    def _when_idle(self) -> str:
        return f"until nothing was saved or built for {duration(self._settings.idle_s * 1000)}"

    def _tell(self, race: Race) -> None:
        self._race = race
        self._emit(ev.RaceStarted(race))

    async def _result(self, legacy: FinishedBuild, app: FinishedBuild | None) -> RaceResult:
        mine = await self._recorded(legacy)
        theirs = await self._recorded(app) if app is not None else None
        legacy_ms = legacy.outcome.duration_ms
        split_ms = app.outcome.duration_ms if app is not None else None
        why_not = why_unlike(mine, theirs)
        scenario = mine.sample.scenario if mine is not None and not why_not else None
        return RaceResult(legacy_ms, split_ms, scenario, why_not, self._paths)

    async def _recorded(self, finished: FinishedBuild) -> Recorded | None:
        if finished.recorded is None:
            return None
        recorded: Recorded | None = await guarded(self._emit, _wait(finished.recorded))
        return recorded


def why_unlike(legacy: Recorded | None, app: Recorded | None) -> str:
    """Why the two builds of a race say nothing about each other; empty where they do."""
    if app is None:
        return "no app build of this source was measured in this session; save a change, then race"
    if legacy is None:
        return "the legacy build was not recorded"
    for track, one in (("legacy", legacy.sample), ("app", app.sample)):
        if one.disturbed:
            return f"the {track} build is no measure: {one.disturbed}"
    mine, theirs = legacy.sample.scenario, app.sample.scenario
    if mine is not theirs:
        return f"legacy was {_words(mine.value)}, the app {_words(theirs.value)}; the next change can be raced"
    return ""


def _words(scenario: str) -> str:
    return scenario.replace("-", " ")


async def _wait(recorded: asyncio.Task[Recorded | None]) -> Recorded | None:
    return await asyncio.shield(recorded)
