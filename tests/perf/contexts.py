"""What a save costs as the build context grows, by each way of sending it; and how fast a superseded build is gone."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from console.format import duration
from tests.perf.measure import Console, project, ratio_text

KB, MB = 1000, 1_000_000
QUIET_S = 0.4

BASE = "FROM busybox:test\n"
APP = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY data /data
CMD ["sh", "-c", "echo serving; exec sleep 100000"]
"""
CONFIG = """\
[project]
name = "{name}"
[build]
{build}
[base]
dockerfile = "base.Dockerfile"
[app]
dockerfile = "app.Dockerfile"
[run]
network = "none"
[run.ready]
log = "serving"
"""
WAYS = {
    "tar": 'transport = "tar"',
    "session": 'transport = "session"',
    "buildx": 'backend = "buildx"',
}


@dataclass(frozen=True)
class Size:
    """A build context."""

    what: str
    files: int
    file_bytes: int
    others: int = 0
    """Files in the tree that the Dockerfile does not copy."""


SIZES = (
    Size("1 file", 1, KB),
    Size("10 files", 10, KB),
    Size("10 copied of 10,000 in the tree", 10, KB, others=9990),
    Size("1,000 files", 1000, KB),
    Size("10,000 files", 10_000, KB),
    Size("1 MB", 1, MB),
    Size("10 MB", 1, 10 * MB),
    Size("100 MB", 1, 100 * MB),
)


@dataclass
class Turns:
    """What one way took for one size."""

    build_ms: list[float] = field(default_factory=list)
    whole_ms: list[float] = field(default_factory=list)
    sent_bytes: int = 0


def bench_contexts(rounds: int, environment: Mapping[str, str], title: str, ways: tuple[str, ...]) -> str:
    """One table: every size by every way on one engine; the ways take turns.

    Args:
        rounds: Saves that are measured, each.
        environment: Where the engine is, for the child processes.
        title: What the engine is called.
        ways: Of `WAYS`.
    """
    rows = []
    for size in SIZES:
        turns = _measured(size, rounds, environment, ways)
        tar = statistics.median(turns[ways[0]].build_ms)
        for way in ways:
            build, whole = statistics.median(turns[way].build_ms), statistics.median(turns[way].whole_ms)
            rows.append(
                f"| {size.what} | {way} | {len(turns[way].build_ms)} | {duration(build)} | {ratio_text(build / tar)} "
                f"| {duration(whole)} | {turns[way].sent_bytes / KB:,.0f} kB |"
            )
            print(rows[-1], flush=True)
    note = (
        "One file edited, then saved. *build* is reading the build context and building, up to the image; "
        "*save-to-ready* is all of it, with the swap. *sent* is what travelled to the builder (not known of buildx)."
    )
    head = f"| context | way | n | build | ÷ {ways[0]} | save-to-ready | sent |\n| --- | --- |{' --: |' * 5}"
    return "\n".join([f"## Build contexts, {title}", "", note, "", head, *rows, ""])


def _measured(size: Size, rounds: int, environment: Mapping[str, str], ways: tuple[str, ...]) -> dict[str, Turns]:
    turns = {way: Turns() for way in ways}
    with ExitStack() as life:
        consoles = {way: life.enter_context(_running(size, way, environment)) for way in ways}
        for turn in range(rounds + 1):
            for way, (console, folder) in consoles.items():
                time.sleep(QUIET_S)
                (folder / "data" / "edited.txt").write_text(f"turn {turn} of {way} {time.time_ns()}\n")
                built = console.wait("build.finished", remember="build.context")
                if built["status"] != "ok":
                    raise SystemExit(f"{size.what} by {way}: {built['failure']}")
                ready = console.wait("container.ready", lambda event: event["save_to_ready_ms"] is not None)
                if turn:  # the first of each warms caches
                    turns[way].build_ms.append(ready["context_ms"] + ready["build_ms"])
                    turns[way].whole_ms.append(ready["save_to_ready_ms"])
                    turns[way].sent_bytes = console.remembered["context"]["sent_bytes"] or 0
    return turns


