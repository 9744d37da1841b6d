"""Files on demand: BuildKit compares listings with what it has kept, and asks for what differs.

Protocol: moby/buildkit, session/filesync/filesync.go and .proto; tonistiigi/fsutil, send.go and types/wire.proto.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import unquote_plus

from console.build.buildkit_session.grpc import Code, GrpcError, Metadata, framed
from console.build.buildkit_session.grpc_server import Handler, ServerCall
from console.build.buildkit_session.listing import EMPTY, Listing, Listings
from console.build.context.files import parents
from console.build.context.look import NOT_WHAT_IT_WAS, open_file, pieces
from console.build.context.snapshot import Entry
from console.build.protobuf import Fields, ProtobufError, data_field, number_field

_REQUEST, _DATA, _FINISHED, _ERROR = 1, 2, 3, 4
"""Packet types; 0 is an entry of the listing."""
_FINISHED_PACKET = number_field(1, _FINISHED)

_TOGETHER_BYTES = 512 * 1024
"""How much of small files is put together before it is sent."""
_CONTEXT = "context"
"""The folder in which the Dockerfile frontend looks for ignore rules."""
_IGNORE_NAME = ".dockerignore"


@dataclass(slots=True)
class Folder:
    """A folder that BuildKit may ask for by a name.

    Args:
        entries: What it holds, in a walk's order.
        listings: Kept between builds of the same folder, it saves telling what is known.
        dockerfile: The entry that is there even where no step reads it; empty where there is none.
    """

    entries: Mapping[str, Entry]
    listings: Listings = field(default_factory=Listings)
    dockerfile: str = ""


@dataclass(slots=True)
class Sent:
    """What has gone over the wire."""

    size_bytes: int = 0
    """Of the files' content."""
    changed: set[tuple[str, str]] = field(default_factory=set)
    """Files that were not any more what their entry says, by folder and path: the transfer was ended at each."""


class FileSync:
    """Serves folders.

    Of all that a request says, only the folder's name counts, because a folder holds no more than a build reads: what
    BuildKit leaves out by its own lights is left out already. The one exception is `.dockerignore`: it has done its
    work here, so BuildKit is told that there is none.

    Args:
        folders: By name; the Dockerfile frontend asks for `context` and `dockerfile`.
    """

    def __init__(self, folders: Mapping[str, Folder]) -> None:
        self._folders = folders
        self._lock = threading.Lock()
        self.sent = Sent()

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {"/moby.filesync.v1.FileSync/DiffCopy": self._diff_copy}

    def _diff_copy(self, call: ServerCall) -> None:
        name = call.metadata.first("dir-name")
        folder = self._folders.get(name)
        if folder is None:
            raise GrpcError(Code.NOT_FOUND, f"there is no folder {name!r} in this session")
        if name == _CONTEXT and _asks_for_ignore_rules_only(call.metadata, folder):
            listing = EMPTY
        else:
            listing = folder.listings.make(folder.entries)
        call.send_framed(listing.packets)
        transfer = _Transfer(call, listing)
        try:
            transfer.run()
        finally:
            with self._lock:
                self.sent.size_bytes += transfer.size_bytes
                self.sent.changed |= {(name, path) for path in transfer.changed}


class _Transfer:
    """Answers what BuildKit asks for after a listing."""

    def __init__(self, call: ServerCall, listing: Listing) -> None:
        self._call = call
        self._listing = listing
        self._waiting = bytearray()
        self.size_bytes = 0
        self.changed: list[str] = []

    def run(self) -> None:
        while messages := self._call.receive_waiting():
            for message in messages:
                try:
                    packet = Fields(message)
                except ProtobufError as error:
                    raise GrpcError(Code.INVALID_ARGUMENT, f"a packet that is none: {error}") from error
                kind = packet.number(1)
                if kind == _REQUEST:
                    self._send_file(packet.number(3))
                elif kind == _FINISHED:
                    self._put(_FINISHED_PACKET)
                    self._flush()
                    return
                elif kind == _ERROR:
                    raise GrpcError(Code.ABORTED, f"the builder cannot take the files: {packet.text(4)}")
            self._flush()

    def _send_file(self, number: int) -> None:
        """Sends what a file holds.

        BuildKit keeps what it gets under the size and time that the listing told, for every later build. So a file that
        is not what its entry says ends the transfer with an error, at which BuildKit drops its copy of the folder.

        Raises:
            GrpcError: If it was changed, or cannot be read.
        """
        path = self._listing.files.get(number)
        if path is None:
            raise GrpcError(Code.INVALID_ARGUMENT, f"entry {number} of the listing is no file")
        entry = self._listing.entries[path]
        digest, begin = sha256(), number_field(1, _DATA) + number_field(3, number)
        for chunk in _content(path, entry):
            digest.update(chunk)
            self._put(begin + data_field(4, chunk))
            self.size_bytes += len(chunk)
        if digest.digest() != entry.digest:
            self.changed.append(path)
            raise GrpcError(Code.ABORTED, f"{path} changed while it was being sent")
        self._put(begin)

    def _put(self, packet: bytes) -> None:
        self._waiting += framed(packet)
        if len(self._waiting) >= _TOGETHER_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, bytearray()
            self._call.send_framed(waiting)


def _content(path: str, entry: Entry) -> Iterator[bytes]:
    """What a file holds now, but no more than its listing has promised; nothing if it is gone.

    Raises:
        GrpcError: If it cannot be read.
    """
    try:
        descriptor, _ = open_file(entry.place)
        try:
            yield from pieces(descriptor, entry.size)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in NOT_WHAT_IT_WAS:
            raise GrpcError(Code.PERMISSION_DENIED, f"cannot read {path}: {error.strerror}") from error


def _asks_for_ignore_rules_only(metadata: Metadata, folder: Folder) -> bool:
    """Whether a request is the frontend's look at `.dockerignore`.

    A build that copies nothing but `.dockerignore` asks for it in the same words, and BuildKit takes both requests for
    one (`CacheKey` in source/local/source.go): it gets the file, whose patterns nobody heeds.
    """
    paths = _values(metadata, "followpaths") + _values(metadata, "include-patterns")
    if not paths or any(path != _IGNORE_NAME for path in paths):
        return False
    unread = {folder.dockerfile, *parents(folder.dockerfile)}
    return set(folder.entries) - unread != {_IGNORE_NAME}


def _values(metadata: Metadata, name: str) -> list[str]:
    """A request's values; percent-encoded where one is not ASCII (`encodeOpts` in filesync.go)."""
    decode: Callable[[str], str] = unquote_plus if metadata.first(f"{name}-encoded") == "1" else str
    return [decode(value) for value in metadata.all(name)]
