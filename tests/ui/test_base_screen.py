"""The base panel, the header's words about the base, and the legacy mode."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.widgets import Static

from console import events as ev
from console import intents
from console.base_values import (
    BaseContents,
    BaseDiff,
    BasePackage,
    BaseStatus,
    HeldBase,
    HeldBecause,
    Transfer,
    TransferLayer,
    TransferStatus,
)
from console.model import BuildStatus, Mode, Target, Track
from console.ui.commands import ConsoleCommands
from console.ui.screens.base import BaseScreen
from console.ui.screens.confirm import ConfirmScreen
from console.ui.screens.help import HelpScreen
from console.ui.widgets.versions_list import VersionsList
from tests.ui.conftest import Console, Session
from tests.ui.story import BASE, BEFORE, DIFF, HELD, PINNED, PRESENT, PULL, REMOTE, START, VERSIONS

SIZES = [(80, 24), (120, 40), (200, 60)]
STATUS = replace(BASE, version="2026.11.23", previous="2026.11.20", digest=PRESENT.digest)
FAILED = HeldBase(HeldBecause.BUILD, "RUN pip install: exit code 1")
LIST = intents.BaseVersionsRequested()


async def open_panel(session: Session, status: BaseStatus = STATUS, *events: ev.Event) -> None:
    """The panel on three versions, with nothing asked for yet but the list, and the registry if there is one."""
    await session.play("connected")
    await session.press("v")
    assert session.intents == [LIST, *([intents.BaseNewerRequested()] if session.app._remote else [])]
    session.intents.clear()
    await session.tell(ev.BaseChecked(status), ev.BaseVersionsListed(VERSIONS), *events)


def dialog(session: Session) -> str:
    """The question that is asked."""
    assert isinstance(session.app.screen, ConfirmScreen)
    return str(session.app.screen.query_one(".body", Static).render())


def row(session: Session, name: str) -> str:
    """A version's row."""
    return next(line for line in session.base_text("#versions").splitlines() if name in line)


# -- what it shows -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_present_base_versions_and_keys_at_every_size(console: Console, size: tuple[int, int]) -> None:
    async with console(size, remote=REMOTE) as session:
        await open_panel(session)
        rows = session.screen_text()
        assert len(rows) == size[1]
        screen = "\n".join(rows)
        for part in (
            "2026.11.23  ✔ fresh  built 2 d ago  1.91 GB",
            "2026.11.23, latest, sha-1a2b3c4  from commit 1a2b3c4d5e6f",
            "codesearch-base:2026.11.23  bbbbbbbbbbbb",
            "R goes back to 2026.11.20",
            "codesearch:dev",
        ):
            assert part in screen
        assert row(session, "2026.11.23").startswith("▸●")
        assert "1.91 GB  current" in row(session, "2026.11.23")
        assert "rollback" in row(session, "2026.11.20")
        assert "pinned" in row(session, "2026.11.02")
        assert "23 d" in row(session, "2026.11.02")
        for key in ("use", "roll back", "build", "pull", "publish", "diff", "back"):
            assert key in rows[-1]


async def test_all_that_is_wrong_with_the_base_is_told(console: Console) -> None:
    async with console(remote=REMOTE) as session:
        status = replace(STATUS, pinned=True, stale_files=("requirements.txt",), newer="sha256:" + "9" * 64, held=HELD)
        await open_panel(session, status)
        card = session.base_text("#base-card")
        for part in (
            "2026.11.23  ! stale  pinned",
            "! held    the new base 2026.11.24 needs approval: numpy 1.26.4 → 2.1.0",
            "a approves it as it is; b tries again",
            "! stale   requirements.txt changed; b builds it",
            "↑ newer   the registry has another one under this tag, 999999999999; g pulls it",
        ):
            assert part in card
        await session.tell(ev.BaseChecked(replace(status, held=FAILED)))
        card = session.base_text("#base-card")
        assert "the new base could not be built: RUN pip install: exit code 1" in card
        assert "approves" not in card


