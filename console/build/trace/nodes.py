"""What is known of one vertex so far, gathered from reports that may come in any order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from console.build.trace.lines import OutputLines
from console.build.trace.updates import ProgressGroup, Vertex, VertexLog, VertexStatus
from console.model import StepStatus, Stream

Lines = list[tuple[Stream, str]]


@dataclass(slots=True)
class Node:
    """One vertex; its logs and statuses may come before it does."""

    own_name: str = ""
    group: ProgressGroup | None = None
    cached: bool = False
    exact: bool = True
    errors: set[str] = field(default_factory=set)
    spans: dict[float, float | None] = field(default_factory=dict)
    """Start → end, never before it; None while it runs."""
    statuses: dict[str, VertexStatus] = field(default_factory=dict)
    """The newest of each id."""
    held: Lines = field(default_factory=list)
    """Whole lines of output that nobody was told of yet."""
    _output: dict[Stream, OutputLines] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the step is called; empty as long as that was not said."""
        return self.group.name or self.own_name if self.group is not None else self.own_name

    def take(self, vertex: Vertex) -> None:
        self.own_name = vertex.name or self.own_name
        self.group = vertex.group or self.group
        self.cached = self.cached or vertex.cached
        self.exact = self.exact and vertex.exact
        if vertex.error:
            self.errors.add(vertex.error)
        if vertex.started is not None:
            ends = [end for end in (vertex.completed, self.spans.get(vertex.started)) if end is not None]
            self.spans[vertex.started] = max([vertex.started, *ends]) if ends else None

    def take_status(self, status: VertexStatus) -> None:
        known = self.statuses.get(status.id)
        if known is None or age(known) <= age(status):
            self.statuses[status.id] = status

    def take_log(self, log: VertexLog) -> None:
        stream: Stream = "stderr" if log.stream == 2 else "stdout"
        output = self._output.get(stream)
        if output is None:
            output = self._output[stream] = OutputLines()
        self.held += [(stream, line) for line in output.feed(log.message)]

    def end_output(self) -> None:
        """What came last is a line, even without an end."""
        for stream, output in self._output.items():
            self.held += [(stream, line) for line in output.end()]

    def take_held(self) -> Lines:
        lines, self.held = self.held, []
        return lines


def age(status: VertexStatus) -> tuple[float, float, bool, int, int, str, str]:
    """Of two reports on one thing the larger is the newer."""
    at = status.at if status.at is not None else 0.0
    started = status.started if status.started is not None else 0.0
    return at, started, status.completed is not None, status.current, status.total, status.name, status.id


def error_of(nodes: Iterable[Node]) -> str:
    """Why they failed; that they were cancelled because something failed counts only where nothing else is said."""
    errors = {error for node in nodes for error in node.errors}
    return min(errors, key=lambda error: (_is_cancel(error), error), default="")


def status_of(nodes: Sequence[Node]) -> StepStatus:
    """Where vertexes that are shown as one step stand."""
    error = error_of(nodes)
    if error:
        return StepStatus.CANCELLED if _is_cancel(error) else StepStatus.FAILED
    ends = [end for node in nodes for end in node.spans.values()]
    if not ends:
        return StepStatus.PENDING
    if None in ends:
        return StepStatus.RUNNING
    return StepStatus.CACHED if all(node.cached for node in nodes) else StepStatus.DONE


def _is_cancel(error: str) -> bool:
    return "context canceled" in error
