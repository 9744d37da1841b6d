"""The race: the legacy build of the last change, after the app build of it, and never in the way of a save."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console import events as ev
from console import intents
from console.loop.controller import Controller
from console.measurements import Race, RacePhase, RaceResult, Trigger
from console.model import Mode, Scenario, Target
from tests.fakes import FakeBase, failed, make_project
from tests.loop_bench import Bench

IDLE_S = 0.02


@pytest.fixture
async def started(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    benches = []

    async def start(**settings: Any) -> Bench:
        config = make_project(tmp_path)
        compare = msgspec.structs.replace(config.compare, idle_s=IDLE_S, **settings)
        bench = Bench(msgspec.structs.replace(config, compare=compare), FakeBase())
        benches.append(bench)
        await bench.start()
        return bench

    yield start
    for bench in benches:
        await bench.controller.stop()


async def until(condition: Callable[[], object]) -> None:
    """Waits for what takes a moment of real time, such as being idle."""
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.005)
    pytest.fail("it did not come to that")


def race(bench: Bench) -> None:
    bench.controller.request(intents.LegacyRaceRequested())


def phases(bench: Bench) -> list[RacePhase]:
    told = [event.race for event in bench.events.of(ev.RaceStarted) if isinstance(event, ev.RaceStarted)]
    return [one.phase for one in told]


def last_race(bench: Bench) -> Race:
    event = bench.last(ev.RaceStarted)
    assert isinstance(event, ev.RaceStarted)
    return event.race


def result(bench: Bench) -> RaceResult | None:
    event = bench.last(ev.RaceFinished)
    assert isinstance(event, ev.RaceFinished)
    return event.result


async def test_both_tracks_build_the_same_change_one_after_the_other(started: Callable[..., Any]) -> None:
    bench = await started()
    bench.save("app.py")
    race(bench)
    await bench.settle()
    assert not bench.builder.running(Target.LEGACY), "the app build goes first"
    assert last_race(bench).phase is RacePhase.WAITING
    await bench.finish("image 2")
    await until(lambda: bench.builder.running(Target.LEGACY))
    assert last_race(bench) == Race(RacePhase.RUNNING, ("app.py",), split_ms=100.0)

    await bench.finish("legacy", Target.LEGACY)

    assert result(bench) == RaceResult(100.0, 100.0, Scenario.CODE_CHANGE, paths=("app.py",))
    app, legacy = bench.recorder.samples[-2:]
    assert (app.target, legacy.target) == (Target.APP, Target.LEGACY)
    assert (app.disturbed, legacy.disturbed) == ("", "")
    assert (app.trigger, legacy.trigger) == (Trigger.SAVE, Trigger.RACE)


async def test_a_race_gives_way_to_a_save_and_begins_anew_with_the_newest_source(started: Callable[..., Any]) -> None:
    bench = await started()
    bench.save("a.py")
    await bench.finish("image 2")
    race(bench)
    await until(lambda: bench.builder.running(Target.LEGACY))

    bench.save("b.py")

    await until(lambda: last_race(bench).phase is RacePhase.WAITING)
    assert "nothing was saved" in last_race(bench).why
    await bench.finish("image 3")
    assert not bench.builder.running(Target.LEGACY)
    await until(lambda: bench.builder.running(Target.LEGACY))
    assert last_race(bench).paths == ("b.py",)
    await bench.finish("legacy", Target.LEGACY)
    outcome = result(bench)
    assert outcome is not None
    assert (outcome.paths, outcome.why_not) == (("b.py",), "")
    app = next(sample for sample in bench.recorder.samples if "b.py" in sample.reason)
    assert app.disturbed == "", "the legacy build was on its way out"
    assert len(bench.events.of(ev.RaceFinished)) == 1


async def test_beside_each_other_neither_figure_counts(started: Callable[..., Any]) -> None:
    bench = await started(race="beside")
    race(bench)
    await until(lambda: bench.builder.running(Target.LEGACY))
    bench.save("app.py")
    await bench.finish("image 2")
    assert bench.builder.running(Target.LEGACY), "it does not give way"
    await bench.finish("legacy", Target.LEGACY)
    assert [(sample.target, bool(sample.disturbed)) for sample in bench.recorder.samples[1:]] == [
        (Target.APP, True),
        (Target.LEGACY, True),
    ]
    outcome = result(bench)
    assert outcome is not None
    assert outcome.lead_ms is None
    assert outcome.why_not


async def test_builds_of_different_scenarios_have_no_winner(started: Callable[..., Any]) -> None:
    bench = await started()
    bench.recorder.scenarios = {Target.LEGACY: Scenario.COLD}
    bench.save("app.py")
    await bench.finish("image 2")
    race(bench)
    await until(lambda: bench.builder.running(Target.LEGACY))
    await bench.finish("legacy", Target.LEGACY)
    outcome = result(bench)
    assert outcome is not None
    assert (outcome.lead_ms, outcome.scenario) == (None, None)
    assert "legacy was cold, the app code change" in outcome.why_not


@pytest.mark.parametrize("running", [True, False])
async def test_a_race_can_be_cancelled(started: Callable[..., Any], running: bool) -> None:
    bench = await started()
    if not running:
        bench.save("app.py")
    race(bench)
    if running:
        await until(lambda: bench.builder.running(Target.LEGACY))
    await bench.settle()
    bench.controller.request(intents.CancelRequested())
    await until(lambda: bench.events.of(ev.RaceFinished))
    assert result(bench) is None
    await bench.settle()
    assert not bench.builder.running(Target.LEGACY)
    race(bench)
    await until(lambda: bench.builder.running(Target.LEGACY))


async def test_a_second_wish_is_answered_and_a_background_race_becomes_the_users(started: Callable[..., Any]) -> None:
    bench = await started(background=True)
    bench.save("app.py")
    await bench.finish("image 2")
    assert last_race(bench).asked is False
    await until(lambda: bench.builder.running(Target.LEGACY))
    race(bench)
    assert last_race(bench).asked is True
    race(bench)
    told = bench.last(ev.ErrorOccurred)
    assert isinstance(told, ev.ErrorOccurred)
    assert "still running" in told.message


async def test_in_the_background_only_saves_are_raced_once_it_is_idle(started: Callable[..., Any]) -> None:
    bench = await started(background=True)
    assert bench.events.of(ev.RaceStarted) == [], "the first build of a session is no change"
    bench.controller.request(intents.RebuildRequested())
    await bench.finish("image 2")
    await asyncio.sleep(2 * IDLE_S)
    assert not bench.builder.running(Target.LEGACY)

    bench.save("app.py")
    await bench.finish("image 3")
    await until(lambda: bench.builder.running(Target.LEGACY))
    await bench.finish("legacy", Target.LEGACY)
    assert bench.recorder.samples[-1].trigger is Trigger.IDLE
    outcome = result(bench)
    assert outcome is not None
    assert outcome.why_not == ""


async def test_it_waits_for_a_base_build_too(started: Callable[..., Any]) -> None:
    bench = await started()
    bench.controller.request(intents.BaseBuildRequested())
    await bench.until(lambda: bench.builder.running(Target.BASE))
    race(bench)
    await asyncio.sleep(2 * IDLE_S)
    assert not bench.builder.running(Target.LEGACY)


async def test_legacy_mode_ends_a_race(started: Callable[..., Any]) -> None:
    bench = await started()
    bench.save("app.py")
    race(bench)
    await bench.settle()
    bench.controller.request(intents.ModeRequested(Mode.LEGACY))
    await until(lambda: bench.builder.running(Target.LEGACY))
    assert result(bench) is None
    await bench.finish("legacy", Target.LEGACY)
    assert bench.recorder.samples[-1].trigger is Trigger.MODE


async def test_how_long_it_took_until_it_served_is_kept_with_the_build(started: Callable[..., Any]) -> None:
    bench = await started()
    bench.save("app.py")
    await bench.finish("image 2")
    await bench.settle()
    number = bench.recorder.samples[-1].number
    ready = bench.last(ev.ContainerReady)
    assert isinstance(ready, ev.ContainerReady)
    assert bench.recorder.ready_ms == {number: ready.save_to_ready_ms}


async def test_a_save_that_is_held_makes_the_app_build_no_match(started: Callable[..., Any]) -> None:
    bench = await started()
    bench.save("a.py")
    await bench.finish("image 2")
    bench.controller.request(intents.PauseRequested(True))
    bench.save("b.py")
    race(bench)
    await until(lambda: bench.builder.running(Target.LEGACY))
    assert last_race(bench).split_ms is None
    await bench.finish("legacy", Target.LEGACY)
    outcome = result(bench)
    assert outcome is not None
    assert (outcome.lead_ms, outcome.split_ms) == (None, None)
    assert "no app build of this source" in outcome.why_not


async def test_a_save_that_waits_makes_the_build_before_it_no_match(tmp_path: Path) -> None:
    bench = Bench(make_project(tmp_path, extra='[watch]\non_busy = "queue"\n'), FakeBase())
    await bench.start()
    bench.save("a.py")
    await bench.until(lambda: bench.builder.running(Target.APP))
    bench.save("b.py")
    await bench.finish("image a")
    await bench.until(lambda: bench.builder.running(Target.APP))
    bench.builder.finish(Target.APP, failed("no"))
    await bench.settle()
    race(bench)
    await until(lambda: bench.builder.running(Target.LEGACY))
    await bench.finish("legacy", Target.LEGACY)
    outcome = result(bench)
    assert outcome is not None
    assert outcome.why_not
    await bench.controller.stop()


async def test_a_legacy_build_that_fails_is_not_tried_again_after_every_save(started: Callable[..., Any]) -> None:
    bench = await started(background=True)
    bench.save("a.py")
    await bench.finish("image 2")
    await until(lambda: bench.builder.running(Target.LEGACY))
    bench.builder.finish(Target.LEGACY, failed("no such package"))
    await until(lambda: bench.events.of(ev.RaceFinished))
    bench.save("b.py")
    await bench.finish("image 3")
    await asyncio.sleep(3 * IDLE_S)
    assert not bench.builder.running(Target.LEGACY)
    race(bench)
    await until(lambda: bench.builder.running(Target.LEGACY))


async def test_where_a_cancelled_build_goes_on_a_race_does_not_give_way(tmp_path: Path) -> None:
    bench = Bench(make_project(tmp_path), FakeBase())
    bench.builds.cancels = False
    bench.controller = Controller(bench.config, bench.builds, bench.runner, bench.base, bench.events)
    await bench.start()
    race(bench)
    await until(lambda: bench.builder.running(Target.LEGACY))
    bench.save("a.py")
    await bench.finish("image 2")
    assert bench.builder.running(Target.LEGACY)
    await bench.finish("legacy", Target.LEGACY)
    assert all(sample.disturbed for sample in bench.recorder.samples[1:])
    await bench.controller.stop()
