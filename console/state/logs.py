"""Log text: one bounded ring per source, each line with a sequence number that never comes again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, repeat
from typing import TypeVar

_Part = TypeVar("_Part")

MARKER = "splitdeck"
"""Origin of the lines that we put between two builds or two containers."""
REMARK = "remark"
"""Origin of what the builder remarks on the Dockerfile."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line. Its text may hold ANSI colour codes; who draws it decides what to do with them."""

    at: float
    origin: str
    """Where it comes from within its source: a build step's name, `stdout`, `stderr`, `MARKER` or `REMARK`."""
    text: str


class LogRing:
    """The newest lines of one source. Sequence numbers start at 0 and count every line ever added.

    The parts of the lines are kept apart, each in its own ring: strings and floats are nothing that the garbage
    collector has to visit; a hundred thousand line objects would make it stop the console for a tenth of a second.

    Args:
        capacity: How many lines are kept.
    """

    def __init__(self, capacity: int = 20_000) -> None:
        self._at: deque[float] = deque(maxlen=capacity)
        self._origins: deque[str] = deque(maxlen=capacity)
        self._texts: deque[str] = deque(maxlen=capacity)
        self._end = 0

    @property
    def first(self) -> int:
        """Sequence number of the oldest line kept."""
        return self._end - len(self._texts)

    @property
    def end(self) -> int:
        """Sequence number that the next line will get."""
        return self._end

    def append(self, lines: Iterable[LogLine]) -> None:
        """Adds lines; the oldest ones make room."""
        for line in lines:
            self.extend(line.at, line.origin, (line.text,))

    def extend(self, at: float, origin: str, texts: Sequence[str]) -> None:
        """Adds lines that came at once from one origin; the oldest ones make room."""
        self._texts.extend(texts)
        self._at.extend(repeat(at, len(texts)))
        self._origins.extend(repeat(origin, len(texts)))
        self._end += len(texts)

    def since(self, sequence: int) -> tuple[int, list[LogLine]]:
        """The lines from a sequence number on, and the number of the first of them (later where some were dropped)."""
        start = max(sequence, self.first)
        count = self._end - start
        if count <= 0:
            return self._end, []
        parts = (_newest(self._at, count), _newest(self._origins, count), _newest(self._texts, count))
        return start, [LogLine(*line) for line in zip(*parts, strict=True)]

    def line(self, sequence: int) -> LogLine | None:
        """One line; None where it was dropped or has not come yet."""
        index = sequence - self.first
        if not 0 <= index < len(self._texts):
            return None
        return LogLine(self._at[index], self._origins[index], self._texts[index])

    def clear(self) -> None:
        """Forgets the lines but not the count."""
        for part in (self._at, self._origins, self._texts):
            part.clear()


def _newest(ring: deque[_Part], count: int) -> list[_Part]:
    """The last `count` items in their order, without walking over the rest where they are few."""
    if count * 2 > len(ring):
        return list(islice(ring, len(ring) - count, None))
    tail = list(islice(reversed(ring), count))
    tail.reverse()
    return tail
