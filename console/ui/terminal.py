"""The terminal as Textual writes to it, but for one that goes away: writing to that must not stop the program."""

from __future__ import annotations

from collections.abc import Iterable
from io import TextIOWrapper
from typing import TextIO, cast

from textual.app import App
from textual.drivers.linux_driver import LinuxDriver


class LastingOutput:
    """A text file that takes whatever is written, also after its other end has gone.

    Textual's writing thread ends at the first error; from then on its queue fills up and the event loop waits for room
    in it for ever.

    Args:
        file: Where text goes for as long as that works.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._gone = False

    def write(self, text: str) -> int:
        """Writes, or does nothing once writing has failed."""
        if not self._gone:
            try:
                return self._file.write(text)
            except OSError:
                self._gone = True
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """As `write`, for several."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flushes, or does nothing once writing has failed."""
        if not self._gone:
            try:
                self._file.flush()
            except OSError:
                self._gone = True

    def fileno(self) -> int:
        """The file's descriptor."""
        return self._file.fileno()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._file.isatty()


class LastingDriver(LinuxDriver):
    """Textual's driver for a terminal that may go away."""

    def __init__(
        self, app: App[object], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        assert self._file is not None, "the full screen needs a standard error"
        self._file = cast("TextIOWrapper", LastingOutput(self._file))
