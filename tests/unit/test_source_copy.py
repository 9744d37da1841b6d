"""The copy that comparisons build from: the same build contexts, the user's files only read."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from console.build.context import KeptContext, Snapshot
from console.build.dockerfile import read_dockerfile
from console.build.recipe import recipe_for
from console.config import Config, load_config
from console.errors import ContextError, SplitdeckError
from console.loop.fingerprint import read_base_inputs
from console.model import Mode, Scenario, Target
from console.source_copy import SourceCopy, copy_source
from console.watch.ignore import load_ignore
from tests.fakes import make_project


def snapshot(config: Config, target: Target) -> Snapshot:
    """What a build of a target reads."""
    recipe = recipe_for(config, target)
    sources = read_dockerfile(recipe.dockerfile, recipe.args).context_sources()
    rules = load_ignore(recipe.context, recipe.dockerfile)
    return KeptContext(recipe.context).snapshot(rules, sources, recipe.dockerfile, trust=False)


def everything(folder: Path) -> dict[str, tuple[object, ...]]:
    """All that can be told of the files in a folder, but when they were last read."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path)] = (content, status.st_mode, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    return found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with everything that a build context can hold."""
    folder = tmp_path / "project"
    (folder / "src" / "deep").mkdir(parents=True)
    make_project(folder)
    (folder / "app.Dockerfile").write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY src /app\n")
    (folder / "src" / "main.py").write_text("print('the largest')\n" * 20)
    (folder / "src" / "deep" / "tool.sh").write_text("echo\n")
    (folder / "src" / "deep" / "tool.sh").chmod(0o750)
    (folder / "src" / "link.py").symlink_to("deep/tool.sh")
    (folder / "src" / "empty").mkdir()
    (folder / "src" / "secret.py").write_text("x = 1\n" * 1000)
    (folder / ".dockerignore").write_text("**/secret.py\n.dockerignore\n")
    (folder / "notes.py").write_text("only legacy reads this\n" * 1000)
    os.utime(folder / "src" / "main.py", (1_700_000_000, 1_700_000_000))
    return folder


def copied(project: Path, to: Path) -> tuple[Config, SourceCopy]:
    config = load_config(project / "config.toml")
    to.mkdir()
    return config, copy_source(config, to)


@pytest.mark.parametrize("target", list(Target))
def test_every_build_reads_the_same_from_the_copy(project: Path, tmp_path: Path, target: Target) -> None:
    config, copy = copied(project, tmp_path / "copy")
    original, other = snapshot(config, target), snapshot(copy.config_with_own_base, target)
    assert original.entries
    assert other.digest == original.digest
    assert list(other.entries) == list(original.entries)
    assert other.dockerfile_name == original.dockerfile_name
    for path, entry in original.entries.items():
        twin = other.entries[path]
        assert (twin.mode, twin.mtime, twin.target) == (entry.mode, entry.mtime, entry.target)
        assert twin.place != entry.place
        assert os.lstat(twin.place).st_mode & 0o077 == os.lstat(entry.place).st_mode & 0o077, "as buildx reads it"


def test_nothing_else_is_copied(project: Path, tmp_path: Path) -> None:
    copied(project, tmp_path / "copy")
    names = {path.name for path in (tmp_path / "copy" / "app").rglob("*")}
    assert names == {
        *("context", "src", "deep", "empty", "main.py", "tool.sh", "link.py"),
        *("app.Dockerfile", ".dockerignore"),
    }
    assert not list((tmp_path / "copy").rglob("secret.py"))


def test_the_users_files_are_only_read(project: Path, tmp_path: Path) -> None:
    before = everything(project)
    _, copy = copied(project, tmp_path / "copy")
    for scenario in (Scenario.CODE_CHANGE, Scenario.DEPS_CHANGE):
        for words in ("one", "two"):
            copy.edit(scenario, words)
    copy.restore()
    assert everything(project) == before


def test_an_edit_changes_the_same_file_in_both_in_words_of_its_own_and_nothing_else(
    project: Path, tmp_path: Path
) -> None:
    config, copy = copied(project, tmp_path / "copy")
    assert copy.edited(Scenario.CODE_CHANGE) == "src/main.py"
    copy.edit(Scenario.CODE_CHANGE, "something new")
    for target, words in ((Target.APP, "something new"), (Target.LEGACY, "something new 1")):
        before, after = snapshot(config, target).entries, snapshot(copy.config, target).entries
        changed = [path for path, entry in before.items() if after[path].digest != entry.digest]
        assert changed == ["src/main.py"]
        assert Path(after["src/main.py"].place).read_text().endswith(f"print('the largest')\n# {words}\n")
        assert after["src/main.py"].mode == before["src/main.py"].mode


