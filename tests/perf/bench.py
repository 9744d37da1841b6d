"""Side-by-side measurements on this machine's engine, as ratios: `make bench`.

Every claim comes from one run in which the two sides take turns, so that a busy machine slows both. Nothing here
decides a test.

one-file   A save of a one-file app until it is served, against `docker restart` of a container that has the same file
           bind-mounted: the fastest loop without a build that Docker offers, and no image at the end of it.
sample     A save of the sample's code until it is served.
legacy     The sample's images, cold and after a code change, on both tracks.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from console.engine import connect
from console.format import duration
from console.model import LABEL_PROJECT

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "docs" / "benchmarks.md"
DEADLINE_S = 600.0

APP = """
import http.server, signal, sys


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = VERSION.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""


def app_source(version: str) -> str:
    return f'VERSION = "{version}"\n{APP}'


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str = "/") -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def served(port: int, version: str, path: str = "/") -> None:
    """Returns once the app answers with a version."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if version in get(port, path):
                return
        time.sleep(0.002)
    raise SystemExit(f"version {version} was not served within 30 s")


class Console:
    """splitdeck as a user starts it, told apart by its JSON events."""

    def __init__(self, folder: Path, state: Path) -> None:
        self._events: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "console", "run", "--json"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "SPLITDECK_STATE_DIR": str(state)},
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._events.put(json.loads(line))
        self._events.put(None)

    def wait(self, name: str, accept: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        while True:
            event = self._events.get(timeout=DEADLINE_S)
            if event is None:
                raise SystemExit(f"splitdeck ended before {name}")
            if event["event"] == name and accept(event):
                return event

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)


@dataclass
class Row:
    """One line of the report."""

    what: str
    samples_ms: list[float] = field(default_factory=list)

    @property
    def median_ms(self) -> float:
        return statistics.median(self.samples_ms)

    def markdown(self, floor: Row | None) -> str:
        low, high = min(self.samples_ms), max(self.samples_ms)
        ratio = "" if floor is None else ratio_text(self.median_ms / floor.median_ms)
        return (
            f"| {self.what} | {len(self.samples_ms)} | {duration(self.median_ms)} "
            f"| {duration(low)} – {duration(high)} | {ratio} |"
        )


def ratio_text(ratio: float) -> str:
    """`1.45 ×`, or `1/402` where one side is out of the other's sight."""
    return f"{ratio:.2f} ×" if ratio >= 0.1 else f"1/{1 / ratio:.0f}"


def table(title: str, note: str, rows: list[Row], floor: Row | None = None) -> str:
    head = "| what | n | median | range | ratio |\n| --- | --: | --: | --- | --: |"
    return "\n".join([f"## {title}", "", note, "", head, *(row.markdown(floor) for row in rows), ""])


