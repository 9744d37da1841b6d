"""Steps of builders that tell no times: a step is what comes between two announcements, at the time of their arrival.

Both the classic builder and buildah run one instruction after the other and tell of each as it begins. What BuildKit
shows no step for (ENV, LABEL, CMD …) still takes time there, a container or a layer each: it counts under one step,
`SETTINGS`, so that the steps add up to the build.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from console.build.dockerfile.instructions import Instruction
from console.build.dockerfile.step_names import StepNames
from console.build.trace.updates import StatusUpdate, TraceError, Vertex, VertexLog, VertexStatus, VertexWarning

SETTINGS = "[internal] write image settings"
EXPORT = "exporting to image"

_SHOWN = frozenset({"ADD", "COPY", "FROM", "RUN", "WORKDIR"})


class ArrivingSteps:
    """Makes one builder's announcements into trace messages; a step's name is its digest."""

    def __init__(self, names: StepNames) -> None:
        self._names = names
        self._name = ""
        self._started = 0.0
        self._vertexes: list[Vertex] = []
        self._statuses: list[VertexStatus] = []
        self._logs: list[VertexLog] = []
        self._warnings: list[VertexWarning] = []

    def begin_instruction(self, stage: int, instruction: Instruction | None, text: str, at: float) -> None:
        """The step before is over.

        Args:
            stage: Index of the stage that it runs in.
            instruction: Of the Dockerfile; None where the builder added it (a label) or took it from the base image.
            text: What the builder shows.
            at: Seconds since 1970.
        """
        keyword = text.partition(" ")[0].upper()
        name = self._names.name_of(stage, instruction) if instruction is not None else ""
        if name or (instruction is None and keyword in _SHOWN):
            self.begin(name or f"[internal] {text}", at)
        elif keyword == "FROM":
            self.end(at)  # of an earlier stage, or scratch: nothing is done
        else:
            self.begin(SETTINGS, at)
            self.progress(text, text, at)

    def begin(self, name: str, at: float) -> None:
        self.end(at)
        self._name, self._started = name, at
        self._report(None)

    def end(self, at: float, *, cached: bool = False, error: str = "") -> None:
        """The running step is over; nothing happens where none runs."""
        if self._name:
            # of the settings some may be cached and some not
            self._report(at, cached=cached and self._name != SETTINGS, error=error)
            self._name = ""

    def log(self, text: str, stream: int, at: float) -> None:
        self._logs.append(VertexLog(self._name, stream, text.encode("utf-8", "replace"), at))

    def progress(self, part: str, text: str, at: float, current: int = 0, total: int = 0) -> None:
        """How far a part of the running step is; `part` tells it from others."""
        self._statuses.append(VertexStatus(part, self._name, text, current, total, self._started, None, at))

    def warn(self, text: str) -> None:
        self._warnings.append(VertexWarning(self._name, text))

    def update(self) -> StatusUpdate:
        """Everything since the last call."""
        update = StatusUpdate(tuple(self._vertexes), tuple(self._statuses), tuple(self._logs), tuple(self._warnings))
        for told in (self._vertexes, self._statuses, self._logs, self._warnings):
            told.clear()
        return update

    def _report(self, completed: float | None, *, cached: bool = False, error: str = "") -> None:
        name = self._name
        self._vertexes.append(Vertex(name, name, cached, self._started, completed, error, exact=False))


def text_of(message: Mapping[str, Any], key: str) -> str:
    """A string of a message, empty where there is none.

    Raises:
        TraceError: If something else stands there.
    """
    value = message.get(key) or ""
    if not isinstance(value, str):
        raise TraceError(f"{key} is {value!r:.80}")
    return value


def error_of(message: Mapping[str, Any]) -> tuple[str, int]:
    """What a message says went wrong, and the exit code; empty and 0 where it does not."""
    detail = message.get("errorDetail")
    if not isinstance(detail, Mapping):
        return text_of(message, "error").strip(), 0
    code = detail.get("code")
    text = text_of(detail, "message") or text_of(message, "error")
    return text.strip(), code if isinstance(code, int) else 0


def image_of(message: Mapping[str, Any]) -> str:
    """The image's ID that a message tells; empty where it does not."""
    told = message.get("aux")
    return text_of(told, "ID") if isinstance(told, Mapping) else ""
