"""Legacy against split, from measured builds only. Pure.

Like with like: only builds that succeeded, ran alone, and were measured in the same scenario on the same engine and
machine. Where the samples mix engines or machines, those of the newest one count; the others say nothing about it.

One rule makes every figure of the table agree: a track's total is the median of its builds, and its rows are the times
of the very build in the middle (for an even n the mean of the two in the middle, as the median is). So the rows add up
to the total, and every one of them was measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from console import format as fmt
from console.config import TargetsConfig
from console.history.stages import CODE, OTHER, PLAN_ROWS, StageRules, stage_times
from console.measurements import TO_MEASURE, Comparison, Sample, StageTime, TargetCheck, TrackSummary
from console.model import BuildStatus, Scenario, StepKind, Target

NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class _Rows:
    """A track's rows: milliseconds, and which of them a Dockerfile instruction stands behind."""

    times: dict[str, float]
    own: frozenset[str]


def compare(
    legacy: Sequence[Sample],
    split: Sequence[Sample],
    scenario: Scenario,
    *,
    targets: TargetsConfig,
    rules: StageRules,
    base: Sample | None = None,
    today: Sequence[Sample] = (),
) -> Comparison:
    """Compares the two tracks in one scenario. What was not measured is None, never a guess.

    Args:
        legacy: Builds of the legacy image.
        split: Builds of the app image.
        scenario: The one to compare in; samples of others are left out.
        targets: What the plan asked for.
        rules: Put the steps under rows, afresh, so that a changed rule holds for old builds too.
        base: The last successful base build: tells what is in the base. Without it (a pulled base) a row that legacy
            has and the app build has not is taken to be there.
        today: Every build since midnight, of any target, scenario and status; steps are not needed. Only app builds of
            this scenario can save, and only where legacy was measured in it; base builds cost what they took, also
            when they failed or were cancelled.
    """
    usable = [sample for sample in (*legacy, *split) if _usable(sample, scenario)]
    newest = max(usable, key=lambda sample: sample.started_at, default=None)
    place = None if newest is None else (newest.engine, newest.machine)
    legacy = _of_place([sample for sample in legacy if _usable(sample, scenario)], place)
    split = _of_place([sample for sample in split if _usable(sample, scenario)], place)
    today = [sample for sample in _of_place(today, place) if not sample.reason.startswith(TO_MEASURE)]
    measured = Comparison(
        scenario=scenario,
        legacy=_summary(legacy),
        split=_summary(split),
        stages=_stages(_rows(legacy, rules), _rows(split, rules), _rows([base] if base else [], rules), rules.rows),
        saved_today_ms=_saved(legacy, [sample for sample in today if _usable(sample, scenario)]),
        base_cost_today_ms=sum(sample.duration_ms for sample in today if sample.target is Target.BASE),
    )
    return replace(measured, targets=_checks(measured, targets))


def _usable(sample: Sample, scenario: Scenario) -> bool:
    return sample.status is BuildStatus.OK and sample.scenario is scenario and not sample.alongside


def _of_place(samples: Sequence[Sample], place: tuple[str, str] | None) -> Sequence[Sample]:
    """The samples of one engine and machine; all of them while nothing says which one is meant."""
    return [sample for sample in samples if place is None or (sample.engine, sample.machine) == place]


def _summary(samples: Sequence[Sample]) -> TrackSummary | None:
    if not samples:
        return None
    ordered = sorted(samples, key=lambda sample: sample.started_at)
    times = [sample.duration_ms for sample in ordered]
    return TrackSummary(
        n=len(times),
        median_ms=statistics.median(times),
        min_ms=min(times),
        max_ms=max(times),
        last_at=ordered[-1].started_at,
        recent_ms=tuple(times),
    )


def _rows(samples: Sequence[Sample], rules: StageRules) -> _Rows | None:
    """The rows of the build (or the mean of the two builds) whose time is the median."""
    if not samples:
        return None
    ordered = sorted(samples, key=lambda sample: sample.duration_ms)
    middle = ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1]
    times = dict.fromkeys(rules.rows, 0.0)
    own: set[str] = set()
    for sample in middle:
        steps = rules.label(sample.steps)
        own.update(step.stage for step in steps if step.kind is StepKind.INSTRUCTION)
        for row, share in stage_times(steps, sample.started_at, sample.duration_ms).items():
            times[row] += share / len(middle)
    return _Rows(times, frozenset(own))


def _stages(
    legacy: _Rows | None, split: _Rows | None, base: _Rows | None, names: Sequence[str]
) -> tuple[StageTime, ...]:
    """The plan's rows always, further ones where a build has them; nothing while neither track is measured."""
    if legacy is None and split is None:
        return ()
    everywhere = frozenset[str]().union(*(rows.own for rows in (legacy, split, base) if rows))
    holder = base or legacy
    in_base = holder.own - split.own if holder and split else frozenset[str]()
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


def _saved(legacy: Sequence[Sample], today: Sequence[Sample]) -> float:
    """What today's app builds would have cost more as legacy builds; 0 while legacy is not measured."""
    if not legacy:
        return 0.0
    median = statistics.median(sample.duration_ms for sample in legacy)
    return sum(median - sample.duration_ms for sample in today if sample.target is Target.APP)


def _checks(measured: Comparison, targets: TargetsConfig) -> tuple[TargetCheck, ...]:
    """The plan's targets; one that misses a side is neither met nor missed."""
    build_ms = None if measured.split is None else measured.split.median_ms
    reduction, speedup = measured.reduction, measured.speedup
    return (
        TargetCheck(
            f"app build < {targets.app_build_s:g} s",
            NOT_MEASURED if build_ms is None else fmt.duration(build_ms),
            None if build_ms is None else build_ms < targets.app_build_s * 1000,
        ),
        TargetCheck(
            f"reduction ≥ {targets.reduction * 100:g} %",
            NOT_MEASURED if reduction is None else fmt.percent(reduction),
            None if reduction is None else reduction >= targets.reduction,
        ),
        TargetCheck(
            f"iteration ≥ {targets.iteration:g}×",
            NOT_MEASURED if speedup is None else fmt.speedup(speedup),
            None if speedup is None else speedup >= targets.iteration,
        ),
    )
