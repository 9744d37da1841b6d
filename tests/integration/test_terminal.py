"""The full screen in a terminal of its own that is closed: the program ends, the app goes on."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.integration.conftest import DEADLINE_S, Live, Project

pytestmark = pytest.mark.docker

_ENDS_WITHIN_S = 15.0


class Terminal:
    """A pseudo terminal with splitdeck in it."""

    def __init__(self, project: Project) -> None:
        self.screen = b""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
        root = str(Path(__file__).parents[2])
        self.process = subprocess.Popen(
            # Only the leader of a session whose terminal it is hears that the terminal was closed.
            ["setsid", "--ctty", sys.executable, "-m", "console"],
            cwd=project.folder,
            env={**os.environ, **project.environment, "PYTHONPATH": root, "TERM": "xterm-256color"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self._closing = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """What is not read would make writing wait."""
        os.set_blocking(self._master, False)
        while not self._closing.wait(0.01):
            with suppress(BlockingIOError):
                try:
                    self.screen += os.read(self._master, 65536)
                except BlockingIOError:
                    raise
                except OSError:
                    return

    def close(self) -> None:
        """As closing the terminal's window does."""
        self._closing.set()
        self._reader.join()
        os.close(self._master)

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {DEADLINE_S:g} s: {what}")
        time.sleep(0.05)


def answers(project: Project) -> bool:
    with suppress(OSError, HTTPException):
        return Live.served(project) == "one"  # type: ignore[arg-type]  # it needs the port only
    return False


def test_closing_the_terminal_ends_the_program_and_leaves_the_app(project: Project) -> None:
    terminal = Terminal(project)
    try:
        until(lambda: answers(project), "the app answers")
        time.sleep(0.5)  # the screen is being drawn, as it is most of the time
        terminal.close()
        terminal.process.wait(_ENDS_WITHIN_S)
    finally:
        terminal.process.kill()
        terminal.process.wait()
    assert answers(project), "the app goes on"

    again = project.run()
    ready = again.wait("container.ready")
    assert ready["build"] is None, "the container that was left is taken over"
    assert again.stop() == 130
