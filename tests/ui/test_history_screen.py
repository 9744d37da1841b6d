"""The history: the list, timelines, trends, findings, and two builds side by side."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.widgets._footer import FooterKey

from console import events as ev
from console import intents
from console.measurements import (
    BuildQuery,
    Comparison,
    Findings,
    ImageBytes,
    Ledger,
    ListedBuild,
    Mark,
    Period,
    PullTime,
    Sample,
    TargetCheck,
    TrackSummary,
    Trend,
    Trigger,
    Verdict,
)
from console.model import BuildStatus, Cause, CauseKind, Scenario, StepStatus, Target, Track
from console.state.app_state import HistoryView
from console.ui.commands import HISTORY_KEYS, ConsoleCommands
from console.ui.screens.help import HelpScreen
from console.ui.screens.history import HistoryScreen
from console.ui.widgets.build_rows import MOST_LISTED, SORTS, moment
from console.ui.widgets.builds_list import BuildsList
from console.ui.widgets.panel import Panel
from console.ui.widgets.rows import RowsView
from console.ui.widgets.timeline import Axis, timeline_rows
from console.ui.widgets.trend_plot import trend_rows
from tests.ui.conftest import Console, Session
from tests.ui.story import START, step

SIZES = [(80, 24), (120, 40), (200, 60)]
ENGINE, MACHINE = "docker 28.5.1 buildkit overlay2", "Intel Xeon, 2 cores, Linux"
ALL = BuildQuery()
AT = START - 3600
APT, PIP = "[2/4] RUN apt-get install -y gcc", "[3/4] RUN pip install -r requirements.txt"


def sample(number: int, **more: object) -> Sample:
    """An app build of a saved file, an hour before the session begins."""
    made = Sample(
        Target.APP,
        Scenario.CODE_CHANGE,
        AT + number,
        412.0,
        BuildStatus.OK,
        ENGINE,
        MACHINE,
        context_ms=4.0,
        context_files=3,
        context_bytes=18_000,
        context_digest=f"c{number}",
        image_id="sha256:" + "a" * 64,
        image_bytes=1_921_000_000,
        base_id="sha256:" + "b" * 64,
        trigger=Trigger.SAVE,
        reason="saved src/server.py",
        revision="1a2b3c4d5e6f",
        save_to_ready_ms=1349.0,
        number=number,
    )
    return replace(made, **more)  # type: ignore[arg-type]


LEGACY = sample(
    41,
    target=Target.LEGACY,
    scenario=Scenario.COLD,
    duration_ms=10_000.0,
    started_at=AT,
    trigger=Trigger.RACE,
    reason="raced",
    save_to_ready_ms=None,
    base_id="",
    steps=(
        step("[internal] load build definition from Dockerfile.legacy", StepStatus.DONE, 100, at=AT),
        step("[1/4] FROM python:3.10-slim", StepStatus.CACHED, at=AT + 0.1),
        step(
            PIP,
            StepStatus.DONE,
            4000,
            at=AT + 4,
            intervals=((AT + 4, AT + 6), (AT + 7, AT + 9)),
        ),
        step(APT, StepStatus.DONE, 5000, at=AT, intervals=((AT, AT + 5),)),
        step("[4/4] COPY [src]/ src/", StepStatus.FAILED, 1000, at=AT + 9, intervals=((AT + 9, AT + 10),)),
    ),
    causes=(Cause(APT, CauseKind.CACHE_OFF, (), 5000.0),),
)
QUICK = sample(
    42,
    steps=(
        step("[1/3] FROM base", StepStatus.CACHED, at=AT + 42),
        step("[2/3] COPY src/ src/", StepStatus.DONE, 61, at=AT + 42.1),
    ),
    causes=(Cause("[2/3] COPY src/ src/", CauseKind.FILES, ("src/server.py",), 61.0),),
)
SLOW = sample(
    43,
    duration_ms=2500.0,
    steps=(
        step("[1/4] FROM base", StepStatus.CACHED, at=AT + 43),
        step("[2/4] COPY src/ src/", StepStatus.DONE, 63, at=AT + 43.1),
        step("[3/4] RUN python -m compileall src", StepStatus.DONE, 2100, at=AT + 43.2),
    ),
    causes=(Cause("[2/4] COPY src/ src/", CauseKind.FILES, ("src/[b]odd[/b].py",), 63.0),),
)
BUILDS = (
    ListedBuild(replace(SLOW, steps=(), causes=()), (Mark.OUTLIER,)),
    ListedBuild(replace(QUICK, steps=(), causes=(), disturbed="another build ran at the same time")),
    ListedBuild(replace(LEGACY, steps=(), causes=(), started_at=AT), (Mark.OLD,)),
)
TRENDS = (
    Trend(Track.LEGACY, Scenario.CODE_CHANGE, ((AT, 120_000.0), (AT + 90, 124_000.0))),
    Trend(Track.SPLIT, Scenario.CODE_CHANGE, tuple((AT + i, 400.0 + i) for i in range(40))),
)
FINDINGS = Findings(
    (
        Comparison(
            Scenario.CODE_CHANGE,
            TrackSummary(5, 123_400.0, 118_900.0, 131_000.0, AT, old=1),
            TrackSummary(12, 349.0, 331.0, 402.0, AT),
            verdict=Verdict(
                Scenario.CODE_CHANGE,
                "The split saves 2 m 03 s of a code change: RUN pip install [all] is in the base.",
                ("COPY . . in line 4 reads 12 files that no step needs: 1.2 s.",),
            ),
        ),
    ),
    (TargetCheck("app build < 60 s", "0.35 s", met=True), TargetCheck("CI pipeline −70 %", "not measured", None)),
    Ledger(
        today=Period(5, 615_000.0, 0, 1, 361_000.0),
        in_all=Period(50, 6_150_000.0, 3, 2, 722_000.0),
        base_build_ms=361_000.0,
        gain_ms=123_000.0,
    ),
    ImageBytes(base=1_912_000_000, app=1_921_000_000, legacy=1_950_000_000, app_pull=90_000, legacy_pull=1_200_000_000),
    base_cold_ms=400_000.0,
    pull=PullTime(2, 61_000.0, 700_000_000),
)


def listed(query: BuildQuery = ALL, builds: tuple[ListedBuild, ...] = BUILDS, total: int = 0) -> ev.HistoryListed:
    return ev.HistoryListed(query, total or len(builds), builds, TRENDS)


async def show(session: Session, *events: ev.Event) -> None:
    """Tells, and shows it on the history at once."""
    await session.tell(*events)
    if isinstance(session.app.screen, HistoryScreen):
        session.app.screen.refresh_from_store()
    await session.pilot.pause()


async def open_history(session: Session, *events: ev.Event) -> None:
    """The history on three builds, with nothing asked for yet but the list."""
    await session.play("connected")
    await session.press("h")
    assert session.intents == [intents.HistoryRequested(ALL)]
    session.intents.clear()
    await show(session, listed(), *events)


async def read(session: Session, *numbers: int) -> None:
    """Waits until these builds are asked for, and answers."""
    wanted = [intents.HistoryBuildRequested(number) for number in numbers]
    while not all(intent in session.intents for intent in wanted):
        await session.pilot.pause()
    assert session.intents == wanted
    session.intents.clear()
    whole = {one.number: one for one in (LEGACY, QUICK, SLOW)}
    await show(session, *(ev.HistoryBuildRead(whole[number]) for number in numbers))


def shown(session: Session, selector: str) -> str:
    widget = session.app.screen.query_one(selector)
    assert isinstance(widget, (Panel, RowsView))
    return widget.text


def flat(session: Session, selector: str) -> str:
    return " ".join(shown(session, selector).split())


def builds(session: Session) -> BuildsList:
    return session.app.screen.query_one(BuildsList)


# -- the list ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_builds_with_their_marks_at_every_size(console: Console, size: tuple[int, int]) -> None:
    async with console(size) as session:
        await open_history(session)
        rows = session.screen_text()
        assert len(rows) == size[1]
        lines = shown(session, "#builds").splitlines()
        assert [word in lines[0] for word in ("build", "when▼", "image", "scenario", "took")] == [True] * 5
        assert " ".join(lines[1].split()).startswith("▸ #43 59 m app code-change ✔")
        assert "2.50 s" in lines[1]
        for line, mark in zip(lines[1:], ("outlier", "disturbed", "old"), strict=True):
            assert mark in line
            assert " ! " in line
        assert "Builds 3 of 3 · all · by when ▼" in "\n".join(rows)


def test_the_date_of_older_builds() -> None:
    assert [moment(START - ago, START) for ago in (-5, 30, 7200, 86_400 * 20)] == ["now", "30 s", "2 h", "3 Nov"]
    assert moment(START - 86_400 * 400, START) == "2025-10"


async def test_looking_empty_and_nothing_of_the_kind(console: Console) -> None:
    async with console((80, 24)) as session:
        await session.press("h")
        assert shown(session, "#builds").startswith("looking…")
        await session.press("space", "d", "down", "end", "enter", "t", "v", "v")
        assert session.intents == [intents.HistoryRequested(ALL)]
        await show(session, ev.HistoryListed(ALL, 0, (), ()))
        assert "No build is in the history yet" in shown(session, "#builds")
        query = replace(ALL, target=Target.APP)
        await session.press("i")
        await show(session, ev.HistoryListed(query, 0, (), ()))
        assert "No such build" in shown(session, "#builds")
        await session.press("v")
        assert "Nothing was measured yet" in shown(session, "#history-details")


async def test_filters_and_orders_are_asked_for_once_each(console: Console) -> None:
    async with console() as session:
        await open_history(session)
        await session.press("i", "c", "o", "S")
        query = BuildQuery(target=Target.APP, scenario=Scenario.COLD, status=BuildStatus.OK, descending=False)
        steps = (
            BuildQuery(target=Target.APP),
            BuildQuery(target=Target.APP, scenario=Scenario.COLD),
            BuildQuery(target=Target.APP, scenario=Scenario.COLD, status=BuildStatus.OK),
            query,
        )
        lists = [intent for intent in session.intents if isinstance(intent, intents.HistoryRequested)]
        assert lists == [intents.HistoryRequested(each) for each in steps]
        screen = "\n".join(session.screen_text())
        assert "app · cold · ok · by when ▲ · looking…" in screen
        await show(session, listed(query))
        assert "looking" not in "\n".join(session.screen_text())
        assert "when▲" in shown(session, "#builds")


@pytest.mark.parametrize(
    ("key", "name", "values"),
    [
        ("i", "target", [*Target, None]),
        ("c", "scenario", [*Scenario, None]),
        ("o", "status", [BuildStatus.OK, BuildStatus.FAILED, BuildStatus.CANCELLED, None]),
        ("s", "sort", [*list(SORTS)[1:], "started_at"]),
    ],
)
async def test_keys_go_round(console: Console, key: str, name: str, values: list[object]) -> None:
    async with console() as session:
        await open_history(session)
        await session.press(*[key] * len(values))
        asked = [intent for intent in session.intents if isinstance(intent, intents.HistoryRequested)]
        assert [getattr(intent.query, name) for intent in asked] == values


async def test_a_click_on_a_heading_sorts_and_another_one_turns_round(console: Console) -> None:
    async with console() as session:
        await open_history(session)
        x = shown(session, "#builds").splitlines()[0].index("took")
        for descending in (True, False):
            await session.pilot.click(BuildsList, offset=(x + 3, 1))
            await session.pilot.pause()
            query = BuildQuery(sort="duration_ms", descending=descending)
            assert intents.HistoryRequested(query) in session.intents
            await show(session, listed(query))
            assert f"took{'▼' if descending else '▲'}" in shown(session, "#builds")
        session.intents.clear()
        await session.pilot.click(BuildsList, offset=(shown(session, "#builds").splitlines()[0].index("why") + 4, 1))
        assert session.intents == [], "there is nothing to sort by"


async def test_the_list_is_asked_for_again_once_a_build_was_recorded(console: Console) -> None:
    async with console() as session:
        await open_history(session)
        await read(session, 43)
        await show(session, ev.ErrorOccurred("other"))
        assert session.intents == []
        comparison = ev.ComparisonUpdated(FINDINGS.scenarios[0], FINDINGS)
        await show(session, comparison, comparison)
        assert session.intents == [intents.HistoryRequested(ALL)]
        await session.press("escape")
        await show(session, comparison)
        assert session.intents == [intents.HistoryRequested(ALL)], "nobody looks at it"


def many(count: int) -> tuple[ListedBuild, ...]:
    return tuple(ListedBuild(sample(number)) for number in range(count, 0, -1))


async def test_the_end_asks_for_more_up_to_a_few_thousand(console: Console) -> None:
    async with console() as session:
        await open_history(session)
        await show(session, listed(builds=many(200), total=100_000))
        assert "Builds 200 of 100,000" in "\n".join(session.screen_text())
        await session.press("end", "down")
        more = BuildQuery(limit=400)
        lists = [intent for intent in session.intents if isinstance(intent, intents.HistoryRequested)]
        assert lists == [intents.HistoryRequested(more)]
        await show(session, listed(more, many(400), 100_000))
        builds(session).scroll_end(animate=False)
        await session.pilot.pause()
        assert "99,600 more" in "\n".join(session.screen_text())
        assert session.intents[-1] == intents.HistoryRequested(BuildQuery(limit=600)), "the wheel does, too"
        session.intents.clear()
        all_of_them = BuildQuery(limit=MOST_LISTED)
        session.app.screen.question = all_of_them  # type: ignore[attr-defined]
        await show(session, listed(all_of_them, many(MOST_LISTED), 100_000))
        await session.press("end")
        assert "no more are listed at once" in "\n".join(session.screen_text())
        lists = [intent for intent in session.intents if isinstance(intent, intents.HistoryRequested)]
        assert lists == [intents.HistoryRequested(all_of_them)]


async def test_only_rows_on_the_screen_are_made(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    async with console() as session:
        await open_history(session)
        await show(session, listed(builds=many(4000)))
        made: list[int] = []
        original = BuildsList._row

        def counted(self: BuildsList, line: int, width: int) -> object:
            made.append(line)
            return original(self, line, width)

        monkeypatch.setattr(BuildsList, "_row", counted)
        await session.press("end", "up", "pageup")
        assert 0 < len(made) < 400
        assert max(made) <= 4001


async def test_the_selection_stays_on_its_build(console: Console) -> None:
    async with console((80, 24)) as session:
        await open_history(session)
        await show(session, listed(builds=many(50)))
        await session.press("home", *["down"] * 20)
        selected = f"#{50 - 20}"
        before = next(row for row, line in enumerate(session.screen_text()) if line.strip().startswith("▸"))
        newer = (ListedBuild(sample(51)), *many(50))
        await show(session, listed(builds=newer))
        rows = session.screen_text()
        assert rows[before].split()[:2] == ["▸", selected], "it is where it was"
        await show(session, listed(builds=many(10)))
        assert shown(session, "#builds").splitlines()[1].startswith("▸"), "it has gone"


# -- one build ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_facts_and_timeline_of_the_selected_build(console: Console, size: tuple[int, int]) -> None:
    async with console(size) as session:
        await open_history(session)
        await read(session, 43)
        await session.press("end")
        assert "reading its steps" in shown(session, "#history-details")
        assert f"{ENGINE}" in flat(session, "#history-details"), "what the list knows is there at once"
        await read(session, 41)
        page = flat(session, "#history-details")
        for part in (
            "#41 legacy cold ✔ ok",
            "! old: measured more than a month ago",
            "raced (race)",
            "3 files, 18 kB, 4 ms",
            "aaaaaaaaaaaa 1.92 GB",
            MACHINE,
            "⚡ cached",
            "✖ COPY [src]/ s",
            "the cache was switched off",
        ):
            assert part in page
        await session.press("up")
        await read(session, 42)
        page = flat(session, "#history-details")
        assert "! disturbed: another build ran at the same time" in page
        assert "1.35 s after the save" in page
        session.intents.clear()
        await session.press("down", "up")
        screen = session.app.screen
        assert isinstance(screen, HistoryScreen)
        screen._read()
        assert session.intents == [], "they are known"


async def test_a_build_is_read_when_the_selection_rests(console: Console) -> None:
    async with console() as session:
        await open_history(session)
        await read(session, 43)
        builds(session).action_select(1)
        builds(session).action_select(1)
        await read(session, 41)


def test_parallel_and_interrupted_steps_stand_where_they_ran() -> None:
    rows = timeline_rows(LEGACY, 61)
    assert {row.cell_length for row in rows} == {61}
    lines = [row.plain for row in rows]
    left = lines[0].index("0 s")
    bars = {line[2:left].strip(): line[left:-9].rstrip() for line in lines[1:]}
    cells = len(lines[0]) - 9 - left
    assert cells == 29
    assert lines[0].rstrip().endswith("10.0 s")
    assert next(bar for name, bar in bars.items() if "apt" in name).strip("┊ ") == "█" * 14 + "▌", "the first half"
    pip = next(bar for name, bar in bars.items() if "pip" in name)
    assert len(pip.replace("┊", " ").split()) == 2, "with a pause"
    assert abs(len(pip.replace("┊", " ")) - len(pip.replace("┊", " ").lstrip()) - cells * 0.4) <= 1
    assert abs(len(pip) - cells * 0.9) <= 1
    assert bars["FROM python:3.10-slim"].strip("┊ ") == ""
    assert [line[2:12].strip() for line in lines[1:]] == [
        "load build",
        "RUN apt-ge",
        "FROM pytho",
        "RUN pip in",
        "COPY [src]",
    ]
    assert lines[5].startswith("✖")


def test_the_axis_has_round_figures() -> None:
    for total, figures in (
        (10.0, [0, 2, 4, 6, 8, 10]),
        (0.41, [0, 0.1, 0.2, 0.3, 0.4]),
        (300.0, [0, 60, 120, 180, 240, 300]),
    ):
        assert Axis(0.0, total, 55).ticks_s == pytest.approx(figures)
    assert Axis(0.0, 0.0, 20).ticks_s == [0]
    assert len(Axis(0.0, 1e6, 40).ticks_s) <= 5


def test_a_builder_with_another_clock_still_has_a_timeline() -> None:
    away = tuple(
        replace(each, started_at=None, intervals=tuple((start + 5e5, end + 5e5) for start, end in each.intervals))
        for each in LEGACY.steps
    )
    rows = [row.plain for row in timeline_rows(replace(LEGACY, steps=away), 61)]
    assert next(row for row in rows if "RUN apt" in row) == timeline_rows(LEGACY, 61)[2].plain


def test_a_timeline_of_any_width() -> None:
    for width in range(4, 130, 3):
        assert {row.cell_length for row in timeline_rows(LEGACY, width)} == {width}
    assert "Nothing is known" in timeline_rows(sample(1), 40)[0].plain


def test_times_that_no_builder_told_are_marked() -> None:
    steps = tuple(replace(each, exact=False) for each in LEGACY.steps)
    assert "≈ 5.00 s" in timeline_rows(replace(LEGACY, steps=steps), 61)[2].plain


# -- the trend ---------------------------------------------------------------------------------------------------------


def plot(*trends: Trend, width: int = 60, height: int = 9) -> list[str]:
    return [row.plain for row in trend_rows(HistoryView(builds=(), trends=trends), width, height)]


def test_both_tracks_are_told_apart_without_colours() -> None:
    rows = plot(*TRENDS)
    assert len(rows) == 9
    assert "× legacy 2 m 04 s n=2" in rows[0]
    assert "⠶ split 439 ms n=40" in rows[0]
    assert "log scale" in rows[0]
    assert rows[1].startswith("2 m 04 s ┤")
    assert rows[-1].startswith("  400 ms ┤")
    assert sum(row.count("×") for row in rows[1:]) == 2
    assert rows[1].rstrip().endswith("×"), "the newest is at the right"
    dots = [sum(0x2800 < ord(char) <= 0x28FF for char in row) for row in rows[1:]]
    assert dots[-1] > 15
    assert sum(dots[:-2]) == 0


def test_alike_figures_have_a_linear_scale() -> None:
    rows = plot(Trend(Track.LEGACY, Scenario.COLD, ((AT, 1000.0), (AT + 9, 500.0))), TRENDS[1])
    assert "log" not in rows[0]
    assert rows[1].startswith("  1.00 s ┤")
    assert "400 ms" in rows[-1]


def test_little_to_plot() -> None:
    assert "looking" in trend_rows(HistoryView(), 40, 5)[0].plain
    assert "Nothing was measured here" in plot()[0]
    assert "×" in "".join(plot(Trend(Track.LEGACY, Scenario.COLD, ((AT, 0.0),)))[1:])
    for height in (1, 2, 3):
        assert len(plot(*TRENDS, width=12, height=height)) == height


@pytest.mark.parametrize("size", SIZES)
async def test_t_shows_the_trend_at_every_size(console: Console, size: tuple[int, int]) -> None:
    async with console(size) as session:
        await open_history(session)
        await session.press("t")
        assert "Trend — code-change" in "\n".join(session.screen_text())
        assert "× legacy" in "\n".join(session.screen_text())
        large = session.app.screen.query_one("#trend").size.height
        await session.press("t")
        assert session.app.screen.query_one("#history-details").display
        assert session.app.screen.query_one("#trend").size.height < large


# -- two builds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_a_marked_build_is_set_beside_the_selected_one(console: Console, size: tuple[int, int]) -> None:
    async with console(size) as session:
        await open_history(session)
        await read(session, 43)
        await session.press("down", "space")
        assert shown(session, "#builds").splitlines()[2].startswith("▸◆")
        await session.press("up", "d")
        assert "reading #42 and #43" in shown(session, "#history-details")
        await read(session, 42)
        page = shown(session, "#history-details").splitlines()
        assert "#42 app code-change → #43 app code-change" in " ".join(page[0].split())
        words = flat(session, "#history-details")
        assert "took 412 ms → 2.50 s +2.09 s" in words
        assert "files 3 files, 18 kB other" in words
        first = next(index for index, line in enumerate(page) if line.startswith("step")) + 1
        assert page[first].endswith("–    2.10 s   +2.10 s"), "what got slower most comes first"
        assert "only in #43" in page[first + 1]
        assert "src/[b]odd[/b].py changed" in words
        await session.press("down")
        assert "#42 is the marked build" in flat(session, "#history-details")
        await session.press("down")
        await read(session, 41)
        words = flat(session, "#history-details")
        assert "! Their totals say nothing about each other: #42 is code-change; #41 is cold." in words
        await session.press("d")
        assert "#41 legacy" in shown(session, "#history-details")


async def test_comparing_needs_a_mark(console: Console) -> None:
    async with console(toasts=True) as session:
        await open_history(session)
        await session.press("d")
        assert "Mark a build with the space bar first" in "\n".join(session.screen_text())
        await session.press("space", "space")
        assert "◆" not in shown(session, "#builds")


# -- findings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_what_the_history_says_as_a_whole(console: Console, size: tuple[int, int]) -> None:
    async with console(size) as session:
        await open_history(session, ev.ComparisonUpdated(FINDINGS.scenarios[0], FINDINGS))
        await session.press("v")
        page = flat(session, "#history-details")
        for part in (
            "code-change ×354",
            "legacy 2 m 03 s (n=5, 1 old) · split 349 ms (n=12)",
            "RUN pip install [all] is in the base.",
            "→ COPY . . in line 4 reads 12 files that no step needs: 1.2 s.",
            "✔ app build < 60 s: 0.35 s",
            "? CI pipeline −70 %: not measured",
            "today +10 m 15 s −6 m 01 s +4 m 14 s",
            "pays off after 3 saves",
            "3 builds not counted",
            "legacy image 1.95 GB",
            "to pull after a change, app 90 kB",
            "base pulled whole 61.0 s, 700 MB (n=2)",
        ):
            assert part in page
        await session.press("v")
        assert "#43 app" in shown(session, "#history-details")


# -- keys, mouse, palette ----------------------------------------------------------------------------------------------


async def test_escape_h_and_q_leave(console: Console) -> None:
    async with console() as session:
        await session.play("served")
        for leave in ("escape", "h", "q"):
            await session.press("h")
            assert isinstance(session.app.screen, HistoryScreen)
            await session.press(leave)
            assert session.app.screen is session.dashboard
        assert not session.app._exit


async def test_zoom_and_back(console: Console) -> None:
    async with console((80, 24)) as session:
        await open_history(session)
        await session.press("tab", "f")
        assert session.app.screen.query_one("#history-details").size.height > 18
        await session.press("escape")
        assert isinstance(session.app.screen, HistoryScreen)
        assert session.app.screen.query_one("#history-details").size.height < 18


async def test_the_mouse_selects_and_opens(console: Console) -> None:
    async with console() as session:
        await open_history(session)
        await session.press("v")
        await session.pilot.click(BuildsList, offset=(8, 3), times=2)
        await session.pilot.pause()
        assert shown(session, "#builds").splitlines()[2].startswith("▸")
        assert "#42 app" in shown(session, "#history-details")


@pytest.mark.parametrize("width", [80, 120, 200])
async def test_no_key_of_the_footer_is_cut(console: Console, width: int) -> None:
    async with console((width, 30)) as session:
        await open_history(session)
        keys = [key for key in session.app.screen.query(FooterKey) if key.display]
        palette = next(key for key in keys if "palette" in key.description)
        assert max(key.region.right for key in keys if key is not palette) <= palette.region.x
        assert {"sort", "image", "scenario", "mark", "diff", "gains", "trend", "back"} <= set(session.footer())


async def test_every_command_is_in_the_palette_and_the_help_opens(console: Console) -> None:
    async with console() as session:
        await open_history(session)
        provider = ConsoleCommands(session.app.screen)
        provider._post_init()
        offered = [str(hit.display) async for hit in provider._search("")]
        for command in HISTORY_KEYS:
            assert any(command.title in entry for entry in offered)
            assert command.id.startswith("history.")
        await session.press("question_mark")
        assert isinstance(session.app.screen, HelpScreen)


async def test_keys_of_the_history_can_be_given_others(console: Console) -> None:
    async with console(keys={"history.sort": "f6", "history": "f7"}, toasts=True) as session:
        assert "knows no" not in "\n".join(session.screen_text())
        await session.press("f7", "f6")
        assert session.intents == [
            intents.HistoryRequested(ALL),
            intents.HistoryRequested(BuildQuery(sort="duration_ms")),
        ]


async def test_strange_names_are_text(console: Console) -> None:
    async with console((80, 24)) as session:
        odd = sample(
            9,
            reason="saved [red]x[/]\x1b[2J",
            disturbed="[/b]\x9b",
            engine="[i]\u202e",
            steps=(step("[2/4] RUN [bold]echo\x1b[/]", StepStatus.DONE, 5, at=AT, stage_label="[/x]"),),
            causes=(Cause("[2/4] RUN [bold]echo\x1b[/]", CauseKind.FILES, ("[/u]\x07",), 5.0),),
        )
        await open_history(session)
        await show(session, listed(builds=(ListedBuild(odd), *BUILDS)), ev.HistoryBuildRead(odd))
        await session.press("home")
        screen = "\n".join(session.screen_text()) + shown(session, "#history-details")
        await session.press("space", "down", "d")
        await show(session, ev.HistoryBuildRead(SLOW))
        screen += "\n".join(session.screen_text()) + shown(session, "#history-details")
        assert "[red]x[/]" in screen
        assert "[/x]: RUN [bold]echo" in screen
        assert not any(char in screen for char in "\x1b\x9b\u202e\x07")
