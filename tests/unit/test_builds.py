"""Every build is told with what it usually takes, what travelled and why it ran, and a history cannot disturb it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from console import events as ev
from console.history.records import HistoryError
from console.loop.builds import Builds, FinishedBuild, Identity
from console.measurements import Layer, Trigger, Usual
from console.model import BuildOutcome, BuildStatus, Cause, CauseKind, Step, StepKind, StepStatus, Target
from tests.fakes import Events, FakeBuilder, FakeClock, FakeRecorder, failed, make_project, ok

USUAL = Usual(4, 57_000.0)


class SlowRecorder(FakeRecorder):
    """A history that is asked and does not answer."""

    async def usual(self, target: Target, *, no_cache: bool) -> Usual | None:
        await asyncio.Event().wait()
        raise AssertionError


class BrokenRecorder(FakeRecorder):
    """A history that cannot be read."""

    async def usual(self, target: Target, *, no_cache: bool) -> Usual | None:
        raise HistoryError("the disk is gone", "look for it")


class Bench:
    def __init__(self, folder: Path, recorder: FakeRecorder) -> None:
        self.builder, self.events, self.recorder = FakeBuilder(), Events(), recorder
        config = make_project(folder)
        self.builds = Builds(config, self.builder, recorder, self.events, FakeClock(), Identity("engine", "machine"))

    async def build(self, outcome: BuildOutcome, *, no_cache: bool = False) -> FinishedBuild:
        building = asyncio.create_task(
            self.builds.build(
                Target.APP, "asked for", None, trigger=Trigger.ASKED, no_cache=no_cache, stands_on="", serving=False
            )
        )
        for _ in range(20):
            await asyncio.sleep(0)
        self.builder.finish(Target.APP, outcome)
        finished = await building
        await self.builds.settle()
        return finished


@pytest.fixture
def bench(tmp_path: Path) -> Callable[[FakeRecorder], Bench]:
    return lambda recorder: Bench(tmp_path, recorder)


async def test_what_it_usually_takes_is_told_at_its_start(bench: Callable[[FakeRecorder], Bench]) -> None:
    asked = bench(FakeRecorder(usually={Target.APP: USUAL}))
    await asked.build(ok("image"))
    assert asked.events.names()[:3] == ["build.started", "build.expected", "build.finished"]
    assert asked.events.of(ev.BuildExpected) == [ev.BuildExpected(1, Target.APP, USUAL)]
    await asked.build(ok("image 2"), no_cache=True)
    assert len(asked.events.of(ev.BuildExpected)) == 1, "nothing like it was measured"


async def test_the_build_begins_before_the_history_is_asked(tmp_path: Path) -> None:
    order: list[str] = []

    class Asked(FakeRecorder):
        async def usual(self, target: Target, *, no_cache: bool) -> Usual | None:
            order.append("history")
            return None

    class Begun(FakeBuilder):
        async def build(self, number: int, target: Target, *, no_cache: bool = False) -> BuildOutcome:
            order.append("build")
            return await super().build(number, target, no_cache=no_cache)

    tested = Bench(tmp_path, Asked())
    tested.builds._builder = tested.builder = Begun()
    await tested.build(ok("image"))
    assert order == ["build", "history"]


async def test_a_build_does_not_wait_for_the_history_and_nothing_comes_after_its_end(
    bench: Callable[[FakeRecorder], Bench],
) -> None:
    asked = bench(SlowRecorder())
    await asked.build(ok("image"))
    assert asked.events.names()[:2] == ["build.started", "build.finished"]
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}, "nobody waits for an answer any more"


async def test_a_history_that_cannot_be_read_is_told_and_the_build_goes_on(
    bench: Callable[[FakeRecorder], Bench],
) -> None:
    asked = bench(BrokenRecorder())
    finished = await asked.build(ok("image"))
    assert finished.outcome.image_id == "image"
    assert asked.events.of(ev.ErrorOccurred) == [ev.ErrorOccurred("the disk is gone", "look for it")]
    assert len(asked.recorder.samples) == 1


async def test_the_end_tells_why_steps_ran_and_before_it_what_travelled(bench: Callable[[FakeRecorder], Bench]) -> None:
    outcome = ok("image")
    assert outcome.context is not None
    sent = replace(outcome.context, sent_bytes=1_200)
    causes = (Cause("[2/2] COPY app.py /", CauseKind.FILES, ("app.py",), 21.0),)
    asked = bench(FakeRecorder())
    await asked.build(replace(outcome, context=sent, causes=causes))
    assert asked.events.names()[:3] == ["build.started", "build.context", "build.finished"]
    assert asked.events.of(ev.ContextSent) == [ev.ContextSent(1, sent)]
    (end,) = asked.events.of(ev.BuildFinished)
    assert isinstance(end, ev.BuildFinished)
    assert end.causes == causes
    await asked.build(failed("no"))
    assert len(asked.events.of(ev.ContextSent)) == 1


async def test_the_image_that_a_build_starts_from_counts_neither_as_a_step_nor_as_cached(
    bench: Callable[[FakeRecorder], Bench],
) -> None:
    names = ("[1/3] FROM base", "[2/3] COPY app.py /", "[3/3] RUN make")
    status = (StepStatus.CACHED, StepStatus.CACHED, StepStatus.DONE)
    steps = tuple(
        Step(name, name, StepKind.INSTRUCTION, each, number, 3)
        for number, (name, each) in enumerate(zip(names, status, strict=True), 1)
    )
    asked = bench(FakeRecorder())
    await asked.build(replace(ok("image"), steps=steps))
    (end,) = asked.events.of(ev.BuildFinished)
    assert isinstance(end, ev.BuildFinished)
    assert (end.cached, end.total) == (1, 2)


async def test_what_cannot_be_found_out_does_not_cost_the_sample(bench: Callable[[FakeRecorder], Bench]) -> None:
    class Silent(FakeBuilder):
        async def layers(self, image_id: str, base_id: str) -> tuple[tuple[Layer, ...], int]:
            raise KeyError("Size")

    asked = bench(FakeRecorder())
    asked.builds._builder = asked.builder = Silent()
    finished = await asked.build(ok("image"))
    assert finished.recorded is not None
    assert len(asked.recorder.samples) == 1
    assert asked.events.of(ev.ErrorOccurred) == []


async def test_samples_are_kept_in_the_order_in_which_builds_ended(bench: Callable[[FakeRecorder], Bench]) -> None:
    gate = asyncio.Event()

    class Slow(FakeBuilder):
        async def layers(self, image_id: str, base_id: str) -> tuple[tuple[Layer, ...], int]:
            await gate.wait()
            return (), 0

    asked = bench(FakeRecorder())
    asked.builds._builder = asked.builder = Slow()
    builds = []
    for outcome in (ok("image"), failed("no")):
        building = asyncio.create_task(
            asked.builds.build(
                *(Target.APP, "asked for", None),
                trigger=Trigger.ASKED,
                no_cache=False,
                stands_on="",
                serving=False,
            )
        )
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asked.builder.finish(Target.APP, outcome)
        builds.append(await building)
    await asyncio.sleep(0)
    gate.set()
    await asked.builds.settle()
    assert [sample.status for sample in asked.recorder.samples] == [BuildStatus.OK, BuildStatus.FAILED]


async def test_a_build_that_was_given_steps_is_no_measure(bench: Callable[[FakeRecorder], Bench]) -> None:
    asked = bench(FakeRecorder())
    await asked.build(replace(ok("image"), borrowed=("[2/3] RUN pip install",)))
    assert asked.recorder.samples[0].disturbed == "the cache had 1 step from another build: RUN pip install"
