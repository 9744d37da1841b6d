"""Decodes what BuildKit says about a running build: `moby.buildkit.v1.StatusResponse`, hand-written protobuf reading.

Field numbers: moby/buildkit, api/services/control/control.proto, unchanged from v0.8 to v0.25. Unknown fields are
skipped. Why not the protobuf package: docs/adr/0002. BuildKit's word *vertex* stays in this module and `steps`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


class TraceError(ValueError):
    """Bytes that are no protobuf message."""


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


@dataclass(frozen=True, slots=True)
class VertexLog:
    """A piece of output, cut anywhere."""

    vertex: str
    stream: int
    """1 stdout, 2 stderr."""
    message: bytes


@dataclass(frozen=True, slots=True)
class VertexWarning:
    """A remark of the builder on the Dockerfile (BuildKit 0.10 and later)."""

    vertex: str
    short: str
    detail: tuple[str, ...]
    url: str
    lines: tuple[tuple[int, int], ...]
    """First and last line of each place, from 1."""


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """One message of the trace."""

    vertexes: tuple[Vertex, ...] = ()
    statuses: tuple[VertexStatus, ...] = ()
    logs: tuple[VertexLog, ...] = ()
    warnings: tuple[VertexWarning, ...] = ()


def decode_status(message: bytes) -> StatusUpdate:
    """Decodes one StatusResponse.

    Raises:
        TraceError: If the bytes are not a protobuf message.
    """
    try:
        fields = _Fields(message)
        return StatusUpdate(
            tuple(_vertex(raw) for raw in fields.messages(1)),
            tuple(_status(raw) for raw in fields.messages(2)),
            tuple(_log(raw) for raw in fields.messages(3)),
            tuple(_warning(raw) for raw in fields.messages(4)),
        )
    except IndexError as error:
        raise TraceError("a build status message ends in the middle") from error


def _vertex(raw: bytes) -> Vertex:
    fields = _Fields(raw)
    return Vertex(
        digest=fields.text(1),
        inputs=tuple(fields.texts(2)),
        name=fields.text(3),
        cached=bool(fields.number(4)),
        started=fields.moment(5),
        completed=fields.moment(6),
        error=fields.text(7),
    )


def _status(raw: bytes) -> VertexStatus:
    fields = _Fields(raw)
    return VertexStatus(
        fields.text(1),
        fields.text(2),
        fields.text(3),
        fields.number(4),
        fields.number(5),
        fields.moment(7),
        fields.moment(8),
    )


def _log(raw: bytes) -> VertexLog:
    fields = _Fields(raw)
    return VertexLog(fields.text(1), fields.number(3), b"".join(fields.messages(4)))


def _warning(raw: bytes) -> VertexWarning:
    fields = _Fields(raw)
    lines = []
    for place in fields.messages(7):
        ends = _Fields(place)
        lines.append((_line(ends, 1), _line(ends, 2)))
    return VertexWarning(
        fields.text(1),
        fields.text(3),
        tuple(fields.texts(4)),
        fields.text(5),
        tuple(lines),
    )


def _line(place: _Fields, number: int) -> int:
    position = place.messages(number)
    return _Fields(position[0]).number(1) if position else 0


class _Fields:
    """The fields of one message by number; a field that comes again is kept in order."""

    __slots__ = ("_values",)

    def __init__(self, message: bytes) -> None:
        self._values: dict[int, list[int | bytes]] = {}
        for number, value in _read(message):
            self._values.setdefault(number, []).append(value)

    def messages(self, number: int) -> list[bytes]:
        return [value for value in self._values.get(number, ()) if isinstance(value, bytes)]

    def texts(self, number: int) -> list[str]:
        return [value.decode("utf-8", "replace") for value in self.messages(number)]

    def text(self, number: int) -> str:
        found = self.texts(number)
        return found[-1] if found else ""

    def number(self, number: int) -> int:
        found = [value for value in self._values.get(number, ()) if isinstance(value, int)]
        return _signed(found[-1]) if found else 0

    def moment(self, number: int) -> float | None:
        """A google.protobuf.Timestamp in seconds; None when it is absent."""
        found = self.messages(number)
        if not found:
            return None
        parts = _Fields(found[-1])
        return parts.number(1) + parts.number(2) / 1e9


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _read(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values in order: varints as int, length-delimited ones as bytes, fixed-width ones skipped."""
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        kind = key & 7
        if kind == 0:
            value, position = _varint(message, position)
            yield key >> 3, value
        elif kind == 2:
            length, position = _varint(message, position)
            if position + length > end:
                raise IndexError
            yield key >> 3, message[position : position + length]
            position += length
        elif kind in (1, 5):
            position += 8 if kind == 1 else 4
        else:
            raise TraceError(f"a build status message has wire type {kind}, which protobuf does not know")


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
        shift += 7
        if shift > 63:
            raise TraceError("a build status message holds a number of more than 64 bits")
