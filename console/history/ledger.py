"""The account of the split: what it saved in app builds, and what its base builds cost. Pure.

An app build saves the difference to the legacy median of its own scenario, on its own engine and machine; where that
was never measured it counts for nothing, and how many these are is said. App builds that failed, were cancelled or did
not run alone neither save nor cost: the legacy build would have ended the same way. Base builds cost what they took,
however they ended, and so do pulls of the base. Builds that were only made to be measured (`splitdeck compare`, races)
count on neither side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from console.history.records import Account
from console.measurements import Period
from console.model import Scenario, Target


def period(
    accounts: Iterable[Account], legacy_ms: Mapping[Scenario, float], pulls: tuple[int, float] = (0, 0.0)
) -> Period:
    """One span of time.

    Args:
        accounts: What was built in it.
        legacy_ms: Medians of legacy builds, where measured.
        pulls: How many pulls of the base there were in it, and what they took in milliseconds.
    """
    found = Period(pulls=pulls[0], base_ms=pulls[1])
    for account in accounts:
        if account.target is Target.BASE:
            found = replace(
                found, base_builds=found.base_builds + account.builds, base_ms=found.base_ms + account.total_ms
            )
        elif not account.comparable or account.target is not Target.APP:
            continue
        elif account.scenario in legacy_ms:
            saved = account.builds * legacy_ms[account.scenario] - account.total_ms
            found = replace(found, builds=found.builds + account.builds, saved_ms=found.saved_ms + saved)
        else:
            found = replace(found, unpriced=found.unpriced + account.builds)
    return found


def beginnings(now: float) -> tuple[float, float]:
    """When the user's day and week (on Monday) began; seconds since 1970."""
    day = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)  # noqa: DTZ006 - the user's
    return day.timestamp(), (day - timedelta(days=day.weekday())).timestamp()
