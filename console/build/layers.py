"""What the layers of an image weigh.

An engine tells an image's layers without their sizes, and its history with sizes but without layers; entries of the
history that made no layer (`ENV`, `CMD` …) weigh nothing, as do some layers. The two are matched in order, and where
that leaves a doubt nothing is told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from console.engine import engine_errors
from console.measurements import Layer

if TYPE_CHECKING:
    from docker import APIClient

_MAKES_A_LAYER = re.compile(r"(?:/bin/sh -c #\(nop\)\s+)?(?:RUN|COPY|ADD|WORKDIR)\b|/bin/sh -c (?!#\(nop\))")
_DIGITS = 16


def read_layers(client: APIClient, image_id: str, base_id: str = "") -> tuple[tuple[Layer, ...], int]:
    """The layers of an image, lowest first, and how many of them are its base's.

    Args:
        client: Where the image is.
        image_id: The image.
        base_id: What it was built on; empty for nothing that is of interest.

    Returns:
        No layers where it cannot be told which weighs what; 0 where the base is not there any more, or not below it.

    Raises:
        EngineError: If the engine does not tell.
    """
    with engine_errors("reading an image's layers"):
        found: dict[str, Any] = client.inspect_image(image_id)  # type: ignore[no-untyped-call]
        history: list[dict[str, Any]] = client.history(image_id)  # type: ignore[no-untyped-call]
    digests = _digests(found)
    layers = sized(digests, history[::-1])
    if not base_id or not layers:
        return layers, 0
    with engine_errors("reading the base's layers"):
        below = _digests(client.inspect_image(base_id))  # type: ignore[no-untyped-call]
    return layers, len(below) if digests[: len(below)] == below else 0


def sized(digests: Sequence[str], history: Sequence[Mapping[str, Any]]) -> tuple[Layer, ...]:
    """The layers with their sizes; none where the history does not tell which is which.

    Args:
        digests: Diff IDs of the layers, lowest first.
        history: What the engine says of how the image came about, in the same order.
    """
    heavy = [entry["Size"] for entry in history if entry["Size"]]
    if len(heavy) != len(digests):
        heavy = [
            entry["Size"] for entry in history if entry["Size"] or _MAKES_A_LAYER.match(entry.get("CreatedBy") or "")
        ]
    if len(heavy) != len(digests):
        return ()
    return tuple(Layer(digest.rpartition(":")[2][:_DIGITS], size) for digest, size in zip(digests, heavy, strict=True))


def _digests(found: Mapping[str, Any]) -> list[str]:
    return list((found.get("RootFS") or {}).get("Layers") or [])
