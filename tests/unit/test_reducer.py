"""What each event means for the screen, and above all: which save the running container is made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from console import events as ev
from console.measurements import Usual
from console.model import (
    BuilderInfo,
    BuildStatus,
    BuildWarning,
    Cause,
    CauseKind,
    ContainerStatus,
    ContextSummary,
    Step,
    StepKind,
    StepStatus,
    Target,
    Track,
)
from console.state.app_state import AppState, BuildView
from console.state.reducer import reduce
from console.state.store import Store

OLD, NEW = "sha256:old", "sha256:new"


def after(*events: ev.Event, state: AppState | None = None, start: float = 1000.0) -> AppState:
    """The state after events that come one second apart."""
    state = state or AppState()
    for offset, event in enumerate(events):
        state = reduce(state, ev.Stamped(start + offset, event))
    return state


def save(batch: int, saved_at: float = 900.0) -> ev.ChangeDetected:
    return ev.ChangeDetected(batch, (f"src/{batch}.py",), saved_at, 30.0)


def started(
    build: int, batch: int | None = None, target: Target = Target.APP, reason: str = "saved"
) -> ev.BuildStarted:
    return ev.BuildStarted(build, target, target.track, "image", reason, batch)


def finished(build: int, status: BuildStatus = BuildStatus.OK, target: Target = Target.APP) -> ev.BuildFinished:
    return ev.BuildFinished(build, target, target.track, status, 120.0, 4.0, (), 0, 0, NEW, 1)


def served(build: int, batch: int | None, *, container: str = "c1", image: str = OLD) -> list[ev.Event]:
    return [
        ev.ContainerStarted(container, "app", image, build),
        ev.ContainerReady(container, build, batch, "http://localhost:8000"),
    ]


def saved_and_served(build: int, batch: int, *, container: str = "c1", image: str = OLD) -> list[ev.Event]:
    return [
        save(batch),
        started(build, batch),
        finished(build),
        *served(build, batch, container=container, image=image),
    ]


def phases(events: Iterable[ev.Event]) -> list[str]:
    state = AppState()
    seen = []
    for event in events:
        state = after(event, state=state)
        seen.append(state.pipeline.phase)
    return seen


def test_a_save_goes_through_its_phases_and_is_what_runs() -> None:
    events = saved_and_served(1, 1)
    assert phases(events) == ["idle", "build", "swap", "ready", "served"]
    state = after(*events)
    assert state.container.batch == 1
    assert state.container.saved_at == 900.0
    assert not state.waiting_saves


def test_events_of_an_overtaken_build_do_not_touch_the_newest_save() -> None:
    state = after(save(1), started(1, 1), save(2, 950.0))
    late = after(
        ev.ContextSent(1, ContextSummary(1, 1, "", 9.0)),
        finished(1, BuildStatus.CANCELLED),
        ev.PlanMade(1, None, "hold", "late"),
        state=state,
    )
    assert late.pipeline is state.pipeline
    assert late.app_build is not None
    assert late.app_build.status is BuildStatus.CANCELLED


def test_a_container_that_becomes_ready_late_is_still_known_by_its_save() -> None:
    state = after(save(1, 900.0), started(1, 1), finished(1), save(2, 950.0), *served(1, 1))
    assert state.pipeline.batch == 2
    assert state.pipeline.phase == "idle"
    assert state.container.saved_at == 900.0
    assert state.waiting_saves


def test_a_cancelled_build_is_cancelled_and_not_running() -> None:
    assert phases([save(1), started(1, 1), finished(1, BuildStatus.CANCELLED)])[-1] == "cancelled"


def test_a_rebuild_by_hand_counts_for_the_saves_before_it_only() -> None:
    state = after(save(1), started(1, 1), finished(1, BuildStatus.FAILED), started(2, None, reason="asked for"))
    assert state.pipeline.batch is None
    assert state.waiting_saves
    state = after(finished(2), *served(2, None), state=state, start=2000.0)
    assert state.pipeline.phase == "served"
    assert not state.waiting_saves
    assert state.container.reason == "asked for"
    assert after(save(2, 3000.0), state=state).waiting_saves


@pytest.mark.parametrize("restarted", [False, True])
def test_a_rollback_says_what_serves_again(restarted: bool) -> None:
    """With and without the container before having been stopped meanwhile."""
    failing = [save(2, 950.0), started(2, 2), finished(2), ev.ContainerStarted("c2", "app", NEW, 2)]
    again = [ev.ContainerStarted("c1", "app", OLD, 2)] if restarted else []
    state = after(
        *saved_and_served(1, 1),
        *failing,
        *again,
        ev.ContainerReady("c1", 1, 1, "http://localhost:8000"),
        ev.ContainerRolledBack(NEW, OLD, "it exited"),
    )
    assert state.container.status is ContainerStatus.READY
    assert (state.container.build, state.container.batch, state.container.saved_at) == (1, 1, 900.0)
    assert state.container.image_id == OLD
    assert state.container.rolled_back == "it exited"
    assert state.pipeline.phase == "failed"
    assert state.waiting_saves


def test_a_rollback_of_a_rebuild_by_hand_is_no_success_of_it() -> None:
    state = after(started(1), finished(1), *served(1, None), started(2), finished(2))
    state = after(ev.ContainerStarted("c2", "app", NEW, 2), ev.ContainerReady("c1", 1, None, ""), state=state)
    assert state.pipeline.phase == "ready"
    state = after(ev.ContainerRolledBack(NEW, OLD, "it exited"), state=state)
    assert state.pipeline.phase == "failed"


def test_a_rollback_to_nothing_leaves_nothing_running() -> None:
    state = after(save(1), started(1, 1), finished(1), ev.ContainerStarted("c1", "app", NEW, 1))
    state = after(ev.ContainerRolledBack(NEW, "", "it exited"), state=state)
    assert state.container.status is ContainerStatus.EXITED


def test_the_reason_for_a_rollback_is_gone_with_the_next_container() -> None:
    state = after(*saved_and_served(1, 1), ev.ContainerRolledBack(NEW, OLD, "it exited"))
    assert state.container.rolled_back
    state = after(*saved_and_served(3, 3, container="c3", image="sha256:newer"), state=state)
    assert not state.container.rolled_back


def test_an_exit_while_starting_fails_the_save() -> None:
    state = after(save(1), started(1, 1), finished(1), ev.ContainerStarted("c1", "app", NEW, 1))
    assert after(ev.ContainerExited("other", 1), state=state) is not None
    state = after(ev.ContainerExited("c1", 1), state=state)
    assert state.pipeline.phase == "failed"
    assert state.container.exit_code == 1


def test_what_nobody_knows_is_ignored() -> None:
    state = after(*saved_and_served(1, 1))
    step = Step("s", "[1/1] RUN x", StepKind.INSTRUCTION, StepStatus.DONE)
    unknown = (
        ev.StepUpdated(99, step),
        ev.ContextSent(99, ContextSummary(0, 0, "", 0.0)),
        finished(99),
        ev.ContainerExited("nobody", 1),
    )
    for event in unknown:
        assert after(event, state=state) is state


def test_a_step_keeps_its_place_as_it_changes() -> None:
    running = Step("a", "[1/2] RUN a", StepKind.INSTRUCTION, StepStatus.RUNNING)
    other = replace(running, id="b", name="[2/2] RUN b")
    state = after(
        ev.BuildStarted(1, Target.LEGACY, Track.LEGACY, "image", "raced"),
        ev.StepUpdated(1, running),
        ev.StepUpdated(1, other),
        ev.StepUpdated(1, replace(running, status=StepStatus.DONE)),
    )
    assert state.legacy_build is not None
    assert [(step.id, step.status) for step in state.legacy_build.steps] == [
        ("a", StepStatus.DONE),
        ("b", StepStatus.RUNNING),
    ]


def test_notices_and_saves_are_bounded() -> None:
    many = [ev.ErrorOccurred(str(number)) for number in range(80)]
    state = after(*many, *(save(number) for number in range(80)))
    assert [notice.message for notice in state.notices] == [str(number) for number in range(30, 80)]
    assert state.saves[-1][0] == 79
    assert len(state.saves) == 50
    assert after(ev.BaseStale(("a",)), state=state).notices[-1].severity == "warning"


def app_build(state: AppState) -> BuildView:
    assert state.app_build is not None
    return state.app_build


def test_a_rebuild_by_hand_keeps_the_phases_that_were_seen() -> None:
    context = ContextSummary(3, 18_000, "d", 4.0)
    asked = (started(2), ev.ContextSent(2, context), finished(2))
    state = after(*asked, ev.ContextSent(2, replace(context, sent_bytes=9)), *served(2, None))
    pipeline = state.pipeline
    assert pipeline.phase == "served"
    assert (pipeline.context_ms, pipeline.build_ms, pipeline.swap_ms, pipeline.ready_ms) == (4.0, 120.0, 2000.0, 1000.0)
    assert pipeline.save_to_ready_ms is None


def test_what_travelled_comes_late_and_does_not_turn_the_clock_back() -> None:
    context = ContextSummary(3, 18_000, "d", 4.0)
    state = after(save(1), started(1, 1), ev.ContextSent(1, context))
    assert state.pipeline.phase_started_at == 1002.0
    state = after(ev.ContextSent(1, replace(context, sent_bytes=9)), state=state, start=1050.0)
    assert state.pipeline.phase_started_at == 1002.0
    assert app_build(state).context == replace(context, sent_bytes=9)


def test_a_build_holds_what_is_usual_and_why_it_ran() -> None:
    usual = Usual(3, 9.0)
    cause = Cause("[2/2] COPY . .", CauseKind.FILES, ("a",), 1.0)
    state = after(started(1), ev.BuildExpected(1, Target.APP, usual), replace(finished(1), causes=(cause,)))
    assert (app_build(state).usual, app_build(state).causes) == (usual, (cause,))
    assert app_build(after(started(2), state=state)).causes == ()
    assert after(ev.BuildExpected(9, Target.APP, usual), state=state) is state


WARNING = BuildWarning("use JSON arguments", (), "https://example.org", "app.Dockerfile", ((6, 6),))


def warned(build: int, warning: BuildWarning = WARNING) -> ev.BuildWarned:
    return ev.BuildWarned(build, Target.APP, warning)


def test_a_remark_counts_once_per_build_and_goes_with_what_caused_it() -> None:
    state = after(started(1), warned(1), warned(1))
    assert app_build(state).warnings == (WARNING,)
    assert app_build(after(started(2), state=state)).warnings == ()
    assert after(warned(9), state=state) is state


def test_a_remark_is_in_the_log_at_its_place_and_only_when_it_is_news() -> None:
    store = Store()

    def tell(*events: ev.Event) -> list[str]:
        start = store.build_logs[Target.APP].end
        for event in events:
            store.dispatch(event)
        store.drain()
        return [line.text for line in store.build_logs[Target.APP].since(start)[1] if line.origin == "remark"]

    said = ["app.Dockerfile:6  use JSON arguments", "  https://example.org"]
    assert tell(started(1), warned(1), warned(1), finished(1)) == said
    assert tell(started(2), warned(2), finished(2)) == [], "nothing changed"
    assert tell(started(3), finished(3, BuildStatus.CANCELLED)) == []
    assert tell(started(4), warned(4), finished(4)) == [], "the cancelled build had no time to repeat it"
    assert tell(started(5), warned(5, replace(WARNING, lines=((7, 7),))), finished(5)) == [
        "app.Dockerfile:7  use JSON arguments",
        "  https://example.org",
    ]
    assert tell(started(6), finished(6), started(7), warned(7)) == said, "it had gone and is back"


def test_what_the_way_of_building_cannot_do_is_noted_once() -> None:
    builder = BuilderInfo("classic", "tar", "no BuildKit", ("Secrets cannot be used.", "All is sent."))
    state = after(ev.BuilderChosen(builder))
    (notice,) = state.notices
    assert (notice.message, notice.hint) == (
        "classic builds the images: no BuildKit",
        "Secrets cannot be used. All is sent.",
    )
    assert notice.severity == "information"
    assert after(ev.BuilderChosen(builder), state=state).notices == state.notices
    assert len(after(ev.BuilderChosen(replace(builder, limits=("Other.",))), state=state).notices) == 2
    assert after(ev.BuilderChosen(replace(builder, limits=()))).notices == ()


def test_steps_have_their_places_from_the_beginning_whatever_order_they_are_announced_in() -> None:
    def step(name: str, number: int = 0, label: str = "", line: int = 0) -> Step:
        kind = StepKind.INSTRUCTION if number else StepKind.EXPORT if "export" in name else StepKind.INTERNAL
        return Step(name, name, kind, StepStatus.PENDING, number, 3, label, line=line)

    context, export = step("[internal] load build context"), step("exporting to image")
    one, two = step("one", 1, "z", 2), step("two", 2, "z", 3)
    last, end = step("last", 1, "a", 5), step("end", 2, "a", 6)
    announced = (export, end, last, two, context, one)
    state = after(started(1), *(ev.StepUpdated(1, each) for each in announced))
    assert state.app_build is not None
    expected = (context, one, two, last, end, export)
    assert state.app_build.steps == expected
    done = replace(two, status=StepStatus.DONE)
    state = after(ev.StepUpdated(1, done), state=state)
    assert state.app_build is not None
    assert state.app_build.steps[2] is done
    state = after(replace(finished(1), steps=announced), state=state)
    assert state.app_build is not None
    assert state.app_build.steps == expected, "they stay where they are"
