from __future__ import annotations

import statistics
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.history.compare import compare
from console.history.stages import CODE, MODELS, OTHER, PLAN_ROWS, PYTHON, SYSTEM, StageRules
from console.measurements import Comparison, Sample, StageTime
from console.model import BuildStatus, Scenario, Step, StepKind, StepStatus, Target

APT, PIP, MODEL, COPY = (
    "[2/5] RUN apt-get install -y gcc",
    "[3/5] RUN pip install -r requirements.txt",
    "[4/5] RUN python bake_model.py",
    "[5/5] COPY src .",
)
NPM = "[3/5] RUN npm ci"
CHANGE = Scenario.CODE_CHANGE


def build(target: Target, at: float, *parts: tuple[str, float], rest_ms: float = 0.0) -> Sample:
    """A successful build whose steps ran one after the other."""
    steps, clock = [], at
    for name, took_ms in parts:
        end = clock + took_ms / 1000
        steps.append(Step(name, name, StepKind.INSTRUCTION, StepStatus.DONE, intervals=((clock, end),)))
        clock = end
    total = sum(took for _, took in parts) + rest_ms
    return Sample(target, CHANGE, at, total, BuildStatus.OK, "engine", "machine", steps=tuple(steps))


def legacy(at: float, *parts: tuple[str, float], rest_ms: float = 0.0) -> Sample:
    return build(Target.LEGACY, at, *parts, rest_ms=rest_ms)


def app(at: float, *parts: tuple[str, float], rest_ms: float = 0.0) -> Sample:
    return build(Target.APP, at, *parts, rest_ms=rest_ms)


NOW = 100.0 * 86_400


def compared(legacy_: list[Sample], split: list[Sample], base: Sample | None = None) -> Comparison:
    return compare(legacy_, split, CHANGE, rules=StageRules(), now=NOW, base=base).comparison


def row(comparison: Comparison, stage: str) -> StageTime:
    return next(item for item in comparison.stages if item.stage == stage)


USER = "[4/5] RUN useradd app"
LEGACY = legacy(10, (APT, 20_000), (PIP, 70_000), (MODEL, 8_000), (USER, 900), (COPY, 100), rest_ms=1_000)
APP = app(20, (COPY, 100), rest_ms=300)
BASE = build(Target.BASE, 5, (APT, 20_000), (PIP, 70_000), (MODEL, 8_000), (USER, 900))


def test_stage_by_stage() -> None:
    comparison = compared([LEGACY], [APP], BASE)
    assert [item.stage for item in comparison.stages] == list(PLAN_ROWS)
    figures = [(round(item.legacy_ms), round(item.split_ms), item.in_base) for item in comparison.stages]
    assert figures == [(20_000, 0, True), (70_000, 0, True), (8_000, 0, True), (100, 100, False), (1_900, 300, False)]
    assert comparison.speedup == pytest.approx(250)
    assert comparison.reduction == pytest.approx(0.996)


def test_in_base_needs_to_be_known_or_likely() -> None:
    small_base = build(Target.BASE, 5, (APT, 20_000))
    assert row(compared([LEGACY], [APP], small_base), SYSTEM).in_base
    assert not row(compared([LEGACY], [APP], small_base), PYTHON).in_base, "the base has none of it"
    assert row(compared([LEGACY], [APP]), PYTHON).in_base, "a pulled base: legacy has it, the app build has not"
    assert not row(compared([LEGACY], []), PYTHON).in_base, "the split is not measured"
    heavy_app = app(20, (PIP, 5_000), (COPY, 100))
    assert not row(compared([LEGACY], [heavy_app], BASE), PYTHON).in_base
    only_split = row(compared([], [APP], BASE), SYSTEM)
    assert (only_split.legacy_ms, only_split.split_ms, only_split.in_base) == (None, 0.0, True)


def test_a_further_row_shows_only_where_a_build_has_it() -> None:
    assert [item.stage for item in compared([legacy(1, (NPM, 5), (COPY, 1))], [APP]).stages] == [
        SYSTEM,
        PYTHON,
        MODELS,
        CODE,
        "Other deps",
        OTHER,
    ]


def test_nothing_measured_shows_nothing() -> None:
    assert compared([], [], BASE) == Comparison(CHANGE)


