"""The watcher: saves in the source tree, in batches that a quiet period ends.

watchfiles (Rust, inotify and its kin) does the watching and the batching; here is what to leave out, when a save was
made, and looking at the files ourselves where the kernel does not tell of them: network file systems, watches run out,
a folder that we may not read.
"""

from __future__ import annotations

import asyncio
import os
import platform
import stat
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from watchfiles import Change, DefaultFilter, awatch
from watchfiles._rust_notify import WatchfilesRustInternalError

from console.errors import SplitdeckError
from console.model import ChangeBatch, Clock

Ignored = Callable[[str], bool]
"""Whether a path (relative to the project's folder, posix) is left out."""

_Look = Callable[[], dict[str, int]]
"""Every file that counts with the time of its last change, in nanoseconds. Walks the disk."""

_POLL_DELAY_S = 0.3
_POLL_SHARE = 0.2
"""Of the time that polling may take at most: looking at a huge tree makes the pauses longer."""
_ATTEMPTS = 3
_PLAUSIBLE_AGE_S = 10.0
_LOOK_EVERY_MS = 1_000
"""How soon a watched folder that was replaced by another is noticed."""


@dataclass(frozen=True, slots=True)
class WatchScope:
    """What to watch.

    Args:
        root: The project's folder; paths in batches are relative to it.
        trees: Folders (or files) whose every file counts, unless ignored.
        files: Single files that count wherever they lie and whatever is ignored: Dockerfiles, config.toml.
    """

    root: Path
    trees: tuple[Path, ...]
    files: tuple[Path, ...] = ()


