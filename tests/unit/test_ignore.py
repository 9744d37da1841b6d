"""`.dockerignore` against the engine's own tables (github.com/moby/patternmatcher, `patternmatcher_test.go`)."""

from __future__ import annotations

import os
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.errors import ContextError
from console.watch.ignore import IgnoreRules, load_ignore

WHEEL = "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl"


def rules(*patterns: str) -> IgnoreRules:
    return IgnoreRules.parse("\n".join(patterns), "test/.dockerignore")


# TestMatches: pattern, then what it matches (itself or through a parent directory), then what it does not.
MATCHES: list[tuple[str, str, str]] = [
    ("**", "file file/ / dir/file dir/file/", ""),
    ("**/", "file file/ / dir/file dir/file/", ""),
    ("**/**", "dir/file dir/file/", ""),
    ("dir/**", "dir/file dir/file/ dir/dir2/file dir/dir2/file/", "dir other/file"),
    ("**/dir", "dir dir/file", "dirs adir"),
    ("**/dir2/*", "dir/dir2/file dir/dir2/file/", "dir/dir2"),
    ("**/dir2/**", "dir/dir2/dir3/file dir/dir2/dir3/file/", "dir/dir2"),
    ("**file", "file dir/file dir/dir/file", "file2"),
    ("**/file", "dir/file dir/dir/file", ""),
    ("**/file*", "dir/dir/file dir/dir/file.txt", ""),
    ("**/file*txt", "dir/dir/file.txt", ""),
    ("**/file*.txt", "dir/dir/file.txt", ""),
    ("**/file*.txt*", "dir/dir/file.txt", ""),
    ("**/**/*.txt", "dir/dir/file.txt file.txt", ""),
    ("**/**/*.txt2", "", "dir/dir/file.txt"),
    ("**/*.txt", "file.txt", ""),
    ("a**/*.txt", "a/file.txt a/dir/file.txt a/dir/dir/file.txt", ""),
    ("a/*.txt", "a/file.txt", "a/dir/file.txt"),
    ("a/*.txt**", "a/file.txt", ""),
    ("a[b-d]e", "ace", "ae aae"),
    ("a[^b-d]e", "aze", "ace"),
    (".*", ".foo", "foo"),
    ("abc.def", "abc.def", "abcdef abcZdef"),
    ("abc?def", "abcZdef", "abcdef"),
    ("**/foo/bar", "foo/bar dir/foo/bar dir/dir2/foo/bar", ""),
    ("abc/**", "abc/def abc/def/ghi", "abc"),
    ("**/.foo", ".foo", "bar.foo"),
    ("a(b)c/def", "a(b)c/def", "a(b)c/xyz"),
    ("a.|)$(}+{bc", "a.|)$(}+{bc", ""),
    (WHEEL, WHEEL, ""),
    ("dist/*.whl", WHEEL, ""),
    ("a\\\\", "a\\", ""),
    ("a\\*b", "a*b", "ab"),
    # TestMatch: Go's own table for filepath.Match, as far as a file name can show it
    ("*c", "abc", ""),
    ("a*", "a abc ab/c", ""),
    ("a*/b", "abc/b", "a/c/b"),
    ("a*b*c*d*e*/f", "axbxcxdxe/f axbxcxdxexxx/f", "axbxcxdxe/xxx/f axbxcxdxexxx/fff"),
    ("a*b?c*x", "abxbbxdbxebxczzx", "abxbbxdbxebxczzy"),
    ("ab[e-g]", "", "abc"),
    ("ab[^c]", "", "abc"),
    ("ab[^e-g]", "abc", ""),
    ("a?b", "a☺b", "a/b"),
    ("a[^a]b", "a☺b", ""),
    ("a???b", "", "a☺b"),
    ("a[^a][^a][^a]b", "", "a☺b"),
    ("[a-ζ]*", "α", ""),
    ("*[a-ζ]", "", "A"),
    ("a*b", "", "a/b"),
    ("[\\]a]", "]", "x"),
    ("[\\-]", "-", ""),
    ("[x\\-]", "x -", "z"),
    ("[\\-x]", "x -", "a"),
    ("*x", "xxx", ""),
    # quirks of the translation to a regular expression
    ("a[^b]c", "a/c", "abc"),
    ("x\\d", "x5", "xd x٣"),
    ("^a*", "", "^ab"),
    ("[[]", "[", "x"),
    ("[a&&b]", "& a b", "c"),
]


