"""The recorded duration of a build beside two clocks that are none of splitdeck's, in every way that the engine has.

The stopwatch is what a user would hold: this process reads the JSON lines of another one and looks at its own clock
when a build's first and last line arrive. The door is the engine's: a relay before its socket sees a build's request
begin and the answer to it end. A build is measured up to three times, as a loaded machine may hold up any of the three
processes; what is wrong in the code is wrong each time.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hpack import Decoder

from console.build.buildkit_session.control import SOLVE
from console.engine import Engine
from console.history.records import History
from console.history.stages import stage_times
from console.measurements import BuildQuery, Sample
from tests.engines import engines
from tests.integration.conftest import Live, Project, made_project

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

TOLERANCE_MS = 20.0
TOLERANCE_SHARE = 0.02
TRIES = 3

WAYS = {
    "session": 'transport = "session"',
    "tar": 'transport = "tar"',
    "classic": 'backend = "classic"',
    "buildx": 'backend = "buildx"',
}
STAGES = "".join(
    f'[[compare.stage]]\nname = "{name}"\nmatch = "sleep 1.5; echo {name}"\n' for name in ("left", "right")
)
SERVES = 'CMD ["sh", "-c", "echo serving; exec sleep 10000"]\n'

Chunks = list[tuple[float, bytes]]
"""What went one way on a connection, and when each piece of it came by."""

_BUILD = re.compile(rb"POST /v[\d.]+/build\?")
_UPGRADE = re.compile(rb"POST (?:/v[\d.]+)?/grpc ")
_REQUEST = re.compile(rb"(?:GET|HEAD|POST|PUT|DELETE) /v")
_HEAD_END, _BODY_END = b"\r\n\r\n", b"\r\n0\r\n\r\n"
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FRAME_DATA, _FRAME_HEADERS, _FRAME_RESET = 0, 1, 3
_END_STREAM = 1


@dataclass
class Visit:
    """One connection through the door."""

    said: Chunks = field(default_factory=list)
    answered: Chunks = field(default_factory=list)
    left_at: float = math.inf
    """When the client hung up."""

    def builds(self) -> Iterator[tuple[float, float]]:
        """Beginning and end of every build that was asked for on it."""
        for number, (began, piece) in enumerate(self.said):
            if _UPGRADE.match(piece):  # on a connection that was used for other requests before, or not
                answer = [(at, part) for at, part in self.answered if at > began]
                if (end := solved(self.said[number:], answer)) is not None:
                    yield began, min(end, self.left_at)
            elif _BUILD.match(piece):
                following = (at for at, later in self.said[number + 1 :] if _REQUEST.match(later))
                until = next(following, math.inf)
                answer = [(at, part) for at, part in self.answered if began < at < until]
                whole = b"".join(part for _, part in answer[-2:]).endswith(_BODY_END)
                yield began, min(answer[-1][0] if whole else math.inf, self.left_at)


def solved(said: Chunks, answered: Chunks) -> float | None:
    """When the last answer on an upgraded connection ended, or was given up; None where no Solve was called on it.

    That is Solve's own, or that of Status beside it: of a cancelled build the client gives up the former at once, and
    the latter tells how the engine ends it.
    """
    decoder = Decoder()
    asked = list(frames(after(said, _PREFACE)))
    calls = {stream: decoder.decode(data) for _, kind, _, stream, data in asked if kind == _FRAME_HEADERS}
    if SOLVE not in (value for headers in calls.values() for name, value in headers if name == ":path"):
        return None
    ends = {stream: at for at, kind, _, stream, _ in asked if kind == _FRAME_RESET}
    for at, kind, flags, stream, _ in frames(after(answered, _HEAD_END)):
        if kind == _FRAME_RESET or (kind in (_FRAME_DATA, _FRAME_HEADERS) and flags & _END_STREAM):
            ends.setdefault(stream, at)
    return max(ends.get(stream, math.inf) for stream in calls)


def after(chunks: Iterable[tuple[float, bytes]], mark: bytes) -> Iterator[tuple[float, bytes]]:
    """What follows the first place of a mark."""
    before: bytes | None = b""
    for at, piece in chunks:
        if before is None:
            yield at, piece
        elif mark in (before := before + piece):
            yield at, before.partition(mark)[2]
            before = None


def frames(chunks: Iterable[tuple[float, bytes]]) -> Iterator[tuple[float, int, int, int, bytes]]:
    """HTTP/2 frames (RFC 9113, 4.1): when each was complete, its type, flags, stream and payload."""
    data = b""
    for at, piece in chunks:
        data += piece
        while len(data) >= 9 and len(data) >= (end := 9 + int.from_bytes(data[:3], "big")):
            yield at, data[3], data[4], int.from_bytes(data[5:9], "big"), data[9:end]
            data = data[end:]


class Door:
    """A unix socket that passes everything on to the engine's, and notes what comes by when."""

    def __init__(self, path: Path, engine: str) -> None:
        self.host = f"unix://{path}"
        self._engine = engine
        self._visits: list[Visit] = []
        self._open: list[tuple[threading.Thread, socket.socket, socket.socket]] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def builds(self) -> list[float]:
        """How long each build took, in milliseconds, in the order in which they were asked for."""
        spans = sorted(itertools.chain.from_iterable(visit.builds() for visit in self._visits))
        return [(end - began) * 1000 for began, end in spans]

    def close(self) -> None:
        """Once the client has ended: lets nobody in any more, and sees to it that everything is noted."""
        for said, near, far in self._open:
            said.join(timeout=10)
            for connection in (near, far):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._engine)
                self._visits.append(visit := Visit())
                said = threading.Thread(target=self._say, args=(near, far, visit), daemon=True)
                self._open.append((said, near, far))
                said.start()
                threading.Thread(target=self._pass_on, args=(far, near, visit.answered), daemon=True).start()

    def _say(self, near: socket.socket, far: socket.socket, visit: Visit) -> None:
        self._pass_on(near, far, visit.said)
        visit.left_at = time.monotonic()

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket, noted: Chunks) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(262144):
                noted.append((time.monotonic(), data))
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


