"""What each step of a build depends on besides the step before it: its text, variables, files, stages and images."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field

from console.build.dockerfile.instructions import Instruction
from console.build.dockerfile.reader import Dockerfile
from console.build.dockerfile.shell_words import SubstitutionError
from console.build.dockerfile.stage_inputs import Scope, global_scope, read_inputs, stage_scope


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
    settings: Mapping[str, str] = field(default_factory=dict)
    """What instructions above it, in the stages below too, set for it: of a RUN `SHELL`, `USER` and `WORKDIR`, of ADD
    and COPY `WORKDIR`. What an image sets is left out."""
    stage_name: str = ""
    built_on: str = ""
    """What its FROM names: a stage or an image."""
    parent_stage: int | None = None
    """The nearest stage below its own that has steps; None where there is none."""


def step_inputs(dockerfile: Dockerfile, build_args: Mapping[str, str], target: str = "") -> tuple[StepInputs, ...]:
    """Everything that can make a step of the target run again, in the order of the Dockerfile.

    Raises:
        DockerfileError: If there is no such target.
    """
    scopes: list[Scope] = []
    settings: list[dict[str, str]] = []
    with_steps: list[int | None] = []
    """Per stage: itself, or the nearest below it that has steps."""
    needed = {stage.index for stage in dockerfile.needed_stages(target or None)}
    defaults = global_scope(dockerfile.escape, build_args)
    defaults.values.update(dict(dockerfile.global_args))
    found: list[StepInputs] = []
    for stage in dockerfile.stages:
        parent = stage.parent_stage
        scope = stage_scope(defaults, None if parent is None else scopes[parent], scratch=stage.image == "scratch")
        now = {} if parent is None else dict(settings[parent])
        scopes.append(scope)
        settings.append(now)
        numbered = {id(instruction) for instruction in dockerfile.numbered(stage)}
        below = None if parent is None else with_steps[parent]
        with_steps.append(stage.index if numbered else below)
        for instruction in dockerfile.executed(stage):
            inputs = read_inputs([instruction], scope)  # follows ARG and ENV, too
            if stage.index in needed and id(instruction) in numbered:
                origins = [(name, dockerfile.origin_stage(instruction, name)) for name, _ in inputs.origins]
                images = [name for name, place in origins if place is None]
                found.append(
                    StepInputs(
                        stage.index,
                        instruction.line,
                        " ".join(instruction.text.split()),
                        _seen(instruction, scope),
                        inputs.paths,
                        tuple(place for _, place in origins if place is not None),
                        (*images, stage.image) if instruction.keyword == "FROM" else tuple(images),
                        {name: now[name] for name in _settings_of(instruction) if name in now},
                        stage.name,
                        stage.image,
                        below,
                    )
                )
            _set(instruction, scope, now)
    return tuple(found)


def _seen(instruction: Instruction, scope: Scope) -> Mapping[str, str]:
    known = {name: value for name, value in scope.values.items() if value is not None}
    if instruction.keyword == "RUN":
        return known
    text = instruction.text
    return {name: value for name, value in known.items() if f"${name}" in text or f"${{{name}" in text}


def _settings_of(instruction: Instruction) -> tuple[str, ...]:
    """Which settings make a difference to a step."""
    if instruction.keyword == "RUN":
        return ("USER", "WORKDIR") if instruction.json_form else ("SHELL", "USER", "WORKDIR")
    return ("WORKDIR",) if instruction.keyword in {"ADD", "COPY"} else ()


def _set(instruction: Instruction, scope: Scope, settings: dict[str, str]) -> None:
    """Takes note of what an instruction sets for those after it."""
    if instruction.keyword == "SHELL":
        settings["SHELL"] = instruction.arguments
    elif instruction.keyword in {"USER", "WORKDIR"}:
        try:
            value = scope.expand(instruction.words[0])
        except SubstitutionError:
            value = instruction.words[0]
        if instruction.keyword == "WORKDIR":
            value = posixpath.normpath(posixpath.join(settings.get("WORKDIR", ""), value))
        settings[instruction.keyword] = value
