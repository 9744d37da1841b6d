"""What the split saved, and what its bases cost."""

from __future__ import annotations

from datetime import datetime
from functools import partial

import pytest

from console.history.ledger import beginnings, period
from console.history.records import Account
from console.measurements import Ledger, Period
from console.model import Scenario, Target

CHANGE, COLD = Scenario.CODE_CHANGE, Scenario.COLD


def test_each_build_is_priced_by_the_legacy_build_of_its_own_scenario() -> None:
    found = period(
        [
            Account(Target.APP, CHANGE, True, 10, 4_000),
            Account(Target.APP, COLD, True, 2, 20_000),
            Account(Target.APP, Scenario.NO_CHANGE, True, 3, 300),
            Account(Target.APP, CHANGE, False, 7, 99_000),
            Account(Target.BASE, COLD, True, 1, 90_000),
            Account(Target.BASE, COLD, False, 1, 5_000),
        ],
        {CHANGE: 50_000, COLD: 60_000},
    )
    assert found == Period(12, 500_000 - 4_000 + 120_000 - 20_000, 3, 2, 95_000)
    assert found.net_ms == 596_000 - 95_000


def test_where_the_split_costs_more_it_says_so() -> None:
    assert period([Account(Target.APP, CHANGE, True, 2, 4_000)], {CHANGE: 500}).saved_ms == -3_000


def test_the_week_begins_on_monday() -> None:
    november = partial(datetime, 2026, 11)  # of the user's zone, as the ledger's day is
    day, week = beginnings(november(26, 15, 30).timestamp())
    assert (day, week) == (november(26).timestamp(), november(23).timestamp())
    monday = november(23).timestamp()
    assert beginnings(monday) == (monday, monday)


@pytest.mark.parametrize(
    ("base_ms", "gain_ms", "saves"),
    [
        (90_000, 50_000, 2),
        (90_000, 90_000, 1),
        (10, 90_000, 1),
        (90_000, -5, None),
        (90_000, 0.1, None),
        (None, 5, None),
        (5, None, None),
    ],
)
def test_how_many_saves_pay_for_a_base(base_ms: float | None, gain_ms: float | None, saves: int | None) -> None:
    assert Ledger(base_build_ms=base_ms, gain_ms=gain_ms).saves_until_paid == saves
