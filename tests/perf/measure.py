"""What the benchmarks share: splitdeck as a user starts it, projects that leave nothing behind, rows and tables."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from unittest.mock import patch

from console.engine import connect
from console.format import duration
from console.model import LABEL_PROJECT

ROOT = Path(__file__).parents[2]
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

    def __init__(
        self, folder: Path, state: Path, environment: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
    ) -> None:
        self.remembered: dict[str, Any] = {}
        self._events: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "console", "run", "--json"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "SPLITDECK_STATE_DIR": str(state), **(environment or {})},
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._events.put(json.loads(line))
        self._events.put(None)

    def wait(
        self, name: str, accept: Callable[[dict[str, Any]], bool] = lambda _: True, remember: str = ""
    ) -> dict[str, Any]:
        """The next event of a name; on the way, the last one called `remember` is kept."""
        while True:
            event = self._events.get(timeout=DEADLINE_S)
            if event is None:
                raise SystemExit(f"splitdeck ended before {name}")
            if event["event"] == remember:
                self.remembered = event
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
def project(
    name: str, files: dict[str, str], environment: Mapping[str, str] | None = None
) -> Iterator[tuple[Path, Path]]:
    """A project folder and a state folder; its images and containers are removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="splitdeck-bench-") as place:
        folder, state = Path(place, "project"), Path(place, "state")
        folder.mkdir()
        for path, text in files.items():
            (folder / path).write_text(text)
        try:
            yield folder, state
        finally:
            with patch.dict(os.environ, environment or {}):
                client: Any = connect().client()
            label = {"label": f"{LABEL_PROJECT}={name}"}
            for row in client.containers(all=True, filters=label):
                client.remove_container(row["Id"], force=True)
            for row in client.images(filters=label):
                client.remove_image(row["Id"], force=True)


def machine() -> str:
    engine = connect().info
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores, {memory_gib:.0f} GiB, Linux {platform.release().split('-')[0]}, "
        f"{engine.name} {engine.version} ({engine.builder}, {engine.storage}), Python {platform.python_version()}"
    )
