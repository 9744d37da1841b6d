"""Layers with their sizes: an image's layers matched with its history, or not told at all."""

from __future__ import annotations

import pytest

from console.build.layers import sized
from console.measurements import Layer

DIGESTS = [f"sha256:{letter * 64}" for letter in "abc"]
A, B, C = (letter * 16 for letter in "abc")


def entry(made_by: str, size: int) -> dict[str, object]:
    return {"CreatedBy": made_by, "Size": size}


def test_what_weighs_something_is_a_layer() -> None:
    history = [
        entry("/bin/sh -c #(nop) ADD file:1 in / ", 100),
        entry('/bin/sh -c #(nop)  CMD ["sh"]', 0),
        entry("RUN /bin/sh -c pip install x # buildkit", 50),
        entry("ENV MODE=fast", 0),
        entry("COPY src /app # buildkit", 7),
    ]
    assert sized(DIGESTS, history) == (Layer(A, 100), Layer(B, 50), Layer(C, 7))


@pytest.mark.parametrize("empty", ["WORKDIR /app", "RUN /bin/sh -c true # buildkit", "/bin/sh -c true"])
def test_a_layer_that_weighs_nothing_keeps_its_place(empty: str) -> None:
    history = [entry("ADD x", 100), entry("ENV A=1", 0), entry(empty, 0), entry('CMD ["x"]', 0), entry("COPY a b", 7)]
    assert sized(DIGESTS, history) == (Layer(A, 100), Layer(B, 0), Layer(C, 7))


@pytest.mark.parametrize(
    "history",
    [
        [],
        [entry("ADD x", 100), entry("COPY a b", 7)],
        [entry("ADD x", 100), entry("COPY a b", 7), entry("COPY a b", 7), entry("COPY a b", 7)],
        [entry("ADD x", 100), entry("something else", 0), entry("COPY a b", 7)],
    ],
)
def test_where_there_is_a_doubt_nothing_is_told(history: list[dict[str, object]]) -> None:
    assert sized(DIGESTS, history) == ()
