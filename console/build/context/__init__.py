"""The build context: which files a build reads, and the tar of them."""

from console.build.context.files import Excludes, Kind, Selection, select_files
from console.build.context.pack import Context, read_context

__all__ = ["Context", "Excludes", "Kind", "Selection", "read_context", "select_files"]
