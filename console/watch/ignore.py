"""What a `.dockerignore` leaves out, decided as the engine's own code decides it.

The rules, with their quirks, are those of github.com/moby/patternmatcher (`patternmatcher.go`, `ignorefile.go`),
applied as fsutil's `filter.go` does on its walk: a directory's matches are handed down to what lies beneath it
(`MatchesUsingParentResults`).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

from console.errors import ContextError

_WILDCARDS = frozenset("*?[]^\\")
_ESCAPED_IN_GO = frozenset(".+()|{}$")
_CLASS_ESCAPES = frozenset("dDsSwW")
_CHARACTER_ESCAPES = frozenset("afnrtv")
_KNOWN_DIRS = 50_000


class _Kind(Enum):
    """How a pattern is compared (moby's matchType)."""

    EXACT = "exact"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    REGEXP = "regexp"


class _BadPatternError(ValueError):
    """The engine would refuse this pattern."""


class _Run:
    """Neighbouring patterns of one sign. Among them order does not matter, so they are tested together."""

    __slots__ = ("_exact", "_prefixes", "_regexp", "_suffixes", "negated")

    def __init__(self, patterns: Iterable[str], *, negated: bool) -> None:
        self.negated = negated
        exact, prefixes, suffixes, regexps = set(), [], [], []
        for pattern in patterns:
            kind, regexp = _classified(pattern)
            if kind is _Kind.EXACT:
                exact.add(pattern)
            elif kind is _Kind.PREFIX:
                prefixes.append(pattern[:-2])
            elif kind is _Kind.SUFFIX:
                suffixes.append(pattern[2:])
                if pattern[2:3] == "/":
                    exact.add(pattern[3:])  # **/name is also `name` itself
            else:
                regexps.append(regexp)
        self._exact = frozenset(exact)
        self._prefixes = tuple(prefixes)
        self._suffixes = tuple(suffixes)
        self._regexp = re.compile("|".join(f"(?:{text})" for text in regexps), re.ASCII) if regexps else None

    def matches(self, path: str) -> bool:
        return (
            path in self._exact
            or path.startswith(self._prefixes)
            or path.endswith(self._suffixes)
            or (self._regexp is not None and self._regexp.fullmatch(path) is not None)
        )


class IgnoreRules:
    """The patterns of one ignore file. Paths are relative to the build context, with `/`, without a leading `./`."""

    __slots__ = ("_dirs", "_exceptions", "_runs", "origin", "patterns")

    def __init__(self, patterns: Iterable[str] = (), origin: str = "") -> None:
        self.origin = origin
        """Where the patterns stand, for messages; empty where there are none."""
        self.patterns = patterns = tuple(patterns)
        self._runs: list[_Run] = []
        self._exceptions: list[tuple[str, bool]] = []
        self._dirs: dict[str, tuple[bool, ...]] = {}
        pending: list[str] = []
        negated = False
        for pattern in patterns:
            if pattern.startswith("!") != negated:
                self._close(pending, negated)
                pending, negated = [], not negated
            pending.append(pattern.removeprefix("!"))
            if negated:
                self._exceptions.append(_fixed_part(pending[-1]))
        self._close(pending, negated)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IgnoreRules) and self.patterns == other.patterns

    def __hash__(self) -> int:
        return hash(self.patterns)

    @classmethod
    def parse(cls, text: str, origin: str) -> IgnoreRules:
        """Reads an ignore file's text.

        Args:
            text: One pattern a line; `#` in the first column is a comment, a leading `!` brings paths back.
            origin: The file's name, for messages.

        Raises:
            ContextError: If the engine would refuse a pattern; names the file and the line.
        """
        patterns = []
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
            pattern = _cleaned(line)
            if not pattern:
                continue
            try:
                _check(pattern)
            except _BadPatternError as error:
                message = f"{origin}:{number}: the pattern {line.strip()!r} is not valid: {error}"
                hint = "the pattern syntax is described at https://docs.docker.com/build/concepts/context/#dockerignore-files"
                raise ContextError(message, hint) from None
            patterns.append(pattern)
        return cls(patterns, origin)

    def excludes(self, path: str) -> bool:
        """Whether the path is left out of the build context; `.` never is."""
        if not self._runs or path in {".", ""}:
            return False
        return self._excluded(self._evaluated(path, self._inherited(path)))

    def may_skip_dir(self, path: str) -> bool:
        """Whether a walk may skip this directory: it is left out, and nothing beneath it can be brought back."""
        if not self.excludes(path):
            return False
        beneath = path + "/"
        for fixed, wild in self._exceptions:
            if fixed.startswith(beneath):
                return False
            if wild and (not fixed or fixed == path or beneath.startswith(fixed + "/")):
                return False
        return True

    def _close(self, patterns: list[str], negated: bool) -> None:
        if patterns:
            self._runs.append(_Run(patterns, negated=negated))

    def _inherited(self, path: str) -> tuple[bool, ...]:
        """Which runs matched the parent directory or anything above it; empty at the top."""
        parent = path.rpartition("/")[0]
        if not parent:
            return ()
        known = self._dirs.get(parent)
        if known is None:
            missing = [parent]
            while (parent := parent.rpartition("/")[0]) and parent not in self._dirs:
                missing.append(parent)
            known = self._dirs.get(parent, ())
            if len(self._dirs) > _KNOWN_DIRS:
                self._dirs.clear()
            for directory in reversed(missing):
                known = self._dirs[directory] = self._evaluated(directory, known)
        return known

    def _evaluated(self, path: str, inherited: tuple[bool, ...]) -> tuple[bool, ...]:
        hits = []
        excluded = False
        for index, run in enumerate(self._runs):
            hit = bool(inherited) and inherited[index]
            if not hit and run.negated == excluded:  # otherwise the run could change nothing
                hit = run.matches(path)
            hits.append(hit)
            if hit:
                excluded = not run.negated
        return tuple(hits)

    def _excluded(self, hits: tuple[bool, ...]) -> bool:
        """The last run that matched decides."""
        for run, hit in zip(reversed(self._runs), reversed(hits), strict=True):
            if hit:
                return not run.negated
        return False


