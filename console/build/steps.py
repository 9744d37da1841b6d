"""From trace messages to steps: intervals merged, logs put together, names read.

The rules follow BuildKit's own display (util/progress/progressui): a vertex is known by its digest, reports any number
of intervals, may be reported again after it ended, and its time is the union of its intervals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from console.build.trace import StatusUpdate, Vertex, VertexLog
from console.model import Interval, Step, StepKind, StepStatus, Stream

_NAME = re.compile(r"\[(?:(?P<label>[^\] ][^\]]*?) +)? *(?P<number>\d+)/(?P<total>\d+)\] (?P<text>.*)", re.DOTALL)
_LINE_END = re.compile(rb"\r\n|\n")
_LONGEST_LINE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class StepLog:
    """Whole lines of one step's output."""

    step: str
    """The step's name."""
    stream: Stream
    lines: tuple[str, ...]


def merged(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """The union of intervals, in order, without overlap."""
    result: list[Interval] = []
    for start, end in sorted(intervals):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return tuple(result)


@dataclass(slots=True)
class _Progress:
    """What is known of one vertex so far."""

    digest: str
    order: int
    name: str = ""
    cached: bool = False
    error: str = ""
    spans: dict[float, float | None] = field(default_factory=dict)
    """Start → end; None while it runs."""
    detail: str = ""
    current: int = 0
    total: int = 0
    pending: dict[int, bytes] = field(default_factory=dict)
    """Output after the last line end, per stream."""

    def take(self, vertex: Vertex) -> None:
        self.name = vertex.name or self.name
        self.cached = self.cached or vertex.cached
        self.error = vertex.error or self.error
        if vertex.started is not None and (vertex.completed is not None or vertex.started not in self.spans):
            self.spans[vertex.started] = vertex.completed

    def status(self) -> StepStatus:
        if self.error:
            return StepStatus.CANCELLED if "context canceled" in self.error else StepStatus.FAILED
        if not self.spans:
            return StepStatus.PENDING
        if any(end is None for end in self.spans.values()):
            return StepStatus.RUNNING
        return StepStatus.CACHED if self.cached else StepStatus.DONE


class StepTracker:
    """Follows one build.

    Args:
        stage_of: Puts a step's name under a row of the comparison.
        line_of: Finds an instruction's line by Dockerfile stage, number within it and text; 0 where it cannot.
    """

    def __init__(
        self,
        stage_of: Callable[[str], str] = lambda _name: "",
        line_of: Callable[[str, int, str], int] = lambda _label, _number, _text: 0,
    ) -> None:
        self._stage_of = stage_of
        self._line_of = line_of
        self._progress: dict[str, _Progress] = {}
        self._known: dict[str, Step] = {}

    def apply(self, update: StatusUpdate) -> tuple[list[Step], list[StepLog]]:
        """Takes one message; gives the steps that look different now, and the lines that are complete now."""
        touched: dict[str, _Progress] = {}
        for vertex in update.vertexes:
            progress = self._progress.get(vertex.digest)
            if progress is None:
                progress = self._progress[vertex.digest] = _Progress(vertex.digest, len(self._progress))
            progress.take(vertex)
            touched[vertex.digest] = progress
        for status in update.statuses:
            progress = self._progress.get(status.vertex)
            if progress is None:
                continue
            progress.detail = status.name or status.id
            progress.current, progress.total = status.current, status.total
            touched[status.vertex] = progress
        changed = []
        for digest, progress in touched.items():
            step = self._step(progress)
            if step.name and step != self._known.get(digest):
                self._known[digest] = step
                changed.append(step)
        logs = [log for log in map(self._take_log, update.logs) if log is not None]
        return changed, logs

    def finish(self) -> list[StepLog]:
        """The lines that were left without an end."""
        rest = []
        for progress in self._progress.values():
            for stream, text in progress.pending.items():
                if text:
                    rest.append(StepLog(progress.name, _stream(stream), (_text(text),)))
            progress.pending.clear()
        return rest

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step, in the order in which they began; those that never did come last, by position."""
        far = float("inf")
        order = {digest: progress.order for digest, progress in self._progress.items()}
        return tuple(
            sorted(
                self._known.values(),
                key=lambda step: (step.started_at if step.started_at is not None else far, step.number, order[step.id]),
            )
        )

    def _step(self, progress: _Progress) -> Step:
        spans = merged((start, end) for start, end in progress.spans.items() if end is not None)
        match = _NAME.fullmatch(progress.name)
        label, number, total, line = "", 0, 0, 0
        if match is not None:
            label, number, total = match["label"] or "", int(match["number"]), int(match["total"])
            line = self._line_of(label, number, match["text"])
        return Step(
            id=progress.digest,
            name=progress.name,
            kind=_kind(progress.name, match is not None),
            status=progress.status(),
            number=number,
            total=total,
            stage_label=label,
            started_at=min(progress.spans, default=None),
            duration_ms=sum(end - start for start, end in spans) * 1000,
            intervals=spans,
            current_bytes=progress.current,
            total_bytes=progress.total,
            detail=progress.detail,
            error=progress.error,
            line=line,
            stage=self._stage_of(progress.name),
        )

    def _take_log(self, log: VertexLog) -> StepLog | None:
        progress = self._progress.get(log.vertex)
        if progress is None:
            return None
        *lines, rest = _LINE_END.split(progress.pending.get(log.stream, b"") + log.message)
        if len(rest) > _LONGEST_LINE_BYTES:
            lines.append(rest)
            rest = b""
        progress.pending[log.stream] = rest
        if not lines:
            return None
        return StepLog(progress.name, _stream(log.stream), tuple(_text(line) for line in lines))


def _kind(name: str, numbered: bool) -> StepKind:
    if numbered:
        return StepKind.INSTRUCTION
    return StepKind.EXPORT if name.startswith("exporting") else StepKind.INTERNAL


def _stream(number: int) -> Stream:
    return "stderr" if number == 2 else "stdout"


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")