@pytest.mark.parametrize("size", SIZES)
async def test_no_base_at_all_reads_well(console: Console, size: tuple[int, int]) -> None:
    async with console(size, remote=REMOTE) as session:
        await session.play("connected")
        await session.press("v")
        assert "looking…" in session.base_text("#versions")
        await session.tell(
            ev.BaseChecked(BaseStatus("codesearch-base:latest", present=False)), ev.BaseVersionsListed(())
        )
        card = session.base_text("#base-card")
        assert "codesearch-base:latest is not on this engine" in card
        assert "b  builds it" in card
        assert f"g  pulls it from {REMOTE}" in card
        assert "No version of the base is on this engine yet" in session.base_text("#versions")
        session.intents.clear()
        await session.press("enter", "R", "P", "d", "x")
        assert session.intents == []
        assert isinstance(session.app.screen, BaseScreen)
        await session.press("b", "g")
        assert session.intents == [intents.BaseBuildRequested(), intents.BasePullRequested()]


async def test_a_base_that_is_being_built_is_shown_with_its_time(console: Console) -> None:
    async with console() as session:
        await open_panel(session)
        await session.tell(ev.BuildStarted(50, Target.BASE, Track.SPLIT, "codesearch-base:candidate", "asked for"))
        await session.wait(12)
        assert "● building a new one for 12 s" in session.base_text("#base-card")


@pytest.mark.parametrize("size", SIZES)
async def test_a_transfer_is_shown_layer_by_layer(console: Console, size: tuple[int, int]) -> None:
    async with console(size, remote=REMOTE) as session:
        await open_panel(session, STATUS, ev.BaseTransferred(PULL))
        shown = session.base_text("#details")
        for part in (
            "● pulling  40 %",
            f"{REMOTE}:latest",
            "·  780 MB of 1.91 GB",
            "◐ 5d6e7f809102 unpacking",
            "150 MB of 1 GB",
            "○ 77aa88bb99cc waiting",
            "✔ layers: 1 done, 1 there already",
        ):
            assert part in shown
        again = replace(PULL, attempt=2, message="connection reset")
        await session.tell(ev.BaseTransferred(again))
        assert "! attempt 2: connection reset" in session.base_text("#details")
        await session.tell(ev.BaseTransferred(replace(again, status=TransferStatus.FAILED)))
        shown = " ".join(session.base_text("#details").split())
        assert "✖ pulling failed: connection reset" in shown
        assert "5d6e7f809102" not in shown
        await session.tell(ev.BaseTransferred(replace(PULL, status=TransferStatus.OK)))
        assert "pull" not in session.base_text("#details")


async def test_a_transfer_of_unknown_size_shows_no_share(console: Console) -> None:
    async with console(remote=REMOTE) as session:
        some = replace(PULL, layers=(*PULL.layers, TransferLayer("x", "waiting")))
        await open_panel(session, STATUS, ev.BaseTransferred(some))
        assert "● pulling  2/6 layers" in session.base_text("#details")
        assert "780 MB" in session.base_text("#details")
        assert "%" not in session.base_text("#details")
        assert "● pulling 2/6 layers" in session.base_text("HeaderBar")


# -- selecting and comparing -------------------------------------------------------------------------------------------


async def test_arrows_and_clicks_select_and_the_selection_stays(console: Console) -> None:
    async with console() as session:
        await open_panel(session)
        assert "2026.11.23  current" in session.base_text("#details")
        await session.press("down")
        assert "2026.11.20  rollback" in session.base_text("#details")
        assert "codesearch:demo, codesearch:review" in " ".join(session.base_text("#details").split())
        await session.press("end", "down")
        assert row(session, "2026.11.02").startswith("▸")
        newest = replace(PRESENT, image_id="sha256:f", version="2026.11.24", tags=("2026.11.24",), current=False)
        await session.tell(ev.BaseVersionsListed((newest, *VERSIONS)))
        assert row(session, "2026.11.02").startswith("▸"), "the list changed around it"
        await session.pilot.click(VersionsList, offset=(6, 3))
        await session.pilot.pause()
        assert row(session, "2026.11.23").startswith("▸")
        await session.tell(ev.BaseVersionsListed((newest, BEFORE)))
        assert row(session, "2026.11.24").startswith("▸"), "what was selected has gone"


