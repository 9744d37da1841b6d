"""The loop: saves and wishes in, builds and swaps out, the latest save wins.

Everything here runs on one event loop and waits for nothing but the parts it was given (`loop.ports`). There is one
lane per image: builds of one target never overlap. The container is swapped beside the app lane, so that a slow start
does not hold up the build of a newer save.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from console import events as ev
from console import intents
from console.base_values import BaseStatus
from console.config import Config
from console.errors import EngineUnreachableError, SplitdeckError
from console.format import paths as some_paths
from console.loop.builds import Builds, FinishedBuild
from console.loop.guard import guarded
from console.loop.plan import Plan, Situation, plan
from console.loop.ports import AppRunner, BaseImages, Emit
from console.loop.service import Service
from console.model import BuildOutcome, BuildStatus, ChangeBatch, Target

_ENGINE_AGAIN_S = 1.0
"""Between two looks at an engine that has gone."""
_CUT_OFF_AT_MOST = 3
"""So often in a row a build may lose the engine; then the engine may be what the build brings down."""


@dataclass(frozen=True, slots=True)
class _AppRequest:
    """A wish for a new app image in service, and the save behind it."""

    reason: str
    batch: ChangeBatch | None = None

    def after(self, earlier: _AppRequest | None) -> _AppRequest:
        """This request with the files of an earlier one that was never served."""
        if earlier is None or earlier.batch is None:
            return self
        if self.batch is None:
            return replace(self, batch=earlier.batch)
        paths = tuple(sorted({*earlier.batch.paths, *self.batch.paths}))
        return _AppRequest(f"saved {some_paths(paths)}", replace(self.batch, paths=paths))


class Controller:
    """Runs the loop for one project."""

    def __init__(
        self,
        config: Config,
        builds: Builds,
        runner: AppRunner,
        base: BaseImages,
        emit: Emit,
    ) -> None:
        self._config = config
        self._builds = builds
        self._service = Service(runner, emit, self._cycle_ended)
        self._base_images = base
        self._emit = emit
        self._base: BaseStatus | None = None
        self._paused = False
        self._held: ChangeBatch | None = None
        self._wanted: _AppRequest | None = None
        self._lanes: dict[Target, asyncio.Task[Any]] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._given_up = asyncio.Event()
        """Set once what waits for the engine is wanted no more."""
        self.first_cycle: asyncio.Future[bool] | None = None
        """Set to whether the first build came into service."""

    # -- what comes in ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Takes over what runs already, and builds what the source is now."""
        self.first_cycle = asyncio.get_running_loop().create_future()
        await self._check_base()
        self._tell_stale()
        await self._service.resume()
        await self._builds.show_comparison()
        if self._base is not None and not self._base.present:
            self._start_lane(Target.BASE, self._base_lane(f"{self._base.reference} is not on this engine yet"))
        else:
            self._want(_AppRequest("first build of this session"))

    async def stop(self) -> None:
        """Cancels what is being built and waits for it; a swap under way ends with a container running."""
        self._stopping = True
        self._wanted = None
        self._given_up.set()
        self._builds.cancel_all()
        self._service.stop()
        while tasks := [task for task in self._tasks() if not task.done()]:
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._builds.settle()

    def _tasks(self) -> list[asyncio.Task[Any]]:
        swap = self._service.swapping
        return [*self._lanes.values(), *self._background, *([swap] if swap else [])]

    def saved(self, batch: ChangeBatch) -> None:
        """A change batch from the watcher."""
        if self._stopping:
            return
        detect_ms = (batch.closed_at - batch.saved_at) * 1000
        self._emit(ev.ChangeDetected(batch.number, batch.paths, batch.saved_at, detect_ms))
        decision = plan(batch.paths, self._situation())
        if not isinstance(decision, Plan):
            self._emit(ev.PlanMade(batch.number, None, "hold", decision.reason))
            if self._paused:
                self._held = batch if self._held is None else _joined(self._held, batch)
            elif decision.follows:
                self._wanted = _AppRequest(f"saved {some_paths(batch.paths)}", batch).after(self._wanted)
            self._check_base_if_touched(batch)
            return
        self._emit(ev.PlanMade(batch.number, decision.summary, None, decision.reason))
        request = _AppRequest(decision.reason, batch)
        if Target.BASE in decision.targets:
            self._wanted = request.after(self._wanted)
            self._start_lane(Target.BASE, self._base_lane(decision.reason))
            return
        self._want(request, cancels=decision.cancels)
        self._check_base_if_touched(batch)

    def request(self, intent: intents.Intent) -> None:
        """A wish of the user."""
        if isinstance(intent, intents.RebuildRequested):
            self._emit(ev.PlanMade(None, "build app", None, "asked for"))
            if self._base is not None and not self._base.present:
                self._start_lane(Target.BASE, self._base_lane("asked for; there is no base image yet"))
            else:
                self._want(_AppRequest("asked for"))
        elif isinstance(intent, intents.BaseBuildRequested):
            self._start_lane(Target.BASE, self._base_lane("asked for"))
        elif isinstance(intent, intents.LegacyRaceRequested):
            self._race_legacy()
        elif isinstance(intent, intents.CancelRequested):
            self._wanted = None
            self._given_up.set()
            self._builds.cancel_all()
        elif isinstance(intent, intents.PauseRequested):
            self._pause(intent.paused)

    async def build_one(self, target: Target, *, no_cache: bool = False) -> BuildOutcome:
        """One build outside the loop, recorded like any other; the base comes first where an app build lacks it."""
        await self._check_base()
        if target is Target.APP:
            self._tell_stale()
        if target is Target.APP and self._base is not None and not self._base.present:
            finished = await self._build(Target.BASE, f"{self._base.reference} is not on this engine yet")
            if finished.outcome.status is not BuildStatus.OK:
                return finished.outcome
            await self._promoted()
        finished = await self._build(target, "asked for on the command line", no_cache=no_cache)
        if target is Target.BASE and finished.outcome.status is BuildStatus.OK:
            await self._promoted()
        await self._builds.settle()
        return finished.outcome

    def container_exited(self, container: str) -> None:
        """A container of ours ended by itself."""
        self._service.container_exited(container)

    # -- the app lane -------------------------------------------------------------------------------------------------

    def _want(self, request: _AppRequest, *, cancels: bool = False) -> None:
        self._wanted = request.after(self._wanted)
        if Target.APP in self._builds.running and (cancels or request.batch is None):
            self._builds.cancel(Target.APP)
        self._start_lane(Target.APP, self._app_lane())

    async def _app_lane(self) -> None:
        cut_off = 0
        while (request := self._take_wanted()) is not None:
            finished = await self._build(Target.APP, request.reason, request.batch)
            cut_off = cut_off + 1 if finished.cut_off else 0
            if 0 < cut_off < _CUT_OFF_AT_MOST and not self._stopping:
                self._cycle_ended(False)
                newer = self._take_wanted()
                self._wanted = request if newer is None else newer.after(request)
                await self._engine_is_back(finished)
            elif finished.outcome.status is BuildStatus.OK:
                await self._service.take_over(request.batch, finished)
            elif finished.outcome.status is BuildStatus.CANCELLED and (newer := self._take_wanted()) is not None:
                self._wanted = newer.after(request)
            elif not finished.cut_off and await self._base_has_gone(finished):
                self._wanted = request.after(self._wanted)
                self._start_lane(Target.BASE, self._base_lane("it is not on this engine any more"))
                return
            else:
                if finished.cut_off:
                    self._tell_cut_off(finished)
                await self._service.keep()
                self._cycle_ended(False)

    async def _base_has_gone(self, finished: FinishedBuild) -> bool:
        """Whether an app build failed because somebody removed the base image meanwhile."""
        if finished.outcome.status is not BuildStatus.FAILED or any(step.cached for step in finished.outcome.steps):
            return False
        await self._check_base()
        return self._base is not None and not self._base.present

    def _take_wanted(self) -> _AppRequest | None:
        wanted, self._wanted = self._wanted, None
        return wanted

    def _cycle_ended(self, served: bool) -> None:
        if self.first_cycle is not None and not self.first_cycle.done():
            self.first_cycle.set_result(served)

    # -- the base and the legacy lane ---------------------------------------------------------------------------------

    async def _base_lane(self, reason: str) -> None:
        for _ in range(_CUT_OFF_AT_MOST):
            finished = await self._build(Target.BASE, reason)
            if not finished.cut_off:
                break
            self._cycle_ended(False)
            if not await self._engine_is_back(finished):
                return
        else:
            self._tell_cut_off(finished)
        if finished.outcome.status is BuildStatus.OK:
            await self._promoted()
            if self._base is not None and self._base.stale_files and self._config.base.on_change == "build":
                await self._base_lane(f"saved {some_paths(self._base.stale_files)} meanwhile")
                return
            self._want(_AppRequest("there is a new base image"))
            return
        await self._service.keep()
        if self._base is not None and self._base.present and self._wanted is not None:
            self._want(self._wanted)
        else:
            self._cycle_ended(False)

    async def _promoted(self) -> None:
        await self._check_base()
        if self._base is not None:
            self._emit(ev.BasePromoted(self._config.base.version, self._base.fingerprint))

    async def _check_base(self) -> None:
        self._base = await guarded(self._emit, self._base_images.status()) or self._base
        if self._base is not None:
            self._emit(ev.BaseChecked(self._base))

    def _tell_stale(self) -> None:
        if self._base is not None and self._base.stale_files and self._config.base.on_change != "warn":
            self._emit(ev.BaseStale(self._base.stale_files))

    def _check_base_if_touched(self, batch: ChangeBatch) -> None:
        if self._base_images.files.isdisjoint(batch.paths):
            return

        async def check() -> None:
            await self._check_base()
            self._tell_stale()

        task = asyncio.create_task(check())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _race_legacy(self) -> None:
        if self._config.legacy is None:
            hint = 'add [legacy] dockerfile = "Dockerfile.legacy" to config.toml'
            self._emit(ev.ErrorOccurred("there is no legacy Dockerfile to race against", hint))
            return
        if Target.LEGACY in self._builds.running:
            self._emit(ev.ErrorOccurred("the legacy build is still running", "x cancels it"))
            return
        self._start_lane(Target.LEGACY, self._legacy_lane())

    async def _legacy_lane(self) -> None:
        finished = await self._build(Target.LEGACY, "what the single image costs for the source as it is now")
        if finished.cut_off:
            self._tell_cut_off(finished)

    # -- an engine that goes away -------------------------------------------------------------------------------------

    async def _engine_is_back(self, finished: FinishedBuild) -> bool:
        """Waits until the engine that a build was cut off by answers; false if nobody wants that build any more."""
        if self._stopping:
            return False
        if not self._service.serving:  # else the one who follows the container tells
            message = finished.outcome.failure.message if finished.outcome.failure else "the container engine went away"
            self._emit(ev.ErrorOccurred(message, "what was being built is built again once the engine is back"))
        self._given_up.clear()
        while not self._stopping:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._given_up.wait(), _ENGINE_AGAIN_S)
            if self._given_up.is_set():
                break
            try:
                await self._base_images.status()
            except EngineUnreachableError:
                continue
            except SplitdeckError:
                pass  # it answers; what is wrong with the base is told when it is needed
            return True
        return False

    def _tell_cut_off(self, finished: FinishedBuild) -> None:
        """A build that is not done again by itself."""
        if self._stopping:
            return
        message = finished.outcome.failure.message if finished.outcome.failure else "the container engine went away"
        self._emit(
            ev.ErrorOccurred(f"build #{finished.number} was cut off: {message}", "build again: a save, r, b or l")
        )

    async def _build(
        self, target: Target, reason: str, batch: ChangeBatch | None = None, *, no_cache: bool = False
    ) -> FinishedBuild:
        stands_on = ""
        if self._base is not None:
            stands_on = self._base.image_id if target is Target.APP else self._base.inputs_fingerprint
        return await self._builds.build(
            *(target, reason, batch),
            no_cache=no_cache,
            stands_on=stands_on,
            serving=self._service.serving,
            watching=self.first_cycle is not None,
        )

    # -- small things -------------------------------------------------------------------------------------------------

    def _pause(self, paused: bool) -> None:
        self._paused = paused
        self._emit(ev.WatchPaused(paused))
        held, self._held = self._held, None
        if not paused and held is not None:
            self.saved(held)

    def _situation(self) -> Situation:
        return Situation(
            base_present=self._base is None or self._base.present,
            base_inputs=self._base_images.files,
            config_path=self._config.path.name,
            app_reads=lambda path: self._builds.reads(Target.APP, path),
            paused=self._paused,
            building=Target.APP in self._builds.running,
            base_building=Target.BASE in self._builds.running,
            on_busy=self._config.watch.on_busy,
            on_base_change=self._config.base.on_change,
        )

    def _start_lane(self, target: Target, lane: Coroutine[Any, Any, None]) -> None:
        """Starts a target's lane unless it is under way; then that one sees to what is wanted."""
        running = self._lanes.get(target)
        if self._stopping or (running is not None and not running.done()):
            lane.close()
            return
        self._lanes[target] = asyncio.create_task(lane)


def _joined(earlier: ChangeBatch, later: ChangeBatch) -> ChangeBatch:
    return replace(later, paths=tuple(sorted({*earlier.paths, *later.paths})))
