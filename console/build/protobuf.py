"""Protocol Buffers on the wire: messages read and written by field number (protobuf.dev/programming-guides/encoding).

Why not the protobuf package: docs/adr/0002.
"""

from __future__ import annotations

from collections.abc import Iterator

_U64 = 0xFFFFFFFFFFFFFFFF


class ProtobufError(ValueError):
    """Bytes that are no protobuf message."""


class Fields:
    """The fields of one message by number; a field that comes again is kept in order, an absent one has its default.

    Raises:
        ProtobufError: If the bytes are not a message.
    """

    __slots__ = ("_values",)

    def __init__(self, message: bytes) -> None:
        self._values: dict[int, list[int | bytes]] = {}
        for number, value in _read(message):
            self._values.setdefault(number, []).append(value)

    def messages(self, number: int) -> list[bytes]:
        return [value for value in self._values.get(number, ()) if isinstance(value, bytes)]

    def message(self, number: int) -> Fields | None:
        """The nested message; None where it is absent."""
        found = self.messages(number)
        return Fields(found[-1]) if found else None

    def data(self, number: int) -> bytes:
        found = self.messages(number)
        return found[-1] if found else b""

    def texts(self, number: int) -> list[str]:
        return [value.decode("utf-8", "replace") for value in self.messages(number)]

    def text(self, number: int) -> str:
        return self.data(number).decode("utf-8", "replace")

    def number(self, number: int) -> int:
        found = [value for value in self._values.get(number, ()) if isinstance(value, int)]
        return _signed(found[-1]) if found else 0

    def moment(self, number: int) -> float | None:
        """A google.protobuf.Timestamp in seconds since 1970; None when it is absent."""
        parts = self.message(number)
        return None if parts is None else parts.number(1) + parts.number(2) / 1e9

    def text_map(self, number: int) -> dict[str, str]:
        """A `map<string, string>`."""
        entries = [Fields(entry) for entry in self.messages(number)]
        return {entry.text(1): entry.text(2) for entry in entries}


def varint(value: int) -> bytes:
    """A number as it stands on the wire; a negative one as 64-bit two's complement."""
    if 0 <= value < 0x80:
        return bytes((value,))
    value &= _U64
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number_field(number: int, value: int) -> bytes:
    """An integer, enum or bool field; nothing for zero, which is the default."""
    return varint(number << 3) + varint(value) if value else b""


def data_field(number: int, value: bytes | str) -> bytes:
    """A bytes, string or message field, also when it is empty: an empty message differs from an absent one."""
    raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def text_map_field(number: int, values: dict[str, str]) -> bytes:
    """A `map<string, string>`."""
    return b"".join(data_field(number, data_field(1, key) + data_field(2, value)) for key, value in values.items())


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
            continue
        if kind == 2:
            length, position = _varint(message, position)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ProtobufError(f"wire type {kind} is not known to protobuf")
        if position + length > end:
            raise ProtobufError("a message ends in the middle of a field")
        if kind == 2:
            yield key >> 3, message[position : position + length]
        position += length


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        if position == len(message):
            raise ProtobufError("a message ends in the middle of a number")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _U64, position
        shift += 7
    raise ProtobufError("a number of more than 64 bits")
