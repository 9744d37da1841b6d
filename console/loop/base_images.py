"""A project's base images on its engine, for the loop: what it asks of them, and what it has done with them.

Quick questions have a thread of their own, so that they are answered while a check or a transfer takes its time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from console.base.checks import CheckFailure, run_checks, tidy_checks
from console.base.memory import BaseMemory
from console.base.promotion import (
    drop_candidate,
    images_in_use,
    layer_bytes,
    promote,
    remove_superseded,
    remove_versions,
)
from console.base.tags import LATEST
from console.base.versions import BaseImage, find_base, superfluous
from console.base_values import BaseContents, BaseDiff, BaseStatus, BaseVersion, Foundation, HeldBase
from console.config import Config
from console.config_edit import write_base_version
from console.engine import Engine, EngineWorker
from console.errors import BaseError
from console.lock import Lock
from console.loop.base_choice import BaseChoice
from console.loop.base_facts import BaseFacts
from console.loop.base_registry import BaseRegistry, Observe, Pulled
from console.loop.fingerprint import status_of
from console.model import Clock

if TYPE_CHECKING:
    from docker import APIClient


class ProjectBase:
    """The base images of one project on one engine.

    Args:
        engine: Where they are.
        config: The project.
        facts: What is known of them.
        memory: What is remembered from one run to the next.
        lock: Held while base images are made, moved or removed.
        clock: The present.
        pulled: Hears what each pull took, on any thread.
    """

    def __init__(
        self,
        engine: Engine,
        config: Config,
        facts: BaseFacts,
        memory: BaseMemory,
        lock: Lock,
        clock: Clock,
        pulled: Pulled,
    ) -> None:
        self._config = config
        self._base = config.base
        self._facts = facts
        self._memory = memory
        self._lock = lock
        self._clock = clock
        self._quick = EngineWorker(engine, "base images")
        self._slow = EngineWorker(engine, "base image work")
        self._registry = BaseRegistry(self._base, clock, pulled)
        self._choice = BaseChoice(self._base, facts, self._registry, clock)
        self._check_ended: threading.Event | None = None
        """Ends the check that runs."""

    # -- what there is ------------------------------------------------------------------------------------------------

    @property
    def files(self) -> frozenset[str]:
        """The input files as last read, relative to the project's folder."""
        return frozenset(self._facts.inputs.files) if self._facts.inputs else frozenset()

    @property
    def version(self) -> str:
        """What app builds stand on, as [base] version has it."""
        return self._facts.version

    @property
    def pinned(self) -> bool:
        """Whether that is one certain version, so that a new base does not take its place."""
        return self._facts.pinned

    async def read_inputs(self) -> None:
        """Reads the inputs as they are now.

        Raises:
            SplitdeckError: If one cannot be read.
        """
        await self._quick.call(self._facts.read_inputs)

    async def status(self) -> BaseStatus:
        """As `BaseFacts.status`."""
        return await self._quick.call(self._facts.status)

    async def versions(self) -> tuple[BaseVersion, ...]:
        """As `BaseFacts.versions`."""
        return await self._quick.call(self._facts.versions)

    async def candidate(self) -> BaseImage | None:
        """As `BaseFacts.candidate`."""
        return await self._quick.call(self._facts.candidate)

    async def latest(self) -> str | None:
        """The ID of what is `latest` now, whatever app builds stand on; None where nothing is.

        Raises:
            EngineError: If the engine does not say.
        """
        found = await self._quick.call(lambda client: find_base(client, self._base.reference_to(LATEST)))
        return None if found is None else found.image_id

    async def twin(self, image_id: str) -> str | None:
        """As `BaseFacts.twin`."""
        return await self._quick.call(lambda client: self._facts.twin(client, image_id))

    async def compare(self, before: str, after: str) -> BaseDiff:
        """As `BaseFacts.compare`."""
        return await self._slow.call(lambda client: self._facts.compare(client, before, after))

    async def contents(self, wanted: str) -> BaseContents:
        """As `BaseFacts.contents`."""
        return await self._slow.call(lambda client: self._facts.contents(client, wanted))

    # -- for builds, on their threads ---------------------------------------------------------------------------------

    def labels(self, client: APIClient) -> Mapping[str, str]:
        """As `BaseFacts.labels`."""
        return self._facts.labels(client)

    def foundation(self, client: APIClient) -> Foundation | None:
        """As `BaseFacts.foundation`."""
        return self._facts.foundation(client)

    # -- a new one ----------------------------------------------------------------------------------------------------

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """While the block runs, no other splitdeck makes, moves or removes this project's base images.

        Raises:
            ConfigError: If one is at it.
        """
        self._lock.take()
        try:
            yield
        finally:
            self._lock.release()

    async def check(self, image_id: str, tell: Callable[[str, tuple[str, ...]], None]) -> CheckFailure | None:
        """Runs [base] check in an image; None where it passes.

        Raises:
            EngineError: If the engine refuses for a reason that is not the check's.
        """
        ended = self._check_ended = threading.Event()

        def job(client: APIClient) -> CheckFailure | None:
            return run_checks(
                client,
                image_id,
                self._base.check,
                project=self._config.project.name,
                timeout_s=self._base.check_timeout_s,
                tell=tell,
                ended=ended,
            )

        return await self._slow.call(job)

    async def promote(self, image_id: str) -> BaseStatus:
        """Makes a base `latest`, and gives it its own tags where it has none yet; nothing is held any more.

        Raises:
            SplitdeckError: If it has gone, or the engine refuses.
        """

        def job(client: APIClient) -> BaseStatus:
            image = find_base(client, image_id)
            if image is None:
                raise BaseError("the new base image has gone", "build it again")
            name = promote(client, self._base.image, image, self._clock.now())
            self._remember(held=None, held_image="", held_inputs="", newer="", rolled_back_inputs="")
            return status_of(self._base.reference_to(LATEST), image, self._facts.read_inputs(client), name)

        return await self._quick.call(job)

    async def hold(self, held: HeldBase, image_id: str) -> None:
        """Keeps in mind why a new base did not become `latest`; an empty ID for one that could not be built."""
        inputs = self._facts.inputs.fingerprint if self._facts.inputs else ""
        self._remember(held=held, held_image=image_id, held_inputs=inputs)

    async def superseded(self, image_id: str) -> None:
        """Removes an earlier candidate, now that a newer one has its tag.

        Raises:
            EngineError: If the engine goes away.
        """
        await self._quick.call(lambda client: remove_superseded(client, image_id))

    async def drop_candidate(self, image_id: str) -> None:
        """Forgets a candidate that is not wanted, or one no more.

        Raises:
            EngineError: If the engine does not answer.
        """
        await self._quick.call(lambda client: drop_candidate(client, self._base.image, image_id))

    # -- another one --------------------------------------------------------------------------------------------------

    async def use(self, wanted: str, observe: Observe) -> str:
        """Lets app builds stand on a version, and writes that to config.toml; gives what people call it.

        One that is not here is fetched from the registry.

        Raises:
            SplitdeckError: If there is no such version, or config.toml cannot be written.
        """

        value, name = await self._slow.call(lambda client: self._choice.find(client, wanted, observe))
        write_base_version(self._config.path, value)
        self._facts.version = value
        return name

    async def roll_back(self) -> tuple[str, str]:
        """Lets app builds stand on the version before the present one; gives the names of both, the new one first.

        Raises:
            SplitdeckError: If there is none, or it cannot be done.
        """

        def job(client: APIClient) -> tuple[str, str]:
            names = self._choice.back(client)
            if not self.pinned:
                self._remember(rolled_back_inputs=self._facts.read_inputs(client).fingerprint)
            return names

        before, present = await self._quick.call(job)
        if self.pinned:
            write_base_version(self._config.path, before)
            self._facts.version = before
        return before, present

    @property
    def rolled_back(self) -> bool:
        """Whether somebody rolled back, and the inputs are what they were then."""
        return self._facts.rolled_back

    def adopt(self, version: str) -> None:
        """Takes over what somebody else has written to config.toml as [base] version."""
        self._facts.version = version

    @property
    def may_pull(self) -> bool:
        """Whether a base that is missing may be fetched."""
        return self._registry.may_pull

    def pull_due(self) -> bool:
        """Whether [base] pull says that the registry is to be asked for a newer one now."""
        return not self.pinned and self._registry.is_due(self._memory.get().asked_at)

    async def ask_registry(self) -> None:
        """Keeps in mind whether the registry has another `latest` than there is here.

        Raises:
            SplitdeckError: If there is no registry, or it does not answer.
        """

        def job(client: APIClient) -> str:
            return self._registry.newer_than(client, find_base(client, self._base.reference_to(LATEST)))

        self._remember(newer=await self._slow.call(job))

    async def fetch_pinned(self, observe: Observe) -> None:
        """Fetches the version that config.toml names from the registry.

        Raises:
            SplitdeckError: If there is no registry, or it does not have it.
        """
        await self._slow.call(lambda client: self._registry.fetch_pinned(client, self.version, observe))

    async def fetch_latest(self, observe: Observe, *, asked: bool) -> str | None:
        """Fetches the registry's `latest` as a candidate, and gives its ID; None where it is no newer one.

        Args:
            observe: Hears how far it is.
            asked: Whether the user wants it even if it was here before: after a rollback the registry's is no news.

        Raises:
            SplitdeckError: If there is no registry, or it does not answer.
        """

        def job(client: APIClient) -> str | None:
            present = find_base(client, self._base.reference_to(LATEST))
            fetched = self._registry.fetch_latest(client, present, observe, asked=asked)
            self._remember(asked_at=self._clock.now(), newer=fetched.newer)
            return fetched.image_id or None

        return await self._slow.call(job)

    async def publish(self, observe: Observe) -> tuple[str, ...]:
        """Pushes the present base, `latest` last; gives the tags that the registry has it under.

        Raises:
            SplitdeckError: If there is none, no registry, or that refuses.
        """

        def job(client: APIClient) -> tuple[str, ...]:
            image = find_base(client, self._facts.reference)
            if image is None:
                raise BaseError(f"{self._facts.reference} is not on this engine", "build it: `splitdeck base build`")
            return self._registry.publish(client, image, observe)

        return await self._slow.call(job)

    # -- order --------------------------------------------------------------------------------------------------------

    async def superfluous(self) -> tuple[BaseVersion, ...]:
        """The versions that nobody needs, as far as we built them.

        Raises:
            EngineError: If the engine does not answer.
        """
        return await self._slow.call(self._superfluous)

    async def prune(self) -> tuple[tuple[str, ...], int]:
        """Removes the versions that nobody needs; gives what they were called, and the bytes that came free.

        Raises:
            EngineError: If the engine does not answer.
        """

        def job(client: APIClient) -> tuple[tuple[str, ...], int]:
            gone = self._superfluous(client)
            if not gone:
                return (), 0
            before = layer_bytes(client)
            repositories = (self._base.image, *filter(None, (self._registry.remote,)))
            removed = remove_versions(client, repositories, gone)
            return removed, max(0, before - layer_bytes(client))

        return await self._slow.call(job)

    async def tidy(self) -> None:
        """Removes what checks of a process that was killed have left.

        Raises:
            EngineError: If the engine does not answer.
        """
        await self._quick.call(lambda client: tidy_checks(client, self._config.project.name))

    async def settle(self) -> None:
        """Waits until what was under way has ended, and has tidied up after itself."""
        await self._slow.call(lambda _client: None)

    def cancel(self) -> None:
        """Ends the check or transfer under way. That there is none is fine."""
        if self._check_ended is not None:
            self._check_ended.set()
        self._registry.cancel()

    def close(self) -> None:
        """Lets the threads end."""
        self._quick.close()
        self._slow.close()

    def _superfluous(self, client: APIClient) -> tuple[BaseVersion, ...]:
        project = self._config.project.name
        ours = [one for one in self._facts.versions(client) if one.project == project]
        return superfluous(ours, self._base.keep, images_in_use(client))

    def _remember(self, **changes: Any) -> None:
        self._memory.keep(replace(self._memory.get(), **changes))
