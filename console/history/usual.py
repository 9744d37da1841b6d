"""What builds usually take: medians of the newest comparable ones. Pure.

A step counts in the builds in which it was run; where the cache had it, it says nothing. One that is usually cached is
known from builds in other circumstances (a cold one): it may be run this time, and then that is what it takes.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence

from console.measurements import Sample, Usual, UsualStep
from console.model import StepStatus

_NUMBER = re.compile(r"\[[^\]]*\d+/\d+\]\s*")


def unnumbered(step_name: str) -> str:
    """A step's name without its stage and number, which change with every line that is added above it."""
    return _NUMBER.sub("", step_name, count=1) if _NUMBER.match(step_name) else step_name


def usual(samples: Sequence[Sample], others: Sequence[Sample] = ()) -> Usual | None:
    """What builds like the given ones take; None where there are none.

    Args:
        samples: Successful builds of one target and scenario, on one engine and machine.
        others: Builds of the target in other scenarios: they tell of the steps that none of the samples ran.
    """
    if not samples:
        return None
    times = _times(others) | _times(samples)
    return Usual(
        len(samples),
        statistics.median(sample.duration_ms for sample in samples),
        tuple(UsualStep(name, statistics.median(took), max(took), len(took)) for name, took in times.items()),
    )


def _times(samples: Sequence[Sample]) -> dict[str, list[float]]:
    """By step, what it took in each build that ran it; the longest where two stages have the same instruction."""
    times: dict[str, list[float]] = {}
    for sample in samples:
        ran: dict[str, float] = {}
        for step in sample.steps:
            if step.status is StepStatus.DONE and step.duration_ms > 0:
                name = unnumbered(step.name)
                ran[name] = max(ran.get(name, 0.0), step.duration_ms)
        for name, took in ran.items():
            times.setdefault(name, []).append(took)
    return times
