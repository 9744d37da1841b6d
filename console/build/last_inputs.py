"""What each target's last successful build depended on, kept between sessions: to tell why a step was run again."""

from __future__ import annotations

import hashlib
import os
import zlib
from contextlib import suppress
from pathlib import Path

import msgspec

from console.build.causes import BuildInputs
from console.model import Target

_FORMAT = 2
"""Of the files. What was written in another one is not looked at: it lacks what builds are compared by."""


class LastInputs:
    """One small file per target in a folder of its own. Nothing depends on it: what cannot be read is as good as none.

    Args:
        folder: Where; made when something is kept.
        place: What builds are compared within: engine and builder.
    """

    def __init__(self, folder: Path, place: str) -> None:
        self._folder = folder
        self._place = hashlib.sha256(f"{_FORMAT} {place}".encode()).hexdigest()[:8]
        self._known: dict[Target, BuildInputs] = {}

    def get(self, target: Target) -> BuildInputs | None:
        """Of the last successful build of a target; None where there was none."""
        if target not in self._known:
            with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError, zlib.error):
                self._known[target] = _unpack(self._file(target).read_bytes())
        return self._known.get(target)

    def keep(self, target: Target, inputs: BuildInputs) -> None:
        """Keeps a successful build's; where it cannot be written, for this session only."""
        if self._known.get(target) == inputs:
            return
        self._known[target] = inputs
        file = self._file(target)
        draft = file.with_name(f"{file.name}.{os.getpid()}")
        with suppress(OSError, UnicodeEncodeError):  # JSON has no way to write a name that is not UTF-8
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft.write_bytes(_pack(inputs))
            draft.replace(file)

    def _file(self, target: Target) -> Path:
        return self._folder / f"{target.value}-{self._place}.json.z"


def _pack(inputs: BuildInputs) -> bytes:
    return zlib.compress(msgspec.json.encode(inputs), 1)


def _unpack(packed: bytes) -> BuildInputs:
    return msgspec.json.decode(zlib.decompress(packed), type=BuildInputs)