@contextlib.contextmanager
def project(name: str, files: dict[str, str]) -> Iterator[tuple[Path, Path]]:
    """A project folder and a state folder; its images and containers are removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="splitdeck-bench-") as place:
        folder, state = Path(place, "project"), Path(place, "state")
        folder.mkdir()
        for path, text in files.items():
            (folder / path).write_text(text)
        try:
            yield folder, state
        finally:
            client: Any = connect().client()
            label = {"label": f"{LABEL_PROJECT}={name}"}
            for row in client.containers(all=True, filters=label):
                client.remove_container(row["Id"], force=True)
            for row in client.images(filters=label):
                client.remove_image(row["Id"], force=True)


def bench_one_file(rounds: int) -> str:
    name, port, floor_port = f"bench-{os.getpid()}", free_port(), free_port()
    files = {
        "app.py": app_source("0"),
        "base.Dockerfile": "FROM python:3.11-slim-bookworm\n",
        "app.Dockerfile": 'ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY app.py /app.py\nCMD ["python3", "-S", "/app.py"]\n',
        "config.toml": (
            f'[project]\nname = "{name}"\n[base]\ndockerfile = "base.Dockerfile"\n'
            f'[app]\ndockerfile = "app.Dockerfile"\n[run]\nports = ["127.0.0.1:{port}:8000"]\n[run.ready]\nhttp = "/"\n'
        ),
    }
    whole, own, floor = Row("splitdeck, save → served"), Row("splitdeck, its own save-to-ready"), Row("docker restart")
    with project(name, files) as (folder, state), tempfile.TemporaryDirectory() as mounted:
        source = Path(mounted, "app.py")
        source.write_text(app_source("0"))
        console = Console(folder, state)
        console.wait("container.ready")
        command = ["docker", "run", "--detach", "--init", "--label", f"{LABEL_PROJECT}={name}"]
        command += ["--publish", f"127.0.0.1:{floor_port}:8000", "--volume", f"{source}:/app.py:ro"]
        command += [f"{name}-base:latest", "python3", "-S", "/app.py"]
        container = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        served(floor_port, "0")
        for turn in range(1, rounds + 2):
            time.sleep(0.5)
            began = time.monotonic()
            (folder / "app.py").write_text(app_source(str(turn)))
            ready = console.wait("container.ready", lambda event: event["save_to_ready_ms"] is not None)
            served(port, str(turn))
            ours = (time.monotonic() - began) * 1000
            time.sleep(0.5)
            began = time.monotonic()
            source.write_text(app_source(str(turn)))
            subprocess.run(["docker", "restart", "--time", "2", container], capture_output=True, check=True)
            served(floor_port, str(turn))
            theirs = (time.monotonic() - began) * 1000
            if turn > 1:  # the first of each warms caches
                whole.samples_ms.append(ours)
                own.samples_ms.append(ready["save_to_ready_ms"])
                floor.samples_ms.append(theirs)
        console.stop()
        subprocess.run(["docker", "rm", "--force", container], capture_output=True, check=True)
    note = (
        "A one-file HTTP app on a published port. splitdeck notices the save, builds an image and swaps the container; "
        "`docker restart` restarts a container that has the file bind-mounted, without noticing anything by itself."
    )
    return table("One-file app", note, [floor, whole, own], floor)


def bench_sample(rounds: int) -> str:
    port = free_port()
    name = f"bench-sample-{os.getpid()}"
    row, own = Row("save → served"), Row("its own save-to-ready")
    with project(name, {}) as (folder, state):
        copy_sample(folder, name, port)
        console = Console(folder, state)
        console.wait("container.ready")
        module = folder / "sample" / "codesearch" / "__init__.py"
        text = module.read_text()
        for turn in range(1, rounds + 2):
            time.sleep(1)
            began = time.monotonic()
            module.write_text(with_banner(text, f"bench turn {turn}."))
            ready = console.wait("container.ready", lambda event: event["save_to_ready_ms"] is not None)
            served(port, f"bench turn {turn}.", "/health")
            if turn > 1:
                row.samples_ms.append((time.monotonic() - began) * 1000)
                own.samples_ms.append(ready["save_to_ready_ms"])
        console.stop()
    note = "An edit of the sample's code until `/health` of the new container shows it. The plan asked for 30–60 s."
    return table("Sample: save to served", note, [row, own])


def bench_legacy(rounds: int) -> str:
    """Both tracks of the sample: without any cache, and after a code change."""
    name = f"bench-tracks-{os.getpid()}"
    rows = {
        ("legacy", "cold"): Row("legacy, cold"),
        ("base", "cold"): Row("base, cold (built when dependencies change)"),
        ("app", "cold"): Row("app on a present base, cold"),
        ("legacy", "code change"): Row("legacy, after a code change"),
        ("app", "code change"): Row("app, after a code change"),
    }
    with project(name, {}) as (folder, state):
        copy_sample(folder, name, free_port())
        module = folder / "sample" / "codesearch" / "__init__.py"
        text = module.read_text()
        for turn in range(rounds):
            for target in ("legacy", "base", "app"):
                rows[target, "cold"].samples_ms.append(built(folder, state, target, "--no-cache"))
            for target in ("legacy", "app"):
                module.write_text(with_banner(text, f"turn {turn} of {target}"))
                rows[target, "code change"].samples_ms.append(built(folder, state, target))
    note = (
        "Whole builds of the sample's images. `Dockerfile.legacy` copies the code before it installs, as many projects "
        "do; a single Dockerfile that copies the code last would pay only the copy after a code change, and the cold "
        "price in CI."
    )
    return table("Sample: legacy and split builds", note, list(rows.values()), rows["legacy", "cold"])


def built(folder: Path, state: Path, target: str, *options: str) -> float:
    """One build by the command line; its duration in milliseconds as splitdeck reports it."""
    result = subprocess.run(
        [sys.executable, "-m", "console", "build", target, "--json", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SPLITDECK_STATE_DIR": str(state)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    events = [json.loads(line) for line in result.stdout.splitlines()]
    return float([event for event in events if event["event"] == "build.finished"][-1]["duration_ms"])


def copy_sample(folder: Path, name: str, port: int) -> None:
    """The sample under another name and port, so that a running demo is left alone."""
    shutil.copytree(ROOT / "sample", folder / "sample", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    shutil.copytree(ROOT / "docker", folder / "docker")
    for path in ("Dockerfile.legacy", ".dockerignore"):
        shutil.copy(ROOT / path, folder / path)
    (folder / "config.toml").write_text(
        f'[project]\nname = "{name}"\n[base]\nimage = "codesearch-base"\ndockerfile = "docker/base.Dockerfile"\n'
        '[app]\ndockerfile = "docker/app.Dockerfile"\n[legacy]\ndockerfile = "Dockerfile.legacy"\n'
        f'[run]\nports = ["127.0.0.1:{port}:8000"]\n[run.ready]\nhttp = "/health"\n[watch]\npaths = ["sample"]\n'
    )


def with_banner(text: str, banner: str) -> str:
    lines = [f'BANNER = "{banner}"' if line.startswith("BANNER") else line for line in text.splitlines()]
    return "\n".join(lines) + "\n"


def machine() -> str:
    engine = connect().info
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores, {memory_gib:.0f} GiB, Linux {platform.release().split('-')[0]}, "
        f"{engine.name} {engine.version} ({engine.builder}, {engine.storage}), Python {platform.python_version()}"
    )


def update_readme() -> None:
    """Puts the report between the README's two markers, one heading level deeper."""
    readme = ROOT / "README.md"
    before, begin, rest = readme.read_text().partition("<!-- measured -->")
    _, end, after = rest.partition("<!-- /measured -->")
    if not begin or not end:
        raise SystemExit("README.md has lost its two markers")
    body = REPORT.read_text().partition("\n")[2].replace("\n## ", "\n### ").strip()
    readme.write_text(f"{before}{begin}\n## Measured\n\n{body}\n\n{end}{after}")


def main() -> None:
    benches = {"one-file": (bench_one_file, 10), "sample": (bench_sample, 5), "legacy": (bench_legacy, 3)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help=f"of {', '.join(benches)}; default: one-file and sample")
    parser.add_argument("--rounds", type=int, help="in place of each benchmark's own number")
    parser.add_argument("--write", action="store_true", help=f"write {REPORT.relative_to(ROOT)} and the README's part")
    options = parser.parse_args()
    chosen = options.what or ["one-file", "sample"]
    unknown = set(chosen) - benches.keys()
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    tables = []
    for what in chosen:
        bench, rounds = benches[what]
        tables.append(bench(options.rounds or rounds))
        print(tables[-1], flush=True)
    if options.write:
        at = datetime.now(timezone.utc).strftime("%Y-%m-%d")
        command = "make bench" if not options.what else f"python tests/perf/bench.py {' '.join(options.what)} --write"
        head = (
            f"# Benchmarks\n\nWritten by `{command}` on {at}: {machine()}. Sides of a table took turns in one run.\n\n"
        )
        REPORT.write_text(head + "\n".join(tables))
        update_readme()


if __name__ == "__main__":
    main()
