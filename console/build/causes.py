"""Why was this step not cached? The inputs of this build held against those of the last one that succeeded."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from console.build.context.reads import takes
from console.build.dockerfile.step_inputs import StepInputs
from console.model import Cause, CauseKind, Step, StepKind, StepStatus

_COSTLY = ("RUN ", "COPY ", "ADD ")
_MOST_LINKS = 255
"""As many as BuildKit follows."""


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
    links: Mapping[str, str] = field(default_factory=dict)
    """Path of a link in the build context → what it points to."""
    network: str = ""
    platform: str = ""
    """Of the whole build, as config.toml names them."""


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
        kind, names = changes.own(inputs) or changes.from_below(inputs, ran) or changes.around(inputs)
        causes.append(Cause(step.name, kind, tuple(names), step.duration_ms))
    return tuple(causes)


def borrowed(previous: BuildInputs | None, current: BuildInputs, steps: Sequence[Step]) -> tuple[str, ...]:
    """The steps that came from the cache although the last build of the target did not leave them there.

    What they read has changed since, so the cache has them from elsewhere: from a build of another target that begins
    alike, from one that did not come to its end, or from one long ago. What they cost is not in the build's time.

    Args:
        previous: Of the last successful build of the target; None where none is known.
        current: Of this build.
        steps: As this build ended.
    """
    by_line = {inputs.line: inputs for inputs in current.steps}
    cached = [
        (step, by_line[step.line])
        for step in steps
        if step.kind is StepKind.INSTRUCTION and step.cached and step.line in by_line
    ]
    cached = [(step, inputs) for step, inputs in cached if inputs.text.upper().startswith(_COSTLY)]
    if previous is None:
        return tuple(step.name for step, _ in cached)
    changes = _Changes(previous, current)
    return tuple(step.name for step, inputs in cached if changes.own(inputs) or changes.image(inputs))


class _Changes:
    """What differs between two builds."""

    def __init__(self, previous: BuildInputs, current: BuildInputs) -> None:
        self._previous = previous
        self._current = current
        self._files: tuple[str, ...] | None = None
        self._by_stage = _by_stage(current.steps)
        self._sources: dict[str, frozenset[str]] = {}
        earlier = _by_stage(previous.steps)
        same_stages = _same_stages(earlier, self._by_stage)
        self._counterparts: dict[int, StepInputs] = {}
        self._stage_before: dict[int, StepInputs] = {}
        """Any step that a stage had before."""
        for stage, steps in self._by_stage.items():
            if stage not in same_stages:
                continue
            before = earlier[same_stages[stage]]
            self._stage_before[stage] = before[0]
            waiting: dict[str, list[StepInputs]] = {}
            for inputs in before:
                waiting.setdefault(inputs.text, []).append(inputs)
            for inputs in steps:  # the n-th of several equal instructions belongs to the n-th of before
                if waiting.get(inputs.text):
                    self._counterparts[inputs.line] = waiting[inputs.text].pop(0)

    def own(self, inputs: StepInputs) -> tuple[CauseKind, Sequence[str]] | None:
        """What changed about the step itself; None where nothing did."""
        before = self._counterparts.get(inputs.line)
        if before is None:
            return CauseKind.INSTRUCTION, (f"{self._current.dockerfile}:{inputs.line}",)
        if files := [path for path in self._changed_files() if self._reads(inputs, path)]:
            return CauseKind.FILES, files
        names = before.variables.keys() | inputs.variables.keys()
        if changed := sorted(n for n in names if before.variables.get(n) != inputs.variables.get(n)):
            return CauseKind.ARGUMENT, changed
        return None

    def from_below(
        self, inputs: StepInputs, ran: Sequence[tuple[Step, StepInputs]]
    ) -> tuple[CauseKind, Sequence[str]] | None:
        """The step to blame among those that this one builds on: the last run in its stage, or one it copies from, or
        the last run in a stage that its own is built on."""
        in_stage = [step for step, other in ran if other.stage == inputs.stage and other.line < inputs.line]
        if in_stage:
            return CauseKind.PARENT, (in_stage[-1].name,)
        from_others = [step for step, other in ran if other.stage in inputs.stages]
        parent = inputs.parent_stage
        while not from_others and parent is not None:
            from_others = [step for step, other in ran if other.stage == parent]
            parent = next((step.parent_stage for step in self._by_stage.get(parent, ())), None)
        return (CauseKind.PARENT, (from_others[-1].name,)) if from_others else None

    def around(self, inputs: StepInputs) -> tuple[CauseKind, Sequence[str]]:
        """What changed about what the step stands in: settings above it, the build's own, an image or stage."""
        before, now = self._previous, self._current
        settings = self._settings_before(inputs)
        names = settings.keys() | inputs.settings.keys()
        changed = sorted(name for name in names if settings.get(name) != inputs.settings.get(name))
        if inputs.text.upper().startswith("RUN ") and before.network != now.network:
            changed.append("[build] network")
        if before.platform != now.platform:
            changed.append("[build] platform")
        return (CauseKind.ARGUMENT, changed) if changed else self.image(inputs) or (CauseKind.GONE, ())

    def _settings_before(self, inputs: StepInputs) -> Mapping[str, str]:
        counterpart = self._counterparts.get(inputs.line)
        return counterpart.settings if counterpart is not None else inputs.settings

    def image(self, inputs: StepInputs) -> tuple[CauseKind, Sequence[str]] | None:
        """An image or stage that the step stands on or takes from, and that is another one now."""
        stages, waiting = dict[int, None](), [inputs.stage]
        while waiting:
            stage = waiting.pop()
            if stage not in stages:
                stages[stage] = None
                for step in self._by_stage.get(stage, ()):
                    waiting.extend(step.stages)
                    waiting.extend(() if step.parent_stage is None else (step.parent_stage,))
        names = dict.fromkeys(
            name for stage in stages for step in self._by_stage.get(stage, ()) for name in step.images
        )
        images, earlier = self._current.images, self._previous.images
        changed = [name for name in names if name in images and earlier.get(name) != images[name]]
        if not changed:
            changed = [
                self._by_stage[stage][0].built_on
                for stage in stages
                if stage in self._stage_before
                and self._by_stage[stage][0].built_on != self._stage_before[stage].built_on
            ]
        return (CauseKind.BASE, changed) if changed else None

    def _reads(self, inputs: StepInputs, path: str) -> bool:
        for source in inputs.sources:
            if source not in self._sources:
                self._sources[source] = _followed(source, {**self._previous.links, **self._current.links})
            if any(takes(place, path) for place in self._sources[source]):
                return True
        return False

    def _changed_files(self) -> tuple[str, ...]:
        if self._files is None:
            before, now = self._previous.files, self._current.files
            differing = dict(before.items() ^ now.items())
            self._files = tuple(sorted(differing))
        return self._files


