"""The build context as a tar.

On the `/build` path the engine takes the tar as it is: owners, modes and all its files land in the image. So the tar
holds only what may be sent (`context_files`), owned by root, with modes from the executable bit alone.
"""

from __future__ import annotations

import errno
import os
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from stat import S_ISREG
from tempfile import TemporaryFile
from typing import IO

from console.build.context.files import Excludes, Kind, Selection, select_files
from console.errors import ContextError

OUTSIDE_NAME = ".splitdeck.dockerfile"
"""What the Dockerfile is called in the tar if it is not among the files that may be sent."""

_IN_MEMORY_BYTES = 32 * 1024 * 1024
_AT_ONCE_BYTES = 1024 * 1024
_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BLOCK_BYTES = tarfile.BLOCKSIZE
_LARGEST_OCTAL = 8**11
_NOT_WHAT_IT_WAS = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.ENXIO, errno.ESTALE})
"""Errors of reading a file, link or directory that has since vanished or become something else."""


@dataclass(frozen=True, slots=True)
class Context:
    """A build context, ready to be sent."""

    tar: IO[bytes]
    """At its beginning; in memory up to 32 MB, else a temporary file. Whoever takes it closes it."""
    files: int
    """How many regular files it holds, the Dockerfile among them."""
    size_bytes: int
    """What these files hold; the tar is larger."""
    dockerfile: str
    """Where the Dockerfile is in the tar: what the engine must be told."""
    digest: str
    """SHA-256 over names, types, modes and contents, not over times."""
    skipped: tuple[str, ...]
    """Sockets, FIFOs and devices, which are never sent."""


def read_context(context: Path, rules: Excludes, sources: Iterable[str], dockerfile: Path) -> Context:
    """Packs what a build reads.

    Args:
        context: The directory.
        rules: What is left out.
        sources: What the Dockerfile reads of it (`Dockerfile.context_sources`).
        dockerfile: Wherever it is; outside of the context, or left out of it, it is sent as `.splitdeck.dockerfile`.

    A file that vanishes meanwhile counts as deleted before; of one that is written to, what was there is sent.

    Raises:
        ContextError: If a file or directory cannot be read, or the Dockerfile is not there.
    """
    root, definition = context.resolve(), dockerfile.resolve()
    if not root.is_dir():
        raise ContextError(f"the build context {context} is not a directory", "check the context in config.toml")
    if not definition.is_file():
        raise ContextError(f"there is no Dockerfile at {dockerfile}", "check the dockerfile in config.toml")
    selection = select_files(str(root), sources, rules)
    name = _name_in_tar(root, definition, selection, rules)
    packer = _Packer()
    try:
        for path in sorted(selection.entries):
            place = str(definition) if path == name else f"{root}/{path}"
            packer.add(path, selection.entries[path], place)
        return packer.finish(name, selection.skipped)
    except BaseException:
        packer.close()
        raise


def _name_in_tar(root: Path, definition: Path, selection: Selection, rules: Excludes) -> str:
    """Sees to it that the Dockerfile is sent; gives its name."""
    try:
        name = definition.relative_to(root).as_posix()
        name.encode()  # a name that is not UTF-8 cannot be told to the engine
    except ValueError:
        name = ""
    if not name or rules.excludes(name):
        name = OUTSIDE_NAME
        while name in selection.entries:
            name += "_"
    selection.add(name, Kind.FILE)
    return name


