"""The watcher on a real file system. Nothing here waits for a fixed time; deadlines only end what would hang."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest

from console.errors import SplitdeckError
from console.model import ChangeBatch, Clock, SystemClock
from console.watch.watcher import Watcher, WatchScope
from tests.fakes import FakeClock

DEADLINE_S = 20.0
WARM_UP = "warm-up.txt"


class Saves:
    """A watcher at work, and what it told."""

    def __init__(self, root: Path, watcher: Watcher, stop: asyncio.Event) -> None:
        self.root = root
        self.watcher = watcher
        self.stop = stop
        self.batches: asyncio.Queue[ChangeBatch] = asyncio.Queue()
        self.task = asyncio.create_task(self._collect())

    async def _collect(self) -> None:
        async for batch in self.watcher.batches(self.stop):
            await self.batches.put(batch)

    async def next(self) -> ChangeBatch:
        """The next batch that is not about the warm-up."""
        while True:
            getting = asyncio.create_task(self.batches.get())
            async with asyncio.timeout(DEADLINE_S) if hasattr(asyncio, "timeout") else _forever():
                await asyncio.wait({getting, self.task}, return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                getting.cancel()
                await self.task
                pytest.fail("the watcher ended")
            batch = getting.result()
            if self._without_warm_up(batch.paths):
                return batch

    async def paths(self) -> list[str]:
        return self._without_warm_up((await self.next()).paths)

    async def until(self, path: str) -> list[str]:
        """Every path that was told up to the batch with this one."""
        told: list[str] = []
        while path not in told:
            told += await self.paths()
        return told

    def write(self, path: str, text: str = "x") -> Path:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    async def warm_up(self, files: list[Path]) -> None:
        """Saves files until the watcher sees them: watchfiles does not tell when its watch has begun."""
        waiting = {os.path.relpath(path, self.root) for path in files}
        ends_at = time.monotonic() + DEADLINE_S
        while waiting:
            assert time.monotonic() < ends_at, f"never seen: {waiting}"
            for path in files:
                path.write_text(str(time.monotonic()))
            try:
                waiting.difference_update((await asyncio.wait_for(self.batches.get(), 0.2)).paths)
            except asyncio.TimeoutError:
                assert not self.task.done() or self.task.result()

    @staticmethod
    def _without_warm_up(paths: tuple[str, ...]) -> list[str]:
        return [path for path in paths if not path.endswith(WARM_UP)]


@asynccontextmanager
async def _forever() -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def watching(
    folder: Path,
    *,
    ignored: Callable[[str], bool] = lambda _path: False,
    quiet_ms: int = 50,
    ceiling_ms: int = 5_000,
    poll: Literal["auto", "true", "false"] = "false",
    clock: Clock | None = None,
) -> AsyncIterator[Saves]:
    """A project with the tree `src`, and single files in the tree, beside it and outside the project."""
    root, outside = folder / "project", folder / "outside"
    (root / "src").mkdir(parents=True)
    outside.mkdir()
    (root / "src/app.py").write_text("1")
    (root / "src/config.toml").write_text("1")
    (outside / "Dockerfile").write_text("1")
    warm_up = [root / "src" / WARM_UP, outside / WARM_UP]
    scope = WatchScope(root, (root / "src",), (outside / "Dockerfile", root / "src/config.toml", warm_up[1]))
    watcher = Watcher(scope, ignored, quiet_ms, ceiling_ms, poll, clock or SystemClock())
    saves = Saves(root, watcher, asyncio.Event())
    try:
        await saves.warm_up(warm_up)
        yield saves
    finally:
        saves.stop.set()
        await asyncio.wait_for(saves.task, DEADLINE_S)


async def test_a_save_with_its_time(tmp_path: Path) -> None:
    async with watching(tmp_path) as saves:
        before = time.time()
        saves.write("src/app.py")
        after = time.time()
        batch = await saves.next()
        assert "src/app.py" in batch.paths
        granularity = 0.02  # of the kernel's file times
        assert before - granularity <= batch.saved_at <= after + granularity
        assert batch.saved_at <= batch.closed_at <= time.time()
        saves.write("src/app.py")
        assert (await saves.next()).number == batch.number + 1


async def test_an_atomic_save_is_one_of_the_file_that_it_replaces(tmp_path: Path) -> None:
    async with watching(tmp_path) as saves:
        new = saves.write("src/app.py~")
        os.utime(new, (1_000_000_000, 1_000_000_000))
        before = time.time()
        new.replace(saves.root / "src/app.py")
        batch = await saves.next()
        assert saves._without_warm_up(batch.paths) == ["src/app.py"]
        assert before - 0.02 <= batch.saved_at <= batch.closed_at, "when it was renamed, not what its old time says"


async def test_a_deletion_counts(tmp_path: Path) -> None:
    async with watching(tmp_path) as saves:
        before = time.time()
        (saves.root / "src/app.py").unlink()
        batch = await saves.next()
        assert saves._without_warm_up(batch.paths) == ["src/app.py"]
        assert before - 0.02 <= batch.saved_at <= batch.closed_at


async def test_a_folder_that_is_moved_in_counts_and_so_do_later_saves_in_it(tmp_path: Path) -> None:
    async with watching(tmp_path) as saves:
        saves.write("package/module.py")
        (saves.root / "package").rename(saves.root / "src/package")
        assert "src/package" in await saves.paths()
        saves.write("src/package/module.py")
        assert "src/package/module.py" in await saves.until("src/package/module.py")


async def test_an_empty_new_folder_is_no_save_but_files_in_it_are(tmp_path: Path) -> None:
    async with watching(tmp_path) as saves:
        (saves.root / "src/empty").mkdir()
        saves.write("src/app.py")
        assert await saves.until("src/app.py") == ["src/app.py"]
        saves.write("src/empty/new.py")
        await saves.until("src/empty/new.py")


async def test_what_is_ignored_and_editors_temporary_files_do_not_count(tmp_path: Path) -> None:
    async with watching(tmp_path, ignored=lambda path: path.endswith(".log")) as saves:
        for name in ("debug.log", ".app.py.swp", "app.py~", ".#app.py", "__pycache__/app.pyc", ".git/index"):
            saves.write(f"src/{name}")
        saves.write("elsewhere.py")
        saves.write("src/app.py")
        assert await saves.until("src/app.py") == ["src/app.py"]


async def test_single_files_count_wherever_they_lie_and_whatever_is_ignored(tmp_path: Path) -> None:
    async with watching(tmp_path, ignored=lambda path: path.endswith(".toml")) as saves:
        saves.write("../outside/neighbour")
        saves.write("../outside/Dockerfile", "in place")
        assert await saves.paths() == ["../outside/Dockerfile"]
        saves.write("../outside/Dockerfile.new").replace(tmp_path / "outside/Dockerfile")
        assert await saves.paths() == ["../outside/Dockerfile"]
        saves.write("../outside/Dockerfile", "in place again")
        assert await saves.paths() == ["../outside/Dockerfile"], "the replaced file is followed too"
        saves.write("src/config.toml")
        saves.write("src/app.py")
        told = {*await saves.paths(), *await saves.paths()}
        assert told == {"src/config.toml", "src/app.py"}, "each once"


async def test_a_burst_is_one_batch_and_its_paths_are_sorted(tmp_path: Path) -> None:
    async with watching(tmp_path, quiet_ms=1_000, ceiling_ms=15_000) as saves:
        names = [f"src/{number % 7}/{number:03}.py" for number in range(100)]
        for name in names:
            (saves.root / name).parent.mkdir(exist_ok=True)
        for name in reversed(names):
            saves.write(name)
        paths = await saves.paths()
        assert [path for path in paths if path.endswith(".py")] == sorted(names)
        assert paths == sorted(paths)


async def test_saves_that_never_end_are_cut_by_the_ceiling(tmp_path: Path) -> None:
    async with watching(tmp_path, quiet_ms=1_000, ceiling_ms=1_500) as saves:
        rounds = 0

        async def keep_saving() -> None:
            nonlocal rounds
            while True:
                saves.write("src/app.py", str(rounds))
                rounds += 1
                await asyncio.sleep(0.02)

        saving = asyncio.create_task(keep_saving())
        assert "src/app.py" in await saves.paths()
        assert not saving.done()
        saving.cancel()
        assert rounds > 1


async def test_stopping_ends_the_batches_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with watching(tmp_path) as saves:
        saves.stop.set()
        await asyncio.wait_for(saves.task, DEADLINE_S)
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_polling_sees_saves_too(tmp_path: Path) -> None:
    async with watching(tmp_path, poll="true") as saves:
        assert saves.watcher.polling
        saves.write("src/app.py", "longer than before")
        assert await saves.paths() == ["src/app.py"]


async def test_a_name_that_is_not_utf_8_does_not_end_the_watch(tmp_path: Path) -> None:
    async with watching(tmp_path) as saves:
        odd = os.fsencode(saves.root) + b"/src/caf\xe9.py"
        for text in ("one", "two"):
            Path(os.fsdecode(odd)).write_text(text)
            assert "src/caf\udce9.py" in await saves.until("src/caf\udce9.py")
        saves.write("src/app.py")
        await saves.until("src/app.py")


async def test_an_implausible_time_gives_way_to_the_quiet_period(tmp_path: Path) -> None:
    async with watching(tmp_path, clock=FakeClock(time.time() - 3600)) as saves:
        saves.write("src/app.py")
        batch = await saves.next()
        assert batch.closed_at - batch.saved_at == pytest.approx(0.05, abs=1e-3)


@pytest.mark.parametrize("poll", ["auto", "true", "false"])
async def test_what_cannot_be_watched_is_told(tmp_path: Path, poll: Literal["auto", "true", "false"]) -> None:
    scope = WatchScope(tmp_path, (tmp_path / "gone",))
    watcher = Watcher(scope, lambda _path: False, 50, 1000, poll, SystemClock())
    with pytest.raises(SplitdeckError, match="cannot be watched") as caught:
        async for _ in watcher.batches(asyncio.Event()):
            pytest.fail("nothing can have been seen")
    assert "[watch] paths" in caught.value.hint


def test_files_are_counted_as_they_are_watched(tmp_path: Path) -> None:
    for name in ("a.py", "sub/b.py", "sub/c.log", ".git/HEAD", "node_modules/x.js", "skip/d.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    scope = WatchScope(tmp_path, (tmp_path, tmp_path / "sub/b.py"))
    watcher = Watcher(scope, lambda path: path == "skip" or path.endswith(".log"), 50, 1000, "auto", SystemClock())
    assert watcher.count_files() == 3, "a.py, sub/b.py, and sub/b.py once more as a tree of its own"
