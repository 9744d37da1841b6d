from __future__ import annotations

from dataclasses import replace

import pytest

from console.history.scenario import scenario_of, skew_of
from console.measurements import Sample
from console.model import BuildStatus, Cause, CauseKind, Scenario, Step, StepKind, StepStatus, Target

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
        (COLD, "ccr", False, "d2", "b1", None),  # what the cache has is of no earlier build of the target
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


def changed(kind: CauseKind, cost_ms: float = 5_000.0, **other: object) -> Sample:
    causes = (Cause("[3/5] RUN pip install", kind, (), cost_ms), Cause("[4/5] COPY", CauseKind.FILES, ("a",), 9_000.0))
    return replace(replace(earlier(), scenario=CODE, causes=causes), **other)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        (changed(CauseKind.FILES), ""),
        (changed(CauseKind.PARENT), ""),
        (changed(CauseKind.BASE), ""),
        (changed(CauseKind.GONE), "the builder's cache had lost RUN pip install"),
        (changed(CauseKind.GONE, cost_ms=20.0), ""),
        (changed(CauseKind.GONE, scenario=DEPS), "the builder's cache had lost RUN pip install"),
        (changed(CauseKind.GONE, scenario=COLD), ""),
        (changed(CauseKind.INSTRUCTION), "not only code changed: instruction of RUN pip install"),
        (changed(CauseKind.ARGUMENT), "not only code changed: argument of RUN pip install"),
        (changed(CauseKind.INSTRUCTION, scenario=DEPS), ""),  # an edited Dockerfile is a change of dependencies
        (changed(CauseKind.INSTRUCTION, target=Target.BASE), ""),
    ],
)
def test_what_is_no_measure_of_its_scenario(sample: Sample, why: str) -> None:
    assert skew_of(sample) == why