async def test_differences_are_asked_for_and_shown_majors_first(console: Console) -> None:
    async with console() as session:
        await open_panel(session)
        assert "d compares 2026.11.20 with 2026.11.23" in " ".join(session.base_text("#details").split())
        await session.press("d")
        assert session.intents == [intents.BaseCompareRequested("2026.11.20", "2026.11.23")]
        assert "● comparing 2026.11.20 with 2026.11.23" in " ".join(session.base_text("#details").split())
        await session.tell(ev.BaseCompared(DIFF))
        lines = [line.strip() for line in session.base_text("#details").splitlines()]
        after = lines[lines.index("2026.11.20 → 2026.11.23") :]
        assert "1 major, 3 changed, 1 added, 1 removed" in " ".join(after)
        changes = [line for line in after if line[:1] in "!+~-" and line]
        assert changes == [
            "! urllib3 1.26.20 → 2.2.3      pip",
            "+ libheif1 1.15.1-1",
            "~ libssl3 3.0.14-1 → 3.0.15-1",
            "- six 1.16.0",
            "~ tokenizers 0.19.1 → 0.20.3",
        ]
        session.intents.clear()
        await session.press("d")
        assert session.intents == [], "it is known"
        await session.press("end", "d")
        assert session.intents == [intents.BaseCompareRequested("2026.11.02", "2026.11.23")]
        assert "comparing" in session.base_text("#details")
        await session.tell(ev.ErrorOccurred("cannot look into 2026.11.02"))
        assert "comparing" not in session.base_text("#details")


async def test_what_a_version_holds_is_asked_for_and_shown_by_manager(console: Console) -> None:
    async with console() as session:
        await open_panel(session)
        assert "i shows what 2026.11.23 holds" in " ".join(session.base_text("#details").split())
        await session.press("i")
        present = VERSIONS[0]
        assert session.intents == [intents.BaseContentsRequested(present.image_id)]
        assert "● reading what 2026.11.23 holds" in " ".join(session.base_text("#details").split())
        packages = (BasePackage("dpkg", "git", "1:2.39.5-0"), BasePackage("pip", "numpy", "1.26.4"))
        await session.tell(ev.BaseContentsRead(BaseContents("2026.11.23", present.image_id, packages)))
        lines = [" ".join(line.split()) for line in session.base_text("#details").splitlines()]
        shown = lines[lines.index("holds 1 dpkg, 1 pip") :]
        assert [line for line in shown if line] == [
            "holds 1 dpkg, 1 pip",
            "dpkg",
            "git 1:2.39.5-0",
            "pip",
            "numpy 1.26.4",
        ]
        session.intents.clear()
        await session.press("i")
        assert session.intents == [], "it is known"


async def test_the_held_one_can_be_looked_at_but_not_used(console: Console) -> None:
    async with console(toasts=True) as session:
        await open_panel(session, replace(STATUS, held=HELD))
        assert "held" in row(session, "2026.11.24")
        await session.press("home")
        assert "! numpy 1.26.4 → 2.1.0" in session.base_text("#details")
        await session.press("enter")
        assert isinstance(session.app.screen, BaseScreen)
        assert "2026.11.24 is held" in "\n".join(session.screen_text())
        await session.press("d")
        assert session.intents == [intents.BaseCompareRequested("2026.11.23", "candidate")]
        await session.tell(ev.BaseCompared(BaseDiff("2026.11.23", "candidate", HELD.majors)))
        assert "1 major" in session.base_text("#details")
        await session.tell(ev.BaseChecked(replace(STATUS, held=FAILED)))
        assert "2026.11.24" not in session.base_text("#versions"), "a failed build leaves nothing"


# -- what it does ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "said", "intent"),
    [
        (
            ("down", "enter"),
            ("2026.11.20 from now on, in place of 2026.11.23", 'version in config.toml becomes "2026.11.20"'),
            intents.BaseUseRequested("2026.11.20"),
        ),
        (
            ("u",),
            ('becomes "2026.11.23"', "It is the present one, so nothing is built"),
            intents.BaseUseRequested("2026.11.23"),
        ),
        (
            ("R",),
            ("stand on base 2026.11.20 again, in place of 2026.11.23", "latest moves to 2026.11.20"),
            intents.BaseRollbackRequested(),
        ),
        (
            ("P",),
            (f"pushed to {REMOTE} as 2026.11.23, sha-1a2b3c4, and then as latest", "Everybody who pulls"),
            intents.BasePublishRequested(),
        ),
        (
            ("x",),
            ("Of 2 versions besides the present one", "2026.11.20, which a rollback"),
            intents.BasePruneRequested(),
        ),
    ],
    ids=["use", "pin", "rollback", "publish", "prune"],
)
@pytest.mark.parametrize("size", SIZES[:2])
async def test_what_is_not_undone_by_a_key_is_asked_first(
    console: Console, size: tuple[int, int], keys: tuple[str, ...], said: tuple[str, ...], intent: intents.Intent
) -> None:
    async with console(size, remote=REMOTE) as session:
        await open_panel(session)
        await session.press(*keys)
        for part in said:
            assert part in dialog(session)
        assert session.intents == []
        await session.press("escape")
        assert session.intents == []
        await session.press(keys[-1], "n")
        assert session.intents == []
        await session.press(keys[-1], "y")
        assert session.intents == [intent]
        assert isinstance(session.app.screen, BaseScreen)