class Watcher:
    """Turns saves into change batches.

    Args:
        scope: What to watch.
        ignored: What to leave out, besides version control, caches and editors' temporary files.
        quiet_ms: A batch ends when no save came for this long.
        ceiling_ms: A batch ends after this long whatever comes.
        poll: Whether to look at the files in place of waiting for the kernel's word.
        clock: The present.
        told: Hears of every change as the kernel tells it (absolute paths), before anything is left out.
        doubted: Hears that changes may have gone by unnoticed.
    """

    def __init__(
        self,
        scope: WatchScope,
        ignored: Ignored,
        quiet_ms: int,
        ceiling_ms: int,
        poll: Literal["auto", "true", "false"],
        clock: Clock,
        told: Callable[[Iterable[str]], None] = lambda _paths: None,
        doubted: Callable[[], None] = lambda: None,
    ) -> None:
        self._told = told
        self._doubted = doubted
        self._scope = scope
        self._ignored = ignored
        # watchfiles ends a batch at the first of its steps that brought nothing new: two steps make one quiet period.
        self._step_ms = max(1, quiet_ms // 2)
        self._ceiling_ms = ceiling_ms
        self.polling = poll == "true" or (poll == "auto" and _is_wsl())
        self._may_poll = poll != "false"
        self._clock = clock
        self._files = {str(path) for path in scope.files}
        self._trees = tuple(f"{tree}/" for tree in scope.trees)
        self._default = DefaultFilter()
        self._written = frozenset(_written_by_us())
        self._numbers = 0

    def count_files(self) -> int:
        """How many files are watched now. Walks the trees: call it from a thread."""
        return sum(1 for tree in self._scope.trees for _ in self._walk(tree))

    async def batches(self, stop: asyncio.Event) -> AsyncIterator[ChangeBatch]:
        """Batches until `stop` is set.

        Raises:
            SplitdeckError: If the trees cannot be watched at all.
        """
        queue: asyncio.Queue[set[str] | BaseException] = asyncio.Queue()
        folders = {path.parent for path in self._scope.files}
        tasks = [
            asyncio.create_task(
                self._collect(queue, self._scope.trees, self._counts, self._look_at_trees, stop, recursive=True)
            ),
            asyncio.create_task(
                self._collect(queue, folders, self._is_single, self._look_at_files, stop, recursive=False)
            ),
        ]
        ended = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                getting = asyncio.create_task(queue.get())
                await asyncio.wait({getting, ended}, return_when=asyncio.FIRST_COMPLETED)
                if not getting.done():
                    getting.cancel()
                    break
                found = getting.result()
                if isinstance(found, BaseException):
                    raise found
                yield self._batch(found)
        finally:
            stop.set()
            ended.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _collect(
        self,
        queue: asyncio.Queue[set[str] | BaseException],
        places: Iterable[Path],
        counts: Callable[[Change, str], bool],
        look: _Look,
        stop: asyncio.Event,
        *,
        recursive: bool,
    ) -> None:
        places = tuple(places)
        names = {str(place) for place in places}
        seen: dict[str, int] | None = None
        began = False
        attempts = 0
        while places and not stop.is_set():
            if began and not any(map(Path.exists, places)):
                await _is_set_within(_LOOK_EVERY_MS / 1000, stop)
                continue
            if self.polling:
                if began or all(map(Path.exists, places)):
                    await self._poll(queue, look, stop)
                else:
                    queue.put_nowait(_unwatchable(FileNotFoundError("no such file or folder")))
                return
            watched = {place: _identity(place) for place in places}
            seen = await self._catch_up(queue, look, seen)
            in_place = False
            try:
                told = awatch(
                    *(place for place in places if not began or watched[place]),
                    watch_filter=None,  # ours comes below, so that changes that do not count wake us up, too
                    debounce=self._ceiling_ms,
                    step=self._step_ms,
                    stop_event=stop,
                    rust_timeout=_LOOK_EVERY_MS,
                    yield_on_timeout=True,
                    force_polling=False,
                    recursive=recursive,
                    # True would hide every error and leave whatever comes after it unwatched.
                    ignore_permission_denied=False,
                )
                async with aclosing(told):
                    async for changes in told:
                        self._told([path for _, path in changes])
                        saved = {path for change, path in changes if counts(change, path)}
                        if in_place:
                            _note(seen, saved)
                            if saved:
                                queue.put_nowait(saved)
                        else:
                            seen = await self._catch_up(queue, look, seen, saved)
                            in_place = began = True
                        # A watch is on the folder that had the name, not on the name: a removed one is lost, and so is
                        # one that another takes the place of, even if that gets the number of the old one.
                        gone = names.intersection(path for change, path in changes if change is not Change.modified)
                        watched.update((place, None) for place in places if str(place) in gone)
                        if any((now := _identity(place)) and now != was for place, was in watched.items()):
                            break
            except Exception as group:  # noqa: BLE001 - awatch wraps what its thread raises in a group
                self._doubted()
                error = _innermost(group)
                attempts += 1
                if isinstance(error, WatchfilesRustInternalError) and "decode path" in str(error):
                    continue  # an event (reading is one too) on a file whose name is not UTF-8 ends the watch
                if isinstance(error, FileNotFoundError) and (
                    began or (attempts < _ATTEMPTS and all(map(Path.exists, places)))
                ):
                    await _is_set_within(_POLL_DELAY_S, stop)
                    continue  # a folder went away while it was being added
                if self._may_poll and not isinstance(error, FileNotFoundError):
                    self.polling = True
                else:
                    queue.put_nowait(_unwatchable(error))
                    return

    async def _poll(self, queue: asyncio.Queue[set[str] | BaseException], look: _Look, stop: asyncio.Event) -> None:
        """Looks at the files ourselves. watchfiles' own polling takes two saves within a second for one."""
        before = await asyncio.to_thread(look)
        found: set[str] = set()
        found_at = 0.0
        pause_s = _POLL_DELAY_S
        while not await _is_set_within(pause_s, stop):
            began = self._clock.monotonic()
            now = await asyncio.to_thread(look)
            took_s = self._clock.monotonic() - began
            more, before = _differing(before, now), now
            found_at = found_at if found else began
            found |= more
            if found and (not more or (began - found_at) * 1000 >= self._ceiling_ms):
                queue.put_nowait(found)
                found = set()
            pause_s = self._step_ms * 2 / 1000 if found else max(_POLL_DELAY_S, took_s / _POLL_SHARE)

    async def _catch_up(
        self,
        queue: asyncio.Queue[set[str] | BaseException],
        look: _Look,
        seen: dict[str, int] | None,
        saved: Iterable[str] = (),
    ) -> dict[str, int]:
        """Looks at the files ourselves, for what was saved while no watch was in place; gives what is there now."""
        now = await asyncio.to_thread(look)
        self._doubted()
        missed = set(saved) if seen is None else _differing(seen, now).union(saved)
        if missed:
            queue.put_nowait(missed)
        return now

    def _look_at_trees(self) -> dict[str, int]:
        return {path: _changed_at_ns(path) for tree in self._scope.trees for path in self._walk(tree)}

    def _look_at_files(self) -> dict[str, int]:
        return {path: changed_at for path in self._files if (changed_at := _changed_at_ns(path))}

    def _counts(self, _change: Change, path: str) -> bool:
        if path in self._files or not self._default(_change, self._below_tree(path)):
            return False
        if self._ignored(self._relative(path)) or _is_empty_folder(path):
            return False
        return not self._written or _identity(Path(path)) not in self._written

    def _is_single(self, _change: Change, path: str) -> bool:
        return path in self._files

    def _relative(self, path: str) -> str:
        return Path(os.path.relpath(path, self._scope.root)).as_posix()

    def _below_tree(self, path: str) -> str:
        """The part that the default names to leave out hold for: a project may lie in a folder that has such a name."""
        return next((path[len(tree) :] for tree in self._trees if path.startswith(tree)), path.rpartition("/")[2])

    def _batch(self, paths: set[str]) -> ChangeBatch:
        closed_at = self._clock.now()
        self._numbers += 1
        saved_at = max((_saved_at(path) for path in paths), default=closed_at)
        if not closed_at - _PLAUSIBLE_AGE_S <= saved_at <= closed_at:
            saved_at = closed_at - self._step_ms * 2 / 1000
        return ChangeBatch(self._numbers, tuple(sorted(map(self._relative, paths))), saved_at, closed_at)

    def _walk(self, tree: Path) -> Iterable[str]:
        if tree.is_file():
            yield str(tree)
            return
        for folder, folders, files in os.walk(tree):
            folders[:] = [
                name
                for name in folders
                if name not in self._default.ignore_dirs and not self._ignored(self._relative(f"{folder}/{name}"))
            ]
            yield from (path for name in files if self._counts(Change.added, path := f"{folder}/{name}"))


def _written_by_us() -> Iterable[tuple[int, int]]:
    """The files that our output goes to (`splitdeck run --plain > log.txt`): telling of a save would be the next."""
    for descriptor in (1, 2):
        with suppress(OSError):
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode):
                yield status.st_dev, status.st_ino


