"""Writing the base version to config.toml: that value and not one other byte."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console import config_edit
from console.config_edit import write_base_version
from console.errors import ConfigError
from tests.fakes import make_project

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PIN = "2026.11.24"


def written(folder: Path, text: str, version: str = PIN) -> str:
    path = folder / "config.toml"
    path.write_bytes(text.encode())
    assert write_base_version(path, version)
    assert [file.name for file in folder.iterdir()] == ["config.toml"]
    return path.read_bytes().decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('[base]\nversion = "latest"  # why\nx = 1\n', '[base]\nversion = "2026.11.24"  # why\nx = 1\n'),
        ("[base]\nversion='latest'", "[base]\nversion='2026.11.24'"),
        ('[base]\n"version"\t=\t"""latest"""#c\n', '[base]\n"version"\t=\t"2026.11.24"#c\n'),
        ('[base]\r\nversion = "x" # y\r\n[app]\r\n', '[base]\r\nversion = "2026.11.24" # y\r\n[app]\r\n'),
        ('base = {version = "x", y = 2 }\n', 'base = {version = "2026.11.24", y = 2 }\n'),
        ('base . version = "x"\r\n[run]', 'base . version = "2026.11.24"\r\n[run]'),
        ('base.version = "x"\napp.a = 1\nbase.y = 2\n', 'base.version = "2026.11.24"\napp.a = 1\nbase.y = 2\n'),
        ('a = """\n[base]\nversion = "x"\n"""\n[base]\nversion = "x"', None),
        ("[base]\nversion = 2026.11  # not text\n", '[base]\nversion = "2026.11.24"  # not text\n'),
    ],
)
def test_the_value_is_replaced_where_it_stands(tmp_path: Path, before: str, after: str | None) -> None:
    key = "dockerfile = 'd'\n"
    if after is None:
        after = before[: before.rindex('"x"')] + f'"{PIN}"'
    elif before.startswith("[base]"):
        before, after = (text.replace("]", "]\n" + key.strip(), 1) for text in (before, after))
    elif before.startswith("base ="):
        before, after = (text.replace("{", "{" + key.strip() + ",", 1) for text in (before, after))
    else:
        before, after = ("base." + key + text for text in (before, after))
    if "dockerfile" not in before:
        before, after = (text + "\n" + key for text in (before, after))
    assert written(tmp_path, before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '[base] # slow\ndockerfile = "d"  # c\n\n# about the app\n[app]\n',
            '[base] # slow\ndockerfile = "d"  # c\nversion = "2026.11.24"\n\n# about the app\n[app]\n',
        ),
        ('[base]\r\ndockerfile="d"\r\n\r\n[app]', '[base]\r\ndockerfile="d"\r\nversion="2026.11.24"\r\n\r\n[app]'),
        ('[base]\ndockerfile = "d"', '[base]\ndockerfile = "d"\nversion = "2026.11.24"'),
        ('[base]\r\ndockerfile = "d"', '[base]\r\ndockerfile = "d"\r\nversion = "2026.11.24"'),
        ('  [base]\n\tdockerfile = "d"\n', '  [base]\n\tdockerfile = "d"\n\tversion = "2026.11.24"\n'),
        ('base = { dockerfile = "d" } # c\n', 'base = { dockerfile = "d", version = "2026.11.24" } # c\n'),
        ('base.dockerfile = "d"\r\n[app]\r\n', 'base.dockerfile = "d"\r\nbase.version = "2026.11.24"\r\n[app]\r\n'),
        ('base."dockerfile" = "d"\n', 'base.version = "2026.11.24"\n'),
        ('["base"]\n"dockerfile" = "d"\n', '["base"]\nversion = "2026.11.24"\n'),
        ('[base]\ndockerfile = """\nd"""\nx=1\n', '[base]\ndockerfile = """\nd"""\nversion = "2026.11.24"\nx=1\n'),
    ],
)
def test_a_missing_key_comes_after_the_dockerfile(tmp_path: Path, before: str, after: str) -> None:
    text = written(tmp_path, before)
    if '"dockerfile"' in before:
        line = after.splitlines(keepends=True)[-1]
        assert text == before + line
    else:
        assert text == after


_VALUES = st.sampled_from(['"x"', "'é # [base]'", '"""\nversion = "n"\n"""', "[1, # c\n 2]", "true", '{version = "n"}'])
_NAMES = st.sampled_from(["image", "inputs", "keep", "pull", "dockerfiles", "versions"])
_GAPS = st.sampled_from(["", "\n", "# version = 'old'\n", "  # [base]\n\n", "\t\n"])
_LATER = st.sampled_from(['[app]\nversion = "app"\n', "[[compare.stage]]\nname = 'base'\n", "[run.ready]\n# end", ""])


@st.composite
def configs(draw: st.DrawFn) -> tuple[str, str]:
    """A config.toml, and the same with PIN for its base version, each written without looking at the code."""
    names = draw(st.lists(_NAMES, unique=True, max_size=4))
    present = draw(st.booleans())
    old = draw(st.sampled_from(['"latest"', '"2025.01.01"', "'@sha256:00'"]))
    quote = old[0]
    form = draw(st.sampled_from(["table", "dotted", "inline"]))
    space = draw(st.sampled_from(["", " ", "  "]))
    pairs = [(name, draw(_VALUES)) for name in names]
    pairs = [(name, value) for name, value in pairs if form != "inline" or "\n" not in value]
    pairs.insert(draw(st.integers(0, len(pairs))), ("dockerfile", '"d"'))
    if present:
        pairs.insert(draw(st.integers(0, len(pairs))), ("version", old))
    wanted = [(name, f"{quote}{PIN}{quote}" if name == "version" else value) for name, value in pairs]
    if not present:
        place = [name for name, _ in pairs].index("dockerfile") + 1
        wanted.insert(place, ("version", f'"{PIN}"'))
    gaps = {name: draw(_GAPS) for name, _ in wanted}
    if not present:
        gaps["version"] = ""
    comments = {name: draw(st.sampled_from(["", " # c", "\t#version"])) for name, _ in pairs}
    head, later = draw(st.sampled_from(["", "# top\n", "ui.theme = 'base'\n"])), draw(_LATER)

    def text(chosen: list[tuple[str, str]]) -> str:
        if form == "inline":
            return (
                f"{head}base = {{{space}" + ", ".join(f"{n}{space}={space}{v}" for n, v in chosen) + " } # c\n" + later
            )
        prefix = "base." if form == "dotted" else ""
        lines = [f"{gaps[n]}{prefix}{n}{space}={space}{v}{comments.get(n, '')}\n" for n, v in chosen]
        return head + ("[base] # b\n" if form == "table" else "") + "".join(lines) + later

    before, after = text(pairs), text(wanted)
    if draw(st.booleans()):
        before, after = before.replace("\n", "\r\n"), after.replace("\n", "\r\n")
    if later == "" and before.count("\n") > 1 and draw(st.booleans()):  # else nothing tells how its lines end
        before, after = before.rstrip("\r\n"), after.rstrip("\r\n")
    return before, after


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(both=configs())
def test_everything_but_the_value_stays_byte_for_byte(tmp_path: Path, both: tuple[str, str]) -> None:
    before, after = both
    tomllib.loads(before)
    assert written(tmp_path, before) == after


def test_latest_is_what_a_missing_key_means(tmp_path: Path) -> None:
    path = make_project(tmp_path).path
    text = path.read_bytes()
    assert not write_base_version(path, "latest")
    assert path.read_bytes() == text
    assert write_base_version(path, PIN)
    assert not write_base_version(path, PIN)
    assert write_base_version(path, "latest")
    assert 'version = "latest"' in path.read_text()


def test_a_link_stays_a_link_and_mode_and_owner_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "config.toml"
    real.write_text('[base]\ndockerfile = "d"\n')
    real.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(real, 1234, 4321)
    before = real.stat()
    link.symlink_to("real.toml")
    assert write_base_version(link, PIN)
    after = real.stat()
    assert link.is_symlink()
    assert PIN in real.read_text()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino, "replaced in one step"


def test_a_file_whose_folder_takes_no_new_one_is_written_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[base]\nversion = "a-rather-long-version-0123456789"\ndockerfile = "d"\n')
    inode = path.stat().st_ino

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(config_edit.tempfile, "mkstemp", refuse)
    assert write_base_version(path, PIN)
    assert path.read_text() == f'[base]\nversion = "{PIN}"\ndockerfile = "d"\n'
    assert path.stat().st_ino == inode


def test_a_file_that_is_a_mount_of_its_own_is_written_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[base]\ndockerfile = "d"\n')

    def busy(*_: object) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "replace", busy)
    assert write_base_version(path, PIN)
    assert PIN in path.read_text()
    assert [file.name for file in tmp_path.iterdir()] == ["config.toml"]


def test_a_file_that_cannot_be_written_is_told_with_what_to_do(tmp_path: Path) -> None:
    """As a user without any right to the folder and the file; root has every right, so it is given up."""
    folder = tmp_path / "closed"
    folder.mkdir()
    path = folder / "config.toml"
    path.write_text('[base]\ndockerfile = "d"\n')
    path.chmod(stat.S_IRUSR | stat.S_IROTH)
    folder.chmod(0o555)
    code = (
        "import sys, pathlib\n"
        "from console.config_edit import write_base_version\n"
        "from console.errors import ConfigError\n"
        "try: write_base_version(pathlib.Path(sys.argv[1]), '2026.11.24')\n"
        "except ConfigError as error: print(error.message, '|', error.hint)\n"
    )
    drop = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"] if os.geteuid() == 0 else []
    done = subprocess.run([*drop, sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    message, _, hint = done.stdout.partition("|")
    assert "write-protected" in message
    assert 'version = "2026.11.24"' in hint
    assert PIN not in path.read_text()


@pytest.mark.parametrize(
    "text", ['[base\ndockerfile = "d"\n', '[base]\nimage = "d"\n', "base = 1\n", "", '[base]\ndockerfile = "\udcff"\n']
)
def test_what_is_no_config_at_this_moment_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    content = text.encode("utf-8", "surrogateescape")
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        write_base_version(path, PIN)
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert path.read_bytes() == content


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        write_base_version(tmp_path / "config.toml", PIN)


def test_what_somebody_writes_meanwhile_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[base]\ndockerfile = "d"\n')
    real = config_edit._draft

    def edit_meanwhile(target: Path, content: bytes) -> Path:
        draft = real(target, content)
        if "keep" not in path.read_text():
            path.write_text('[base]\ndockerfile = "d"\nkeep = 7\n')
        return draft

    monkeypatch.setattr(config_edit, "_draft", edit_meanwhile)
    assert write_base_version(path, PIN)
    assert tomllib.loads(path.read_text())["base"] == {"dockerfile": "d", "keep": 7, "version": PIN}
