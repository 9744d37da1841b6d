"""Which files of the build context a build reads.

Only what the Dockerfile names is taken; symlinks on the way are resolved within the build context, as BuildKit does
where it asks for files itself (fsutil's `followlinks.go`, `filter.go`). Only directories and links are read here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import Protocol

from console.errors import ContextError

_MOST_LINKS = 255
_GONE = (FileNotFoundError, NotADirectoryError)


class Excludes(Protocol):
    """What the build context leaves out; paths are relative, with `/`."""

    def excludes(self, path: str) -> bool: ...

    def may_skip_dir(self, path: str) -> bool:
        """The directory is left out, and nothing beneath it is brought back."""


class Kind(Enum):
    """What an entry is, by tar's type flag."""

    FILE = b"0"
    LINK = b"2"
    DIR = b"5"


@dataclass(slots=True)
class Selection:
    """What is to be sent."""

    entries: dict[str, Kind] = field(default_factory=dict)
    """By path, relative to the build context; every entry's parent directories are there too."""
    skipped: list[str] = field(default_factory=list)
    """Sockets, FIFOs and devices."""

    def add(self, path: str, kind: Kind) -> None:
        """Takes an entry and its parent directories."""
        self.entries[path] = kind
        while (path := path.rpartition("/")[0]) and path not in self.entries:
            self.entries[path] = Kind.DIR


def select_files(root: str, sources: Iterable[str], rules: Excludes) -> Selection:
    """Finds what a build reads.

    Args:
        root: The build context's directory.
        sources: Paths and globs (Go's filepath.Match, and `**` for any number of directories), relative and clean;
            `.` is everything. A directory stands for all that is beneath it. What is not there is passed over.
        rules: What is left out all the same.

    Raises:
        ContextError: If a directory cannot be read.
    """
    selector = _Selector(root, rules)
    for source in sources:
        selector.follow(source)
    selector.walk()
    return selector.selection


class _Selector:
    """One search."""

    def __init__(self, root: str, rules: Excludes) -> None:
        self._root = root
        self._rules = rules
        self._whole: set[str] = set()
        """Directories to take with all that is beneath them; empty for the root."""
        self.selection = Selection()

    def follow(self, source: str) -> None:
        """Goes down a path component by component, and after the links on it."""
        components = tuple(source.split("/"))
        first_glob = next((i for i, component in enumerate(components) if _has_wildcard(component)), len(components))
        waiting: list[tuple[str, tuple[str, ...], int, int]] = [("", components, first_glob, 0)]
        seen = set()
        while waiting:
            place = waiting.pop()
            if place[:3] in seen:
                continue
            seen.add(place[:3])
            here, rest, literal, links = place
            if not rest:
                self._whole.add(here)
                continue
            head, rest = rest[0], rest[1:]
            if head in {"", "."}:
                waiting.append((here, rest, literal - 1, links))
                continue
            if head == "..":
                waiting.append((here.rpartition("/")[0], rest, literal - 1, links))
                continue
            if head == "**" and literal <= 0:
                waiting.append((here, rest, 0, links))
                if not rest:
                    continue
                waiting.extend((below, (head, *rest), 0, links) for below in self._directories(here))
                continue
            names = [head] if literal > 0 else self._matching(here, head)
            for path in (f"{here}/{name}" if here else name for name in names):
                target = self._step(path, last=not rest)
                if target is None:
                    continue
                if not target:
                    waiting.append((path, rest, literal - 1, links))
                elif links < _MOST_LINKS:
                    onward = tuple(target.split("/"))
                    base = "" if target.startswith("/") else path.rpartition("/")[0]
                    waiting.append((base, onward + rest, len(onward) + max(literal - 1, 0), links + 1))

    def walk(self) -> None:
        """Takes the directories that were found, with all that is beneath them."""
        for top in self._whole:
            if any(above in self._whole for above in _above(top)):
                continue
            if top and self._rules.excludes(top):
                if self._rules.may_skip_dir(top):
                    continue
            elif top:
                self.selection.add(top, Kind.DIR)
            self._walk(top)

    def _walk(self, top: str) -> None:
        excludes, may_skip_dir = self._rules.excludes, self._rules.may_skip_dir
        entries, add = self.selection.entries, self.selection.add
        waiting = [top]
        while waiting:
            directory = waiting.pop()
            prefix = f"{directory}/" if directory else ""
            inside = not directory or directory in entries
            for found in self._scan(directory):
                path = prefix + found.name
                excluded = excludes(path)
                if found.is_dir(follow_symlinks=False):
                    if excluded and may_skip_dir(path):
                        continue
                    waiting.append(path)
                    kind = Kind.DIR
                elif excluded:
                    continue
                elif found.is_file(follow_symlinks=False):
                    kind = Kind.FILE
                elif found.is_symlink():
                    kind = Kind.LINK
                else:
                    self.selection.skipped.append(path)
                    continue
                if excluded:
                    continue
                if inside:
                    entries[path] = kind
                else:
                    add(path, kind)

    def _step(self, path: str, *, last: bool) -> str | None:
        """A link's target, empty for a directory, None where the way ends. Takes links, and a file that is the last."""
        absolute = f"{self._root}/{path}"
        try:
            mode = os.lstat(absolute).st_mode
            if S_ISDIR(mode):
                return ""
            excluded = self._rules.excludes(path)
            if S_ISLNK(mode):
                if not excluded:
                    self.selection.add(path, Kind.LINK)
                return os.readlink(absolute)  # noqa: PTH115
        except PermissionError as error:
            raise _unreadable(absolute, path, error) from error
        except (OSError, ValueError):
            return None  # the engine will miss it by name
        if last and not excluded:
            if S_ISREG(mode):
                self.selection.add(path, Kind.FILE)
            else:
                self.selection.skipped.append(path)
        return None

    def _scan(self, directory: str) -> Iterator[os.DirEntry[str]]:
        absolute = f"{self._root}/{directory}" if directory else self._root
        try:
            with os.scandir(absolute) as found:
                yield from found
        except _GONE:
            return
        except OSError as error:
            if directory and self._rules.excludes(directory):
                return
            raise _unreadable(absolute, directory, error) from error

    def _directories(self, directory: str) -> list[str]:
        prefix = f"{directory}/" if directory else ""
        found = [prefix + each.name for each in self._scan(directory) if each.is_dir(follow_symlinks=False)]
        return [path for path in found if not self._rules.may_skip_dir(path)]

    def _matching(self, directory: str, pattern: str) -> list[str]:
        matcher = component_pattern(pattern)
        if matcher is None:
            return []
        return [found.name for found in self._scan(directory) if matcher.fullmatch(found.name)]