def _is_wsl() -> bool:
    """Windows drives there tell nothing of their changes."""
    return "microsoft-standard" in platform.release()


def _is_empty_folder(path: str) -> bool:
    """A new folder is no save, but one that was moved here with files in it is: they are not reported one by one."""
    try:
        with os.scandir(path) as entries:
            return not any(entries)
    except OSError:
        return False


async def _is_set_within(seconds: float, event: asyncio.Event) -> bool:
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


def _differing(before: dict[str, int], now: dict[str, int]) -> set[str]:
    return {path for path in now.keys() | before.keys() if now.get(path) != before.get(path)}


def _saved_at(path: str) -> float:
    """When a file was last written or renamed into place, or its folder lost it; seconds since 1970, 0 where unknown.

    The inode's change time, as a rename and `cp -p` keep the old modification time.
    """
    try:
        return os.lstat(path).st_ctime
    except OSError:
        pass
    try:
        return Path(path).parent.lstat().st_mtime
    except OSError:
        return 0.0


def _changed_at_ns(path: str) -> int:
    try:
        return os.lstat(path).st_ctime_ns
    except OSError:
        return 0


def _identity(place: Path) -> tuple[int, int] | None:
    """What tells a folder from another that has taken its place; None where there is none."""
    try:
        status = place.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _note(seen: dict[str, int], paths: Iterable[str]) -> None:
    """Brings what was seen of some files up to date. Folders among them are none: looking finds their files."""
    for path in paths:
        seen.pop(path, None)
        if (changed_at := _changed_at_ns(path)) and not Path(path).is_dir():
            seen[path] = changed_at


def _innermost(error: BaseException) -> BaseException:
    """The first single exception of a group, which Python 3.10 knows from a package only."""
    while inner := getattr(error, "exceptions", None):
        error = inner[0]
    return error


def _unwatchable(error: BaseException) -> SplitdeckError:
    return SplitdeckError(
        f"the source cannot be watched: {error}",
        'check [watch] paths; with many folders raise fs.inotify.max_user_watches, or set [watch] poll = "true"',
    )
