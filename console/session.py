"""The composition root: makes the parts, wires them, starts and stops them in order. Only this place knows them all."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TextIO

from console import __version__, intents
from console import events as ev
from console.base.memory import BaseMemory
from console.base.packages import PackageCache
from console.base.revision import head_revision
from console.base.tags import familiar
from console.build.backends import open_backend
from console.build.builder import ProjectBuilder
from console.build.last_inputs import LastInputs
from console.config import Config
from console.engine import Engine, connect
from console.errors import ExitCode, SplitdeckError
from console.history.recorder import HistoryRecorder
from console.history.records import history_path
from console.history.stages import StageRules
from console.lock import base_lock, project_lock
from console.loop.base_facts import BaseFacts
from console.loop.base_images import ProjectBase
from console.loop.base_registry import Pulled
from console.loop.builds import Builds, Identity, this_machine
from console.loop.controller import Controller
from console.loop.endings import to_its_end
from console.loop.guard import defect, guarded
from console.measurements import PullSample
from console.model import (
    BuildStatus,
    Clock,
    ContainerStatus,
    SystemClock,
    Target,
)
from console.run.runner import ContainerRunner
from console.state.store import Store
from console.watch.ignore import load_ignore
from console.watch.scope import Ignored, scope_of
from console.watch.watcher import Watcher

STOP_DEADLINE_S = 10.0
"""Beyond the container's own stop grace: a dead engine must not hold us for ever."""


_TIDY_S = 3.0
"""How long a check or a transfer may take to end and to tidy up after itself."""


class Session:
    """One project with its parts at work.

    Args:
        config: The project.
        store: Where events go.
        clock: The present.
    """

    def __init__(self, config: Config, store: Store, clock: Clock | None = None) -> None:
        self._config = config
        self._store = store
        self._clock = clock or SystemClock()
        self._stop_watching = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._controller: Controller | None = None
        self._builder: ProjectBuilder | None = None
        self._runner: ContainerRunner | None = None
        self._recorder: HistoryRecorder | None = None
        self._base: ProjectBase | None = None
        self._pulls: set[asyncio.Task[None]] = set()
        """Those on their way into the history."""
        self._lock = project_lock(
            history_path(config.project.name, config.path).with_suffix(".lock"), config.project.name
        )

    async def open(self) -> Controller:
        """Reaches the engine and the history, and makes the loop; nothing is built or watched yet.

        Raises:
            SplitdeckError: If no engine answers, or the configuration names what cannot be read.
        """
        config, emit = self._config, self._store.dispatch
        emit(ev.SessionStarted(config.project.name, __version__, str(config.path)))
        engine = await asyncio.to_thread(connect)
        emit(ev.EngineConnected(engine.info))
        chosen, backend = await asyncio.to_thread(
            open_backend, engine, config, self._clock, tell=lambda reason: emit(ev.ErrorOccurred(reason))
        )
        emit(ev.BuilderChosen(chosen))
        measured_on = chosen.measured_on(engine.info)
        machine = this_machine()
        path = history_path(config.project.name, config.path)
        self._recorder = HistoryRecorder(path, config.compare, measured_on, machine, self._clock, config.dockerfiles)
        first_build, notice = await self._recorder.open()
        if notice:
            emit(ev.ErrorOccurred(notice))
        loop = asyncio.get_running_loop()

        def pulled(pull: PullSample) -> None:  # on the thread that pulls
            loop.call_soon_threadsafe(self._keep_pull, pull)

        self._base = _project_base(engine, config, path, self._clock, pulled)
        stage_of = StageRules(config.compare.stage).stage_of
        inputs = LastInputs(path.with_suffix(".inputs"), measured_on)
        self._builder = ProjectBuilder(engine, config, backend, load_ignore, stage_of, self._base, inputs, emit)
        self._runner = ContainerRunner(engine, config, emit, self._clock)
        identity = Identity(measured_on, machine)
        revision = partial(asyncio.to_thread, head_revision, config.root)
        builds = Builds(
            config,
            self._builder,
            self._recorder,
            emit,
            self._clock,
            identity,
            first_build,
            revision,
            cancels=chosen.backend != "podman",
        )
        self._controller = Controller(config, builds, self._runner, self._base, emit)
        return self._controller

    async def start(self) -> None:
        """Opens what is not open, watches the source and starts the loop.

        Raises:
            SplitdeckError: As `open` does, or if another session runs on the project.
        """
        self._lock.take()
        controller = self._controller or await self.open()
        assert self._base is not None
        await self._base.read_inputs()
        self._store.subscribe(lambda batch: self._pass_on(controller, batch))
        watch = self._config.watch
        ignored = Ignored(self._config)
        scope = scope_of(self._config, self._base.files)
        builder = self._builder
        assert builder is not None
        watcher = Watcher(
            *(scope, ignored, watch.quiet_ms, watch.ceiling_ms, watch.poll, self._clock),
            told=builder.saved,
            doubted=builder.doubt,
        )
        watched = (*scope.trees, *scope.files)
        builder.watching(lambda kept: not watcher.polling and kept.is_covered_by(watched))
        self._watching = asyncio.create_task(self._watch(watcher, ignored, controller))
        files = await asyncio.to_thread(watcher.count_files)
        roots = tuple(_shown(path, self._config.root) for path in watch.paths)
        self._store.dispatch(ev.WatchStarted(roots, files, watcher.polling))
        await controller.start()

    def request(self, intent: intents.Intent) -> None:
        """A wish of the user; without effect until the loop runs."""
        if self._controller is not None:
            self._controller.request(intent)

    async def stop(self) -> None:
        """Stops watching and building; the app's container is left as it is."""
        self._stop_watching.set()
        ends = [task for task in (self._watching,) if task is not None]
        if self._controller is not None:
            ends.append(asyncio.create_task(self._controller.stop()))
        if ends:
            await asyncio.wait(ends, timeout=STOP_DEADLINE_S + self._config.run.stop_grace_s)
        if self._base is not None:
            self._base.cancel()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._base.settle(), _TIDY_S)
        for part in (self._builder, self._runner, self._base):
            if part is not None:
                part.close()
        if self._recorder is not None:
            await asyncio.gather(*self._pulls)
            await self._recorder.close()
        self._lock.release()

    def _keep_pull(self, pull: PullSample) -> None:
        """Takes note of what a pull of the base took; what goes wrong with that is told."""
        assert self._recorder is not None
        keeping = asyncio.create_task(guarded(self._store.dispatch, self._recorder.record_pull(pull)))
        self._pulls.add(keeping)
        keeping.add_done_callback(self._pulls.discard)

    @staticmethod
    def _pass_on(controller: Controller, batch: list[ev.Stamped]) -> None:
        for stamped in batch:
            if isinstance(stamped.event, ev.ContainerExited):
                controller.container_exited(stamped.event.container)

    async def _watch(self, watcher: Watcher, ignored: Ignored, controller: Controller) -> None:
        try:
            async for batch in watcher.batches(self._stop_watching):
                try:
                    ignored.notice(batch.paths)
                    controller.saved(batch)
                except Exception as error:  # noqa: BLE001 - a defect of ours must not end the watching
                    self._store.dispatch(ev.ErrorOccurred(*defect(error)))
        except SplitdeckError as error:
            self._store.dispatch(ev.ErrorOccurred(error.message, error.hint))