@pytest.mark.parametrize(("pattern", "matched", "passed"), MATCHES, ids=[case[0] for case in MATCHES])
def test_patterns_match_as_the_engine_matches_them(pattern: str, matched: str, passed: str) -> None:
    subject = rules(pattern)
    assert {path for path in (matched + " " + passed).split() if subject.excludes(path)} == set(matched.split())


@pytest.mark.parametrize(
    ("patterns", "path", "excluded"),
    [
        (["!fileutils.go", "*.go"], "fileutils.go", True),
        (["*.go", "!fileutils.go"], "fileutils.go", False),
        (["docs", "!docs/README.md"], "docs/README.md", False),
        (["docs/", "!docs/README.md"], "docs/README.md", False),
        (["docs/*", "!docs/README.md"], "docs/README.md", False),
        (["docs", "  !docs/README.md"], "docs/README.md", False),
        (["docs", "!docs/README.md  "], "docs/README.md", False),
        (["**", "!util/docker/web"], "util/docker/web/foo", False),
        (["**", "!util/docker/web", "util/docker/web/foo"], "util/docker/web/foo", True),
        (["**", f"!{WHEEL}"], WHEEL, False),
        (["**", "!dist/*.whl"], WHEEL, False),
        (["*"], ".", False),
        (["."], "a", False),
        (["/"], "a", False),
        ([], "any/path", False),
        (["a", "!a/b", "a/b/c"], "a/b/c/d", True),
        (["a", "!a/b", "a/b/c"], "a/b/d", False),
        (["*/temp*", "!x"], "somedir/temporary/x", True),
        # a negation that only names the parent came too late for the parent, so it says nothing of the child:
        # here MatchesUsingParentResults and MatchesOrParentMatches part, and the engine's walk uses the former
        (["dir/x", "!dir"], "dir/x", True),
    ],
)
def test_the_last_match_wins(patterns: list[str], path: str, excluded: bool) -> None:
    assert rules(*patterns).excludes(path) is excluded


@pytest.mark.parametrize(
    ("text", "excluded", "kept"),
    [
        ("\ufefftest1\n", "test1", "x"),
        ("a\r\nb\r\n", "a b", "x"),
        ("/test2", "test2", "x"),
        ("//test2", "test2", "x"),
        ("/a/file/here/", "a/file/here a/file/here/x", "a"),
        ("a/../b/./c//d", "b/c/d", "a b b/c"),
        ("../outside\n./inside", "inside", "outside"),
        ("# comment\n #file", "#file", "comment"),
        ("*\n! /kept/too", "gone kept kept/gone", "kept/too"),
        ("\n\n   \n\tx\t\n", "x", "a"),
    ],
)
def test_lines_are_cleaned_as_ignorefile_does(text: str, excluded: str, kept: str) -> None:
    subject = IgnoreRules.parse(text, "x")
    assert [path for path in (excluded + " " + kept).split() if subject.excludes(path)] == excluded.split()


BAD_FOR_MATCH = ["!", "!  ", "!/", "[", "[^", "[^bc", "a[", "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "\\", "a\\"]
BAD_FOR_REGEXP = ["[Local-Only]/", "a*\\y", "a\\1*", "[\\y]", "\\☺"]


@pytest.mark.parametrize("pattern", [*BAD_FOR_MATCH, *BAD_FOR_REGEXP])
def test_a_bad_pattern_is_refused_with_its_place(pattern: str) -> None:
    with pytest.raises(ContextError, match=r"^sub/\.dockerignore:3: ") as caught:
        IgnoreRules.parse(f"ok\n# fine\n{pattern}\n", "sub/.dockerignore")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("patterns", "directory", "skipped"),
    [
        (["node_modules"], "node_modules", True),
        (["node_modules"], "src", False),
        (["a", "!b"], "a", True),
        (["a", "!a/b/c"], "a", False),
        (["a", "!a/b/c"], "a/b", False),
        (["a", "!a/b/c"], "a/x", True),
        (["a", "!ab"], "a", True),
        (["a", "!**/*.md"], "a", False),
        (["a", "!docs/*.md"], "a", True),
        (["docs", "!docs/*.md"], "docs", False),
        (["docs", "!docs/*/x"], "docs/sub", False),
        (["*", "!src"], "src", False),
        (["a", "!a[/]b"], "a", False),
    ],
)
def test_a_directory_is_skipped_only_if_nothing_comes_back(patterns: list[str], directory: str, skipped: bool) -> None:
    assert rules(*patterns).may_skip_dir(directory) is skipped