def test_a_second_edit_takes_the_place_of_the_first(project: Path, tmp_path: Path) -> None:
    config, copy = copied(project, tmp_path / "copy")
    digests = {snapshot(config, Target.APP).digest}
    for words in ("one", "two"):
        copy.edit(Scenario.CODE_CHANGE, words)
        digests.add(snapshot(copy.config, Target.APP).digest)
    assert len(digests) == 3
    text = (copy.config.app.context / "src" / "main.py").read_text()
    assert (text.count("# two"), text.count("# one")) == (1, 0)
    copy.restore()
    assert snapshot(copy.config, Target.APP).digest == snapshot(config, Target.APP).digest


def test_an_edit_does_not_run_into_a_last_line_without_an_end(project: Path, tmp_path: Path) -> None:
    (project / "src" / "main.py").write_text("x = 1\n" * 100 + "x = 2")
    _, copy = copied(project, tmp_path / "copy")
    copy.edit(Scenario.CODE_CHANGE, "note")
    assert (copy.config.app.context / "src" / "main.py").read_text().endswith("x = 2\n# note\n")


def test_what_must_not_be_written_to_is_edited_all_the_same(project: Path, tmp_path: Path) -> None:
    (project / "src" / "main.py").chmod(0o444)
    _, copy = copied(project, tmp_path / "copy")
    copy.edit(Scenario.CODE_CHANGE, "note")
    place = copy.config.app.context / "src" / "main.py"
    assert place.read_text().endswith("# note\n")
    assert stat.S_IMODE(place.stat().st_mode) == 0o444


@pytest.mark.parametrize(
    ("name", "line"),
    [("big.ts", "// note"), ("big.css", "/* note */"), ("big.html", "<!-- note -->"), ("big.LUA", "-- note")],
)
def test_the_comment_is_one_in_the_files_language(project: Path, tmp_path: Path, name: str, line: str) -> None:
    (project / "src" / name).write_text("\n" * 5000)
    _, copy = copied(project, tmp_path / "copy")
    copy.edit(Scenario.CODE_CHANGE, "note")
    assert copy.edited(Scenario.CODE_CHANGE) == f"src/{name}"
    assert (copy.config.app.context / "src" / name).read_text().endswith(f"\n{line}\n")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("data.json", b"[]" * 9000),
        ("setup.py", b"# dependencies\n" * 900),
        ("bundle.js", b"x" * 2_000_000),
        ("wide.py", "print()\n".encode("utf-16") * 900),
    ],
)
def test_what_is_no_code_by_hand_is_not_edited(project: Path, tmp_path: Path, name: str, content: bytes) -> None:
    (project / "src" / name).write_bytes(content)
    _, copy = copied(project, tmp_path / "copy")
    assert copy.edited(Scenario.CODE_CHANGE) == "src/main.py"


def test_an_input_of_the_base_is_not_edited(project: Path, tmp_path: Path) -> None:
    with (project / "base.Dockerfile").open("a") as file:
        file.write("COPY src/main.py /\n")
    _, copy = copied(project, tmp_path / "copy")
    assert copy.edited(Scenario.CODE_CHANGE) == "src/deep/tool.sh"


@pytest.mark.parametrize(
    ("app", "why"),
    [("COPY requirements.txt /", "of 2 files that both Dockerfiles copy"), ("RUN true", "of 1 file that both")],
)
def test_nothing_to_edit_is_said(project: Path, tmp_path: Path, app: str, why: str) -> None:
    (project / "app.Dockerfile").write_text(f"ARG BASE_IMAGE\nFROM ${{BASE_IMAGE}}\n{app}\n")
    _, copy = copied(project, tmp_path / "copy")
    with pytest.raises(SplitdeckError, match=why) as refused:
        copy.edit(Scenario.CODE_CHANGE, "note")
    assert "no list of dependencies" in refused.value.hint


def changed_files(config: Config, copy: SourceCopy) -> dict[Target, list[str]]:
    """What the builds read that is not as the user has it."""
    found = {}
    for target in Target:
        before, after = snapshot(config, target).entries, snapshot(copy.config_with_own_base, target).entries
        found[target] = [path for path, entry in before.items() if after[path].digest != entry.digest]
    return found


