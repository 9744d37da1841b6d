"""`splitdeck base …` on a real engine: what a user does with versions, checks, pins, rollbacks and a registry."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import pytest

from console.engine import Engine
from console.measurements import PullSample
from console.model import LABEL_BASE, OCI_REVISION, OCI_VERSION
from tests.engines.registry import started_registry
from tests.integration.bases import Bases
from tests.integration.conftest import ROOT_IMAGE, Project

pytestmark = pytest.mark.docker


@pytest.fixture
def bases(project: Project, engine: Engine) -> Iterator[Bases]:
    made = Bases(project, engine)
    yield made
    made.client.close()


def test_versions_come_one_after_the_other_and_none_moves(bases: Bases) -> None:
    bases.run("build")
    [first] = bases.dated()
    assert bases.names() == [first, "latest"]
    one = bases.tags()[first]
    bases.run("build")
    assert "is fresh" in bases.stderr
    bases.project.write("requirements.txt", "two\n")
    assert "stale, requirements.txt changed" in bases.run("status")
    bases.run("build")
    second = f"{first}.2"
    assert bases.dated() == [first, second]
    tags = bases.tags()
    assert (tags[first], tags["latest"]) == (one, tags[second])
    assert [line.split()[0] for line in bases.run("list").splitlines()] == ["version", second, first]
    assert bases.labels()[OCI_VERSION] == second


def test_the_same_inputs_make_no_second_version(bases: Bases) -> None:
    bases.run("build")
    before = bases.tags()
    bases.run("build", "--force")
    assert bases.tags() == before


def test_a_commit_that_holds_the_inputs_is_a_tag(bases: Bases) -> None:
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], cwd=bases.project.folder, check=True)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=bases.project.folder, capture_output=True, text=True, check=True
    ).stdout.strip()
    bases.run("build")
    assert f"sha-{head[:7]}" in bases.names()
    assert bases.labels()[OCI_REVISION] == head
    bases.project.write("requirements.txt", "not committed\n")
    bases.run("build")
    assert bases.labels()[OCI_REVISION] == ""
    assert bases.tags()[f"sha-{head[:7]}"] != bases.tags()["latest"]


def test_a_base_that_fails_its_check_never_becomes_latest_and_one_retry_mends_it(bases: Bases) -> None:
    bases.configure('check = ["grep -q one /requirements.txt"]')
    bases.run("build")
    before = bases.tags()
    bases.project.write("requirements.txt", "broken\n")
    held = bases.event("base.held", "build", code=1)["held"]
    assert held["because"] == "check-failed"
    assert held["reason"] == "`grep -q one /requirements.txt`: exit code 1"
    after = bases.tags()
    assert {tag: image for tag, image in after.items() if tag != "candidate"} == before
    assert "did not pass its check" in bases.run("status")
    assert bases.event("base.checked", "status")["base"]["held"]["because"] == "check-failed"
    built = bases.project.once("build", "app")
    assert built.returncode == 0, "the app is built on the base before"
    app = bases.client.inspect_image(f"{bases.project.name}:latest")
    assert app["Config"]["Labels"][LABEL_BASE] == before["latest"]
    bases.project.write("requirements.txt", "one again\n")
    bases.run("build")
    assert "candidate" not in bases.names()
    assert bases.event("base.checked", "status")["base"]["held"] is None


def test_a_major_update_waits_for_approval(bases: Bases) -> None:
    bases.run("build")
    bases.dockerfile("2.0")
    held = bases.event("base.held", "build", code=1)["held"]
    assert held["because"] == "needs-approval"
    assert [(one["name"], one["before"], one["after"]) for one in held["majors"]] == [("demo", "1.2", "2.0")]
    assert "demo" in bases.run("diff")
    candidate = bases.tags()["candidate"]
    bases.run("build", "--allow-major")
    assert bases.tags()["latest"] == candidate, "taken as it is, without another build"
    held_by = bases.run("packages").splitlines()
    assert held_by[1].split() == ["pip", "demo", "2.0"]
    assert any(line.split()[:2] == ["dpkg", "python3"] for line in held_by)
    said = bases.run("diff")
    assert said.splitlines()[-1].split() == ["!", "pip", "demo", "1.2", "→", "2.0", "major"]


def test_pins_and_rollbacks(bases: Bases) -> None:
    bases.run("build")
    bases.project.write("requirements.txt", "two\n")
    bases.run("build")
    first, second = bases.dated()
    path = bases.project.folder / "config.toml"
    path.write_text(path.read_text().replace("[base]", "[base]  # mine"))

    bases.run("rollback")
    assert bases.tags()["latest"] == bases.tags()[first]
    bases.run("rollback", code=1)
    assert "before the present one" in bases.stderr

    bases.run("use", second)
    assert f'[base]  # mine\ndockerfile = "base.Dockerfile"\nversion = "{second}"\n' in path.read_text()
    bases.project.once("build", "app")
    labels = bases.client.inspect_image(f"{bases.project.name}:latest")["Config"]["Labels"]
    assert labels[LABEL_BASE] == bases.tags()[second]
    bases.run("rollback")
    assert f'version = "{first}"' in path.read_text()
    bases.run("use", "latest")
    assert 'version = "latest"' in path.read_text()
    bases.run("use", "2020.01.01", code=1)
    assert f"there are {second}, {first}" in bases.stderr


def test_prune_leaves_what_anybody_needs(bases: Bases) -> None:
    bases.configure("keep = 1")
    for content in ("one", "two", "three", "four", "five"):
        bases.project.write("requirements.txt", content)
        bases.run("build")
        if content == "two":
            bases.project.once("build", "app")  # stands on it
    dated = bases.dated()
    bases.project.write("compose.yml", f"services: {{a: {{image: '{bases.image}:{dated[0]}'}}}}\n")
    foreign = f"{bases.image}:mine"
    bases.client.tag(ROOT_IMAGE, bases.image, "mine")
    try:
        assert bases.run("prune", "--dry-run") == f"would be removed: {dated[2]}\n"
        pruned = bases.event("base.pruned", "prune")
    finally:
        bases.client.remove_image(foreign)
    assert pruned["versions"] == [dated[2]]
    assert bases.dated() == [dated[0], dated[1], dated[3], dated[4]]


# -- the registry ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a registry listens; one for all, so that the root image's layers travel once."""
    with started_registry(tmp_path_factory.mktemp("registry")) as port:
        yield f"127.0.0.1:{port}"


