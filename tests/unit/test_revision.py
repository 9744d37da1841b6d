"""The commit of a base image's inputs, with git itself."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from console.base import revision
from console.base.revision import committed_revision, head_revision

INPUTS = ("base.Dockerfile", "deps/requirements.txt")


class Repository:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "-q")
        self.write("base.Dockerfile", "FROM x\n")
        self.write("deps/requirements.txt", "a==1\n")
        self.write(".gitignore", "*.log\n")

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=True).stdout.strip()

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "-q", "--message", "m", "--allow-empty")
        return self.git("rev-parse", "HEAD")

    def revision(self, *inputs: str, below: str = "") -> str:
        return committed_revision(self.folder / below, inputs or INPUTS)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    return Repository(tmp_path / "work")


def test_what_is_committed_has_a_revision(repository: Repository) -> None:
    assert repository.revision() == "", "nothing is"
    first = repository.commit()
    assert len(first) == 40
    assert repository.revision() == first
    repository.write("server.py", "new\n")
    repository.write("note.log", "ignored\n")
    assert repository.revision() == first, "no input"
    assert repository.commit() == repository.revision() != first
    assert repository.revision("requirements.txt", below="deps") == repository.git("rev-parse", "HEAD")


def test_an_input_that_is_not_as_it_was_committed_has_none(repository: Repository) -> None:
    repository.commit()
    repository.write("deps/requirements.txt", "a==2\n")
    assert repository.revision() == ""
    assert repository.revision("base.Dockerfile") != ""
    repository.git("add", "--all")
    assert repository.revision() == "", "staged is not committed"
    assert repository.commit() == repository.revision()
    (repository.folder / "base.Dockerfile").chmod(0o755)
    assert repository.revision() == "", "what may be executed is a part of it"


@pytest.mark.parametrize("name", ["new.txt", "ignored.log", "gone.txt"])
def test_an_input_that_git_knows_nothing_of_has_none(repository: Repository, name: str) -> None:
    repository.commit()
    if name != "gone.txt":
        repository.write(name, "text\n")
    assert repository.revision(*INPUTS, name) == ""


def test_an_input_that_only_looks_committed_has_none(repository: Repository, tmp_path: Path) -> None:
    """Behind a link to a folder, in a repository within this one, outside of it."""
    repository.commit()
    (repository.folder / "linked").symlink_to("deps")
    Repository(repository.folder / "inner").commit()
    (tmp_path / "outside.txt").write_text("")
    for name in ("linked/requirements.txt", "inner/base.Dockerfile", "../outside.txt"):
        repository.commit()
        assert repository.revision(*INPUTS, name) == "", name


def test_names_are_no_patterns(repository: Repository) -> None:
    repository.write("[a].txt", "")
    repository.write("a.txt", "")
    first = repository.commit()
    repository.write("a.txt", "changed")
    assert repository.revision("[a].txt") == first
    odd = os.fsdecode(b"-odd\xff name")
    (repository.folder / odd).touch()
    assert repository.revision(odd) == ""
    assert repository.commit() == repository.revision(odd)


def test_no_repository_and_no_git_and_no_inputs(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit()
    assert committed_revision(repository.folder, ()) == ""
    assert committed_revision(tmp_path, ["work"]) == ""
    assert committed_revision(tmp_path / "none", INPUTS) == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert repository.revision() == ""


def test_a_git_that_takes_too_long_is_not_waited_for(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit()
    (tmp_path / "git").write_text("#!/bin/sh\nexec sleep 1000\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(revision, "_TIMEOUT_S", 0.1)
    assert repository.revision() == ""


def test_the_users_own_git_is_not_disturbed(repository: Repository) -> None:
    """Nothing is written down, not even what git would like to remember, and its lock does not matter."""
    first = repository.commit()
    index = repository.folder / ".git" / "index"
    before = index.read_bytes()
    os.utime(repository.folder / "base.Dockerfile", (1, 1))
    assert repository.revision() == first
    assert index.read_bytes() == before
    index.with_name("index.lock").touch()
    assert repository.revision() == first


def test_what_is_checked_out(repository: Repository) -> None:
    assert head_revision(repository.folder) == "", "nothing is yet"
    first = repository.commit()
    assert head_revision(repository.folder) == first[:10]
    repository.write("deps/requirements.txt", "a==2\n")
    assert head_revision(repository.folder / "deps") == first[:10], "whatever was changed since"
    assert head_revision(repository.folder.parent) == "", "no repository"
