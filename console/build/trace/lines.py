"""Output of a step, cut anywhere, as the lines that a terminal would show."""

from __future__ import annotations

LONGEST_LINE_BYTES = 64 * 1024
"""A longer line is given in pieces, so that output without line ends is neither held back nor kept forever."""


class OutputLines:
    """One stream's text put together again; how it is cut makes no difference to what comes out.

    A line ends with a line feed. What follows a carriage return overwrites what stood before it, as on a terminal: of a
    progress bar its last state is left. Bytes that are no UTF-8 come out as U+FFFD.
    """

    __slots__ = ("_returned", "_text")

    def __init__(self) -> None:
        self._text = bytearray()
        self._returned = False

    def feed(self, data: bytes) -> list[str]:
        """Takes more; gives the lines that are complete now."""
        lines: list[str] = []
        first, *rest = data.split(b"\n")
        self._append(first, lines)
        for part in rest:
            lines.append(self._take(len(self._text)))
            self._append(part, lines)
        return lines

    def end(self) -> list[str]:
        """What was left without a line end."""
        return [self._take(len(self._text))] if self._text else []

    def _append(self, part: bytes, lines: list[str]) -> None:
        first, *rest = part.split(b"\r")
        self._overwrite(first, lines)
        for state in rest:
            self._returned = True
            self._overwrite(state, lines)

    def _overwrite(self, text: bytes, lines: list[str]) -> None:
        if not text:
            return
        if self._returned:
            self._text.clear()
            self._returned = False
        self._text += text
        while len(self._text) > LONGEST_LINE_BYTES:
            lines.append(self._take(_whole_characters(self._text, LONGEST_LINE_BYTES)))

    def _take(self, size: int) -> str:
        taken = self._text[:size].decode("utf-8", "replace")
        del self._text[:size]
        return taken


def _whole_characters(text: bytearray, size: int) -> int:
    """`size`, or up to three bytes less where the cut would go through a UTF-8 character."""
    for start in range(size, size - 4, -1):
        if text[start] & 0xC0 != 0x80:
            return start
    return size
