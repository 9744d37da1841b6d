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
    rolled_back_inputs: str = ""
    """The fingerprint of the inputs when somebody rolled back: while they stay so, nothing goes forward by itself."""


class BaseMemory:
    """One project's file.

    Args:
        path: The file; its folder is made when something is kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unwritten: Remembered | None = None
        """What the file could not take."""

    def get(self) -> Remembered:
        """What is remembered; another process may have written it."""
        if self._unwritten is not None:
            return self._unwritten
        with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return msgspec.json.decode(self._path.read_bytes(), type=Remembered)
        return Remembered()

    def keep(self, remembered: Remembered) -> None:
        """Remembers this in place of what was."""
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft.write_bytes(msgspec.json.encode(remembered))
            draft.replace(self._path)
        except (OSError, UnicodeEncodeError):
            self._unwritten = remembered
            with suppress(OSError):
                draft.unlink(missing_ok=True)
        else:
            self._unwritten = None
