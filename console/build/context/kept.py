"""A build's files, kept between builds: a save costs a look at what changed, not a walk through everything."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from stat import S_IFLNK, S_IFMT, S_IFREG, S_ISDIR, S_ISREG

from console.build.context.files import (
    Excludes,
    Found,
    Kind,
    Route,
    follow,
    is_walked,
    parents,
    walk,
    with_parents,
)
from console.build.context.look import Seen, look
from console.build.context.snapshot import Snapshot, walk_order
from console.build.context.told import told_paths
from console.errors import ContextError

OUTSIDE_NAME = ".splitdeck.dockerfile"
"""What a builder is told the Dockerfile is called if it is not among the files that may be sent."""

_KINDS = {S_IFREG: Kind.FILE, S_IFLNK: Kind.LINK}
_MOST_NAMED = 1000
"""With more changes at once, the kernel's queue may have run over."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a set of files depends on, besides the disk."""

    root: str
    identity: tuple[int, int]
    """The root's device and inode."""
    rules: Excludes
    sources: tuple[str, ...]
    definition: str
    """The Dockerfile's place."""
    name: str
    """Its path in the build context; empty where it is not sent with it."""


class KeptContext:
    """What one Dockerfile reads of a build context. One thread takes snapshots; any thread tells of changes.

    Args:
        context: The build context's directory.
    """

    def __init__(self, context: Path) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._named: set[str] | None = None
        """Paths to look at again; None for everything."""
        self._asked: _Asked | None = None
        """What the files below were found for; None where they are not known to be all."""
        self._route = Route()
        self._walked = Found()
        self._order: dict[str, Kind] = {}
        """All paths, in the snapshot's order."""
        self._seen: dict[str, Seen] = {}
        """Every entry, in the snapshot's order."""
        self._outside: Seen | None = None
        """The Dockerfile where it is not sent with the build context."""
        self._folder_linked = False
        """Whether there ever was a link to a folder."""

    def saved(self, paths: Iterable[str]) -> None:
        """Notes changes: of a file or link; or of a directory that came, went, or was renamed, with all in it.

        Args:
            paths: Absolute; they need not lie in the build context.
        """
        with self._lock:
            if self._named is None:
                return
            self._named.update(paths)
            if len(self._named) > _MOST_NAMED:
                self._named = None

    def doubt(self) -> None:
        """Notes that changes may have gone by unnoticed: the next snapshot looks at everything."""
        with self._lock:
            self._named = None

    def is_covered_by(self, trees: Iterable[Path]) -> bool:
        """Whether watching these folders (or files) tells of every change to what the last snapshot depends on, bar the
        Dockerfile.

        Links lead to other places than the Dockerfile names, so this is not known before the first snapshot. Beside a
        link to a folder it never is: inotify has one watch for a folder whatever its names, and when the link goes, so
        does the watch.
        """
        if self._asked is None or self._folder_linked:
            return False
        root = self._asked.root
        tops = tuple(f"{os.path.realpath(tree)}/" for tree in trees)
        if f"{root}/".startswith(tops):
            return True
        depends_on = self._route.looked_at.keys() | self._route.tops | self._route.searched.keys()
        return all(f"{root}/{path}/".startswith(tops) for path in depends_on)

    def snapshot(self, rules: Excludes, sources: Iterable[str], dockerfile: Path, *, trust: bool) -> Snapshot:
        """The files as they are now.

        Args:
            rules: What is left out.
            sources: What the Dockerfile reads of the build context (`Dockerfile.context_sources`).
            dockerfile: Wherever it is.
            trust: Whether `saved` told of every change since the last snapshot. Otherwise the directories are walked,
                and files read again whose inode tells of a change.

        A file that vanishes meanwhile counts as deleted before. After an error nothing that was told is forgotten.

        Raises:
            ContextError: If a file or directory cannot be read, or the Dockerfile is not there.
        """
        now_ns = time.time_ns()
        asked = self._ask(rules, tuple(sources), dockerfile)
        with self._lock:
            named, self._named = self._named, set()
        known, self._asked = self._asked, None  # until this has come to its end
        again = self._changed(asked, named) if trust and named is not None and known == asked else None
        if again is None:
            self._search(asked)
        complete = self._look(asked, again, now_ns)
        if complete:
            self._asked = asked
        return self._taken(asked, dockerfile)

    def _ask(self, rules: Excludes, sources: tuple[str, ...], dockerfile: Path) -> _Asked:
        root, definition = Path(os.path.realpath(self._context)), Path(os.path.realpath(dockerfile))
        if not root.is_dir():
            message = f"the build context {self._context} is not a directory"
            raise ContextError(message, "check the context in config.toml")
        if not definition.is_file():
            raise ContextError(f"there is no Dockerfile at {dockerfile}", "check the dockerfile in config.toml")
        try:
            name = definition.relative_to(root).as_posix()
            name.encode()  # a name that is not UTF-8 cannot be told to the builder
        except ValueError:
            name = ""
        if name and rules.excludes(name):
            name = ""
        status = root.stat()
        return _Asked(str(root), (status.st_dev, status.st_ino), rules, sources, str(definition), name)

    def _search(self, asked: _Asked) -> None:
        """Finds all there is."""
        self._route = follow(asked.root, asked.sources, asked.rules)
        self._walked = Found()
        for top in self._route.tops:
            walk(asked.root, top, asked.rules, self._walked)
        self._put_in_order(asked)

    def _changed(self, asked: _Asked, named: set[str]) -> set[str] | None:
        """Brings what is found up to date with what was told; gives the paths to look at again, None where in doubt."""
        paths = told_paths(asked.root, named, self._order)
        if paths is None:
            return None
        modes: dict[str, int] = {}
        for path in paths:
            try:
                status = os.lstat(f"{asked.root}/{path}")
            except (OSError, ValueError):
                modes[path] = 0
                continue
            modes[path] = status.st_mode
            if S_ISREG(status.st_mode) and status.st_nlink > 1 and not self._is_shared(path, status):
                return None  # its other names have changed with it
        turned = any(self._route.is_changed_by(path, mode) for path, mode in modes.items())
        if turned and not self._follow_anew(asked, paths):
            return None
        holding = {above for path in self._walked.skipped for above in parents(path)}
        folders = {
            path
            for path, mode in modes.items()
            if S_ISDIR(mode) or self._order.get(path) is Kind.DIR or path in holding
        }
        if self._take(asked, modes, folders) or turned:
            self._put_in_order(asked)
        again = paths | {path.rpartition("/")[0] for path in paths}
        again.update(path for path, seen in self._seen.items() if seen.shared)
        if folders:
            again.update(path for path in self._seen if not folders.isdisjoint(parents(path)))
        return again

    def _is_shared(self, path: str, status: os.stat_result) -> bool:
        """Whether it is known of just this file that it has other names."""
        seen = self._seen.get(path)
        return seen is not None and seen.shared and seen.identity[:2] == (status.st_dev, status.st_ino)

    def _follow_anew(self, asked: _Asked, paths: set[str]) -> bool:
        """Goes after the sources once more; says whether they still lead to the same directories."""
        tops = self._route.tops
        self._route = follow(asked.root, asked.sources, asked.rules)
        return self._route.tops == tops and paths.isdisjoint(above for top in tops for above in parents(top))

    def _take(self, asked: _Asked, modes: dict[str, int], folders: set[str]) -> bool:
        """Walks where something changed; says whether that made for other entries."""
        entries, skipped = self._walked.entries, self._walked.skipped
        before = {path: entries.pop(path, None) for path in modes}
        skipped.difference_update(modes)
        if folders:
            for path in [path for path in entries if not folders.isdisjoint(parents(path))]:
                del entries[path]
            skipped.difference_update([path for path in skipped if not folders.isdisjoint(parents(path))])
        # what is in a directory is known better from walking it, so that comes last
        for path, mode in sorted(modes.items(), key=lambda each: S_ISDIR(each[1])):
            if not mode or not is_walked(path, self._route.tops):
                continue
            if S_ISDIR(mode):
                walk(asked.root, path, asked.rules, self._walked)
            elif asked.rules.excludes(path):
                continue
            elif (kind := _KINDS.get(S_IFMT(mode))) is not None:
                entries[path] = kind
            else:
                skipped.add(path)
        return bool(folders) or any(entries.get(path) is not kind for path, kind in before.items())

    def _put_in_order(self, asked: _Asked) -> None:
        found = {**self._walked.entries, **self._route.entries}
        if asked.name:
            found[asked.name] = Kind.FILE
        found = with_parents(found)
        self._order = {path: found[path] for path in sorted(found, key=walk_order)}

    def _look(self, asked: _Asked, again: set[str] | None, now_ns: int) -> bool:
        """Looks at entries, at all of them or at some; says whether each was what it was found to be."""
        seen, known = {}, self._seen
        for path, kind in self._order.items():
            entry = known.get(path)
            if entry is None or again is None or path in again or path == asked.name:
                entry = look(path, kind, f"{asked.root}/{path}", entry, now_ns)
                if entry is None:
                    continue
            seen[path] = entry
        self._seen = seen
        links = (each.entry.place for each in seen.values() if each.entry.kind is Kind.LINK)
        self._folder_linked = self._folder_linked or any(map(os.path.isdir, links))
        if asked.name:
            self._outside = None
        else:
            self._outside = look(OUTSIDE_NAME, Kind.FILE, asked.definition, self._outside, now_ns)
        if self._outside is None and asked.name not in seen:
            name = asked.name or asked.definition
            raise ContextError(f"the Dockerfile {name} vanished while it was read", "save it again")
        return len(seen) == len(self._order)

    def _taken(self, asked: _Asked, dockerfile: Path) -> Snapshot:
        entries = {path: seen.entry for path, seen in self._seen.items()}
        lines = [seen.line for seen in self._seen.values()]
        sizes = [entry.size for entry in entries.values() if entry.kind is Kind.FILE]
        name = asked.name
        lines.append(b"Dockerfile " + os.fsencode(name))
        if self._outside is not None:
            name = OUTSIDE_NAME
            while name in entries:
                name += "_"
            lines.append(self._outside.line)
            sizes.append(self._outside.entry.size)
        return Snapshot(
            root=Path(asked.root),
            entries=entries,
            dockerfile=dockerfile,
            dockerfile_name=name,
            files=len(sizes),
            size_bytes=sum(sizes),
            digest=sha256(b"".join(lines)).hexdigest(),
            skipped=tuple(sorted(self._walked.skipped | self._route.skipped)),
        )
