"""Whatever is killed in the middle of a base's life: `latest` stays on a base that passes its check, and the next start
goes on from there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.engine import Engine
from console.model import LABEL_PROJECT, LABEL_ROLE
from tests.engines.registry import started_registry
from tests.integration.bases import Bases
from tests.integration.conftest import Live, Project

pytestmark = pytest.mark.docker

CHECK = 'check = ["grep -q good /requirements.txt"]'


@pytest.fixture
def bases(project: Project, engine: Engine) -> Iterator[Bases]:
    """A project with one good base, whose inputs have changed since."""
    made = Bases(project, engine)
    made.configure(CHECK)
    project.write("requirements.txt", "good one\n")
    made.run("build")
    project.write("requirements.txt", "good two\n")
    yield made
    made.client.close()


def passes(bases: Bases) -> bool:
    """Whether `latest` passes the project's check."""
    name = f"{bases.image}:latest"
    container = bases.client.create_container(name, ["grep", "-q", "good", "/requirements.txt"])
    try:
        bases.client.start(container)
        return bool(bases.client.wait(container)["StatusCode"] == 0)
    finally:
        bases.client.remove_container(container, force=True)


def left_over(bases: Bases) -> int:
    """Throw-away containers of checks."""
    labels = [f"{LABEL_PROJECT}={bases.project.name}", f"{LABEL_ROLE}=check"]
    return len(bases.client.containers(all=True, filters={"label": labels}))


def kill(live: Live) -> None:
    live.process.send_signal(signal.SIGKILL)
    live.process.wait(timeout=20)


def test_killed_while_the_base_is_built(bases: Bases) -> None:
    before = bases.tags()
    dockerfile = bases.project.folder / "base.Dockerfile"
    dockerfile.write_text(f"{dockerfile.read_text()}RUN sleep 60\n")
    live = bases.project.run("base", "build", "--json")
    live.wait("step.updated", lambda event: event["step"]["status"] == "running" and "sleep" in event["step"]["name"])
    kill(live)
    assert bases.tags() == before
    dockerfile.write_text(dockerfile.read_text().replace("RUN sleep 60\n", ""))
    bases.run("build")
    assert passes(bases)
    assert len(bases.dated()) == 2


def test_killed_during_the_check_the_next_start_goes_on_with_it(bases: Bases) -> None:
    before = bases.tags()
    bases.configure(CHECK.replace("grep", "sleep 60; grep"))
    live = bases.project.run("base", "build", "--json")
    live.wait("step.updated", lambda event: event["step"]["id"] == "check")
    candidate = live.wait("base.checked") if left_over(bases) > 1 else None  # the container may not be there yet
    assert candidate is None
    kill(live)
    after = bases.tags()
    assert {tag: image for tag, image in after.items() if tag != "candidate"} == before

    bases.configure(CHECK)
    session = bases.project.run()
    session.wait("base.promoted")
    session.wait("container.ready")
    built = [event["target"] for event in session.events if event["event"] == "build.started"]
    assert "base" not in built, "what was built before is checked, not built again"
    session.stop()
    assert bases.tags()["latest"] == after["candidate"]
    assert "candidate" not in bases.names()
    assert left_over(bases) == 0


PROMOTION = """
    import os, sys
    from console.base.promotion import promote
    from console.base.versions import find_base
    from console.engine import connect

    image, calls = sys.argv[1], int(sys.argv[2])
    client = connect().client()

    def counted(name):
        real = getattr(client, name)
        def call(*arguments, **options):
            global calls
            if calls == 0:
                os._exit(9)
            calls -= 1
            return real(*arguments, **options)
        return call

    for name in ("tag", "remove_image"):
        setattr(client, name, counted(name))
    promote(client, image, find_base(client, f"{image}:candidate"), 0.0)
    os._exit(0)
"""


@pytest.mark.parametrize("calls", range(4))
def test_killed_between_any_two_steps_of_a_promotion(bases: Bases, calls: int) -> None:
    bases.configure('check = ["false"]')
    bases.run("build", code=1)
    bases.configure(CHECK)
    first = bases.tags()["latest"]
    root = Path(__file__).parents[2]
    script = [sys.executable, "-c", textwrap.dedent(PROMOTION), bases.image, str(calls)]
    killed = subprocess.run(script, env={**os.environ, "PYTHONPATH": str(root)}, check=False)
    assert killed.returncode == (9 if calls < 3 else 0)
    tags = bases.tags()
    assert list(tags.values()).count(first) >= 1
    assert passes(bases)

    bases.run("build")
    dated = bases.dated()
    tags = bases.tags()
    assert len(dated) == 2
    assert (tags[dated[0]], tags[dated[1]]) == (first, tags["latest"])
    assert "candidate" not in tags


def test_killed_while_it_is_published(bases: Bases, tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    folder.mkdir()
    with started_registry(folder) as port:
        remote = f"127.0.0.1:{port}/{bases.image}"
        bases.configure(f'{CHECK}\nrepository = "{remote}"')
        live = bases.project.run("base", "publish", "--json")
        live.wait("base.transfer", lambda event: any(layer["current_bytes"] for layer in event["transfer"]["layers"]))
        kill(live)
        tags = bases.tags()
        assert passes(bases)
        bases.run("publish")
        assert bases.tags() == tags
        digest = bases.event("base.checked", "status")["base"]["digest"]
        for tag in ("latest", *bases.dated()):
            assert bases.client.inspect_distribution(f"{remote}:{tag}")["Descriptor"]["digest"] == digest
