"""Decodes `moby.buildkit.v1.StatusResponse`: what BuildKit says about a running build.

Field numbers: moby/buildkit, api/services/control/control.proto, unchanged from v0.8 to v0.25. Unknown fields are
skipped. Why not the protobuf package: docs/adr/0002.
"""

from __future__ import annotations

from console.build.protobuf import Fields, ProtobufError
from console.build.trace.updates import (
    ProgressGroup,
    StatusUpdate,
    TraceError,
    Vertex,
    VertexLog,
    VertexStatus,
    VertexWarning,
)


def decode_status(message: bytes) -> StatusUpdate:
    """Decodes one StatusResponse.

    Raises:
        TraceError: If the bytes are not a protobuf message.
    """
    try:
        fields = Fields(message)
        return StatusUpdate(
            tuple(_vertex(raw) for raw in fields.messages(1)),
            tuple(_status(raw) for raw in fields.messages(2)),
            tuple(_log(raw) for raw in fields.messages(3)),
            tuple(_warning(raw) for raw in fields.messages(4)),
        )
    except ProtobufError as error:
        raise TraceError(f"a build status message: {error}") from error


def _vertex(raw: bytes) -> Vertex:
    fields = Fields(raw)
    group = fields.message(8)
    return Vertex(
        digest=fields.text(1),
        inputs=tuple(fields.texts(2)),
        name=fields.text(3),
        cached=bool(fields.number(4)),
        started=fields.moment(5),
        completed=fields.moment(6),
        error=fields.text(7),
        group=None if group is None else ProgressGroup(group.text(1), group.text(2), bool(group.number(3))),
    )


def _status(raw: bytes) -> VertexStatus:
    fields = Fields(raw)
    return VertexStatus(
        id=fields.text(1),
        vertex=fields.text(2),
        name=fields.text(3),
        current=fields.number(4),
        total=fields.number(5),
        at=fields.moment(6),
        started=fields.moment(7),
        completed=fields.moment(8),
    )


def _log(raw: bytes) -> VertexLog:
    fields = Fields(raw)
    return VertexLog(fields.text(1), fields.number(3), b"".join(fields.messages(4)), fields.moment(2))


def _warning(raw: bytes) -> VertexWarning:
    fields = Fields(raw)
    ranges = [Fields(place) for place in fields.messages(7)]
    info = fields.message(6)
    return VertexWarning(
        vertex=fields.text(1),
        level=fields.number(2),
        short=fields.text(3),
        detail=tuple(fields.texts(4)),
        url=fields.text(5),
        lines=tuple((_line(place, 1), _line(place, 2)) for place in ranges),
        file=info.text(1) if info is not None else "",
        source=info.data(2) if info is not None else b"",
    )


def _line(place: Fields, number: int) -> int:
    position = place.message(number)
    return position.number(1) if position is not None else 0
