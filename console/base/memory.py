"""What is remembered of a project's base image from one run to the next, in a small file.

Nothing depends on it: what cannot be read is as good as nothing remembered, and what cannot be written is kept for this
session.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from console.base_values import HeldBase


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the engine and the source do not tell."""

    held: HeldBase | None = None
    """Why a new base was held back."""
    held_image: str = ""
    """Which one: its ID; empty where it could not even be built."""
    held_inputs: str = ""
    """The fingerprint of the inputs that it was to be built from."""
    asked_at: float = 0.0
    """When the registry was last asked for a newer one, seconds since 1970."""
    newer: str = ""
    """The digest that the registry had then, where it was not the one that stands here."""


class BaseMemory:
    """One project's file.

    Args:
        path: The file; its folder is made when something is kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: Remembered | None = None

    def get(self) -> Remembered:
        """What is remembered; another process may have written it."""
        with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return msgspec.json.decode(self._path.read_bytes(), type=Remembered)
        return self._kept or Remembered()

    def keep(self, remembered: Remembered) -> None:
        """Remembers this in place of what was."""
        self._kept = remembered
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with suppress(OSError, UnicodeEncodeError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft.write_bytes(msgspec.json.encode(remembered))
            draft.replace(self._path)
