"""An engine that goes away in the middle: told, the container stays, and the build is done once it is back.

The engine itself keeps running; what splitdeck reaches it through is cut.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import Project

pytestmark = pytest.mark.docker


class Relay:
    """A unix socket that passes everything on to the engine's, until it is cut."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self.restore()

    @property
    def host(self) -> str:
        return f"unix://{self._path}"

    def restore(self) -> None:
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Ends every connection and takes no more."""
        self._path.unlink()
        with self._lock:
            for connection in (self._listener, *self._open):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()
            self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect("/var/run/docker.sock")
                with self._lock:
                    self._open += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Relay]:
    relay = Relay(tmp_path / "engine.sock")
    yield relay
    with contextlib.suppress(OSError):
        relay.cut()


def test_an_engine_lost_during_a_build_is_told_once_and_what_was_saved_is_built_when_it_is_back(
    project: Project, relay: Relay
) -> None:
    live = project.run(DOCKER_HOST=relay.host)
    live.wait("container.ready")
    slow = (
        'ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY app.py /app/\nRUN sleep 8.5\nCMD ["python3", "-S", "/app/app.py"]\n'
    )
    project.write("app.Dockerfile", slow)
    live.wait(
        "step.updated", lambda event: "sleep 8.5" in event["step"]["name"] and event["step"]["status"] == "running"
    )
    relay.cut()
    error = live.wait("error")
    assert "engine went away" in error["message"]
    assert live.served() == "one"
    project.write("app.Dockerfile", slow.replace("RUN sleep 8.5\n", ""))
    project.edit("two")
    live.wait("plan.made")
    relay.restore()
    live.wait("container.ready", lambda event: event["save_to_ready_ms"] is not None)
    assert live.served() == "two"
    assert live.told().count("error") == 1


def test_an_engine_that_is_away_does_not_keep_the_program_from_ending(project: Project, relay: Relay) -> None:
    live = project.run(DOCKER_HOST=relay.host)
    live.wait("container.ready")
    relay.cut()
    assert live.stop() == 130
    assert live.served() == "one"