class _Packer:
    """Writes one tar, in GNU format: one that begins with a PAX header the engine takes for a Dockerfile."""

    def __init__(self) -> None:
        self._tar: IO[bytes] = BytesIO()
        self._length = 0
        self._digest = sha256()
        self._files = 0
        self._size_bytes = 0
        self._gone: set[str] = set()

    def add(self, path: str, kind: Kind, place: str) -> None:
        """Packs what is at `place`; nothing if it is not there any more, or not what it was."""
        pack: Callable[[str, str], None] = {Kind.FILE: self._file, Kind.LINK: self._link, Kind.DIR: self._dir}[kind]
        length = self._length
        try:
            pack(path, place)
        except OSError as error:
            if error.errno in _NOT_WHAT_IT_WAS and self._length == length:
                self._gone.add(path)
                return
            hint = f"make it readable (chmod +r), or add {path} to .dockerignore"
            raise ContextError(f"cannot read {place}: {error.strerror}", hint) from error

    def finish(self, dockerfile: str, skipped: Iterable[str]) -> Context:
        if dockerfile in self._gone:
            raise ContextError(f"the Dockerfile {dockerfile} vanished while it was read", "save it again")
        self._write(bytes(2 * _BLOCK_BYTES))
        self._tar.seek(0)
        return Context(
            tar=self._tar,
            files=self._files,
            size_bytes=self._size_bytes,
            dockerfile=dockerfile,
            digest=self._digest.hexdigest(),
            skipped=tuple(sorted(skipped)),
        )

    def close(self) -> None:
        self._tar.close()

    def _file(self, path: str, place: str) -> None:
        descriptor = os.open(place, _OPEN_FLAGS)
        try:
            status = os.fstat(descriptor)
            if not S_ISREG(status.st_mode):
                raise FileNotFoundError(errno.ENOENT, "no regular file any more")
            mode = 0o755 if status.st_mode & 0o100 else 0o644
            left = size = status.st_size
            content = b""
            if size <= _AT_ONCE_BYTES:
                content = os.read(descriptor, size)
                while len(content) < size and (more := os.read(descriptor, size - len(content))):
                    content += more
                left = size = len(content)
            self._begin(path, Kind.FILE, mode, size, int(status.st_mtime), first=content)
            left -= len(content)
            while left:
                # the header has promised the size: what was cut off meanwhile is made up for with zeros
                chunk = os.read(descriptor, min(left, _AT_ONCE_BYTES)) or bytes(min(left, _AT_ONCE_BYTES))
                self._write(chunk)
                self._digest.update(chunk)
                left -= len(chunk)
            if size > _AT_ONCE_BYTES:
                self._write(_padding(size))
        finally:
            os.close(descriptor)
        self._files += 1
        self._size_bytes += size

    def _link(self, path: str, place: str) -> None:
        target = os.readlink(place)  # noqa: PTH115
        self._begin(path, Kind.LINK, 0o777, 0, int(os.lstat(place).st_mtime), target=target)

    def _dir(self, path: str, place: str) -> None:
        self._begin(path, Kind.DIR, 0o755, 0, int(os.lstat(place).st_mtime))

    def _begin(
        self, path: str, kind: Kind, mode: int, size: int, mtime: int, *, target: str = "", first: bytes = b""
    ) -> None:
        """Writes an entry's header and, where it is all of it, its content."""
        name, link = os.fsencode(path), os.fsencode(target)
        header = _header(name + b"/" if kind is Kind.DIR else name, kind, mode, size, mtime, link)
        if not self._length and len(header) > _BLOCK_BYTES:
            # the engine looks for a tar in the first 1024 bytes, where a long name's header would not end
            self._write(_header(b"./", Kind.DIR, 0o755, 0, 0, b""))
        self._write(b"".join((header, first, _padding(len(first)))))
        content = first or link
        self._digest.update(b"%b%o %d %d %b" % (kind.value, mode, len(name), size or len(link), name))
        self._digest.update(content)

    def _write(self, part: bytes) -> None:
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


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK_BYTES)


def _header(name: bytes, kind: Kind, mode: int, size: int, mtime: int, link: bytes) -> bytes:
    """An entry's header as TarInfo.tobuf writes it. The usual case is spelled out: that takes a third of the time."""
    if len(name) > 100 or len(link) > 100 or size >= _LARGEST_OCTAL or not 0 <= mtime < _LARGEST_OCTAL:
        entry = tarfile.TarInfo(os.fsdecode(name).rstrip("/"))
        entry.type, entry.linkname = kind.value, os.fsdecode(link)
        entry.mode, entry.size, entry.mtime = mode, size, mtime
        return entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
    before = name.ljust(100, b"\0") + b"%07o\0%b%011o\0%011o\0" % (mode, b"0000000\0" * 2, size, mtime)
    after = kind.value + link.ljust(100, b"\0") + b"ustar  \0" + bytes(247)
    checksum = sum(before) + sum(after) + 8 * ord(" ")
    return b"%b%06o\0 %b" % (before, checksum, after)
