"""The loop with fakes for everything that needs an engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from console import events as ev
from console.base_values import HeldBase
from console.config import Config
from console.loop.builds import Builds, Identity
from console.loop.controller import Controller
from console.model import ChangeBatch, Target
from tests.fakes import Events, FakeBase, FakeBuilder, FakeClock, FakeRecorder, FakeRunner, ok

_TURNS = 40
"""Of the event loop: more than anything here takes to settle."""


class Bench:
    """A controller with its fakes.

    Args:
        config: The project.
        base: Its base images.
    """

    def __init__(self, config: Config, base: FakeBase) -> None:
        self.config = config
        self.base = base
        self.builder, self.runner, self.recorder = FakeBuilder(), FakeRunner(), FakeRecorder()
        self.events, self.clock = Events(), FakeClock()
        self.batches = 0
        self.controller = self.make_controller(config)

    def make_controller(self, config: Config) -> Controller:
        """One on these fakes."""
        identity = Identity("engine", "machine")
        self.builds = Builds(config, self.builder, self.recorder, self.events, self.clock, identity)
        return Controller(config, self.builds, self.runner, self.base, self.events)

    async def start(self, image: str = "image 1") -> None:
        """Starts it and lets the first app image serve; what was told until then is forgotten."""
        await self.controller.start()
        await self.finish(image)
        self.events.all.clear()
        self.base.done.clear()

    def save(self, *paths: str) -> ChangeBatch:
        self.batches += 1
        now = self.clock.now()
        batch = ChangeBatch(self.batches, paths, now - 0.03, now)
        self.controller.saved(batch)
        return batch

    async def finish(self, image: str, target: Target = Target.APP) -> None:
        await self.until(lambda: self.builder.running(target))
        self.builder.finish(target, ok(image))
        await self.settle()

    async def settle(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    async def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(1000):
            if condition():
                return
            await asyncio.sleep(0)
        pytest.fail("it did not come to that")

    def last(self, kind: type[ev.Event]) -> ev.Event:
        return self.events.of(kind)[-1]

    def targets(self) -> list[Target]:
        """What was built, in order."""
        return [target for _, target, _ in self.builder.started]

    def errors(self) -> list[str]:
        return [event.message for event in self.events.all if isinstance(event, ev.ErrorOccurred)]

    def held(self) -> HeldBase:
        """The base that was held back."""
        [event] = self.events.of(ev.BaseHeld)
        assert isinstance(event, ev.BaseHeld)
        return event.held
