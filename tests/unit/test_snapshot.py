"""The files that are kept between builds: always what a walk through everything would find."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from random import Random

import pytest

from console.build.context import KeptContext, Snapshot
from console.build.context import kept as kept_module
from console.build.context import look as look_module
from console.errors import ContextError
from console.watch.ignore import IgnoreRules

NAMES = ("a", "b", "x.py", "y.txt", "z.log", "l")
TARGETS = ("a", "b", "../a", "/b", "a/b", "x.py", "b/x.py", ".", "gone")
RULES = ("", "*.log\nb", "*\n!a/b/x.py", "**/x.py\n!b/**", "a\n!a/b", "**/*.txt\nl", "*\n!**/x.py")
SOURCES = (
    (".",),
    ("a", "*.py"),
    ("a/*.py", "b/**/x.py", "l"),
    ("**/x.py",),
    ("a/b", "l/x.py"),
    ("*/x.py", "*/*/"),
    ("l*", "a/b/x.py"),
    ("x.py", "y.txt", "a/y.txt"),
    ("a", "b"),
)


class Tree:
    """A build context that tells of changes as inotify does: not of what came along inside a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.told: set[str] = set()

    def tell(self, *paths: str) -> None:
        self.told.update(f"{self.root}/{path}" for path in paths)

    def tell_written(self, path: str) -> None:
        """What is written through a link is told of the file; directories on the way may go by a link's name."""
        place = self.root / path
        self.told.add(os.path.realpath(place) if place.is_symlink() else str(place))

    def write(self, path: str, text: str) -> None:
        self.parents(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK  # a FIFO is not waited for
        descriptor = os.open(self.root / path, flags)
        os.write(descriptor, text.encode())
        os.close(descriptor)
        self.tell_written(path)

    def parents(self, path: str) -> None:
        """Makes the directories that a path needs; only the topmost of the new ones is told."""
        above = path.rpartition("/")[0]
        parts = above.split("/") if above else []
        new = [top for i in range(len(parts)) if not (self.root / (top := "/".join(parts[: i + 1]))).exists()]
        (self.root / above).mkdir(parents=True, exist_ok=True)
        self.tell(*new[:1])

    def remove(self, path: str, _text: str) -> None:
        place = self.root / path
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink()
        self.tell(path)

    def rename(self, path: str, to: str) -> None:
        self.parents(to)
        (self.root / path).rename(self.root / to)
        self.tell(path, to)

    def make_dir(self, path: str, _text: str) -> None:
        self.parents(path)
        (self.root / path).mkdir()
        self.tell(path)

    def link(self, path: str, target: str) -> None:
        self.parents(path)
        (self.root / path).symlink_to(target)
        self.tell(path)

    def hard_link(self, path: str, to: str) -> None:
        self.parents(to)
        os.link(self.root / path, self.root / to, follow_symlinks=False)
        self.tell(to)

    def pipe(self, path: str, _text: str) -> None:
        self.parents(path)
        os.mkfifo(self.root / path)
        self.tell(path)

    def turn_executable(self, path: str, _text: str) -> None:
        mode = (self.root / path).stat().st_mode
        (self.root / path).chmod(mode ^ 0o100 if (self.root / path).is_file() else mode)
        self.tell_written(path)

    def date(self, path: str, text: str) -> None:
        os.utime(self.root / path, (1_600_000_000 + len(text), 1_600_000_000 + len(text)))
        self.tell_written(path)


OPERATIONS = (
    *("write", "write", "write", "rename", "rename", "remove", "remove", "make_dir"),
    *("pipe", "turn_executable", "date", "date", "link", "hard_link"),
)


def anything(tree: Tree, random: Random) -> None:
    """One operation, whatever it is; nothing where it cannot be done."""
    name = random.choice(OPERATIONS)
    path, other = ("/".join(random.choices(NAMES, k=random.randint(1, 3))) for _ in range(2))
    value = {"rename": other, "hard_link": other, "link": random.choice(TARGETS)}.get(name, random.choice("12"))
    operation: Callable[[str, str], None] = getattr(tree, name)
    with suppress(OSError, shutil.Error):
        operation(path, value)


def same(one: Snapshot, other: Snapshot) -> None:
    """Field by field, so that a difference can be seen."""
    assert list(one.entries) == list(other.entries)
    for path, entry in one.entries.items():
        assert entry == other.entries[path], path
    for field in fields(Snapshot):
        assert getattr(one, field.name) == getattr(other, field.name), field.name


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A build context with a few files."""
    root = tmp_path / "context"
    for path in ("Dockerfile", "app.py", "src/a.py", "src/deep/b.py", "notes.md"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    return root


NO_RULES = IgnoreRules()


def taken(kept: KeptContext, root: Path, *sources: str, trust: bool = True, rules: IgnoreRules = NO_RULES) -> Snapshot:
    return kept.snapshot(rules, sources or (".",), root / "Dockerfile", trust=trust)


@pytest.mark.parametrize("seed", range(int(os.environ.get("SNAPSHOT_SEEDS", "100"))))
def test_what_was_told_is_enough(seed: int, tmp_path: Path) -> None:
    """More of it: SNAPSHOT_SEEDS=5000."""
    random = Random(seed)
    root = tmp_path / "context"
    (root / "a").mkdir(parents=True)
    dockerfile = root / random.choice(("Dockerfile", "a/x.py", "../Dockerfile"))
    dockerfile.write_text("FROM scratch")
    rules, sources = IgnoreRules.parse(random.choice(RULES), ".dockerignore"), random.choice(SOURCES)
    tree, kept = Tree(root), KeptContext(root)
    for _ in range(20):
        for _ in range(random.randint(0, 5)):
            anything(tree, random)
        kept.saved(tree.told)
        tree.told = set()
        try:
            expected = KeptContext(root).snapshot(rules, sources, dockerfile, trust=False)
        except ContextError:
            with pytest.raises(ContextError):
                kept.snapshot(rules, sources, dockerfile, trust=True)
        else:
            same(kept.snapshot(rules, sources, dockerfile, trust=True), expected)


def test_a_save_costs_a_look_at_what_changed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptContext(root)
    taken(kept, root)
    (root / "src/a.py").write_text("new")
    (root / "app.py").write_text("new, but not told")
    kept.saved([str(root / "src/a.py")])
    looked_at, status = [], os.lstat

    def note(path: str) -> os.stat_result:
        looked_at.append(os.path.relpath(path, root))
        return status(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", None)
        patched.setattr(look_module.os, "lstat", note)
        now = taken(kept, root)
    assert now.entries["src/a.py"].size == 3
    assert now.entries["app.py"].size == len("app.py")
    below = {path for path in looked_at if not path.startswith(".")}
    assert below == {"src/a.py", "src", "Dockerfile"}
    assert taken(kept, root, trust=False).entries["app.py"].size == len("new, but not told")


def test_a_walk_reads_again_what_changed_only(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_module, "_SETTLED_NS", 0)
    kept = KeptContext(root)
    before = taken(kept, root, trust=False)
    opened, read_again = os.open, []

    def note(path: str, flags: int) -> int:
        read_again.append(os.path.relpath(path, root))
        return opened(path, flags)

    (root / "src/a.py").write_text("new")
    (root / "notes.md").chmod(0o755)
    monkeypatch.setattr(os, "open", note)
    after = taken(kept, root, trust=False)
    assert sorted(read_again) == ["notes.md", "src/a.py"]
    assert after.entries["app.py"] is before.entries["app.py"]
    assert (after.entries["notes.md"].mode, after.digest != before.digest) == (0o755, True)


@pytest.mark.parametrize("trust", [True, False])
def test_two_writes_within_a_tick_of_the_clock(root: Path, monkeypatch: pytest.MonkeyPatch, trust: bool) -> None:
    monkeypatch.setattr(look_module, "_identity", lambda _status: ())
    kept = KeptContext(root)
    taken(kept, root)
    (root / "app.py").write_text("yp.ppa")
    kept.saved([str(root / "app.py")])
    same(taken(kept, root, trust=trust), taken(KeptContext(root), root))


def test_when_everything_is_looked_at(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptContext(root)
    (root / "other.Dockerfile").write_text("FROM scratch")
    untold = 0

    def finds_it(then: Callable[[], Snapshot]) -> bool:
        nonlocal untold
        untold += 1
        taken(kept, root)
        (root / "notes.md").write_text("x" * untold)
        return then().entries["notes.md"].size == untold

    assert not finds_it(lambda: taken(kept, root))
    assert finds_it(lambda: taken(kept, root, trust=False))
    assert finds_it(lambda: taken(kept, root, rules=IgnoreRules(["*.log"])))
    assert finds_it(lambda: taken(kept, root, "notes.md"))
    assert finds_it(lambda: kept.snapshot(NO_RULES, (".",), root / "other.Dockerfile", trust=True))

    def doubted() -> Snapshot:
        kept.doubt()
        kept.saved([str(root / "app.py")])
        return taken(kept, root)

    assert finds_it(doubted)
    monkeypatch.setattr(kept_module, "_MOST_NAMED", 3)

    def told(*paths: Path) -> Snapshot:
        kept.saved(map(str, paths))
        return taken(kept, root)

    assert not finds_it(lambda: told(root / "1", root / "2", root / "3"))
    assert finds_it(lambda: told(root / "1", root / "2", root / "3", root / "4"))
    assert finds_it(lambda: told(root))
    assert finds_it(lambda: told(root.parent))

    def replaced() -> Snapshot:
        shutil.copytree(root, root.parent / "copy")
        root.rename(root.parent / "old")
        (root.parent / "copy").rename(root)
        return taken(kept, root)

    assert finds_it(replaced)


def test_a_snapshot_that_fails_forgets_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptContext(root)
    taken(kept, root)
    (root / "app.py").write_text("new")
    (root / "src/new.py").write_text("new")
    kept.saved([str(root / "app.py"), str(root / "src/new.py")])

    def refuse(path: str, flags: int) -> int:
        raise PermissionError(13, "Permission denied", path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        with pytest.raises(ContextError, match="Permission denied"):
            taken(kept, root)
    (root / "Dockerfile").rename(root / "gone")
    with pytest.raises(ContextError, match="no Dockerfile"):
        taken(kept, root)
    (root / "gone").rename(root / "Dockerfile")
    same(taken(kept, root), taken(KeptContext(root), root))


def test_what_is_saved_while_a_snapshot_is_taken_is_for_the_next(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptContext(root)
    taken(kept, root)
    kept.saved([str(root / "app.py"), str(root / "src/a.py")])
    (root / "app.py").write_text("1")
    (root / "src/a.py").write_text("1")
    opened = os.open

    def save_meanwhile(path: str, flags: int) -> int:
        if path.endswith("/src/a.py"):
            (root / "app.py").write_text("three")
            (root / "notes.md").unlink()
            kept.saved([str(root / "app.py"), str(root / "notes.md")])
        return opened(path, flags)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", save_meanwhile)
        assert taken(kept, root).entries["app.py"].size == 1
    same(taken(kept, root), taken(KeptContext(root), root))


def test_what_vanishes_under_the_eyes_is_looked_for_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptContext(root)
    taken(kept, root)
    kept.saved([str(root / "app.py")])
    (root / "app.py").write_text("1")
    opened = os.open

    def rename_late(path: str, flags: int) -> int:
        if path.endswith("/app.py") and (root / "app.py").exists():
            (root / "app.py").rename(root / "notes.md")
        return opened(path, flags)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", rename_late)
        assert "app.py" not in taken(kept, root).entries
    same(taken(kept, root), taken(KeptContext(root), root))


def test_a_file_with_two_names(root: Path) -> None:
    """Only the name that it is written under is reported."""
    outside = root.parent / "outside"
    os.link(root / "app.py", outside)
    kept = KeptContext(root)
    taken(kept, root)
    outside.write_text("under another name")
    same(taken(kept, root), taken(KeptContext(root), root))
    os.link(root / "src/a.py", root / "src/b.py")
    (root / "src/b.py").write_text("under a new name")
    kept.saved([str(root / "src/b.py")])
    same(taken(kept, root), taken(KeptContext(root), root))
    (root / "src/b.py").unlink()
    os.link(root / "notes.md", root / "src/b.py")
    (root / "src/b.py").write_text("with another file")
    kept.saved([str(root / "src/b.py")])
    same(taken(kept, root), taken(KeptContext(root), root))


def test_a_directory_in_the_place_of_another(root: Path) -> None:
    (root / "other/deep").mkdir(parents=True)
    (root / "other/deep/b.py").write_text("another")
    for sources in ((".",), ("src/deep/b.py",), ("src/deep",)):
        kept = KeptContext(root)
        taken(kept, root, *sources)
        (root / "src").rename(root / "aside")
        (root / "other").rename(root / "src")
        (root / "aside").rename(root / "other")
        kept.saved([f"{root}/src", f"{root}/other", f"{root}/aside"])
        same(taken(kept, root, *sources), taken(KeptContext(root), root, *sources))


@pytest.mark.parametrize("source", ["**/b.py", "*/deep/*.py", "src/deep/b.py", "src", "."])
def test_a_directory_that_is_moved_away(root: Path, source: str) -> None:
    (root / "src/pipe").mkdir()
    os.mkfifo(root / "src/pipe/b.py")
    kept = KeptContext(root)
    assert "src/deep/b.py" in taken(kept, root, source).entries
    (root / "src").rename(root.parent / "src")
    kept.saved([f"{root}/src"])
    same(taken(kept, root, source), taken(KeptContext(root), root, source))
    (root.parent / "src").rename(root / "new")
    kept.saved([f"{root}/new"])
    same(taken(kept, root, source), taken(KeptContext(root), root, source))


def test_a_file_that_is_told_under_the_name_of_a_link(root: Path) -> None:
    (root / "link").symlink_to("src")
    kept = KeptContext(root)
    for gone in (False, True):
        taken(kept, root, "src")
        (root / "link/a.py").write_text(f"written, {gone=}")
        kept.saved([f"{root}/link/a.py"])
        if gone:
            (root / "link").unlink()
        same(taken(kept, root, "src"), taken(KeptContext(root), root, "src"))


def test_what_is_skipped_goes_with_its_directory(root: Path) -> None:
    rules = IgnoreRules(["src", "!src/pipe"])
    os.mkfifo(root / "src/pipe")
    kept = KeptContext(root)
    assert taken(kept, root, rules=rules).skipped == ("src/pipe",)
    (root / "src").rename(root.parent / "src")
    kept.saved([f"{root}/src"])
    assert taken(kept, root, rules=rules).skipped == ()


@pytest.mark.parametrize("place", ["Dockerfile", "../Dockerfile"])
def test_the_dockerfile_is_always_looked_at(root: Path, place: str) -> None:
    (root / place).write_text("FROM one")
    kept = KeptContext(root)
    before = kept.snapshot(NO_RULES, ("src",), root / place, trust=True)
    (root / place).write_text("FROM other")
    now = kept.snapshot(NO_RULES, ("src",), root / place, trust=True)
    assert now.digest != before.digest
    same(now, KeptContext(root).snapshot(NO_RULES, ("src",), root / place, trust=False))


def test_names_that_are_not_utf8(root: Path) -> None:
    kept = KeptContext(root)
    taken(kept, root)
    name = os.fsdecode(b"\xff")
    (root / name).write_text("x")
    kept.saved([f"{root}/{name}"])
    now = taken(kept, root)
    assert name in now.entries
    same(now, taken(KeptContext(root), root))
    (root / name / "..").parent.rename(root / f"{name}.Dockerfile")
    dockerfile = root / f"{name}.Dockerfile"
    assert kept.snapshot(NO_RULES, (".",), dockerfile, trust=True).dockerfile_name == ".splitdeck.dockerfile"


@pytest.mark.parametrize(
    ("sources", "trees", "covered"),
    [
        ((".",), ["."], True),
        ((".",), [".."], True),
        ((".",), ["src"], False),
        (("src",), ["src"], True),
        (("src/deep",), ["src"], True),
        (("src/deep",), ["src/deep"], False),  # what `src` is could change
        (("src", "app.py"), ["src"], False),
        (("src", "app.py"), ["src", "app.py"], True),
        (("src/link.py",), ["src"], False),
        (("*.py",), ["src"], False),
        (("missing",), ["src"], False),
        ((".",), ["sr"], False),
    ],
)
def test_which_folders_must_be_watched(root: Path, sources: tuple[str, ...], trees: list[str], covered: bool) -> None:
    (root / "src/link.py").symlink_to("../app.py")
    kept = KeptContext(root)
    assert not kept.is_covered_by([root])
    taken(kept, root, *sources)
    assert kept.is_covered_by([root / tree for tree in trees]) is covered


def test_beside_a_link_to_a_folder_no_watch_is_enough(root: Path) -> None:
    kept = KeptContext(root)
    taken(kept, root)
    assert kept.is_covered_by([root])
    (root / "link").symlink_to("src")
    taken(kept, root, trust=False)
    assert not kept.is_covered_by([root])
    (root / "link").unlink()
    taken(kept, root, trust=False)
    assert not kept.is_covered_by([root]), "the watch has gone with the link"
