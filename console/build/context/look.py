"""One entry of the build context as it is on disk, read again only where it may have changed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from stat import S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, S_ISREG

from console.build.context.files import Kind
from console.build.context.snapshot import Entry
from console.errors import ContextError

AT_ONCE_BYTES = 1024 * 1024
"""How much of a file is in memory at a time."""
NOT_WHAT_IT_WAS = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.ENXIO, errno.ESTALE})
"""Errors of reading a file, link or directory that has since vanished or become something else."""

_SETTLED_NS = 2_000_000_000
"""The coarsest clock of a file system (FAT's), and far more than a tick of the kernel's (10 ms), which the times on
ext4 and its like are taken from."""
_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FORMATS = {Kind.FILE: S_IFREG, Kind.LINK: S_IFLNK, Kind.DIR: S_IFDIR}


@dataclass(frozen=True, slots=True)
class Seen:
    """An entry, and what tells whether it is still that."""

    entry: Entry
    identity: tuple[int, ...]
    """Device, inode, mode, size, times of modification and change in nanoseconds."""
    settled: bool
    """Whether a later change would show in the identity. Two changes within a tick of the clock have the same time, so
    what changed just before it was looked at may have changed just after, too."""
    shared: bool
    """Whether a file has more names than this one: a write under another is not reported for this one."""
    line: bytes
    """What it adds to the snapshot's digest."""


def look(path: str, kind: Kind, place: str, before: Seen | None, now_ns: int) -> Seen | None:
    """Looks at an entry.

    Args:
        path: What the builder calls it.
        kind: What it was found to be.
        place: Where it is.
        before: How it was seen last.
        now_ns: The time when this snapshot began, in nanoseconds since 1970.

    Returns:
        The entry as it is now, `before` itself if it has not changed; None if it is gone or something else.

    Raises:
        ContextError: If it cannot be read.
    """
    try:
        status = os.lstat(place)
        if S_IFMT(status.st_mode) != _FORMATS[kind]:
            return None
        if before is not None and before.settled and before.identity == _identity(status):
            return before
        if kind is Kind.FILE:
            status, size, digest = _read(place)
            entry = Entry(kind, mode_of(status), size, int(status.st_mtime), "", digest, place)
        elif kind is Kind.LINK:
            target = os.readlink(place)  # noqa: PTH115
            entry = Entry(kind, 0o777, 0, int(status.st_mtime), target, sha256(os.fsencode(target)).digest(), place)
        else:
            entry = Entry(kind, 0o755, 0, int(status.st_mtime), "", b"", place)
    except OSError as error:
        if error.errno in NOT_WHAT_IT_WAS:
            return None
        raise unreadable(path, place, error) from error
    if before is not None and before.entry == entry:
        entry = before.entry  # what is kept for it elsewhere stays good
    name = os.fsencode(path)
    return Seen(
        entry,
        _identity(status),
        settled=kind is Kind.DIR or max(status.st_mtime_ns, status.st_ctime_ns) + _SETTLED_NS <= now_ns,
        shared=kind is Kind.FILE and status.st_nlink > 1,
        line=b"%b%o %d %b%b" % (kind.value, entry.mode, len(name), name, entry.digest),
    )


def mode_of(status: os.stat_result) -> int:
    """A file's permission bits in the image."""
    return 0o755 if status.st_mode & 0o100 else 0o644


def open_file(place: str) -> tuple[int, os.stat_result]:
    """Opens a regular file, and nothing else; whoever takes the descriptor closes it."""
    descriptor = os.open(place, _OPEN_FLAGS)
    status = os.fstat(descriptor)
    if not S_ISREG(status.st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "no regular file any more")
    return descriptor, status


def pieces(descriptor: int, size: int) -> Iterator[bytes]:
    """A file's content, up to a size, as far as it is there."""
    left = size
    while left and (piece := os.read(descriptor, min(left, AT_ONCE_BYTES))):
        left -= len(piece)
        yield piece


def unreadable(path: str, place: str, error: OSError) -> ContextError:
    """What to tell where an entry cannot be read."""
    hint = f"make it readable (chmod +r), or add {path} to .dockerignore"
    return ContextError(f"cannot read {place}: {error.strerror}", hint)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read(place: str) -> tuple[os.stat_result, int, bytes]:
    """A file's status from before it was read, how much there was to read, and the hash of that."""
    descriptor, status = open_file(place)
    try:
        size, content = 0, sha256()
        for piece in pieces(descriptor, status.st_size):
            content.update(piece)
            size += len(piece)
    finally:
        os.close(descriptor)
    return status, size, content.digest()
