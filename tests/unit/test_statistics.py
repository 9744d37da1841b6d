from __future__ import annotations

import math
import random
import statistics
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.history.statistics import _medians, fences, speedup_interval

TIMES = st.lists(st.floats(1, 1e6), min_size=3, max_size=8)


def test_builds_that_never_vary_leave_no_doubt() -> None:
    assert speedup_interval([100.0] * 3, [25.0] * 3) == (4.0, 4.0)


def test_an_interval_is_as_wide_as_the_samples_spread() -> None:
    narrow = speedup_interval([100, 101, 102, 103, 104], [50, 50, 50, 50, 50])
    wide = speedup_interval([60, 80, 102, 130, 160], [50, 50, 50, 50, 50])
    assert narrow is not None
    assert wide is not None
    assert 2.0 <= narrow[0] < 2.04 < narrow[1] <= 2.08
    assert wide[0] < 1.7
    assert wide[1] > 2.5


def test_it_holds_the_middle_of_what_could_have_been_drawn() -> None:
    """Of three values, the median of three draws is the smallest in 7 of 27 cases, the middle one in 13, the largest
    in 7: far more than the 2.5 % that are left out at either end."""
    assert speedup_interval([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]) == (1.0, 3.0)
    outlier = speedup_interval([1.0] * 30 + [1000.0], [1.0] * 3)
    assert outlier == (1.0, 1.0), "one slow build among many does not move a median"


@pytest.mark.parametrize(("legacy", "split"), [([1.0, 2.0], [1.0] * 9), ([1.0] * 9, [1.0, 2.0]), ([], [])])
def test_too_few_builds_have_no_interval(legacy: list[float], split: list[float]) -> None:
    assert speedup_interval(legacy, split) is None


def test_a_build_of_no_time_has_no_ratio() -> None:
    assert speedup_interval([1.0] * 3, [0.0, 1.0, 1.0]) is None


@given(TIMES, TIMES)
@settings(max_examples=15)
def test_equal_samples_give_equal_intervals_within_what_is_possible(legacy: list[float], split: list[float]) -> None:
    interval = speedup_interval(legacy, split)
    assert interval is not None
    assert interval == speedup_interval(legacy, split)
    low, high = interval
    assert min(legacy) / max(split) <= low <= high <= max(legacy) / min(split)


@pytest.mark.parametrize("times", [[1.0, 5.0, 9.0], [1.0, 2.0, 5.0, 9.0], [3.0, 8.0], [4.0, 1.0, 7.0, 2.0, 6.0]])
def test_drawing_only_the_middle_is_drawing_everything(times: list[float]) -> None:
    """The medians come as often as they do when all values are drawn, one by one."""
    source = random.Random(1)
    drawn = Counter(statistics.median(source.choices(times, k=len(times))) for _ in range(20_000))
    made = Counter(_medians(times, 0))
    for value, count in drawn.items():
        assert made[value] / made.total() == pytest.approx(count / 20_000, abs=0.04), value
    assert set(made) <= set(drawn)


def test_few_samples_have_no_outlier() -> None:
    assert fences([1.0, 1.0, 1.0, 9_000.0]) == (0.0, math.inf)


def test_an_outlier_is_far_from_the_others_and_not_just_a_little_off_when_all_are_close() -> None:
    low, high = fences([100.0, 101.0, 99.0, 100.0, 100.0, 500.0])
    assert 101 < high < 500
    assert low <= 90
    low, high = fences([100.0, 200.0, 300.0, 400.0, 500.0])
    assert low < 0
    assert high > 500