def in_base(copy: SourceCopy, name: str) -> Path:
    """The copy of a file that the base is built from."""
    return copy.config_with_own_base.base.context / name


def test_a_change_of_dependencies_reaches_every_build_that_reads_the_list(project: Path, tmp_path: Path) -> None:
    config, copy = copied(project, tmp_path / "copy")
    assert copy.edited(Scenario.DEPS_CHANGE) == "requirements.txt"
    copy.edit(Scenario.DEPS_CHANGE, "note")
    assert changed_files(config, copy) == {
        Target.APP: [],
        Target.BASE: ["requirements.txt"],
        Target.LEGACY: ["requirements.txt"],
    }
    assert in_base(copy, "requirements.txt").read_text() == "heavy==1\n# note\n"

    copy.edit(Scenario.CODE_CHANGE, "note")
    assert changed_files(config, copy) == {
        Target.APP: ["src/main.py"],
        Target.BASE: [],
        Target.LEGACY: ["src/main.py"],
    }, "one change at a time"

    copy.restore()
    assert changed_files(config, copy) == {target: [] for target in Target}


def test_a_list_that_the_app_reads_as_well_is_changed_there_too(project: Path, tmp_path: Path) -> None:
    with (project / "app.Dockerfile").open("a") as file:
        file.write("COPY requirements.txt /app/\n")
    config, copy = copied(project, tmp_path / "copy")
    copy.edit(Scenario.DEPS_CHANGE, "note")
    assert set(map(tuple, changed_files(config, copy).values())) == {("requirements.txt",)}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("pyproject.toml", "# note"),
        ("poetry.lock", "# note"),
        ("Pipfile", "# note"),
        ("environment.yml", "# note"),
        ("requirements-dev.in", "# note"),
        ("setup.py", "# note"),
        ("go.mod", "// note"),
        ("build.gradle.kts", "// note"),
        ("pom.xml", "<!-- note -->"),
    ],
)
def test_a_list_is_changed_in_its_own_language(project: Path, tmp_path: Path, name: str, line: str) -> None:
    (project / name).write_text("\n" * 500)
    (project / "base.Dockerfile").write_text(f"FROM scratch\nCOPY requirements.txt {name} /\n")
    _, copy = copied(project, tmp_path / "copy")
    assert copy.edited(Scenario.DEPS_CHANGE) == name, "the largest"
    copy.edit(Scenario.DEPS_CHANGE, "note")
    assert in_base(copy, name).read_text() == "\n" * 500 + f"{line}\n"


@pytest.mark.parametrize("name", ["package.json", "package-lock.json", "Pipfile.lock", "composer.lock"])
def test_json_has_no_comments_and_says_the_same_as_before(project: Path, tmp_path: Path, name: str) -> None:
    (project / name).write_text('{"name": "demo", "dependencies": {}}')
    (project / "base.Dockerfile").write_text(f"FROM scratch\nCOPY {name} /\n")
    _, copy = copied(project, tmp_path / "copy")
    seen = set()
    for words in ("one", "two"):
        copy.edit(Scenario.DEPS_CHANGE, words)
        text = in_base(copy, name).read_text()
        assert json.loads(text) == {"name": "demo", "dependencies": {}}
        seen.add(text)
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("copy_line", "why"),
    [
        ("COPY src/main.py go.sum yarn.lock bun.lockb Gemfile.lock /", "no file that the base is built from is a list"),
        ("COPY hidden/requirements.txt /", "from hidden/requirements.txt, which the legacy Dockerfile does not copy"),
    ],
)
def test_no_list_to_change_is_said(project: Path, tmp_path: Path, copy_line: str, why: str) -> None:
    for name in ("go.sum", "yarn.lock", "bun.lockb", "Gemfile.lock", "hidden/requirements.txt"):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text("x\n")
    (project / "base.Dockerfile").write_text(f"FROM scratch\n{copy_line}\n")
    (project / "Dockerfile.legacy.dockerignore").write_text("hidden\n")
    _, copy = copied(project, tmp_path / "copy")
    with pytest.raises(SplitdeckError, match=why) as refused:
        copy.edited(Scenario.DEPS_CHANGE)
    assert "copy the same list" in refused.value.hint


def test_a_row_of_the_projects_own_hides_no_list(project: Path, tmp_path: Path) -> None:
    with (project / "config.toml").open("a") as file:
        file.write('[[compare.stage]]\nname = "Heavy things"\nmatch = "requirements"\n')
    _, copy = copied(project, tmp_path / "copy")
    assert copy.edited(Scenario.DEPS_CHANGE) == "requirements.txt"


