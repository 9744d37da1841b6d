"""The form that every builder's account is brought into: BuildKit's own, `moby.buildkit.v1.StatusResponse`."""

from __future__ import annotations

from dataclasses import dataclass


class TraceError(ValueError):
    """A builder's message that makes no sense."""


@dataclass(frozen=True, slots=True)
class Vertex:
    """One node of the build graph. Reported several times; each report may carry another interval."""

    digest: str
    name: str = ""
    cached: bool = False
    started: float | None = None
    """Seconds since 1970 on the builder's clock."""
    completed: float | None = None
    error: str = ""
    inputs: tuple[str, ...] = ()
    """Digests of the vertexes that it takes the result of."""
    group: ProgressGroup | None = None
    exact: bool = True
    """False where the builder gives no times: then they are those at which its lines arrived here."""


@dataclass(frozen=True, slots=True)
class ProgressGroup:
    """Vertexes to be shown as one."""

    id: str
    """Drawn anew for every build."""
    name: str
    weak: bool

    @property
    def key(self) -> str:
        """Tells it from others, the same in every build."""
        return self.name or self.id


@dataclass(frozen=True, slots=True)
class VertexStatus:
    """Progress of a part of a vertex: a download, `exporting layers`."""

    id: str
    vertex: str
    name: str
    current: int
    total: int
    started: float | None
    completed: float | None
    at: float | None = None
    """When this was so."""


@dataclass(frozen=True, slots=True)
class VertexLog:
    """A piece of output, cut anywhere."""

    vertex: str
    stream: int
    """1 stdout, 2 stderr."""
    message: bytes
    at: float | None = None


@dataclass(frozen=True, slots=True)
class VertexWarning:
    """A remark of the builder on the Dockerfile (BuildKit 0.10 and later)."""

    vertex: str
    short: str
    detail: tuple[str, ...] = ()
    url: str = ""
    lines: tuple[tuple[int, int], ...] = ()
    """First and last line of each place, from 1."""
    level: int = 0
    file: str = ""
    """The Dockerfile as the builder knows it."""
    source: bytes = b""
    """What stands in that file."""


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """One message of the trace."""

    vertexes: tuple[Vertex, ...] = ()
    statuses: tuple[VertexStatus, ...] = ()
    logs: tuple[VertexLog, ...] = ()
    warnings: tuple[VertexWarning, ...] = ()
