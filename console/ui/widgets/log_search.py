"""Searching a log that keeps growing. Pure: knows the ring, not the screen."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right

from console.state.logs import LogRing
from console.ui.widgets.log_text import clean


class LogSearch:
    """The lines of a ring that match a pattern, kept up to date line by line.

    Args:
        pattern: A regular expression; taken literally where it is none. Ignores case unless it has a capital letter.
        ring: Where to search.
    """

    def __init__(self, pattern: str, ring: LogRing) -> None:
        flags = 0 if any(char.isupper() for char in pattern) else re.IGNORECASE
        try:
            self.regex = re.compile(pattern, flags)
        except re.error:
            self.regex = re.compile(re.escape(pattern), flags)
        self.pattern = pattern
        self.current: int | None = None
        """Sequence number of the match that the user is at."""
        self._ring = ring
        self._found: list[int] = []
        self._searched_to = ring.first
        self.update()

    @property
    def count(self) -> int:
        """How many lines match."""
        return len(self._found)

    @property
    def position(self) -> int:
        """The current match's place among them, from 1; 0 for none."""
        if self.current is None:
            return 0
        index = bisect_left(self._found, self.current)
        return index + 1 if index < len(self._found) and self._found[index] == self.current else 0

    def matches(self, sequence: int) -> bool:
        """Whether a line matches."""
        index = bisect_left(self._found, sequence)
        return index < len(self._found) and self._found[index] == sequence

    def update(self) -> bool:
        """Takes in the lines that came since, forgets those that were dropped; True when the matches changed."""
        before = (len(self._found), self._found[:1])
        if not self.pattern:
            return False
        start, lines = self._ring.since(self._searched_to)
        search = self.regex.search
        self._found += [start + offset for offset, line in enumerate(lines) if search(clean(line.text))]
        self._searched_to = self._ring.end
        dropped = bisect_left(self._found, self._ring.first)
        if dropped:
            del self._found[:dropped]
        return before != (len(self._found), self._found[:1])

    def step(self, direction: int, start: int) -> int | None:
        """Moves to the next match after (`direction` 1) or before (-1) the current one, going round at the ends.

        Args:
            start: Where to begin from while there is no current match.
        """
        if not self._found:
            self.current = None
            return None
        if direction > 0:
            index = bisect_left(self._found, start) if self.current is None else bisect_right(self._found, self.current)
        else:
            origin = start + 1 if self.current is None else self.current
            index = bisect_left(self._found, origin) - 1
        self.current = self._found[index % len(self._found)]
        return self.current
