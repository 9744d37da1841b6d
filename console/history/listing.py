"""Builds of the history in a list, with what a reader should know of each; what the tracks took over time."""

from __future__ import annotations

from console.history.compare import Run, with_bases
from console.history.findings import COMPARED, bases_of
from console.history.marks import Yardstick
from console.history.records import History
from console.measurements import BuildQuery, ListedBuild, Mark, Trend
from console.model import BuildStatus, Scenario, Target, Track

_TREND = 200
"""Newest builds of each track that a trend has: more than a plot has columns."""


def listed(history: History, query: BuildQuery, now: float) -> tuple[int, tuple[ListedBuild, ...]]:
    """How many builds there are of the kind that is asked for, and those wanted.

    Args:
        history: What was measured.
        query: Which of it, in which order.
        now: Seconds since 1970: tells which are old.

    Raises:
        HistoryError: If the history cannot be read.
        ValueError: If they cannot be sorted so.
    """
    total, samples = history.listed(query)
    yardsticks: dict[tuple[object, ...], Yardstick] = {}
    builds = []
    for sample in samples:
        marks: tuple[Mark, ...] = ()
        if sample.status is BuildStatus.OK and not sample.disturbed:
            kind = (sample.target, sample.scenario, *sample.place)
            if kind not in yardsticks:
                like = history.recent(sample.target, sample.scenario, *sample.place, limit=COMPARED)
                yardsticks[kind] = Yardstick(like, [one.duration_ms for one in like], now)
            marks = yardsticks[kind].marks(sample, sample.duration_ms)
        builds.append(ListedBuild(sample, marks))
    return total, tuple(builds)


def trends(history: History, place: tuple[str, str], scenario: Scenario) -> tuple[Trend, ...]:
    """What the legacy and app builds of one scenario, engine and machine took.

    Raises:
        HistoryError: If the history cannot be read.
    """
    legacy, apps = (history.recent(target, scenario, *place, limit=_TREND) for target in (Target.LEGACY, Target.APP))
    runs = list(map(Run, apps))
    if scenario is Scenario.DEPS_CHANGE:  # the app build alone is only half of it
        runs = list(with_bases(apps, bases_of(history, apps)))
    return (
        Trend(Track.LEGACY, scenario, tuple((sample.started_at, sample.duration_ms) for sample in legacy)),
        Trend(Track.SPLIT, scenario, tuple((run.sample.started_at, run.duration_ms) for run in runs)),
    )