@pytest.mark.parametrize(
    "other",
    [
        replace(LEGACY, status=BuildStatus.FAILED),
        replace(LEGACY, status=BuildStatus.CANCELLED),
        replace(LEGACY, scenario=Scenario.COLD),
        replace(LEGACY, disturbed="another build ran"),
        replace(LEGACY, engine="older engine"),
        replace(LEGACY, machine="another machine"),
    ],
)
def test_only_like_is_compared(other: Sample) -> None:
    assert compared([other], [APP]).legacy is None
    summary = compared([other, replace(LEGACY, started_at=11)], [APP]).legacy
    assert summary is not None
    assert summary.n == 1


def test_a_summary() -> None:
    samples = [app(at, (COPY, took)) for at, took in [(3, 50), (1, 40), (2, 90), (4, 60)]]
    summary = compared([], samples).split
    assert summary is not None
    assert (summary.n, summary.min_ms, summary.max_ms, summary.last_at) == (4, 40, 90, 4)
    assert summary.recent_ms == (40, 90, 50, 60)
    assert summary.median_ms == 55


PARTS = st.lists(st.tuples(st.sampled_from([APT, PIP, MODEL, COPY, NPM]), st.floats(0, 1e5)), max_size=4)


@given(st.lists(st.tuples(PARTS, st.floats(0, 1e4)), min_size=1, max_size=7))
def test_rows_add_up_to_the_median(builds: list[tuple[list[tuple[str, float]], float]]) -> None:
    samples = [legacy(1e9 + at, *parts, rest_ms=rest) for at, (parts, rest) in enumerate(builds)]
    comparison = compared(samples, [])
    assert comparison.legacy is not None
    assert comparison.legacy.median_ms == statistics.median(sample.duration_ms for sample in samples)
    total = sum(item.legacy_ms or 0 for item in comparison.stages)
    assert total == pytest.approx(comparison.legacy.median_ms, rel=1e-9, abs=1e-3)


def test_after_a_change_of_dependencies_the_split_is_the_base_and_the_app_on_it() -> None:
    deps = Scenario.DEPS_CHANGE
    single = replace(legacy(10, (PIP, 70_000)), scenario=deps)
    base = replace(build(Target.BASE, 20, (PIP, 60_000), rest_ms=500), scenario=deps, image_id="base 2")
    on_it = replace(app(90, (COPY, 100), rest_ms=400), scenario=deps, base_id="base 2")
    again = replace(on_it, started_at=95.0)
    pulled = replace(on_it, base_id="pulled")
    cold_base = replace(base, scenario=Scenario.COLD, image_id="base 3")
    on_cold = replace(on_it, base_id="base 3")
    found = compare(
        [single],
        [on_it, again, pulled, on_cold],
        deps,
        rules=StageRules(),
        now=NOW,
        bases={"base 2": base, "base 3": cold_base},
    )
    comparison = found.comparison
    assert comparison.split is not None
    assert comparison.split.recent_ms == (61_000,), "a base counts once, and only one that a change was built into"
    python = row(comparison, PYTHON)
    assert (python.legacy_ms, python.split_ms, python.in_base) == (70_000, 60_000, False)
    assert sum(item.split_ms or 0 for item in comparison.stages) == pytest.approx(61_000)
    assert found.split is not None
    assert (found.split.sample, found.split.base) == (on_it, base)


def test_only_the_builds_in_the_middle_are_read_whole() -> None:
    asked: list[float] = []

    def whole(sample: Sample) -> Sample:
        asked.append(sample.duration_ms)
        return sample

    builds = [app(at, (COPY, took)) for at, took in enumerate((900, 100, 400, 200, 300))]
    compare([], builds, CHANGE, rules=StageRules(), now=NOW, whole=whole)
    assert asked == [300]


def test_old_samples_and_outliers_are_counted_and_stay() -> None:
    recent = [app(NOW - 9 + at, (COPY, 100 + at)) for at in range(6)]
    old = app(NOW - 40 * 86_400, (COPY, 101))
    other_recipe = replace(app(NOW - 50, (COPY, 102)), recipe="another Dockerfile")
    slow = app(NOW - 60, (COPY, 9_000))
    builds = [*(replace(one, recipe="this one") for one in recent), old, other_recipe, slow]
    summary = compared([], builds).split
    assert summary is not None
    assert (summary.n, summary.old, summary.outliers) == (9, 2, 1)
    assert summary.max_ms == 9_000
