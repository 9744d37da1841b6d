"""What makes a base image stale, and what does not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from console.base.versions import BaseImage
from console.config import Config, load_config
from console.errors import ContextError, DockerfileError
from console.loop.fingerprint import BaseInputs, read_base_inputs, status_of
from console.model import LABEL_ARGS, LABEL_INPUTS, LABEL_PARENTS
from console.watch.ignore import load_ignore
from tests.fakes import make_project

DOCKERFILE = "FROM scratch\nCOPY requirements.txt /\nCOPY wheels/ /wheels/\n"


@pytest.fixture
def project(tmp_path: Path) -> Config:
    config = make_project(tmp_path)
    (tmp_path / "base.Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels/torch.whl").write_text("1")
    return config


def read(config: Config) -> BaseInputs:
    return read_base_inputs(config, load_ignore)


def built_from(inputs: BaseInputs) -> BaseImage:
    """The image that a build of these inputs makes, as it is found on the engine."""
    listed, args, parents = (json.loads(inputs.labels()[name]) for name in (LABEL_INPUTS, LABEL_ARGS, LABEL_PARENTS))
    return BaseImage("sha256:base", 1.0, 1, inputs.fingerprint, listed, args, parents)


def stale_files(config: Config, image: BaseImage) -> tuple[str, ...]:
    return read(config).changed_since(image)


def configured(project: Config, extra: str) -> Config:
    project.path.write_text(project.path.read_text() + extra)
    return load_config(project.path)


def with_inputs(project: Config, inputs: str) -> Config:
    text = project.path.read_text()
    project.path.write_text(text.replace("[app]", f"inputs = {inputs}\n[app]"))
    return load_config(project.path)


def test_the_inputs_are_the_dockerfile_and_what_it_copies(project: Config) -> None:
    assert sorted(read(project).files) == ["base.Dockerfile", "requirements.txt", "wheels/torch.whl"]


def test_nothing_changed_is_not_stale_wherever_and_whenever(project: Config, tmp_path: Path) -> None:
    before = read(project)
    os.utime(project.root / "requirements.txt", (1, 1))
    (project.root / "app.py").write_text("code is no input")
    assert read(project) == before
    assert stale_files(project, built_from(before)) == ()
    elsewhere = tmp_path / "copy"
    elsewhere.mkdir()
    copy = make_project(elsewhere)
    (elsewhere / "base.Dockerfile").write_text(DOCKERFILE)
    (elsewhere / "wheels").mkdir()
    (elsewhere / "wheels/torch.whl").write_text("1")
    assert read(copy).fingerprint == before.fingerprint


def test_each_changed_file_is_named(project: Config) -> None:
    image = built_from(read(project))
    (project.root / "requirements.txt").write_text("heavy==2\n")
    assert stale_files(project, image) == ("requirements.txt",)
    (project.root / "wheels/new.whl").write_text("2")
    (project.root / "wheels/torch.whl").unlink()
    assert stale_files(project, image) == ("requirements.txt", "wheels/new.whl", "wheels/torch.whl")


def test_the_dockerfile_itself_counts(project: Config) -> None:
    image = built_from(read(project))
    (project.root / "base.Dockerfile").write_text(DOCKERFILE + "RUN true\n")
    assert stale_files(project, image) == ("base.Dockerfile",)


def test_a_moved_file_counts_though_its_content_is_the_same(project: Config) -> None:
    image = built_from(read(project))
    (project.root / "wheels/torch.whl").rename(project.root / "wheels/torch2.whl")
    assert stale_files(project, image) == ("wheels/torch.whl", "wheels/torch2.whl")


def test_a_build_argument_counts(project: Config) -> None:
    (project.root / "base.Dockerfile").write_text(f"{DOCKERFILE}ARG PYTHON\n")
    image = built_from(read(project))
    changed = configured(project, '[build]\nargs = { PYTHON = "3.12", UNUSED = "1" }\n')
    assert stale_files(changed, image) == ("build argument PYTHON",)


def test_an_argument_that_the_dockerfile_does_not_declare_is_none(project: Config) -> None:
    image = built_from(read(project))
    assert stale_files(configured(project, '[build]\nargs = { OTHER = "1" }\n'), image) == ()


def test_what_a_link_leads_to_counts_for_the_dockerfile_and_for_more_inputs(project: Config) -> None:
    root = project.root
    for name in ("base.Dockerfile", "more.lock"):
        (root / f"real.{name}").write_text(DOCKERFILE)
        (root / name).unlink(missing_ok=True)
        (root / name).symlink_to(f"real.{name}")
    config = with_inputs(project, '["more.lock"]')
    image = built_from(read(config))
    for name in ("base.Dockerfile", "more.lock"):
        (root / f"real.{name}").write_text(f"{DOCKERFILE}# edited\n")
    assert stale_files(config, image) == ("base.Dockerfile", "more.lock")


def test_an_argument_of_the_machine_makes_no_base_stale(project: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.root / "base.Dockerfile").write_text(f"{DOCKERFILE}ARG INDEX\n")
    config = configured(project, '[build.args]\nINDEX = { env = "SD_INDEX" }\n')
    image = built_from(read(config))
    monkeypatch.setenv("SD_INDEX", "elsewhere")
    assert stale_files(config, image) == ()


def with_parent(project: Config, found: dict[str, str]) -> BaseInputs:
    (project.root / "base.Dockerfile").write_text(DOCKERFILE.replace("scratch", "python:3.11"))
    return read_base_inputs(project, load_ignore, lambda names: {name: found[name] for name in names if name in found})


def test_another_parent_counts(project: Config) -> None:
    image = built_from(with_parent(project, {"python:3.11": "digest:sha256:one"}))
    assert with_parent(project, {"python:3.11": "digest:sha256:one"}).changed_since(image) == ()
    assert with_parent(project, {"python:3.11": "digest:sha256:two"}).changed_since(image) == ("image python:3.11",)


@pytest.mark.parametrize("here", [{}, {"python:3.11": "id:sha256:local"}])
def test_a_parent_that_cannot_be_compared_here_is_no_reason(project: Config, here: dict[str, str]) -> None:
    image = built_from(with_parent(project, {"python:3.11": "digest:sha256:one"}))
    assert with_parent(project, here).changed_since(image) == ()


def test_what_is_ignored_is_no_input(project: Config) -> None:
    image = built_from(read(project))
    (project.root / ".dockerignore").write_text("**/*.tmp\n")
    (project.root / "wheels/half.tmp").write_text("x")
    assert stale_files(project, image) == ()


def test_more_inputs_by_name_and_glob(project: Config) -> None:
    for name in ("locks/a.lock", "locks/deep/b.lock", "setup.cfg"):
        (project.root / name).parent.mkdir(parents=True, exist_ok=True)
        (project.root / name).write_text("1")
    config = with_inputs(project, '["locks/**/*.lock", "setup.cfg", "not-there.cfg"]')
    inputs = read(config)
    assert {"locks/a.lock", "locks/deep/b.lock", "setup.cfg"} <= set(inputs.files)
    image = built_from(inputs)
    (project.root / "locks/deep/b.lock").write_text("2")
    assert stale_files(config, image) == ("locks/deep/b.lock",)


def test_inputs_outside_the_project_have_no_absolute_names(project: Config) -> None:
    outside = project.root / "project"
    outside.mkdir()
    text = (
        project.path.read_text()
        .replace('"base.', '"../base.')
        .replace('"app.', '"../app.')
        .replace('"Dock', '"../Dock')
    )
    (outside / "config.toml").write_text(text.replace("[app]", 'inputs = ["../app.py"]\ncontext = ".."\n[app]'))
    inputs = read(load_config(outside / "config.toml"))
    assert set(inputs.files) == {f"../{name}" for name in ("app.py", *read(project).files)}


def test_many_inputs_are_compared_without_being_listed(project: Config) -> None:
    for number in range(250):
        (project.root / f"wheels/{number}.whl").write_text("1")
    inputs = read(project)
    assert list(json.loads(inputs.labels()[LABEL_INPUTS])) == ["*"]
    image = built_from(inputs)
    assert stale_files(project, image) == ()
    (project.root / "wheels/7.whl").write_text("2")
    assert stale_files(project, image) == ("many files",)


def test_a_base_that_someone_else_built_is_not_called_stale(project: Config) -> None:
    assert stale_files(project, BaseImage("sha256:pulled", 1.0, 1)) == ()


def test_an_input_that_cannot_be_read_is_told(project: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "requirements.txt":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ContextError, match=r"Permission denied: '.*requirements\.txt'") as caught:
        read(project)
    assert "right to read it" in caught.value.hint


def test_an_input_that_goes_meanwhile_counts_as_missing(project: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    image = built_from(read(project))
    real = Path.read_bytes

    def gone(path: Path) -> bytes:
        if path.name == "requirements.txt":
            raise FileNotFoundError(path)
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", gone)
    assert stale_files(project, image) == ("requirements.txt",)


def test_a_dockerfile_that_makes_no_sense_is_told(project: Config) -> None:
    (project.root / "base.Dockerfile").write_text("COPY nothing /\n")
    with pytest.raises(DockerfileError, match=r"base\.Dockerfile:1"):
        read(project)


def test_the_status_in_one_value(project: Config) -> None:
    inputs = read(project)
    absent = status_of("demo-base:latest", None, inputs)
    assert (absent.present, absent.inputs_fingerprint, absent.stale_files) == (False, inputs.fingerprint, ())
    image = built_from(inputs)
    (project.root / "requirements.txt").write_text("heavy==2\n")
    present = status_of("demo-base:latest", image, read(project))
    assert (present.present, present.image_id, present.fingerprint) == (True, "sha256:base", inputs.fingerprint)
    assert present.inputs_fingerprint != present.fingerprint
    assert present.stale_files == ("requirements.txt",)
