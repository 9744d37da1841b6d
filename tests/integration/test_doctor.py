"""`splitdeck doctor` on real engines: what it finds, and that it changes nothing."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from console.engine import Engine
from tests.engines import engines
from tests.integration.conftest import Project

pytestmark = [pytest.mark.docker, pytest.mark.alone]


def state_of(engine: Engine) -> tuple[set[str], set[str]]:
    client: Any = engine.client()
    try:
        return {row["Id"] for row in client.images()}, {row["Id"] for row in client.containers(all=True)}
    finally:
        client.close()


def test_a_project_from_its_first_look_to_a_served_app(project: Project, tmp_path: Path) -> None:
    first = project.once("doctor")
    assert (first.returncode, first.stderr) == (0, "")
    assert f"! base image        {project.name}-base:latest is not here yet" in first.stdout
    assert "✔ builder           engine by session" in first.stdout
    assert f"127.0.0.1:{project.port}/tcp is free" in first.stdout
    assert "begins with the first build" in first.stdout
    assert list((tmp_path / "state").iterdir()) == [], "a look leaves nothing behind"

    live = project.run()
    live.wait("container.ready")
    serving = project.once("doctor")
    live.stop()
    assert serving.returncode == 0
    assert f"127.0.0.1:{project.port}/tcp is served by this project's app" in serving.stdout
    assert f"✔ base image        {project.name}-base:latest, " in serving.stdout
    assert ", fresh" in serving.stdout
    assert "2 builds" in serving.stdout

    project.write("base.Dockerfile", "FROM python:3.11-slim-bookworm\nRUN echo other > /base\n")
    stale = project.once("doctor")
    assert stale.returncode == 0
    assert "stale: base.Dockerfile" in stale.stdout


def test_what_is_in_the_way_ends_with_1(project: Project, engine: Engine) -> None:
    project.configure(extra='[build.secrets]\ntoken = { env = "SD_TEST_TOKEN_THAT_IS_NOT_SET" }\n')
    project.write("app.Dockerfile", "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPPY app.py /\n")
    before = state_of(engine)
    with socket.socket() as other:
        other.bind(("127.0.0.1", project.port))
        other.listen()
        result = project.once("doctor")
    assert result.returncode == 1
    for said in (
        "✘ app Dockerfile    ",
        f"✘ ports             127.0.0.1:{project.port}/tcp is taken by another program",
        "✘ secrets           build secret token: the variable SD_TEST_TOKEN_THAT_IS_NOT_SET is not set",
    ):
        assert said in result.stdout
    assert result.stdout.count("✘") == 3, result.stdout
    assert state_of(engine) == before


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("docker28", "buildkit, overlay2 store"),
        ("containerd", "buildkit, containerd store"),
        ("podman", "podman by tar: the engine is Podman"),
    ],
)
def test_each_engine_says_how_it_builds(project: Project, name: str, told: str) -> None:
    listening = engines.ensure([name])
    environment = {"DOCKER_HOST": listening[name], "DOCKER_CONFIG": str(engines.docker_config())}
    result = project.once("doctor", **environment)
    assert result.returncode == 0, result.stdout
    assert told in result.stdout
    assert "✔ buildx            0." in result.stdout
    assert ("engine by session" in result.stdout) is (name != "podman")
    assert ("times of its steps" in result.stdout) is (name == "podman")


def test_a_builder_that_is_not_there_is_told_before_any_build(project: Project) -> None:
    project.configure(extra='[build]\nbuilder = "nobody"\n')
    listening = engines.ensure(["docker28"])
    environment = {"DOCKER_HOST": listening["docker28"], "DOCKER_CONFIG": str(engines.docker_config())}
    result = project.once("doctor", **environment)
    assert result.returncode == 1
    assert "✘ builder           [build] builder is 'nobody', but buildx knows no builder 'nobody'" in result.stdout
    assert "docker buildx create" in result.stdout
    building = project.once("build", "base", **environment)
    assert building.returncode == 1
    assert "buildx knows no builder 'nobody'" in building.stderr
