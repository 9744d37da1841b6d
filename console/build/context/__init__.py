"""The build context: which files a build reads, kept between builds, and the tar of them."""

from console.build.context.files import Excludes, Kind, Selection, select_files
from console.build.context.kept import KeptContext
from console.build.context.pack import PackedContext, TarPacker, pack_tar
from console.build.context.snapshot import Entry, Snapshot

__all__ = [
    "Entry",
    "Excludes",
    "KeptContext",
    "Kind",
    "PackedContext",
    "Selection",
    "Snapshot",
    "TarPacker",
    "pack_tar",
    "select_files",
]
