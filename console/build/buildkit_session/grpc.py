"""What both ends of a gRPC call have in common: messages on a stream, statuses, metadata.

Protocol: grpc/grpc, doc/PROTOCOL-HTTP2.md and doc/statuscodes.md.
"""

from __future__ import annotations

import base64
import binascii
from enum import IntEnum
from urllib.parse import quote, unquote

from console.build.buildkit_session.http2 import Headers

CONTENT_TYPE = "application/grpc"
LARGEST_MESSAGE_BYTES = 16 * 1024 * 1024
"""As containerd's defaults, which BuildKit takes over (`DefaultMaxRecvMsgSize`)."""

_PREFIX_BYTES = 5


class Code(IntEnum):
    """How a call ended."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class GrpcError(Exception):
    """A call that ended with another status than OK.

    Args:
        code: The status.
        message: What the other end is told, or has told; never a secret.
        details: A serialised google.rpc.Status with typed details, if the other end sent one.
    """

    def __init__(self, code: Code, message: str, details: bytes = b"") -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message
        self.details = details


class PeerGoneError(GrpcError):
    """The connection ended before the call did; a peer that says UNAVAILABLE itself is there."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.UNAVAILABLE, message)


class Metadata:
    """A call's metadata: a key may come several times, and each time counts."""

    def __init__(self, headers: Headers) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in headers:
            self._values.setdefault(name.lower(), []).append(value)

    def all(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def first(self, name: str) -> str:
        """Empty where there is none."""
        values = self.all(name)
        return values[0] if values else ""


class MessageReader:
    """Puts messages together from a stream's data, cut anywhere."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete by now.

        Raises:
            GrpcError: For a message that is compressed, which nobody was told we can read, or too large.
        """
        rest = self._rest
        rest += data
        messages, position = [], 0
        while len(rest) - position >= _PREFIX_BYTES:
            if rest[position]:
                raise GrpcError(Code.UNIMPLEMENTED, "compressed messages are not supported")
            begin = position + _PREFIX_BYTES
            end = begin + int.from_bytes(rest[position + 1 : begin], "big")
            if end - begin > LARGEST_MESSAGE_BYTES:
                raise GrpcError(Code.RESOURCE_EXHAUSTED, f"a message of {end - begin} bytes is too large")
            if end > len(rest):
                break
            messages.append(bytes(rest[begin:end]))
            position = end
        del rest[:position]
        return messages

    @property
    def complete(self) -> bool:
        """Whether no message is cut off."""
        return not self._rest


def framed(message: bytes) -> bytes:
    """A message as it stands on the stream."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def trailers(error: GrpcError | None) -> Headers:
    """What tells a call's end."""
    if error is None:
        return [("grpc-status", "0")]
    return [("grpc-status", str(int(error.code))), ("grpc-message", quote(error.message, safe=_PLAIN))]


def status_of(metadata: Metadata) -> GrpcError | None:
    """The status that trailers tell; None for OK."""
    text = metadata.first("grpc-status")
    if text == "0":
        return None
    details = _binary(metadata.first("grpc-status-details-bin"))
    message = unquote(metadata.first("grpc-message"), errors="replace")
    if not text:
        return GrpcError(Code.UNKNOWN, "the call ended without a status", details)
    try:
        code = Code(int(text))
    except ValueError:
        code = Code.UNKNOWN
    return GrpcError(code, message, details)


_PLAIN = "".join(chr(c) for c in range(0x20, 0x7F) if chr(c) != "%")


def _binary(value: str) -> bytes:
    """The value of a `-bin` key, whose base64 may lack its padding."""
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4))
    except (binascii.Error, ValueError):
        return b""
