"""The log ring: bounded, and every line has a number that never comes again."""

from __future__ import annotations

import pytest

from console.state.logs import LogLine, LogRing


def filled(count: int, capacity: int) -> LogRing:
    ring = LogRing(capacity)
    ring.append(LogLine(0.0, "", str(number)) for number in range(count))
    return ring


@pytest.mark.parametrize("since", range(-1, 13))
def test_since_gives_what_is_left_from_there_on(since: int) -> None:
    ring = filled(10, 6)
    start, lines = ring.since(since)
    assert [line.text for line in lines] == [str(number) for number in range(max(since, 4), 10)]
    assert start == (max(since, 4) if lines else 10)


def test_numbers_go_on_when_lines_are_dropped_or_forgotten() -> None:
    ring = filled(10, 6)
    assert (ring.first, ring.end) == (4, 10)
    ring.clear()
    assert (ring.first, ring.end) == (10, 10)
    ring.append([LogLine(0.0, "", "next")])
    assert ring.since(0) == (10, [LogLine(0.0, "", "next")])


def test_one_line_by_its_number() -> None:
    ring = filled(10, 6)
    found = [line.text if (line := ring.line(number)) else None for number in (3, 4, 9, 10)]
    assert found == [None, "4", "9", None]