def _by_stage(steps: Sequence[StepInputs]) -> dict[int, list[StepInputs]]:
    found: dict[int, list[StepInputs]] = {}
    for step in steps:
        found.setdefault(step.stage, []).append(step)
    return found


def _same_stages(before: Mapping[int, Sequence[StepInputs]], now: Mapping[int, Sequence[StepInputs]]) -> dict[int, int]:
    """Which stage was which before: the one of its name, else the one with the most instructions in common.

    Of equally good ones it is the one as far from the end: stages are mostly inserted above.
    """
    named = {steps[0].stage_name: stage for stage, steps in before.items() if steps[0].stage_name}
    found = {stage: named[steps[0].stage_name] for stage, steps in now.items() if steps[0].stage_name in named}
    texts = {stage: Counter(step.text for step in steps) for stage, steps in before.items()}
    from_end = {stage: len(before) - number for number, stage in enumerate(before)}
    scored = sorted(
        (
            -sum((texts[old] & Counter(step.text for step in steps)).values()),
            abs(from_end[old] - (len(now) - number)),
            new,
            old,
        )
        for number, (new, steps) in enumerate(now.items())
        for old in before
    )
    taken = set(found.values())
    for score, _, new, old in scored:
        if score and new not in found and old not in taken:
            found[new] = old
            taken.add(old)
    return found


def _followed(source: str, links: Mapping[str, str]) -> frozenset[str]:
    """A source and where the links on its way lead; links within a directory that it takes are not followed."""
    found, waiting = {source}, [source]
    while waiting:
        parts = waiting.pop().split("/")
        if parts == ["."]:
            continue
        for link, target in links.items():
            depth = link.count("/") + 1
            if depth > len(parts) or not takes("/".join(parts[:depth]), link):
                continue
            place = posixpath.join("/", posixpath.dirname(link), target, *parts[depth:])
            place = posixpath.normpath(place).lstrip("/") or "."
            if place not in found and len(found) < _MOST_LINKS:
                found.add(place)
                waiting.append(place)
    return frozenset(found)
