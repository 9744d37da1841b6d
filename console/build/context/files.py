"""Which files of the build context a build reads.

Only what the Dockerfile names is taken; symlinks on the way are resolved within the build context, as BuildKit does
where it asks for files itself (fsutil's `followlinks.go`, `filter.go`). Only directories and links are read here.

A search has two halves. `follow` goes down the sources' paths and notes what it looked at, so that a later change can
be held against that. `walk` takes a directory with all that is beneath it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from stat import S_IFDIR, S_IFMT, S_ISDIR, S_ISLNK, S_ISREG
from typing import Protocol

from console.build.context.globs import component_pattern, has_wildcard
from console.errors import ContextError

_MOST_LINKS = 255
_GONE = (FileNotFoundError, NotADirectoryError)
_ANY_DEPTH = "**"


class Excludes(Protocol):
    """What the build context leaves out; paths are relative, with `/`. Equal rules leave out the same."""

    def excludes(self, path: str) -> bool: ...

    def may_skip_dir(self, path: str) -> bool:
        """The directory is left out, and nothing beneath it is brought back."""


class Kind(Enum):
    """What an entry is, by tar's type flag."""

    FILE = b"0"
    LINK = b"2"
    DIR = b"5"


@dataclass(slots=True)
class Found:
    """What a search met."""

    entries: dict[str, Kind] = field(default_factory=dict)
    """By path, relative to the build context, without the directories that are there only for what they hold."""
    skipped: set[str] = field(default_factory=set)
    """Sockets, FIFOs and devices."""


@dataclass(slots=True)
class Route(Found):
    """Where the sources lead. Its entries are the links on the way, and files that are named one by one."""

    tops: set[str] = field(default_factory=set)
    """Directories to take with all that is beneath them, none of them beneath another; empty for the root."""
    looked_at: dict[str, int] = field(default_factory=dict)
    """What stood at each path that was looked at, as `S_IFMT` gives it; 0 for nothing."""
    searched: dict[str, set[str]] = field(default_factory=dict)
    """The patterns that a directory's names were held against."""

    def is_changed_by(self, path: str, mode: int) -> bool:
        """Whether the sources may lead elsewhere, now that there is something of this mode (0: nothing) at the path."""
        looked_at = self.looked_at.get(path)
        if looked_at is not None:
            # a link may have another target, and a directory may be another one
            return looked_at != S_IFMT(mode) or S_ISLNK(mode) or S_ISDIR(mode)
        directory, _, name = path.rpartition("/")
        return mode != 0 and any(_could_match(pattern, name, mode) for pattern in self.searched.get(directory, ()))


@dataclass(slots=True)
class Selection:
    """What is to be sent."""

    entries: dict[str, Kind]
    """By path, relative to the build context; every entry's parent directories are there too."""
    skipped: list[str]
    """Sockets, FIFOs and devices."""


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
    route = follow(root, sources, rules)
    found = Found(dict(route.entries), set(route.skipped))
    for top in route.tops:
        walk(root, top, rules, found)
    return Selection(with_parents(found.entries), sorted(found.skipped))


def with_parents(entries: dict[str, Kind]) -> dict[str, Kind]:
    """The entries and the directories that they are in."""
    complete = dict(entries)
    for path in entries:
        parent = path.rpartition("/")[0]
        while parent and parent not in complete:
            complete[parent] = Kind.DIR
            parent = parent.rpartition("/")[0]
    return complete


def follow(root: str, sources: Iterable[str], rules: Excludes) -> Route:
    """Goes down the sources' paths, and after the links on them. Arguments and errors are those of `select_files`."""
    follower = _Follower(root, rules)
    for source in sources:
        follower.follow(source)
    route = follower.route
    route.tops = {top for top in route.tops if not any(above in route.tops for above in parents(top))}
    return route


def walk(root: str, top: str, rules: Excludes, found: Found) -> None:
    """Takes a directory with all that is beneath it into what was found. Errors are those of `select_files`."""
    excludes, may_skip_dir = rules.excludes, rules.may_skip_dir
    entries = found.entries
    if top and not excludes(top):
        entries[top] = Kind.DIR
    elif top and may_skip_dir(top):
        return
    waiting = [top]
    while waiting:
        directory = waiting.pop()
        prefix = f"{directory}/" if directory else ""
        for each in _scan(root, directory, rules):
            path = prefix + each.name
            excluded = excludes(path)
            if each.is_dir(follow_symlinks=False):
                if excluded and may_skip_dir(path):
                    continue
                waiting.append(path)
                kind = Kind.DIR
            elif excluded:
                continue
            elif each.is_file(follow_symlinks=False):
                kind = Kind.FILE
            elif each.is_symlink():
                kind = Kind.LINK
            else:
                found.skipped.add(path)
                continue
            if not excluded:
                entries[path] = kind