@contextlib.contextmanager
def _running(size: Size, way: str, environment: Mapping[str, str]) -> Iterator[tuple[Console, Path]]:
    name = f"bench-{way}-{os.getpid()}"
    files = {"base.Dockerfile": BASE, "app.Dockerfile": APP, "config.toml": CONFIG.format(name=name, build=WAYS[way])}
    with project(name, files, environment) as (folder, state):
        for number in range(size.files - 1):
            _fill(folder / "data" / f"{number // 100}" / f"{number}.txt", number, size.file_bytes)
        if size.files == 1:
            _fill(folder / "data" / "large.bin", 0, size.file_bytes)
        for number in range(size.others):
            _fill(folder / "others" / f"{number // 100}" / f"{number}.txt", number, KB)
        (folder / "data").mkdir(exist_ok=True)
        (folder / "data" / "edited.txt").write_text("before\n")
        console = Console(folder, state, environment)
        try:
            console.wait("container.ready")
            yield console, folder
        finally:
            console.stop()


def _fill(place: Path, number: int, size_bytes: int) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(os.urandom(32) + f"{number:016}".encode() * (size_bytes // 16))


def bench_cancel(rounds: int, environment: Mapping[str, str], title: str, ways: tuple[str, ...]) -> str:
    """From the decision to start over until the superseded build's process is gone."""
    rows = []
    for way in ways:
        samples = _cancelled(rounds, environment, way)
        low, high = duration(min(samples)), duration(max(samples))
        rows.append(f"| {way} | {len(samples)} | {duration(statistics.median(samples))} | {low} – {high} |")
        print(rows[-1], flush=True)
    note = "A save while a `RUN` of the build before is at work: from the plan until that process is gone."
    head = "| way | n | median | range |\n| --- | --: | --: | --- |"
    return "\n".join([f"## Cancel, {title}", "", note, "", head, *rows, ""])


def _cancelled(rounds: int, environment: Mapping[str, str], way: str) -> list[float]:
    seconds = str(100_000 + os.getpid() % 10_000 * 10 + list(WAYS).index(way))
    slow = f"RUN grep -q fast /data/edited.txt || exec sleep {seconds}\n"
    name = f"bench-cancel-{way}-{os.getpid()}"
    app = APP.replace("CMD", f"{slow}CMD")
    files = {"base.Dockerfile": BASE, "app.Dockerfile": app, "config.toml": CONFIG.format(name=name, build=WAYS[way])}
    samples = []
    with project(name, files, environment) as (folder, state):
        (folder / "data").mkdir()
        edited = folder / "data" / "edited.txt"
        edited.write_text("fast\n")
        console = Console(folder, state, environment)
        console.wait("container.ready")
        for _turn in range(rounds):
            time.sleep(QUIET_S)
            edited.write_text(f"slow {time.time_ns()}\n")
            process = _appeared(seconds)
            time.sleep(QUIET_S)
            edited.write_text(f"fast {time.time_ns()}\n")
            console.wait("plan.made")  # of the slow one
            planned = console.wait("plan.made")
            gone = _gone(process)
            finished = console.wait("build.finished")
            if finished["status"] != "cancelled":
                raise SystemExit(f"the superseded build ended {finished['status']}")
            at = datetime.fromisoformat(planned["at"].replace("Z", "+00:00")).timestamp()
            samples.append((gone - at) * 1000)
            console.wait("container.ready")
        console.stop()
    return samples


def _appeared(seconds: str) -> Path:
    """The /proc folder of the build's process."""
    wanted = b"sleep\0" + seconds.encode() + b"\0"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for place in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if place.name.isdecimal() and (place / "cmdline").read_bytes() == wanted:
                    return place
        time.sleep(0.01)
    raise SystemExit(f"no process `sleep {seconds}` appeared")


def _gone(process: Path) -> float:
    """Waits for a process's end; gives the moment, seconds since 1970."""
    while process.exists():
        time.sleep(0.001)
    return time.time()