async def test_enter_means_yes_only_where_it_can_be_undone(console: Console) -> None:
    async with console(remote=REMOTE) as session:
        await open_panel(session)
        await session.press("P", "enter", "x", "enter")
        assert session.intents == []
        await session.press("P", "left", "enter", "R", "enter")
        assert session.intents == [intents.BasePublishRequested(), intents.BaseRollbackRequested()]


async def test_the_mouse_can_do_it_all(console: Console) -> None:
    async with console((120, 40), remote=REMOTE) as session:
        await open_panel(session)
        await session.pilot.click(VersionsList, offset=(6, 3), times=2)
        await session.pilot.pause()
        assert "2026.11.20" in dialog(session)
        await session.pilot.click("#yes")
        await session.pilot.pause()
        assert session.intents == [intents.BaseUseRequested("2026.11.20")]
        key = next(key for key in session.app.screen.query("FooterKey") if "pull" in str(key.render()))
        await session.pilot.click(key)
        await session.pilot.pause()
        assert session.intents[-1] == intents.BasePullRequested()


async def test_a_pinned_base_goes_back_to_following_latest(console: Console) -> None:
    async with console() as session:
        await open_panel(session, replace(STATUS, pinned=True))
        await session.press("u")
        assert "whenever a new base becomes latest" in dialog(session)
        await session.press("y", "R")
        assert '[base] version in config.toml becomes "2026.11.20"' in dialog(session)
        await session.press("escape")
        assert session.intents == [intents.BaseUseRequested("latest")]


async def test_in_legacy_mode_nothing_is_said_to_be_built(console: Console) -> None:
    async with console() as session:
        await open_panel(session, STATUS, ev.ModeChanged(Mode.LEGACY))
        await session.press("R")
        assert "Nothing is built in legacy mode" in dialog(session)


async def test_a_is_there_only_while_something_waits_for_approval(console: Console) -> None:
    async with console() as session:
        await open_panel(session)
        assert "approve" not in session.footer()
        await session.press("a")
        assert session.intents == []
        await session.tell(ev.BaseHeld(HELD))
        session.intents.clear()
        assert "approve" in session.footer()
        await session.press("a")
        assert session.intents == [intents.BaseBuildRequested(allow_major=True)]
        await session.tell(ev.BaseHeld(FAILED))
        assert "approve" not in session.footer()


async def test_without_a_registry_there_is_no_pulling_and_publishing(console: Console) -> None:
    async with console() as session:
        await open_panel(session)
        assert {"pull", "publish"}.isdisjoint(session.footer())
        await session.press("g", "P")
        assert session.intents == []
        assert isinstance(session.app.screen, BaseScreen)
        assert "none: [base] repository in config.toml is not set" in session.base_text("#base-card")


async def test_why_a_key_does_nothing_now(console: Console) -> None:
    async with console(toasts=True) as session:
        await open_panel(session, replace(STATUS, previous=""))
        await session.tell(ev.BaseVersionsListed((PRESENT,)))
        await session.press("R", "d", "x")
        screen = "\n".join(session.screen_text())
        for part in ("no version before", "no two versions here", "nothing to remove"):
            assert part in screen
        assert session.intents == []


