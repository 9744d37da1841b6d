"""The build context's tar, read back with tarfile; links partly from fsutil's followlinks_test.go."""

from __future__ import annotations

import os
import socket
import tarfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.build.context import KeptContext, PackedContext, Snapshot, TarPacker, pack_tar
from console.build.context import look as look_module
from console.build.context import pack as pack_module
from console.build.context.globs import component_pattern
from console.build.context.snapshot import walk_order
from console.errors import ContextError
from console.watch.ignore import IgnoreRules


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A build context with nothing in it but its Dockerfile."""
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text("FROM scratch\n")
    return tmp_path / "context"


def fill(root: Path, *paths: str) -> None:
    """Makes files, directories (`dir/`) and links (`link -> target`)."""
    for path in paths:
        name, arrow, target = path.partition(" -> ")
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if arrow:
            place.symlink_to(target)
        elif path.endswith("/"):
            place.mkdir(exist_ok=True)
        else:
            place.write_bytes(b"content of " + os.fsencode(path))


def snapshot(root: Path, *sources: str, ignore: str = "", dockerfile: Path | None = None) -> Snapshot:
    rules = IgnoreRules.parse(ignore, ".dockerignore")
    return KeptContext(root).snapshot(rules, sources or (".",), dockerfile or root / "Dockerfile", trust=False)


def read(root: Path, *sources: str, ignore: str = "", dockerfile: Path | None = None) -> PackedContext:
    return pack_tar(snapshot(root, *sources, ignore=ignore, dockerfile=dockerfile))


def members(context: PackedContext) -> dict[str, tarfile.TarInfo]:
    with context.tar, tarfile.open(fileobj=context.tar, mode="r:", errors="surrogateescape") as tar:
        return {member.name: member for member in tar.getmembers()}


def content(context: PackedContext, name: str) -> bytes:
    with context.tar, tarfile.open(fileobj=context.tar, mode="r:") as tar:
        extracted = tar.extractfile(name)
        assert extracted is not None
        return extracted.read()


def names(context: PackedContext) -> list[str]:
    """All but the Dockerfile's."""
    return [name for name in members(context) if name not in {"Dockerfile", ".splitdeck.dockerfile"}]


def test_the_tar_is_as_the_engine_needs_it(root: Path) -> None:
    fill(root, "src/app.py", "src/run.sh", "src/empty/", "link -> src/app.py", "z")
    (root / "src" / "run.sh").chmod(0o700)
    (root / "src" / "app.py").chmod(0o600)
    (root / "z").write_bytes(b"z" * 513)
    os.utime(root / "z", (1_700_000_000.9, 1_700_000_000.9))
    os.link(root / "z", root / "src" / "hard")
    seen = snapshot(root)
    context = pack_tar(seen)
    assert context.tar.read(1024)[257:265] == b"ustar  \0"
    context.tar.seek(0)
    entries = members(context)
    assert list(entries) == sorted(entries, key=walk_order) == list(seen.entries)
    assert {name: (entry.type, entry.mode) for name, entry in entries.items()} == {
        "Dockerfile": (tarfile.REGTYPE, 0o644),
        "link": (tarfile.SYMTYPE, 0o777),
        "src": (tarfile.DIRTYPE, 0o755),
        "src/app.py": (tarfile.REGTYPE, 0o644),
        "src/empty": (tarfile.DIRTYPE, 0o755),
        "src/hard": (tarfile.REGTYPE, 0o644),
        "src/run.sh": (tarfile.REGTYPE, 0o755),
        "z": (tarfile.REGTYPE, 0o644),
    }
    assert {(entry.uid, entry.gid, entry.uname, entry.gname) for entry in entries.values()} == {(0, 0, "", "")}
    assert (entries["z"].mtime, entries["z"].size) == (1_700_000_000, 513)
    assert entries["link"].linkname == "src/app.py"
    assert content(read(root), "z") == b"z" * 513
    assert (seen.files, seen.dockerfile_name, seen.skipped) == (5, "Dockerfile", ())
    assert seen.size_bytes == sum(entry.size for entry in entries.values())


