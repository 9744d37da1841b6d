"""The base's life on every engine: each names, lists, labels and removes images in its own way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from console.engine import connect
from console.model import LABEL_BASE
from tests.engines.engines import ENGINES, ensure
from tests.integration.bases import Bases
from tests.integration.conftest import made_project

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]


@pytest.fixture(params=ENGINES)
def bases(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bases]:
    monkeypatch.setenv("DOCKER_HOST", ensure([request.param])[request.param])
    with made_project(tmp_path) as project:
        made = Bases(project, connect())
        yield made
        made.client.close()


def test_built_checked_held_approved_rolled_back_pinned_and_pruned(bases: Bases) -> None:
    bases.configure('check = ["grep -q good /requirements.txt"]\nkeep = 1')
    bases.project.write("requirements.txt", "good one\n")
    bases.run("build")
    [first] = bases.dated()
    one = bases.tags()[first]

    bases.project.write("requirements.txt", "bad\n")
    assert bases.event("base.held", "build", code=1)["held"]["because"] == "check-failed"
    assert bases.tags()["latest"] == one

    bases.project.write("requirements.txt", "good two\n")
    bases.dockerfile("2.0")
    held = bases.event("base.held", "build", code=1)["held"]
    assert [major["after"] for major in held["majors"]] == ["2.0"]
    bases.run("build", "--allow-major")
    second = f"{first}.2"
    assert bases.names() == sorted([first, second, "latest"])
    assert "demo" in bases.run("diff")

    bases.run("rollback")
    assert bases.tags()["latest"] == one
    bases.run("use", second)
    app = bases.project.once("build", "app")
    assert app.returncode == 0, app.stdout + app.stderr
    labels = bases.client.inspect_image(f"{bases.project.name}:latest")["Config"]["Labels"]
    assert labels[LABEL_BASE] == bases.event("base.checked", "status")["base"]["image_id"]
    [row] = [line for line in bases.run("list").splitlines() if line.startswith(second)]
    assert row.split()[-1] == bases.project.name

    bases.run("use", "latest")
    bases.project.write("requirements.txt", "good three\n")
    bases.run("build", "--allow-major")
    third = f"{first}.3"
    # The newest is kept, the one before it is where a rollback goes and what the app stands on.
    assert bases.event("base.pruned", "prune")["versions"] == [first]
    assert bases.dated() == [second, third]
