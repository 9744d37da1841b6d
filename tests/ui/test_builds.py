"""What the screen tells of builds: how they are made, how long they take, why they ran, what is wrong with them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.command import CommandPalette
from textual.widgets import Static
from textual.widgets._footer import FooterKey

from console import events as ev
from console.measurements import Comparison, StageTime, TrackSummary, Usual, UsualStep
from console.model import (
    BuilderInfo,
    BuildStatus,
    BuildWarning,
    Cause,
    CauseKind,
    ContextSummary,
    Scenario,
    Step,
    StepFailure,
    StepStatus,
    Target,
    Track,
)
from console.ui.commands import ConsoleCommands
from console.ui.screens.help import HelpScreen
from console.ui.screens.notices import NoticesScreen
from tests.ui.conftest import Console, Session
from tests.ui.story import BUILDER, LEGACY_STEPS, START, image, step

SIZES = [(80, 24), (120, 40), (200, 60)]
SIZE_NAMES = ["80x24", "120x40", "200x60"]
CLASSIC = BuilderInfo("classic", "tar", "this engine has no BuildKit", ("Secrets cannot be used.",), exact=False)
WARNING = BuildWarning(
    "use JSON arguments for CMD", ("signals do not arrive",), "https://example.org/r", "app.Dockerfile", ((6, 6),)
)
USUAL = Usual(
    5,
    120_000.0,
    (
        *(UsualStep(name.partition("] ")[2], seconds * 1000, seconds * 1100, 5) for name, seconds, _ in LEGACY_STEPS),
        UsualStep("exporting to image", 19_000.0, 20_000.0, 5),
    ),
)


def app_steps(*steps: tuple[str, float], exact: bool = True) -> tuple[Step, ...]:
    return tuple(step(name, StepStatus.DONE, ms, exact=exact) for name, ms in steps)


def built(steps: tuple[Step, ...], *causes: Cause, number: int = 50, ms: float = 3_500.0) -> ev.BuildFinished:
    return ev.BuildFinished(
        number, Target.APP, Track.SPLIT, BuildStatus.OK, ms, 4, steps, 0, 3, image("a"), 1, causes=causes
    )


def begun(number: int = 50, target: Target = Target.APP) -> ev.BuildStarted:
    return ev.BuildStarted(number, target, target.track, "codesearch:dev", "asked for")


def running_row(session: Session) -> str:
    return next(line for line in session.text("StepsView").splitlines() if line.startswith("● running"))


async def shown_in_dialog(session: Session, key: str) -> str:
    await session.press(key)
    return str(session.app.screen.query_one(".body", Static).render())


# -- how images are built ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES[1:], ids=SIZE_NAMES[1:])
async def test_the_header_says_how_images_are_built(console: Console, size: tuple[int, int]) -> None:
    async with console(size) as session:
        await session.play("connected")
        assert "docker 28.5.1  buildkit · session" in session.text("HeaderBar")


@pytest.mark.parametrize("width", range(72, 130, 4))
async def test_the_header_cuts_no_word_however_much_there_is_to_say(console: Console, width: int) -> None:
    async with console((width, 24)) as session:
        await session.play("connected")
        await session.tell(ev.BaseStale(("requirements.txt", "docker/base.Dockerfile")))
        header = session.text("HeaderBar")
        assert "…" not in header
        assert "! stale" in header
        assert "codesearch" in header
        assert ("2 inputs" in header) is (width > 72)
        assert "files" in header


async def test_the_help_says_why_and_the_notices_what_it_cannot_do(console: Console) -> None:
    async with console() as session:
        await session.play("connected")
        assert BUILDER.reason in await shown_in_dialog(session, "question_mark")
        await session.press("escape")
        await session.tell(ev.BuilderChosen(CLASSIC))
        assert "Secrets cannot be used." in await shown_in_dialog(session, "e")
        await session.press("q")
        help_text = await shown_in_dialog(session, "question_mark")
        for part in ("classic · tar", "this engine has no BuildKit", "Secrets cannot be used.", "≈"):
            assert part in help_text
        assert not session.dashboard.query_one("NoticeLine").display, "nobody has to read it"


# -- how long they take ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES, ids=SIZE_NAMES)
async def test_a_race_says_how_much_longer_it_takes(console: Console, size: tuple[int, int]) -> None:
    async with console(size) as session:
        await session.play("racing")  # 13 s into the install, which usually takes 75.3 s
        assert "left" not in "\n".join(session.screen_text())
        await session.tell(ev.BuildExpected(44, Target.LEGACY, USUAL))
        left = "88 s left"  # of the whole, as the steps after it are not announced
        assert left in session.title("#build")
        assert left in session.text("#compare")
        steps = session.text("StepsView")
        assert "62 s left" in running_row(session)
        assert "RUN pip inst" in running_row(session)
        assert left in steps.splitlines()[-1]
        await session.wait(20)
        assert "42 s left" in session.text("StepsView")
        assert "68 s left" in session.title("#build")


@pytest.mark.parametrize("size", SIZES, ids=SIZE_NAMES)
async def test_a_step_that_takes_longer_than_ever_says_so(console: Console, size: tuple[int, int]) -> None:
    async with console(size) as session:
        await session.play("racing")
        await session.tell(ev.BuildExpected(44, Target.LEGACY, USUAL))
        await session.wait(75)
        steps = session.text("StepsView")
        assert "slower" not in steps
        assert "soon" in running_row(session)
        await session.wait(10)
        assert "slower than usual (usually 75.3 s)" in session.text("StepsView")


async def test_a_build_that_took_longer_says_so_when_it_is_over(console: Console) -> None:
    async with console() as session:
        await session.play("connected")
        usual = Usual(5, 1_000.0, (UsualStep("RUN make", 900.0, 950.0, 5),))
        steps = app_steps(("[2/2] RUN make", 3_400.0))
        await session.tell(begun(), ev.BuildExpected(50, Target.APP, usual), built(steps))
        assert "slower than usual (usually 1.00 s)" in session.text("StepsView")
        assert "usually 1.00 s" in session.title("#build")
        await session.tell(begun(51), ev.BuildExpected(51, Target.APP, usual), built(steps, number=51, ms=1_200.0))
        assert "usually" not in session.title("#build")


async def test_the_header_says_when_the_base_will_be_there(console: Console) -> None:
    async with console() as session:
        await session.play("connected")
        await session.tell(begun(60, Target.BASE), ev.BuildExpected(60, Target.BASE, Usual(2, 90_000.0)))
        await session.wait(30)
        assert "● building 30 s · 60 s left" in session.text("HeaderBar")


async def test_the_pipeline_says_how_much_longer_the_build_takes(console: Console) -> None:
    async with console() as session:
        await session.play("building")
        usual = Usual(5, 9_000.0, (UsualStep("RUN python -m compileall -q src", 8_500.0, 8_600.0, 5),))
        await session.tell(ev.BuildExpected(42, Target.APP, usual))
        row = next(line for line in session.text("#pipeline").splitlines() if line.startswith("build"))
        assert "4/5 ⚡4 · 8 s left" in row


@pytest.mark.parametrize("size", SIZES, ids=SIZE_NAMES)
async def test_times_that_the_builder_did_not_tell_are_marked_wherever_they_are(
    console: Console, size: tuple[int, int]
) -> None:
    async with console(size) as session:
        await session.play("connected")
        steps = app_steps(("[2/3] COPY . .", 12.0), ("[3/3] RUN make", 123_400.0), exact=False)
        await session.tell(ev.BuilderChosen(CLASSIC), begun(), built(steps, ms=124_000.0))
        shown = session.text("StepsView").splitlines()
        assert shown[0].endswith("≈ 12 ms")
        assert shown[1].endswith("≈ 2 m 03 s")
        assert shown[-2].startswith("≈ as its lines arrived")
        assert shown[-1].endswith(" 2 m 04 s")
        assert "≈ 2" not in shown[-1], "that one we measured ourselves"
        one = TrackSummary(1, 1_000.0, 1_000.0, 1_000.0, START)
        stages = (StageTime("Other", 900.0, 400.0),)
        await session.tell(ev.ComparisonUpdated(Comparison(Scenario.COLD, one, one, stages)))
        compare = session.text("#compare")
        assert "≈ 900 ms" in compare
        assert "≈ 400 ms" in compare
        assert "≈ as its lines arrived" in compare
        assert "≈ 1.00 s" not in compare


# -- why they ran ------------------------------------------------------------------------------------------------------

REBUILT = app_steps(("[2/4] COPY src/ /app", 21.0), ("[3/4] RUN make all of it", 3_400.0), ("[4/4] RUN ls", 5.0))
CAUSES = (
    Cause(REBUILT[0].name, CauseKind.FILES, ("src/server.py",), 21.0),
    Cause(REBUILT[1].name, CauseKind.PARENT, (REBUILT[0].name,), 3_400.0),
    Cause(REBUILT[2].name, CauseKind.INSTRUCTION, ("docker/app.Dockerfile:7",), 5.0),
)


@pytest.mark.parametrize("size", SIZES, ids=SIZE_NAMES)
async def test_each_rebuilt_step_says_why(console: Console, size: tuple[int, int]) -> None:
    async with console(size) as session:
        await session.play("connected")
        await session.tell(begun(), built(REBUILT, *CAUSES))
        steps = " ".join(session.text("StepsView").split())
        for part in ("src/server.py changed", "follows [2/4]", "instruction changed (docker/app.Dockerfile:7)"):
            assert part in steps
        assert steps.index("COPY src/") < steps.index("src/server.py changed") < steps.index("RUN make")
        because = next(line for line in session.text("#pipeline").splitlines() if line.startswith("because"))
        assert "src/server.py changed" in because


async def test_the_pipeline_gives_no_cause_where_nobody_waited(console: Console) -> None:
    async with console() as session:
        await session.play("connected")
        await session.tell(begun(), built(REBUILT, *(replace(cause, cost_ms=9.0) for cause in CAUSES), ms=90.0))
        assert "because" not in session.text("#pipeline")
        assert "src/server.py changed" in session.text("StepsView")


# -- what is wrong with them -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES, ids=SIZE_NAMES)
async def test_remarks_are_counted_in_the_pane_and_told_in_full_with_e(console: Console, size: tuple[int, int]) -> None:
    async with console(size) as session:
        await session.play("connected")
        await session.tell(begun(), ev.BuildWarned(50, Target.APP, WARNING))
        await session.tell(ev.BuildWarned(50, Target.APP, replace(WARNING, message="two")), built(REBUILT))
        assert "! 2 warnings" in session.title("#build")
        if size[0] >= 100:
            assert "! app.Dockerfile:6  use JSON" in "\n".join(session.log("#build").lines_on_screen)
        assert not session.dashboard.query_one("NoticeLine").display
        page = await shown_in_dialog(session, "e")
        for part in ("app.Dockerfile:6  use JSON arguments for CMD", "signals do not", "https://example.org/r", "two"):
            assert part in page
        await session.press("q")
        await session.tell(begun(51), built(REBUILT, number=51))
        assert "warning" not in session.title("#build")


@pytest.mark.parametrize("size", SIZES, ids=SIZE_NAMES)
async def test_every_word_of_an_error_can_be_read(console: Console, size: tuple[int, int]) -> None:
    words = " ".join(f"word{number}" for number in range(60))
    source = (f"RUN {words}", "    second line")
    failure = StepFailure(
        "[2/2] RUN x", f"{words} message", "app.Dockerfile", 5, source, (f"{words} output", "x" * 300)
    )
    async with console(size) as session:
        await session.play("connected")
        bad = replace(built((step("[2/2] RUN x", StepStatus.FAILED, 5.0),)), status=BuildStatus.FAILED, failure=failure)
        await session.tell(begun(), bad)
        view = session.dashboard.query_one("StepsView")
        shown = session.text("StepsView").splitlines()
        assert all(len(line) <= view.size.width for line in shown)
        text = " ".join(line.removeprefix("  ┃ ").strip() for line in shown)
        assert text.count("word59") == 3
        assert "…" not in text.replace("RUN x", "")
        assert text.replace(" ", "").count("x" * 300) == 1
        assert " 6     second line" in session.text("StepsView")


# -- rebuilding by hand, and comparing ---------------------------------------------------------------------------------


async def test_a_rebuild_by_hand_shows_where_its_time_went(console: Console) -> None:
    async with console() as session:
        await session.play("served")
        await session.tell(begun())
        await session.tell(ev.ContextSent(50, ContextSummary(3, 18_000, "d", 4.0, sent_bytes=1_200)), after=0.004)
        await session.tell(built((), ms=118.0), after=0.118)
        await session.tell(ev.ContainerStarted("c50", "codesearch-app", image("a"), 50), after=0.152)
        await session.tell(ev.ContainerReady("c50", 50, None, "http://localhost:8000"), after=0.044)
        rows = {row[:9].strip(): row.split() for row in session.text("#pipeline").splitlines()}
        assert [rows[name][-2:] for name in ("context", "build", "swap", "ready")] == [
            ["4", "ms"],
            ["118", "ms"],
            ["152", "ms"],
            ["44", "ms"],
        ]
        assert "build to ready" in session.text("#pipeline")
        assert "318 ms" in session.text("#pipeline")
        assert "detect" not in rows


@pytest.mark.parametrize(
    ("size", "words"), [((200, 60), "3 files, 18 kB · 1.2 kB sent"), ((120, 40), "3 files, 1.2 kB sent")]
)
async def test_what_travelled_is_in_the_pipeline(console: Console, size: tuple[int, int], words: str) -> None:
    async with console(size) as session:
        await session.play("building")
        await session.tell(ev.ContextSent(42, ContextSummary(3, 18_000, "d", 4.0, sent_bytes=1_200)))
        assert words in session.text("#pipeline")


async def test_without_a_legacy_dockerfile_nobody_is_asked_to_race(console: Console) -> None:
    async with console(can_race=False) as session:
        await session.play("served")
        screen = "\n".join(session.screen_text())
        assert "press l" not in screen
        assert "config.toml has no [legacy]" in screen
        assert not any(key.description == "race" for key in session.dashboard.query(FooterKey))
        await session.press("l")
        assert session.intents == []
        await session.press("ctrl+p")
        assert isinstance(session.app.screen, CommandPalette)
        provider = ConsoleCommands(session.dashboard)
        provider._post_init()
        assert not any("Race" in str(hit.display) for hit in [hit async for hit in provider._search("")])


# -- notices and dialogs -----------------------------------------------------------------------------------------------


async def test_a_notice_that_was_read_does_not_come_back_when_another_one_goes(console: Console) -> None:
    async with console() as session:
        await session.play("connected")
        await session.tell(ev.ErrorOccurred("the app build failed"), ev.BaseStale(("requirements.txt",)))
        await session.press("e", "escape")
        assert session.dashboard.unread == ()
        await session.tell(ev.BasePromoted("2026.11.24", "f"))
        assert session.dashboard.unread == ()


@pytest.mark.parametrize(("key", "screen"), [("question_mark", HelpScreen), ("e", NoticesScreen)])
async def test_q_leaves_a_dialog_and_not_the_console(console: Console, key: str, screen: type) -> None:
    async with console((80, 24)) as session:
        await session.play("served")
        await session.press(key)
        assert isinstance(session.app.screen, screen)
        await session.press("q")
        assert session.app.screen is session.dashboard
        assert not session.app._exit