@pytest.mark.parametrize(
    "event",
    [
        ev.BasePromoted("2026.11.24", "f"),
        ev.BaseUsed("2026.11.20", "asked for"),
        ev.BasePruned(("2026.11.02",), 1),
        ev.BaseHeld(HELD),
    ],
    ids=lambda event: event.name,
)
async def test_the_list_is_asked_for_again_when_it_is_another(console: Console, event: ev.Event) -> None:
    async with console() as session:
        await open_panel(session)
        await session.tell(ev.ErrorOccurred("other"))
        assert session.intents == []
        await session.tell(event)
        assert session.intents == [LIST]
        await session.press("escape")
        await session.tell(event)
        assert session.intents == [LIST], "nobody looks at it"


async def test_help_and_palette_of_the_panel(console: Console) -> None:
    async with console() as session:
        await open_panel(session)
        provider = ConsoleCommands(session.app.screen)
        provider._post_init()
        offered = [str(hit.display) async for hit in provider._search("")]
        assert "Use this base version  (enter or u)" in offered
        assert "Cancel what is being built" in offered, "its key does something else here"
        assert not any("Publish" in entry or "Approve" in entry or "Search" in entry for entry in offered)
        await session.press("question_mark")
        assert isinstance(session.app.screen, HelpScreen)
        assert "In the base panel" in str(session.app.screen.query_one(".body", Static).render())
        await session.press("q", "q")
        assert session.app.screen is session.dashboard
        assert not session.app._exit


async def test_versions_with_strange_names_are_text(console: Console) -> None:
    async with console((80, 24), remote="[red]r[/]") as session:
        odd = replace(PINNED, tags=("[b]x\x1b[2J",), version="", apps=("[/]\u202e",))
        await open_panel(session, replace(STATUS, held=replace(HELD, version="[i]\x9b", reason="[/b]")))
        await session.tell(ev.BaseVersionsListed((PRESENT, odd)))
        await session.press("end")
        screen = "\n".join(session.screen_text())
        await session.press("enter")
        screen += dialog(session)
        assert "[b]x" in screen
        assert not any(char in screen for char in "\x1b\x9b\u202e")


