"""Commands in throw-away containers of an image: the checks that a new base must pass.

Such a container publishes no port, is killed without a grace and always removed. What a killed process left behind is
known by its role and its owner's process (`tidy_checks`).
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING, Any

from console.engine import engine_errors
from console.errors import EngineError, EngineUnreachableError
from console.model import LABEL_PROJECT, LABEL_ROLE, Stream

if TYPE_CHECKING:
    from docker import APIClient

ROLE_CHECK = "check"
"""The role of throw-away containers; no image has it."""
LABEL_OWNER = "io.splitdeck.owner"
"""On throw-away containers: host and process that remove them when they have served."""
CANCELLED = "cancelled"
"""The reason of a check that was ended because nobody wants its answer any more."""

_in_use: set[str] = set()
"""Names of the throw-away containers that this process still needs, on any of its threads."""
_SHELL = ("/bin/sh", "-c")
_LOOK_S = 0.05
"""How soon a cancel or the end of the time is noticed."""
_SILENCE_S = 1.0
"""After this long without output the engine is asked whether the command still runs: a connection may hang."""
_FOREIGN_S = 2 * 3600.0
"""No check may take so long: a container of a host that is not ours and older than this was left behind."""
_WAITING_PIECES = 256
"""What was written and not heard yet; a check that writes faster waits."""
_LONGEST_LINE_BYTES = 8 * 1024
_TOLD_LINES = 10_000
_TOLD_BYTES = 1_000_000
_LAST_LINES = 20
_NO_PROGRAM = re.compile(r"executable file not found|exec: .*no such file or directory", re.DOTALL)
_NOT_RUNNABLE = re.compile(r"exec: .*permission denied|exec format error|is a directory", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CheckFailure:
    """The first check that a base did not pass."""

    command: str
    """As one would type it."""
    reason: str
    """`exit code 1`, `took longer than 120 s`, `killed (out of memory)`, `no such program`, …, or `CANCELLED`."""
    output: tuple[str, ...]
    """The last lines that it wrote, or what the engine said where it could not be started."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command in a throw-away container ended."""

    reason: str
    """Empty where it succeeded, else as in `CheckFailure`."""
    words: str = ""
    """The engine's, where it could not start the command."""


def run_checks(
    client: APIClient,
    image_id: str,
    commands: tuple[str | tuple[str, ...], ...],
    *,
    project: str,
    timeout_s: float,
    tell: Callable[[str, tuple[str, ...]], None],
    ended: threading.Event | None,
) -> CheckFailure | None:
    """Runs each command in a fresh container of an image, as the image's own user; the first that fails ends it.

    Args:
        client: This thread's.
        image_id: The image.
        commands: Text for the image's `/bin/sh`, or the words of a program that is started without a shell. The image's
            ENTRYPOINT plays no part.
        project: Whose the containers are.
        timeout_s: For each command.
        tell: Hears a command and its next lines, as they come; at most 10,000 of a command.
        ended: Once set, what runs is killed and the answer is a failure with the reason `CANCELLED`.

    Returns:
        None where all of them succeeded.

    Raises:
        EngineUnreachableError: If the engine goes away meanwhile.
        EngineError: If it refuses for a reason that is not the command's.
    """
    for command in commands:
        text = command_text(command)
        listener = _Listener(text, tell)
        ending = run_once(
            client,
            image_id,
            (*_SHELL, command) if isinstance(command, str) else command,
            project=project,
            timeout_s=timeout_s,
            heard=listener.heard,
            ended=ended,
        )
        listener.finish()
        if ending.reason:
            return CheckFailure(text, ending.reason, tuple(listener.last) or tuple(ending.words.splitlines()))
    return None


def command_text(command: str | tuple[str, ...]) -> str:
    """A check as one would type it."""
    return command if isinstance(command, str) else shlex.join(command)


def tidy_checks(client: APIClient, project: str) -> int:
    """Removes the throw-away containers that nobody removed, and tells how many.

    Their process was killed, or the engine was away when they had served. Those of another process that lives, in
    another terminal perhaps, are left alone.

    Raises:
        EngineError: If the engine does not say which there are.
    """
    ours = {"label": [f"{LABEL_PROJECT}={project}", f"{LABEL_ROLE}={ROLE_CHECK}"]}
    with engine_errors("listing containers"):
        rows: list[dict[str, Any]] = client.containers(all=True, filters=ours)
    removed = 0
    for row in rows:
        owner, name = (row.get("Labels") or {}).get(LABEL_OWNER, ""), (row.get("Names") or [""])[0].lstrip("/")
        left = (
            name not in _in_use if owner == _owner() else _is_gone(owner, time.time() - float(row.get("Created") or 0))
        )
        if left:
            removed += _remove(client, row["Id"])
    return removed


