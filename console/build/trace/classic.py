"""Reads what the engine's classic builder says: `POST /build?version=1`.

Protocol: moby, builder/dockerfile (dispatchers.go, evaluator.go, internals.go): JSON messages whose `stream` holds one
announcement (`Step 2/5 : RUN x`, ` ---> Using cache`, ` ---> Running in …`) or a piece of a container's output. Steps
are numbered through the whole file, ARGs before the first FROM included. Standard error comes in bright red.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from console.build.dockerfile import Dockerfile, Instruction
from console.build.dockerfile.step_names import StepNames
from console.build.trace.arrivals import ArrivingSteps, error_of, image_of, text_of
from console.build.trace.updates import StatusUpdate

_STEP = re.compile(r"Step ([0-9]{1,9})/([0-9]{1,9}) : ([^\n]*)\n?")
_TRIGGERS = re.compile(r"# Executing [0-9]+ build trigger.*", re.DOTALL)
_RUNNING = re.compile(r" ---> Running in ([0-9a-f]+)\n")
_REMOVED = re.compile(r"(?: ---> Removed|Removing) intermediate container ([0-9a-f]+)\n")
_MADE = re.compile(r" ---> (?:[0-9a-f]{12})?\n")
_BUILT = re.compile(r"Successfully (?:built|tagged) [^\n]*\n")
_STDERR = re.compile("\x1b\\[91m(.*)\x1b\\[0m", re.DOTALL)
_WARNING = re.compile(r"(?: ---> )?\[Warning\] (.*)", re.DOTALL)


class ClassicTrace:
    """Follows one build by its messages, in their order.

    Args:
        dockerfile: What is built; names the steps.
    """

    def __init__(self, dockerfile: Dockerfile) -> None:
        self._instructions = dockerfile.instructions
        self._steps = ArrivingSteps(StepNames(dockerfile))
        self._number = 0
        self._total = 0
        self._container = ""
        """Of the instruction that runs: what comes meanwhile is its output."""
        self._line_open = False
        """The builder's own line goes on in the next message."""
        self._newest_image = ""
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
        self._newest_image = image_of(message) or self._newest_image
        if text_of(message, "status"):
            self._read_pull(message, at)
        failure, code = error_of(message)
        if failure:
            self.failure = failure
            self._steps.end(at, error=f"exit code: {code}" if code else failure)
            self._container = ""
        return self._steps.update()

    def _read_stream(self, text: str, at: float) -> None:
        if self._line_open:
            self._line_open = not text.endswith("\n")
        elif (step := _STEP.fullmatch(text)) and self._is_next(int(step[1]), int(step[2])):
            self._line_open = not text.endswith("\n")
            self._begin(step[3], at)
        elif self._container:
            self._read_output(text, at)
        elif running := _RUNNING.fullmatch(text):
            self._container = running[1]
        elif text == " ---> Using cache\n":
            self._steps.end(at, cached=True)
        elif _TRIGGERS.fullmatch(text):
            self._line_open = not text.endswith("\n")
            self._steps.begin("[internal] ONBUILD triggers of the base image", at)
        elif _BUILT.fullmatch(text):
            self._steps.end(at)
            self.image_id = self._newest_image
        elif _MADE.fullmatch(text):
            self._steps.end(at)
        elif not _REMOVED.fullmatch(text):
            self._read_output(text, at)

    def _is_next(self, number: int, total: int) -> bool:
        """Otherwise the line is output of a builder that runs inside the build."""
        return number == self._number + 1 and total == (self._total or total)

    def _begin(self, text: str, at: float) -> None:
        instruction: Instruction | None = None
        if self._number < len(self._instructions):
            instruction = self._instructions[self._number]
            if instruction.keyword != text.partition(" ")[0].upper():
                instruction = None
        self._number += 1
        self._container = ""
        stage = instruction.stage if instruction is not None else -1
        self._steps.begin_instruction(stage, instruction, text, at)

    def _read_output(self, text: str, at: float) -> None:
        removed = _REMOVED.fullmatch(text)
        if removed and removed[1] == self._container:
            self._container = ""
            return
        if self._container and _MADE.fullmatch(text):  # the container is kept
            self._container = ""
            self._steps.end(at)
            return
        red = _STDERR.fullmatch(text)
        bare = red[1] if red else text
        warning = None if self._container else _WARNING.fullmatch(bare)
        if warning:
            self._steps.warn(warning[1].strip())
        else:
            self._steps.log(bare, 2 if red else 1, at)

    def _read_pull(self, message: Mapping[str, Any], at: float) -> None:
        """A layer of the base image: `{"status": "Downloading", "id": …, "progressDetail": {"current": …}}`."""
        shown = f"{text_of(message, 'status')} {text_of(message, 'id')}".strip()
        sizes = message.get("progressDetail")
        current = total = 0
        if isinstance(sizes, Mapping) and shown.startswith("Downloading "):
            current, total = (
                size if isinstance(size, int) else 0 for size in (sizes.get("current"), sizes.get("total"))
            )
        self._steps.progress(shown, shown, at, current, total)
