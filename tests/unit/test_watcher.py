"""The watcher on a real file system. Nothing here waits for a fixed time; deadlines only end what would hang."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import pytest
from watchfiles import Change, awatch
from watchfiles._rust_notify import WatchfilesRustInternalError

from console.errors import SplitdeckError
from console.model import ChangeBatch, Clock, SystemClock
from console.watch import watcher as watcher_module
from console.watch.watcher import Watcher, WatchScope
from tests.fakes import FakeClock

DEADLINE_S = 20.0
WARM_UP = "warm-up.txt"


class Saves:
    """A watcher at work, and what it told."""

    def __init__(self, root: Path, watcher: Watcher, quiet_ms: int) -> None:
        self.root = root
        self.watcher = watcher
        self.stop = asyncio.Event()
        self._patience_s = 0.2 + quiet_ms * 2 / 1000
        self.batches: asyncio.Queue[ChangeBatch] = asyncio.Queue()
        self.task = asyncio.create_task(self._collect())

    async def _collect(self) -> None:
        async for batch in self.watcher.batches(self.stop):
            await self.batches.put(batch)

    async def next(self) -> ChangeBatch:
        """The next batch that is not about the warm-up."""
        while True:
            getting = asyncio.create_task(self.batches.get())
            await asyncio.wait({getting, self.task}, timeout=DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                getting.cancel()
                pytest.fail(f"no save was told; the watcher: {self.task}")
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

    async def quiet(self) -> None:
        """Waits until nothing more is told, as after a tree was replaced: twice the pause between two looks at it."""
        ends_at = time.monotonic() + DEADLINE_S
        while time.monotonic() < ends_at:
            try:
                await asyncio.wait_for(self.batches.get(), 2 * watcher_module._LOOK_EVERY_MS / 1000)
            except asyncio.TimeoutError:
                return

    def write(self, path: str, text: str = "x") -> Path:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    async def warm_up(self, *files: str) -> None:
        """Saves files until the watcher sees them: watchfiles does not tell when its watch has begun."""
        unseen = set(files)
        ends_at = time.monotonic() + DEADLINE_S
        while unseen:
            assert time.monotonic() < ends_at, f"never seen: {unseen}"
            assert not self.task.done(), self.task
            for file in files:
                self.write(file, str(time.monotonic()))
            with suppress(asyncio.TimeoutError):
                unseen.difference_update((await asyncio.wait_for(self.batches.get(), self._patience_s)).paths)

    @staticmethod
    def _without_warm_up(paths: tuple[str, ...]) -> list[str]:
        return [path for path in paths if not path.endswith(WARM_UP)]


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
    singles = (outside / "Dockerfile", root / "src/config.toml", outside / WARM_UP)
    scope = WatchScope(root, (root / "src",), singles)
    watcher = Watcher(scope, ignored, quiet_ms, ceiling_ms, poll, clock or SystemClock())
    saves = Saves(root, watcher, quiet_ms)
    try:
        await saves.warm_up(f"src/{WARM_UP}", f"../outside/{WARM_UP}")
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
        assert (await saves.next()).number > batch.number


async def test_an_atomic_save_is_one_of_the_file_that_it_replaces(tmp_path: Path) -> None:
    async with watching(tmp_path) as saves:
        new = saves.write("src/app.py~")
        before = time.time()
        os.utime(new, (before - 5, before - 5))
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


async def test_what_our_own_output_goes_to_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log.txt"
    with log.open("w") as output:
        place = os.fstat(output.fileno())
        monkeypatch.setattr(watcher_module, "_written_by_us", lambda: [(place.st_dev, place.st_ino)])
        async with watching(tmp_path) as saves:
            os.link(log, saves.root / "src/log.txt")
            output.write("saved src/log.txt")
            output.flush()
            saves.write("src/app.py")
            assert await saves.until("src/app.py") == ["src/app.py"]


def test_our_output_is_known_where_it_goes_to_a_file(tmp_path: Path) -> None:
    script = "from console.watch.watcher import _written_by_us; print(*_written_by_us())"
    log = tmp_path / "log.txt"
    with log.open("w") as output:
        subprocess.run([sys.executable, "-c", script], stdout=output, stderr=subprocess.PIPE, check=True)
    assert log.read_text() == f"{(log.stat().st_dev, log.stat().st_ino)}\n"


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
        assert await saves.paths() == ["src/config.toml"]


async def test_a_single_file_in_a_tree_is_told_once(tmp_path: Path) -> None:
    async with watching(tmp_path) as saves:
        saves.write("src/config.toml")
        told = await saves.until("src/config.toml")
        for last in ("src/app.py", "../outside/Dockerfile"):
            saves.write(last)
            told += await saves.until(last)
        assert told == ["src/config.toml", "src/app.py", "../outside/Dockerfile"]


async def test_a_burst_is_one_batch_and_its_paths_are_sorted(tmp_path: Path) -> None:
    async with watching(tmp_path, quiet_ms=600, ceiling_ms=15_000) as saves:
        names = [f"src/{number:03}.py" for number in range(100)]
        for name in reversed(names):
            saves.write(name)
        assert await saves.paths() == names


async def test_saves_that_never_end_are_cut_by_the_ceiling(tmp_path: Path) -> None:
    async with watching(tmp_path, quiet_ms=600, ceiling_ms=900) as saves:
        rounds = 0

        async def keep_saving() -> None:
            nonlocal rounds
            while True:
                saves.write(f"src/{rounds}.py")
                rounds += 1
                await asyncio.sleep(0.02)

        saving = asyncio.create_task(keep_saving())
        assert len(await saves.paths()) > 1
        assert not saving.done()
        saving.cancel()


async def test_stopping_ends_the_batches_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with watching(tmp_path) as saves:
        saves.stop.set()
        await asyncio.wait_for(saves.task, DEADLINE_S)
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_polling_sees_every_save_even_two_within_a_second(tmp_path: Path) -> None:
    async with watching(tmp_path, poll="true") as saves:
        assert saves.watcher.polling
        for text in ("1", "2", "3"):
            saves.write("src/app.py", text)
            assert await saves.paths() == ["src/app.py"]
        saves.write("../outside/neighbour")
        saves.write("../outside/Dockerfile")
        (saves.root / "src/app.py").unlink()
        told = await saves.until("src/app.py")
        assert "../outside/Dockerfile" in (told if len(told) > 1 else await saves.paths())


async def polled(*looks: str) -> set[str] | BaseException:
    """The first batch, given the files that are there at each look."""
    clock, number = FakeClock(), 0

    def look() -> dict[str, int]:
        nonlocal number
        clock.advance(0.3)
        number += 1
        return dict.fromkeys(looks[min(number, len(looks)) - 1], 1)

    watcher = Watcher(WatchScope(Path(), ()), lambda _path: False, 2, 1_000, "true", clock)
    queue: asyncio.Queue[set[str] | BaseException] = asyncio.Queue()
    stop = asyncio.Event()
    polling = asyncio.create_task(watcher._poll(queue, look, stop))
    found = await asyncio.wait_for(queue.get(), DEADLINE_S)
    stop.set()
    await polling
    return found


async def test_polling_waits_for_the_quiet_period_but_not_beyond_the_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher_module, "_POLL_DELAY_S", 0.001)
    monkeypatch.setattr(watcher_module, "_POLL_SHARE", 1_000)
    assert await polled("", "", "a", "ab", "b", "b") == {"a", "b"}
    assert await polled("", "a", "ab", "abc", "abcd", "abcde", "abcdef", "abcdefg") < set("abcdefg")


@pytest.mark.parametrize(
    "error",
    [
        OSError("OS file watch limit reached"),
        PermissionError("Permission denied about src/data"),
        WatchfilesRustInternalError("Error creating recommended watcher: Too many open files"),
    ],
)
async def test_where_the_kernel_cannot_watch_the_files_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(watcher_module, "awatch", failing(error, times=1000))
    async with watching(tmp_path, poll="auto") as saves:
        assert saves.watcher.polling
        saves.write("src/app.py")
        assert await saves.paths() == ["src/app.py"]


async def test_a_folder_that_goes_while_the_watch_begins_is_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher_module, "awatch", failing(FileNotFoundError("src/build/tmp"), times=2))
    async with watching(tmp_path, poll="auto") as saves:
        assert not saves.watcher.polling
        saves.write("src/app.py")
        assert await saves.paths() == ["src/app.py"]


def failing(error: Exception, times: int) -> Callable[..., AsyncIterator[set[tuple[Change, str]]]]:
    """`awatch` that raises at its first calls."""
    left = times

    def watch(*places: Path, **options: Any) -> AsyncIterator[set[tuple[Change, str]]]:
        nonlocal left
        left -= 1
        if left >= 0:
            raise error
        return awatch(*places, **options)

    return watch


async def test_a_name_that_is_not_utf_8_does_not_end_the_watch(tmp_path: Path) -> None:
    async with watching(tmp_path) as saves:
        for text in ("one", "two"):
            saves.write("src/caf\udce9.py", text)
            await saves.until("src/caf\udce9.py")
        saves.write("src/app.py")
        await saves.until("src/app.py")


async def test_such_a_name_beside_a_single_file_is_not_ours(tmp_path: Path) -> None:
    async with watching(tmp_path) as saves:
        saves.write("../outside/neighbour.py")
        saves.write("../outside/caf\udce9.py")
        saves.write("src/app.py")
        told = await saves.until("src/app.py")
        saves.write("../outside/Dockerfile")
        told += await saves.until("../outside/Dockerfile")
        assert not [path for path in told if "neighbour" in path or "caf" in path]


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher_module, "_LOOK_EVERY_MS", 200)


@pytest.mark.usefixtures("often")
async def test_a_tree_that_is_removed_and_put_back_is_followed_on(tmp_path: Path) -> None:
    async with watching(tmp_path) as saves:
        shutil.copytree(saves.root / "src", saves.root / "keep")
        for text in ("one", "two"):
            shutil.rmtree(saves.root / "src")
            (saves.root / "keep/app.py").write_text(text)
            shutil.copytree(saves.root / "keep", saves.root / "src")
            await saves.until("src/app.py")
            await saves.quiet()
            saves.write("src/later.py", text)
            assert await saves.paths() == ["src/later.py"]


@pytest.mark.usefixtures("often")
async def test_a_tree_that_another_takes_the_place_of_is_told_by_what_differs(tmp_path: Path) -> None:
    async with watching(tmp_path) as saves:
        saves.write("src/same.py")
        saves.write("src/gone.py")
        await saves.until("src/gone.py")
        await saves.quiet()
        (saves.root / "other").mkdir()
        os.link(saves.root / "src/same.py", saves.root / "other/same.py")
        saves.write("other/deep/new.py")
        saves.write("other/app.py", "another")
        (saves.root / "src").rename(saves.root / "away")
        (saves.root / "other").rename(saves.root / "src")
        told = await saves.until("src/deep/new.py")
        assert {"src/app.py", "src/deep/new.py", "src/gone.py"} <= set(told)
        saves.write("src/deep/new.py")
        await saves.until("src/deep/new.py")


@pytest.mark.usefixtures("often")
async def test_a_tree_that_stays_away_for_long_is_followed_when_it_comes_back(tmp_path: Path) -> None:
    async with watching(tmp_path) as saves:
        shutil.rmtree(saves.root / "src")
        saves.write("../outside/Dockerfile")
        await saves.until("../outside/Dockerfile")
        await saves.quiet()
        saves.write("src/back.py")
        await saves.until("src/back.py")
        await saves.quiet()
        saves.write("src/later.py")
        await saves.until("src/later.py")


@pytest.mark.usefixtures("often")
async def test_the_folder_of_a_single_file_may_be_replaced_too(tmp_path: Path) -> None:
    async with watching(tmp_path) as saves:
        (tmp_path / "outside").rename(tmp_path / "away")
        saves.write("../outside/Dockerfile", "new")
        await saves.until("../outside/Dockerfile")
        await saves.quiet()
        saves.write("../outside/Dockerfile", "newer")
        await saves.until("../outside/Dockerfile")


def test_what_is_noted_of_saves_is_what_looking_would_find(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "new.py").touch()
    watcher = Watcher(WatchScope(tmp_path, (tmp_path,), (tmp_path / "lost",)), bool, 50, 1000, "auto", SystemClock())
    seen = {str(tmp_path / name): 1 for name in ("gone.py", "new.py")}
    watcher_module._note(seen, [str(tmp_path / name) for name in ("folder", "new.py", "gone.py")])
    assert seen.keys() == {str(tmp_path / "new.py")}
    assert watcher._look_at_files() == {}


@pytest.mark.parametrize("poll", ["true", "false"])
async def test_a_project_in_a_folder_whose_name_is_left_out_elsewhere(
    tmp_path: Path, poll: Literal["true", "false"]
) -> None:
    async with watching(tmp_path / "node_modules/.git", poll=poll) as saves:
        saves.write("src/node_modules/x.js")
        saves.write("src/app.py")
        assert await saves.until("src/app.py") == ["src/app.py"]
        assert saves.watcher.count_files() == 2, "app.py and the warm-up; config.toml is a single file"


async def test_an_implausible_time_gives_way_to_the_quiet_period(tmp_path: Path) -> None:
    async with watching(tmp_path, clock=FakeClock(time.time() - 3600)) as saves:
        saves.write("src/app.py")
        batch = await saves.next()
        assert batch.closed_at - batch.saved_at == pytest.approx(0.05, abs=1e-3)


@pytest.mark.parametrize("poll", ["auto", "true", "false"])
async def test_what_cannot_be_watched_is_told(tmp_path: Path, poll: Literal["auto", "true", "false"]) -> None:
    scope = WatchScope(tmp_path, (tmp_path / "gone",))
    watcher = Watcher(scope, lambda _path: False, 50, 1000, poll, SystemClock())

    async def watch() -> None:
        async for _ in watcher.batches(asyncio.Event()):
            pytest.fail("nothing can have been seen")

    with pytest.raises(SplitdeckError, match="cannot be watched") as caught:
        await asyncio.wait_for(watch(), DEADLINE_S)
    assert "[watch] paths" in caught.value.hint


def test_files_are_counted_as_they_are_watched(tmp_path: Path) -> None:
    for name in ("a.py", "sub/b.py", "sub/c.log", ".git/HEAD", "node_modules/x.js", "skip/d.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    scope = WatchScope(tmp_path, (tmp_path, tmp_path / "sub/b.py"))
    watcher = Watcher(scope, lambda path: path == "skip" or path.endswith(".log"), 50, 1000, "auto", SystemClock())
    assert watcher.count_files() == 3, "a.py, sub/b.py, and sub/b.py once more as a tree of its own"