def run_once(
    client: APIClient,
    image_id: str,
    words: tuple[str, ...],
    *,
    project: str,
    timeout_s: float,
    heard: Callable[[Stream, bytes], None],
    ended: threading.Event | None = None,
    settings: dict[str, Any] | None = None,
) -> Ending:
    """Runs a command in a fresh container of an image and removes the container, whatever happens.

    Args:
        client: This thread's.
        image_id: The image.
        words: The program and its arguments; ENTRYPOINT and CMD of the image play no part.
        project: Whose the container is.
        timeout_s: From its start on.
        heard: Hears what it writes, cut anywhere.
        ended: Ends it when set.
        settings: More of the engine's create parameters.

    Raises:
        EngineUnreachableError: If the engine goes away meanwhile.
        EngineError: If it refuses for a reason that is not the command's.
    """
    if ended is not None and ended.is_set():
        return Ending(CANCELLED)
    with throwaway_container(client, image_id, words, project=project, settings=settings) as container:
        try:
            output = _Output(client, container)
            with engine_errors(f"starting {shlex.join(words)}"):
                client.start(container)
        except EngineUnreachableError:
            raise
        except EngineError as error:
            if _NO_PROGRAM.search(error.message):
                return Ending("no such program", error.message)
            if _NOT_RUNNABLE.search(error.message):
                return Ending("cannot be started", error.message)
            raise
        with closing(output):
            return _follow(client, container, output, timeout_s, heard, ended)


@contextmanager
def throwaway_container(
    client: APIClient, image_id: str, words: tuple[str, ...], *, project: str, settings: dict[str, Any] | None = None
) -> Iterator[str]:
    """The name of a container of an image that is not started yet; it is removed at the end of the block.

    Raises:
        EngineError: If it cannot be made.
    """
    name = f"{project}-check-{secrets.token_hex(4)}"
    body: dict[str, Any] = {
        "Image": image_id,
        "Entrypoint": list(words[:1]),
        "Cmd": list(words[1:]),
        "Healthcheck": {"Test": ["NONE"]},
        "StopSignal": "SIGKILL",  # podman gives a container ten seconds even when it is removed by force
        "Labels": {LABEL_PROJECT: project, LABEL_ROLE: ROLE_CHECK, LABEL_OWNER: _owner()},
        "HostConfig": {"LogConfig": {"Type": "none"}},
    }
    extra = dict(settings or {})
    body["HostConfig"] |= extra.pop("HostConfig", {})
    _in_use.add(name)
    try:
        with engine_errors(f"creating a container from {image_id}"):
            client.create_container_from_config({**body, **extra}, name)  # type: ignore[no-untyped-call]
        yield name
    finally:
        _remove(client, name)
        _in_use.discard(name)


def _follow(
    client: APIClient,
    container: str,
    output: _Output,
    timeout_s: float,
    heard: Callable[[Stream, bytes], None],
    ended: threading.Event | None,
) -> Ending:
    """Hears what a started container writes until it ends, its time is up, or `ended` is set."""
    deadline = time.monotonic() + timeout_s
    silent_since = time.monotonic()
    while True:
        if ended is not None and ended.is_set():
            return Ending(CANCELLED)
        if time.monotonic() >= deadline:
            return Ending(f"took longer than {timeout_s:g} s")
        piece = output.next_piece(_LOOK_S)
        if piece is not None:
            heard(*piece)
            silent_since = time.monotonic()
        elif output.over or time.monotonic() > silent_since + _SILENCE_S:
            with engine_errors("looking how a check ended"):
                state: dict[str, Any] = client.inspect_container(container)["State"]
            if not state["Running"]:
                return Ending(_reason(state))
            silent_since = time.monotonic()


