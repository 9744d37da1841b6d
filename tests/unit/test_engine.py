"""Reaching an engine: one that never answers, and staying with the one that was found."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from console import engine as engine_module
from console.engine import connect
from console.errors import EngineUnreachableError, ExitCode


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"ApiVersion": "1.48", "Version": "28.0", "Driver": "overlay2"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def engine_port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield server.server_port
        server.shutdown()
        serving.join()


@pytest.fixture(autouse=True)
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


def use_context(folder: Path, name: str, host: str) -> None:
    """As `docker context create` and `docker context use` do."""
    meta = folder / "contexts/meta" / hashlib.sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    meta.joinpath("meta.json").write_text(
        json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}})
    )
    folder.joinpath("config.json").write_text(json.dumps({"currentContext": name}))


def test_an_engine_that_accepts_but_never_answers_is_given_up_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_CONNECT_TIMEOUT_S", 0.1)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/s")
        with pytest.raises(
            EngineUnreachableError, match=r"unix://.*/s accepts connections but does not answer"
        ) as caught:
            connect()
    assert caught.value.exit_code is ExitCode.NO_ENGINE
    assert caught.value.hint


def test_another_context_later_leads_no_client_elsewhere(
    engine_port: int, docker_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_context(docker_config, "first", f"tcp://127.0.0.1:{engine_port}")
    engine = connect()
    use_context(docker_config, "second", "tcp://127.0.0.1:1")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2")
    client = engine.client()
    assert client.version()["Version"] == "28.0"
    assert (client.timeout, engine.info.host) == (60, f"tcp://127.0.0.1:{engine_port}")
    client.close()


def test_docker_host_comes_before_the_context(
    engine_port: int, docker_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_context(docker_config, "first", "tcp://127.0.0.1:1")
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{engine_port}")
    engine = connect()
    monkeypatch.delenv("DOCKER_HOST")
    client = engine.client()
    assert client.info()["Driver"] == "overlay2"
    client.close()