TREE = [
    "a/x.py",
    "a/y.txt",
    "a/b/x.py",
    "a/b/deep/x.py",
    "a-b",
    "c/.hidden",
    "c/1.txt",
    "c/2.txt",
    "d/",
    "[1]",
    "b\\s",
    "Ünï",
]


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["a-b"], "a-b"),
        (["a/b"], "a a/b a/b/deep a/b/deep/x.py a/b/x.py"),
        (["a", "a/b/x.py", "a/b"], "a a/b a/b/deep a/b/deep/x.py a/b/x.py a/x.py a/y.txt"),
        (["d"], "d"),
        (["missing", "missing/*", "a-b/below"], ""),
        (["a/*.py"], "a a/x.py"),
        (["*/*.txt"], "a a/y.txt c c/1.txt c/2.txt"),
        (["c/?.txt"], "c c/1.txt c/2.txt"),
        (["c/[^2-9].txt"], "c c/1.txt"),
        (["c/*"], "c c/.hidden c/1.txt c/2.txt"),
        (["*b*"], "a-b b\\s"),
        (["a/**/x.py"], "a a/b a/b/deep a/b/deep/x.py a/b/x.py a/x.py"),
        (["a/b/**"], "a a/b a/b/deep a/b/deep/x.py a/b/x.py"),
        (["b\\s"], "b\\s"),
        (["\\[1]"], ""),
        (["[[]1]"], "[1]"),
        (["[b-a]*", "[", "*[", "c/[]"], ""),
        (["Ün*"], "Ünï"),
        (["a\0b"], ""),
    ],
)
def test_only_what_the_dockerfile_names_is_sent(root: Path, sources: list[str], expected: str) -> None:
    fill(root, *TREE)
    assert names(read(root, *sources)) == sorted(expected.split(), key=walk_order)


@pytest.mark.parametrize(
    ("ignore", "sources", "expected"),
    [
        ("c", ["."], "[1] a a-b a/b a/b/deep a/b/deep/x.py a/b/x.py a/x.py a/y.txt b\\s d Ünï"),
        ("*\n!a/b/x.py", ["."], "a a/b a/b/x.py"),
        ("*\n!a/b/x.py", ["a"], "a a/b a/b/x.py"),
        ("a/b", ["a/b/x.py", "a/b", "a/*/x.py"], ""),
        ("**/x.py", ["a"], "a a/b a/b/deep a/y.txt"),
    ],
)
def test_what_is_ignored_is_not_sent(root: Path, ignore: str, sources: list[str], expected: str) -> None:
    fill(root, *TREE)
    assert names(read(root, *sources, ignore=ignore)) == sorted(expected.split(), key=walk_order)


