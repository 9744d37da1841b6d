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
from functools import partial

from console import events as ev
from console.config import CompareConfig
from console.format import duration
from console.format import paths as some_paths
from console.loop.builds import Builds, FinishedBuild
from console.loop.guard import guarded
from console.loop.ports import Emit
from console.measurements import Race, RacePhase, RaceResult, Recorded, Trigger
from console.model import BuildStatus, ChangeBatch, Target

_AFTER_THE_BUILD = "what is being built goes first"
_CHANGED = "the source changed while the legacy build ran"
_LOOK_AGAIN_S = 0.25
"""How often it is looked whether what else is under way has ended."""


class Racing:
    """At most one race at a time.

    Args:
        settings: Whether it gives way, and after how long it begins by itself.
        emit: Where events go.
        build: Builds the legacy image, for a reason.
        builds: Ends that build.
        is_busy: Whether anything else is being built or brought into service.
    """

    def __init__(
        self,
        settings: CompareConfig,
        emit: Emit,
        build: Callable[[str, Trigger], Awaitable[FinishedBuild]],
        builds: Builds,
        is_busy: Callable[[], bool],
    ) -> None:
        self._beside = settings.race == "beside"
        self._gives_way = not self._beside and builds.cancels  # a build that goes on all the same is in the way
        self._idle_s = settings.idle_s
        self._emit = emit
        self._build = build
        self._cancel = partial(builds.cancel, Target.LEGACY)
        self._is_busy = is_busy
        self._race: Race | None = None
        self._gave_way = False
        """The legacy build was ended for something else, and is to begin anew."""
        self._failed = False
        """The last legacy build failed: as long as nobody asks, the next would, too."""
        self._given_up = False
        """Nobody wants the race any more whose legacy build is under way."""
        self._stirred = asyncio.Event()
        self._quiet_since = 0.0
        """When something was last saved or built, on the event loop's clock."""
        self._app: FinishedBuild | None = None
        """The app build of the source as it is; None while there is none."""
        self._changes = 0
        """How often the source changed, or an app build began."""
        self._paths: tuple[str, ...] = ()

    @property
    def running(self) -> bool:
        """Whether the legacy build of a race is under way."""
        return self._race is not None and self._race.phase is RacePhase.RUNNING

    def ask(self, *, asked: bool = True) -> bool:
        """Wants a race, at once where that is possible; false where one is under way and `run` need not be called.

        A race that began by itself becomes the user's.
        """
        if self._race is not None:
            if asked and self.running and self._race.asked:
                self._emit(ev.ErrorOccurred("the legacy build is still running", "x cancels it"))
            elif asked:
                self._tell(replace(self._race, asked=True, why="" if self.running else _AFTER_THE_BUILD))
                self._gave_way = self._gave_way and self.running
                self._stirred.set()
            return False
        if not asked and self._failed:
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
            self._failed = finished.outcome.status is BuildStatus.FAILED
            result = None
            if finished.outcome.status is BuildStatus.OK:
                result = await self._result(finished, app, changed=app is not self._app)
            self._race = None
            self._emit(ev.RaceFinished(result))

    def changed(self) -> int:
        """The source changed, or is built now: an app build of before is no match any more. To be given to `built`."""
        self._app, self._paths = None, ()
        self._changes += 1
        return self._changes

    def give_way(self) -> None:
        """Something else is to be built: a race goes on later."""
        self._touch()
        if self.running and self._gives_way:
            self._gave_way = True
            self._cancel()

    def built(self, finished: FinishedBuild, batch: ChangeBatch | None, change: int) -> None:
        """An app image was built, of the source as it was at a change."""
        if change == self._changes:
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
        if self._beside and race.asked:
            return race
        if self._is_busy():
            self._touch()
        else:
            must_be_idle = not race.asked or self._gave_way
            quiet = asyncio.get_running_loop().time() - self._quiet_since
            wait = self._idle_s - quiet if must_be_idle else 0.0
            if wait <= 0:
                return race
        self._stirred.clear()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._stirred.wait(), wait)
        return None

    def _touch(self) -> None:
        self._quiet_since = asyncio.get_running_loop().time()

    def _when_idle(self) -> str:
        return f"until nothing was saved or built for {duration(self._idle_s * 1000)}"

    def _tell(self, race: Race) -> None:
        self._race = race
        self._emit(ev.RaceStarted(race))

    async def _result(self, legacy: FinishedBuild, app: FinishedBuild | None, *, changed: bool) -> RaceResult:
        mine = await self._recorded(legacy)
        theirs = await self._recorded(app) if app is not None else None
        legacy_ms = legacy.outcome.duration_ms
        split_ms = app.outcome.duration_ms if app is not None else None
        why_not = _CHANGED if changed else why_unlike(mine, theirs)
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
