"""Every key does what the footer says, and whatever has a key is in the palette and within reach of the mouse."""

from __future__ import annotations

import pytest
from textual.command import CommandList, CommandPalette
from textual.widgets._footer import FooterKey

from console import events as ev
from console import intents
from console.model import Mode
from console.ui.commands import KEYS, LOG_KEYS, ConsoleCommands
from console.ui.screens.base import BaseScreen
from console.ui.screens.confirm import ConfirmScreen
from console.ui.screens.help import HelpScreen
from console.ui.screens.notices import NoticesScreen
from tests.ui.conftest import Console
from tests.ui.story import HELD, until


@pytest.mark.parametrize(
    ("key", "intent"),
    [
        ("r", intents.RebuildRequested()),
        ("b", intents.BaseBuildRequested()),
        ("l", intents.LegacyRaceRequested()),
        ("x", intents.CancelRequested()),
        ("p", intents.PauseRequested(paused=True)),
    ],
)
async def test_key_becomes_an_intent(console: Console, key: str, intent: intents.Intent) -> None:
    async with console() as session:
        await session.play("building")
        await session.press(key)
        assert session.intents == [intent]


async def test_p_goes_on_when_paused(console: Console) -> None:
    async with console() as session:
        await session.tell(ev.WatchPaused(paused=True))
        await session.press("p")
        assert session.intents == [intents.PauseRequested(paused=False)]


async def test_cancel_with_nothing_to_cancel_asks_for_nothing(console: Console) -> None:
    async with console() as session:
        await session.play("served")
        await session.press("x")
        assert session.intents == []


async def test_keys_in_a_modal_do_not_build(console: Console) -> None:
    async with console() as session:
        await session.press("question_mark")
        assert isinstance(session.app.screen, HelpScreen)
        await session.press("r", "b", "l", "m", "v")
        assert session.intents == []
        await session.press("escape", "e")
        assert isinstance(session.app.screen, NoticesScreen)
        await session.press("q")
        assert session.app.screen is session.dashboard


async def test_v_opens_the_base_panel_and_escape_v_or_q_leave_it(console: Console) -> None:
    async with console() as session:
        await session.play("served")
        for leave in ("escape", "v", "q"):
            await session.press("v")
            assert isinstance(session.app.screen, BaseScreen)
            await session.press(leave)
            assert session.app.screen is session.dashboard
        assert session.intents == [intents.BaseVersionsRequested()] * 3
        assert not session.app._exit


async def test_m_asks_before_it_changes_anything(console: Console) -> None:
    async with console() as session:
        await session.play("served")
        await session.press("m")
        assert isinstance(session.app.screen, ConfirmScreen)
        await session.press("r", "b", "l", "escape")
        assert session.app.screen is session.dashboard
        assert session.intents == []
        await session.press("m", "y")
        assert session.intents == [intents.ModeRequested(Mode.LEGACY)]


async def test_l_races_in_split_mode_only(console: Console) -> None:
    async with console() as session:
        await session.play("served")
        await session.tell(ev.ModeChanged(Mode.LEGACY))
        await session.press("l")
        assert session.intents == []
        await session.tell(ev.ModeChanged(Mode.SPLIT))
        await session.press("l")
        assert session.intents == [intents.LegacyRaceRequested()]


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("mode", list(Mode))
async def test_no_key_of_the_footer_is_cut(console: Console, width: int, mode: Mode) -> None:
    async with console((width, 40), remote="registry.example/base") as session:
        await session.tell(*until("building"), ev.ModeChanged(mode))
        for keys in ((), ("pageup",), ("v",)):
            await session.press(*keys)
            await session.tell(ev.BaseHeld(HELD))
            shown = [key for key in session.app.screen.query(FooterKey) if key.display]
            palette = next(key for key in shown if "palette" in key.description)
            assert max(key.region.right for key in shown if key is not palette) <= palette.region.x
        assert "approve" in [key.description for key in shown]


async def test_zoom_and_back(console: Console) -> None:
    async with console() as session:
        await session.press("f")
        assert session.dashboard.query_one("#app").size.height > 30
        await session.press("f")
        assert session.dashboard.query_one("#app").size.height < 20
        await session.press("tab")
        assert session.app.focused is not None
        await session.press("z")
        assert session.dashboard.maximized is not None


async def test_q_ends_the_app(console: Console) -> None:
    async with console() as session:
        await session.press("q")
        assert session.app._exit


async def test_every_command_is_in_the_palette(console: Console) -> None:
    async with console() as session:
        await session.press("ctrl+p")
        assert isinstance(session.app.screen, CommandPalette)
        provider = ConsoleCommands(session.dashboard)
        provider._post_init()
        offered = [str(hit.display) async for hit in provider._search("")]
        for command in (*KEYS, *LOG_KEYS):
            assert any(command.title in entry for entry in offered)
            assert command.meaning
        await session.press(*"race legacy", "enter")
        await session.pilot.pause()
        await session.press("enter")
        assert session.intents == [intents.LegacyRaceRequested()]


async def test_the_palette_changes_the_theme(console: Console) -> None:
    async with console() as session:

        async def choose(words: str) -> None:
            await session.press(*words)
            options = session.app.screen.query_one(CommandList)
            while not (options.option_count and words in str(options.get_option_at_index(0).prompt).lower()):
                await session.pilot.pause()
            await session.press("enter")

        await session.press("ctrl+p")
        await choose("change the theme")
        while not isinstance(session.app.screen, CommandPalette):
            await session.pilot.pause()
        await choose("nord")
        while session.app.theme != "nord":
            await session.pilot.pause()
        assert session.intents == []


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_footer_is_clickable(console: Console, size: tuple[int, int]) -> None:
    async with console(size) as session:
        await session.pilot.pause()
        key = next(key for key in session.dashboard.query(FooterKey) if key.description == "rebuild")
        assert key.tooltip
        await session.pilot.click(key)
        await session.pilot.pause()
        assert session.intents == [intents.RebuildRequested()]


async def test_keys_can_be_given_others(console: Console) -> None:
    async with console(keys={"rebuild": "f5"}) as session:
        await session.press("r")
        assert session.intents == []
        await session.press("f5")
        assert session.intents == [intents.RebuildRequested()]


async def test_a_theme_that_does_not_exist_is_no_reason_to_fail(console: Console) -> None:
    async with console(theme="no-such-theme", toasts=True) as session:
        await session.pilot.pause()
        assert session.app.theme == "splitdeck"
        assert "no-such-theme" in "\n".join(session.screen_text())


@pytest.mark.parametrize("theme", ["textual-light", "nord", "ansi-dark"])
async def test_other_themes_work(console: Console, theme: str) -> None:
    async with console(theme=theme) as session:
        await session.play("compared")
        assert "×354" in "\n".join(session.screen_text())
        session.app.theme = "splitdeck"
        await session.pilot.pause()
        assert "×354" in "\n".join(session.screen_text())