@pytest.mark.parametrize(
    ("tree", "sources", "expected"),
    [
        (["dir/foo", "dir/l1 -> foo", "l2 -> dir/l1", "bar", "baz"], ["l2", "bar"], "bar dir dir/foo dir/l1 l2"),
        (["l1 -> l1", "l2 -> l3", "l3 -> l2", "l4 -> l4/x"], ["l1", "l3", "l4"], "l1 l2 l3 l4"),
        (["dir/l1 -> /foo/bar/baz", "foo/bar -> ../", "baz"], ["dir/l1"], "baz dir dir/l1 foo foo/bar"),
        (["dir/l1 -> /foo/bar/baz", "foo/bar -> ../../../", "baz"], ["dir/l1"], "baz dir dir/l1 foo foo/bar"),
        (["dir/l1 -> /foo", "foo/bar", "other"], ["dir/l1", "foo/bar"], "dir dir/l1 foo foo/bar"),
        (
            [
                "dir/l1 -> /foo/bar1",
                "dir/l2 -> /foo/bar2",
                "dir/other -> /x",
                "foo/bar2 -> ../baz",
                "foo/bar1",
                "baz",
                "x",
            ],
            ["dir/l*"],
            "baz dir dir/l1 dir/l2 foo foo/bar1 foo/bar2",
        ),
        (["out -> /etc", "out2 -> ../../etc/passwd"], ["out", "out2", "out/passwd"], "out out2"),
        (["link -> real", "real/a", "real/b", "real/c"], ["link/a", "link/b"], "link real real/a real/b"),
        (["link -> real", "real/a", "real/b", "real/sub/c"], ["link/[ab]"], "link real real/a real/b"),
        (["dir/link -> ../real", "real/a"], ["dir"], "dir dir/link"),
        (["v -> a/../b/f", "a -> deep/er", "deep/er/", "deep/b/f"], ["v"], "a deep deep/b deep/b/f v"),
    ],
)
def test_links_are_sent_and_followed_within_the_context(
    root: Path, tree: list[str], sources: list[str], expected: str
) -> None:
    fill(root, *tree)
    assert names(read(root, *sources)) == sorted(expected.split(), key=walk_order)


@pytest.mark.parametrize(
    "name",
    [
        "n" * 100,
        "n" * 101,
        "d/" * 60 + "f",
        "/".join(["d" * 200] * 3),
        "a\nb",
        os.fsdecode(b"\xff\xfe"),
        "ü" * 60,
        " ",
        "-x",
    ],
)
def test_unusual_names_survive(root: Path, name: str) -> None:
    fill(root, name, f"to -> {name}")
    entries = members(read(root))
    assert not any(entry.pax_headers for entry in entries.values())
    assert entries[name].size > 0
    assert entries["to"].linkname == name


def test_the_engine_can_tell_that_it_is_a_tar(root: Path) -> None:
    """It tries to read one header out of the first 1024 bytes (BuildKit, frontend/dockerui/context.go)."""
    fill(root, "A" * 120)
    context = read(root)
    assert tarfile.TarInfo.frombuf(context.tar.read(512), "utf-8", "strict").type in {tarfile.REGTYPE, tarfile.DIRTYPE}
    context.tar.seek(0)
    assert "A" * 120 in members(context)


def test_old_and_future_times(root: Path) -> None:
    fill(root, "old", "future")
    os.utime(root / "old", (-5, -5))
    os.utime(root / "future", (8**11 + 1, 8**11 + 1))
    entries = members(read(root))
    assert (entries["old"].mtime, entries["future"].mtime) == (-5, 8**11 + 1)


def test_where_the_dockerfile_is(root: Path, tmp_path: Path) -> None:
    fill(root, "docker/app.Dockerfile", "src/a", "df -> docker/app.Dockerfile", "out -> ../outside")
    (tmp_path / "outside").write_text("FROM outside")
    for place, ignore, name, text in (
        ("docker/app.Dockerfile", "", "docker/app.Dockerfile", b"content of"),
        ("docker/app.Dockerfile", "docker", ".splitdeck.dockerfile", b"content of"),
        ("df", "", "docker/app.Dockerfile", b"content of"),
        ("../outside", "", ".splitdeck.dockerfile", b"FROM outside"),
        ("out", "", ".splitdeck.dockerfile", b"FROM outside"),
    ):
        seen = snapshot(root, "src", ignore=ignore, dockerfile=root / place)
        assert seen.dockerfile_name == name
        assert (name in seen.entries) is not name.startswith(".splitdeck")
        assert (seen.files, seen.size_bytes) == (2, len("content of src/a") + len((root / place).read_bytes()))
        assert content(pack_tar(seen), name).startswith(text)
    fill(root, ".splitdeck.dockerfile")
    seen = snapshot(root, dockerfile=tmp_path / "outside")
    assert content(pack_tar(seen), seen.dockerfile_name) == b"FROM outside"
    assert content(read(root, dockerfile=tmp_path / "outside"), ".splitdeck.dockerfile").startswith(b"content of")
    with pytest.raises(ContextError, match="no Dockerfile"):
        read(root, dockerfile=root / "none")
    (root / "loop").symlink_to("loop")
    with pytest.raises(ContextError, match="no Dockerfile"):
        read(root, dockerfile=root / "loop")
    with pytest.raises(ContextError, match="not a directory"):
        read(root / "Dockerfile", dockerfile=root / "Dockerfile")


