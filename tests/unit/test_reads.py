from __future__ import annotations

from pathlib import Path

import pytest

from console.build.context.reads import is_read


@pytest.mark.parametrize(
    ("sources", "path", "expected"),
    [
        (("app.py",), "app.py", True),
        (("app.py",), "notes.md", False),
        (("app.py",), "app.py.bak", False),
        (("src",), "src/deep/er.py", True),
        (("src",), "src2/a.py", False),
        (("src/a.py",), "src", False),
        (("*.py",), "x.py", True),
        (("*.py",), "sub/x.py", False),
        (("s*/main.py",), "src/main.py", True),
        (("a/**/x.py",), "a/b/c/x.py", True),
        (("a/**/x.py",), "a/x.py", True),
        (("a/**/x.py",), "b/x.py", False),
        ((".",), "anything", True),
        ((), "app.py", False),
    ],
)
def test_what_a_build_could_read(tmp_path: Path, sources: tuple[str, ...], path: str, expected: bool) -> None:
    assert is_read(tmp_path, sources, path) is expected


def test_behind_a_link_everything_could_be_read(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert is_read(tmp_path, ("link",), "real/a.py")


@pytest.mark.parametrize("source", ["loop", "x" * 300, "app.py/x", "a\0b"])
def test_what_cannot_be_followed_could_be_read(tmp_path: Path, source: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "app.py").touch()
    told = is_read(tmp_path, (f"{source}/y",), "elsewhere")
    assert told or source == "app.py/x"
