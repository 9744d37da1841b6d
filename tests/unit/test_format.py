"""Figures as people read them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console import format as fmt


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (fmt.duration, None, "–"),
        (fmt.duration, 0, "0 ms"),
        (fmt.duration, 348.6, "349 ms"),
        (fmt.duration, 999.4, "999 ms"),
        (fmt.duration, 999.5, "1.00 s"),
        (fmt.duration, 1_420, "1.42 s"),
        (fmt.duration, 9_995, "10.0 s"),
        (fmt.duration, 17_100, "17.1 s"),
        (fmt.duration, 99_950, "1 m 40 s"),
        (fmt.duration, 123_400, "2 m 03 s"),
        (fmt.duration, 3_599_600, "1 h 00 m"),
        (fmt.duration, 3_840_000, "1 h 04 m"),
        (fmt.size, 0, "0 B"),
        (fmt.size, 999, "999 B"),
        (fmt.size, 1_000, "1 kB"),
        (fmt.size, 18_212, "18.2 kB"),
        (fmt.size, 999_499, "999 kB"),
        (fmt.size, 999_500, "1 MB"),
        (fmt.size, 1_240_000_000, "1.24 GB"),
        (fmt.size, 5_000_000_000_000_000, "5000 TB"),
        (fmt.age, 0.9, "now"),
        (fmt.age, 59.9, "59 s"),
        (fmt.age, 60, "1 m"),
        (fmt.age, 3_599, "59 m"),
        (fmt.age, 5 * 3_600, "5 h"),
        (fmt.age, 2 * 86_400, "2 d"),
        (fmt.speedup, None, "–"),
        (fmt.speedup, 0.8, "×0.80"),
        (fmt.speedup, 1.94, "×1.94"),
        (fmt.speedup, 9.31, "×9.3"),
        (fmt.speedup, 351.2, "×351"),
        (fmt.percent, None, "–"),
        (fmt.percent, 0.8, "80.0 %"),
        (fmt.percent, -0.25, "-25.0 %"),
        (fmt.percent, 0.9994, "99.9 %"),
        (fmt.percent, 0.99999, "99.99 %"),
        (fmt.percent, 1, "100.0 %"),
        (fmt.short_id, "sha256:0123456789abcdef", "0123456789ab"),
        (fmt.short_id, "0123456789abcdef", "0123456789ab"),
        (fmt.short_id, "", ""),
    ],
)
def test_figures(function: Callable[[Any], str], value: Any, text: str) -> None:
    assert function(value) == text


@given(st.floats(0, 1e10), st.floats(0, 1e10))
def test_a_longer_duration_never_reads_shorter(one: float, other: float) -> None:
    """No unit has a gap or an overlap, so rounding never makes 60 seconds of a minute."""

    def read(ms: float) -> float:
        words = fmt.duration(ms).split()
        units = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
        return sum(float(number) * units[unit] for number, unit in zip(words[::2], words[1::2], strict=True))

    shorter, longer = sorted((one, other))
    assert read(shorter) <= read(longer)
    assert read(longer) == pytest.approx(longer, rel=0.01, abs=0.5)


@given(st.floats(0, 1, exclude_max=True))
def test_less_than_all_never_reads_as_all(share: float) -> None:
    assert fmt.percent(share) != "100.0 %"
    assert float(fmt.percent(share).removesuffix(" %")) < 100


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((1, "file"), "1 file"),
        ((0, "file"), "0 files"),
        ((12_345, "file"), "12,345 files"),
        ((2, "save", "saves made"), "2 saves made"),
    ],
)
def test_plurals(arguments: tuple[Any, ...], text: str) -> None:
    assert fmt.plural(*arguments) == text


def test_times_are_those_of_the_readers_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    at = 1_795_442_531.9
    try:
        for zone, text in (("UTC", "14:02:11"), ("Asia/Kolkata", "19:32:11")):
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            assert fmt.clock_time(at) == text
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.text())
def test_printable_text_is_on_one_line_and_unharmed(text: str) -> None:
    shown = fmt.printable(text)
    assert shown.isprintable()
    if text.isprintable():
        assert shown == text


def test_what_cannot_be_seen_is_made_visible() -> None:
    assert fmt.printable("caf\udce9\n\x1b[2J\u2028.py") == r"caf\udce9\n\x1b[2J\u2028.py"


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ((), ""),
        (("a.py",), "a.py"),
        (("a.py", "b.py", "c.py"), "a.py, b.py, c.py"),
        (("a.py", "b.py", "c.py", "d.py", "e.py"), "a.py, b.py, c.py, +2 more"),
        (("new\nline",), r"new\nline"),
    ],
)
def test_paths(names: tuple[str, ...], text: str) -> None:
    assert fmt.paths(names) == text
