"""What builds usually take, from the samples of earlier ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.history.usual import unnumbered, usual
from console.measurements import Sample, UsualStep
from console.model import BuildStatus, Scenario, Step, StepKind, StepStatus, Target


def sample(ms: float, *steps: Step, scenario: Scenario = Scenario.CODE_CHANGE) -> Sample:
    return Sample(Target.APP, scenario, 1.0, ms, BuildStatus.OK, "engine", "machine", steps=steps)


def ran(name: str, ms: float) -> Step:
    return Step(name, name, StepKind.INSTRUCTION, StepStatus.DONE, duration_ms=ms)


def cached(name: str) -> Step:
    return Step(name, name, StepKind.INSTRUCTION, StepStatus.CACHED, duration_ms=7.0)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("[2/5] RUN make", "RUN make"),
        ("[ 2/10] RUN make", "RUN make"),
        ("[build  3/7] RUN make", "RUN make"),
        ("[stage-2 3/7] COPY --from=build /a [1/2] b", "COPY --from=build /a [1/2] b"),
        ("[internal] load build context", "[internal] load build context"),
        ("exporting to image", "exporting to image"),
        ("[1/2]", ""),
    ],
)
def test_the_number_of_a_step_is_not_part_of_what_it_is(name: str, key: str) -> None:
    assert unnumbered(name) == key


def test_nothing_measured_is_nothing_usual() -> None:
    assert usual([], [sample(9.0, ran("[1/1] RUN a", 9.0))]) is None


def test_a_step_counts_in_the_builds_that_ran_it() -> None:
    known = usual(
        [
            sample(100.0, cached("[2/3] RUN a"), ran("[3/3] RUN b", 50.0)),
            sample(300.0, ran("[2/4] RUN a", 200.0), ran("[4/4] RUN b", 70.0)),
            sample(120.0, cached("[2/3] RUN a"), ran("[3/3] RUN b", 60.0)),
        ]
    )
    assert known is not None
    assert (known.n, known.total_ms) == (3, 120.0)
    assert set(known.steps) == {UsualStep("RUN a", 200.0, 200.0, 1), UsualStep("RUN b", 60.0, 70.0, 3)}


def test_what_is_usually_cached_is_known_from_other_builds_and_only_that() -> None:
    code_change = sample(100.0, cached("[2/3] RUN a"), ran("[3/3] RUN b", 50.0))
    cold = sample(9000.0, ran("[2/3] RUN a", 8000.0), ran("[3/3] RUN b", 900.0), scenario=Scenario.COLD)
    known = usual([code_change], [cold])
    assert known is not None
    assert (known.n, known.total_ms) == (1, 100.0)
    assert set(known.steps) == {UsualStep("RUN a", 8000.0, 8000.0, 1), UsualStep("RUN b", 50.0, 50.0, 1)}


def test_an_instruction_that_two_stages_have_counts_once_per_build() -> None:
    known = usual([sample(100.0, ran("[a 2/3] RUN make", 40.0), ran("[b 2/3] RUN make", 60.0))])
    assert known is not None
    assert known.steps == (UsualStep("RUN make", 60.0, 60.0, 1),)


@given(st.lists(st.floats(0.001, 1e7), min_size=1, max_size=12))
def test_the_median_lies_among_what_was_measured(times: list[float]) -> None:
    known = usual([sample(ms, ran("[1/1] RUN a", ms)) for ms in times])
    assert known is not None
    (step,) = known.steps
    assert min(times) <= known.total_ms <= max(times)
    assert min(times) <= step.median_ms <= step.max_ms == max(times)
    assert step.n == known.n == len(times)