def _project_base(engine: Engine, config: Config, history: Path, clock: Clock, pulled: Pulled) -> ProjectBase:
    """The project's base images, with what is kept of them beside its history."""
    memory = BaseMemory(history.with_suffix(".base.json"))
    packages = PackageCache(history.with_suffix(".packages.json"))
    facts = BaseFacts(config, load_ignore, memory, packages, clock)
    # By what is moved, and not by project: several folders may have one base image.
    place = hashlib.sha256(f"{engine.info.host}\0{familiar(config.base.image)}".encode()).hexdigest()[:16]
    lock = base_lock(history.with_name(f"base-{place}.lock"), config.base.image)
    return ProjectBase(engine, config, facts, memory, lock, clock, pulled)


async def run_console(config: Config) -> ExitCode:
    """The full screen, until the user quits."""
    from console.ui.app import ConsoleApp

    store = Store()
    store.attach(asyncio.get_running_loop())
    session = Session(config, store)
    can_race = config.legacy is not None
    remote = config.base.remote
    app = ConsoleApp(
        store, session.request, theme=config.ui.theme, keys=config.ui.keys, can_race=can_race, remote=remote
    )
    failure: SplitdeckError | None = None

    async def start() -> None:
        nonlocal failure
        try:
            await session.start()
        except SplitdeckError as error:
            failure = error
            app.exit()
        except Exception as error:  # noqa: BLE001 - a screen on which nothing will ever happen helps nobody
            failure = SplitdeckError(*defect(error))
            app.exit()

    starting = asyncio.create_task(start())
    try:
        await app.run_async()
    finally:
        if not starting.done():
            starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting
        await session.stop()
    if failure is not None:
        raise failure
    serving = store.state.container
    if serving.status is ContainerStatus.READY:
        place = f" at {serving.address}" if serving.address else ""
        ends = f"docker rm -f {serving.container[:12]}"
        sys.stdout.write(f"{config.project.name} keeps running{place}; {ends} ends it\n")
    return ExitCode.OK


async def run_headless(config: Config, *, as_json: bool, once: bool) -> ExitCode:
    """The loop without a screen, until it is interrupted; with `once` until the first build serves or fails."""
    store = headless_store(as_json=as_json)
    session = Session(config, store)
    served = True
    try:
        controller = await session.open()
        await session.start()
        if once:
            assert controller.first_cycle is not None
            served = await controller.first_cycle
        else:
            await asyncio.Event().wait()
    finally:
        await session.stop()
        store.drain()
    return ExitCode.OK if served else ExitCode.FAILED


def headless_store(*, as_json: bool, out: TextIO | None = None) -> Store:
    """A store whose events are written out; the command ends when nobody reads them any more.

    Args:
        as_json: Whether as JSON lines.
        out: Where to; standard output by default.
    """
    from console.plain import PlainFrontEnd

    store = Store()
    store.attach(asyncio.get_running_loop())
    command = asyncio.current_task()
    PlainFrontEnd(store, as_json=as_json, out=out, on_broken=command.cancel if command else None)
    return store


async def build_once(config: Config, target: Target, *, no_cache: bool, as_json: bool) -> ExitCode:
    """One build, recorded like any other."""
    store = headless_store(as_json=as_json)
    session = Session(config, store)
    try:
        controller = await session.open()
        building = controller.build_one(target, no_cache=no_cache)
        outcome = await to_its_end(building, lambda: controller.request(intents.CancelRequested()))
    finally:
        await session.stop()
        store.drain()
    return ExitCode.OK if outcome.status is BuildStatus.OK else ExitCode.FAILED


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
