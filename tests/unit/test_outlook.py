"""How much longer a build takes, and when it takes longer than usual."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.build.steps import StepTracker
from console.measurements import Usual, UsualStep
from console.model import BuildStatus, Step, StepKind, StepStatus, Target
from console.state import outlook as outlook_module
from console.state.app_state import BuildView
from console.state.outlook import NOTHING_KNOWN, Outlook, build_outlook, step_outlook
from console.state.words import outlook_words, short_outlook
from tests.recorded import follow, read

START = 1000.0
EXPORT = "exporting to image"


def known(total_ms: float, n: int = 5, /, **steps_ms: float) -> Usual:
    """What is usual: `RUN_a=2000.0` for the step `RUN a`; the slowest was a tenth slower."""
    steps = (UsualStep(name.replace("_", " "), ms, 1.1 * ms, n) for name, ms in steps_ms.items())
    return Usual(n, total_ms, tuple(steps))


def steps_of(marks: str, label: str = "", *, began: float = START) -> list[Step]:
    """The steps `RUN a`, `RUN b` …: `c` cached, `d` done, `r` running since `began`, `w` waiting."""
    status = {"c": StepStatus.CACHED, "d": StepStatus.DONE, "r": StepStatus.RUNNING, "w": StepStatus.PENDING}
    total = len(marks) + 1
    return [
        Step(
            f"{label}{number}",
            f"[{label} {number}/{total}] RUN {name}",
            StepKind.INSTRUCTION,
            status[mark],
            number,
            total,
            label,
            started_at=began if mark in "dr" else None,
            duration_ms=500.0 if mark == "d" else 0.0,
        )
        for number, (name, mark) in enumerate(zip("abcdefgh", marks, strict=False), 2)
    ]


def build(
    usual: Usual | None,
    steps: Sequence[Step] = (),
    status: BuildStatus = BuildStatus.RUNNING,
    duration_ms: float | None = None,
) -> BuildView:
    return BuildView(
        1, Target.APP, "image", "saved", START, status=status, duration_ms=duration_ms, steps=tuple(steps), usual=usual
    )


def left_s(usual: Usual, steps: Sequence[Step], after: float = 0.0) -> float | None:
    left = build_outlook(build(usual, steps), START + after).left_ms
    return None if left is None else left / 1000


COLD = known(60_000.0, RUN_a=40_000.0, RUN_b=10_000.0, RUN_c=5_000.0, exporting_to_image=3_000.0)
CHANGE = known(3_000.0, RUN_a=40_000.0, RUN_b=10_000.0, RUN_c=2_500.0)


@pytest.mark.parametrize(
    ("usual", "steps", "after", "expected"),
    [
        (COLD, [], 0.0, 60.0),  # nothing announced yet: the whole build is all that is known
        (COLD, [], 20.0, 40.0),
        (COLD, steps_of("www"), 1.0, 58.0),  # all of them and the export, which is less than the whole build's rest
        (COLD, steps_of("rww"), 10.0, 30.0 + 10 + 5 + 3),
        (COLD, steps_of("rww"), 45.0, 10.0 + 5 + 3),  # overdue: it may end at any moment, then the others follow
        (COLD, steps_of("drw"), 5.0, 5.0 + 5 + 3),  # faster than usual
        (COLD, steps_of("rw")[:1], 10.0, 50.0),  # a builder that does not announce what comes
        (CHANGE, steps_of("ccw"), 1.0, 2.0),
        (CHANGE, steps_of("ccr"), 1.0, 1.5),
        (CHANGE, steps_of("rww"), 1.0, 39.0 + 10 + 2.5),  # usually cached, run this time: so will be what follows
        (CHANGE, steps_of("wwr"), 1.0, 1.5),  # what waits before a running step is not needed: the cache has it
        (CHANGE, steps_of("ccc"), 0.2, 0.0),  # all from the cache: it is as good as over
    ],
)
def test_what_is_left(usual: Usual, steps: list[Step], after: float, expected: float) -> None:
    assert left_s(usual, steps, after) == pytest.approx(expected)


def test_stages_run_side_by_side_and_wait_for_those_they_copy_from() -> None:
    usual = known(1_000.0, RUN_a=8_000.0, RUN_b=20_000.0)
    one, two = steps_of("rw", "one"), steps_of("r", "two")
    assert left_s(usual, [*one, *two]) == pytest.approx(28.0)
    copy = Step("c", "[last 2/3] COPY --from=one /a /a", StepKind.INSTRUCTION, StepStatus.PENDING, 2, 3, "last")
    then = Step("t", "[last 3/3] RUN a", StepKind.INSTRUCTION, StepStatus.PENDING, 3, 3, "last")
    assert left_s(usual, [*one, *two, copy, then]) == pytest.approx(28.0 + 8.0)
    cached = steps_of("cc", "one")
    assert left_s(usual, [*cached, *two, copy, then]) == pytest.approx(8.0), "it may well come from the cache"


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("[stage-1 3/4] COPY --from=one /a /a", "one"),  # as the recordings of Docker 20.10 and 28 have it
        ("[stage-1 3/4] COPY --chown=1:1 --from=one /a /a", "one"),
        ("[last 3/4] COPY --from=0 /a /a", "stage-0"),  # a stage without a name is meant by its number
        ("[stage-1 3/4] RUN --mount=from=one,target=/x make", None),
        ("[stage-1 3/4] COPY a--from=one /a", None),
    ],
)
def test_a_copy_waits_for_the_stage_that_it_names(name: str, stage: str | None) -> None:
    usual = Usual(5, 1_000.0, (UsualStep("RUN a", 8_000.0, 8_000.0, 5), UsualStep("RUN b", 5_000.0, 5_000.0, 5)))
    label = name[1:].split(" ")[0]
    copy = Step("c", name, StepKind.INSTRUCTION, StepStatus.PENDING, 3, 4, label)
    then = Step("t", f"[{label} 4/4] RUN b", StepKind.INSTRUCTION, StepStatus.PENDING, 4, 4, label)
    left = left_s(usual, [*steps_of("r", stage or "one"), copy, then])
    assert left == pytest.approx(8.0 + (5.0 if stage else 0.0))


@pytest.mark.parametrize("recording", ["multistage", "bk28_multistage", "containerd_ok"])
def test_stages_that_recorded_builds_name_are_among_their_labels(recording: str) -> None:
    steps, _ = follow(read(recording).updates, StepTracker())
    labels = {step.stage_label for step in steps}
    named = {match[1] for step in steps if (match := outlook_module._FROM_STAGE.search(step.name))}
    assert named <= labels
    assert bool(named) is ("multistage" in recording)


def test_a_stage_that_says_it_copies_from_itself_is_no_trouble() -> None:
    odd = Step("c", "[one 2/2] COPY --from=one /a /a", StepKind.INSTRUCTION, StepStatus.PENDING, 2, 2, "one")
    assert left_s(known(9_000.0, RUN_a=1_000.0), [odd]) == 0.0


def test_looking_up_the_image_is_not_rebuilding() -> None:
    first = Step(
        "f", "[1/2] FROM base", StepKind.INSTRUCTION, StepStatus.RUNNING, 1, 2, started_at=START, duration_ms=9.0
    )
    waits = Step("a", "[2/2] RUN a", StepKind.INSTRUCTION, StepStatus.PENDING, 2, 2)
    assert left_s(CHANGE, [first, waits], 1.0) == pytest.approx(2.0)


def test_a_command_that_was_never_measured_leaves_the_end_open() -> None:
    assert left_s(known(9_000.0, RUN_b=1_000.0), steps_of("rw")) is None
    assert left_s(known(9_000.0, RUN_a=1_000.0), steps_of("rw")) is None
    assert left_s(known(9_000.0, RUN_b=1_000.0), steps_of("cr")) == pytest.approx(1.0), "that is not run"


@pytest.mark.parametrize("usual", [None, known(1_900.0, RUN_a=1_800.0)])
def test_what_is_not_known_or_over_in_no_time_is_not_told(usual: Usual | None) -> None:
    assert build_outlook(build(usual, steps_of("r")), START) == NOTHING_KNOWN
    assert step_outlook(usual, steps_of("r")[0], START) == NOTHING_KNOWN


def test_a_running_step() -> None:
    (step,) = steps_of("r")
    assert step_outlook(COLD, step, START + 30) == Outlook(left_ms=10_000.0)
    assert step_outlook(COLD, step, START + 45) == Outlook(left_ms=0.0), "not yet clearly longer than usual"
    assert step_outlook(COLD, step, START + 51) == Outlook(usually_ms=40_000.0)
    assert step_outlook(COLD, steps_of("w")[0], START + 51) == NOTHING_KNOWN


@pytest.mark.parametrize(
    ("median", "slowest", "n", "took", "slow"),
    [
        (8_100.0, 9_000.0, 3, 10_200.0, True),
        (8_100.0, 9_000.0, 3, 10_100.0, False),  # less than a quarter longer
        (8_100.0, 12_000.0, 3, 11_900.0, False),  # it took as long before
        (8_100.0, 9_000.0, 2, 99_000.0, False),  # too few to know
        (100.0, 110.0, 9, 1_000.0, False),  # less than a second longer
        (100.0, 110.0, 9, 1_101.0, True),
    ],
)
def test_slower_than_usual(median: float, slowest: float, n: int, took: float, slow: bool) -> None:
    usual = Usual(n, median, (UsualStep("RUN a", median, slowest, n),))
    expected = Outlook(usually_ms=median) if slow else NOTHING_KNOWN
    done = Step("a", "[2/2] RUN a", StepKind.INSTRUCTION, StepStatus.DONE, 2, 2, duration_ms=took)
    assert step_outlook(usual, done, 0.0) == expected
    (running,) = steps_of("r")
    assert (step_outlook(usual, running, START + took / 1000).usually_ms is not None) is slow


def ended(usual: Usual, duration_ms: float, marks: str, status: BuildStatus = BuildStatus.OK) -> Outlook:
    return build_outlook(build(usual, steps_of(marks), status, duration_ms))


def test_a_finished_build_that_did_the_usual_and_took_longer() -> None:
    assert ended(CHANGE, 4_100.0, "ccd") == Outlook(usually_ms=3_000.0)
    assert ended(CHANGE, 3_900.0, "ccd") == NOTHING_KNOWN
    assert ended(CHANGE, 4_100.0, "ccd", BuildStatus.FAILED) == NOTHING_KNOWN
    assert ended(CHANGE, 50_000.0, "ddd") == NOTHING_KNOWN, "it did more than usual, which its causes tell"
    assert ended(known(3_000.0, RUN_a=500.0), 5_000.0, "dd") == NOTHING_KNOWN, "RUN b is new"
    assert ended(known(3_000.0, 2, RUN_a=500.0), 5_000.0, "d") == NOTHING_KNOWN, "two builds are too few"


def test_a_running_build_becomes_slower_than_usual_when_nothing_is_left() -> None:
    assert build_outlook(build(CHANGE, steps_of("ccr")), START + 3.5) == Outlook(left_ms=0.0)
    assert build_outlook(build(CHANGE, steps_of("ccr")), START + 4.5) == Outlook(usually_ms=3_000.0)


def test_what_waits_behind_a_late_step_does_not_hide_that_the_build_is_slow() -> None:
    usual = known(3_000.0, RUN_a=2_500.0, RUN_b=200.0)
    slow = build(usual, steps_of("rw"))
    assert build_outlook(slow, START + 1.0).left_ms == pytest.approx(1_700.0)
    assert build_outlook(slow, START + 3.4).left_ms == pytest.approx(200.0), "late, but not by much"
    assert build_outlook(slow, START + 3.9) == NOTHING_KNOWN, "nobody knows how long that still takes"
    assert build_outlook(slow, START + 4.5) == Outlook(usually_ms=3_000.0)
    seldom = known(3_000.0, 2, RUN_a=2_500.0, RUN_b=200.0)
    assert build_outlook(build(seldom, steps_of("rw")), START + 60) == NOTHING_KNOWN, "too few to call it slow"
    assert step_outlook(seldom, steps_of("r")[0], START + 60) == NOTHING_KNOWN


@given(
    marks=st.text("cdrw", min_size=1, max_size=6),
    medians=st.lists(st.floats(1.0, 1e6), min_size=6, max_size=6),
    total=st.floats(1.0, 1e6),
    times=st.lists(st.floats(0.0, 2e3), min_size=2, max_size=5),
)
def test_while_nothing_happens_the_rest_only_shrinks_and_is_never_negative(
    marks: str, medians: list[float], total: float, times: list[float]
) -> None:
    steps = tuple(UsualStep(f"RUN {name}", ms, ms, 3) for name, ms in zip("abcdef", medians, strict=True))
    usual = Usual(3, total, steps)
    shown = [build_outlook(build(usual, steps_of(marks)), START + at).left_ms for at in sorted(times)]
    known_ones = [left for left in shown if left is not None]
    assert all(left >= 0 for left in known_ones)
    assert all(later <= earlier + 1e-3 for earlier, later in pairwise(known_ones))


@given(
    medians=st.lists(st.floats(2_000.0, 1e5), min_size=3, max_size=3),
    speed=st.floats(0.1, 1.0),
    total=st.floats(2_000.0, 1e6),
)
def test_a_step_that_ends_in_time_does_not_move_the_end_away(medians: list[float], speed: float, total: float) -> None:
    steps = tuple(UsualStep(f"RUN {name}", ms, ms, 3) for name, ms in zip("abc", medians, strict=True))
    usual = Usual(3, total, steps)
    took = medians[0] * speed / 1000
    before = build_outlook(build(usual, steps_of("rww")), START + took).left_ms
    after = build_outlook(
        build(usual, [steps_of("dww")[0], *steps_of("wrw", began=START + took)[1:]]), START + took
    ).left_ms
    assert before is not None
    assert after is not None
    assert after <= before + 1e-3


@pytest.mark.parametrize(
    ("outlook", "words", "short"),
    [
        (NOTHING_KNOWN, "", ""),
        (Outlook(left_ms=57_400.0), "57 s left", "57 s left"),
        (Outlook(left_ms=125_000.0), "2 m 05 s left", "2 m 05 s left"),
        (Outlook(left_ms=754_000.0), "13 m left", "13 m left"),
        (Outlook(left_ms=999.0), "any moment now", "soon"),
        (Outlook(usually_ms=8_100.0), "slower than usual (usually 8.10 s)", "usually 8.10 s"),
    ],
)
def test_words(outlook: Outlook, words: str, short: str) -> None:
    assert (outlook_words(outlook), short_outlook(outlook)) == (words, short)