NAMES = st.sampled_from(["a", "b", "ab", "*", "a*", "**", "?", "[ab]"])
PATTERNS = st.lists(st.tuples(st.booleans(), st.lists(NAMES, min_size=1, max_size=3)), max_size=5)


@given(PATTERNS, st.lists(st.sampled_from(["a", "b", "ab", "c"]), min_size=2, max_size=4))
def test_nothing_beneath_a_skipped_directory_is_kept(patterns: list[tuple[bool, list[str]]], parts: list[str]) -> None:
    subject = rules(*("!" * negated + "/".join(names) for negated, names in patterns))
    *directories, path = accumulate(parts, "{}/{}".format)
    if any(subject.may_skip_dir(directory) for directory in directories):
        assert subject.excludes(path)


@given(PATTERNS, st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=4))
def test_the_verdict_does_not_depend_on_what_was_asked_before(
    patterns: list[tuple[bool, list[str]]], parts: list[str]
) -> None:
    texts = ["!" * negated + "/".join(names) for negated, names in patterns]
    asked = rules(*texts)
    for path in accumulate(parts, "{}/{}".format):
        assert asked.excludes(path) is rules(*texts).excludes(path)


@given(PATTERNS, st.lists(st.sampled_from(["a", "b", "ab", "c"]), min_size=1, max_size=4))
def test_patterns_taken_together_decide_as_one_by_one(patterns: list[tuple[bool, list[str]]], parts: list[str]) -> None:
    """Against MatchesUsingParentResults spelled out."""
    single = [(negated, rules("/".join(names))._runs[0]) for negated, names in patterns]
    parent = [False] * len(single)
    excluded = False
    for path in accumulate(parts, "{}/{}".format):
        excluded = False
        for index, (negated, pattern) in enumerate(single):
            if not parent[index] and negated == excluded:
                parent[index] = pattern.matches(path)
            if parent[index]:
                excluded = not negated
    subject = rules(*("!" * negated + "/".join(names) for negated, names in patterns))
    assert subject.excludes("/".join(parts)) is excluded


@given(st.text("ab*?[]^-\\!/.# ", max_size=12), st.text("ab/*[]-\\\n", min_size=1, max_size=8))
def test_any_line_is_a_rule_or_refused(line: str, path: str) -> None:
    try:
        subject = IgnoreRules.parse(line, "x")
    except ContextError:
        return
    subject.excludes(path)
    subject.may_skip_dir(path)


def test_the_dockerfile_s_own_file_wins(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    dockerfile = tmp_path / "docker" / "app.Dockerfile"
    assert not load_ignore(tmp_path, dockerfile).excludes("common")
    (tmp_path / ".dockerignore").write_text("common")
    assert load_ignore(tmp_path, dockerfile).excludes("common")
    (tmp_path / "docker" / "app.Dockerfile.dockerignore").write_bytes(b"own\n\xff.bin")
    subject = load_ignore(tmp_path, dockerfile)
    assert subject.excludes("own")
    assert subject.excludes(os.fsdecode(b"\xff.bin"))
    assert not subject.excludes("common")
    assert subject.origin.endswith("app.Dockerfile.dockerignore")


def test_an_unreadable_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ContextError, match="Permission denied"):
        load_ignore(tmp_path, tmp_path / "Dockerfile")