def is_walked(path: str, tops: set[str]) -> bool:
    """Whether a walk from one of the tops comes by a path, or would if the path were not left out."""
    return path in tops or any(above in tops for above in parents(path))


def parents(path: str) -> Iterator[str]:
    """The directories above a path, the root (empty) last."""
    while path:
        path = path.rpartition("/")[0]
        yield path


class _Follower:
    """Goes down one path after the other."""

    def __init__(self, root: str, rules: Excludes) -> None:
        self._root = root
        self._rules = rules
        self.route = Route()

    def follow(self, source: str) -> None:
        """Goes down a path component by component, and after the links on it."""
        components = tuple(source.split("/"))
        first_glob = next((i for i, component in enumerate(components) if has_wildcard(component)), len(components))
        waiting: list[tuple[str, tuple[str, ...], int, int]] = [("", components, first_glob, 0)]
        seen = set()
        while waiting:
            place = waiting.pop()
            if place[:3] in seen:
                continue
            seen.add(place[:3])
            here, rest, literal, links = place
            if not rest:
                self.route.tops.add(here)
                continue
            head, rest = rest[0], rest[1:]
            if head in {"", "."}:
                waiting.append((here, rest, literal - 1, links))
                continue
            if head == "..":
                waiting.append((here.rpartition("/")[0], rest, literal - 1, links))
                continue
            if head == _ANY_DEPTH and literal <= 0:
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

    def _step(self, path: str, *, last: bool) -> str | None:
        """A link's target, empty for a directory, None where the way ends. Takes links, and a file that is the last."""
        absolute = f"{self._root}/{path}"
        self.route.looked_at[path] = 0
        try:
            mode = os.lstat(absolute).st_mode
            self.route.looked_at[path] = S_IFMT(mode)
            if S_ISDIR(mode):
                return ""
            excluded = self._rules.excludes(path)
            if S_ISLNK(mode):
                if not excluded:
                    self.route.entries[path] = Kind.LINK
                return os.readlink(absolute)  # noqa: PTH115
        except PermissionError as error:
            raise _unreadable(absolute, path, error) from error
        except (OSError, ValueError):
            return None  # the engine will miss it by name
        if last and not excluded:
            if S_ISREG(mode):
                self.route.entries[path] = Kind.FILE
            else:
                self.route.skipped.add(path)
        return None

    def _directories(self, directory: str) -> list[str]:
        self.route.searched.setdefault(directory, set()).add(_ANY_DEPTH)
        prefix = f"{directory}/" if directory else ""
        found = _scan(self._root, directory, self._rules)
        names = [prefix + each.name for each in found if each.is_dir(follow_symlinks=False)]
        below = [path for path in names if not self._rules.may_skip_dir(path)]
        self.route.looked_at.update(dict.fromkeys(below, S_IFDIR))
        return below

    def _matching(self, directory: str, pattern: str) -> list[str]:
        matcher = component_pattern(pattern)
        if matcher is None:
            return []
        self.route.searched.setdefault(directory, set()).add(pattern)
        return [found.name for found in _scan(self._root, directory, self._rules) if matcher.fullmatch(found.name)]


def _could_match(pattern: str, name: str, mode: int) -> bool:
    if pattern == _ANY_DEPTH:
        return S_ISDIR(mode)
    matcher = component_pattern(pattern)
    return matcher is not None and matcher.fullmatch(name) is not None


def _scan(root: str, directory: str, rules: Excludes) -> Iterator[os.DirEntry[str]]:
    absolute = f"{root}/{directory}" if directory else root
    try:
        with os.scandir(absolute) as found:
            yield from found
    except _GONE:
        return
    except OSError as error:
        if directory and rules.excludes(directory):
            return
        raise _unreadable(absolute, directory, error) from error


def _unreadable(absolute: str, path: str, error: OSError) -> ContextError:
    hint = f"make its directories readable (chmod +rx), or add {path or 'it'} to .dockerignore"
    return ContextError(f"cannot read {absolute}: {error.strerror}", hint)
