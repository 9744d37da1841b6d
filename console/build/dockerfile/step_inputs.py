"""What each step of a build depends on besides the step before it: its text, variables, files, stages and images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from console.build.dockerfile.instructions import Instruction
from console.build.dockerfile.reader import Dockerfile, Stage
from console.build.dockerfile.stage_inputs import Scope, global_scope, read_inputs


@dataclass(frozen=True, slots=True)
class StepInputs:
    """One instruction that the builder shows as a step."""

    stage: int
    line: int
    """Where it stands in the Dockerfile."""
    text: str
    """As it is written, runs of white space collapsed."""
    variables: Mapping[str, str]
    """What it sees: of a RUN every ARG and ENV, of others those that stand in its text; unknown values left out."""
    sources: tuple[str, ...] = ()
    """Paths and globs of the build context that it reads."""
    stages: tuple[int, ...] = ()
    """Other stages that it takes something from."""
    images: tuple[str, ...] = ()
    """Images that it takes something from, or is."""


def step_inputs(dockerfile: Dockerfile, build_args: Mapping[str, str], target: str = "") -> tuple[StepInputs, ...]:
    """Everything that can make a step of the target run again, in the order of the Dockerfile.

    Raises:
        DockerfileError: If there is no such target.
    """
    scopes: dict[int, Scope] = {}
    needed = {stage.index for stage in dockerfile.needed_stages(target or None)}
    defaults = global_scope(dockerfile.escape, build_args)
    defaults.values.update(dict(dockerfile.global_args))
    found: list[StepInputs] = []
    for stage in dockerfile.stages:
        scope = scopes[stage.index] = _begin(stage, scopes, defaults)
        numbered = {id(instruction) for instruction in dockerfile.numbered(stage)}
        for instruction in dockerfile.executed(stage):
            step = _step(dockerfile, stage, instruction, scope)  # follows ARG and ENV, too
            if stage.index in needed and id(instruction) in numbered:
                found.append(step)
    return tuple(found)


def _begin(stage: Stage, scopes: Mapping[int, Scope], defaults: Scope) -> Scope:
    scope = Scope(defaults.escape, {}, on_image=True, build_args=defaults.build_args, defaults=defaults.values)
    if stage.parent_stage is not None:
        scope.values.update(scopes[stage.parent_stage].values)
    return scope


def _step(dockerfile: Dockerfile, stage: Stage, instruction: Instruction, scope: Scope) -> StepInputs:
    inputs = read_inputs([instruction], scope)
    stages: list[int] = []
    images: list[str] = []
    for origin, _ in inputs.origins:
        number = origin.isdecimal() and instruction.keyword != "COPY"  # a mount takes a number for an image's name
        place = None if number else dockerfile.stage_named(origin)
        if place is None:
            images.append(origin)
        else:
            stages.append(place.index)
    if instruction.keyword == "FROM":
        images.append(stage.image)
    text = " ".join(instruction.text.split())
    known = {name: value for name, value in scope.values.items() if value is not None}
    if instruction.keyword != "RUN":
        known = {name: value for name, value in known.items() if _mentions(text, name)}
    sources = inputs.paths if instruction.keyword in {"ADD", "COPY", "RUN"} else ()
    return StepInputs(stage.index, instruction.line, text, known, sources, tuple(stages), tuple(images))


def _mentions(text: str, name: str) -> bool:
    return f"${name}" in text or f"${{{name}" in text
