"""The running app on a real engine: swaps on one worker thread, followers for what runs, housekeeping on another."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from console import events as ev
from console.config import Config
from console.engine import Engine, EngineWorker, engine_errors
from console.model import LABEL_PROJECT, BuildNumber, Clock, ContainerUsage, Stream
from console.run.container import Container, EngineRuntime, digest_of, settings_of
from console.run.follow import Follower
from console.run.swap import Swapper, SwapResult, SwapStatus

if TYPE_CHECKING:
    from docker import APIClient


_TAIL_ON_ADOPTION = 200
_START_TAKES_S = 0.5


@dataclass(slots=True)
class _Reporter:
    """Turns what happens to containers into events. Called on worker and follower threads."""

    engine: Engine
    project: str
    emit: Callable[[ev.Event], None]
    followers: dict[str, Follower]
    known: set[str]
    """Containers whose log has been shown up to their last end."""
    builds: dict[str, BuildNumber]
    """Image ID → the build that made it last."""

    def started(self, container: Container) -> None:
        build = self.builds.get(container.image_id)
        self.emit(ev.ContainerStarted(container.id, container.name, container.image_id, build))
        since = time.time() - _START_TAKES_S if container.id in self.known else None
        self._follow(container, since, None)

    def adopted(self, container: Container) -> None:
        """It runs already; its last lines are news enough."""
        self.emit(ev.ContainerStarted(container.id, container.name, container.image_id, None))
        self._follow(container, None, _TAIL_ON_ADOPTION)

    def _follow(self, container: Container, since: float | None, tail: int | None) -> None:
        self.known.add(container.id)
        follower = Follower(self.engine, self.project, container, self, since=since, tail=tail)
        self.followers[container.id] = follower

    def about_to_stop(self, container: Container) -> None:
        follower = self.followers.pop(container.id, None)
        if follower is not None:
            follower.expect_end()

    def logged(self, container: Container, stream: Stream, lines: tuple[str, ...]) -> None:
        self.emit(ev.ContainerLogged(stream, lines, container.id))

    def measured(self, container: Container, usage: ContainerUsage) -> None:
        self.emit(ev.ContainerMeasured(container.id, usage))

    def exited(self, container: Container, exit_code: int) -> None:
        self.emit(ev.ContainerExited(container.id, exit_code))
        hint = "its last lines are in the app's log; a save or r starts a container again"
        self.emit(ev.ErrorOccurred(f"the app's container ended with exit code {exit_code}", hint))

    def engine_lost(self, _container: Container) -> None:
        hint = "whether the app runs is not known until the engine is back; nothing has to be done here"
        self.emit(ev.ErrorOccurred("the container engine went away", hint))

    def engine_back(self, _container: Container) -> None:
        self.emit(ev.EngineConnected(self.engine.info))


class ContainerRunner:
    """Keeps the project's app serving.

    Raises:
        ConfigError: If a file that [run] names cannot be read.
    """

    def __init__(self, engine: Engine, config: Config, emit: Callable[[ev.Event], None], clock: Clock) -> None:
        self._engine = engine
        self._config = config
        self._clock = clock
        self._settings = settings_of(config)
        self._worker = EngineWorker(engine, "container swap")
        self._housekeeper = EngineWorker(engine, "housekeeping")
        self._reporter = _Reporter(engine, config.project.name, emit, {}, set(), {})
        self._swapper: Swapper | None = None

    async def resume(self) -> SwapResult | None:
        """Takes over a container that an earlier session left running, if it answers; None where there is none."""

        def job(client: APIClient) -> SwapResult | None:
            swapper = self._bound(client)
            runtime = EngineRuntime(client, self._config.project.name)
            adopted = swapper.adopt(runtime.ours())
            if adopted is None:
                return None
            self._reporter.adopted(adopted)
            result = swapper.confirm()
            return result if result.status is SwapStatus.READY else None

        return await self._worker.call(job)

    async def serve(self, image_id: str, build: BuildNumber) -> SwapResult:
        """Brings an image into service; the container that already serves it is left alone."""

        def job(client: APIClient) -> SwapResult:
            swapper = self._bound(client)
            self._reporter.builds[image_id] = build
            swapper.settings = settings_of(self._config)
            if swapper.serves(image_id, digest_of(swapper.settings)):
                result = swapper.confirm()
                if result.status is not SwapStatus.FAILED:
                    return result
            return swapper.swap(image_id, self._reporter)

        return await self._worker.call(job)

    async def revive(self) -> SwapResult | None:
        """Starts the last good container; None where there is none."""
        return await self._worker.call(lambda client: self._bound(client).revive(self._reporter))

    async def fall_back(self) -> SwapResult | None:
        """Starts the container that served before the one that ended; None where there is none."""
        return await self._worker.call(lambda client: self._bound(client).fall_back(self._reporter))

    async def tidy(self) -> None:
        """Removes replaced containers, and images of ours that no tag and no container holds any more."""

        def prune(client: APIClient) -> None:
            from docker.errors import APIError

            with engine_errors("removing superseded images"):
                label = f"{LABEL_PROJECT}={self._config.project.name}"
                try:
                    client.prune_images(filters={"dangling": True, "label": [label]})  # type: ignore[no-untyped-call]
                except APIError as error:
                    if error.status_code != HTTPStatus.CONFLICT:
                        raise
                    # Somebody else tidies this engine just now; ours go with the next swap.

        try:
            await self._worker.call(lambda client: self._bound(client).tidy())
        finally:
            await self._housekeeper.call(prune)

    def supersede(self) -> None:
        """Ends the wait for the readiness of an image that a newer one replaces anyway."""
        if self._swapper is not None:
            self._swapper.supersede()

    def abandon(self) -> None:
        """The session ends: a swap under way comes to an end soon, with a container running."""
        if self._swapper is not None:
            self._swapper.abandon()

    def close(self) -> None:
        """Lets the threads end; containers stay as they are."""
        self._worker.close()
        self._housekeeper.close()

    def _bound(self, client: APIClient) -> Swapper:
        """The swapper; made on the worker's thread, whose client it keeps."""
        if self._swapper is None:
            runtime = EngineRuntime(client, self._config.project.name)
            host = self._engine.address
            project = self._config.project.name
            self._swapper = Swapper(project, self._config.run, self._settings, host, runtime, self._clock)
        return self._swapper
