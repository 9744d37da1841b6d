"""The git commit that something was built from."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

_TIMEOUT_S = 5.0


def head_revision(root: Path) -> str:
    """The commit that is checked out, in ten digits; empty where there is none, or no git."""
    return (_git(root, "rev-parse", "--short=10", "--verify", "HEAD") or "").strip()


def committed_revision(root: Path, inputs: Iterable[str]) -> str:
    """The commit that holds all of the inputs just as they are; empty where there is none, or no git.

    Args:
        root: The project's folder.
        inputs: Files, relative to it.
    """
    paths = list(inputs)
    head = _git(root, "rev-parse", "--verify", "HEAD")
    if not head or not paths:
        return ""
    tracked = _git(root, "ls-files", "--error-unmatch", "-z", "--", *paths)
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", *paths)
    return head.strip() if tracked is not None and changed == "" else ""


def _git(root: Path, *arguments: str) -> str | None:
    """What git says; None where it fails. Without locks: the user's own git may be at work."""
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    command = ["git", "--literal-pathspecs", *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "surrogateescape") if done.returncode == 0 else None