class _Output:
    """What a container writes from its start on, through a thread that only reads.

    Attached to and not read from its log: an engine's usual log may be one that cannot be read, Podman's loses lines to
    whoever follows it, and an endless one fills the disk. The request is made by the client's own thread.

    Args:
        client: This thread's.
        container: One that has not been started.

    Raises:
        EngineError: If the engine refuses, as Podman does for a container that cannot be started.
    """

    def __init__(self, client: APIClient, container: str) -> None:
        self._pieces: Queue[tuple[Stream, bytes] | None] = Queue(_WAITING_PIECES)
        self._left = threading.Event()
        self.over = False
        """Nothing more will come: the container has ended or is about to, or the engine went away."""
        with engine_errors("starting a check"):
            stream: Any = client.attach(container, stdout=True, stderr=True, stream=True, demux=True)
        threading.Thread(target=self._read, args=(stream,), name=f"output of {container}", daemon=True).start()

    def close(self) -> None:
        """Nobody hears any more; the thread ends with the container or the connection."""
        self._left.set()

    def next_piece(self, timeout_s: float) -> tuple[Stream, bytes] | None:
        """What was written next; None where that is nothing yet, or where it is over."""
        try:
            piece = None if self.over else self._pieces.get(timeout=timeout_s)
        except Empty:
            return None
        if piece is None:
            if self.over:
                time.sleep(timeout_s)  # nothing more will come, and the caller looks at the engine in turns
            self.over = True
        return piece

    def _read(self, stream: Iterator[tuple[bytes | None, bytes | None]]) -> None:
        with suppress(OSError):  # a connection that breaks: whoever waits then asks the engine
            for out, err in stream:
                self._put(("stdout", out) if out else ("stderr", err or b""))
        self._put(None)

    def _put(self, piece: tuple[Stream, bytes] | None) -> None:
        while not self._left.is_set():
            with suppress(Full):
                self._pieces.put(piece, timeout=1.0)
                return


def _reason(state: dict[str, Any]) -> str:
    """Why a container that has ended did not succeed; empty where it did."""
    code = int(state.get("ExitCode") or 0)
    if state.get("OOMKilled") and code:
        return "killed (out of memory)"
    if 128 < code < 160:
        with suppress(ValueError):
            return f"exit code {code} ({signal.Signals(code - 128).name})"
    return f"exit code {code}" if code else ""


def _remove(client: APIClient, container: str) -> bool:
    """Removes a container with its anonymous volumes; whether that was possible.

    Where it is not, the engine is gone or somebody else removes it: `tidy_checks` sees to what is left.
    """
    with suppress(EngineError), engine_errors("removing a container"):
        client.remove_container(container, force=True, v=True)
        return True
    return False


def _owner() -> str:
    return f"{socket.gethostname()} {os.getpid()}"


def _is_gone(owner: str, age_s: float) -> bool:
    """Whether the process that would remove a container of this age is no more."""
    host, _, process = owner.rpartition(" ")
    if host != socket.gethostname() or not process.isdecimal():
        return age_s > _FOREIGN_S
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    return False


class _Listener:
    """Makes lines of what a check writes, passes them on, and keeps the last ones."""

    def __init__(self, command: str, tell: Callable[[str, tuple[str, ...]], None]) -> None:
        self.last: deque[str] = deque(maxlen=_LAST_LINES)
        self._command = command
        self._tell = tell
        self._told = self._told_bytes = 0
        self._cut = False
        self._unfinished: dict[Stream, bytes] = {"stdout": b"", "stderr": b""}

    def heard(self, stream: Stream, data: bytes) -> None:
        *lines, rest = (self._unfinished[stream] + data).split(b"\n")
        while len(rest) > _LONGEST_LINE_BYTES:
            lines.append(rest[:_LONGEST_LINE_BYTES])
            rest = rest[_LONGEST_LINE_BYTES:]
        self._unfinished[stream] = rest
        self._pass_on(lines)

    def finish(self) -> None:
        """Passes on what has no end of line."""
        self._pass_on([rest for rest in self._unfinished.values() if rest])

    def _pass_on(self, lines: list[bytes]) -> None:
        texts = [line[:_LONGEST_LINE_BYTES].decode("utf-8", "replace").rstrip("\r") for line in lines]
        self.last.extend(texts)
        shown = []
        for text in texts:
            if self._told >= _TOLD_LINES or self._told_bytes >= _TOLD_BYTES:
                if not self._cut:
                    shown.append(f"… only the first {_TOLD_LINES:,} lines or {_TOLD_BYTES:,} characters are shown")
                self._cut = True
                break
            self._told += 1
            self._told_bytes += len(text)
            shown.append(text)
        if shown:
            self._tell(self._command, tuple(shown))