def _unreadable(absolute: str, path: str, error: OSError) -> ContextError:
    hint = f"make its directories readable (chmod +rx), or add {path or 'it'} to .dockerignore"
    return ContextError(f"cannot read {absolute}: {error.strerror}", hint)


def _above(path: str) -> Iterator[str]:
    """The directories above a path, the root (empty) last."""
    while path:
        path = path.rpartition("/")[0]
        yield path


def _has_wildcard(component: str) -> bool:
    """As BuildKit tells a glob from a name that holds a backslash."""
    position = 0
    while position < len(component):
        if component[position] in "*?[":
            return True
        position += 2 if component[position] == "\\" else 1
    return False


def component_pattern(pattern: str) -> re.Pattern[str] | None:
    """One component of a filepath.Match pattern; None where it is malformed, which matches nothing."""
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            if parts[-1:] != [".*"]:
                parts.append(".*")
        elif character == "?":
            parts.append(".")
        elif character == "[":
            found = re.match(r"(\^?)((?:(?:\\.|[^\]\\-])(?:-(?:\\.|[^\]\\-]))?)+)\]", pattern[position:], re.DOTALL)
            if found is None:
                return None
            position += found.end()
            parts.append(_class(found[2], negated=bool(found[1])))
        elif character == "\\":
            if position == len(pattern):
                return None
            parts.append(re.escape(pattern[position]))
            position += 1
        else:
            parts.append(re.escape(character))
    return re.compile("".join(parts), re.DOTALL)


def _class(inside: str, *, negated: bool) -> str:
    """The inside of a well-formed `[…]` as a regular expression."""
    ranges = []
    for low, high in re.findall(r"(\\.|[^\\])(?:-(\\.|[^\\]))?", inside, re.DOTALL):
        first = low[-1]
        last = high[-1] if high else first
        if first <= last:
            ranges.append(f"{re.escape(first)}-{re.escape(last)}")
    if not ranges:
        return "." if negated else "(?!)"
    return f"[{'^' if negated else ''}{''.join(ranges)}]"
