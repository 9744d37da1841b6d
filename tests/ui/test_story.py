"""One session from an empty screen to a rollback, as the screen tells it."""

from __future__ import annotations

import pytest

from console import events as ev
from console.format import clock_time
from console.model import BuildStatus, ContainerStatus, Target, Track
from tests.ui.conftest import Console
from tests.ui.story import START, image, story, until


async def test_before_the_engine_answers(console: Console) -> None:
    async with console() as session:
        assert "connecting to the engine" in session.text("HeaderBar")
        assert "no save yet" in session.text("#pipeline")
        assert "not measured yet – press l" in session.text("#compare")
        assert "not running" in session.title("#app")


async def test_header_names_engine_base_and_watcher(console: Console) -> None:
    async with console() as session:
        await session.play("connected")
        header = session.text("HeaderBar")
        for part in ("codesearch", "docker 28.5.1", "buildkit", "2026.11.23 ✔ fresh 2 d", "watching 214 files"):
            assert part in header
        assert clock_time(session.clock.at) in header
        await session.tell(ev.WatchPaused(paused=True))
        assert "paused" in session.text("HeaderBar")
        await session.tell(ev.BaseStale(("requirements.txt", "docker/base.Dockerfile")))
        assert "stale: 2 inputs changed" in session.text("HeaderBar")


async def test_the_first_container_is_made_of_a_build_and_no_save(console: Console) -> None:
    async with console() as session:
        await session.play("first_start")
        assert "running: build #41 (first start) ✔" in session.text("#pipeline")
        assert "healthy · http://localhost:8000 · cpu 1.2 % · 212 MB" in session.title("#app")


async def test_a_save_while_it_builds(console: Console) -> None:
    async with console() as session:
        await session.play("building")
        saved = clock_time(session.store.state.saves[-1][1])
        shown = session.text("#pipeline")
        assert f"#42  saved {saved}" in shown
        assert "running: build #41 (first start)" in shown
        assert f"your {saved} save ● is building" in shown
        before = session.text("#pipeline")
        await session.wait(0.2)
        assert "so far" in session.text("#pipeline")
        assert session.text("#pipeline") != before
        steps = session.text("StepsView").splitlines()
        assert steps[0].startswith("⚡ cached")
        assert steps[4].startswith("● running 5/5")


async def test_served(console: Console) -> None:
    async with console() as session:
        await session.play("served")
        saved = clock_time(session.store.state.saves[-1][1])
        shown = session.text("#pipeline")
        rows = {row.split()[0]: row for row in shown.splitlines() if row.strip()}
        assert rows["detect"].endswith("31 ms")
        assert "3 files, 18.2 kB" in rows["context"]
        assert "5/5 ⚡4" in rows["build"]
        assert rows["build"].endswith("118 ms")
        assert rows["swap"].endswith("152 ms")
        assert rows["swap"].count("█") > rows["build"].count("█") > rows["ready"].count("█") > 0
        assert "wait" not in rows
        assert rows["save-to-ready"].endswith("351 ms")
        assert f"running: your {saved} save ✔" in shown
        compare = session.text("#compare")
        assert "349 ms" in compare
        assert "not measured yet – press l to race it" in compare
        assert "×" not in compare


async def test_a_failed_build_leaves_the_running_save_named(console: Console) -> None:
    async with console() as session:
        await session.play("failed")
        (_, served), (_, failed) = session.store.state.saves
        shown = session.text("#pipeline")
        assert f"running: your {clock_time(served)} save" in shown
        assert "save ✔" not in shown
        assert f"your {clock_time(failed)} save ✖ failed" in shown
        steps = session.text("StepsView")
        assert "✖ FAILED  5/5   RUN python -m compileall" in steps
        assert "docker/app.Dockerfile:9" in steps
        assert "SyntaxError: '(' was never closed" in steps
        assert "build #43 failed" in session.text("NoticeLine")
        await session.press("e")
        assert "the app still runs your save before" in "\n".join(session.screen_text())
        await session.press("escape")
        assert not session.dashboard.query_one("NoticeLine").display


async def test_the_legacy_race_and_its_outcome(console: Console) -> None:
    async with console() as session:
        await session.play("racing")
        assert "32.3 s  4/10 RUN pip install" in session.text("#compare")
        assert "legacy is 32.2 s behind" in session.text("#compare")
        await session.wait(10)
        assert "42.3 s  4/10 RUN pip install" in session.text("#compare")
        assert "legacy is 42.2 s behind" in session.text("#compare")
        assert "▸legacy #44 ● 42 s" in session.text("BuildTabs")
        assert "412 MB" in session.text("StepsView")
    async with console() as session:
        await session.play("compared")
        compare = session.text("#compare")
        assert "Python deps" in compare
        assert "75.3 s   in base    75.3 s" in compare
        for part in ("×354", "n=5", "99.7 %", "saved 41 m 00 s", "base cost 6 m 01 s"):
            assert part in compare
        assert "app <60 s ✔  reduction ≥80 % ✔  iteration ≥5× ✔  CI −70 % ?" in compare
        assert "✔ split won by 2 m 03 s" in compare
        assert "code change" in session.title("#compare")
        await session.wait(7200)
        assert compare.count("now") == 2
        assert session.text("#compare").count("2 h ago") == 2


