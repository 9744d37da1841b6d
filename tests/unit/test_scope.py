from __future__ import annotations

from pathlib import Path

import pytest

from console.config import load_config
from console.errors import ConfigError
from console.lock import project_lock
from console.watch.scope import Ignored, scope_of
from tests.fakes import make_project


def test_single_files_are_watched_wherever_they_lie(tmp_path: Path) -> None:
    scope = scope_of(make_project(tmp_path), {"requirements.txt"})
    names = {path.relative_to(tmp_path).as_posix() for path in scope.files}
    assert names == {
        "config.toml",
        "app.Dockerfile",
        "app.Dockerfile.dockerignore",
        ".dockerignore",
        "requirements.txt",
    }
    assert scope.trees == (tmp_path,)


def test_ignore_rules_follow_their_file(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("*.log\n")
    ignored = Ignored(make_project(tmp_path, extra='[watch]\nignore = ["notes"]\n'))
    assert [ignored(path) for path in ("a.log", "notes/x.py", "a.tmp", "app.py")] == [True, True, False, False]
    (tmp_path / ".dockerignore").write_text("*.tmp\n")
    ignored.notice(["app.py"])
    assert ignored("a.log"), "nobody said that the file changed"
    ignored.notice([".dockerignore"])
    assert [ignored(path) for path in ("a.log", "a.tmp")] == [False, True]
    (tmp_path / ".dockerignore").write_text("[\n")
    ignored.notice([".dockerignore"])
    assert ignored("a.tmp"), "the last rules that made sense hold"


def test_a_context_above_the_project_is_looked_at_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    config = make_project(tmp_path / "project")
    (tmp_path / "project/config.toml").write_text(config.path.read_text().replace("[app]\n", '[app]\ncontext = ".."\n'))
    (tmp_path / ".dockerignore").write_text("*.log\n")
    config = load_config(config.path)
    ignored = Ignored(config)
    assert [ignored(path) for path in ("../a.log", "../a.py")] == [True, False]
    (tmp_path / ".dockerignore").write_text("*.py\n")
    ignored.notice(["../.dockerignore"])
    assert [ignored(path) for path in ("../a.log", "../a.py")] == [False, True]
    assert tmp_path / "in.put" in scope_of(config, {"../in.put"}).files


def test_one_session_per_project(tmp_path: Path) -> None:
    first, second = (project_lock(tmp_path / "state" / "x.lock", "demo") for _ in range(2))
    first.take()
    with pytest.raises(ConfigError, match=r"another splitdeck \(process \d+\) runs on demo already"):
        second.take()
    with pytest.raises(ConfigError, match="this splitdeck runs on demo already"):
        first.take()
    first.release()
    second.take()
    second.release()
    second.release()


def test_without_a_state_directory_there_is_no_lock_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    project_lock(tmp_path / "file" / "x.lock", "demo").take()
