"""Why was this step not cached? The inputs of this build held against those of the last one that succeeded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from console.build.context.reads import takes
from console.build.dockerfile.step_inputs import StepInputs
from console.model import Cause, CauseKind, Step, StepKind, StepStatus


@dataclass(frozen=True, slots=True)
class BuildInputs:
    """Everything that a build depended on, as far as it can be known from here."""

    steps: tuple[StepInputs, ...]
    """In the order of the Dockerfile."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Path in the build context → hash of its kind, mode and content."""
    images: Mapping[str, str] = field(default_factory=dict)
    """Image name → image ID; only of those that are on the engine."""
    dockerfile: str = ""
    """Its path, for people."""


def explain(
    previous: BuildInputs | None, current: BuildInputs, steps: Sequence[Step], *, no_cache: bool = False
) -> tuple[Cause, ...]:
    """The reason for each instruction that was run, in the order in which they began.

    Args:
        previous: Of the last successful build of the target; None where none is known.
        current: Of this build.
        steps: As this build ended.
        no_cache: The builder was told not to use its cache.
    """
    by_line = {inputs.line: inputs for inputs in current.steps}
    ran = [
        (step, by_line[step.line])
        for step in steps
        if step.kind is StepKind.INSTRUCTION and step.status is StepStatus.DONE and step.line in by_line
    ]
    ran = [(step, inputs) for step, inputs in ran if not inputs.text.upper().startswith("FROM ")]
    if no_cache or previous is None:
        kind = CauseKind.CACHE_OFF if no_cache else CauseKind.FIRST
        return tuple(Cause(step.name, kind, (), step.duration_ms) for step, _ in ran)
    changes = _Changes(previous, current)
    causes = []
    for step, inputs in ran:
        kind, names = changes.own(inputs) or _from_below(inputs, ran) or changes.image(inputs) or (CauseKind.GONE, ())
        causes.append(Cause(step.name, kind, tuple(names), step.duration_ms))
    return tuple(causes)


def _from_below(inputs: StepInputs, ran: Iterable[tuple[Step, StepInputs]]) -> tuple[CauseKind, tuple[str, ...]] | None:
    """The step to blame among those that this one builds on: the last run in its stage, or one it copies from."""
    in_stage = [step for step, other in ran if other.stage == inputs.stage and other.line < inputs.line]
    if in_stage:
        return CauseKind.PARENT, (in_stage[-1].name,)
    from_others = [step for step, other in ran if other.stage in inputs.stages]
    return (CauseKind.PARENT, (from_others[-1].name,)) if from_others else None


class _Changes:
    """What differs between two builds."""

    def __init__(self, previous: BuildInputs, current: BuildInputs) -> None:
        self._previous = previous
        self._current = current
        self._files: tuple[str, ...] | None = None
        counts: dict[tuple[int, str], int] = {}
        self._counterparts: dict[int, StepInputs] = {}
        earlier: dict[tuple[int, str], list[StepInputs]] = {}
        for inputs in previous.steps:
            earlier.setdefault((inputs.stage, inputs.text), []).append(inputs)
        for inputs in current.steps:  # the n-th of several equal instructions belongs to the n-th of before
            key = (inputs.stage, inputs.text)
            number = counts[key] = counts.get(key, -1) + 1
            if number < len(earlier.get(key, ())):
                self._counterparts[inputs.line] = earlier[key][number]

    def own(self, inputs: StepInputs) -> tuple[CauseKind, Sequence[str]] | None:
        """What changed about the step itself; None where nothing did."""
        before = self._counterparts.get(inputs.line)
        if before is None:
            return CauseKind.INSTRUCTION, (f"{self._current.dockerfile}:{inputs.line}",)
        if files := [path for path in self._changed_files() if any(takes(source, path) for source in inputs.sources)]:
            return CauseKind.FILES, files
        names = before.variables.keys() | inputs.variables.keys()
        if changed := sorted(n for n in names if before.variables.get(n) != inputs.variables.get(n)):
            return CauseKind.ARGUMENT, changed
        return None

    def image(self, inputs: StepInputs) -> tuple[CauseKind, Sequence[str]] | None:
        """An image that the step stands on or takes from, and that is another one now."""
        stages, waiting = set[int](), [inputs.stage]
        by_stage: dict[int, list[StepInputs]] = {}
        for step in self._current.steps:
            by_stage.setdefault(step.stage, []).append(step)
        while waiting:
            stage = waiting.pop()
            if stage not in stages:
                stages.add(stage)
                waiting.extend(other for step in by_stage.get(stage, ()) for other in step.stages)
        names = dict.fromkeys(name for stage in stages for step in by_stage.get(stage, ()) for name in step.images)
        changed = [
            name
            for name in names
            if name in self._current.images and self._previous.images.get(name) != self._current.images[name]
        ]
        return (CauseKind.BASE, changed) if changed else None

    def _changed_files(self) -> tuple[str, ...]:
        if self._files is None:
            before, now = self._previous.files, self._current.files
            differing = dict(before.items() ^ now.items())
            self._files = tuple(sorted(differing))
        return self._files