def pulls(bases: Bases) -> list[PullSample]:
    """The pulls that the project's history has."""
    [path] = Path(bases.project.environment["SPLITDECK_STATE_DIR"]).glob("*.db")
    names = ", ".join(item.name for item in fields(PullSample))
    with closing(sqlite3.connect(path)) as file:
        return [PullSample(*row) for row in file.execute(f"SELECT {names} FROM pull ORDER BY started_at")]


def test_a_base_is_published_and_pulled_elsewhere(bases: Bases, registry: str) -> None:
    remote = f"{registry}/{bases.image}"
    bases.configure(f'repository = "{remote}"')
    bases.run("build", "--publish")
    [first] = bases.dated()
    digest = bases.event("base.checked", "status")["base"]["digest"]
    assert digest.startswith("sha256:")
    bases.run("publish")  # once more changes nothing
    bases.clear()
    assert bases.tags() == {}

    bases.run("pull")
    assert bases.dated() == [first]
    status = bases.event("base.checked", "status")["base"]
    assert (status["digest"], status["stale_files"], status["version"]) == (digest, [], first)
    bases.run("pull")
    assert bases.dated() == [first]
    [pull] = pulls(bases)
    assert pull.reference == f"{remote}@{digest}"
    assert pull.duration_ms > 0
    assert pull.engine.startswith("docker")
    assert not pull.whole, "the engine has the layers of the image that the base is built from"


def test_what_fetching_the_whole_base_takes_is_measured(bases: Bases, registry: str) -> None:
    remote = f"{registry}/{bases.image}"
    bases.configure(f'repository = "{remote}"')
    content = os.urandom(2_000_000)
    with io.BytesIO() as packed:
        with tarfile.open(fileobj=packed, mode="w") as tar:
            entry = tarfile.TarInfo("content")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        bases.client.import_image_from_data(packed.getvalue(), repository=remote, tag="latest")
    image_id = bases.client.inspect_image(f"{remote}:latest")["Id"]
    bases.client.push(remote, tag="latest")
    bases.client.remove_image(image_id, force=True)

    bases.run("pull")
    assert bases.tags()["latest"] == image_id
    [pull] = pulls(bases)
    assert pull.whole
    assert pull.fetched_bytes > len(content) * 0.9
    assert 0 < pull.started_at < time.time()
    bases.run("pull")
    assert len(pulls(bases)) == 1, "it was there already, so nothing was pulled"


