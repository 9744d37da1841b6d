"""Two builds of the history set beside each other, step by step: what got slower, and why. Pure.

Steps belong together by their names without numbers, stage by stage; the image that a stage starts from may be another
one. Words name the builds by their numbers, as the first need not be the older one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from console.format import duration, plural, short_id, size
from console.history.usual import unnumbered
from console.measurements import Sample
from console.model import BuildStatus, Cause, Step, StepStatus, Target
from console.state.words import cause_words

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}")
SAME, ALIKE = "the same", "="
"""What `Fact.change` says where there is no difference: in things, in figures."""
_NOT_RUN = frozenset({StepStatus.CACHED, StepStatus.PENDING})


@dataclass(frozen=True, slots=True)
class StepDifference:
    """One step in both builds; None where a build does not have it."""

    name: str
    """Without its number."""
    before: Step | None
    after: Step | None
    why: str
    """What led to the difference, or why the step was run; empty where there is nothing to say."""

    @property
    def slower_ms(self) -> float:
        """By how much it took longer in the second build; negative where it took less."""
        return spent_ms(self.after) - spent_ms(self.before)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something else that both builds have."""

    name: str
    before: str
    after: str
    change: str
    """What to make of the two: `+1.20 s`, `another`; empty where one of them is unknown."""


@dataclass(frozen=True, slots=True)
class BuildDifference:
    """What two builds do not have alike."""

    steps: tuple[StepDifference, ...]
    """Those that got slower most come first, those that got quicker most last."""
    facts: tuple[Fact, ...]
    apart: str
    """Why their totals say nothing about each other, in a sentence; empty where they do."""
    remarks: tuple[str, ...]
    """What else to know before they are compared, a sentence each."""


def difference(before: Sample, after: Sample) -> BuildDifference:
    """Sets two builds beside each other; both with their steps and causes."""
    steps = [_step(one, other, before, after) for one, other in _pairs(before.steps, after.steps)]
    steps.sort(key=lambda step: -step.slower_ms)
    return BuildDifference(tuple(steps), _facts(before, after), _apart(before, after), _remarks(before, after))


def spent_ms(step: Step | None) -> float:
    """What a step took; nothing where it was not run."""
    return 0.0 if step is None or step.status in _NOT_RUN else step.duration_ms


def signed(ms: float) -> str:
    """A difference of times: `+1.20 s`, `−349 ms`; `=` where it is none that could be shown."""
    return ALIKE if abs(ms) < 0.5 else f"{'+' if ms > 0 else '−'}{duration(abs(ms))}"


# -- steps -------------------------------------------------------------------------------------------------------------


def _pairs(before: Sequence[Step], after: Sequence[Step]) -> list[tuple[Step | None, Step | None]]:
    """The steps that belong together: first those in stages of the same name, then what is left by name alone."""
    left, right = list(before), list(after)
    pairs: list[tuple[Step | None, Step | None]] = []
    keys: tuple[Callable[[Step], Hashable], ...] = (lambda step: (step.stage_label, _key(step)), _key)
    for key in keys:
        waiting: dict[Hashable, list[Step]] = {}
        for step in left:
            waiting.setdefault(key(step), []).append(step)
        for step in tuple(right):
            if alike := waiting.get(key(step)):  # the n-th of several equal ones belongs to the n-th
                found = alike.pop(0)
                pairs.append((found, step))
                left = [other for other in left if other is not found]
                right = [other for other in right if other is not step]
    return [*pairs, *((None, step) for step in right), *((step, None) for step in left)]


def _key(step: Step) -> str:
    name = _plain(step)
    return "FROM" if step.number and name.startswith("FROM ") else name


def _plain(step: Step) -> str:
    return _DIGEST.sub("", unnumbered(step.name))


def _step(one: Step | None, other: Step | None, before: Sample, after: Sample) -> StepDifference:
    step = other or one
    assert step is not None
    return StepDifference(_plain(step), one, other, _why(one, other, before, after))