async def test_a_rollback_says_what_runs_and_why(console: Console) -> None:
    async with console() as session:
        await session.play("rolled_back")
        served = session.store.state.served
        assert served is not None
        assert served.batch == 42
        shown = session.text("#pipeline")
        assert served.saved_at is not None
        assert f"running: your {clock_time(served.saved_at)} save" in shown
        assert "save ✖ failed, rolled back" in shown
        assert "↶ the new container exited with code 1" in shown
        assert "save ✔" not in shown
        assert "✔ running" in session.title("#app")


async def test_the_build_pane_shows_what_runs_and_what_the_user_picks(console: Console) -> None:
    async with console() as session:
        await session.play("racing")
        assert "#44 legacy" in session.title("#build")
        late = until("failed")[-1].at + 40
        await session.tell(
            ev.Stamped(late, ev.BuildStarted(45, Target.APP, Track.SPLIT, "codesearch:dev", "save #45", 45)),
        )
        assert "#44 legacy" in session.title("#build"), "a save must not take the race out of sight"
        broken = ev.BuildFinished(45, Target.APP, Track.SPLIT, BuildStatus.FAILED, 80, 4, (), 0, 5, "", 0)
        await session.tell(broken)
        assert "#45 app" in session.title("#build"), "a failure must be seen"
        await session.press("t")
        assert "base" in session.title("#build")
        await session.pilot.click("BuildTabs", offset=(2, 0))
        await session.pilot.pause()
        assert "#45 app" in session.title("#build")
        log = "\n".join(session.log("#build").lines_on_screen)
        assert "#45 app: save #45" in log
        await session.tell(ev.BuildStarted(46, Target.BASE, Track.SPLIT, "codesearch-base", "asked for"))
        assert "#46 base" in session.title("#build")


async def test_cancelled_build_is_not_shown_as_running(console: Console) -> None:
    async with console() as session:
        await session.play("building")
        cancelled = ev.BuildFinished(42, Target.APP, Track.SPLIT, BuildStatus.CANCELLED, 80, 4, (), 0, 5, "", 0)
        await session.tell(cancelled)
        assert "⊘ was cancelled" in session.text("#pipeline")
        before = session.text("#pipeline")
        await session.wait(3)
        assert session.text("#pipeline") == before


async def test_the_container_that_exits(console: Console) -> None:
    async with console() as session:
        await session.play("served")
        await session.tell(ev.ContainerExited("c42", 137))
        assert session.store.state.container.status is ContainerStatus.EXITED
        assert "exited with code 137" in session.title("#app")
        assert "✖ exited (code 137): your" in session.text("#pipeline")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (60, 16), (20, 5)])
async def test_every_scene_fits_every_size(console: Console, size: tuple[int, int]) -> None:
    async with console(size) as session:
        for scene, _ in story():
            await session.play(scene)
            rows = session.screen_text()
            assert len(rows) == size[1]
            if size[0] < 80:
                continue
            screen = "\n".join(rows)
            assert "codesearch" in rows[0]
            assert "Pipeline" in screen
            assert "Legacy vs split" in screen
            assert "running:" in screen or scene == "connected"
            assert "q quit" in rows[-1]
            assert "^p" in rows[-1]


async def test_strange_names_are_text_and_nothing_else(console: Console) -> None:
    name = "src/[bold red]x[/]\x1b[2J\udcff\u202e" + "long" * 80 + ".py"
    async with console((80, 24)) as session:
        await session.play("first_start")
        await session.tell(
            ev.SessionStarted("[link=x]pro\x07ject", "0", ""),
            ev.ChangeDetected(50, (name, "[/]"), START + 99, 30.0),
            ev.PlanMade(50, None, "hold", f"{name} [/nonsense]"),
            ev.ErrorOccurred(f"cannot read {name}", "[red]hint[/red]"),
            ev.ContainerLogged(
                stream="stdout", lines=(f"\x1b]0;title\x07[bold]{name}\x9b2J\x00", "[/]"), container="c"
            ),
            ev.BuildStarted(51, Target.APP, Track.SPLIT, name, f"[b]{name}", 50),
            ev.ContainerStarted("c51", "[/]", image("1"), 51),
        )
        await session.press("e")
        screen = "\n".join(session.screen_text())
        await session.press("escape")
        screen += "\n".join(session.screen_text())
        assert "[link=x]pro" in screen
        assert "[bold]src/[bold red]x[/]" in screen
        assert "[red]hint[/red]" in screen
        assert not any(char in screen for char in "\x1b\x07\x9b\x00\u202e\udcff")