def test_the_digest_is_of_what_the_image_can_show(root: Path) -> None:
    fill(root, "a", "ab", "d/", "l -> a")

    def digest(ignore: str = "") -> str:
        return snapshot(root, ignore=ignore).digest

    def changed(change: object) -> bool:
        before = seen[-1]
        seen.append(digest())
        return seen[-1] != before

    seen = [digest()]
    assert not changed(os.utime(root / "a", (1, 1)))
    assert not changed((root / "a").chmod(0o600))
    assert changed((root / "a").chmod(0o755))
    assert changed((root / "a").write_text("b"))
    assert changed((root / "a").write_text("c"))
    assert changed((root / "d").rename(root / "e"))
    (root / "l").unlink()
    assert changed((root / "l").symlink_to("b"))
    assert changed((root / "Dockerfile").write_text("FROM other"))
    assert digest("ab") != seen[-1]
    assert changed((root / "f").write_text("A"))
    (root / "f").unlink()
    assert changed((root / "fA").touch()), "where a name ends and a content begins counts"
    (root / "other").write_text("FROM other")
    before = digest()
    assert snapshot(root, dockerfile=root / "other").digest != before, "equal files, another Dockerfile"
    outside = root.parent / "outside"
    outside.write_text("FROM a")
    before = snapshot(root, dockerfile=outside).digest
    outside.write_text("FROM b")
    assert snapshot(root, dockerfile=outside).digest != before


def test_what_is_no_file_is_reported(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(root / "fifo")
    monkeypatch.chdir(root)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock")
        assert snapshot(root).skipped == ("fifo", "sock")
        assert names(read(root)) == []
        assert snapshot(root, "fifo").skipped == ("fifo",)
        assert snapshot(root, ignore="fifo\nsock").skipped == ()


def test_files_that_vanish_while_they_are_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(root, "gone", "kept", "dir/file", "link -> kept", "now-a-link", "now-a-dir")
    opened, scanned = os.open, os.scandir

    def open_late(path: str, flags: int) -> int:
        if path.endswith("/gone"):
            (root / "gone").unlink()
            (root / "dir" / "file").unlink(missing_ok=True)
            (root / "link").unlink()
        return opened(path, flags)

    def scan_late(path: str) -> object:
        if path.endswith("/dir"):
            (root / "now-a-link").unlink()
            (root / "now-a-link").symlink_to("kept")
            (root / "now-a-dir").unlink()
            (root / "now-a-dir").mkdir()
        return scanned(path)

    monkeypatch.setattr(os, "open", open_late)
    monkeypatch.setattr(os, "scandir", scan_late)
    seen = snapshot(root)
    assert [path for path in seen.entries if path != "Dockerfile"] == ["dir", "dir/file", "kept"]
    assert names(pack_tar(seen)) == ["dir", "kept"], "what has vanished since the snapshot is left out, too"


def test_the_dockerfile_must_not_vanish(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, flags: int) -> int:
        raise FileNotFoundError(2, "No such file", path)

    seen = snapshot(root)
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ContextError, match="vanished"):
        pack_tar(seen)
    with pytest.raises(ContextError, match="vanished"):
        snapshot(root)
    with pytest.raises(ContextError, match="vanished"):
        snapshot(root, ignore="Dockerfile")