def ignore_files(context: Path, dockerfile: Path) -> tuple[Path, Path]:
    """Where a build looks for its rules, the first that exists wins.

    Source: BuildKit, frontend/dockerui/config.go.
    """
    return dockerfile.with_name(f"{dockerfile.name}.dockerignore"), context / ".dockerignore"


def load_ignore(context: Path, dockerfile: Path) -> IgnoreRules:
    """The rules for one build, from the first of its `ignore_files`.

    Raises:
        ContextError: If the file cannot be read or holds a pattern that the engine would refuse.
    """
    for file in ignore_files(context, dockerfile):
        try:
            text = file.read_bytes().decode("utf-8", "surrogateescape")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            continue
        except OSError as error:
            message = f"cannot read {file}: {error.strerror}"
            raise ContextError(message, f"make it readable: chmod +r {file}") from error
        return IgnoreRules.parse(text, str(file))
    return IgnoreRules()


def _cleaned(line: str) -> str:
    """One line as a pattern, empty where it holds none (ignorefile.ReadAll, then patternmatcher.New)."""
    if line.startswith("#"):
        return ""
    pattern = line.strip()
    inverted = pattern.startswith("!")
    pattern = pattern.removeprefix("!").strip()
    if pattern:
        pattern = _go_clean(pattern)
        if len(pattern) > 1:
            pattern = pattern.removeprefix("/")
    if not inverted:
        return pattern
    return _go_clean(f"!{pattern}".strip())


