"""What BuildKit calls the steps of a Dockerfile, for builders that call them otherwise.

After frontend/dockerfile/dockerfile2llb/convert.go: `[stage number/total] INSTRUCTION …` for FROM (of an image), RUN,
COPY, ADD and WORKDIR; no step for anything else. Variables stay as they are written.
"""

from __future__ import annotations

from console.build.dockerfile.instructions import Instruction
from console.build.dockerfile.reader import Dockerfile, Stage

_COUNTED = frozenset({"ADD", "COPY", "RUN", "WORKDIR"})


class StepNames:
    """The names of one Dockerfile's steps."""

    def __init__(self, dockerfile: Dockerfile) -> None:
        self._names: dict[tuple[int, int], str] = {}
        alone = len(dockerfile.stages) == 1 and not _takes_from_elsewhere(dockerfile)
        for stage in dockerfile.stages:
            label = "" if alone else f"{stage.name or f'stage-{stage.index}'} "
            numbered = list(dockerfile.numbered(stage))
            total = _total(dockerfile, stage, numbered)
            for number, instruction in enumerate(numbered, start=1):
                prefix = f"[{label}{number:{len(str(total))}}/{total}] "
                self._names[stage.index, instruction.line] = prefix + _shown(instruction, stage)

    def name_of(self, stage: int, instruction: Instruction) -> str:
        """The step of an instruction that runs in a stage (a trigger does in others); empty where BuildKit shows none.

        Args:
            stage: The stage's index.
            instruction: One of those that the stage executes.
        """
        return self._names.get((stage, instruction.line), "")


def _shown(instruction: Instruction, stage: Stage) -> str:
    if instruction.keyword == "FROM":
        return f"FROM {full_reference(stage.image)}"
    _, _, rest = instruction.text.partition(" ")
    trigger = "ONBUILD " if instruction.line < stage.line else ""
    return f"{trigger}{instruction.keyword} {rest}"


def full_reference(image: str) -> str:
    """An image's name with registry and tag, as BuildKit shows it: `docker.io/library/python:3.11`."""
    if "$" in image:
        return image
    name, at, digest = image.partition("@")
    host, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif not ("." in host or ":" in host or host == "localhost"):
        name = f"docker.io/{name}"
    if not at and ":" not in name.rpartition("/")[2]:
        name += ":latest"
    return f"{name}{at}{digest}"


def _total(dockerfile: Dockerfile, stage: Stage, numbered: list[Instruction]) -> int:
    """What BuildKit counts in advance: `WORKDIR /` too, which then is no step, and every trigger."""
    own = [instruction for instruction in stage.instructions if instruction.keyword in _COUNTED]
    triggers = len(list(dockerfile.executed(stage))) - len(stage.instructions)
    return len(own) + triggers + sum(instruction.keyword == "FROM" for instruction in numbered)


def _takes_from_elsewhere(dockerfile: Dockerfile) -> bool:
    """To BuildKit an image that something is copied from is a stage of its own; of a mount it thinks that, too."""
    return any(
        name == "mount" or (name == "from" and instruction.keyword == "COPY")
        for instruction in dockerfile.instructions
        for name, _ in instruction.flags
    )
