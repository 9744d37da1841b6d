"""The build context as a tar.

On the `/build` path the engine takes the tar as it is: owners, modes and all its files land in the image. So the tar
holds only what may be sent, owned by root, with modes from the executable bit alone.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from console.build.context.files import Kind
from console.build.context.look import AT_ONCE_BYTES, NOT_WHAT_IT_WAS, mode_of, open_file, pieces, unreadable
from console.build.context.snapshot import Entry, Snapshot
from console.errors import ContextError

_IN_MEMORY_BYTES = 32 * 1024 * 1024
_KEPT_BYTES = 64 * 1024 * 1024
_KEPT_FILE_BYTES = 64 * 1024
"""The most that is kept of one file: a larger one takes longer to read than to open, so keeping it gains little."""
_BLOCK_BYTES = tarfile.BLOCKSIZE
_LARGEST_OCTAL = 8**11


@dataclass(frozen=True, slots=True)
class PackedContext:
    """A build context, ready to be sent."""

    tar: IO[bytes]
    """At its beginning; in memory up to 32 MB, else a temporary file. Whoever takes it closes it."""
    sent_bytes: int
    """The tar's length."""


@dataclass(frozen=True, slots=True)
class _Block:
    """An entry as it stands in a tar: its header, and a small file's content."""

    entry: Entry
    packed: bytes


class TarPacker:
    """Makes tars, and keeps the small files of each Dockerfile's last one, up to 64 MB, to read only what changed."""

    def __init__(self) -> None:
        self._kept: dict[Path, Mapping[str, _Block]] = {}

    def pack(self, snapshot: Snapshot) -> PackedContext:
        """Packs a build's files.

        What has vanished since the snapshot is left out; of a file that was or is being written to, what is there is
        sent, unless it was kept as it is in the snapshot.

        Raises:
            ContextError: If a file cannot be read, the Dockerfile has vanished, or there is no room for the tar.
        """
        packing = _Packing(self._kept.get(snapshot.dockerfile, {}))
        try:
            packing.add_all(snapshot)
            packed = packing.finish()
        except BaseException:
            packing.close()
            raise
        self._kept[snapshot.dockerfile] = packing.kept
        return packed


def pack_tar(snapshot: Snapshot) -> PackedContext:
    """Packs a build's files, as `TarPacker.pack` does, and keeps nothing."""
    return TarPacker().pack(snapshot)


