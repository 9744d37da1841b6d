"""Real input with something wrong in it."""

from __future__ import annotations

import random
from collections.abc import Sequence

_EDGES = (b"", b"\0", b"\xff", b"\n", b"\r", b"\\", b'"', b"'", b"{", b"}", b"[", b"$", b"<<", b"0", b"9" * 20, b"-1")


def mutated(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """A few places of `data` cut out, doubled, moved, overwritten, or taken from others of its kind."""
    result = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        start = rng.randint(0, len(result))
        end = min(len(result), start + rng.choice((1, 2, 8, 64)))
        piece = bytes(result[start:end])
        other = rng.choice(others)
        place = rng.randint(0, len(other))
        put = rng.choice(
            (b"", piece * 2, piece[::-1], rng.choice(_EDGES), rng.randbytes(len(piece)), other[place : place + 64])
        )
        result[start:end] = put
    return bytes(result)


def rearranged(lines: Sequence[bytes], others: Sequence[bytes], rng: random.Random) -> list[bytes]:
    """Lines that are lost, doubled, swapped, mutated, or come from elsewhere."""
    result = list(lines)
    for _ in range(rng.randint(0, 8)):
        place = rng.randint(0, len(result))
        other = rng.choice(others)
        choice = rng.randint(0, 4)
        if choice == 0 or not result or place == len(result):
            result.insert(place, other)
        elif choice == 1:
            del result[place]
        elif choice == 2:
            result.insert(place, result[place])
        elif choice == 3:
            swap = rng.randrange(len(result))
            result[place], result[swap] = result[swap], result[place]
        else:
            result[place] = mutated(result[place], others, rng)
    return result
