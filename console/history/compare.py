"""Legacy against split in one scenario, from measured builds only. Pure.

Like with like: only builds that succeeded, ran alone, and were measured in the same scenario on the same engine and
machine. Where the samples mix engines or machines, those of the newest one count; the others say nothing about it.

After a change of dependencies the split track makes two images where legacy makes one: its figure is the base build and
the app build on that base, together. One without the other is none.

One rule makes every figure of the table agree: a track's total is the median of its builds, and its rows are the times
of the very build in the middle (for an even n the mean of the two in the middle, as the median is). So the rows add up
to the total, and every one of them was measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from console.history.marks import Yardstick
from console.history.stages import CODE, OTHER, PLAN_ROWS, StageRules, stage_times
from console.history.statistics import speedup_interval
from console.measurements import Comparison, Mark, Sample, StageTime, TrackSummary
from console.model import BuildStatus, Scenario, StepKind


@dataclass(frozen=True, slots=True)
class Run:
    """What one change cost on one track: a build, or a base build and the app build on it."""

    sample: Sample
    """The build of the image that serves."""
    base: Sample | None = None

    @property
    def parts(self) -> tuple[Sample, ...]:
        return (self.sample,) if self.base is None else (self.base, self.sample)

    @property
    def duration_ms(self) -> float:
        return sum(part.duration_ms for part in self.parts)


@dataclass(frozen=True, slots=True)
class _Rows:
    """A track's rows: milliseconds, and which of them a Dockerfile instruction stands behind."""

    times: dict[str, float]
    own: frozenset[str]


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison, and of each track the build in the middle; of two the quicker: no more than the median."""

    comparison: Comparison
    legacy: Run | None = None
    split: Run | None = None


def compare(
    legacy: Sequence[Sample],
    split: Sequence[Sample],
    scenario: Scenario,
    *,
    rules: StageRules,
    now: float,
    base: Sample | None = None,
    bases: Mapping[str, Sample] | None = None,
    whole: Callable[[Sample], Sample] = lambda sample: sample,
) -> Compared:
    """Compares the two tracks in one scenario. What was not measured is None, never a guess.

    Args:
        legacy: Builds of the legacy image.
        split: Builds of the app image.
        scenario: The one to compare in; samples of others are left out.
        rules: Put the steps under rows, afresh, so that a changed rule holds for old builds too.
        now: Seconds since 1970: tells which samples are old.
        base: The last successful base build: tells what is in the base. Without it (a pulled base) a row that legacy
            has and the app build has not is taken to be there.
        bases: Base builds by the image that they made: the other half of what a change of dependencies costs.
        whole: Gives a sample with its steps; asked for the builds in the middle only.
    """
    usable = [sample for sample in (*legacy, *split) if _usable(sample, scenario)]
    newest = max(usable, key=lambda sample: sample.started_at, default=None)
    place = None if newest is None else newest.place
    legacy_runs = [Run(sample) for sample in legacy if _usable(sample, scenario) and sample.place == place]
    split_samples = [sample for sample in split if _usable(sample, scenario) and sample.place == place]
    if scenario is Scenario.DEPS_CHANGE:
        split_runs = list(with_bases(split_samples, bases or {}))
    else:
        split_runs = [Run(sample) for sample in split_samples]
    left, right = (_middle(runs, whole) for runs in (legacy_runs, split_runs))
    comparison = Comparison(
        scenario=scenario,
        legacy=_summary(legacy_runs, now),
        split=_summary(split_runs, now),
        stages=_stages(
            _rows(left, rules),
            _rows(right, rules),
            _rows([Run(whole(base))] if base else [], rules),
            rules.rows,
            base_present=scenario is not Scenario.DEPS_CHANGE,
        ),
        interval=speedup_interval([run.duration_ms for run in legacy_runs], [run.duration_ms for run in split_runs]),
    )
    return Compared(comparison, left[0] if left else None, right[0] if right else None)


def _usable(sample: Sample, scenario: Scenario) -> bool:
    return sample.status is BuildStatus.OK and sample.scenario is scenario and not sample.disturbed


def with_bases(apps: Iterable[Sample], bases: Mapping[str, Sample]) -> Iterable[Run]:
    """The app builds with the base builds before them, each of which counts once: for the first app on it.

    Args:
        apps: App builds.
        bases: Base builds by the image that they made.
    """
    taken: set[str] = set()
    for app in sorted(apps, key=lambda sample: sample.started_at):
        base = bases.get(app.base_id)
        if base is not None and _usable(base, Scenario.DEPS_CHANGE) and app.base_id not in taken:
            taken.add(app.base_id)
            yield Run(app, base)


def _summary(runs: Sequence[Run], now: float) -> TrackSummary | None:
    if not runs:
        return None
    ordered = sorted(runs, key=lambda run: run.sample.started_at)
    times = [run.duration_ms for run in ordered]
    yardstick = Yardstick([run.sample for run in ordered], times, now)
    marks = [yardstick.marks(run.sample, run.duration_ms) for run in ordered]
    return TrackSummary(
        n=len(times),
        median_ms=statistics.median(times),
        min_ms=min(times),
        max_ms=max(times),
        last_at=ordered[-1].sample.started_at,
        recent_ms=tuple(times),
        old=sum(Mark.OLD in found for found in marks),
        outliers=sum(Mark.OUTLIER in found for found in marks),
    )


def _middle(runs: Sequence[Run], whole: Callable[[Sample], Sample]) -> Sequence[Run]:
    """The run whose time is the median, or the two whose mean it is; with their steps."""
    ordered = sorted(runs, key=lambda run: run.duration_ms)
    return [
        Run(whole(run.sample), None if run.base is None else whole(run.base))
        for run in ordered[max(len(ordered) - 1, 0) // 2 : len(ordered) // 2 + 1]
    ]


def _rows(middle: Sequence[Run], rules: StageRules) -> _Rows | None:
    if not middle:
        return None
    times = dict.fromkeys(rules.rows, 0.0)
    own: set[str] = set()
    for part in (part for run in middle for part in run.parts):
        steps = rules.label(part.steps)
        own.update(step.stage for step in steps if step.kind is StepKind.INSTRUCTION)
        for row, share in stage_times(steps, part.started_at, part.duration_ms).items():
            times[row] += share / len(middle)
    return _Rows(times, frozenset(own))


def _stages(
    legacy: _Rows | None, split: _Rows | None, base: _Rows | None, names: Sequence[str], *, base_present: bool
) -> tuple[StageTime, ...]:
    """The plan's rows always, further ones where a build has them; nothing while neither track is measured."""
    if legacy is None and split is None:
        return ()
    everywhere = frozenset[str]().union(*(rows.own for rows in (legacy, split, base) if rows))
    holder = base or legacy
    in_base = holder.own - split.own if holder and split and base_present else frozenset[str]()
    return tuple(
        StageTime(
            stage=name,
            legacy_ms=None if legacy is None else legacy.times[name],
            split_ms=None if split is None else split.times[name],
            in_base=name in in_base and name not in (CODE, OTHER),
        )
        for name in names
        if name in PLAN_ROWS or name in everywhere
    )
