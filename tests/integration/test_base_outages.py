"""An engine or a registry that is killed in a base's life: `latest` stays good, and it goes on from there."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.engine import Engine, connect
from tests.engines.engines import SCRIPT, ensure
from tests.engines.registry import RegistryProcess
from tests.integration.bases import Bases
from tests.integration.conftest import Live, Project, made_project

pytestmark = [pytest.mark.docker, pytest.mark.alone, pytest.mark.timeout(240)]

ENGINE = "docker28"


class Killable:
    """A real engine of its own namespaces, whose processes all end at once."""

    def __init__(self) -> None:
        self.host = ensure([ENGINE])[ENGINE]

    def kill(self) -> None:
        status = subprocess.run([SCRIPT, "status"], capture_output=True, text=True, check=True).stdout
        [process] = [line.split()[3] for line in status.splitlines() if line.startswith(f"{ENGINE} up")]
        os.kill(int(process), signal.SIGKILL)

    def start(self) -> None:
        with pytest.MonkeyPatch.context() as environment:
            environment.delenv("DOCKER_HOST", raising=False)  # it is looked for beside the machine's own
            ensure([ENGINE])


@pytest.fixture
def engine_that_dies(monkeypatch: pytest.MonkeyPatch) -> Iterator[Killable]:
    killable = Killable()
    monkeypatch.setenv("DOCKER_HOST", killable.host)
    yield killable
    killable.start()


@pytest.fixture
def bases(engine_that_dies: Killable, tmp_path: Path) -> Iterator[Bases]:
    """A project with one good base, whose inputs have changed since."""
    with made_project(tmp_path) as project:
        made = Bases(project, connect())
        configure(made)
        project.write("requirements.txt", "good one\n")
        made.run("build")
        project.write("requirements.txt", "good two\n")
        try:
            yield made
        finally:
            engine_that_dies.start()
            made.client.close()


def configure(bases: Bases, before: str = "true") -> None:
    """A check that begins with a command, and an app whose log says that it serves: its port is in another network."""
    bases.project.configure(ready='log = "serving"\ntimeout_s = 20')
    path = bases.project.folder / "config.toml"
    base = f'check = ["{before}; grep -q good /requirements.txt"]\non_change = "build"\n'
    path.write_text(path.read_text().replace("[app]\n", f"{base}[app]\n"))


def until_killed(bases: Bases, wanted: str) -> Live:
    """A console that is at this point of the base's life."""
    live = bases.project.run()
    if wanted == "check":
        live.wait("step.updated", lambda event: event["step"]["id"] == "check")
    else:
        live.wait(
            "step.updated", lambda event: event["step"]["status"] == "running" and wanted in event["step"]["name"]
        )
    return live


@pytest.mark.parametrize("moment", ["RUN sleep 5", "check"])
def test_the_engine_is_killed_and_the_console_goes_on_once_it_is_back(
    bases: Bases, engine_that_dies: Killable, moment: str
) -> None:
    before = bases.tags()
    if moment == "check":
        configure(bases, "sleep 5")
    else:
        dockerfile = bases.project.folder / "base.Dockerfile"
        never_built = f"{moment} && echo {bases.project.name}"
        dockerfile.write_text(f"{dockerfile.read_text()}{never_built}\n")
    live = until_killed(bases, moment)
    engine_that_dies.kill()
    live.wait("error")
    engine_that_dies.start()
    promoted = live.wait("base.promoted")
    live.stop()
    bases.client.close()
    bases.client = connect().client()
    tags = bases.tags()
    first = next(iter(before))
    assert tags[first] == before[first]
    assert tags["latest"] == tags[promoted["version"]] != before["latest"]
    assert "candidate" not in tags


def test_the_registry_is_killed_while_a_base_is_pushed(project: Project, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    registry = RegistryProcess(tmp_path / "registry")
    registry.start()
    try:
        bases = Bases(project, engine)
        remote = f"127.0.0.1:{registry.port}/{bases.image}"
        bases.configure(f'repository = "{remote}"')
        bases.run("build")
        tags = bases.tags()
        live = project.run("base", "publish", "--json")
        live.wait("base.transfer", lambda event: any(layer["current_bytes"] for layer in event["transfer"]["layers"]))
        registry.stop(signal.SIGKILL)
        live.wait("base.transfer", lambda event: event["transfer"]["attempt"] > 1)
        assert bases.tags()["latest"] == tags["latest"]
        registry.start()
        assert live.process.wait(timeout=60) == 0, "it went on where it was"
        assert bases.tags() == tags
        digest = bases.event("base.checked", "status")["base"]["digest"]
        for tag in ("latest", *bases.dated()):
            assert bases.client.inspect_distribution(f"{remote}:{tag}")["Descriptor"]["digest"] == digest
        bases.client.close()
    finally:
        registry.stop()