@pytest.mark.parametrize("at_once", [1024 * 1024, 100], ids=["whole", "in pieces"])
def test_files_that_change_while_they_are_read(root: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    (root / "grows").write_bytes(b"g" * 1000)
    (root / "last").write_bytes(b"end")
    (root / "shrinks").write_bytes(b"s" * 1000)
    sized = os.fstat

    def change_after(descriptor: int) -> os.stat_result:
        status = sized(descriptor)
        if status.st_size == 1000:
            name = Path(f"/proc/self/fd/{descriptor}").readlink()
            os.truncate(name, 2000 if name.name == "grows" else 50)
        return status

    for module in (look_module, pack_module):
        monkeypatch.setattr(module, "AT_ONCE_BYTES", at_once)
    seen = snapshot(root)
    monkeypatch.setattr(os, "fstat", change_after)
    with (context := pack_tar(seen)).tar:
        packed = context.tar.read()
    entries = members(PackedContext(BytesIO(packed), 0))
    assert entries["grows"].size == 1000
    assert entries["last"].size == 3
    shrunk = content(PackedContext(BytesIO(packed), 0), "shrinks")
    assert shrunk.rstrip(b"\0") == b"s" * 50
    assert len(shrunk) == (50 if at_once > 1000 else 1000)


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 4095, 4096, 5000])
def test_sizes_around_a_block(root: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    for module in (look_module, pack_module):
        monkeypatch.setattr(module, "AT_ONCE_BYTES", 1024)
    payload = os.urandom(size)
    (root / "a").write_bytes(payload)
    (root / "b").write_bytes(b"b")
    assert content(read(root), "a") == payload
    assert content(read(root), "b") == b"b"


def test_a_large_context_goes_to_disk(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(root, *(f"f{number}" for number in range(20)))
    small = read(root)
    assert isinstance(small.tar, BytesIO)
    monkeypatch.setattr(pack_module, "_IN_MEMORY_BYTES", 4096)
    large = read(root)
    assert not isinstance(large.tar, BytesIO)
    with small.tar, large.tar:
        packed = small.tar.read()
        assert large.tar.read() == packed
        assert small.sent_bytes == large.sent_bytes == len(packed)


def test_small_files_are_read_once_for_many_tars(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(root, "same", "edited", "link -> same", "d/", "n" * 120)
    (root / "large").write_bytes(os.urandom(pack_module._KEPT_FILE_BYTES + 1))
    kept, packer, rules = KeptContext(root), TarPacker(), IgnoreRules()
    opened, read_again = os.open, []

    def note(path: str, flags: int) -> int:
        read_again.append(Path(path).name)
        return opened(path, flags)

    def packed() -> bytes:
        seen = kept.snapshot(rules, (".",), root / "Dockerfile", trust=False)
        with pack_tar(seen).tar as alone:
            monkeypatch.setattr(os, "open", note)
            with packer.pack(seen).tar as tar:
                monkeypatch.setattr(os, "open", opened)
                content = tar.read()
                assert content == alone.read()
                return content

    first = packed()
    assert set(read_again) == {"Dockerfile", "same", "edited", "large", "n" * 120}
    read_again.clear()
    assert packed() == first
    assert read_again == ["large"]
    read_again.clear()
    (root / "edited").write_text("changed")
    assert packed() != first
    assert set(read_again) == {"edited", "large"}


def test_a_file_that_changed_after_the_snapshot_is_not_taken_for_what_it_was(root: Path) -> None:
    fill(root, "a")
    kept, packer, rules = KeptContext(root), TarPacker(), IgnoreRules()
    was, at = (root / "a").read_bytes(), (root / "a").stat().st_mtime

    def write(content: bytes) -> None:
        (root / "a").write_bytes(content)
        os.utime(root / "a", (at, at))

    seen = kept.snapshot(rules, (".",), root / "Dockerfile", trust=False)
    write(was[::-1])
    assert content(packer.pack(seen), "a") == was[::-1]
    write(was)
    again = kept.snapshot(rules, (".",), root / "Dockerfile", trust=False)
    assert again.entries["a"] == seen.entries["a"]
    assert content(packer.pack(again), "a") == was


def test_there_is_a_bound_to_what_is_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(root, *(f"f{number}" for number in range(20)))
    monkeypatch.setattr(pack_module, "_KEPT_BYTES", 4096)
    packer, seen = TarPacker(), snapshot(root)
    with packer.pack(seen).tar:
        (kept,) = packer._kept.values()
    assert sum(len(block.packed) for block in kept.values()) == 4096
    with packer.pack(seen).tar as again, pack_tar(seen).tar as alone:
        assert again.read() == alone.read()


@pytest.mark.parametrize("sources", [["."], ["secret"]])
def test_an_unreadable_file_is_named(root: Path, monkeypatch: pytest.MonkeyPatch, sources: list[str]) -> None:
    fill(root, "secret")
    opened = os.open

    def refuse(path: str, flags: int) -> int:
        if path.endswith("/secret"):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, flags)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ContextError, match="/secret: Permission denied") as caught:
        read(root, *sources)
    assert "secret to .dockerignore" in caught.value.hint
    assert "secret" not in members(read(root, ignore="secret"))


def test_an_unreadable_directory_is_named_unless_it_is_ignored(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(root, "data/x", "src/a")
    scanned = os.scandir
    refused = []

    def refuse(path: str) -> object:
        if path.endswith("/data"):
            refused.append(path)
            raise PermissionError(13, "Permission denied", path)
        return scanned(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ContextError, match="/data: Permission denied") as caught:
        read(root)
    assert "data to .dockerignore" in caught.value.hint
    assert names(read(root, ignore="data\n!data/x/y")) == ["src", "src/a"]
    assert len(refused) == 2
    assert names(read(root, ignore="data")) == ["src", "src/a"]
    assert len(refused) == 2, "a directory that cannot hold anything is not even looked into"


# Go's table for filepath.Match, as far as it is about one component
GLOBS: Iterable[tuple[str, str, bool]] = [
    ("abc", "abc", True),
    ("*", "abc", True),
    ("*c", "abc", True),
    ("a*", "a", True),
    ("a*b?c*x", "abxbbxdbxebxczzx", True),
    ("a*b?c*x", "abxbbxdbxebxczzy", False),
    ("ab[c]", "abc", True),
    ("ab[b-d]", "abc", True),
    ("ab[e-g]", "abc", False),
    ("ab[^c]", "abc", False),
    ("ab[^e-g]", "abc", True),
    ("a\\*b", "a*b", True),
    ("a\\*b", "ab", False),
    ("a?b", "a☺b", True),
    ("a[^a]b", "a☺b", True),
    ("a???b", "a☺b", False),
    ("[a-ζ]*", "α", True),
    ("*[a-ζ]", "A", False),
    ("[\\]a]", "]", True),
    ("[\\-x]", "-", True),
    ("[\\-x]", "a", False),
    ("[^b-a]", "x", True),
    ("[]a]", "]", False),
    ("[-]", "-", False),
    ("[x-]", "x", False),
    ("[a-b-c]", "a", False),
    ("[", "a", False),
    ("\\", "a", False),
    ("a[", "a", False),
]


@pytest.mark.parametrize(("pattern", "name", "matches"), GLOBS)
def test_globs_match_as_go_matches_them(pattern: str, name: str, matches: bool) -> None:
    matcher = component_pattern(pattern)
    assert (matcher is not None and matcher.fullmatch(name) is not None) is matches


@given(st.text("ab*?[]^-\\", max_size=10), st.text("ab]-^", max_size=5))
def test_any_glob_matches_or_not(pattern: str, name: str) -> None:
    matcher = component_pattern(pattern)
    if matcher is not None:
        matcher.fullmatch(name)
