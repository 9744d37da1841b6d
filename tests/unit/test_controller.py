"""The loop with fakes: the latest save wins, failures leave the good container alone, lanes never overlap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from console import events as ev
from console import intents
from console.errors import ContextError, EngineUnreachableError
from console.model import BuildStatus, Target
from console.run.container import Container
from tests.fakes import FakeBase, failed, make_project
from tests.loop_bench import Bench


@pytest.fixture
def parts(tmp_path: Path) -> Callable[..., Bench]:
    def make(extra: str = "", *, base_present: bool = True, base: str = "ask") -> Bench:
        return Bench(make_project(tmp_path, extra=extra, on_change=base), FakeBase(base_present))

    return make


@pytest.fixture
async def bench(parts: Callable[..., Bench]) -> AsyncIterator[Bench]:
    """A controller whose first build serves already."""
    bench = parts()
    await bench.controller.start()
    await bench.finish("image 1")
    assert bench.runner.serving is not None
    bench.events.all.clear()
    yield bench
    await bench.controller.stop()


async def test_a_save_is_built_swapped_and_timed(bench: Bench) -> None:
    batch = bench.save("app.py")
    await bench.until(lambda: bench.builder.running(Target.APP))
    bench.clock.advance(0.104)
    await bench.finish("image 2")

    ready = bench.last(ev.ContainerReady)
    assert isinstance(ready, ev.ContainerReady)
    assert ready.batch == batch.number
    assert ready.detect_ms == pytest.approx(30, abs=0.1)
    assert (ready.context_ms, ready.build_ms, ready.swap_ms, ready.ready_ms) == (4.0, 100.0, 150.0, 40.0)
    phases = [ready.detect_ms, ready.wait_ms, ready.context_ms, ready.build_ms, ready.swap_ms, ready.ready_ms]
    assert ready.save_to_ready_ms == pytest.approx(sum(phase or 0 for phase in phases), abs=0.1)
    assert ready.saved_at == batch.saved_at
    assert bench.runner.swaps == ["image 1", "image 2"]
    assert bench.runner.tidied == 2


async def test_a_newer_save_cancels_the_build_and_takes_its_files_along(bench: Bench) -> None:
    bench.save("app.py")
    await bench.until(lambda: bench.builder.running(Target.APP))
    bench.save("other.py")
    await bench.until(lambda: len(bench.builder.started) == 3)
    await bench.finish("image 3")

    outcomes = [event.status for event in bench.events.of(ev.BuildFinished) if isinstance(event, ev.BuildFinished)]
    assert outcomes == [BuildStatus.CANCELLED, BuildStatus.OK]
    started = bench.last(ev.BuildStarted)
    assert isinstance(started, ev.BuildStarted)
    assert "app.py" in started.reason
    assert "other.py" in started.reason
    assert bench.runner.swaps == ["image 1", "image 3"]


async def test_a_burst_ends_in_one_build_of_the_last_save(bench: Bench) -> None:
    for name in "abcdefgh":
        bench.save(f"{name}.py")
    await bench.until(lambda: bench.builder.running(Target.APP))
    await bench.finish("image 2")
    assert bench.runner.swaps == ["image 1", "image 2"]
    ready = bench.last(ev.ContainerReady)
    assert isinstance(ready, ev.ContainerReady)
    assert ready.batch == 8


async def test_queue_finishes_the_running_build_first(parts: Callable[..., Bench]) -> None:
    bench = parts('[watch]\non_busy = "queue"\n')
    await bench.controller.start()
    await bench.until(lambda: bench.builder.running(Target.APP))
    bench.save("app.py")
    await bench.settle()
    assert len(bench.builder.started) == 1
    await bench.finish("image 1")
    await bench.finish("image 2")
    assert bench.runner.swaps == ["image 1", "image 2"]
    await bench.controller.stop()


async def test_a_failed_build_leaves_the_container_alone_and_says_so(bench: Bench) -> None:
    serving = bench.runner.serving
    bench.save("app.py")
    await bench.until(lambda: bench.builder.running(Target.APP))
    bench.builder.finish(Target.APP, failed("exit code: 1"))
    await bench.settle()
    assert bench.runner.swaps == ["image 1"]
    assert bench.runner.serving is serving
    (error,) = bench.events.of(ev.ErrorOccurred)
    assert isinstance(error, ev.ErrorOccurred)
    assert "exit code: 1" in error.message
    assert "stays as it is" in error.hint


async def test_what_keeps_a_build_from_beginning_is_a_failed_build_and_the_loop_goes_on(bench: Bench) -> None:
    bench.save("app.py")
    await bench.until(lambda: bench.builder.running(Target.APP))
    bench.builder.fail_to_begin(Target.APP, ContextError("app.py cannot be read", "chmod it"))
    await bench.settle()
    (error,) = bench.events.of(ev.ErrorOccurred)
    assert isinstance(error, ev.ErrorOccurred)
    assert "app.py cannot be read" in error.message
    assert "chmod it" in error.hint
    bench.save("app.py")
    await bench.finish("image 2")
    assert bench.runner.swaps[-1] == "image 2"


LOST = EngineUnreachableError("the engine went away", "start it")


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.loop.outage._AGAIN_S", 0.001)


async def seconds(condition: Callable[[], bool]) -> None:
    """Waits for what depends on real time."""
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    pytest.fail("it did not come to that")


@pytest.mark.usefixtures("_soon")
async def test_a_build_that_lost_the_engine_is_done_again_with_newer_saves_once_it_is_back(bench: Bench) -> None:
    bench.save("a.py")
    await bench.until(lambda: bench.builder.running(Target.APP))
    bench.base.away = True
    bench.builder.fail_to_begin(Target.APP, LOST)
    await bench.settle()
    await asyncio.sleep(0.02)
    bench.save("b.py")
    await bench.settle()
    assert bench.events.of(ev.ErrorOccurred) == [], "the one who follows the container tells"
    assert not bench.builder.running(Target.APP)
    bench.base.away = False
    await seconds(lambda: bench.builder.running(Target.APP))
    await bench.finish("image 2")
    assert bench.runner.swaps[-1] == "image 2"
    ready = bench.last(ev.ContainerReady)
    assert isinstance(ready, ev.ContainerReady)
    assert ready.batch == 2
    started = bench.last(ev.BuildStarted)
    assert isinstance(started, ev.BuildStarted)
    assert "a.py" in started.reason
    assert "b.py" in started.reason


@pytest.mark.usefixtures("_soon")
async def test_where_nothing_serves_the_loss_is_told_once(parts: Callable[..., Bench]) -> None:
    bench = parts()
    await bench.controller.start()
    await bench.until(lambda: bench.builder.running(Target.APP))
    bench.base.away = True
    bench.builder.fail_to_begin(Target.APP, LOST)
    await asyncio.sleep(0.02)
    (error,) = bench.events.of(ev.ErrorOccurred)
    assert isinstance(error, ev.ErrorOccurred)
    assert (error.message, "built again" in error.hint) == ("the engine went away", True)
    await bench.controller.stop()
    assert len(bench.builder.started) == 1


@pytest.mark.usefixtures("_soon")
async def test_a_build_that_was_cut_off_can_be_cancelled(bench: Bench) -> None:
    bench.save("a.py")
    await bench.until(lambda: bench.builder.running(Target.APP))
    bench.base.away = True
    bench.builder.fail_to_begin(Target.APP, LOST)
    await bench.settle()
    bench.controller.request(intents.CancelRequested())
    bench.base.away = False
    await asyncio.sleep(0.02)
    assert not bench.builder.running(Target.APP)
    bench.save("a.py")
    await bench.finish("image 2")


@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize("target", [Target.APP, Target.BASE])
async def test_a_build_that_always_loses_the_engine_is_given_up_and_told(bench: Bench, target: Target) -> None:
    bench.controller.request(intents.RebuildRequested() if target is Target.APP else intents.BaseBuildRequested())
    before = len(bench.builder.started)
    for number in range(1, 4):
        await seconds(lambda: bench.builder.running(target))
        assert len(bench.builder.started) == before + number
        bench.builder.fail_to_begin(target, LOST)
        await bench.settle()
    await seconds(lambda: bool(bench.events.of(ev.ErrorOccurred)))
    await asyncio.sleep(0.02)
    assert not bench.builder.running(target)
    (error,) = bench.events.of(ev.ErrorOccurred)
    assert isinstance(error, ev.ErrorOccurred)
    assert "was cut off: the engine went away" in error.message


@pytest.mark.usefixtures("_soon")
async def test_a_base_build_that_lost_the_engine_is_done_again(bench: Bench) -> None:
    bench.controller.request(intents.BaseBuildRequested())
    await bench.until(lambda: bench.builder.running(Target.BASE))
    bench.base.away = True
    bench.builder.fail_to_begin(Target.BASE, LOST)
    await asyncio.sleep(0.02)
    bench.base.away = False
    await seconds(lambda: bench.builder.running(Target.BASE))
    await bench.finish("base", Target.BASE)
    await bench.finish("image 2")
    assert bench.events.of(ev.BasePromoted)


@pytest.mark.parametrize("target", list(Target))
async def test_a_failed_command_is_told_with_what_to_do_where_nobody_watches(
    parts: Callable[..., Bench], target: Target
) -> None:
    bench = parts()
    building = asyncio.create_task(bench.controller.build_one(target))
    await bench.until(lambda: bench.builder.running(target))
    bench.builder.finish(target, failed("exit code: 1"))
    await building
    (error,) = bench.events.of(ev.ErrorOccurred)
    assert isinstance(error, ev.ErrorOccurred)
    assert error.hint == f"fix it, then build it again: `splitdeck build {target.value}`"


async def test_a_command_that_lost_the_engine_says_so(parts: Callable[..., Bench]) -> None:
    bench = parts()
    building = asyncio.create_task(bench.controller.build_one(Target.APP))
    await bench.until(lambda: bench.builder.running(Target.APP))
    bench.builder.fail_to_begin(Target.APP, LOST)
    assert (await building).status is BuildStatus.FAILED
    (error,) = bench.events.of(ev.ErrorOccurred)
    assert isinstance(error, ev.ErrorOccurred)
    assert "the engine went away" in error.message


async def test_a_container_that_ends_at_once_is_rolled_back(bench: Bench) -> None:
    bench.runner.broken.add("image 2")
    bench.save("app.py")
    await bench.finish("image 2")
    back = bench.last(ev.ContainerRolledBack)
    assert isinstance(back, ev.ContainerRolledBack)
    assert (back.from_, back.to) == ("image 2", "image 1")
    assert back.output == ("SyntaxError",)
    ready = bench.last(ev.ContainerReady)
    assert isinstance(ready, ev.ContainerReady)
    assert ready.container == "container of image 1"
    assert ready.save_to_ready_ms is None, "a rollback is no served save"
    assert bench.events.names().index("container.ready") < bench.events.names().index("container.rolled_back")


async def test_a_container_that_ends_soon_after_it_answered_gives_way_to_the_one_before(bench: Bench) -> None:
    bench.save("app.py")
    await bench.finish("image 2")
    bench.controller.container_exited("container of image 2")
    await bench.settle()
    assert bench.runner.serving is not None
    assert bench.runner.serving.image_id == "image 1"
    back = bench.last(ev.ContainerRolledBack)
    assert isinstance(back, ev.ContainerRolledBack)
    assert (back.from_, back.to) == ("image 2", "image 1")
    ready = bench.last(ev.ContainerReady)
    assert isinstance(ready, ev.ContainerReady)
    assert (ready.container, ready.save_to_ready_ms) == ("container of image 1", None)


async def test_one_that_has_proven_itself_is_not_replaced(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.save("app.py")
    await bench.finish("image 2")
    monkeypatch.setattr("console.loop.service._PROVEN_AFTER_S", -1.0)
    bench.controller.container_exited("container of image 2")
    await bench.settle()
    assert bench.runner.serving is not None
    assert bench.runner.serving.image_id == "image 2"


async def test_a_slow_start_does_not_hold_up_the_next_save(bench: Bench) -> None:
    bench.runner.slow.add("image 2")
    bench.save("app.py")
    await bench.finish("image 2")
    bench.save("app.py")
    await bench.finish("image 3")
    assert bench.runner.swaps == ["image 1", "image 2", "image 3"]
    assert bench.runner.serving is not None
    assert bench.runner.serving.image_id == "image 3"


async def test_the_same_image_again_does_not_restart_a_swap(bench: Bench) -> None:
    """A save that changes nothing in the image arrives while the container starts: the start goes on."""
    bench.runner.slow.add("image 2")
    bench.save("app.py")
    await bench.finish("image 2")
    bench.save("app.py")
    await bench.finish("image 2")
    assert bench.runner.swaps == ["image 1", "image 2"], "the second waits for the first"
    bench.runner.slow.clear()
    bench.runner.supersede()


async def test_a_missing_base_is_built_first(parts: Callable[..., Bench]) -> None:
    bench = parts(base_present=False)
    await bench.controller.start()
    await bench.until(lambda: bench.builder.running(Target.BASE))
    assert not bench.builder.running(Target.APP)
    bench.save("app.py")
    bench.base.present = True
    await bench.finish("base", Target.BASE)
    await bench.finish("image 1")
    assert [target for _, target, _ in bench.builder.started] == [Target.BASE, Target.APP]
    assert bench.events.of(ev.BasePromoted)
    ready = bench.last(ev.ContainerReady)
    assert isinstance(ready, ev.ContainerReady)
    assert ready.batch == 1, "the save during the base build is in what is served"
    await bench.controller.stop()


async def test_a_base_input_saved_during_the_base_build_is_built_again(parts: Callable[..., Bench]) -> None:
    bench = parts(base="build")
    await bench.controller.start()
    await bench.finish("image 1")
    bench.save("requirements.txt")
    await bench.until(lambda: bench.builder.running(Target.BASE))
    bench.base.stale_files = ("requirements.txt",)
    bench.save("requirements.txt")
    await bench.finish("base 1", Target.BASE)
    await bench.until(lambda: bench.builder.running(Target.BASE))
    bench.base.stale_files = ()
    await bench.finish("base 2", Target.BASE)
    await bench.finish("image 2")
    targets = [target for _, target, _ in bench.builder.started]
    assert targets == [Target.APP, Target.BASE, Target.BASE, Target.APP]
    await bench.controller.stop()


async def test_an_app_save_does_not_cancel_a_base_build(bench: Bench) -> None:
    bench.controller.request(intents.BaseBuildRequested())
    await bench.until(lambda: bench.builder.running(Target.BASE))
    bench.save("app.py")
    await bench.finish("image 2")
    assert bench.builder.running(Target.BASE)
    await bench.finish("base", Target.BASE)
    await bench.finish("image 3")
    assert bench.runner.swaps[-1] == "image 3"


async def test_a_stale_base_is_told_with_its_files(bench: Bench) -> None:
    bench.base.stale_files = ("requirements.txt",)
    bench.save("requirements.txt")
    await bench.settle()
    assert not bench.builder.running(Target.APP), "the app image does not read it"
    stale = bench.last(ev.BaseStale)
    assert isinstance(stale, ev.BaseStale)
    assert stale.files == ("requirements.txt",)


async def test_paused_saves_are_served_after_the_pause(bench: Bench) -> None:
    bench.controller.request(intents.PauseRequested(True))
    bench.save("a.py")
    bench.save("b.py")
    await bench.settle()
    assert not bench.builder.running(Target.APP)
    bench.controller.request(intents.PauseRequested(False))
    await bench.finish("image 2")
    started = bench.last(ev.BuildStarted)
    assert isinstance(started, ev.BuildStarted)
    assert "a.py" in started.reason
    assert "b.py" in started.reason


async def test_cancel_leaves_what_runs(bench: Bench) -> None:
    bench.save("app.py")
    await bench.until(lambda: bench.builder.running(Target.APP))
    bench.controller.request(intents.CancelRequested())
    await bench.settle()
    assert not bench.builder.running(Target.APP)
    assert bench.runner.swaps == ["image 1"]


async def test_a_container_of_an_earlier_session_is_taken_over(parts: Callable[..., Bench]) -> None:
    bench = parts()
    bench.runner.resumes = Container("old", "demo", "image 0", "")
    await bench.controller.start()
    await bench.until(lambda: bool(bench.events.of(ev.ContainerReady)))
    await bench.until(lambda: bench.builder.running(Target.APP))
    bench.builder.finish(Target.APP, failed("broken since yesterday"))
    await bench.settle()
    assert bench.runner.serving is not None
    assert bench.runner.serving.id == "old"
    assert bench.controller.first_cycle is not None
    assert bench.controller.first_cycle.result() is False
    await bench.controller.stop()
