"""A build cache as it stands in config.toml and as buildx writes one: an image's name, or `type=local,dest=PATH`."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass

_REGISTRY = "registry"


@dataclass(frozen=True, slots=True)
class Cache:
    """A cache to read or to write."""

    kind: str
    """`registry`, `local`, `inline`, …"""
    attributes: Mapping[str, str]
    """What else is said of it, as written: `ref`, `src`, `dest`, `mode`, …; keys are in lower case."""

    def text(self) -> str:
        """As buildx reads it."""
        line = io.StringIO()
        fields = (f"{key}={value}" for key, value in (("type", self.kind), *self.attributes.items()))
        csv.writer(line, lineterminator="").writerow(fields)
        return line.getvalue()


def parse_cache(text: str) -> Cache:
    """Reads a cache as buildx does: one line of CSV, or just the name of an image, which is a cache in a registry.

    Raises:
        ValueError: If it is neither; says nothing of what it holds, as that may be a credential.
    """
    if "=" not in text:
        return Cache(_REGISTRY, {"ref": text})
    try:
        parts = [part.strip().partition("=") for part in next(csv.reader([text], strict=True), [])]
    except csv.Error:
        raise ValueError("not one line of CSV") from None
    if not all(key and sign for key, sign, _ in parts):
        raise ValueError("not a list of key=value")
    attributes = {key.strip().lower(): value for key, _, value in parts}
    return Cache(attributes.pop("type", _REGISTRY), attributes)
