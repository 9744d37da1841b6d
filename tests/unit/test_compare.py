from __future__ import annotations

import statistics
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.config import TargetsConfig
from console.history.compare import NOT_MEASURED, compare
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


def compared(legacy_: list[Sample], split: list[Sample], base: Sample | None = None, today: tuple[Sample, ...] = ()):  # type: ignore[no-untyped-def]
    return compare(legacy_, split, CHANGE, targets=TargetsConfig(), rules=StageRules(), base=base, today=today)


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
    comparison = compared([], [], BASE)
    assert comparison == Comparison(CHANGE, targets=comparison.targets)
    assert [(item.met, item.measured) for item in comparison.targets] == [(None, NOT_MEASURED)] * 3


@pytest.mark.parametrize(
    "other",
    [
        replace(LEGACY, status=BuildStatus.FAILED),
        replace(LEGACY, status=BuildStatus.CANCELLED),
        replace(LEGACY, scenario=Scenario.COLD),
        replace(LEGACY, alongside=True),
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


@pytest.mark.parametrize(
    ("legacy_ms", "split_ms", "met"),
    [
        (300_000, 59_999, (True, True, True)),
        (300_000, 60_000, (False, True, True)),
        (100_000, 20_000, (True, True, True)),
        (100_000, 20_010, (True, False, False)),
        (400, 700, (True, False, False)),
    ],
)
def test_targets(legacy_ms: float, split_ms: float, met: tuple[bool, ...]) -> None:
    checks = compared([legacy(1, (PIP, legacy_ms))], [app(2, (COPY, split_ms))]).targets
    assert tuple(check.met for check in checks) == met
    assert [check.label for check in checks] == ["app build < 60 s", "reduction ≥ 80 %", "iteration ≥ 5×"]


def test_half_a_measurement_decides_half_the_targets() -> None:
    checks = compared([], [APP]).targets
    assert [(check.met, check.measured) for check in checks] == [
        (True, "400 ms"),
        (None, NOT_MEASURED),
        (None, NOT_MEASURED),
    ]


def test_today() -> None:
    today = (
        app(100, (COPY, 1_000)),
        app(110, (COPY, 2_000)),
        replace(APP, scenario=Scenario.COLD),
        replace(APP, status=BuildStatus.CANCELLED),
        replace(APP, machine="another machine"),
        legacy(120, (PIP, 9_000)),
        build(Target.BASE, 90, (PIP, 30_000)),
        replace(build(Target.BASE, 80, (PIP, 5_000)), status=BuildStatus.FAILED),
        replace(build(Target.BASE, 80, (PIP, 7_000)), engine="older engine"),
    )
    samples = [legacy(50, (PIP, 10_000))]
    comparison = compared(samples, [APP], today=today)
    assert comparison.saved_today_ms == 9_000 + 8_000
    assert comparison.base_cost_today_ms == 35_000
    assert compared([], [APP], today=today).saved_today_ms == 0, "no saving without a legacy figure"
    slow = compared([legacy(50, (PIP, 500))], [APP], today=today)
    assert slow.saved_today_ms == -500 - 1_500, "where the split costs more, it says so"
