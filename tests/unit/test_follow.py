"""A container's log and usage out of the engine's own formats."""

from __future__ import annotations

import copy
import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.model import ContainerUsage, Stream
from console.run import follow
from console.run.follow import split_frames

STDOUT, STDERR = 1, 2


def frame(stream: int, payload: bytes) -> bytes:
    """As the engine frames it: stream, three zeros, length."""
    return struct.pack(">BBBBL", stream, 0, 0, 0, len(payload)) + payload


def lines_of(*chunks: bytes) -> list[tuple[Stream, str]]:
    return [(stream, line) for stream, lines in split_frames(iter(chunks)) for line in lines]


def texts(*chunks: bytes) -> list[str]:
    return [line for _, line in lines_of(*chunks)]


FRAMES = st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=12) | st.just(b"a\n\nb\r\n")))


@given(FRAMES, st.lists(st.integers(0, 400)))
def test_frames_may_be_cut_anywhere(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    data = b"".join(frame(*each) for each in frames)
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    chunks = [data[start:end] for start, end in pairwise(places)]
    said: dict[str, list[str]] = {"stdout": [], "stderr": []}
    for stream, line in lines_of(*chunks):
        said[stream].append(line)
    for number, stream in ((STDOUT, "stdout"), (STDERR, "stderr")):
        whole = b"".join(payload for origin, payload in frames if origin == number)
        *lines, rest = whole.split(b"\n")
        expected = [line.decode("utf-8", "replace").rstrip("\r") for line in [*lines, *([rest] if rest else [])]]
        assert said[stream] == expected


def test_streams_keep_their_order_and_their_unfinished_lines_apart() -> None:
    data = frame(STDOUT, b"one\ntw") + frame(STDERR, b"oh no\n") + frame(STDOUT, b"o\n") + frame(STDERR, b"end")
    assert lines_of(data) == [("stdout", "one"), ("stderr", "oh no"), ("stdout", "two"), ("stderr", "end")]


def test_lines_that_came_together_come_together() -> None:
    data = frame(STDOUT, b"a\nb\n") + frame(STDOUT, b"c\n")
    assert list(split_frames(iter([data, frame(STDOUT, b"d\n")]))) == [("stdout", ("a", "b", "c")), ("stdout", ("d",))]


def test_a_line_comes_as_soon_as_it_has_ended() -> None:
    def chunks() -> Iterator[bytes]:
        yield frame(STDOUT, b"ready\nhalf a li")
        pytest.fail("the line before was held back")

    assert next(split_frames(chunks())) == ("stdout", ("ready",))


def test_line_ends_of_other_systems_and_text_that_is_none() -> None:
    assert texts(frame(STDOUT, b"crlf\r\nbar 10%\rbar 20%\n\xff\xfe!\n")) == [
        "crlf",
        "bar 10%\rbar 20%",
        "\ufffd\ufffd!",
    ]


def test_a_character_cut_in_two_frames_is_whole() -> None:
    euro = "€\n".encode()
    assert texts(frame(STDOUT, euro[:1]), frame(STDOUT, euro[1:])) == ["€"]


def test_an_endless_line_comes_in_pieces() -> None:
    piece = b"x" * 16_384
    pieces = texts(*[frame(STDOUT, piece)] * 20, frame(STDOUT, b"!\n"))
    assert "".join(pieces) == "x" * 20 * 16_384 + "!"
    assert len(pieces) > 1
    assert max(map(len, pieces)) <= follow._LONGEST_LINE_BYTES + len(piece)


def test_a_stream_that_breaks_off_within_a_frame_gives_what_was_whole() -> None:
    assert texts(frame(STDOUT, b"whole\n") + frame(STDOUT, b"broken\n")[:-3]) == ["whole"]


SAMPLE: dict[str, Any] = {
    "cpu_stats": {"cpu_usage": {"total_usage": 3_000}, "system_cpu_usage": 104_000, "online_cpus": 4},
    "precpu_stats": {"cpu_usage": {"total_usage": 1_000}, "system_cpu_usage": 100_000},
    "memory_stats": {"usage": 212_000_000, "stats": {"inactive_file": 12_000_000}},
}


def test_usage_is_percent_of_one_core_and_memory_without_the_page_cache() -> None:
    assert follow._usage(SAMPLE) == ContainerUsage(cpu_percent=2_000 / 4_000 * 4 * 100, memory_bytes=200_000_000)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("memory_stats", {}),
        ("precpu_stats", {"cpu_usage": {"total_usage": 0}}),
        ("cpu_stats", {"cpu_usage": {"total_usage": 0}}),
    ],
)
def test_the_empty_samples_around_start_and_end_say_nothing(part: str, value: dict[str, Any]) -> None:
    assert follow._usage({**SAMPLE, part: value}) is None


def test_usage_without_time_passed_is_none_of_the_processor() -> None:
    sample = copy.deepcopy(SAMPLE)
    sample["precpu_stats"]["system_cpu_usage"] = sample["cpu_stats"]["system_cpu_usage"]
    assert follow._usage(sample) == ContainerUsage(0.0, 200_000_000)
