"""Under which circumstances a build ran. Figures are compared within one scenario only, so this decides what is fair.

The rules, in this order:

1. `cold` — the cache was switched off; or the inputs equal the last build's and still no instruction came from the
   cache, which only happens when the cache is gone.
2. `no-change` — every instruction came from the cache; or the inputs (context and dependencies) equal the last build's.
3. `cold` — no earlier build of the target on this engine and machine is known.
4. `deps-change` — the dependencies differ from the last build's.
5. `code-change` — anything else. A legacy Dockerfile that copies the code first rebuilds everything after one changed
   line: that is the price of a code change, not a cold build.

A build of one of these may still not be a measure of it: see `skew_of`.

`FROM` does not count as an instruction here: a base image that is present is always "cached", even with an empty cache.
"""

from __future__ import annotations

from collections.abc import Sequence

from console.history.stages import instruction_of
from console.history.usual import unnumbered
from console.measurements import Sample
from console.model import CauseKind, Scenario, Step, StepKind, Target

_TELLING_MS = 1000.0
"""A step below it does not decide what a build costs."""


def scenario_of(
    steps: Sequence[Step], *, no_cache: bool, context_digest: str, deps: str, previous: Sample | None
) -> Scenario:
    """The scenario of one build.

    Args:
        steps: As the build ended.
        no_cache: The builder was told not to use its cache.
        context_digest: `ContextSummary.digest`; empty where unknown, which equals nothing.
        deps: What identifies the dependencies, kept as `Sample.base_id`: for an app build the image ID of its base;
            for base and legacy builds, which stand on none, the fingerprint of the base's inputs. Empty where unknown.
        previous: The last successful build of the same target on the same engine and machine (`History.last`).
    """
    ran = [step for step in steps if step.kind is StepKind.INSTRUCTION and instruction_of(step.name) != "FROM"]
    cached = sum(step.cached for step in ran)
    same_inputs = previous is not None and "" != context_digest == previous.context_digest and deps == previous.base_id
    if no_cache or (not cached and same_inputs and ran):
        return Scenario.COLD
    if cached == len(ran) > 0 or same_inputs:
        return Scenario.NO_CHANGE
    if previous is None:
        return Scenario.COLD
    if deps and previous.base_id and deps != previous.base_id:
        return Scenario.DEPS_CHANGE
    return Scenario.CODE_CHANGE


def skew_of(sample: Sample) -> str:
    """Why a build is no measure of its scenario, by what made its steps run; empty where it is one.

    Args:
        sample: With its scenario.
    """
    if sample.scenario not in (Scenario.CODE_CHANGE, Scenario.DEPS_CHANGE):
        return ""
    telling = [cause for cause in sample.causes if cause.cost_ms >= _TELLING_MS]
    lost = next((cause for cause in telling if cause.kind is CauseKind.GONE), None)
    if lost is not None:
        return f"the builder's cache had lost {unnumbered(lost.step)}"
    edited = (CauseKind.INSTRUCTION, CauseKind.ARGUMENT)
    other = next((cause for cause in telling if cause.kind in edited), None)
    if other is not None and sample.scenario is Scenario.CODE_CHANGE and sample.target is not Target.BASE:
        return f"not only code changed: {other.kind.value} of {unnumbered(other.step)}"
    return ""