def _go_clean(path: str) -> str:
    """Go's `path.Clean`: as posixpath.normpath, but two leading slashes become one."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _fixed_part(pattern: str) -> tuple[str, bool]:
    """The leading components without wildcards, and whether any wildcard follows."""
    components = pattern.split("/")
    for index, component in enumerate(components):
        if _WILDCARDS.intersection(component):
            return "/".join(components[:index]), True
    return pattern, False


def _check(pattern: str) -> None:
    """Raises _BadPatternError where the engine refuses the pattern: by filepath.Match's syntax or by the regexp's."""
    if pattern == "!":
        raise _BadPatternError("nothing follows the '!'")
    pattern = pattern.removeprefix("!")
    position = 0
    while position < len(pattern):
        if pattern[position] == "[":
            position = _class_end(pattern, position + 1)
        elif pattern[position] == "\\":
            if position + 1 == len(pattern):
                raise _BadPatternError("nothing follows the '\\'")
            position += 2
        else:
            position += 1
    _classified(pattern)


def _class_end(pattern: str, position: int) -> int:
    """The position after a `[…]` of filepath.Match, whose inside begins at `position`."""

    def one(position: int) -> int:
        if position < len(pattern) and pattern[position] == "\\":
            position += 1
        elif pattern[position : position + 1] in {"-", "]"}:
            raise _BadPatternError("a '-' or ']' within '[…]' needs a '\\' before it")
        if position + 1 >= len(pattern):
            raise _BadPatternError("a '[' is not closed")
        return position + 1

    position += pattern.startswith("^", position)
    empty = True
    while empty or pattern[position] != "]":
        position = one(position)
        if pattern[position] == "-":
            position = one(position + 1)
        empty = False
    return position + 1


def _classified(pattern: str) -> tuple[_Kind, str]:
    """How to compare the pattern, and its regular expression where that is needed (moby's `compile`)."""
    parts: list[str] = []
    kind = _Kind.EXACT
    position = 0
    while position < len(pattern):
        first = position == 0
        character = pattern[position]
        position += 1
        if character == "*" and pattern.startswith("*", position):
            position += 1
            position += pattern.startswith("/", position)
            if position < len(pattern):
                kind = _Kind.REGEXP
                if parts[-1:] != ["(?:.*/)?"]:  # twice in a row says the same, in exponential time
                    parts.append("(?:.*/)?")
            elif kind is _Kind.EXACT:
                kind = _Kind.PREFIX
            else:
                kind = _Kind.REGEXP
                parts.append(".*")
            if first:
                kind = _Kind.SUFFIX
        elif character == "*":
            kind = _Kind.REGEXP
            parts.append("[^/]*")
        elif character == "?":
            kind = _Kind.REGEXP
            parts.append("[^/]")
        elif character in _ESCAPED_IN_GO:
            parts.append(f"\\{character}")
        elif character == "\\" and position < len(pattern):
            kind = _Kind.REGEXP
            parts.append(f"\\{pattern[position]}")
            position += 1
        else:
            if character in "[]":
                kind = _Kind.REGEXP
            parts.append(character)
    if kind is not _Kind.REGEXP:
        return kind, ""
    return kind, _python_regexp("".join(parts))


def _python_regexp(go: str) -> str:
    """A Go regular expression, of those that moby writes, in Python's dialect."""
    parts: list[str] = []
    position = 0
    while position < len(go):
        if go[position] == "[":
            text, position = _python_class(go, position + 1)
            parts.append(text)
        elif go[position] == "\\":
            parts.append(_python_escape(go[position + 1], _CLASS_ESCAPES | _CHARACTER_ESCAPES | {"A", "b", "B"}))
            position += 2
        else:
            parts.append(go[position])
            position += 1
    return "".join(parts)


def _python_class(go: str, position: int) -> tuple[str, int]:
    """A character class whose inside begins at `position`, and the position after it."""
    parts = ["["]
    if go.startswith("^", position):
        parts.append("^")
        position += 1
    start = position

    def one(position: int) -> tuple[str, str, int]:
        """A character or an escape: its text, its value where it has one, the position after it."""
        if go.startswith("\\", position) and position + 1 < len(go):
            text = _python_escape(go[position + 1], _CLASS_ESCAPES | _CHARACTER_ESCAPES)
            return text, "" if text[1:] in _CLASS_ESCAPES else go[position + 1], position + 2
        return re.escape(go[position]), go[position], position + 1

    while position < len(go) and (go[position] != "]" or position == start):
        if go.startswith("[:", position):
            raise _BadPatternError("'[:' within '[…]' is not supported")
        text, low, position = one(position)
        parts.append(text)
        if low and go.startswith("-", position) and position + 1 < len(go) and go[position + 1] != "]":
            text, high, position = one(position + 1)
            if not high or high < low:
                raise _BadPatternError(f"the range {low}-{high} runs backwards")
            parts.append(f"-{text}")
    if position >= len(go):
        raise _BadPatternError("a '[' is not closed")
    return "".join([*parts, "]"]), position + 1


def _python_escape(character: str, letters: frozenset[str]) -> str:
    """An escaped character; Go knows some letters and digits as something else, and refuses the rest."""
    if character.isascii() and character.isalnum():
        if character not in letters:
            raise _BadPatternError(f"'\\{character}' means nothing")
        return f"\\{character}"
    if not character.isascii():
        raise _BadPatternError(f"'\\{character}' means nothing")
    return re.escape(character)
