"""What all commands share: their options, and how they come to an end."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import threading
from collections.abc import Coroutine
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from console.errors import ExitCode

_GRACE_S = 2.0
"""Beyond the time that ending in order may take: the history is written then."""


class ScenarioName(str, Enum):
    """Scenarios as options name them."""

    COLD = "cold"
    CODE_CHANGE = "code-change"
    DEPS_CHANGE = "deps-change"
    NO_CHANGE = "no-change"


Directory = Annotated[
    Path,
    typer.Option(
        *("-C", "--directory"),
        metavar="DIR",
        help="Look for config.toml here and above.",
        show_default=False,
        exists=True,
        file_okay=False,
    ),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="The config.toml to use.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON event per line (docs/events.md).")]


def loaded_config(directory: Path, path: Path | None) -> Any:
    from console.config import find_config, load_config

    return load_config(path if path is not None else find_config(directory.absolute()))


def finish(work: Coroutine[Any, Any, ExitCode], config: Any) -> NoReturn:
    """Runs to the end and leaves with the right exit code.

    The first signal ends everything in order, so that an app container is left running; a second one ends at once, and
    so does the time that an orderly end may take.
    """
    from console.session import STOP_DEADLINE_S

    patience_s = STOP_DEADLINE_S + config.run.stop_grace_s + _GRACE_S

    async def interruptible() -> ExitCode:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        asked = False

        def interrupt(number: int, _frame: object) -> None:
            nonlocal asked
            if asked:
                os._exit(ExitCode.INTERRUPTED)
            asked = True
            _end_at_last(patience_s)
            if number == signal.SIGHUP:
                _leave_terminal()
            loop.call_soon_threadsafe(task.cancel)

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Not asyncio's handlers: those are run by the loop, which may be what hangs.
            signal.signal(number, interrupt)
        return await task

    try:
        code = asyncio.run(interruptible())
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = ExitCode.INTERRUPTED
    raise typer.Exit(code)


def _end_at_last(seconds: float) -> None:
    """Ends the process after a time, whatever hangs. The kernel lets go of the project's lock; containers go on."""
    timer = threading.Timer(seconds, os._exit, (int(ExitCode.INTERRUPTED),))
    timer.daemon = True
    timer.start()


def _leave_terminal() -> None:
    """Puts nothing in the place of a terminal that has gone: reading and writing there fails from now on."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        # A file or a pipe that our output goes to is still there. One that has gone is no terminal any more, either.
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                os.dup2(nowhere, descriptor)
    os.close(nowhere)
