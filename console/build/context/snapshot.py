"""What a build reads, as it was at one moment: the value that every way of sending a build context starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from console.build.context.files import Kind


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, link or directory, as the image is to hold it: owned by root, mode from the executable bit alone."""

    kind: Kind
    mode: int
    """Permission bits: 0o644, 0o755, or 0o777 for links."""
    size: int
    """Of a regular file's content, in bytes; 0 for others."""
    mtime: int
    """Whole seconds since 1970."""
    target: str
    """What a link points to, as it is written there."""
    digest: bytes
    """SHA-256 of a file's content or a link's target; empty for directories."""
    place: str
    """Where it is read: an absolute path."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A build's files.

    A file may be written to after this was made. Whoever sends it sends what is there then; the save that did it leads
    to a build of its own.
    """

    root: Path
    """The build context's directory."""
    entries: Mapping[str, Entry]
    """By path relative to the root, with `/`; parents come before what they hold. The order is that of a walk in which
    each directory's names are sorted, so `a/b` comes before `a.txt`."""
    dockerfile: Path
    """Wherever it is; among `entries` only where it lies in the build context and is not left out of it."""
    dockerfile_name: str
    """What the builder is told it is called: its path in the build context where it is sent with it."""
    files: int
    """How many regular files there are."""
    size_bytes: int
    """What they hold."""
    digest: str
    """SHA-256 over names, kinds, modes and contents, not over times: equal digests build equal images."""
    skipped: tuple[str, ...]
    """Sockets, FIFOs and devices, which are never sent."""


def walk_order(path: str) -> str:
    """Sorts paths as a walk meets them: what is in a directory before the directory's next neighbour."""
    return path.replace("/", "\0")
