"""`splitdeck doctor` without an engine, and its checks one by one."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from console.config import Config, load_config
from console.doctor import engine_checks, project_checks, run_doctor, runner
from console.doctor.finding import Verdict
from console.doctor.runner import within_deadline
from console.engine import Engine
from console.errors import BuildError, ConfigError, EngineUnreachableError, ExitCode, SplitdeckError
from console.history.records import History, history_path
from console.model import LABEL_PROJECT, BuilderInfo, EngineInfo
from console.run import published
from tests.fakes import make_project

INFO = EngineInfo("docker", "28.5.2", "1.51", "buildkit", "overlay2", "unix:///engine.sock")


@pytest.fixture(autouse=True)
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect() -> Engine:
        raise EngineUnreachableError("nobody there", "start it")

    state = tmp_path / "state"
    state.mkdir()
    monkeypatch.setenv("SPLITDECK_STATE_DIR", str(state))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setattr(runner, "connect", connect)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


class FakeClient:
    """An engine with certain images and containers."""

    timeout = 60

    def __init__(self, images: dict[str, dict[str, Any]], containers: list[dict[str, Any]]) -> None:
        self._images = images
        self._containers = containers

    def inspect_image(self, name: str) -> dict[str, Any]:
        from docker.errors import ImageNotFound

        if name not in self._images:
            raise ImageNotFound(name)
        return self._images[name]

    def containers(self) -> list[dict[str, Any]]:
        return self._containers

    def close(self) -> None:
        pass


def with_engine(
    monkeypatch: pytest.MonkeyPatch,
    images: dict[str, dict[str, Any]] | None = None,
    containers: list[dict[str, Any]] | None = None,
    builder: BuilderInfo | None = None,
) -> None:
    client: Any = FakeClient(images or {}, containers or [])
    monkeypatch.setattr(runner, "connect", lambda: Engine(INFO, lambda: client))
    chosen = builder or BuilderInfo("engine", "session", "because")
    monkeypatch.setattr(engine_checks, "open_backend", lambda *_: (chosen, None))
    monkeypatch.setenv("PATH", "/nowhere")  # no docker command, hence no buildx


def examined(config: Config | SplitdeckError) -> tuple[ExitCode, list[str]]:
    def load() -> Config:
        if isinstance(config, SplitdeckError):
            raise config
        return config

    lines: list[str] = []
    return run_doctor(load, lines.append), lines


def line_of(lines: list[str], subject: str, part: str = "") -> str:
    """A finding and what stands below it."""
    for number, line in enumerate(lines):
        if line[2:].startswith(subject) and part in line:
            more = next((n for n, below in enumerate(lines[number + 1 :]) if not below.startswith(" ")), len(lines))
            return "\n".join(lines[number : number + 1 + more])
    raise AssertionError(f"nothing on {subject} in\n" + "\n".join(lines))


# -- the whole --------------------------------------------------------------------------------------------------------


def test_without_an_engine_the_rest_is_checked_and_the_exit_code_says_so(folder: Path) -> None:
    code, lines = examined(make_project(folder))
    assert code is ExitCode.NO_ENGINE
    assert line_of(lines, "engine") == "✘ engine            nobody there\n                    hint: start it"
    assert line_of(lines, "config").startswith(f"✔ config            {folder}/config.toml")
    subjects = {line[2:19].strip() for line in lines if not line.startswith(" ")}
    assert subjects == {
        *("config", "engine", "history", "watch"),
        *("base Dockerfile", "base context", "app Dockerfile", "app context", "legacy Dockerfile", "legacy context"),
    }


def test_all_is_well(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_engine(monkeypatch, {"demo-base:latest": {"Id": "sha256:1", "Created": "2026-11-24T00:00:00Z", "Size": 5_000}})
    code, lines = examined(make_project(folder))
    assert code is ExitCode.OK
    assert all(line.startswith("✔") for line in lines), lines
    assert "docker 28.5.2, API 1.51, buildkit, overlay2 store, here at unix:///engine.sock" in line_of(lines, "engine")
    assert "engine by session: because" in line_of(lines, "builder")
    assert "there is no docker command" in line_of(lines, "buildx")
    assert "5 kB" in line_of(lines, "base image")
    assert line_of(lines, "watch") == "✔ watch             2 files in ., told by the kernel"


def test_a_wrong_config_is_told_and_the_engine_is_still_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    with_engine(monkeypatch)
    code, lines = examined(ConfigError("no config.toml", "make one"))
    assert code is ExitCode.FAILED
    assert line_of(lines, "config") == "✘ config            no config.toml\n                    hint: make one"
    assert line_of(lines, "engine").startswith("✔")


def test_a_check_that_hangs_has_failed_and_the_others_go_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_DEADLINE_S", 0.2)
    hanging = threading.Event()
    monkeypatch.setattr(project_checks, "history", lambda _config: hanging.wait())
    _, lines = examined(make_project(folder))
    hanging.set()
    assert line_of(lines, "history").startswith("✘ history           no answer within 0.2 s")
    assert line_of(lines, "watch").startswith("✔")


def test_a_defect_in_one_check_does_not_hide_the_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project_checks, "history", lambda _config: [][0])
    _, lines = examined(make_project(folder))
    assert line_of(lines, "history").startswith("✘")
    assert line_of(lines, "watch").startswith("✔")


def test_reading_the_config_has_a_deadline_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_DEADLINE_S", 0.2)
    hanging = threading.Event()

    def load() -> Config:
        hanging.wait()
        raise AssertionError

    lines: list[str] = []
    run_doctor(load, lines.append)
    hanging.set()
    assert line_of(lines, "config").startswith("✘ config            no answer within 0.2 s")


def test_wrong_settings_of_the_docker_command_are_no_missing_engine(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect() -> Engine:
        raise ConfigError("config.json is broken", "mend it")

    monkeypatch.setattr(runner, "connect", connect)
    code, lines = examined(make_project(folder))
    assert code is ExitCode.FAILED
    assert line_of(lines, "engine").startswith("✘ engine            config.json is broken")


def test_an_engine_that_hangs_is_no_engine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_DEADLINE_S", 0.5)
    hanging = threading.Event()
    monkeypatch.setattr(runner, "connect", hanging.wait)
    code, lines = examined(make_project(folder))
    hanging.set()
    assert code is ExitCode.NO_ENGINE
    assert "no answer" in line_of(lines, "engine")


def test_a_deadline_passes_results_and_errors_on() -> None:
    assert within_deadline(lambda: 5) == 5
    with pytest.raises(BuildError):
        within_deadline(lambda: (_ for _ in ()).throw(BuildError("no")))


def test_what_is_told_stays_on_its_line(tmp_path: Path) -> None:
    folder = tmp_path / "odd\x1b[2J\nname"
    folder.mkdir()
    _, lines = examined(make_project(folder))
    assert all(line.isprintable() for line in lines)
    assert "odd\\x1b[2J\\nname" in line_of(lines, "config")


# -- one by one -------------------------------------------------------------------------------------------------------


def test_the_builders_limits_are_remarks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_engine(
        monkeypatch, builder=BuilderInfo("buildx", "command", "asked for", ("It is slow.", "It is far."), builder="b")
    )
    code, lines = examined(make_project(folder))
    assert code is ExitCode.OK
    assert line_of(lines, "builder").split("\n") == [
        "! builder           buildx by command, builder b: asked for",
        "                    It is slow.",
        "                    It is far.",
    ]


@pytest.mark.parametrize(
    ("settings", "found", "verdict"),
    [
        ("", BuilderInfo("engine", "tar", "no session", ("All.",)), "!"),
        ('backend = "engine"', BuilderInfo("engine", "tar", "no session", ("All.",)), "!"),
        ("", BuilderInfo("classic", "tar", "no BuildKit", ("All.",)), "!"),
        ("", BuilderInfo("buildx", "command", "no session", ("Slow.",), builder="default"), "!"),
        ('transport = "tar"', BuilderInfo("engine", "tar", "asked for", ("All.",)), "✔"),
        ('backend = "classic"', BuilderInfo("classic", "tar", "asked for", ("All.",)), "✔"),
        ('builder = "far"', BuilderInfo("buildx", "command", "asked for", ("Slow.",), builder="far"), "✔"),
        ('cache_to = ["type=local,dest=c"]', BuilderInfo("buildx", "command", "", ("Slow.",), builder="default"), "✔"),
        ("", BuilderInfo("podman", "tar", "the engine is Podman", ("All.",)), "✔"),
    ],
)
def test_only_a_way_that_nobody_chose_is_a_remark(
    folder: Path, monkeypatch: pytest.MonkeyPatch, settings: str, found: BuilderInfo, verdict: str
) -> None:
    with_engine(monkeypatch, builder=found)
    said = line_of(examined(make_project(folder, extra=f"[build]\n{settings}\n"))[1], "builder")
    assert said.startswith(f"{verdict} builder")
    assert found.limits[0] in said, "what it cannot do is told either way"


def test_a_base_for_another_platform_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = {"Id": "sha256:1", "Created": "2026-11-24T00:00:00Z", "Size": 5, "Os": "linux", "Architecture": "amd64"}
    with_engine(monkeypatch, {"demo-base:latest": image})
    for platform, remarks in (("linux/arm64", 1), ("linux/amd64", 0), ("linux/amd64/v2", 0), ("", 0)):
        config = make_project(folder, extra=f'[build]\nplatform = "{platform}"\n')
        found = [line for line in examined(config)[1] if "but [build] platform is" in line]
        assert len(found) == remarks, platform
    said = line_of(
        examined(make_project(folder, extra='[build]\nplatform = "linux/arm64"\n'))[1], "base image", "is for"
    )
    assert said.startswith("! base image        is for linux/amd64, but [build] platform is linux/arm64")


def test_a_builder_that_cannot_be_had_is_in_the_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_engine(monkeypatch)

    def refuse(*_: object) -> None:
        raise BuildError("no buildx", "install it")

    monkeypatch.setattr(engine_checks, "open_backend", refuse)
    code, lines = examined(make_project(folder))
    assert code is ExitCode.FAILED
    assert line_of(lines, "builder") == "✘ builder           no buildx\n                    hint: install it"


def test_a_base_that_is_not_here_is_a_remark_unless_no_build_can_make_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_engine(monkeypatch)
    config = make_project(folder)
    code, lines = examined(config)
    assert code is ExitCode.OK
    assert line_of(lines, "base image").startswith("! base image        demo-base:latest is not here yet")
    text = (folder / "config.toml").read_text()
    (folder / "config.toml").write_text(text.replace("[app]", f'version = "@sha256:{"0a" * 32}"\n[app]'))
    code, lines = examined(load_config(folder / "config.toml"))
    assert code is ExitCode.FAILED
    assert "docker pull" in line_of(lines, "base image")


def test_a_stale_base_is_told_with_what_changed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = {"io.splitdeck.fingerprint": "other", "io.splitdeck.inputs": '{"requirements.txt": "other"}'}
    image = {"Id": "sha256:1", "Created": "2026-11-24T00:00:00Z", "Size": 5_000, "Config": {"Labels": labels}}
    with_engine(monkeypatch, {"demo-base:latest": image})
    said = line_of(examined(make_project(folder))[1], "base image")
    assert said.startswith("!")
    assert "stale: base.Dockerfile, requirements.txt" in said


def test_an_app_that_does_not_start_from_the_base_is_told(folder: Path) -> None:
    config = make_project(folder)
    assert "from demo-base:latest" in line_of(examined(config)[1], "app")
    (folder / "app.Dockerfile").write_text("FROM scratch\nCOPY app.py /\n")
    said = line_of(examined(config)[1], "app")
    assert said.startswith("! app Dockerfile    app.Dockerfile does not start from the base image demo-base:latest")
    assert "`ARG BASE_IMAGE=demo-base:latest` and `FROM ${BASE_IMAGE}`" in said


def test_a_dockerfile_that_makes_no_sense_is_in_the_way(folder: Path) -> None:
    config = make_project(folder)
    (folder / "base.Dockerfile").write_text("FROM scratch\nCOPPY . /\n")
    said = line_of(examined(config)[1], "base")
    assert said.startswith("✘")
    assert "base.Dockerfile:2" in said


@pytest.mark.parametrize(("limit", "value"), [("_MANY_FILES", 5), ("_MANY_BYTES", 5_000)])
def test_a_large_build_context_is_told_with_its_largest_folders(
    folder: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    config = make_project(folder)
    for name, count, length in (("node_modules/a", 4, 3_000), ("src", 2, 10), ("left_out", 9, 9_000)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            (folder / name / str(number)).write_bytes(bytes(length))
    (folder / ".dockerignore").write_text("left_out\n")
    assert line_of(examined(config)[1], "legacy context").startswith("✔ legacy context    13 files, 12.3 kB")
    monkeypatch.setattr(project_checks, limit, value)
    said = line_of(examined(config)[1], "legacy context")
    assert said.startswith("! legacy context    13 files, 12.3 kB")
    assert "node_modules/ (12 kB, 4 files)" in said
    assert "left_out" not in said
    assert line_of(examined(config)[1], "app context").startswith("✔"), "the app copies one file"


def container(**changes: Any) -> dict[str, Any]:
    ports = [{"PrivatePort": 8000, "PublicPort": 8123, "Type": "tcp", "IP": "0.0.0.0"}]
    return {"Id": "c" * 64, "Names": ["/other"], "Labels": {}, "Ports": ports, **changes}


@pytest.mark.parametrize(
    ("containers", "said"),
    [
        ([], "✔ ports             127.0.0.1:8123/tcp is free"),
        ([container()], "✘ ports             127.0.0.1:8123/tcp is taken by container other"),
        (
            [container(Labels={LABEL_PROJECT: "demo"})],
            "✔ ports             127.0.0.1:8123/tcp is served by this project's app",
        ),
        (
            [container(Labels={LABEL_PROJECT: "other"})],
            "✘ ports             127.0.0.1:8123/tcp is taken by container other",
        ),
        ([container(Ports=[{"PublicPort": 8123, "Type": "udp", "IP": "0.0.0.0"}])], "✔ ports"),
        ([container(Ports=[{"PublicPort": 8123, "Type": "tcp", "IP": "127.0.0.2"}])], "✔ ports"),
        ([container(Ports=[{"PublicPort": 8123, "Type": "tcp", "IP": "127.0.0.1"}])], "✘ ports"),
        ([container(Ports=[{"PrivatePort": 8123, "Type": "tcp"}])], "✔ ports"),
    ],
)
def test_a_published_port_is_free_ours_or_anothers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, containers: list[dict[str, Any]], said: str
) -> None:
    with_engine(monkeypatch, containers=containers)
    monkeypatch.setattr(published, "_is_free", lambda _port: True)
    lines = examined(make_project(folder, extra='[run]\nports = ["8123:8000", "9000"]\n'))[1]
    assert line_of(lines, "ports").startswith(said)
    assert len([line for line in lines if line[2:].startswith("ports")]) == 1, "the engine chooses the other one"


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_of_another_program_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: int) -> None:
    with_engine(monkeypatch)
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        suffix = "" if kind == socket.SOCK_STREAM else "/udp"
        config = make_project(folder, extra=f'[run]\nports = ["{other.getsockname()[1]}:8000{suffix}"]\n')
        code, lines = examined(config)
        assert code is ExitCode.FAILED
        assert "is taken by another program" in line_of(lines, "ports")
    assert "is free" in line_of(examined(config)[1], "ports")


def test_secrets_are_looked_for_and_never_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SD_TOKEN", "hunter2hunter2")
    (folder / "secret.txt").write_text("hunter3hunter3")
    text = (
        '[build]\nssh = ["default", "work=agent.sock"]\n[build.secrets]\ntoken = { env = "SD_TOKEN" }\n'
        'file = { file = "secret.txt" }\nlost = { env = "SD_LOST" }\ngone = { file = "gone.txt" }\n'
    )
    config = make_project(folder, extra=text)
    mounting = "FROM scratch\nRUN --mount=type=ssh --mount=type=ssh,id=work true\n"
    (folder / "Dockerfile.legacy").write_text(mounting)
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind("agent.sock")
        _, lines = examined(config)
    assert line_of(lines, "secrets", "token").startswith("✔")
    assert line_of(lines, "secrets", "file:").startswith("✔")
    assert "✘ secrets           build secret lost: the variable SD_LOST is not set" in lines
    assert "gone.txt" in line_of(lines, "secrets", "gone")
    assert line_of(lines, "secrets", "ssh work").startswith("✔")
    assert "eval $(ssh-agent)" in line_of(lines, "secrets", "ssh default")
    said = line_of(examined(config)[1], "secrets", "ssh work")
    assert said.startswith("✔"), "the socket is left behind"
    (folder / "agent.sock").unlink()
    said = line_of(examined(config)[1], "secrets", "ssh work")
    assert "[build] ssh" in said
    assert "eval" not in said, "that would start another one"
    assert "hunter" not in "\n".join(lines)


def test_what_the_dockerfiles_mount_and_nobody_gives_is_told(folder: Path) -> None:
    text = '[build]\nssh = ["default"]\n[build.secrets]\ngiven = { file = "app.py" }\n'
    config = make_project(folder, extra=text)
    (folder / "base.Dockerfile").write_text(
        "FROM python:3.11\n"
        "RUN --mount=type=secret,id=npm,required=true --mount=type=secret,id=given,required true\n"
        "RUN --mount=type=secret,id=pip --mount=type=ssh,id=work true\n"
        "ADD https://example.org/file /\n"
    )
    code, lines = examined(config)
    assert code is ExitCode.NO_ENGINE
    said = line_of(lines, "secrets", "npm")
    assert said.startswith(
        "✘ secrets           base.Dockerfile:2 needs build secret npm, which config.toml does not name"
    )
    assert 'npm = { env = "…" }' in said
    assert line_of(lines, "secrets", "secret pip").startswith(
        "! secrets           base.Dockerfile:3 mounts build secret"
    )
    assert 'ssh = ["work=PATH"]' in line_of(lines, "secrets", "ssh agent work")
    assert len([line for line in lines if "config.toml does not name" in line]) == 3, "none for the ADD"


def test_an_agent_that_is_not_there_is_in_the_way_only_where_it_is_mounted(folder: Path) -> None:
    config = make_project(folder, extra='[build]\nssh = ["default"]\n')
    said = line_of(examined(config)[1], "secrets")
    assert said.startswith(
        "! secrets           ssh default: no agent runs (SSH_AUTH_SOCK is not set), but nothing mounts it"
    )
    (folder / "app.Dockerfile").write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN --mount=type=ssh true\n")
    assert line_of(examined(config)[1], "secrets").startswith("✘ secrets           ssh default: no agent runs")


def test_the_history_is_looked_at_and_left_alone(folder: Path) -> None:
    config = make_project(folder)
    path = history_path("demo", config.path)
    assert line_of(examined(config)[1], "history") == f"✔ history           {path}, begins with the first build"
    assert not path.exists()
    History.open(path).close()
    assert line_of(examined(config)[1], "history") == f"✔ history           {path}, 0 builds"
    path.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    said = line_of(examined(config)[1], "history")
    assert said.startswith(f"! history           {path} cannot be read")
    assert path.exists(), "a check moves nothing away"
    path.unlink()
    sqlite3.connect(path).close()
    os.truncate(path, 0)
    assert line_of(examined(config)[1], "history").startswith("!")


def test_polling_is_a_remark_unless_it_was_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = line_of(examined(make_project(folder, extra='[watch]\npoll = "true"\n'))[1], "watch")
    assert said.startswith("✔")
    assert "by polling, as configured" in said
    monkeypatch.setattr("console.watch.watcher._is_wsl", lambda: True)
    assert line_of(examined(make_project(folder))[1], "watch").startswith("! watch")


def test_verdicts_are_told_without_colour() -> None:
    assert len({verdict.value for verdict in Verdict}) == 3
