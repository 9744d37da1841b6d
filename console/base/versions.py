"""Which base image is meant and what stands under that name on this engine."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from console.engine import engine_errors
from console.model import LABEL_FINGERPRINT, LABEL_INPUTS

if TYPE_CHECKING:
    from docker import APIClient


@dataclass(frozen=True, slots=True)
class BaseImage:
    """A base image on this engine."""

    image_id: str
    created_at: float
    """Seconds since 1970."""
    size_bytes: int
    fingerprint: str = ""
    """Of the inputs it was built from; empty when someone else built it."""
    inputs: dict[str, str] = field(default_factory=dict)
    """Input path → short hash, as they were when it was built."""


def find_base(client: APIClient, reference: str) -> BaseImage | None:
    """The image behind a reference, or None where there is none.

    Raises:
        EngineError: If the engine does not say.
    """
    from docker.errors import ImageNotFound

    with engine_errors(f"looking for {reference}"):
        try:
            found: dict[str, Any] = client.inspect_image(reference)  # type: ignore[no-untyped-call]
        except ImageNotFound:
            return None
    labels = (found.get("Config") or {}).get("Labels") or {}
    return BaseImage(
        found["Id"],
        _moment(found.get("Created", "")),
        found.get("Size", 0),
        labels.get(LABEL_FINGERPRINT, ""),
        _inputs(labels.get(LABEL_INPUTS, "")),
    )


def _inputs(label: str) -> dict[str, str]:
    try:
        found = json.loads(label or "{}")
    except ValueError:
        return {}
    return {str(path): str(digest) for path, digest in found.items()} if isinstance(found, dict) else {}


def _moment(text: str) -> float:
    """The engine's RFC 3339 time, whose nanoseconds Python does not read; 0 where it says nothing."""
    if not text or text.startswith("0001-"):
        return 0.0
    head, _, fraction = text.removesuffix("Z").partition(".")
    try:
        return datetime.fromisoformat(f"{head}.{(fraction + '000000')[:6]}+00:00").timestamp()
    except ValueError:
        return 0.0
