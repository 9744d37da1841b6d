"""Under which circumstances a build ran. Figures are compared within one scenario only, so this decides what is fair.

The rules, in this order:

1. `cold` — the cache was switched off; or no earlier build of the target on this engine and machine is known and no
   instruction came from the cache; or the inputs equal the last build's and still no instruction came from the cache,
   which only happens when the cache is gone.
2. `no-change` — every instruction came from the cache; or the inputs (context and dependencies) equal the last build's.
3. `deps-change` — the dependencies differ from the last build's.
4. `code-change` — anything else. A legacy Dockerfile that copies the code first rebuilds everything after one changed
   line: that is the price of a code change, not a cold build.

`FROM` does not count as an instruction here: a base image that is present is always "cached", even with an empty cache.
"""

from __future__ import annotations

from collections.abc import Sequence

from console.history.stages import instruction_of
from console.measurements import Sample
from console.model import Scenario, Step, StepKind


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
    if no_cache or (not cached and (previous is None or (same_inputs and ran))):
        return Scenario.COLD
    if cached == len(ran) > 0 or same_inputs:
        return Scenario.NO_CHANGE
    if previous is not None and deps and previous.base_id and deps != previous.base_id:
        return Scenario.DEPS_CHANGE
    return Scenario.CODE_CHANGE