class _Packing:
    """One tar, in GNU format: one that begins with a PAX header the engine takes for a Dockerfile."""

    def __init__(self, known: Mapping[str, _Block]) -> None:
        self._known = known
        self._tar: IO[bytes] = BytesIO()
        self._length = 0
        self._kept_bytes = 0
        self.kept: dict[str, _Block] = {}

    def add_all(self, snapshot: Snapshot) -> None:
        """Packs a build's files, and the Dockerfile where it is not one of them."""
        name = snapshot.dockerfile_name
        gone = [path for path, entry in snapshot.entries.items() if not self._add(path, entry)]
        if name not in snapshot.entries and not self._add_file(name, os.path.realpath(snapshot.dockerfile)):
            gone.append(name)
        if name in gone:
            raise ContextError(f"the Dockerfile {name} vanished while it was read", "save it again")

    def finish(self) -> PackedContext:
        self._write(bytes(2 * _BLOCK_BYTES))
        self._tar.seek(0)
        return PackedContext(self._tar, self._length)

    def close(self) -> None:
        self._tar.close()

    def _add(self, path: str, entry: Entry) -> bool:
        """Packs an entry; says whether it was there."""
        block = self._known.get(path)
        if block is not None and block.entry is entry:
            self._keep(path, block)
            self._write(block.packed, len(block.packed) - _padded(entry.size))
        elif entry.kind is Kind.FILE:
            return self._add_file(path, entry.place, entry)
        else:
            header = _header(path, entry.kind, entry.mode, 0, entry.mtime, entry.target)
            self._write(header, len(header))
        return True

    def _add_file(self, path: str, place: str, entry: Entry | None = None) -> bool:
        """Packs a regular file, and keeps it if it is what the entry says; says whether it was there."""
        try:
            descriptor, status = open_file(place)
        except OSError as error:
            if error.errno in NOT_WHAT_IT_WAS:
                return False
            raise unreadable(path, place, error) from error
        try:
            size, mode, mtime = status.st_size, mode_of(status), int(status.st_mtime)
            if size > AT_ONCE_BYTES:
                self._stream(path, descriptor, size, mode, mtime)
                return True
            content = b"".join(pieces(descriptor, size))
        except OSError as error:
            raise unreadable(path, place, error) from error
        finally:
            os.close(descriptor)
        size = len(content)
        header = _header(path, Kind.FILE, mode, size, mtime)
        packed = b"".join((header, content, bytes(_padded(size) - size)))
        self._write(packed, len(header))
        if (
            entry is not None
            and (mode, size, mtime) == (entry.mode, entry.size, entry.mtime)
            and size <= _KEPT_FILE_BYTES
            and sha256(content).digest() == entry.digest
        ):
            self._keep(path, _Block(entry, packed))
        return True

    def _stream(self, path: str, descriptor: int, size: int, mode: int, mtime: int) -> None:
        header = _header(path, Kind.FILE, mode, size, mtime)
        self._write(header, len(header))
        left = size
        for piece in pieces(descriptor, size):
            self._write(piece)
            left -= len(piece)
        while left:  # the header has promised the size: what was cut off meanwhile is made up for with zeros
            piece = bytes(min(left, AT_ONCE_BYTES))
            self._write(piece)
            left -= len(piece)
        self._write(bytes(_padded(size) - size))

    def _keep(self, path: str, block: _Block) -> None:
        if self._kept_bytes + len(block.packed) <= _KEPT_BYTES:
            self._kept_bytes += len(block.packed)
            self.kept[path] = block

    def _write(self, part: bytes, header_bytes: int = 0) -> None:
        if not self._length and header_bytes > _BLOCK_BYTES:
            # the engine looks for a tar in the first 1024 bytes, where a long name's header would not end
            part = _header(".", Kind.DIR, 0o755, 0, 0) + part
        self._length += len(part)
        try:
            if self._length > _IN_MEMORY_BYTES and isinstance(self._tar, BytesIO):
                file = TemporaryFile()  # noqa: SIM115 - handed out
                with self._tar as buffer:
                    self._tar = file
                    file.write(buffer.getvalue())
            self._tar.write(part)
        except OSError as error:
            message = f"cannot keep a build context of {self._length} bytes: {error.strerror}"
            raise ContextError(message, "free some space for temporary files, or set TMPDIR") from error


def _padded(size: int) -> int:
    return size + -size % _BLOCK_BYTES


def _header(path: str, kind: Kind, mode: int, size: int, mtime: int, target: str = "") -> bytes:
    """An entry's header as TarInfo.tobuf writes it. The usual case is spelled out: that takes a third of the time."""
    name, link = os.fsencode(f"{path}/" if kind is Kind.DIR else path), os.fsencode(target)
    if len(name) > 100 or len(link) > 100 or size >= _LARGEST_OCTAL or not 0 <= mtime < _LARGEST_OCTAL:
        entry = tarfile.TarInfo(path)
        entry.type, entry.linkname = kind.value, target
        entry.mode, entry.size, entry.mtime = mode, size, mtime
        return entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
    before = name.ljust(100, b"\0") + b"%07o\0%b%011o\0%011o\0" % (mode, b"0000000\0" * 2, size, mtime)
    after = kind.value + link.ljust(100, b"\0") + b"ustar  \0" + bytes(247)
    checksum = sum(before) + sum(after) + 8 * ord(" ")
    return b"%b%06o\0 %b" % (before, checksum, after)
