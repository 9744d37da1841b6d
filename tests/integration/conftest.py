"""Tests on a real engine: projects on disk, splitdeck as a user starts it, events read from its JSON lines.

There is no skipping here: without an engine these tests fail, because `make test` brings one up.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from console.engine import Engine, connect
from console.model import LABEL_PROJECT

ROOT_IMAGE = "python:3.11-slim-bookworm"
DEADLINE_S = 60.0

APP = """
import http.server, signal, sys

VERSION = "one"


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
print("serving", VERSION, flush=True)
http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""


class Live:
    """A running splitdeck: what it tells, and what it serves."""

    def __init__(
        self, folder: Path, port: int, arguments: tuple[str, ...], environment: dict[str, str], prefix: list[str]
    ):
        self.port = port
        self.events: list[dict[str, Any]] = []
        self.stderr: list[str] = []
        self._queue: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "console", *arguments],
            cwd=folder,
            env={**os.environ, **environment, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._readers = [threading.Thread(target=job, daemon=True) for job in (self._read_events, self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read_events(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._queue.put(json.loads(line))
        self._queue.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            self.stderr.extend(line.rstrip("\n") for line in lines)

    def wait(self, name: str, accept: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The next event of a name that is acceptable; everything before it is kept in `events`."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                event = self._queue.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"no {name} within {DEADLINE_S:g} s; there were {self.told()}\n" + "\n".join(self.stderr))
            if event is None:
                pytest.fail(f"splitdeck ended before {name}; there were {self.told()}\n" + "\n".join(self.stderr))
            self.events.append(event)
            if event["event"] == name and accept(event):
                return event

    def told(self) -> list[str]:
        return [event["event"] for event in self.events if not event["event"].endswith((".log", ".usage"))]

    def served(self) -> str:
        """What the app answers now."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def stop(self, with_signal: int = signal.SIGINT) -> int:
        """Ends it as a user would, and gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        code = self.process.wait(timeout=20)
        for reader in self._readers:
            reader.join(timeout=5)
        return code


class Project:
    """A one-file app on disk, with its own port."""

    def __init__(self, folder: Path, name: str, port: int, state: Path) -> None:
        self.folder = folder
        self.name = name
        self.port = port
        self.environment = {"SPLITDECK_STATE_DIR": str(state)}
        self.engine = ""
        """What the engine is called, where there are several."""
        self._running: list[Live] = []
        self.write("base.Dockerfile", f"FROM {ROOT_IMAGE}\nRUN echo {name} > /base\n")
        self.write(
            "app.Dockerfile",
            'ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY app.py /app/\nCMD ["python3", "-S", "/app/app.py"]\n',
        )
        self.write(
            "Dockerfile.legacy",
            f'FROM {ROOT_IMAGE}\nCOPY . /app\nRUN echo {name} > /base\nCMD ["python3", "/app/app.py"]\n',
        )
        self.write("app.py", APP)
        self.configure()

    def configure(self, extra: str = "", run: str = "", ready: str = 'http = "/"\ntimeout_s = 20') -> None:
        self.write(
            "config.toml",
            f'[project]\nname = "{self.name}"\n[base]\ndockerfile = "base.Dockerfile"\n'
            '[app]\ndockerfile = "app.Dockerfile"\n[legacy]\ndockerfile = "Dockerfile.legacy"\n'
            f'[run]\nports = ["127.0.0.1:{self.port}:8000"]\n{run}\n[run.ready]\n{ready}\n{extra}',
        )

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def edit(self, version: str) -> None:
        """Saves the app with another answer."""
        self.write("app.py", APP.replace('"one"', f'"{version}"'))

    def run(self, *arguments: str, unprivileged: bool = False, prefix: Sequence[str] = (), **environment: str) -> Live:
        """Starts splitdeck on the project; `run --json` unless told otherwise.

        It is started by the command `prefix`, if there is one. With `unprivileged` it has no right to read what its
        user may not read, even as root.
        """
        capabilities = "-dac_override,-dac_read_search"
        drop = ["setpriv", f"--bounding-set={capabilities}", f"--inh-caps={capabilities}"]
        before = [*prefix, *(drop if unprivileged and os.geteuid() == 0 else [])]
        live = Live(self.folder, self.port, arguments or ("run", "--json"), {**self.environment, **environment}, before)
        self._running.append(live)
        return live

    def once(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "console", *arguments],
            cwd=self.folder,
            env={**os.environ, **self.environment, **environment, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE_S,
        )

    def close(self) -> None:
        for live in self._running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                live.stop()
            live.process.kill()


@pytest.fixture(scope="session")
def engine() -> Engine:
    return connect()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def made_project(folder: Path) -> Iterator[Project]:
    """A project with nothing built, on the engine of the environment; its images and containers are removed later."""
    name = f"sdtest-{os.getpid()}-{time.time_ns() % 10**9}"
    source, state = folder / "project", folder / "state"
    source.mkdir()
    state.mkdir()
    made = Project(source, name, free_port(), state)
    try:
        yield made
    finally:
        made.close()
        client: Any = connect().client()
        for row in client.containers(all=True, filters={"label": f"{LABEL_PROJECT}={name}"}):
            client.remove_container(row["Id"], force=True)
        for row in client.images(all=False, filters={"label": f"{LABEL_PROJECT}={name}"}):
            client.remove_image(row["Id"], force=True)
        client.close()


@pytest.fixture
def project(tmp_path: Path, engine: Engine) -> Iterator[Project]:
    """A project on the machine's own engine."""
    with made_project(tmp_path) as made:
        yield made
