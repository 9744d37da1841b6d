"""Output that is cut anywhere comes out as the lines that a terminal would show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.build.trace.lines import LONGEST_LINE_BYTES, OutputLines


def lines(*pieces: bytes) -> list[str]:
    output = OutputLines()
    found = [line for piece in pieces for line in output.feed(piece)]
    return found + output.end()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", []),
        (b"one\ntwo", ["one", "two"]),
        (b"\n\n", ["", ""]),
        (b"one\r\ntwo\r\n", ["one", "two"]),
        (b"10%\r20%\r30%\n", ["30%"]),
        (b"10%\r20%\r", ["20%"]),
        (b"done\r\r\n", ["done"]),
        (b"\rover", ["over"]),
        ("café\n".encode(), ["café"]),
        (b"caf\xe9\xff\n", ["caf\ufffd\ufffd"]),
        (b"\x1b[91mred\x1b[0m\n", ["\x1b[91mred\x1b[0m"]),
    ],
)
def test_what_a_terminal_shows(text: bytes, expected: list[str]) -> None:
    assert lines(text) == expected
    assert lines(*(text[index : index + 1] for index in range(len(text)))) == expected


pieces = st.lists(
    st.one_of(st.binary(max_size=6), st.sampled_from([b"\r", b"\n", b"\r\n", "é€".encode()])), max_size=12
)


@given(pieces)
def test_how_output_is_cut_makes_no_difference(cuts: list[bytes]) -> None:
    assert lines(*cuts) == lines(b"".join(cuts))


@given(st.integers(-3, 3), st.integers(1, 3), st.sampled_from(["x", "é", "€", "🙂"]), st.booleans())
def test_long_lines_come_in_pieces_that_no_character_is_cut_by(
    more: int, times: int, character: str, returned: bool
) -> None:
    text = b"a" * (LONGEST_LINE_BYTES + more) + character.encode() * LONGEST_LINE_BYTES * times
    text += b"\r" * returned + b"\nend"
    whole = lines(text)
    assert "".join(whole) == text.decode().replace("\n", "").replace("\r", "")
    assert all(len(line.encode()) <= LONGEST_LINE_BYTES for line in whole)
    assert lines(*(text[start : start + 7919] for start in range(0, len(text), 7919))) == whole


def test_output_without_line_ends_is_not_kept_forever() -> None:
    output = OutputLines()
    given_out = sum(len(line) for _ in range(3_000) for line in output.feed(b"x" * 100))
    assert 300_000 - LONGEST_LINE_BYTES <= given_out < 300_000
