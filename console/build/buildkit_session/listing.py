"""A folder as BuildKit is told of it: one STAT packet for each entry, made once and kept between builds.

Protocol: tonistiigi/fsutil, types/wire.proto and types/stat.proto; the order of entries is that of its `ComparePath`.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from console.build.buildkit_session.grpc import framed
from console.build.context.files import Kind
from console.build.context.snapshot import Entry
from console.build.protobuf import data_field, number_field

_GO_DIRECTORY = 1 << 31
_GO_LINK = 1 << 27
"""Go's os.FileMode: type bits that differ from those of stat(2)."""
_TYPE_BITS = {Kind.FILE: 0, Kind.DIR: _GO_DIRECTORY, Kind.LINK: _GO_LINK}
_NANOSECONDS = 10**9
_HALF_CHARACTER = re.compile("[\udc80-\udcff]")
"""What Python reads bytes as that are no UTF-8."""
_LAST_STAT = framed(b"")
"""A STAT packet without an entry says that there are no more."""


@dataclass(frozen=True, slots=True)
class Listing:
    """All that is told of a folder."""

    packets: bytes
    """Ready for the stream."""
    files: Mapping[int, str]
    """Paths of regular files by the number under which BuildKit asks for them: their place among all entries."""
    entries: Mapping[str, Entry]


EMPTY = Listing(_LAST_STAT, {}, {})


class Listings:
    """Makes listings of one folder as it changes, and remembers the packets of entries that did not.

    BuildKit asks for a file if its size or time differ from what it has. Time is told in whole seconds from the file,
    and in nanoseconds from its content, so that an edit that keeps size and time is seen all the same.

    May be used from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._packets: dict[str, tuple[Entry, bytes]] = {}

    def make(self, entries: Mapping[str, Entry]) -> Listing:
        """The listing of a folder's entries, which are in a walk's order, as those of a `Snapshot` are."""
        packets, files = {}, {}
        with self._lock:
            known = self._packets
            for number, (path, entry) in enumerate(_in_order(entries)):
                found = known.get(path)
                if found is None or (found[0] is not entry and found[0] != entry):
                    found = (entry, framed(_stat_packet(path, entry)))
                packets[path] = found
                if entry.kind is Kind.FILE:
                    files[number] = path
            self._packets = packets
        return Listing(b"".join([packet for _, packet in packets.values()]) + _LAST_STAT, files, entries)


def dockerfile_entries(name: str, place: Path) -> dict[str, Entry]:
    """A folder that holds nothing but a Dockerfile.

    Args:
        name: What the builder is told it is called; with `/`, it lies in directories of the folder.
        place: Where it is.

    Raises:
        OSError: If it cannot be read.
    """
    real = os.path.realpath(place, strict=True)  # what is sent is opened without following links
    content = Path(real).read_bytes()
    mtime = int(os.stat(real).st_mtime)  # noqa: PTH116
    entries = {}
    parts = name.split("/")
    for depth in range(1, len(parts)):
        entries["/".join(parts[:depth])] = Entry(Kind.DIR, 0o755, 0, mtime, "", b"", str(place.parent))
    digest = sha256(content).digest()
    entries[name] = Entry(Kind.FILE, 0o644, len(content), mtime, "", digest, real)
    return entries


def names_without_text(entries: Mapping[str, Entry]) -> list[str]:
    """Entries whose path or link target is no UTF-8. BuildKit 0.8 takes them, 0.25 refuses a listing with one of them;
    in a tar both take them."""
    texts = ((path, path + entry.target) for path, entry in entries.items())
    return [path for path, text in texts if not text.isascii() and _HALF_CHARACTER.search(text)]


def _in_order(entries: Mapping[str, Entry]) -> Iterable[tuple[str, Entry]]:
    """The entries as fsutil compares paths: by bytes, with `/` before all others.

    Text in a walk's order is in that order already, unless it stands for bytes that are no UTF-8.
    """
    if names_without_text(entries):
        return sorted(entries.items(), key=lambda item: os.fsencode(item[0]).replace(b"/", b"\0"))
    return entries.items()


def _stat_packet(path: str, entry: Entry) -> bytes:
    """A PACKET_STAT, which is type 0; owner and group are root, which is 0 and not written."""
    nanoseconds = int.from_bytes(entry.digest[:8], "big") % _NANOSECONDS
    stat = (
        data_field(1, path)
        + number_field(2, entry.mode | _TYPE_BITS[entry.kind])
        + number_field(5, entry.size)
        + number_field(6, entry.mtime * _NANOSECONDS + nanoseconds)
    )
    if entry.kind is Kind.LINK:
        stat += data_field(7, entry.target)
    return data_field(2, stat)
