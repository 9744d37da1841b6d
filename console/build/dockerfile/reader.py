"""A Dockerfile as the builder understands it: stages, what they are built on, and what they need.

On the model of BuildKit's frontend/dockerfile/dockerfile2llb/convert.go. Reading the text is the part of
`instructions`, following variables that of `stage_inputs`.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from types import MappingProxyType

from console.build.dockerfile.instructions import Instruction, read_instructions
from console.build.dockerfile.shell_words import ShellLexer, SubstitutionError, UnknownVariableError, nothing_set
from console.build.dockerfile.stage_inputs import (
    EVERYTHING,
    Credential,
    Scope,
    StageInputs,
    global_scope,
    read_inputs,
    stage_scope,
)
from console.errors import DockerfileError

_SCRATCH = "scratch"
_NO_ARGS: Mapping[str, str] = MappingProxyType({})
_NUMBERED = frozenset({"ADD", "COPY", "RUN", "WORKDIR"})


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage, from its FROM to the next."""

    index: int
    name: str
    """In lower case; empty where it has none."""
    image: str
    """What it is built on, variables replaced; as written where they cannot be known before the build."""
    parent_stage: int | None
    """The earlier stage that `image` names; None where it is an image."""
    instructions: tuple[Instruction, ...]
    """Its FROM first."""
    line: int


@dataclass(frozen=True, slots=True)
class _Needs:
    """What a stage takes, with names resolved."""

    stages: tuple[int, ...]
    images: tuple[str, ...]
    paths: tuple[str, ...]
    credentials: tuple[Credential, ...]


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A Dockerfile, read with certain build arguments."""

    path: str
    """As given, for messages."""
    stages: tuple[Stage, ...]
    global_args: tuple[tuple[str, str], ...]
    """The ARGs before the first FROM that have a value."""
    escape: str
    instructions: tuple[Instruction, ...]
    syntax: str = ""
    """The frontend that `# syntax=` asks for; empty for the engine's own."""
    lines: tuple[str, ...] = field(default=(), repr=False)
    _needs: tuple[_Needs, ...] = field(default=(), repr=False)

    def needed_stages(self, target: str | None = None) -> tuple[Stage, ...]:
        """The target (default: the last stage) and every stage that its build takes something from, in file order.

        Raises:
            DockerfileError: If there is no such target.
        """
        waiting = [self._target(target)]
        needed = set(waiting)
        while waiting:
            for index in self._needs[waiting.pop()].stages:
                if index not in needed:
                    needed.add(index)
                    waiting.append(index)
        return tuple(self.stages[index] for index in sorted(needed))

    def context_sources(self, target: str | None = None) -> tuple[str, ...]:
        """The paths and globs of the build context that a build of the target reads.

        They are clean, relative and with `/`; globs are those of Go's filepath.Match, with COPY --parents also `**`.
        Where everything may be read, or it cannot be told, that is `(".",)`. An ONBUILD counts in the stages of this
        file that it is triggered in.

        Raises:
            DockerfileError: If there is no such target.
        """
        paths = {path for stage in self.needed_stages(target) for path in self._needs[stage.index].paths}
        return (EVERYTHING,) if EVERYTHING in paths else tuple(sorted(paths))

    def base_images(self, target: str | None = None) -> tuple[str, ...]:
        """The images that a build of the target starts from or copies from, in the order of their first use.

        Raises:
            DockerfileError: If there is no such target.
        """
        images = (image for stage in self.needed_stages(target) for image in self._needs[stage.index].images)
        return tuple(dict.fromkeys(images))

    def root(self, target: str | None = None) -> Stage:
        """The stage whose image the target stands on: itself, or an earlier one that it is built on.

        Raises:
            DockerfileError: If there is no such target.
        """
        stage = self.stages[self._target(target)]
        while stage.parent_stage is not None:
            stage = self.stages[stage.parent_stage]
        return stage

    def declared_args(self) -> frozenset[str]:
        """The names of all build arguments that it declares."""
        arguments = (one for one in self.instructions if one.keyword == "ARG")
        return frozenset(word.partition("=")[0] for one in arguments for word in one.words)

    def credentials(self, target: str | None = None) -> tuple[Credential, ...]:
        """The build secrets and SSH agents that a build of the target asks for, in the order of the Dockerfile.

        Raises:
            DockerfileError: If there is no such target.
        """
        return tuple(one for stage in self.needed_stages(target) for one in self._needs[stage.index].credentials)

    def step_instruction(self, stage_label: str, number: int, text: str) -> Instruction | None:
        """The instruction behind a step that the engine calls `[stage_label number/total] text`.

        Args:
            stage_label: A stage's name or `stage-N`, perhaps after a platform; empty where the file has one stage.
            number: 1-based, over FROM (of an image), RUN, COPY, ADD and WORKDIR.
            text: The instruction as the engine shows it: variables may be replaced, a heredoc summarised.

        Triggers of the base image shift the numbers, so an instruction with just this text goes first.
        """
        text = _collapsed(text.removeprefix("LINK ").removeprefix("ONBUILD "))
        stage = self._stage_of_label(stage_label)
        numbered = list(self.numbered(stage)) if stage is not None else []
        at_number = numbered[number - 1 : number] if number > 0 else []
        others = numbered if stage is not None else [one for each in self.stages for one in self.numbered(each)]
        for instruction in [*at_number, *others]:
            if _shown_as(instruction, text):
                return instruction
        return next((one for one in at_number if one.keyword == text.partition(" ")[0]), None)

    def line_of(self, stage_label: str, number: int, text: str) -> int:
        """The line where `step_instruction` begins; 0 where there is none."""
        instruction = self.step_instruction(stage_label, number, text)
        return instruction.line if instruction is not None else 0

    def source_of(self, line: int) -> tuple[str, ...]:
        """The lines of the instruction that stands at a line, as they are written."""
        for instruction in self.instructions:
            if instruction.line <= line <= instruction.end_line:
                return self.lines[instruction.line - 1 : instruction.end_line]
        return self.lines[max(line - 1, 0) : max(line, 0)]

    def _target(self, target: str | None) -> int:
        if not target:
            return len(self.stages) - 1
        named = _named(self.stages)
        if target.lower() in named:
            return named[target.lower()]
        near = difflib.get_close_matches(target.lower(), named, n=1)
        known = f"the stages are: {', '.join(named)}" if named else "no stage here has a name"
        raise DockerfileError(f"{self.path} has no stage {target!r}", f"did you mean {near[0]}?" if near else known)

    def _stage_of_label(self, label: str) -> Stage | None:
        name = label.split()[-1] if label.split() else ""
        if not name:
            return self.stages[0] if len(self.stages) == 1 else None
        index = _named(self.stages).get(name.lower())
        if index is None and (match := re.fullmatch(r"stage-(\d{1,6})", name)):
            index = int(match[1])
        return self.stages[index] if index is not None and index < len(self.stages) else None

    def executed(self, stage: Stage) -> Iterator[Instruction]:
        """What runs in a stage: the triggers of the stage that it is built on, then its own instructions."""
        return _executed(self.stages, stage)

    def origin_stage(self, instruction: Instruction, origin: str) -> int | None:
        """Index of the stage that an instruction's `--from` or `from=` means; None where it means an image."""
        return _origin_stage(_named(self.stages), instruction, origin)

    def numbered(self, stage: Stage) -> Iterator[Instruction]:
        """The instructions that the engine numbers in a stage."""
        if stage.parent_stage is None and stage.image != _SCRATCH:
            yield stage.instructions[0]
        folder = "/" if stage.parent_stage is None and stage.image == _SCRATCH else ""
        for instruction in _executed(self.stages, stage):
            if instruction.keyword == "WORKDIR":
                folder = _work_folder(folder, instruction.arguments, self.escape)
            if instruction.keyword in _NUMBERED and not (instruction.keyword == "WORKDIR" and folder == "/"):
                yield instruction  # the root is always there: WORKDIR / is no step