def _why(one: Step | None, other: Step | None, before: Sample, after: Sample) -> str:
    words = []
    if one is None:
        words.append(f"only in {_name(after)}")
    elif other is None:
        words.append(f"only in {_name(before)}")
    elif one.cached and not other.cached:
        words.append(f"cached in {_name(before)}")
    elif other.cached and not one.cached:
        words.append(f"cached in {_name(after)}")
    cause = _cause(other, after.causes)
    if cause is not None:
        words.append(cause_words(cause))
    elif one is not None and (cause := _cause(one, before.causes)) is not None:
        words.append(f"in {_name(before)} {cause_words(cause)}")
    for step, build in ((one, before), (other, after)):
        if step is not None and step.status in {StepStatus.FAILED, StepStatus.CANCELLED}:
            words.append(f"{step.status.value} in {_name(build)}")
    return "; ".join(words)


def _cause(step: Step | None, causes: Sequence[Cause]) -> Cause | None:
    if step is None or step.status in _NOT_RUN:
        return None
    return next((cause for cause in causes if cause.step == step.name), None)


# -- the rest ----------------------------------------------------------------------------------------------------------


def _facts(before: Sample, after: Sample) -> tuple[Fact, ...]:
    facts = [_time("took", before.duration_ms, after.duration_ms)]
    if before.save_to_ready_ms is not None or after.save_to_ready_ms is not None:
        facts.append(_time("save-to-ready", before.save_to_ready_ms, after.save_to_ready_ms))
    facts.append(_time("context", before.context_ms, after.context_ms))
    facts.append(
        Fact(
            "files",
            _context(before),
            _context(after),
            _change("other", before.context_digest, after.context_digest),
        )
    )
    if before.image_bytes or after.image_bytes:
        facts.append(_size("image", before.image_bytes, after.image_bytes))
    if before.base_id or after.base_id:
        facts.append(
            Fact(
                "base",
                short_id(before.base_id) or "–",
                short_id(after.base_id) or "–",
                _change("another", before.base_id, after.base_id),
            )
        )
    if before.recipe and after.recipe:
        change = _change("other", before.recipe, after.recipe)
        facts.append(Fact("instructions", before.recipe[:8], after.recipe[:8], change))
    if before.revision or after.revision:
        revisions = (before.revision[:8] or "–", after.revision[:8] or "–")
        facts.append(Fact("commit", *revisions, _change("another", before.revision, after.revision)))
    return tuple(facts)


def _time(name: str, before: float | None, after: float | None) -> Fact:
    change = "" if before is None or after is None else signed(after - before)
    return Fact(name, duration(before), duration(after), change)


def _size(name: str, before: int, after: int) -> Fact:
    sizes = (size(before) if before else "–", size(after) if after else "–")
    if not before or not after:
        return Fact(name, *sizes, "")
    more = after - before
    return Fact(name, *sizes, f"{'+' if more > 0 else '−'}{size(abs(more))}" if more else ALIKE)


def _context(sample: Sample) -> str:
    return f"{plural(sample.context_files, 'file')}, {size(sample.context_bytes)}"


def _change(other: str, before: str, after: str) -> str:
    return "" if not before or not after else SAME if before == after else other


def _apart(before: Sample, after: Sample) -> str:
    """Why the totals cannot be compared. Those of the two tracks can, where all else is equal."""
    reasons = []
    if Target.BASE in {before.target, after.target} and before.target is not after.target:
        reasons.append((f"the {before.target.value} image", f"the {after.target.value} image"))
    if before.scenario is not after.scenario:
        reasons.append((before.scenario.value, after.scenario.value))
    if before.engine != after.engine:
        reasons.append((f"on {before.engine}", f"on {after.engine}"))
    if before.machine != after.machine:
        reasons.append((f"on {before.machine}", f"on {after.machine}"))
    if not reasons:
        return ""
    one, other = (", ".join(words) for words in zip(*reasons, strict=True))
    return f"Their totals say nothing about each other: {_name(before)} is {one}; {_name(after)} is {other}."


def _remarks(before: Sample, after: Sample) -> tuple[str, ...]:
    remarks = []
    if {before.target, after.target} == {Target.APP, Target.LEGACY}:
        remarks.append("One is the legacy image and one the app image, so few of their steps belong together.")
    for sample in (before, after):
        if sample.status is not BuildStatus.OK:
            remarks.append(f"{_name(sample)} was not finished ({sample.status.value}), so its total is too short.")
        if sample.disturbed:
            remarks.append(f"{_name(sample)} did not run alone: {sample.disturbed}.")
    return tuple(remarks)


def _name(sample: Sample) -> str:
    return f"#{sample.number}"
