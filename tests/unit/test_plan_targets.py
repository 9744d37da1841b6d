"""The plan's targets beside what was measured."""

from __future__ import annotations

import pytest

from console.config import TargetsConfig
from console.history.plan_targets import NOT_MEASURED, checks
from console.measurements import Comparison, PullTime, TrackSummary
from console.model import Scenario


def side(ms: float | None) -> TrackSummary | None:
    return None if ms is None else TrackSummary(3, ms, ms, ms, 1.0)


def compared(scenario: Scenario, legacy_ms: float | None, split_ms: float | None) -> Comparison:
    return Comparison(scenario, side(legacy_ms), side(split_ms))


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
def test_after_a_code_change(legacy_ms: float, split_ms: float, met: tuple[bool, ...]) -> None:
    found = checks([compared(Scenario.CODE_CHANGE, legacy_ms, split_ms)], TargetsConfig())
    assert tuple(check.met for check in found) == (*met, None)
    labels = ["app build < 60 s", "reduction ≥ 80 %", "iteration ≥ 5×", "CI pipeline −70 %"]
    assert [check.label for check in found] == labels


def test_half_a_measurement_decides_half_the_targets() -> None:
    found = checks([compared(Scenario.CODE_CHANGE, None, 400)], TargetsConfig())
    assert [(check.met, check.measured) for check in found] == [(True, "400 ms"), *[(None, NOT_MEASURED)] * 3]


def test_cold_builds_say_nothing_of_the_iteration_and_the_other_way_round() -> None:
    found = checks([compared(Scenario.COLD, 100_000, 1_000)], TargetsConfig())
    assert [check.met for check in found] == [None, None, None, None]
    slow = checks([compared(Scenario.COLD, 100_000, 90_000)], TargetsConfig())
    assert slow[-1].met is False, "without the pull it is missed already"


@pytest.mark.parametrize(
    ("pull_ms", "measured", "met"),
    [
        (None, "−99.0 % but for the base's pull, not measured", None),
        (9_000, "−90.0 % with the base's pull", True),
        (50_000, "−49.0 % with the base's pull", False),
        (150_000, "+51.0 % with the base's pull", False),
    ],
)
def test_a_pipeline_has_to_pull_the_base(pull_ms: float | None, measured: str, met: bool | None) -> None:
    pull = None if pull_ms is None else PullTime(1, pull_ms, 5)
    check = checks([compared(Scenario.COLD, 100_000, 1_000)], TargetsConfig(), pull)[-1]
    assert (check.measured, check.met) == (measured, met)