def read_dockerfile(path: Path, build_args: Mapping[str, str] = _NO_ARGS) -> Dockerfile:
    """Reads a Dockerfile from disk.

    Raises:
        DockerfileError: If it cannot be read, or the engine would refuse it; names file and line.
    """
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise DockerfileError(f"cannot read {path}: {error.strerror}", "check the path in config.toml") from error
    return parse_dockerfile(text, str(path), build_args)


def parse_dockerfile(text: str, path: str, build_args: Mapping[str, str] = _NO_ARGS) -> Dockerfile:
    """Reads a Dockerfile's text; `path` is for messages.

    Args:
        text: The file; a byte order mark and CRLF line ends are fine.
        path: Its name.
        build_args: Override ARG defaults. May hold BuildKit's platform arguments (TARGETARCH and so on), which are
            otherwise unknown.

    Raises:
        DockerfileError: If the engine would refuse it; names file and line.
    """
    source = read_instructions(text, path)
    instructions = source.instructions
    scope = global_scope(source.escape, build_args)
    first = next((number for number, instruction in enumerate(instructions) if instruction.keyword == "FROM"), None)
    if first is None:
        line = instructions[-1].line
        raise DockerfileError(f"{path}:{line}: there is no FROM", "a Dockerfile begins with FROM", line=line)
    for instruction in instructions[:first]:
        try:
            scope.declare(instruction)
        except SubstitutionError as error:
            raise _refused(path, instruction.line, str(error)) from None
    stages = _read_stages(instructions, scope, path)
    names = {word.partition("=")[0] for instruction in instructions[:first] for word in instruction.words}
    global_args = tuple((name, value) for name, value in scope.values.items() if name in names and value is not None)
    needs = _read_needs(stages, scope, path)
    lines = tuple(line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n"))
    return Dockerfile(path, stages, global_args, source.escape, instructions, source.syntax, lines, needs)


def _read_stages(instructions: Sequence[Instruction], scope: Scope, path: str) -> tuple[Stage, ...]:
    stages: list[Stage] = []
    named: dict[str, int] = {}
    for number, members in groupby(instructions, key=lambda instruction: instruction.stage):
        if number < 0:
            continue
        own = tuple(members)
        begin = own[0]
        try:
            image = scope.expand(begin.words[0])
        except UnknownVariableError:
            image = begin.words[0]
        except SubstitutionError as error:
            raise _refused(path, begin.line, str(error)) from None
        if not image:
            hint = "give its ARG a default above the first FROM, or pass a build argument"
            raise _refused(path, begin.line, f"FROM {begin.words[0]} comes out empty", hint)
        name = begin.words[2].lower() if len(begin.words) == 3 else ""
        stages.append(Stage(number, name, image, named.get(image), own, begin.line))
        if name:
            named[name] = number
    return tuple(stages)


def _read_needs(stages: tuple[Stage, ...], defaults: Scope, path: str) -> tuple[_Needs, ...]:
    needs: list[_Needs] = []
    ends: list[Scope] = []
    named = _named(stages)
    for stage in stages:
        parent = ends[stage.parent_stage] if stage.parent_stage is not None else None
        scope = stage_scope(defaults, parent, scratch=stage.image == _SCRATCH)
        inputs = read_inputs(list(_executed(stages, stage)), scope)
        ends.append(scope)
        needs.append(_resolved(stages, named, stage, inputs, path))
    return tuple(needs)


def _resolved(
    stages: Sequence[Stage], named: Mapping[str, int], stage: Stage, inputs: StageInputs, path: str
) -> _Needs:
    """Names turned into stages and images."""
    reached: list[int] = []
    images: list[str] = []
    if stage.parent_stage is not None:
        reached.append(stage.parent_stage)
    elif "$" in stage.image:  # any earlier stage that the variable can make of it
        fixed = stage.image.partition("$")[0]
        reached.extend(one.index for one in stages[: stage.index] if one.name and one.name.startswith(fixed))
    if stage.parent_stage is None and not reached:
        images.append(stage.image)
    for origin, instruction in inputs.origins:
        if "$" in origin:
            hint = "name the image in a stage of its own (FROM … AS name) and copy from that"
            raise _refused(path, instruction.line, f"from={origin} cannot hold a variable", hint)
        index = _origin_stage(named, instruction, origin)
        if index is None:
            images.append(origin)
        elif index < stage.index:
            reached.append(index)
        else:
            hint = "a stage can only take from stages above it"
            raise _refused(path, instruction.line, f"from={origin} is no stage above this one", hint)
    kept = tuple(image for image in dict.fromkeys(images) if image != _SCRATCH)
    return _Needs(tuple(dict.fromkeys(reached)), kept, inputs.paths, inputs.credentials)


def _origin_stage(named: Mapping[str, int], instruction: Instruction, origin: str) -> int | None:
    """Index of the stage that is meant, which need not exist; None where an image is meant."""
    index = named.get(origin.lower())
    # a mount's from= takes no stage's number
    if index is None and instruction.keyword == "COPY" and re.fullmatch(r"[0-9]{1,8}", origin):
        index = int(origin)
    return index


def _executed(stages: Sequence[Stage], stage: Stage) -> Iterator[Instruction]:
    """What runs in a stage: the triggers of the stage that it is built on, then its own instructions."""
    if stage.parent_stage is not None:
        for instruction in stages[stage.parent_stage].instructions:
            if instruction.trigger is not None:
                yield instruction.trigger
    yield from stage.instructions


def _work_folder(folder: str, text: str, escape: str) -> str:
    """Where a WORKDIR leads from a folder; empty where that cannot be told, as with the one of the base image."""
    try:
        path = ShellLexer(escape, skip_unset=True).expand(text, nothing_set)
    except SubstitutionError:
        return ""
    if "$" in path or not (folder or path.startswith("/")):
        return ""
    return "/" + posixpath.normpath(posixpath.join("/", folder, path)).lstrip("/")


def _named(stages: Iterable[Stage]) -> dict[str, int]:
    """Stage names; of two of the same name the later counts."""
    return {stage.name: stage.index for stage in stages if stage.name}


def _refused(path: str, line: int, message: str, hint: str = "") -> DockerfileError:
    return DockerfileError(f"{path}:{line}: {message}", hint, line=line)


def _shown_as(instruction: Instruction, text: str) -> bool:
    """Whether the engine's (collapsed) text for a step is this instruction, apart from replaced variables."""
    own = _collapsed(instruction.text)
    return text == own or (bool(instruction.heredocs) and text.startswith(f"{own} ("))


def _collapsed(text: str) -> str:
    keyword, _, rest = " ".join(text.split()).partition(" ")
    return f"{keyword.upper()} {rest}"