def test_a_missing_base_is_pulled_before_it_is_built(bases: Bases, registry: str) -> None:
    bases.configure(f'repository = "{registry}/{bases.image}"')
    bases.run("build", "--publish")
    bases.clear()
    done = bases.project.once("build", "app", "--json")
    targets = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["target"] for event in targets if event["event"] == "build.started"] == ["app"]
    assert done.returncode == 0


def test_a_date_that_somebody_else_has_published_is_left_alone(bases: Bases, registry: str) -> None:
    remote = f"{registry}/{bases.image}"
    bases.configure(f'repository = "{remote}"')
    bases.run("build", "--publish")
    [first] = bases.dated()
    theirs = bases.event("base.checked", "status")["base"]["digest"]
    bases.clear()  # another machine, which does not know of it
    bases.project.write("requirements.txt", "another machine\n")
    bases.run("build", "--publish")
    assert bases.dated() == [first, f"{first}.2"]
    mine = bases.event("base.checked", "status")["base"]["digest"]
    bases.clear()
    for tag, digest in ((first, theirs), (f"{first}.2", mine), ("latest", mine)):
        assert bases.client.inspect_distribution(f"{remote}:{tag}")["Descriptor"]["digest"] == digest


@pytest.mark.parametrize("form", ["{tag}", "@{digest}", "{tag}@{digest}"])
def test_production_pins_a_date_and_its_digest(bases: Bases, registry: str, form: str) -> None:
    remote = f"{registry}/{bases.image}"
    bases.configure(f'repository = "{remote}"')
    bases.run("build", "--publish")
    [first] = bases.dated()
    status = bases.event("base.checked", "status")["base"]
    bases.project.write("requirements.txt", "newer\n")
    bases.run("build", "--publish")
    bases.clear()
    bases.configure(f'repository = "{remote}"\nversion = "{form.format(tag=first, digest=status["digest"])}"')
    done = bases.project.once("build", "app")
    assert done.returncode == 0, done.stdout + done.stderr
    labels = bases.client.inspect_image(f"{bases.project.name}:latest")["Config"]["Labels"]
    assert labels[LABEL_BASE] == status["image_id"]


def test_after_a_rollback_the_registrys_newest_is_told_and_not_taken(bases: Bases, registry: str) -> None:
    bases.configure(f'repository = "{registry}/{bases.image}"\npull = "always"')
    bases.run("build", "--publish")
    bases.project.write("requirements.txt", "two\n")
    bases.run("build", "--publish")
    first, second = bases.dated()
    bases.run("rollback")
    live = bases.project.run()
    checked = live.wait("container.ready")
    assert checked["batch"] is None
    live.stop()
    assert bases.tags()["latest"] == bases.tags()[first]
    newer = bases.event("base.checked", "status")["base"]["newer"]
    assert newer.startswith("sha256:")
    bases.run("pull")
    assert bases.tags()["latest"] == bases.tags()[second], "who asks for it gets it"


def test_a_newer_base_in_the_registry_is_told(bases: Bases, registry: str) -> None:
    bases.configure(f'repository = "{registry}/{bases.image}"')
    bases.run("build", "--publish")
    bases.project.write("requirements.txt", "two\n")
    bases.run("build", "--publish")
    status = bases.event("base.checked", "status")["base"]
    assert status["newer"] == ""
    bases.run("rollback")
    assert bases.event("base.checked", "status")["base"]["newer"] == status["digest"]
    assert "another one is latest there" in bases.run("status")


def test_a_registry_that_is_away_leaves_everything_as_it_is(bases: Bases, tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    folder.mkdir()
    with started_registry(folder) as port:
        pass
    bases.configure(f'repository = "127.0.0.1:{port}/team/base"')
    bases.run("build", "--publish", code=1)
    assert "cannot be reached" in bases.stderr
    before = bases.tags()
    assert "latest" in before
    bases.run("pull", code=1)
    assert bases.tags() == before
    assert "fresh" in bases.run("status")
    assert "cannot be reached" in bases.stderr