# -- the header --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (STATUS, "base 2026.11.23 ✔ fresh 2 d"),
        (replace(STATUS, reference="codesearch-base:latest", version=""), "base latest ✔ fresh 2 d"),
        (replace(STATUS, pinned=True), "base 2026.11.23 pinned ✔ fresh 2 d"),
        (replace(STATUS, newer="sha256:9"), "base 2026.11.23 ✔ fresh 2 d ↑ newer, v shows"),
        (replace(STATUS, held=FAILED), "base 2026.11.23 ! new base failed, b retries"),
        (
            replace(STATUS, held=replace(FAILED, because=HeldBecause.CHECK)),
            "base 2026.11.23 ! new base failed its check, b retries",
        ),
        (replace(STATUS, held=HELD), "base 2026.11.23 ! new base needs approval, v shows"),
        (replace(STATUS, stale_files=("a",), pinned=True), "base 2026.11.23 pinned ! stale: 1 input changed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_the_header_says_how_the_base_is(console: Console, status: BaseStatus, said: str) -> None:
    async with console((160, 30)) as session:
        await session.play("connected")
        await session.tell(ev.BaseChecked(status))
        assert said in session.text("HeaderBar")
        await session.tell(ev.ModeChanged(Mode.LEGACY))
        for width in range(72, 130, 8):
            await session.pilot.resize_terminal(width, 24)
            header = session.text("HeaderBar")
            assert "…" not in header
            assert "legacy mode" in header
            assert header.count("!") == 1 + ("!" in said)
            assert ("✔" in header) is ("✔" in said)


async def test_the_header_says_how_far_a_pull_is_and_that_the_base_is_built(console: Console) -> None:
    async with console() as session:
        await session.play("connected")
        await session.tell(ev.BaseTransferred(PULL))
        assert "base ● pulling 40 % · 780 MB of 1.91 GB" in session.text("HeaderBar")
        await session.tell(ev.BaseTransferred(Transfer("push", "x")))
        assert "base ● publishing" in session.text("HeaderBar")
        await session.tell(ev.BaseTransferred(Transfer("push", "x", TransferStatus.OK)))
        assert "✔ fresh" in session.text("HeaderBar")
        await session.tell(ev.BuildStarted(9, Target.BASE, Track.SPLIT, "b", "asked for"), ev.BaseTransferred(PULL))
        assert "base ● building" in session.text("HeaderBar")


# -- notices -----------------------------------------------------------------------------------------------------------


async def test_a_held_base_is_a_warning_until_one_is_promoted(console: Console) -> None:
    async with console((160, 30)) as session:
        await session.play("connected")
        await session.tell(ev.BaseHeld(HELD))
        assert "2026.11.24 needs approval: numpy 1.26.4 → 2.1.0 — v opens" in session.text("NoticeLine")
        await session.tell(ev.BaseHeld(HELD))
        assert len(session.dashboard.unread) == 1
        await session.tell(ev.BasePromoted("2026.11.24", "f"))
        assert session.dashboard.unread == ()
        assert not session.dashboard.query_one("NoticeLine").display


# -- the mode ----------------------------------------------------------------------------------------------------------


async def test_m_asks_and_then_changes_the_mode_both_ways(console: Console) -> None:
    async with console() as session:
        await session.play("compared")
        assert "legacy" in session.footer()
        await session.press("m")
        assert "The legacy image is built now" in dialog(session)
        assert "usually takes 2 m 03 s" in dialog(session)
        await session.press("escape", "m", "y")
        assert session.intents == [intents.ModeRequested(Mode.LEGACY)]
        await session.tell(ev.ModeChanged(Mode.LEGACY))
        assert "split" in session.footer()
        assert "race" not in session.footer()
        await session.press("l")
        await session.press("m")
        assert "The app image is built now" in dialog(session)
        await session.press("enter")
        assert session.intents[1:] == [intents.ModeRequested(Mode.SPLIT)]


async def test_without_a_legacy_dockerfile_there_is_no_mode(console: Console) -> None:
    async with console(can_race=False) as session:
        await session.play("served")
        assert "legacy" not in session.footer()
        await session.press("m")
        assert session.app.screen is session.dashboard


@pytest.mark.parametrize("size", SIZES)
async def test_legacy_mode_is_said_where_it_matters(console: Console, size: tuple[int, int]) -> None:
    async with console(size) as session:
        await session.play("served")
        await session.tell(ev.ModeChanged(Mode.LEGACY))
        assert "! legacy mode" in session.text("HeaderBar")
        assert "! legacy mode, the app image still" in session.title("#app")
        assert "legacy" in session.title("#build")
        await session.play("legacy_served")
        assert "! legacy mode" in session.text("HeaderBar")
        assert "! legacy mode  ✔ running" in session.title("#app")
        assert "running: build #47 (legacy mode) ✔" in session.text("#pipeline")
        await session.tell(ev.ModeChanged(Mode.SPLIT))
        assert "legacy mode" not in session.text("HeaderBar")
        assert "! the legacy image still" in session.title("#app")
        assert "app" in session.title("#build")


async def test_a_legacy_build_of_a_save_is_no_race(console: Console) -> None:
    async with console() as session:
        await session.play("served")
        await session.tell(
            ev.ModeChanged(Mode.LEGACY),
            ev.ChangeDetected(50, ("src/a.py",), session.clock.at, 30.0),
            ev.BuildStarted(50, Target.LEGACY, Track.LEGACY, "codesearch:legacy", "saved src/a.py", 50),
        )
        assert "racing" not in session.text("#compare")
        assert "press l" not in session.text("#compare")
        assert "#50  saved" in session.text("#pipeline")
        await session.wait(3)
        assert "so far" in session.text("#pipeline")
        failed = ev.BuildFinished(50, Target.LEGACY, Track.LEGACY, BuildStatus.FAILED, 80, 4, (), 0, 5, "", 0)
        await session.tell(failed)
        assert "save ✖ failed" in session.text("#pipeline")


async def test_a_running_base_build_does_not_hold_up_the_legacy_image(console: Console) -> None:
    async with console() as session:
        await session.play("served")
        await session.tell(
            ev.ModeChanged(Mode.LEGACY),
            ev.BuildStarted(50, Target.BASE, Track.SPLIT, "codesearch-base:candidate", "asked for"),
            ev.ChangeDetected(51, ("src/a.py",), START + 500, 30.0),
            ev.PlanMade(51, "build legacy", None, "saved src/a.py"),
        )
        assert "waiting for the base image" not in session.text("#pipeline")
        await session.tell(ev.ModeChanged(Mode.SPLIT))
        assert "waiting for the base image" in session.text("#pipeline")
