"""Locks between processes: one session per project, one process at a time that works on its base images."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from console.errors import ConfigError


class Lock:
    """A lock file that the kernel lets go of when its holder ends, however it ends.

    Args:
        path: The file; its folder is made where missing.
        what: What another holder does, after "another splitdeck (process N)".
        hint: What to do then.
    """

    def __init__(self, path: Path, what: str, hint: str) -> None:
        self._path = path
        self._what = what
        self._hint = hint
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Takes the lock until `release`, or for the life of this process.

        Where the state directory cannot be written there is no lock, as there is no history; nothing else suffers.

        Raises:
            ConfigError: If another process has it, or something else in this one.
        """
        if self._file is not None:
            raise ConfigError(f"this splitdeck {self._what}", self._hint)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a+", encoding="utf-8", errors="replace")
        except OSError:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip() or "?"
            self._file.close()
            self._file = None
            raise ConfigError(f"another splitdeck (process {holder}) {self._what}", self._hint) from None
        except OSError:  # a file system without locks
            self.release()
            return
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Lets go of it; not having it is fine."""
        if self._file is not None:
            self._file.close()
            self._file = None


def project_lock(path: Path, project: str) -> Lock:
    """Held by the session that serves a project: two would replace each other's containers."""
    hint = "use that one, or end it first; `splitdeck build` works beside it"
    return Lock(path, f"runs on {project} already", hint)


def base_lock(path: Path, project: str) -> Lock:
    """Held while the base images of a project are made, moved or removed."""
    return Lock(path, f"is at work on the base images of {project}", "wait until it is done, or cancel it")
