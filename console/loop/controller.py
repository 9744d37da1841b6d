"""The loop: saves and wishes in, builds and swaps out, the latest save wins.

Everything here runs on one event loop and waits for nothing but the parts it was given (`loop.ports`). There is one
lane per image: builds of one target never overlap. The container is swapped beside the lane of what is served, so that
a slow start does not hold up the build of a newer save.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from console import events as ev
from console import intents
from console.config import Config, load_config
from console.errors import ConfigError
from console.format import paths as some_paths
from console.loop.app_request import AppRequest, joined
from console.loop.base_life import BaseLife, Renewal
from console.loop.base_wishes import BaseWishes
from console.loop.builds import Builds, FinishedBuild
from console.loop.history_wishes import HistoryWishes
from console.loop.lanes import Lanes
from console.loop.outage import Outage
from console.loop.plan import Plan, Situation, plan
from console.loop.ports import AppRunner, BaseImages, Emit
from console.loop.race import Racing
from console.loop.service import Service
from console.measurements import Trigger
from console.model import BuildOutcome, BuildStatus, ChangeBatch, Mode, Target

_CUT_OFF_AT_MOST = 3
"""So often in a row a build may lose the engine; then the engine may be what the build brings down."""


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
        self._service = Service(
            runner, emit, self._cycle_ended, lambda number, ms: self._lanes.beside(builds.served(number, ms))
        )
        self._base_images = base
        self._emit = emit
        self._outage = Outage(base.status, emit, lambda: self._service.serving)
        self.base = BaseLife(config, base, emit, builds.clock, partial(self._build, Target.BASE))
        self.wishes = BaseWishes(base, emit, self.base.look)
        """Both are there for commands, too, which take no loop."""
        self._mode = config.app.mode
        self._paused = False
        self._held: ChangeBatch | None = None
        self._wanted: AppRequest | None = None
        self._lanes = Lanes()
        self._racing = Racing(config.compare, emit, self._build_legacy, builds, self._is_busy)
        self._history = HistoryWishes(builds.recorder, emit)
        self.first_cycle: asyncio.Future[bool] | None = None
        """Set to whether the first build came into service."""

    # -- what comes in ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Takes over what runs already, and builds what the source is now."""
        self.first_cycle = asyncio.get_running_loop().create_future()
        if self._mode is not Mode.SPLIT:
            self._emit(ev.ModeChanged(self._mode))
        await self.base.look()
        self.base.tell_stale()
        await self._service.resume()
        await self._builds.show_comparison()
        self._begin("first build of this session", Trigger.START)
        if not self.base.missing:
            self._start_base(self.base.go_on)

    async def stop(self) -> None:
        """Cancels what is being built and waits for it; a swap under way ends with a container running."""
        self._lanes.stopped = True
        self._wanted = None
        self._outage.stop()
        self._racing.give_up()
        self._builds.cancel_all()
        self.base.cancel()
        self._service.stop()
        while tasks := [*self._lanes.running, *filter(None, (self._service.swapping,))]:
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._builds.settle()

    def saved(self, batch: ChangeBatch) -> None:
        """A change batch from the watcher."""
        if self._lanes.stopped:
            return
        self._racing.changed()
        detect_ms = (batch.closed_at - batch.saved_at) * 1000
        self._emit(ev.ChangeDetected(batch.number, batch.paths, batch.saved_at, detect_ms))
        known = self._config_is_known(batch)
        decision = plan(batch.paths, self._situation(known=known))
        request = AppRequest(f"saved {some_paths(batch.paths)}", batch, Trigger.SAVE)
        if not isinstance(decision, Plan):
            self._emit(ev.PlanMade(batch.number, None, "hold", decision.reason))
            if self._paused:
                self._held = batch if self._held is None else joined(self._held, batch)
            elif decision.follows:
                self._wanted = request.after(self._wanted)
            self._check_base_if_touched(batch)
            return
        self._emit(ev.PlanMade(batch.number, decision.summary, None, decision.reason))
        request = replace(request, reason=decision.reason)
        if Target.BASE in decision.targets:
            if decision.meanwhile:
                self._want(request, cancels=decision.cancels)
            else:
                self._wanted = request.after(self._wanted)
            self._start_base(self._new_base(decision.reason))
            return
        self._want(request, cancels=decision.cancels)
        self._check_base_if_touched(batch)

    def request(self, intent: intents.Intent) -> None:
        """A wish of the user."""
        match intent:
            case intents.RebuildRequested():
                self._emit(ev.PlanMade(None, f"build {self._mode.target.value}", None, "asked for"))
                self._begin("asked for")
            case intents.BaseBuildRequested(allow_major):
                self._start_base(
                    partial(self.base.renew, "asked for", trigger=Trigger.ASKED, allow_major=allow_major), busy=True
                )
            case intents.BasePullRequested():
                self._start_base(partial(self.base.fetch, asked=True), busy=True)
            case intents.BaseUseRequested(version):
                self._lanes.beside(self._change_base(self.wishes.use(version)))
            case intents.BaseRollbackRequested():
                self._lanes.beside(self._change_base(self.wishes.roll_back()))
            case intents.ModeRequested(mode):
                self._change_mode(mode)
            case intents.LegacyRaceRequested():
                self._race_legacy()
            case intents.CancelRequested():
                self._wanted = None
                self._racing.give_up()
                self._outage.give_up()
                self._builds.cancel_all()
                self.base.cancel()
            case intents.PauseRequested(paused):
                self._pause(paused)
            case _:
                if (answer := self.wishes.answer(intent) or self._history.answer(intent)) is not None:
                    self._lanes.beside(answer)

    async def build_one(self, target: Target, *, no_cache: bool = False) -> BuildOutcome:
        """One build outside the loop, recorded like any other; the base comes first where an app build lacks it.

        A base is tried, and taken if it is good; one that is held counts as failed.
        """
        await self.base.look()
        reason = "asked for on the command line"
        if target is Target.BASE:
            outcome = (await self.base.renew(reason, trigger=Trigger.COMMAND, no_cache=no_cache)).outcome
        else:
            outcome = await self._build_on_base(target, reason, no_cache=no_cache)
        await self._builds.settle()
        return outcome

    async def _build_on_base(self, target: Target, reason: str, *, no_cache: bool) -> BuildOutcome:
        if target is Target.APP:
            self.base.tell_stale()
            if self.base.missing and not (obtained := await self.base.obtain()).taken:
                return obtained.outcome
        return (await self._build(target, reason, trigger=Trigger.COMMAND, no_cache=no_cache)).outcome

    def container_exited(self, container: str) -> None:
        """A container of ours ended by itself."""
        self._service.container_exited(container)

    # -- the lane of what is served -----------------------------------------------------------------------------------

    def _begin(self, reason: str, trigger: Trigger = Trigger.ASKED) -> None:
        """Wants what is served; the base first, where it is missing."""
        if self._mode is Mode.SPLIT and self.base.missing:
            self._start_base(self.base.obtain)
        else:
            self._want(AppRequest(reason, trigger=trigger))

    def _want(self, request: AppRequest, *, cancels: bool = False) -> None:
        self._wanted = request.after(self._wanted)
        self._racing.give_way()
        if cancels or request.batch is None:
            self._builds.cancel(self._mode.target)
        self._lanes.start(Target.APP, self._app_lane())

    async def _app_lane(self) -> None:
        cut_off = 0
        while (request := self._take_wanted()) is not None:
            target = self._mode.target
            if target is Target.LEGACY and self._lanes.is_busy(target):  # two builds of one image never overlap
                self._builds.cancel(target)
                await self._lanes.ended(target)
            change = self._racing.changed()
            finished = await self._build(target, request.reason, request.batch, trigger=request.trigger)
            cut_off = cut_off + 1 if finished.cut_off else 0
            if (stands_on := finished.outcome.base_id) and self.base.status and stands_on != self.base.status.image_id:
                self._lanes.beside(self.base.look())  # somebody else has moved it
            if 0 < cut_off < _CUT_OFF_AT_MOST and not self._lanes.stopped:
                self._cycle_ended(False)
                newer = self._take_wanted()
                self._wanted = request if newer is None else newer.after(request)
                await self._outage.is_over(finished.why)
            elif finished.outcome.status is BuildStatus.OK and target is self._mode.target:
                self._racing.built(finished, request.batch, change)
                if self._config.compare.background and request.trigger is Trigger.SAVE and self._mode is Mode.SPLIT:
                    self._race_legacy(asked=False)
                await self._service.take_over(request.batch, finished)
            elif finished.outcome.status is BuildStatus.CANCELLED and (newer := self._take_wanted()) is not None:
                self._wanted = newer.after(request)
            elif not finished.cut_off and target is Target.APP and await self._base_has_gone(finished):
                self._wanted = request.after(self._wanted)
                self._start_base(self.base.obtain)
                return
            else:
                if finished.cut_off:
                    self._outage.tell_cut_off(f"build #{finished.number}", finished.why)
                await self._service.keep()
                self._cycle_ended(False)

    async def _base_has_gone(self, finished: FinishedBuild) -> bool:
        """Whether an app build failed because somebody removed the base image meanwhile."""
        if finished.outcome.status is not BuildStatus.FAILED or any(step.cached for step in finished.outcome.steps):
            return False
        await self.base.look()
        return self.base.missing

    def _take_wanted(self) -> AppRequest | None:
        wanted, self._wanted = self._wanted, None
        return wanted

    def _cycle_ended(self, served: bool) -> None:
        if self.first_cycle is not None and not self.first_cycle.done():
            self.first_cycle.set_result(served)

    def _change_mode(self, mode: Mode) -> None:
        """Serves what is made in another way, from now on."""
        if mode is Mode.LEGACY and self._config.legacy is None:
            self._tell_no_legacy("to go back to")
        elif mode is not self._mode:
            self._racing.give_up()
            self._builds.cancel(self._mode.target)
            self._mode = mode
            self._emit(ev.ModeChanged(mode))
            self._begin(f"{mode.value} mode from now on", Trigger.MODE)
            if mode is Mode.SPLIT and not self.base.missing:
                self._start_base(self.base.go_on)  # inputs may have changed meanwhile

    # -- the base's lane ----------------------------------------------------------------------------------------------

    def _new_base(self, reason: str) -> Callable[[], Awaitable[Renewal]]:
        return self.base.obtain if self.base.missing else partial(self.base.renew, reason, trigger=Trigger.SAVE)

    def _start_base(self, work: Callable[[], Awaitable[Renewal | None]], *, busy: bool = False) -> None:
        """Starts work on the base unless there is some under way; `busy` tells the user of that."""
        if busy and self._lanes.is_busy(Target.BASE):
            self._emit(ev.ErrorOccurred("the base image is being worked on", "wait for it, or x cancels it"))
            return
        self._racing.give_way()
        self._lanes.start(Target.BASE, self._base_lane(work))

    async def _base_lane(self, work: Callable[[], Awaitable[Renewal | None]]) -> None:
        was_missing = self.base.missing
        done = await work()
        for _ in range(_CUT_OFF_AT_MOST - 1):
            if done is None or not done.cut_off:
                break
            self._cycle_ended(False)
            if not await self._outage.is_over(done.cut_off):
                return
            done = await work()
        if done is None:
            return
        if done.cut_off:
            self._outage.tell_cut_off("work on the base image", done.cut_off)
        if done.taken and self.base.stale_files and self.base.builds_at_once:
            await self._base_lane(partial(self.base.renew, f"saved {some_paths(self.base.stale_files)} meanwhile"))
        elif done.taken and self._mode is Mode.SPLIT and (was_missing or not self._base_images.pinned):
            self._want(AppRequest("there is a new base image", trigger=Trigger.BASE))
        elif self._wanted is not None and not (self._mode is Mode.SPLIT and self.base.missing):
            self._want(self._wanted)
        elif self.base.missing:
            await self._service.keep()
            self._cycle_ended(False)

    async def _change_base(self, work: Awaitable[bool]) -> None:
        """After app builds were told to stand on another version: the app is built on it."""
        if await work and self._mode is Mode.SPLIT:
            self._begin("app builds stand on another base image", Trigger.BASE)

    def _check_base_if_touched(self, batch: ChangeBatch) -> None:
        if self._base_images.files.isdisjoint(batch.paths):
            return

        async def check() -> None:
            await self.base.look()
            self.base.tell_stale()

        self._lanes.beside(check())

    # -- the race -----------------------------------------------------------------------------------------------------

    def _race_legacy(self, *, asked: bool = True) -> None:
        if self._config.legacy is None:
            self._tell_no_legacy("to race against")
        elif self._mode is Mode.LEGACY:
            self._emit(ev.ErrorOccurred("there is nothing to race: every save builds the legacy image", "m goes back"))
        elif self._racing.ask(asked=asked):
            self._lanes.start(Target.LEGACY, self._racing.run())

    async def _build_legacy(self, reason: str, trigger: Trigger) -> FinishedBuild:
        finished = await self._build(Target.LEGACY, reason, trigger=trigger)
        if finished.cut_off:
            self._outage.tell_cut_off(f"build #{finished.number}", finished.why)
        return finished

    def _is_busy(self) -> bool:
        return self._lanes.is_busy(Target.APP, Target.BASE) or self._service.swapping is not None

    def _tell_no_legacy(self, purpose: str) -> None:
        hint = 'add [legacy] dockerfile = "Dockerfile.legacy" to config.toml'
        self._emit(ev.ErrorOccurred(f"there is no legacy Dockerfile {purpose}", hint))

    # -- small things -------------------------------------------------------------------------------------------------

    async def _build(
        self,
        target: Target,
        reason: str,
        batch: ChangeBatch | None = None,
        *,
        trigger: Trigger,
        no_cache: bool = False,
    ) -> FinishedBuild:
        if target is not Target.APP and (batch is None or not self._base_images.files.isdisjoint(batch.paths)):
            await self.base.look()  # inputs may be others than when somebody last looked
        status, stands_on = self.base.status, ""
        if status is not None:
            stands_on = status.image_id if target is Target.APP else status.inputs_fingerprint
        return await self._builds.build(
            *(target, reason, batch),
            trigger=trigger,
            no_cache=no_cache,
            stands_on=stands_on,
            serving=self._service.serving,
            watching=self.first_cycle is not None,
        )

    def _pause(self, paused: bool) -> None:
        self._paused = paused
        self._emit(ev.WatchPaused(paused))
        held, self._held = self._held, None
        if not paused and held is not None:
            self.saved(held)

    def _situation(self, *, known: bool) -> Situation:
        config, split = self._config, self._mode is Mode.SPLIT
        return Situation(
            base_present=not (split and self.base.missing),
            base_inputs=self._base_images.files if split else frozenset(),
            config_path=config.path.name,
            config_known=known,
            app_reads=lambda path: self._builds.reads(self._mode.target, path),
            target=self._mode.target,
            paused=self._paused,
            building=self._mode.target in self._builds.running,
            base_building=self._lanes.is_busy(Target.BASE),
            on_busy=config.watch.on_busy,
            on_base_change="warn" if self._base_images.pinned else config.base.on_change,
        )

    def _config_is_known(self, batch: ChangeBatch) -> bool:
        """Whether a change of config.toml asks for no restart: it says what is in use, or just another base version."""
        if self._config.path.name not in batch.paths:
            return False
        try:
            now = load_config(self._config.path)
        except ConfigError:
            return False
        if now != self._config.with_base_version(now.base.version):
            return False
        if now.base.version != self._base_images.version:  # written by hand, or by a command elsewhere
            self._lanes.beside(self._change_base(self.wishes.adopt(now.base.version)))
        return True
