from __future__ import annotations

import pytest

from console.history.scenario import scenario_of
from console.measurements import Sample
from console.model import BuildStatus, Scenario, Step, StepKind, StepStatus, Target

COLD, CODE, DEPS, NONE = Scenario.COLD, Scenario.CODE_CHANGE, Scenario.DEPS_CHANGE, Scenario.NO_CHANGE


def steps(marks: str) -> list[Step]:
    """`c` a cached and `r` a run instruction, after the steps that every build has."""
    own = [
        Step("i", "[internal] load build context", StepKind.INTERNAL, StepStatus.CACHED),
        Step("f", f"[1/{len(marks) + 1}] FROM base", StepKind.INSTRUCTION, StepStatus.CACHED),
        Step("e", "exporting to image", StepKind.EXPORT, StepStatus.DONE),
    ]
    status = {"c": StepStatus.CACHED, "r": StepStatus.DONE}
    return own + [
        Step(f"{n}", f"[{n}/{len(marks) + 1}] RUN {n}", StepKind.INSTRUCTION, status[mark])
        for n, mark in enumerate(marks, 2)
    ]


def earlier(digest: str = "d1", deps: str = "b1") -> Sample:
    return Sample(Target.APP, COLD, 1.0, 5.0, BuildStatus.OK, "engine", "machine", context_digest=digest, base_id=deps)


@pytest.mark.parametrize(
    ("scenario", "marks", "no_cache", "digest", "deps", "previous"),
    [
        (COLD, "rrr", True, "d2", "b1", earlier()),
        (COLD, "ccc", True, "d1", "b1", earlier()),
        (COLD, "rrr", False, "d2", "b1", None),
        (COLD, "", False, "d2", "b1", None),
        (COLD, "rrr", False, "d1", "b1", earlier()),  # equal inputs, all run again: the cache is gone
        (NONE, "ccc", False, "d1", "b1", earlier()),
        (NONE, "ccc", False, "d2", "b2", earlier()),  # a state that was built before
        (NONE, "ccc", False, "d1", "b1", None),
        (NONE, "crr", False, "d1", "b1", earlier()),
        (NONE, "", False, "d1", "b1", earlier()),
        (DEPS, "rrr", False, "d2", "b2", earlier()),
        (DEPS, "rrr", False, "d1", "b2", earlier()),
        (CODE, "ccr", False, "d2", "b1", earlier()),
        (CODE, "rrr", False, "d2", "b1", earlier()),  # legacy with the code copied first
        (CODE, "ccr", False, "d2", "b1", None),
        (CODE, "ccr", False, "", "b1", earlier(digest="")),  # unknown digests equal nothing
        (CODE, "rrr", False, "d2", "b1", earlier(deps="")),  # unknown dependencies differ from nothing
        (CODE, "rrr", False, "d2", "", earlier()),
    ],
)
def test_the_scenario(
    scenario: Scenario, marks: str, no_cache: bool, digest: str, deps: str, previous: Sample | None
) -> None:
    found = scenario_of(steps(marks), no_cache=no_cache, context_digest=digest, deps=deps, previous=previous)
    assert found is scenario
