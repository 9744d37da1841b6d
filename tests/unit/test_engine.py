"""Reaching an engine: one that never answers, and staying with the one that was found."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from docker.tls import TLSConfig

from console import engine as engine_module
from console.engine import Engine, connect
from console.errors import ConfigError, EngineUnreachableError, ExitCode
from console.model import EngineInfo


class Answers(BaseHTTPRequestHandler):
    """An engine that gives one and the same answer to everything."""

    answer: ClassVar[dict[str, Any]] = {"ApiVersion": "1.48", "Version": "28.0", "Driver": "overlay2"}
    headers_sent: ClassVar[dict[str, str]] = {}

    def do_GET(self) -> None:
        body = json.dumps(self.answer).encode()
        self.send_response(200)
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
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


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2]",
        '{"auths": {"registry.example": {"auth": "!!!"}}}',
        '{"auths": {"registry.example": 5}}',
        '{"proxies": 5}',
    ],
)
def test_docker_settings_that_make_no_sense_are_told_with_their_file(
    engine_port: int, docker_config: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{engine_port}")
    (docker_config / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json") as caught:
        connect()
    assert str(docker_config) in caught.value.message
    assert "DOCKER_CONFIG" in caught.value.hint


def test_a_context_that_makes_no_sense_is_told(docker_config: Path) -> None:
    use_context(docker_config, "broken", "tcp://127.0.0.1:1")
    next(docker_config.glob("contexts/meta/*/meta.json")).write_text("[]")
    with pytest.raises(ConfigError, match="context"):
        connect()


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


PODMAN_5 = {"ApiVersion": "1.44", "Version": "5.8.6", "Components": [{"Name": "Podman Engine", "Version": "5.8.6"}]}


@pytest.mark.parametrize(
    ("answer", "headers", "builder"),
    [
        ({"ApiVersion": "1.41", "Version": "20.10.24"}, {}, "buildkit"),
        ({"ApiVersion": "1.41", "Version": "20.10.24"}, {"Builder-Version": "1"}, "buildkit"),
        ({"ApiVersion": "1.39", "Version": "18.09.1"}, {}, "buildkit"),
        ({"ApiVersion": "1.38", "Version": "18.06.3"}, {}, "classic"),
        ({"ApiVersion": "1.51", "Version": "28.5.2"}, {"Builder-Version": "2"}, "buildkit"),
        ({"ApiVersion": "1.51", "Version": "dev"}, {"Builder-Version": "2"}, "buildkit"),
        ({"ApiVersion": "1.42", "Version": "23.0.0"}, {"Builder-Version": "1"}, "classic"),
        ({"ApiVersion": "1.51", "Version": "28.5.2", "OSType": "windows"}, {"Builder-Version": "2"}, "classic"),
        ({"ApiVersion": "1.51", "Version": "28.5.2", "Os": "windows"}, {}, "classic"),
        (PODMAN_5, {"Builder-Version": "1"}, "buildah"),
        ({"ApiVersion": "1.44", "Version": "5.8.6"}, {"Libpod-Api-Version": "5.8.6"}, "buildah"),
    ],
)
def test_what_builds_images_there(
    engine_port: int, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], headers: dict[str, str], builder: str
) -> None:
    monkeypatch.setattr(Answers, "answer", answer)
    monkeypatch.setattr(Answers, "headers_sent", headers)
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{engine_port}")
    info = connect().info
    assert (info.builder, info.name) == (builder, "podman" if builder == "buildah" else "docker")


def test_podman_is_known_by_what_serves_its_socket(engine_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answers, "version_string", lambda self: "Libpod/5.8.6 (linux)")
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{engine_port}")
    assert connect().info.builder == "buildah"


@pytest.mark.parametrize(
    ("description", "storage"),
    [
        ({"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]}, "overlay2"),
        ({"Driver": "overlayfs", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}, "containerd"),
    ],
)
def test_where_images_are_kept(
    engine_port: int, monkeypatch: pytest.MonkeyPatch, description: dict[str, Any], storage: str
) -> None:
    monkeypatch.setattr(Answers, "answer", {"ApiVersion": "1.51", "Version": "28.5.2", **description})
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{engine_port}")
    assert connect().info.storage == storage


def test_a_command_is_led_to_the_same_engine(
    engine_port: int, docker_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_context(docker_config, "first", f"tcp://127.0.0.1:{engine_port}")
    engine = connect()
    use_context(docker_config, "second", "tcp://127.0.0.1:1")
    monkeypatch.setenv("DOCKER_CONTEXT", "second")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("SOME_VARIABLE", "kept")
    environment = engine.command_environment()
    assert environment["DOCKER_HOST"] == f"tcp://127.0.0.1:{engine_port}"
    assert environment["SOME_VARIABLE"] == "kept"
    assert environment.keys().isdisjoint({"DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_TLS", "DOCKER_CERT_PATH"})


@pytest.mark.parametrize(("verify", "variable"), [(True, "DOCKER_TLS_VERIFY"), (False, "DOCKER_TLS")])
def test_a_command_gets_the_certificates_too(tmp_path: Path, verify: bool, variable: str) -> None:
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).touch()
    tls = TLSConfig((str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")), str(tmp_path / "ca.pem"), verify)
    info = EngineInfo("docker", "28.0", "1.48", "buildkit", "overlay2", "tcp://far:2376", remote=True)
    environment = Engine(info, lambda: None, tls).command_environment()  # type: ignore[arg-type, return-value]
    chosen = {
        name: value for name, value in environment.items() if name.startswith("DOCKER_") and name != "DOCKER_CONFIG"
    }
    assert chosen == {"DOCKER_HOST": "tcp://far:2376", variable: "1", "DOCKER_CERT_PATH": str(tmp_path)}
