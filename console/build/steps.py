"""From trace messages to steps: intervals merged, logs put together, names read.

The rules follow BuildKit's own display (util/progress/progressui): a vertex is known by its digest, reports any number
of intervals, may be reported again after it ended, and its time is the union of its intervals. In which order the
messages come makes no difference to the steps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby

from console.build.trace.nodes import Lines, Node, age, error_of, status_of
from console.build.trace.updates import StatusUpdate, VertexWarning
from console.model import BuildWarning, Interval, Step, StepKind, Stream

_NAME = re.compile(
    r"\[(?:(?P<label>[^\] ][^\]]*?) +)? *(?P<number>[0-9]{1,9})/(?P<total>[0-9]{1,9})\] (?P<text>.*)", re.DOTALL
)
_KIND_ORDER = (StepKind.INTERNAL, StepKind.INSTRUCTION, StepKind.EXPORT)


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


class StepTracker:
    """Follows one build.

    Args:
        stage_of: Puts a step's name under a row of the comparison.
        line_of: Finds an instruction's line by Dockerfile stage, number within it and text; 0 where it cannot.
        dockerfile: What warnings are about, as people know it.
    """

    def __init__(
        self,
        stage_of: Callable[[str], str] = lambda _name: "",
        line_of: Callable[[str, int, str], int] = lambda _label, _number, _text: 0,
        dockerfile: str = "",
    ) -> None:
        self._stage_of = stage_of
        self._line_of = line_of
        self._dockerfile = dockerfile
        self._nodes: dict[str, Node] = {}
        self._grouped: dict[str, dict[str, None]] = {}
        """Digests by the key of the group that they are shown as."""
        self._steps: dict[str, Step] = {}
        self._places: dict[str, _Place] = {}
        self._warnings: dict[BuildWarning, None] = {}

    def apply(self, update: StatusUpdate) -> tuple[list[Step], list[StepLog]]:
        """Takes one message; gives the steps that look different now, and the lines that are complete now."""
        touched: dict[str, None] = {}
        for vertex in update.vertexes:
            self._node(vertex.digest).take(vertex)
            if vertex.group is not None:
                self._steps.pop(vertex.digest, None)
                self._grouped.setdefault(vertex.group.key, {})[vertex.digest] = None
            touched[vertex.digest] = None
        for status in update.statuses:
            self._node(status.vertex).take_status(status)
            touched[status.vertex] = None
        for warning in update.warnings:
            self._warnings[self._warning(warning)] = None
        changed: dict[str, Step] = {}
        for digest in touched:
            step = self._step(digest)
            if step is not None and step != self._steps.get(step.id):
                self._steps[step.id] = changed[step.id] = step
        for log in update.logs:
            self._node(log.vertex).take_log(log)
            touched[log.vertex] = None
        logs = [log for digest in touched for log in self._released(self._nodes[digest])]
        return list(changed.values()), logs

    def finish(self) -> list[StepLog]:
        """The lines that were left: those without an end, and those of steps that never got a name."""
        rest: list[StepLog] = []
        for node in self._nodes.values():
            node.end_output()
            rest += _parted(node.name, node.take_held())
        return rest

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step, in the order in which they began; those that never did come last."""
        return tuple(sorted(self._steps.values(), key=_position))

    @property
    def warnings(self) -> tuple[BuildWarning, ...]:
        """The builder's remarks, each once, in the order in which they came."""
        return tuple(self._warnings)

    def _node(self, digest: str) -> Node:
        node = self._nodes.get(digest)
        if node is None:
            node = self._nodes[digest] = Node()
        return node

    def _step(self, digest: str) -> Step | None:
        """The step that a vertex is shown as; None while it has no name."""
        node = self._nodes[digest]
        if not node.name:
            return None
        nodes = [node]
        if node.group is not None:
            digest = node.group.key
            nodes = [self._nodes[member] for member in self._grouped[digest]]
        place = self._places.get(node.name)
        if place is None:
            place = self._places[node.name] = _place(node.name, self._stage_of, self._line_of)
        starts = [start for node in nodes for start in node.spans]
        spans = merged((start, end) for node in nodes for start, end in node.spans.items() if end is not None)
        statuses = [status for node in nodes for status in node.statuses.values()]
        newest = max(statuses, key=age, default=None)
        sized = [status for status in statuses if status.total] or ([newest] if newest is not None else [])
        return Step(
            id=digest,
            name=node.name,
            kind=place.kind,
            status=status_of(nodes),
            number=place.number,
            total=place.total,
            stage_label=place.label,
            started_at=min(starts, default=None),
            duration_ms=sum(end - start for start, end in spans) * 1000,
            intervals=spans,
            current_bytes=sum(status.current for status in sized),
            total_bytes=sum(status.total for status in sized),
            detail=(newest.name or newest.id) if newest is not None else "",
            error=error_of(nodes),
            line=place.line,
            stage=place.stage,
            exact=all(node.exact for node in nodes),
        )

    def _released(self, node: Node) -> list[StepLog]:
        """The lines that wait, once it is known which step they belong to."""
        return _parted(node.name, node.take_held()) if node.name and node.held else []

    def _warning(self, warning: VertexWarning) -> BuildWarning:
        return BuildWarning(warning.short, warning.detail, warning.url, self._dockerfile, warning.lines)


@dataclass(frozen=True, slots=True)
class _Place:
    """What a step's name tells."""

    kind: StepKind
    stage: str
    label: str = ""
    number: int = 0
    total: int = 0
    line: int = 0


def _place(name: str, stage_of: Callable[[str], str], line_of: Callable[[str, int, str], int]) -> _Place:
    match = _NAME.fullmatch(name)
    if match is None:
        return _Place(StepKind.EXPORT if name.startswith("exporting") else StepKind.INTERNAL, stage_of(name))
    label, number = match["label"] or "", int(match["number"])
    line = line_of(label, number, match["text"])
    return _Place(StepKind.INSTRUCTION, stage_of(name), label, number, int(match["total"]), line)


def _position(step: Step) -> tuple[float, int, int, str, str]:
    started = step.started_at if step.started_at is not None else float("inf")
    return started, _KIND_ORDER.index(step.kind), step.number, step.name, step.id


def _parted(step: str, lines: Lines) -> list[StepLog]:
    """Lines of both streams in their order, neighbours of one stream together."""
    parts = groupby(lines, key=lambda line: line[0])
    return [StepLog(step, stream, tuple(line for _, line in part)) for stream, part in parts]
