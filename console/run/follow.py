"""Following a running container: its log line by line, its end, and what it takes of the machine.

Each follower is a daemon thread with a client of its own; the engine ends the streams when the container ends.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from console.engine import Engine, engine_errors
from console.errors import EngineError, EngineUnreachableError, SplitdeckError
from console.model import ContainerUsage, Stream
from console.run.container import Container, EngineRuntime

if TYPE_CHECKING:
    from docker import APIClient

_CHUNK_BYTES = 256 * 1024
_HEADER = struct.Struct(">BxxxL")
_LONGEST_LINE_BYTES = 64 * 1024
_REATTACH_S = 0.2
_ENGINE_AGAIN_S = 1.0
_RESTART_WITHIN_S = 2.0
_ASKED_TO_END = frozenset({0, 130, 143})


class FollowObserver(Protocol):
    """Hears of a container's life, on the followers' threads."""

    def logged(self, container: Container, stream: Stream, lines: tuple[str, ...]) -> None: ...

    def measured(self, container: Container, usage: ContainerUsage) -> None: ...

    def exited(self, container: Container, exit_code: int) -> None:
        """It ended without `expect_end` having been called."""

    def engine_lost(self, _container: Container) -> None:
        """The engine does not answer; nobody knows how the container is."""

    def engine_back(self, _container: Container) -> None:
        """The engine answers again. If the container did not survive, `exited` follows."""


class Follower:
    """Follows one container from now until it ends.

    Args:
        engine: Where it runs.
        project: Whose it is.
        container: Which one.
        observer: Who hears of it.
        since: Show its log from this moment on, seconds since 1970. None: from the beginning, for one that is new.
        tail: Of that, how many of the last lines at first; None for all.
    """

    def __init__(
        self,
        engine: Engine,
        project: str,
        container: Container,
        observer: FollowObserver,
        *,
        since: float | None,
        tail: int | None,
    ) -> None:
        self._engine = engine
        self._project = project
        self._container = container
        self._observer = observer
        self._since = since
        self._tail: str | int = "all" if tail is None else tail
        self._end_expected = threading.Event()
        for job, name in ((self._follow_log, "log"), (self._follow_usage, "usage")):
            threading.Thread(target=job, name=f"{name} of {container.name}", daemon=True).start()

    def expect_end(self) -> None:
        """We are about to stop it: its end is no news."""
        self._end_expected.set()

    def _follow_log(self) -> None:
        client = self._engine.client()
        runtime = EngineRuntime(client, self._project)
        since = self._since
        engine_away = False
        try:
            while not self._end_expected.is_set():
                try:
                    for stream, lines in _log_lines(client, self._container.id, self._tail, since):
                        self._observer.logged(self._container, stream, lines)
                    since, self._tail = time.time(), "all"
                    state = runtime.state_of(self._container)
                except EngineUnreachableError:
                    since = since or time.time()
                    if not engine_away and not self._end_expected.is_set():
                        self._observer.engine_lost(self._container)
                    engine_away = True
                    self._end_expected.wait(_ENGINE_AGAIN_S)
                    continue
                if engine_away:
                    self._observer.engine_back(self._container)
                engine_away = False
                if not state.running and not self._runs_again(runtime, state.exit_code):
                    if not self._end_expected.is_set():
                        self._observer.exited(self._container, state.exit_code)
                    return
                self._end_expected.wait(_REATTACH_S)  # the engine ended the stream, not the container
        except SplitdeckError:
            return  # it was removed; whoever did that knows
        finally:
            client.close()

    def _runs_again(self, runtime: EngineRuntime, exit_code: int) -> bool:
        """Whether a container that ended as if asked to is up again soon: `docker restart` stops and starts it."""
        if exit_code not in _ASKED_TO_END:
            return False
        deadline = time.monotonic() + _RESTART_WITHIN_S
        while time.monotonic() < deadline and not self._end_expected.wait(_REATTACH_S):
            if runtime.state_of(self._container).running:
                return True
        return False

    def _follow_usage(self) -> None:
        client = self._engine.client()
        try:
            while not self._end_expected.is_set():
                with suppress(EngineUnreachableError), engine_errors("reading the container's usage"):
                    for sample in client.stats(self._container.id, decode=True, stream=True):
                        if self._end_expected.is_set():
                            return
                        usage = _usage(sample)
                        if usage is not None:
                            self._observer.measured(self._container, usage)
                self._end_expected.wait(_ENGINE_AGAIN_S)
        except EngineError:
            return  # it was removed
        finally:
            client.close()


def _log_lines(
    client: APIClient, container_id: str, tail: str | int, since: float | None
) -> Iterator[tuple[Stream, tuple[str, ...]]]:
    """A container's log in batches of whole lines, as they come, until its stream ends."""
    parameters: dict[str, Any] = {"stdout": 1, "stderr": 1, "follow": 1, "tail": tail}
    if since is not None:
        parameters |= {"since": f"{since:.9f}"}
    private: Any = client  # docker-py's public log stream reads twice per line; this one takes what has come in one go
    with engine_errors("reading the container's log"):
        url = private._url("/containers/{0}/logs", container_id)  # noqa: SLF001
        response = private._get(url, params=parameters, stream=True, timeout=None)  # noqa: SLF001
        private._raise_for_status(response)  # noqa: SLF001
        yield from split_frames(response.raw.stream(_CHUNK_BYTES, decode_content=False))


def split_frames(chunks: Iterator[bytes]) -> Iterator[tuple[Stream, tuple[str, ...]]]:
    """The engine's multiplexed stream (8-byte header: stream, length) as batches of whole lines.

    Chunks may end anywhere, in a header too. A line without an end comes when the stream ends, or in pieces when it is
    longer than 64 KiB.
    """
    data = b""
    unfinished: dict[Stream, bytes] = {"stdout": b"", "stderr": b""}
    for chunk in chunks:
        data += chunk
        position = 0
        texts: list[tuple[Stream, list[bytes]]] = []
        while len(data) - position >= _HEADER.size:
            number, length = _HEADER.unpack_from(data, position)
            end = position + _HEADER.size + length
            if len(data) < end:
                break
            stream: Stream = "stderr" if number == 2 else "stdout"
            if texts and texts[-1][0] == stream:
                texts[-1][1].append(data[position + _HEADER.size : end])
            else:
                texts.append((stream, [data[position + _HEADER.size : end]]))
            position = end
        data = data[position:]
        for stream, pieces in texts:
            *lines, rest = (unfinished[stream] + b"".join(pieces)).split(b"\n")
            if len(rest) > _LONGEST_LINE_BYTES:
                lines.append(rest)
                rest = b""
            unfinished[stream] = rest
            if lines:
                yield stream, tuple(_text(line) for line in lines)
    for stream, rest in unfinished.items():
        if rest:
            yield stream, (_text(rest),)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")


def _usage(sample: dict[str, Any]) -> ContainerUsage | None:
    """One sample of the engine's stats; None for the empty ones around start and end."""
    try:
        now, before = sample["cpu_stats"], sample["precpu_stats"]
        spent = now["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
        passed = now["system_cpu_usage"] - before["system_cpu_usage"]
        memory = sample["memory_stats"]
        cache = memory.get("stats", {}).get("inactive_file", 0)
        cores = now.get("online_cpus") or 1
        return ContainerUsage(spent / passed * cores * 100 if passed > 0 else 0.0, memory["usage"] - cache)
    except KeyError:
        return None
