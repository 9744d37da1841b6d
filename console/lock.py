"""One session per project: two would replace each other's containers."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from console.errors import ConfigError


class ProjectLock:
    """A lock file that the kernel lets go of when its holder ends, however it ends.

    Args:
        path: The file; its folder is made where missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def take(self, project: str) -> None:
        """Takes the lock for the life of this process.

        Where the state directory cannot be written there is no lock, as there is no history; nothing else suffers.

        Raises:
            ConfigError: If another session has it.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a+", encoding="utf-8")
        except OSError:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip() or "?"
            self._file.close()
            self._file = None
            raise ConfigError(
                f"another splitdeck (process {holder}) runs on {project} already",
                "use that one, or end it first; `splitdeck build` works beside it",
            ) from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Lets go of it; not having it is fine."""
        if self._file is not None:
            self._file.close()
            self._file = None
