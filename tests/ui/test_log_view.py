"""The log view: follows, lets go, keeps its place, finds, and draws only what is safe to draw."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult

from console.state.logs import MARKER, LogLine, LogRing
from console.ui.widgets.log_search import LogSearch
from console.ui.widgets.log_text import LONGEST, clean, to_text
from console.ui.widgets.log_view import LogView
from tests.ui.conftest import Console
from tests.ui.story import START


def lines(texts: Iterable[str], origin: str = "") -> list[LogLine]:
    return [LogLine(START, origin, text) for text in texts]


def numbered(start: int, end: int) -> list[LogLine]:
    return lines(f"line {number}" for number in range(start, end))


class OneLog(App[None]):
    """Nothing but a log of ten rows."""

    CSS = "LogView { width: 40; height: 10; }"

    def __init__(self, ring: LogRing) -> None:
        super().__init__()
        self.ring = ring

    def compose(self) -> ComposeResult:
        yield LogView(self.ring, empty="nothing")

    @property
    def view(self) -> LogView:
        return self.query_one(LogView)


async def test_follows_lets_go_keeps_its_place_and_follows_again() -> None:
    ring = LogRing(capacity=100)
    async with OneLog(ring).run_test() as pilot:
        view = pilot.app.query_one(LogView)
        view.focus()
        assert view.lines_on_screen[0] == "nothing"
        ring.append(numbered(0, 60))
        view.advance()
        await pilot.pause()
        assert view.lines_on_screen == [f"line {number}" for number in range(50, 60)]

        await pilot.press("up", "up")
        await pilot.pause()
        assert not view.following
        seen = view.lines_on_screen
        assert seen[-1] == "line 57"
        ring.append(numbered(60, 120))  # twenty of the oldest are dropped
        view.advance()
        await pilot.pause()
        assert view.lines_on_screen == seen
        assert view.missed == 60

        await pilot.press("end")
        await pilot.pause()
        assert view.following
        assert view.lines_on_screen[-1] == "line 119"
        ring.append(numbered(120, 121))
        view.advance()
        await pilot.pause()
        assert view.lines_on_screen[-1] == "line 120"


async def test_what_is_read_may_be_dropped() -> None:
    ring = LogRing(capacity=20)
    async with OneLog(ring).run_test() as pilot:
        view = pilot.app.query_one(LogView)
        view.focus()
        ring.append(numbered(0, 20))
        view.advance()
        await pilot.pause()
        await pilot.press("home")
        await pilot.pause()
        await pilot.wait_for_animation()
        ring.append(numbered(20, 520))
        assert view.lines_on_screen[0] in {"", "line 0"}, "dropped, but nobody told the view yet"
        view.advance()
        await pilot.pause()
        assert view.lines_on_screen[0] == "line 500"
        assert not view.following


async def test_growing_and_shrinking_while_following() -> None:
    ring = LogRing()
    async with OneLog(ring).run_test() as pilot:
        view = pilot.app.query_one(LogView)
        ring.append(numbered(0, 60))
        view.advance()
        view.styles.height = 4
        await pilot.pause()
        assert view.lines_on_screen[-1] == "line 59"
        view.display = False
        await pilot.pause()
        ring.append(numbered(60, 90))
        view.advance()
        view.styles.height = 12
        view.display = True
        await pilot.pause()
        assert view.lines_on_screen[-1] == "line 89"
        view.styles.width = 1
        await pilot.pause()
        assert all(cell_len(row) <= 1 for row in view.lines_on_screen)


async def test_colours_rewritten_lines_wide_characters_and_markers() -> None:
    ring = LogRing()
    texts = (
        "\x1b[31mred\x1b[0m plain \x1b[2K\x1b]8;;http://x\x07link\x1b]8;;\x07",
        "10 %\r50 %\r100 %\r",
        "日本語" * 20,
        "a\tb\x00\x07\x9b\udc80[bold]c[/]",
        "x" * 10_000,
    )
    ring.append(lines(texts))
    ring.append(lines(["container started"], MARKER))
    async with OneLog(ring).run_test() as pilot:
        view = pilot.app.query_one(LogView)
        view.advance()
        await pilot.pause()
        shown = view.lines_on_screen
        assert shown[0] == "red plain link"
        assert shown[1] == "100 %"
        assert cell_len(shown[2]) <= 40
        assert shown[2].startswith("日本語")
        assert shown[3] == "a       b\N{REPLACEMENT CHARACTER}[bold]c[/]"
        assert shown[4].endswith("›")
        assert shown[5].startswith("── container started ─")
        red = next(segment for segment in view.render_line(0) if segment.text == "red")
        assert red.style is not None
        assert red.style.color is not None
        assert red.style.color.number == 1


async def test_long_lines_scroll_sideways() -> None:
    ring = LogRing()
    ring.append(lines([f"{'a' * 50}{'b' * 50}"]))
    async with OneLog(ring).run_test() as pilot:
        view = pilot.app.query_one(LogView)
        view.focus()
        await pilot.pause()
        await pilot.pause()
        assert "b" not in view.lines_on_screen[0]
        view.scroll_to(x=100, animate=False)
        await pilot.pause()
        assert set(view.lines_on_screen[0]) == {"b"}


async def test_selected_text_is_what_was_logged(console: Console) -> None:
    async with console() as session:
        await session.play("first_start")
        await session.pilot.mouse_down("#app LogView", offset=(15, 2))
        await session.pilot.hover("#app LogView", offset=(22, 2))
        await session.pilot.mouse_up("#app LogView", offset=(22, 2))
        await session.pilot.pause()
        assert (session.dashboard.get_selected_text() or "").strip() in "INFO: Uvicorn running on http://0.0.0.0:8000"
        assert len(session.dashboard.get_selected_text() or "") >= 6


def test_search_finds_drops_and_goes_round() -> None:
    ring = LogRing(capacity=50)
    ring.append(numbered(0, 30))
    search = LogSearch("LINE \\d*5$".lower(), ring)
    assert search.count == 3
    assert search.step(-1, 29) == 25
    assert search.position == 3
    assert search.step(1, 0) == 5
    ring.append(numbered(30, 61))  # the first eleven go, and line 5 with them
    assert search.update()
    assert search.count == 5
    assert [search.step(1, 0) for _ in range(6)] == [15, 25, 35, 45, 55, 15]
    assert not search.update()


@pytest.mark.parametrize(("pattern", "found"), [("a(b", 1), ("A", 1), ("a", 3), ("b|c", 2), ("", 0)])
def test_what_a_pattern_means(pattern: str, found: int) -> None:
    ring = LogRing()
    ring.append(lines(["\x1b[1ma\x1b[0m(b", "Ac", "a"]))
    assert LogSearch(pattern, ring).count == found


async def test_search_in_the_focused_log(console: Console) -> None:
    async with console() as session:
        await session.play("served")
        await session.press("slash", *"q=parser.3\\d")
        view = session.log("#app")
        found = session.dashboard.query_one("#app .found")
        assert "10 of 10" in str(found.render())
        assert session.intents == []
        await session.press("enter", "n")
        assert "1 of 10" in str(found.render())
        await session.press("N", "N")
        assert "9 of 10" in str(found.render())
        backgrounds = {
            segment.text: segment.style.bgcolor
            for y in range(view.size.height)
            for segment in view.render_line(y)
            if segment.style is not None
        }
        here, there, elsewhere = (backgrounds[part] for part in ("q=parser+38", "q=parser+37", "GET /search?"))
        assert len({here, there, elsewhere}) == 3
        await session.press("escape")
        assert view.search is None
        assert not session.dashboard.query_one("#app .search").display


async def test_search_goes_to_the_build_log_when_that_has_the_focus(console: Console) -> None:
    async with console() as session:
        await session.play("racing")
        session.log("#build").focus()
        await session.press("slash", *"torch")
        assert session.log("#build").search is not None
        assert session.log("#app").search is None
        assert "2 of 2" in str(session.dashboard.query_one("#build .found").render())


async def test_the_border_tells_whether_it_follows(console: Console) -> None:
    async with console() as session:
        await session.play("served")
        assert session.subtitle("#app") == "following"
        await session.press("pageup")
        await session.pilot.wait_for_animation()
        await session.pilot.pause()
        await session.tell(*[_said(f"more {number}") for number in range(3)])
        await session.pilot.pause()
        assert session.subtitle("#app").startswith("paused – 3 new lines")
        await session.press("end")
        assert session.subtitle("#app") == "following"


def _said(text: str):  # type: ignore[no-untyped-def]
    from console.events import ContainerLogged

    return ContainerLogged(stream="stdout", lines=(text,), container="c42")


@pytest.mark.parametrize(
    "text",
    ["\x1b", "\x1b[", "\x1b]0;x", "\x1b[999", "\x1bP\x1b\\", "\x1b[38;5", "\x1b[;m", "\x1b[1;999m", "\r\r", "\ud800"],
)
def test_broken_sequences_are_harmless(text: str) -> None:
    for drawn in (clean(f"a{text}"), to_text(f"a{text}").plain):
        assert drawn.isprintable() or not drawn
    assert len(clean("y" * 10 * LONGEST)) < LONGEST + 50
