"""Could a build read this path? So that a save of a file that no image holds costs nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from console.build.context.globs import component_pattern


def is_read(context: Path, sources: Iterable[str], path: str) -> bool:
    """Whether one of a Dockerfile's sources takes a path, itself or as part of a directory; true where in doubt.

    Args:
        context: The build context.
        sources: `Dockerfile.context_sources`.
        path: Relative to the context, posix.
    """
    for source in sources:
        if takes(source, path):
            return True
        if _is_behind_a_link(context, source):
            return True  # the files have other names there
    return False


def _is_behind_a_link(context: Path, source: str) -> bool:
    try:
        return (context / source).is_symlink() or (context / source).resolve() != context.resolve() / source
    except (OSError, RuntimeError, ValueError):  # a loop, no right to look, a name that no file can have
        return True


def takes(source: str, path: str) -> bool:
    """Whether a Dockerfile's source names a path, itself or as part of a directory; links are not followed."""
    if source == ".":
        return True
    parts = path.split("/")
    for index, pattern in enumerate(source.split("/")):
        if pattern == "**":
            return True
        if index == len(parts) or not _matches(pattern, parts[index]):
            return False
    return True


def _matches(pattern: str, name: str) -> bool:
    if pattern == name:
        return True
    matcher = component_pattern(pattern)
    return matcher is not None and matcher.fullmatch(name) is not None
