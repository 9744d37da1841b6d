"""What other people, other folders and odd names must not do to a project's base images; each was possible once."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from console.engine import Engine
from console.model import LABEL_PROJECT, LABEL_ROLE
from tests.integration.bases import Bases
from tests.integration.conftest import ROOT_IMAGE, Project

pytestmark = pytest.mark.docker


@pytest.fixture
def bases(project: Project, engine: Engine) -> Iterator[Bases]:
    made = Bases(project, engine)
    yield made
    for row in made.client.images(made.image):  # what was given the base's name and is nobody's by its labels
        for name in row["RepoTags"] or ():
            made.client.remove_image(name, force=True)
    made.client.close()


def change(bases: Bases, content: str) -> None:
    bases.project.write("requirements.txt", content)


def test_a_name_at_the_hub_has_versions_like_any_other(bases: Bases) -> None:
    bases.image = f"sdtest/{bases.image}"
    bases.configure(f'image = "docker.io/{bases.image}"\npull = "never"')
    bases.run("build")
    change(bases, "two")
    bases.run("build")
    first, second = bases.dated()
    assert bases.tags()["latest"] == bases.tags()[second] != bases.tags()[first]
    bases.run("rollback")
    assert bases.tags()["latest"] == bases.tags()[first]


def test_a_base_on_somebodys_app_image_has_versions_like_any_other(bases: Bases) -> None:
    bases.run("build")
    bases.project.once("build", "app")
    app = f"{bases.project.name}:as-a-parent"
    bases.client.tag(f"{bases.project.name}:latest", bases.project.name, "as-a-parent")
    try:
        bases.project.write("base.Dockerfile", f"FROM {app}\nCOPY requirements.txt /\n")
        for content in ("one", "two"):
            change(bases, content)
            bases.run("build", "--allow-major")
    finally:
        bases.client.remove_image(app)
    assert len(bases.dated()) == 3
    assert len(set(bases.tags().values())) == 3


def test_any_other_tag_makes_no_version_of_a_candidate_that_failed(bases: Bases) -> None:
    bases.configure('check = ["false"]')
    bases.run("build", code=1)
    bases.client.tag(f"{bases.image}:candidate", bases.image, "debug")
    bases.run("build", code=1)
    assert "latest" not in bases.names()


def test_a_stricter_check_holds_for_what_is_a_version_already(bases: Bases) -> None:
    bases.run("build")
    bases.configure('check = ["false"]')
    bases.run("build", "--force", code=1)


def test_a_rollback_never_goes_to_an_image_that_somebody_tagged(bases: Bases) -> None:
    bases.client.tag(ROOT_IMAGE, bases.image, "foo")
    bases.run("build")
    bases.run("rollback", code=1)
    assert bases.tags()["latest"] != bases.tags()["foo"]


def test_a_version_without_a_date_gets_one_when_it_is_pinned(bases: Bases) -> None:
    bases.client.tag(ROOT_IMAGE, bases.image, "latest")
    foreign = bases.tags()["latest"]
    bases.run("use", foreign)
    [dated] = bases.dated()
    assert bases.tags()[dated] == foreign
    assert f'version = "{dated}"' in (bases.project.folder / "config.toml").read_text()
    bases.run("use", "@", code=1)
    bases.run("use", "", code=1)
    assert f'version = "{dated}"' in (bases.project.folder / "config.toml").read_text()


def test_the_order_is_that_of_building_though_layers_came_from_a_cache(bases: Bases) -> None:
    dockerfile = bases.project.folder / "base.Dockerfile"
    for content in ("a", "b"):
        change(bases, content)
        bases.run("build")
    change(bases, "a")
    dockerfile.write_text(f"{dockerfile.read_text()}# the layers are those of the first\n")
    bases.run("build")
    second = bases.dated()[1]
    assert bases.event("base.checked", "status")["base"]["previous"] == second


def test_prune_takes_no_other_projects_base(bases: Bases) -> None:
    bases.configure("keep = 1")
    for content in ("one", "two", "three"):
        change(bases, content)
        bases.run("build")
    path = bases.project.folder / "config.toml"
    text = path.read_text()
    name = f'name = "{bases.project.name}"'
    path.write_text(
        text.replace(name, f'name = "{bases.project.name}-other"').replace("[base]", f'[base]\nimage = "{bases.image}"')
    )
    assert bases.event("base.pruned", "prune")["versions"] == []


def test_two_folders_with_one_base_do_not_work_on_it_at_once(bases: Bases) -> None:
    bases.configure('check = ["sleep 30"]')
    live = bases.project.run("base", "build", "--json")
    live.wait("step.updated", lambda event: event["step"]["id"] == "check")
    folder = bases.project.folder.with_name("other")
    folder.mkdir()
    for path in bases.project.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    bases.run("build", "-C", str(folder), code=2)
    assert "at work on the base images" in bases.stderr
    live.stop(signal.SIGINT)
    labels = [f"{LABEL_PROJECT}={bases.project.name}", f"{LABEL_ROLE}=check"]
    assert bases.client.containers(all=True, filters={"label": labels}) == [], "a check that was interrupted is removed"


def test_what_there_is_nothing_to_compare_with_is_said(bases: Bases) -> None:
    bases.run("build")
    bases.run("diff", code=1)
    assert "there is no version before the present one" in bases.stderr


@pytest.mark.parametrize(
    ("base", "key"), [('image = "Not A Name"', "base.image"), ('version = "candidate"', "base.version")]
)
def test_what_cannot_be_is_refused_by_its_key(bases: Bases, base: str, key: str) -> None:
    bases.configure(base)
    bases.run("status", code=2)
    assert key in bases.stderr


def test_a_registry_that_is_not_configured_is_missed_before_the_build(bases: Bases) -> None:
    bases.run("build", "--publish", code=2)
    assert bases.tags() == {}
