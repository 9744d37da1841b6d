"""Reads what Podman says of a build through its Docker API: buildah's announcements, whatever `version` was asked for.

Protocol: containers/buildah, imagebuildah/stage_executor.go: JSON messages whose `stream` holds one announcement
(`STEP 2/3: RUN x`, with `[1/2] ` before it where there are several stages, `--> Using cache …`, `--> …`, `COMMIT …`) or
a piece of output. Steps are numbered within their stage, over all instructions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from console.build.dockerfile import Dockerfile, Instruction, Stage
from console.build.dockerfile.step_names import StepNames
from console.build.trace.arrivals import EXPORT, ArrivingSteps, error_of, image_of, text_of
from console.build.trace.updates import StatusUpdate

_STEP = re.compile(r"(?:\[([0-9]{1,9})/[0-9]{1,9}\] )?STEP ([0-9]{1,9})(?:/[0-9]{1,9})?: ([^\n]*)\n?")
_CACHED = re.compile(r"--> Using cache [0-9a-f]+\n?")
_MADE = re.compile(r"--> (?:[0-9a-f]+)?\n?")
_COMMIT = re.compile(r"(?:\[[0-9]+/[0-9]+\] )?COMMIT(?: [^\n]*)?\n?")
_STEP_IN_ERROR = re.compile(r'building at STEP ".*": ', re.DOTALL)
_ENDED = re.compile(r"(?:Successfully (?:built|tagged) [^\n]*|[0-9a-f]{64})\n?")


class PodmanTrace:
    """Follows one build by its messages, in their order.

    Args:
        dockerfile: What is built; names the steps.
    """

    def __init__(self, dockerfile: Dockerfile) -> None:
        self._stages = [_in_order(dockerfile, stage) for stage in dockerfile.stages]
        self._steps = ArrivingSteps(StepNames(dockerfile))
        self._reached: dict[int, int] = {}
        """The last instruction that began, by stage."""
        self._exported = False
        self.image_id = ""
        """The image, once it is complete."""
        self.failure = ""
        """Why there is none."""

    def read(self, message: Mapping[str, Any], at: float) -> StatusUpdate:
        """Takes one message of the answer.

        Args:
            message: As decoded from JSON; what it holds besides is skipped.
            at: When it arrived, seconds since 1970.

        Raises:
            TraceError: If its parts have other types than they should.
        """
        text = text_of(message, "stream")
        if text:
            self._read_stream(text, at)
        self.image_id = image_of(message) or self.image_id
        failure, _ = error_of(message)
        if failure:
            self.failure = failure
            self._steps.end(at, error=_STEP_IN_ERROR.sub("", failure, count=1))
        return self._steps.update()

    def _read_stream(self, text: str, at: float) -> None:
        if step := _STEP.fullmatch(text):
            stage = int(step[1] or 1) - 1
            self._steps.begin_instruction(stage, self._instruction(stage, int(step[2]) - 1, step[3]), step[3], at)
        elif _COMMIT.fullmatch(text):
            self._steps.begin(EXPORT, at)
            self._exported = True
        elif _CACHED.fullmatch(text):
            self._steps.end(at, cached=True)
        elif _MADE.fullmatch(text):
            self._steps.end(at)
        elif not (self._exported and _ENDED.fullmatch(text)):
            self._steps.log(text, 1, at)

    def _instruction(self, stage: int, position: int, text: str) -> Instruction | None:
        """The instruction that is announced; triggers of a base image shift the positions."""
        if not 0 <= stage < len(self._stages):
            return None
        instructions = self._stages[stage]
        if text.upper().startswith("FROM "):
            self._reached[stage] = 0
            return instructions[0]
        after = self._reached.get(stage, 0) + 1
        for index in range(after, len(instructions)):
            if _shown_as(instructions[index], text):
                self._reached[stage] = index
                return instructions[index]
        if position < len(instructions) and instructions[position].keyword == text.partition(" ")[0].upper():
            return instructions[position]
        return None


def _in_order(dockerfile: Dockerfile, stage: Stage) -> list[Instruction]:
    """What runs in a stage: FROM, the triggers of an earlier stage that it is built on, the rest."""
    executed = list(dockerfile.executed(stage))
    begin = executed.index(stage.instructions[0])
    return [executed[begin], *executed[:begin], *executed[begin + 1 :]]


def _shown_as(instruction: Instruction, text: str) -> bool:
    """Of a heredoc the beginning is shown after the instruction: `RUN <<E (echo)`."""
    own, shown = " ".join(instruction.text.split()), " ".join(text.split())
    return shown == own or (bool(instruction.heredocs) and shown.startswith(f"{own} ("))
