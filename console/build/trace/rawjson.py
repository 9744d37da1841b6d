"""Decodes the lines of `docker buildx build --progress=rawjson`: BuildKit's messages as JSON, one per line on stderr.

The form is Go's encoding of `client.SolveStatus` (moby/buildkit, client/graph.go; buildx 0.13 and later). Its keys
differ from those of the protobuf message; bytes are in base64, times in RFC 3339 with nanoseconds. Unknown keys are
skipped.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from console.build.trace.updates import (
    ProgressGroup,
    StatusUpdate,
    TraceError,
    Vertex,
    VertexLog,
    VertexStatus,
    VertexWarning,
)

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_NEVER = "0001-01-01T00:00:00Z"
"""How Go writes a time that was not set."""
_LARGEST = 1 << 63

Item = TypeVar("Item")


def is_trace_line(line: bytes) -> bool:
    """Whether a line is one of the trace; otherwise it is the command's own text, such as `ERROR: …`."""
    return line.lstrip().startswith(b"{")


def decode_rawjson(line: bytes) -> StatusUpdate:
    """Decodes one line.

    Raises:
        TraceError: If it is not a JSON object of this form.
    """
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TraceError(f"a line of the build's trace is not JSON: {error}") from error
    try:
        whole = _Object(message)
        return StatusUpdate(
            whole.items("vertexes", _vertex),
            whole.items("statuses", _status),
            whole.items("logs", _log),
            whole.items("warnings", _warning),
        )
    except (binascii.Error, OverflowError, ValueError) as error:
        raise TraceError(f"a line of the build's trace makes no sense: {error}") from error


class _Object:
    """A JSON object read by key; what is absent or null has its default, what has another type is refused.

    Raises:
        TraceError: If it is not an object.
    """

    __slots__ = ("_values",)

    def __init__(self, value: object) -> None:
        if not isinstance(value, Mapping):
            raise TraceError(f"{value!r:.80} stands where an object belongs")
        self._values: Mapping[str, Any] = value

    def items(self, key: str, read: Callable[[Any], Item]) -> tuple[Item, ...]:
        return tuple(read(value) for value in self._value(key, list, ()))

    def text(self, key: str) -> str:
        text: str = self._value(key, str, "")
        return text.encode("utf-8", "replace").decode()  # JSON can escape half a surrogate pair

    def number(self, key: str) -> int:
        number = self._value(key, int, 0)
        if not -_LARGEST <= number < _LARGEST:
            raise TraceError(f"{key} is no 64-bit number")
        return int(number)

    def flag(self, key: str) -> bool:
        return bool(self._value(key, bool, False))

    def data(self, key: str) -> bytes:
        return _data(self._value(key, str, ""))

    def object(self, key: str) -> _Object | None:
        return _Object(self._values[key]) if self._values.get(key) is not None else None

    def moment(self, key: str) -> float | None:
        """Seconds since 1970; None where it was not set."""
        text = self.text(key)
        if not text or text == _NEVER:
            return None
        match = _TIME.fullmatch(text)
        if match is None:
            raise TraceError(f"{text!r:.80} is no time")
        whole = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00")).timestamp()
        return whole + float(match[2] or 0)

    def _value(self, key: str, kind: type, default: Any) -> Any:
        value = self._values.get(key)
        if value is None:
            return default
        if not isinstance(value, kind):
            raise TraceError(f"{key} is {value!r:.80}")
        return value


def _data(text: object) -> bytes:
    if not isinstance(text, str):
        raise TraceError(f"{text!r:.80} stands where base64 belongs")
    return base64.b64decode(text, validate=True)


def _text(value: object) -> str:
    return _data(value).decode("utf-8", "replace")


def _vertex(value: object) -> Vertex:
    vertex = _Object(value)
    group = vertex.object("progressGroup")
    return Vertex(
        digest=vertex.text("digest"),
        inputs=vertex.items("inputs", str),
        name=vertex.text("name"),
        cached=vertex.flag("cached"),
        started=vertex.moment("started"),
        completed=vertex.moment("completed"),
        error=vertex.text("error"),
        group=None if group is None else ProgressGroup(group.text("id"), group.text("name"), group.flag("weak")),
    )


def _status(value: object) -> VertexStatus:
    status = _Object(value)
    return VertexStatus(
        id=status.text("id"),
        vertex=status.text("vertex"),
        name=status.text("name"),
        current=status.number("current"),
        total=status.number("total"),
        at=status.moment("timestamp"),
        started=status.moment("started"),
        completed=status.moment("completed"),
    )


def _log(value: object) -> VertexLog:
    log = _Object(value)
    return VertexLog(log.text("vertex"), log.number("stream"), log.data("data"), log.moment("timestamp"))


def _warning(value: object) -> VertexWarning:
    warning = _Object(value)
    info = warning.object("sourceInfo")
    return VertexWarning(
        vertex=warning.text("vertex"),
        level=warning.number("level"),
        short=_text(warning.text("short")),
        detail=warning.items("detail", _text),
        url=warning.text("url"),
        lines=_lines(warning.items("range", _Object)),
        file=info.text("filename") if info is not None else "",
        source=info.data("data") if info is not None else b"",
    )


def _lines(ranges: Iterable[_Object]) -> tuple[tuple[int, int], ...]:
    return tuple((_line(place.object("start")), _line(place.object("end"))) for place in ranges)


def _line(position: _Object | None) -> int:
    return position.number("line") if position is not None else 0
