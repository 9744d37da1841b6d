"""The plan's targets, held against what was measured. Pure.

Each target has the scenario that it is about: the app build, the reduction and the iteration after a code change, the
CI pipeline cold, where the split track has to pull its base first. What the plan estimated is never set beside these.
"""

from __future__ import annotations

from collections.abc import Iterable

from console import format as fmt
from console.config import TargetsConfig
from console.measurements import Comparison, PullTime, TargetCheck
from console.model import Scenario

NOT_MEASURED = "not measured"


def checks(
    comparisons: Iterable[Comparison], targets: TargetsConfig, pull: PullTime | None = None
) -> tuple[TargetCheck, ...]:
    """All of them, in the plan's order; one that misses a side is neither met nor missed.

    Args:
        comparisons: By scenario, whichever were made.
        targets: What was asked for.
        pull: What pulling the base takes; where it was never measured, the CI pipeline's target may be missed without
            it, and is never met.
    """
    by_scenario = {comparison.scenario: comparison for comparison in comparisons}
    change = by_scenario.get(Scenario.CODE_CHANGE, Comparison(Scenario.CODE_CHANGE))
    cold = by_scenario.get(Scenario.COLD, Comparison(Scenario.COLD))
    build_ms = None if change.split is None else change.split.median_ms
    reduction, speedup = change.reduction, change.speedup
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
        _pipeline(cold, targets.ci_reduction, pull),
    )


def _pipeline(cold: Comparison, wanted: float, pull: PullTime | None) -> TargetCheck:
    label = f"CI pipeline −{wanted * 100:g} %"
    if cold.legacy is None or cold.split is None or cold.legacy.median_ms <= 0:
        return TargetCheck(label, NOT_MEASURED, None)
    pulled_ms = 0.0 if pull is None else pull.median_ms
    reduction = 1 - (cold.split.median_ms + pulled_ms) / cold.legacy.median_ms
    how = "with the base's pull" if pull is not None else "but for the base's pull, not measured"
    sign = "−" if reduction >= 0 else "+"
    met = reduction >= wanted
    return TargetCheck(label, f"{sign}{fmt.percent(abs(reduction))} {how}", None if met and pull is None else met)
