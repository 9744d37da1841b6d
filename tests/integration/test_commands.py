"""The command line on a real engine: exit codes, messages with hints, results on stdout and diagnostics on stderr."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import Project

pytestmark = pytest.mark.docker


def test_builds_are_recorded_and_compared_in_a_later_process(project: Project) -> None:
    for target in ("base", "app", "legacy"):
        result = project.once("build", target, "--no-cache", "--json")
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
    events = [json.loads(line) for line in result.stdout.splitlines()]
    comparison = [event["comparison"] for event in events if event["event"] == "comparison.updated"][-1]
    assert comparison["scenario"] == "cold"
    assert (comparison["legacy"]["n"], comparison["split"]["n"]) == (1, 1)


def test_a_failing_build_ends_with_1_and_says_where(project: Project) -> None:
    project.write("Dockerfile.legacy", "FROM python:3.11-slim-bookworm\nRUN exit 9\n")
    result = project.once("build", "legacy")
    assert result.returncode == 1
    assert "Dockerfile.legacy:2" in result.stderr
    assert "exit code: 9" in result.stderr


def test_an_unknown_key_ends_with_2_and_the_nearest_key(project: Project) -> None:
    project.configure(run="stop_grace = 3")
    result = project.once("run", "--once")
    assert result.returncode == 2
    assert "unknown key 'run.stop_grace'" in result.stderr
    assert "'stop_grace_s'" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("host", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:9"])
def test_no_engine_ends_with_3_and_what_to_do(project: Project, host: str) -> None:
    result = project.once("run", "--once", DOCKER_HOST=host)
    assert result.returncode == 3
    assert f"no container engine answers at {host}" in result.stderr
    assert "hint: start it" in result.stderr


def test_no_config_ends_with_2(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    result = project.once("run", "-C", str(tmp_path_factory.mktemp("empty")))
    assert result.returncode == 2
    assert "no config.toml" in result.stderr


def test_a_wrong_option_ends_with_2(project: Project) -> None:
    assert project.once("run", "--nonsense").returncode == 2


def test_a_pinned_base_that_is_missing_is_not_built_under_another_name(project: Project) -> None:
    pinned = "@sha256:" + "0" * 64
    text = (project.folder / "config.toml").read_text()
    project.write("config.toml", text.replace("[app]", f'version = "{pinned}"\n[app]', 1))
    result = project.once("build", "app")
    assert result.returncode == 1
    assert "pinned" in result.stderr


def test_a_reader_that_goes_away_ends_the_program_without_a_word(project: Project) -> None:
    command = f"{sys.executable} -m console run --json | head -1"
    result = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        cwd=project.folder,
        env={**os.environ, **project.environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert json.loads(result.stdout)["event"] == "session.started"
    assert result.stderr == ""
    assert result.returncode == 130


@pytest.mark.parametrize("command", [["build", "app"], ["base", "build", "--force"]])
def test_an_interrupted_build_is_told_and_kept_as_cancelled(project: Project, command: list[str]) -> None:
    assert project.once("build", "base").returncode == 0
    target = "app" if command[0] == "build" else "base"
    dockerfile = project.folder / f"{target}.Dockerfile"
    project.write(dockerfile.name, f"{dockerfile.read_text()}\nRUN echo began && sleep 60.{project.port}\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "console", *command, "--json"],
        cwd=project.folder,
        env={**os.environ, **project.environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "build.log" and event["text"] == "began":
            break
    process.send_signal(signal.SIGINT)
    out, told = process.communicate(timeout=30)
    assert process.returncode == 130, told
    finished = [event for event in map(json.loads, out.splitlines()) if event["event"] == "build.finished"]
    assert [event["status"] for event in finished] == ["cancelled"]
    listed = project.once("history", "--json", "-n", "1")
    (build,) = json.loads(listed.stdout)["builds"]
    assert (build["target"], build["status"], build["trigger"]) == (target, "cancelled", "command")
    assert build["duration_ms"] == pytest.approx(finished[0]["duration_ms"], abs=0.001)
