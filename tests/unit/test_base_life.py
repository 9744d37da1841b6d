"""The base's life in the loop, with fakes: built beside the present one, tried, taken or held back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from console import events as ev
from console import intents
from console.base.checks import CheckFailure
from console.base.versions import BaseImage
from console.base_values import HeldBase, HeldBecause, PackageChange
from console.config import load_config
from console.errors import EngineUnreachableError
from console.model import BuildStatus, Mode, Target
from tests.fakes import FakeBase, failed, make_project, ok
from tests.loop_bench import Bench

MAJOR = PackageChange("pip", "numpy", "1.26.4", "2.1.0", major=True)


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def one(on_change: str = "ask") -> Bench:
        base = FakeBase(on_engine=["sha256:base", "sha256:older"])
        made.append(Bench(make_project(tmp_path, on_change=on_change), base))
        return made[-1]

    yield one
    for bench in made:
        await bench.controller.stop()


@pytest.fixture
async def bench(make: Callable[..., Bench]) -> Bench:
    bench = make()
    await bench.start()
    return bench


async def test_a_new_base_is_checked_then_taken_then_the_app_is_built_on_it(bench: Bench) -> None:
    bench.controller.request(intents.BaseBuildRequested())
    await bench.finish("sha256:new", Target.BASE)
    await bench.finish("image 2")
    assert bench.base.done == ["check sha256:new", "compare sha256:base sha256:new", "promote sha256:new"]
    assert bench.runner.swaps == ["image 1", "image 2"]
    assert "base.promoted" in bench.events.names()


async def test_the_check_is_shown_as_a_step_of_the_base_build(make: Callable[..., Bench]) -> None:
    bench = make()
    text = bench.config.path.read_text().replace("[app]", 'check = ["true", ["ls", "/a b"]]\n[app]')
    bench.config.path.write_text(text)
    bench.controller.base._settings = load_config(bench.config.path).base
    await bench.start()
    bench.controller.request(intents.BaseBuildRequested())
    await bench.finish("sha256:new", Target.BASE)
    steps = [event.step for event in bench.events.all if isinstance(event, ev.StepUpdated)]
    assert [(step.name, step.status.value) for step in steps] == [
        ("check: true && ls '/a b'", "running"),
        ("check: true && ls '/a b'", "done"),
    ]


async def test_a_base_that_fails_its_check_is_held_and_apps_go_on_with_the_one_before(bench: Bench) -> None:
    bench.base.check_fails = CheckFailure("python -c 'import torch'", "exit code 1", ("Traceback", "no torch", ""))
    bench.controller.request(intents.BaseBuildRequested())
    await bench.finish("sha256:new", Target.BASE)
    assert bench.held().because is HeldBecause.CHECK
    assert bench.held().reason == "`python -c 'import torch'`: exit code 1: no torch"
    assert "promote sha256:new" not in bench.base.done
    bench.save("app.py")
    await bench.finish("image 2")
    assert bench.runner.swaps == ["image 1", "image 2"]


async def test_a_base_that_cannot_be_built_is_held_too(bench: Bench) -> None:
    bench.controller.request(intents.BaseBuildRequested())
    await bench.until(lambda: bench.builder.running(Target.BASE))
    bench.builder.finish(Target.BASE, failed("no such package"))
    await bench.settle()
    assert (bench.held().because, bench.held().reason) == (HeldBecause.BUILD, "no such package")
    assert bench.base.done == ["hold nothing"]


async def test_without_a_base_before_a_failed_check_is_an_error(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.base.present = False
    bench.base.check_fails = CheckFailure("true", "exit code 1", ())
    await bench.controller.start()
    await bench.finish("sha256:new", Target.BASE)
    assert "the new base image did not pass its check: `true`: exit code 1" in bench.errors()
    assert bench.events.of(ev.BaseHeld) == []
    assert bench.controller.first_cycle is not None
    assert bench.controller.first_cycle.result() is False


async def test_a_major_update_waits_for_approval_and_is_then_taken_without_a_build(bench: Bench) -> None:
    bench.base.majors = (MAJOR,)
    bench.controller.request(intents.BaseBuildRequested())
    await bench.finish("sha256:new", Target.BASE)
    assert bench.held().because is HeldBecause.MAJOR
    assert bench.held().majors == (MAJOR,)
    assert bench.held().reason == "numpy 1.26.4 → 2.1.0: major updates"
    assert "base.compared" in bench.events.names()

    bench.base.tried = BaseImage("sha256:new", 1.0, 1, fingerprint="now")
    builds = len(bench.builder.started)
    bench.controller.request(intents.BaseBuildRequested(allow_major=True))
    await bench.finish("image 2")
    assert bench.base.done[-1] == "promote sha256:new"
    assert bench.targets()[builds:] == [Target.APP]


async def test_allowed_majors_are_not_even_looked_for(bench: Bench) -> None:
    bench.base.majors = (MAJOR,)
    bench.controller.request(intents.BaseBuildRequested(allow_major=True))
    await bench.finish("sha256:new", Target.BASE)
    assert bench.base.done == ["check sha256:new", "promote sha256:new"]


@pytest.mark.parametrize(("fingerprint", "because"), [("other inputs", HeldBecause.MAJOR), ("now", HeldBecause.CHECK)])
async def test_approval_takes_nothing_that_waits_for_more_than_approval(
    bench: Bench, fingerprint: str, because: HeldBecause
) -> None:
    bench.base.tried = BaseImage("sha256:held", 1.0, 1, fingerprint=fingerprint)
    bench.base.held = HeldBase(because, "as another process found")
    bench.controller.request(intents.BaseBuildRequested(allow_major=True))
    await bench.finish("sha256:new", Target.BASE)
    assert "promote sha256:held" not in bench.base.done
    assert bench.base.done[-1] == "promote sha256:new"


async def test_what_is_a_version_already_is_checked_and_taken_as_that(bench: Bench) -> None:
    bench.base.twins["sha256:again"] = "sha256:older"
    bench.controller.request(intents.BaseBuildRequested())
    await bench.finish("sha256:again", Target.BASE)
    assert bench.base.done == ["check sha256:again", "promote sha256:older"]


async def test_an_earlier_candidate_is_removed(bench: Bench) -> None:
    bench.base.tried = BaseImage("sha256:left", 1.0, 1)
    bench.controller.request(intents.BaseBuildRequested())
    await bench.finish("sha256:new", Target.BASE)
    assert bench.base.done[0] == "remove sha256:left"


async def test_a_start_goes_on_with_what_a_killed_session_left(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.base.tried = BaseImage("sha256:left", 1.0, 1, fingerprint="now")
    await bench.controller.start()
    await bench.until(lambda: "promote sha256:left" in bench.base.done)
    assert bench.base.done[0] == "check sha256:left"


@pytest.mark.parametrize("held", [True, False])
async def test_a_candidate_of_other_inputs_or_a_held_one_is_left_alone(make: Callable[..., Bench], held: bool) -> None:
    bench = make()
    bench.base.tried = BaseImage("sha256:left", 1.0, 1, fingerprint="now" if held else "other")
    bench.base.held = HeldBase(HeldBecause.CHECK, "no") if held else None
    await bench.start()
    assert bench.base.done == []


async def test_an_engine_that_goes_away_during_the_check_is_waited_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.loop.outage._AGAIN_S", 0.001)
    bench.controller.request(intents.BaseBuildRequested())
    await bench.until(lambda: bench.builder.running(Target.BASE))
    bench.base.away = True
    bench.builder.finish(Target.BASE, ok("sha256:new"))
    await bench.settle()
    bench.base.away = False
    while not bench.builder.running(Target.BASE):  # noqa: ASYNC110 - the loop looks again by itself
        await asyncio.sleep(0.001)
    await bench.finish("sha256:new", Target.BASE)
    assert "promote sha256:new" in bench.base.done


async def test_a_command_says_so_when_the_engine_goes_away_before_anything_is_built(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.base.away = True
    with pytest.raises(EngineUnreachableError, match="no container engine answers"):
        await bench.controller.build_one(Target.BASE)


async def test_a_check_can_be_cancelled_and_nothing_is_held(bench: Bench) -> None:
    bench.base.checking = asyncio.Event()
    bench.controller.request(intents.BaseBuildRequested())
    await bench.finish("sha256:new", Target.BASE)
    bench.controller.request(intents.CancelRequested())
    await bench.settle()
    assert bench.errors() == ["the check of the new base image was cancelled"]
    assert bench.events.of(ev.BaseHeld) == []
    assert not any(done.startswith("promote") for done in bench.base.done)


async def test_two_processes_do_not_work_on_the_base_at_once(bench: Bench) -> None:
    bench.base.busy = True
    bench.controller.request(intents.BaseBuildRequested())
    await bench.settle()
    assert bench.errors() == ["another splitdeck is at work on the base images"]
    assert Target.BASE not in bench.targets()


# -- the registry ------------------------------------------------------------------------------------------------------


async def test_a_missing_base_is_pulled_where_there_is_a_registry(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.base.present, bench.base.may_pull, bench.base.remote = False, True, "sha256:remote"
    await bench.controller.start()
    await bench.finish("image 1")
    assert bench.base.done == ["fetch latest", "check sha256:remote", "promote sha256:remote"]
    assert bench.targets() == [Target.APP]


async def test_a_missing_base_is_built_where_it_cannot_be_pulled(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.base.present, bench.base.may_pull = False, True
    await bench.controller.start()
    await bench.finish("sha256:built", Target.BASE)
    await bench.finish("image 1")
    assert bench.errors() == ["the registry cannot be reached"]
    assert bench.base.done[-1] == "promote sha256:built"


async def test_a_pinned_base_is_fetched_and_never_built(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.base.version, bench.base.present, bench.base.may_pull = "2026.11.20", False, True
    await bench.controller.start()
    await bench.finish("image 1")
    assert bench.base.done == ["fetch 2026.11.20"]


async def test_a_pinned_base_that_is_nowhere_is_told(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.base.version, bench.base.present = "2026.11.20", False
    await bench.controller.start()
    await bench.settle()
    assert bench.errors() == ["demo-base:2026.11.20 is pinned, is not on this engine, and no build can make it"]
    assert bench.targets() == []


async def test_the_registry_is_asked_at_a_start_when_that_is_due(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.base.due, bench.base.remote = True, "sha256:remote"
    await bench.controller.start()
    await bench.until(lambda: "promote sha256:remote" in bench.base.done)


async def test_that_the_registry_cannot_be_asked_for_a_newer_one_is_told_once(bench: Bench) -> None:
    for _ in range(2):
        bench.controller.request(intents.BaseNewerRequested())
        await bench.settle()
    assert bench.errors() == ["the registry cannot be reached"]
    bench.base.remote = "sha256:remote"
    bench.controller.request(intents.BaseNewerRequested())
    await bench.settle()
    assert bench.base.done == ["ask"] * 3
    assert bench.events.names()[-1] == "base.checked"


# -- other versions ----------------------------------------------------------------------------------------------------


async def test_after_a_rollback_the_app_is_built_on_the_version_before(bench: Bench) -> None:
    bench.controller.request(intents.BaseRollbackRequested())
    await bench.finish("image 2")
    [used] = bench.events.of(ev.BaseUsed)
    assert used == ev.BaseUsed("sha256:older", "rolled back from sha256:base")
    assert bench.controller.base.status is not None
    assert bench.controller.base.status.image_id == "sha256:older"


async def test_what_cannot_be_rolled_back_is_told_and_nothing_is_built(bench: Bench) -> None:
    bench.base.on_engine = ["sha256:base"]
    bench.controller.request(intents.BaseRollbackRequested())
    await bench.settle()
    assert bench.errors() == ["there is no version before the present one"]
    assert bench.targets() == [Target.APP]


async def test_a_new_base_does_not_take_the_place_of_a_pinned_one(bench: Bench) -> None:
    bench.controller.request(intents.BaseUseRequested("sha256:older"))
    await bench.finish("image 2")
    builds = len(bench.builder.started)
    bench.controller.request(intents.BaseBuildRequested())
    await bench.finish("sha256:new", Target.BASE)
    assert bench.targets()[builds:] == [Target.BASE]


async def test_a_base_input_builds_nothing_where_the_base_is_pinned(make: Callable[..., Bench]) -> None:
    bench = make(on_change="build")
    bench.base.version = "2026.11.20"
    await bench.start()
    bench.save("requirements.txt")
    await bench.settle()
    assert bench.targets() == [Target.APP]


async def test_the_panel_gets_its_answers(bench: Bench) -> None:
    bench.controller.request(intents.BaseVersionsRequested())
    bench.controller.request(intents.BaseCompareRequested("a", "b"))
    bench.controller.request(intents.BaseContentsRequested("a"))
    bench.controller.request(intents.BasePruneRequested())
    bench.controller.request(intents.BasePublishRequested())
    await bench.settle()
    told = set(bench.events.names())
    assert {"base.versions", "base.compared", "base.contents", "base.pruned"} <= told
    assert "publish sha256:base" in bench.base.done


# -- what a save of an input leads to ----------------------------------------------------------------------------------


async def test_the_app_goes_on_with_the_old_base_while_a_new_one_is_built(make: Callable[..., Bench]) -> None:
    bench = make(on_change="build")
    await bench.start()
    bench.save("app.py", "requirements.txt")
    await bench.until(lambda: bench.builder.running(Target.BASE) and bench.builder.running(Target.APP))
    await bench.finish("image 2")
    await bench.finish("sha256:new", Target.BASE)
    await bench.finish("image 3")
    assert bench.runner.swaps == ["image 1", "image 2", "image 3"]


async def test_what_became_stale_while_nobody_looked_is_built_at_the_start(make: Callable[..., Bench]) -> None:
    bench = make(on_change="build")
    bench.base.stale_files = ("requirements.txt",)
    await bench.controller.start()
    await bench.until(lambda: bench.builder.running(Target.BASE))


async def test_a_start_does_not_undo_a_rollback(make: Callable[..., Bench]) -> None:
    bench = make(on_change="build")
    bench.base.stale_files, bench.base.rolled_back = ("requirements.txt",), True
    await bench.start()
    assert bench.targets() == [Target.APP]


async def test_what_was_held_is_not_built_again_by_itself(make: Callable[..., Bench]) -> None:
    bench = make(on_change="build")
    bench.base.stale_files, bench.base.held = ("requirements.txt",), HeldBase(HeldBecause.CHECK, "no")
    await bench.start()
    assert bench.targets() == [Target.APP]


# -- the mode ----------------------------------------------------------------------------------------------------------


async def test_legacy_mode_serves_the_single_image_and_back(bench: Bench) -> None:
    bench.controller.request(intents.ModeRequested(Mode.LEGACY))
    await bench.finish("single 1", Target.LEGACY)
    bench.save("app.py")
    await bench.finish("single 2", Target.LEGACY)
    bench.controller.request(intents.ModeRequested(Mode.SPLIT))
    await bench.finish("image 2")
    assert bench.runner.swaps == ["image 1", "single 1", "single 2", "image 2"]
    assert [event.mode for event in bench.events.all if isinstance(event, ev.ModeChanged)] == [Mode.LEGACY, Mode.SPLIT]


async def test_legacy_mode_needs_no_base(make: Callable[..., Bench]) -> None:
    bench = make()
    text = bench.config.path.read_text().replace("[legacy]", 'mode = "legacy"\n[legacy]')
    bench.config.path.write_text(text)
    bench.base.present = False
    bench.controller = bench.make_controller(load_config(bench.config.path))
    await bench.controller.start()
    await bench.finish("single", Target.LEGACY)
    assert (bench.runner.swaps, bench.targets()) == (["single"], [Target.LEGACY])
    assert "mode.changed" in bench.events.names()
    bench.save("requirements.txt")
    await bench.settle()
    assert Target.BASE not in bench.targets()
    await bench.controller.stop()


async def test_a_race_gives_way_to_legacy_mode_so_that_no_two_builds_of_one_image_overlap(bench: Bench) -> None:
    bench.builder.turns_to_cancel = 20
    bench.controller.request(intents.LegacyRaceRequested())
    await bench.until(lambda: bench.builder.running(Target.LEGACY))
    bench.controller.request(intents.ModeRequested(Mode.LEGACY))
    await bench.until(lambda: bench.targets().count(Target.LEGACY) == 2)
    await bench.finish("single", Target.LEGACY)
    statuses = [event.status for event in bench.events.all if isinstance(event, ev.BuildFinished)]
    assert statuses == [BuildStatus.CANCELLED, BuildStatus.OK]
    assert bench.runner.swaps == ["image 1", "single"]


async def test_a_build_that_the_other_mode_overtook_does_not_come_into_service(bench: Bench) -> None:
    bench.save("app.py")
    await bench.until(lambda: bench.builder.running(Target.APP))
    bench.builder.finish(Target.APP, ok("image 2"))
    bench.controller.request(intents.ModeRequested(Mode.LEGACY))
    await bench.finish("single", Target.LEGACY)
    assert bench.runner.swaps == ["image 1", "single"]


async def test_back_in_split_mode_what_became_stale_meanwhile_is_built(make: Callable[..., Bench]) -> None:
    bench = make(on_change="build")
    await bench.start()
    bench.controller.request(intents.ModeRequested(Mode.LEGACY))
    await bench.finish("single", Target.LEGACY)
    bench.base.stale_files = ("requirements.txt",)
    await bench.controller.base.look()
    bench.controller.request(intents.ModeRequested(Mode.SPLIT))
    await bench.until(lambda: bench.builder.running(Target.BASE))


async def test_in_legacy_mode_there_is_nothing_to_race(bench: Bench) -> None:
    bench.controller.request(intents.ModeRequested(Mode.LEGACY))
    await bench.finish("single", Target.LEGACY)
    bench.controller.request(intents.LegacyRaceRequested())
    assert bench.errors() == ["there is nothing to race: every save builds the legacy image"]


# -- what others do meanwhile ------------------------------------------------------------------------------------------


async def test_a_second_wish_during_work_on_the_base_is_answered(bench: Bench) -> None:
    bench.controller.request(intents.BaseBuildRequested())
    await bench.until(lambda: bench.builder.running(Target.BASE))
    bench.controller.request(intents.BaseBuildRequested())
    assert bench.errors() == ["the base image is being worked on"]


async def test_a_base_that_somebody_else_moved_is_noticed_by_the_next_build(bench: Bench) -> None:
    bench.save("app.py")
    await bench.until(lambda: bench.builder.running(Target.APP))
    bench.base.current = "sha256:moved"
    bench.builder.finish(Target.APP, replace(ok("image 2"), base_id="sha256:moved"))
    await bench.settle()
    assert bench.controller.base.status is not None
    assert bench.controller.base.status.image_id == "sha256:moved"
    assert [sample.base_id for sample in bench.recorder.samples][-1] == "sha256:moved"


async def test_a_pin_that_was_written_elsewhere_is_taken_over(bench: Bench) -> None:
    text = bench.config.path.read_text()
    bench.config.path.write_text(text.replace("[base]\n", '[base]\nversion = "2026.11.20"\n'))
    bench.save("config.toml")
    await bench.finish("image 2")
    assert bench.base.version == "2026.11.20"
    assert bench.events.of(ev.BaseUsed) == [ev.BaseUsed("2026.11.20", "config.toml says so")]


# -- config.toml -------------------------------------------------------------------------------------------------------


async def test_our_own_edit_of_the_config_asks_for_no_restart(bench: Bench) -> None:
    bench.controller.request(intents.BaseUseRequested("sha256:older"))
    await bench.finish("image 2")
    text = bench.config.path.read_text()
    bench.base.version = "2026.11.20"
    bench.config.path.write_text(text.replace("[base]\n", '[base]\nversion = "2026.11.20"\n'))
    bench.save("config.toml")
    bench.config.path.write_text(text.replace("[base]\n", '[base]\nversion = "2026.11.20"\nkeep = 7\n'))
    bench.save("config.toml")
    reasons = [event.reason for event in bench.events.all if isinstance(event, ev.PlanMade)]
    assert reasons == ["config.toml says what is in use", "config.toml changed; restart splitdeck to use it"]


async def test_a_build_is_kept_with_the_dependencies_that_it_was_made_of(make: Callable[..., Bench]) -> None:
    bench = make()
    await bench.start()
    bench.controller.request(intents.ModeRequested(Mode.LEGACY))
    await bench.finish("single", Target.LEGACY)
    bench.base.inputs = "other dependencies"
    bench.save("base.Dockerfile")
    await bench.finish("single 2", Target.LEGACY)
    bench.base.inputs = "nobody looks for a file that is no input"
    bench.save("app.py")
    await bench.finish("single 3", Target.LEGACY)
    kept = [sample.base_id for sample in bench.recorder.samples if sample.target is Target.LEGACY]
    assert kept == ["now", "other dependencies", "other dependencies"]