def test_without_a_change_nothing_is_edited(project: Path, tmp_path: Path) -> None:
    _, copy = copied(project, tmp_path / "copy")
    assert (copy.edited(Scenario.COLD), copy.edited(Scenario.NO_CHANGE)) == ("", "")


def test_the_base_stands_for_other_inputs_after_each_change_of_dependencies_only(project: Path, tmp_path: Path) -> None:
    config, copy = copied(project, tmp_path / "copy")
    inputs = read_base_inputs(config, load_ignore)
    assert copy.as_edited(inputs) == inputs
    copy.edit(Scenario.CODE_CHANGE, "one")
    assert copy.as_edited(inputs) == inputs
    seen = {inputs.fingerprint}
    for words in ("one", "two"):
        copy.edit(Scenario.DEPS_CHANGE, words)
        seen.add(copy.as_edited(inputs).fingerprint)
    assert len(seen) == 3
    copy.restore()
    assert copy.as_edited(inputs) == inputs


def test_images_have_other_names_and_the_history_and_base_stay(project: Path, tmp_path: Path) -> None:
    text = (project / "config.toml").read_text()
    (project / "config.toml").write_text(text.replace("[app]\n", '[app]\nmode = "legacy"\n'))
    config, copy = copied(project, tmp_path / "copy")
    assert copy.config.legacy is not None
    assert (copy.config.app.image, copy.config.legacy.image) == ("demo-compare", "demo-legacy-compare")
    assert copy.config.app.mode is Mode.SPLIT
    assert (copy.config.path, copy.config.base, copy.config.project) == (config.path, config.base, config.project)
    own = copy.config_with_own_base
    assert recipe_for(own, Target.BASE).tag == own.base.reference == "demo-base-compare:candidate"
    assert recipe_for(own, Target.APP).args["BASE_IMAGE"] == own.base.reference
    assert (own.path, own.app, own.legacy) == (copy.config.path, copy.config.app, copy.config.legacy)


def test_contexts_and_dockerfiles_in_other_places(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "service").mkdir(parents=True)
    (project / "docker").mkdir()
    make_project(project)
    (project / "service" / "main.py").write_text("print()\n")
    (project / "docker" / "app.Dockerfile").write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY . /app\n")
    (project / "docker" / "app.Dockerfile.dockerignore").write_text("*.md\n")
    (project / "service" / "readme.md").write_text("no\n")
    text = (project / "config.toml").read_text()
    (project / "config.toml").write_text(
        text.replace('[app]\ndockerfile = "app.Dockerfile"', '[app]\ndockerfile = "docker/app.Dockerfile"\n').replace(
            'docker/app.Dockerfile"\n', 'docker/app.Dockerfile"\ncontext = "service"\n'
        )
    )
    config, copy = copied(project, tmp_path / "copy")
    assert snapshot(copy.config, Target.APP).digest == snapshot(config, Target.APP).digest
    assert "readme.md" not in snapshot(copy.config, Target.APP).entries
    copy.edit(Scenario.CODE_CHANGE, "note")
    assert copy.edited(Scenario.CODE_CHANGE) == "service/main.py"
    assert copy.config.legacy is not None
    places = (copy.config.app.context / "main.py", copy.config.legacy.context / "service" / "main.py")
    assert [place.read_text() for place in places] == ["print()\n# note\n", "print()\n# note 1\n"]


def test_messages_name_the_dockerfile_that_the_user_has(project: Path, tmp_path: Path) -> None:
    config, copy = copied(project, tmp_path / "copy")
    assert copy.config.legacy is not None
    for place in (os.path.relpath(copy.config.legacy.dockerfile, config.root), str(copy.config.legacy.dockerfile)):
        assert copy.shown(f"failed at {place}:3: no") == "failed at Dockerfile.legacy:3: no"


def test_a_copy_that_nobody_waits_for_does_not_bring_its_folder_back(project: Path, tmp_path: Path) -> None:
    with pytest.raises(ContextError):
        copy_source(load_config(project / "config.toml"), tmp_path / "removed")
    assert not (tmp_path / "removed").exists()


def test_no_space_is_one_message(project: Path, tmp_path: Path) -> None:
    config = load_config(project / "config.toml")
    (tmp_path / "file").write_text("")
    with pytest.raises(ContextError, match="cannot copy the source to") as refused:
        copy_source(config, tmp_path / "file")
    assert "TMPDIR" in refused.value.hint