class Watched(Live):
    """A splitdeck whose lines are marked with the moment at which they arrived here."""

    def _read_events(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                arrived = time.monotonic()
                self._queue.put(json.loads(line) | {"arrived": arrived})
        self._queue.put(None)


@dataclass(frozen=True, slots=True)
class Timed:
    """One build: as it was told, as it is in the history, and by both clocks."""

    told: dict[str, Any]
    kept: Sample
    stopwatch_ms: float
    door_ms: float
    within: bool
    """The request goes through the door late: buildx is started for it, and looks around there first."""

    @property
    def agrees(self) -> bool:
        kept, door_ms = self.kept, self.door_ms
        if self.within:
            door_ms = max(door_ms, kept.duration_ms)
        return near(kept.context_ms + kept.duration_ms, self.stopwatch_ms) and near(kept.duration_ms, door_ms)

    def __str__(self) -> str:
        kept = f"recorded {self.kept.context_ms:.1f} + {self.kept.duration_ms:.1f} ms"
        clocks = f"stopwatch {self.stopwatch_ms:.1f} ms; door {self.door_ms:.1f} ms"
        return f"{self.kept.status.value}: {kept}; {clocks}{' or more' if self.within else ''}"


def near(ours_ms: float, theirs_ms: float) -> bool:
    return abs(ours_ms - theirs_ms) <= max(TOLERANCE_MS, TOLERANCE_SHARE * ours_ms)  # theirs may have no end


class Bench:
    """One project whose base is built, and one way to build it."""

    def __init__(self, way: str, project: Project, engine: Engine) -> None:
        self.way = way
        self.project = project
        self._socket = engine.info.host.removeprefix("unix://")
        self._numbers = itertools.count()
        self._samples = 0
        project.write("base.Dockerfile", "FROM busybox:test\n")
        project.write(".dockerignore", "*.Dockerfile\nconfig.toml\nDockerfile.legacy\n.dockerignore\n")
        project.write(
            "config.toml",
            f'[project]\nname = "{project.name}"\n[build]\n{WAYS[way]}\n[base]\ndockerfile = "base.Dockerfile"\n'
            f'[app]\ndockerfile = "app.Dockerfile"\n{STAGES}[run]\nnetwork = "none"\n[run.ready]\nlog = "serving"\n',
        )

    def unique(self) -> str:
        """A word that no build has seen."""
        return f"{self.project.name}-{next(self._numbers)}"

    def write(self, steps: str) -> None:
        """The app's Dockerfile, from what follows its base."""
        self.project.write("app.Dockerfile", f"ARG BASE_IMAGE\nFROM ${{BASE_IMAGE}}\n{steps}{SERVES}")

    def watch(self, *arguments: str, use: Callable[[Live], object]) -> list[Timed]:
        """Starts splitdeck, uses it, and gives its builds once it has ended."""
        door = Door(self.project.folder.parent / f"door{next(self._numbers)}.sock", self._socket)
        environment = {**self.project.environment, "DOCKER_HOST": door.host}
        live = Watched(self.project.folder, self.project.port, arguments, environment, [])
        try:
            use(live)
            live.process.wait(timeout=60)
        finally:
            live.stop()
            live.process.kill()
            door.close()
        kept, seen = self._new_samples(), door.builds()
        told = [event for event in live.events if event["event"] == "build.finished"]
        began = {event["build"]: event["arrived"] for event in live.events if event["event"] == "build.started"}
        assert len(kept) == len(told) == len(seen)
        return [
            Timed(event, sample, (event["arrived"] - began[event["build"]]) * 1000, door_ms, self.way == "buildx")
            for event, sample, door_ms in zip(told, kept, seen, strict=True)
        ]

    def build(self, *options: str, target: str = "app") -> list[Timed]:
        """What `splitdeck build` builds."""
        return self.watch("build", target, "--json", *options, use=lambda live: live.wait("build.finished"))

    def _new_samples(self) -> Sequence[Sample]:
        """What is in the history that was not there when it was last looked at, read from the file."""
        (path,) = Path(self.project.environment["SPLITDECK_STATE_DIR"]).glob("*.db")
        history = History.open(path)
        try:
            new = [
                history.whole(sample)
                for sample in history.listed(BuildQuery(descending=False, limit=0))[1][self._samples :]
            ]
        finally:
            history.close()
        self._samples += len(new)
        return new


@pytest.fixture(scope="module", params=list(WAYS))
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("durations")
    with made_project(folder) as project, pytest.MonkeyPatch.context() as patch:
        if request.param == "buildx":
            engines.ensure(["containerd"])  # brings the command's plugin
            (commands := folder / "docker").mkdir()
            (commands / "cli-plugins").symlink_to(engines.docker_config() / "cli-plugins")
            patch.setenv("DOCKER_CONFIG", str(commands))
        made = Bench(request.param, project, engine)
        (base,) = made.build(target="base")
        assert base.told["status"] == "ok", base.told["failure"]
        yield made


def agreed(
    measure: Callable[[], Sequence[Timed]], *statuses: str, also: Callable[[Timed], bool] = lambda _: True
) -> Sequence[Timed]:
    """Builds whose recorded times agree with the clocks; what else is wrong with one fails at once.

    Args:
        measure: Makes the builds.
        statuses: How they are to end.
        also: What else holds unless the machine is loaded.
    """
    tried: list[str] = []
    for _ in range(TRIES):
        builds = measure()
        assert tuple(one.told["status"] for one in builds) == statuses, [one.told["failure"] for one in builds]
        for one in builds:
            assert one.kept.status.value == one.told["status"]
            for name, ours in (("duration_ms", one.kept.duration_ms), ("context_ms", one.kept.context_ms)):
                assert one.told[name] == pytest.approx(ours, abs=0.001), "told and kept are one figure"
            rows = stage_times(one.kept.steps, one.kept.started_at, one.kept.duration_ms)
            assert math.fsum(rows.values()) == pytest.approx(one.kept.duration_ms, abs=0.001), rows
        tried += map(str, builds)
        if all(one.agrees and also(one) for one in builds):
            return builds
    pytest.fail("what is recorded does not agree with the clocks outside:\n" + "\n".join(tried))


def test_a_cached_build(bench: Bench) -> None:
    bench.write(f"COPY app.py /\nRUN echo {bench.unique()} > /one\nRUN echo two > /two\n")
    bench.build()
    (one,) = agreed(bench.build, "ok")
    assert one.told["cached"] == one.told["total"] == 3


def test_a_build_that_runs_steps(bench: Bench) -> None:
    def build() -> list[Timed]:
        bench.write(f"COPY app.py /\nRUN sleep 1; echo {bench.unique()} > /one\n")
        return bench.build()

    (one,) = agreed(build, "ok")
    assert one.kept.duration_ms > 1000


def test_a_build_without_cache(bench: Bench) -> None:
    bench.write(f"COPY app.py /\nRUN sleep 0.5; echo {bench.unique()} > /one\n")
    bench.build()
    (one,) = agreed(lambda: bench.build("--no-cache"), "ok")
    assert (one.told["cached"], one.kept.no_cache) == (0, True)
    assert one.kept.duration_ms > 500


def test_a_failing_build(bench: Bench) -> None:
    def build() -> list[Timed]:
        bench.write(f"COPY app.py /\nRUN sleep 1; echo {bench.unique()}; exit 3\n")
        return bench.build()

    (one,) = agreed(build, "failed")
    assert one.kept.duration_ms > 1000


def test_a_build_of_stages_side_by_side(bench: Bench) -> None:
    def build() -> list[Timed]:
        word = bench.unique()
        stages = "".join(
            f"FROM busybox:test AS {name}\nRUN sleep 1.5; echo {name} {word} > /{name}\n" for name in ("left", "right")
        )
        bench.project.write(
            "app.Dockerfile",
            f"ARG BASE_IMAGE\n{stages}FROM ${{BASE_IMAGE}}\n"
            f"COPY --from=left /left /\nCOPY --from=right /right /\n{SERVES}",
        )
        return bench.build()

    def slept(one: Timed) -> list[float]:
        return [step.duration_ms for step in one.kept.steps if "sleep 1.5" in step.name]

    def is_wall_clock(one: Timed) -> bool:
        return bench.way == "classic" or one.kept.duration_ms < sum(slept(one))  # that takes one after the other

    (one,) = agreed(build, "ok", also=is_wall_clock)
    rows = stage_times(one.kept.steps, one.kept.started_at, one.kept.duration_ms)
    assert len(slept(one)) == 2
    assert min(rows["left"], rows["right"]) > 0
    if bench.way != "classic":  # whose steps have the times at which their lines arrive here
        assert min(slept(one)) >= 1500
        assert rows["left"] + rows["right"] >= 1500 - TOLERANCE_MS


def test_a_build_that_the_user_ends(bench: Bench) -> None:
    def end(live: Live) -> None:
        live.wait("step.updated", is_running("sleep 60"))
        live.process.send_signal(signal.SIGINT)
        live.wait("build.finished")

    def build() -> list[Timed]:
        bench.write(f"COPY app.py /\nRUN echo {bench.unique()}; sleep 60\n")
        return bench.watch("run", "--json", use=end)

    (one,) = agreed(build, "cancelled")
    assert one.kept.duration_ms < 60_000


def test_a_build_that_a_newer_save_ends(bench: Bench) -> None:
    """And the one after it, which had to wait for its end."""

    def save(live: Live) -> None:
        live.wait("step.updated", is_running("sleep 60"))
        bench.project.write("app.py", f"fast {bench.unique()}")
        for _ in range(2):
            live.wait("build.finished")
        live.process.send_signal(signal.SIGINT)

    def build() -> list[Timed]:
        word = bench.unique()
        bench.write(f"COPY app.py /\nRUN grep -q slow /app.py && sleep 60; echo {word} > /one\n")
        bench.project.write("app.py", f"slow {word}")
        return bench.watch("run", "--json", use=save)

    cancelled, _ = agreed(build, "cancelled", "ok")
    assert cancelled.kept.duration_ms < 60_000


def test_a_build_of_many_files(bench: Bench) -> None:
    """Which take their time to be read and packed: that is recorded beside the build, not left out."""
    (folder := bench.project.folder / "many").mkdir()
    for number in range(1500):
        (folder / str(number)).write_text(f"{number} {bench.project.name}\n" * 50)
    bench.write("COPY many /many/\n")
    bench.build()
    (one,) = agreed(bench.build, "ok")
    assert one.told["cached"] == one.told["total"] == 1


def is_running(words: str) -> Callable[[dict[str, Any]], bool]:
    """Accepts that a step with these words in its name has begun."""
    return lambda event: words in event["step"]["name"] and event["step"]["status"] == "running"
