"""The comparison panel: what it says of two tracks, of a race, and of everything else that was found."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console import events as ev
from console.measurements import (
    Comparison,
    Findings,
    ImageBytes,
    Ledger,
    OtherMeasurement,
    Period,
    PullTime,
    Race,
    RacePhase,
    RaceResult,
    StageTime,
    TargetCheck,
    TrackSummary,
    Usual,
    UsualStep,
    Verdict,
)
from console.model import BuilderInfo, BuildStatus, Mode, Scenario, StepStatus, Target, Track
from console.state.app_state import AppState, BuildView, PipelineView
from console.ui.compare_rows import ZOOMED, compare_rows
from tests.ui.conftest import Console
from tests.ui.story import FINDINGS, RACED, START, VERDICT, step

NOW = START + 100.0
CHANGE, COLD = Scenario.CODE_CHANGE, Scenario.COLD
WIDTHS = (40, 56, 70, 100, 190)
HEIGHTS = range(6, 15)
LEGACY = TrackSummary(5, 120_000.0, 118_000.0, 131_000.0, NOW - 7_200, (131_000.0, 120_000.0, 118_000.0))
SPLIT = TrackSummary(12, 350.0, 330.0, 400.0, NOW - 60, (350.0, 400.0, 330.0))
STAGES = (
    StageTime("System packages", 17_100.0, None, in_base=True),
    StageTime("Python deps", 75_300.0, None, in_base=True),
    StageTime("Models", 8_000.0, None, in_base=True),
    StageTime("Code copy", 150.0, 61.0),
    StageTime("Other", 19_450.0, 288.0),
)
BOTH = Comparison(CHANGE, LEGACY, SPLIT, STAGES, (341.0, 371.0), verdict=VERDICT)
COLD_BOTH = Comparison(
    COLD,
    replace(LEGACY, median_ms=150_000.0),
    replace(SPLIT, median_ms=2_300.0),
    STAGES,
    verdict=Verdict(COLD, "Cold, the split takes less.", ("Move line 4 into the base.",)),
)
EVERYTHING = AppState(
    comparison=BOTH,
    findings=replace(FINDINGS, scenarios=(BOTH, COLD_BOTH)),
    raced=RaceResult(56_944.0, 144.0, CHANGE, paths=RACED),
)
STEPS = (
    step("[1/11] FROM python", StepStatus.CACHED),
    step("[2/11] WORKDIR /app", StepStatus.DONE, 10.0),
    step("[3/11] RUN pip install -r requirements.txt", StepStatus.RUNNING, at=NOW - 20),
)


def building(seconds: float, usual_ms: float | None = None, status: BuildStatus = BuildStatus.RUNNING) -> BuildView:
    install = UsualStep("RUN pip install -r requirements.txt", 30_000.0, 30_000.0, 1)
    usual = None if usual_ms is None else Usual(1, usual_ms, (install,))
    return BuildView(7, Target.LEGACY, "shop:legacy", "raced", NOW - seconds, status=status, steps=STEPS, usual=usual)


def racing(seconds: float = 23.4, usual_ms: float | None = 57_400.0, **race: object) -> AppState:
    known = Race(RacePhase.RUNNING, ("src/a.py",), 144.0)
    return replace(
        EVERYTHING,
        raced=None,
        legacy_build=building(seconds, usual_ms),
        race=replace(known, **race),  # type: ignore[arg-type]
    )


def rows(state: AppState, width: int = 70, height: int = 11, **more: bool) -> list[str]:
    return [row.plain for row in compare_rows(state, NOW, width, height, **more)]


def said(state: AppState, width: int = 70, height: int = 11, **more: bool) -> str:
    """The panel as one text, so that it does not matter where a line was broken."""
    return " ".join(" ".join(rows(state, width, height, **more)).split())


def row_with(part: str, lines: list[str]) -> str:
    return next(line for line in lines if part in line)


def one_side(*elsewhere: OtherMeasurement) -> AppState:
    return AppState(comparison=Comparison(CHANGE, split=SPLIT, elsewhere=elsewhere))


# -- the total, and what stands behind it ------------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("height", HEIGHTS)
def test_the_most_important_is_there_at_every_size(width: int, height: int) -> None:
    for state in (EVERYTHING, racing(), replace(EVERYTHING, comparison=COLD_BOTH)):
        shown = "\n".join(rows(state, width, height))
        assert "Total" in shown
        assert "×" in row_with("Total", shown.splitlines())
        assert "split" in shown


@pytest.mark.parametrize("width", WIDTHS)
def test_a_column_never_touches_the_next_one(width: int) -> None:
    total = row_with("Total", rows(EVERYTHING, width))
    assert total.startswith("Total  ×343")
    assert [cell.strip() for cell in total.split("  ")[-1:]] == ["99.7 %"]
    assert " 2 m 00 s " in total
    assert " 350 ms " in total


def test_the_total_has_the_interval_where_there_is_room() -> None:
    assert "95 %: ×341 to ×371  n=5" in row_with("Total", rows(EVERYTHING, 100))
    assert "×341" not in row_with("Total", rows(EVERYTHING, 56))
    assert "n=5" not in row_with("Total", rows(EVERYTHING, 40))


def test_samples_that_are_old_or_far_off_are_counted() -> None:
    marked = replace(BOTH, legacy=replace(LEGACY, old=1, outliers=1), interval=None)
    state = AppState(comparison=marked)
    assert "n=5 (1 old, 1 outlier)" in row_with("legacy  █", rows(state))
    assert "(" not in row_with("n=12", rows(state))
    assert "n=5+12 (1 old, 1 outlier)" in row_with("Total", rows(state, 100))
    same = replace(marked, split=replace(SPLIT, n=5, outliers=1))
    assert "n=5 (1 old, 2 outliers)" in row_with("Total", rows(AppState(comparison=same), 100))
    assert "n=5 (1 old, 1 outlier)" in said(state, 40)


def test_what_costs_more_is_no_gain() -> None:
    slower = replace(BOTH, legacy=SPLIT, split=LEGACY, stages=(StageTime("Other", 350.0, 120_000.0),), verdict=None)
    shown = rows(AppState(comparison=slower))
    assert row_with("Other", shown).endswith("−2 m 00 s")
    assert "×0.00" in row_with("Total", shown)


def test_the_lightest_stages_go_first() -> None:
    names = [stage.stage for stage in STAGES]
    shown = said(EVERYTHING, 70, 11)
    assert [name in shown for name in names] == [True, True, False, False, True]
    assert all(name in said(EVERYTHING, 70, 14) for name in names[:3])


async def test_rows_without_a_figure_are_left_out_of_the_comparison(console: Console) -> None:
    stages = (
        StageTime("System packages", 0.0, 0.0),
        StageTime("Python deps", 0.2, None, in_base=True),
        StageTime("Models", None, 30.0, in_base=True),
        StageTime("Code copy", 0.0, 7.0),
        StageTime("Other", 500.0, 0.0),
    )
    one = TrackSummary(1, 500.0, 500.0, 500.0, START)
    async with console() as session:
        await session.tell(ev.ComparisonUpdated(Comparison(Scenario.CODE_CHANGE, one, one, stages)))
        shown = session.text("#compare")
        assert [stage.stage in shown for stage in stages] == [False, False, True, True, True]


def test_both_tracks_share_a_row_only_where_two_do_not_fit() -> None:
    tall, short = rows(AppState(comparison=BOTH), 70, 14), rows(EVERYTHING, 70, 11)
    assert row_with("legacy ", tall[1:]) != row_with("split ", tall[1:])
    assert "2 h ago" in row_with("n=12 · 1 m ago", short)


# -- the race ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
def test_a_race_has_both_tracks_on_one_scale(width: int) -> None:
    shown = rows(racing(), width)
    legacy, split = row_with("legacy  ●", shown), row_with("split   ✔", shown)
    assert "23.4 s" in legacy
    assert "34 s left" in legacy
    assert "144 ms" in split
    assert "23.3 s behind" in split
    assert legacy.count("█") > split.count("█")
    assert legacy.count("░") > legacy.count("█") / 2
    assert "░" not in split
    assert legacy.index(" s ") - 4 == split.index("144 ms"), "the figures stand below each other"


def test_a_running_race_stands_in_for_what_its_tracks_were_measured_by() -> None:
    assert "ago" not in said(racing(), 100, 14)
    assert "press l" not in said(replace(racing(), comparison=None))


def test_where_there_is_room_a_race_tells_the_step_and_the_ratio() -> None:
    shown = rows(racing(), 100)
    assert "2/11 RUN pip install -r" in row_with("legacy  ●", shown)
    assert "legacy is 23.3 s behind and counting (already ×163)" in row_with("split   ✔", shown)
    assert row_with("● race of src/a.py", shown).endswith("x cancels")


def test_a_race_ticks_and_may_still_be_won() -> None:
    early = rows(racing(0.1, None), 100)
    assert "legacy can still win, for 44 ms more" in row_with("split   ✔", early)
    assert "behind" not in "\n".join(early)
    later = rows(racing(0.2, None), 100)
    assert "legacy is 56 ms behind and counting" in row_with("split   ✔", later)


def test_a_bar_promises_nothing_where_no_end_is_known() -> None:
    shown = row_with("legacy  ●", rows(racing(usual_ms=None), 100))
    assert "░" not in shown
    assert "left" not in shown


def test_a_race_without_an_app_build_compares_nothing() -> None:
    shown = said(racing(split_ms=None), 100)
    assert "split – of this source nothing is measured" in shown
    assert "behind" not in shown


def test_a_race_whose_build_has_not_begun_shows_no_older_one() -> None:
    state = replace(racing(), legacy_build=building(500, status=BuildStatus.OK))
    shown = row_with("legacy  ●", rows(state, 100))
    assert "begins" in shown
    assert "8 m" not in shown


@pytest.mark.parametrize("width", WIDTHS)
def test_a_race_that_waits_says_for_what_and_leaves_the_figures(width: int) -> None:
    state = racing(phase=RacePhase.WAITING, why="what is being built goes first")
    shown = said(state, width)
    assert "race waits" in shown
    assert "what is being built goes first" in shown
    assert "x cancels" in shown
    assert "n=5" in shown
    assert "behind" not in shown


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("phase", RacePhase)
def test_a_race_that_nobody_asked_for_is_called_so(width: int, phase: RacePhase) -> None:
    assert "background race" in said(racing(phase=phase, asked=False, why="until it is quiet"), width, 6)
    assert "background" not in said(racing(phase=phase, why="until it is quiet"), width)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (RaceResult(56_944.0, 144.0, CHANGE), "✔ split won by 56.8 s (×395), code change"),
        (RaceResult(1_000.0, 2_500.0, COLD), "✖ legacy won by 1.50 s (×2.5), cold"),
        (RaceResult(1_000.0, 1_000.0, COLD), "= a draw, cold"),
        (RaceResult(1_000.0, 10.0, None, "the app was cold"), "– no race: the app was cold"),
        (RaceResult(1_000.0, None, None), "– no race: what the app build took is not known"),
    ],
)
def test_how_a_race_ended(result: RaceResult, words: str) -> None:
    for width in WIDTHS[1:]:
        assert words in said(replace(EVERYTHING, raced=result), width)
    assert words.partition(",")[0][:24] in said(replace(EVERYTHING, raced=result), 40, 6)


def test_a_result_goes_with_the_next_save_and_the_next_race() -> None:
    ended = replace(EVERYTHING, legacy_build=replace(building(60, status=BuildStatus.OK), duration_ms=50_000.0))
    assert "split won" in said(replace(ended, pipeline=PipelineView(saved_at=NOW - 30)))
    assert "split won" not in said(replace(ended, pipeline=PipelineView(saved_at=NOW - 5)))
    assert "split won" not in said(replace(ended, race=Race(RacePhase.WAITING)))


# -- the verdict, the targets, the account, the images -----------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
def test_a_verdict_has_two_rows_and_all_its_words_when_zoomed(width: int) -> None:
    shown = rows(EVERYTHING, width, 11)
    first = next(index for index, line in enumerate(shown) if line.startswith("A code change takes"))
    assert sum("targets" in line for line in shown[first + 1 : first + 3]) == 1, "two rows at most"
    told = said(EVERYTHING, width, 50)
    assert VERDICT.sentence in told
    assert f"→ {VERDICT.advice[0]}" in told
    assert "cold ×65.2" in told
    assert "Cold, the split takes less." in told
    assert "→" not in said(EVERYTHING, width, 14)


def test_a_cut_verdict_says_that_there_is_more() -> None:
    shown = rows(EVERYTHING, 40, 7)
    assert row_with("A code change", shown).rstrip().endswith("…")


def test_a_missing_side_is_told_once() -> None:
    verdict = Verdict(CHANGE, "The legacy build is not measured.")
    assert "The legacy" not in said(AppState(comparison=Comparison(CHANGE, split=SPLIT, verdict=verdict)), 70, 40)


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (40, "targets 3 of 4 met ? 1 not measured"),
        (56, "targets 3 of 4 met ? 1 not measured"),
        (70, "targets app <60 s ✔ reduction ≥80 % ✔ iteration ≥5× ✔ CI −70 % ?"),
        (100, "app build < 60 s ✔ reduction ≥ 80 % ✔ iteration ≥ 5× ✔ CI pipeline −70 % ?"),
        (190, "app build < 60 s ✔ 349 ms reduction ≥ 80 % ✔ 99.7 % iteration ≥ 5× ✔ ×354 CI pipeline −70 % ?"),
    ],
)
def test_four_targets_fit(width: int, words: str) -> None:
    assert words in said(EVERYTHING, width)


@pytest.mark.parametrize(("width", "words"), [(40, "✖ reduction, CI"), (56, "✖ reduction ≥80 %, CI −70 %")])
def test_the_targets_that_are_missed_are_named(width: int, words: str) -> None:
    targets = tuple(replace(target, met=index % 2 == 0) for index, target in enumerate(FINDINGS.targets))
    shown = said(replace(EVERYTHING, findings=replace(FINDINGS, targets=targets)), width)
    assert f"2 of 4 met {words}" in shown


def test_targets_of_which_nothing_is_known_are_not_shown() -> None:
    unknown = (TargetCheck("app build < 60 s", "not measured", met=None),)
    assert "targets" not in said(AppState(findings=Findings(targets=unknown)), 100)


def test_zoomed_each_target_has_its_figure() -> None:
    shown = rows(EVERYTHING, 100, 50)
    assert "99.7 %" in row_with("✔ reduction ≥ 80 %", shown)
    assert "not measured" in row_with("? CI pipeline −70 %", shown)


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (40, "today saved 41 m 00 s · base 6 m 01 s"),
        (56, "today saved 41 m 00 s · base cost 6 m 01 s"),
        (70, "base cost 6 m 01 s · net 34 m 59 s"),
        (100, "· a base build pays off after 1 save"),
        (190, "· this week net 1 h 51 m · in all net 4 h 21 m"),
    ],
)
def test_the_account(width: int, words: str) -> None:
    assert words in said(EVERYTHING, width)


async def test_a_day_that_cost_more_than_it_saved_says_so(console: Console) -> None:
    one = TrackSummary(1, 500.0, 500.0, 500.0, START)
    async with console() as session:
        lost = Findings(ledger=Ledger(Period(3, -6_927.0, base_builds=1, base_ms=1.0)))
        await session.tell(ev.ComparisonUpdated(Comparison(Scenario.COLD, one, one), lost))
        assert "lost 6.93 s · base cost 1 ms" in session.text("#compare")


def account(*, height: int = 11, width: int = 100, **periods: Period) -> str:
    return said(AppState(comparison=BOTH, findings=Findings(ledger=Ledger(**periods))), width, height)


def test_a_day_without_builds_gives_way_to_the_week() -> None:
    assert "this week saved 9.00 s" in account(week=Period(3, 9_000.0), in_all=Period(3, 9_000.0))
    assert "today" not in account(week=Period(3, 9_000.0))
    assert "saved 0" not in account(today=Period(base_builds=1, base_ms=5_000.0)), "nothing was to be saved"
    assert "today base cost 5.00 s" in account(today=Period(base_builds=1, base_ms=5_000.0))


def test_builds_that_have_no_price_are_told() -> None:
    reason = "3 builds not counted: legacy not measured in their scenario"
    assert reason in account(today=Period(unpriced=3))
    assert "saved 9.00 s · 3 not counted" in account(today=Period(2, 9_000.0, unpriced=3))
    assert reason in account(today=Period(2, 9_000.0, unpriced=3), height=50)


def test_zoomed_the_account_is_a_table() -> None:
    shown = rows(EVERYTHING, 100, 50)
    assert " ".join(row_with("this week", shown).split()) == "this week 61 2 h 05 m 9 13 m 48 s 1 h 51 m"
    assert row_with("in all ", shown).split()[2] == "143"
    assert "after 1 save (it takes 92.0 s, a code change saves 2 m 03 s)" in said(EVERYTHING, 100, 50)
    assert "today saved 41 m 00 s" in said(EVERYTHING, 56, 50), "where the table has no room"


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (FINDINGS.images, "base 1.91 GB · app +1.2 MB · a teammate pulls 4.1 kB (legacy: 2.3 GB)"),
        (ImageBytes(app=1_000), "images app 1 kB"),
        (ImageBytes(base=2_000, app=1_000), "images base 2 kB · app 1 kB"),
        (ImageBytes(base=2_000, app_pull=0), "images base 2 kB · a teammate pulls 0 B"),
        (ImageBytes(legacy_pull=2_000), "images a teammate pulls legacy: 2 kB"),
    ],
)
def test_what_images_weigh(images: ImageBytes, words: str) -> None:
    state = AppState(comparison=Comparison(CHANGE, LEGACY, SPLIT), findings=Findings(images=images))
    assert words in said(state, 100)
    assert "uncompressed" not in said(state, 100)
    assert words in said(state, 100, 50)
    assert "all uncompressed" in said(state, 100, 50)


def test_images_of_which_nothing_is_known_have_no_row() -> None:
    assert "images" not in said(AppState(comparison=BOTH), 100, 50)


def test_cold_says_what_it_does_not_count() -> None:
    cold = replace(EVERYTHING, comparison=COLD_BOTH, raced=None)
    known = replace(cold, findings=replace(FINDINGS, base_cold_ms=56_300.0))
    long = "the base is counted as present; building it takes 56.3 s, pulling it is not measured"
    assert long in said(known, 100)
    assert "base counted as present: build 56.3 s, pull not measured" in said(known, 70)
    assert "base counted as present: build 56.3 s, pull not measured" in said(known, 40, 10)
    assert long in said(known, 70, 40)
    pulled = replace(cold, findings=replace(FINDINGS, pull=PullTime(3, 12_000.0, 900_000_000)))
    assert "building it is not measured, pulling it takes 12.0 s" in said(pulled, 100)
    assert "pulling it takes 12.0 s (900 MB, n=3)" in said(pulled, 100, 40)
    assert "counted as present" not in said(EVERYTHING, 190, 50)


def test_a_change_of_dependencies_counts_both_images() -> None:
    state = AppState(comparison=replace(BOTH, scenario=Scenario.DEPS_CHANGE))
    assert "the split's figure is base and app build together" in said(state, 70)


# -- a side that is missing --------------------------------------------------------------------------------------------

COLD_HERE = OtherMeasurement(Track.LEGACY, COLD, 1, 57_000.0)
FAR_AWAY = OtherMeasurement(Track.LEGACY, CHANGE, 2, 57_000.0, "docker 28.5.2 buildkit overlay2 on another machine")


@pytest.mark.parametrize(
    ("elsewhere", "width", "words"),
    [
        ((), 40, "legacy not measured yet – press l"),
        ((), 70, "legacy not measured yet – press l to race it"),
        ((COLD_HERE,), 40, "only cold: 57.0 s – press l"),
        ((COLD_HERE,), 70, "only cold so far: 57.0 s (n=1) – save a file and press l"),
        ((FAR_AWAY,), 40, "only 57.0 s on docker… – press l"),
        ((FAR_AWAY,), 70, "only 57.0 s on docker 28.5.2 buildkit overlay2 on a… – press l"),
        ((FAR_AWAY,), 190, "only measured on docker 28.5.2 buildkit overlay2 on another machine: 57.0 s (n=2) – save"),
    ],
)
def test_a_missing_side_says_why(elsewhere: tuple[OtherMeasurement, ...], width: int, words: str) -> None:
    shown = said(one_side(*elsewhere), width)
    assert words in shown
    assert "×" not in shown
    assert "saved 5" not in shown


def test_in_legacy_mode_the_other_key_is_named() -> None:
    state = AppState(mode=Mode.LEGACY, comparison=Comparison(CHANGE, legacy=LEGACY))
    assert "split not measured yet – press m to go back to it" in said(state)
    assert "press l" not in said(state)


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_measured(width: int) -> None:
    shown = said(AppState(), width)
    for words in ("Nothing measured yet", "press l", "save a file", "No figure here is ever estimated."):
        assert words in shown
    assert "config.toml has no [legacy]" in said(AppState(), width, can_race=False)
    assert "press l" not in said(AppState(), width, can_race=False)
    cold_only = said(AppState(comparison=Comparison(CHANGE, elsewhere=(COLD_HERE,))), width)
    assert "Nothing measured yet: code change" in cold_only


def test_names_are_text_and_nothing_else() -> None:
    evil = "[bold]x[/]\x1b[2J\udcff"
    state = replace(
        racing(paths=(evil,)),
        comparison=replace(BOTH, stages=(StageTime(evil, 500_000.0, 1.0),), verdict=Verdict(CHANGE, evil, (evil,))),
    )
    shown = "\n".join(rows(state, 100, 60))
    assert shown.count("[bold]x[/]\\x1b[2J\\udcff") == 3
    assert "\n[bold]x[/]\\x1b[" in shown, "a stage has less room"
    assert not any(char in shown for char in "\x1b\udcff")


# -- the panel itself --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_zoomed_the_panel_tells_more(console: Console, size: tuple[int, int]) -> None:
    async with console(size) as session:
        await session.play("compared")
        assert "→" not in session.text("#compare")
        session.dashboard.query_one("#compare").focus()
        await session.press("f")
        shown = " ".join(session.text("#compare").split())
        assert VERDICT.sentence in shown
        assert VERDICT.advice[0] in shown
        assert "uncompressed" in shown
        assert all(stage.stage in shown for stage in STAGES)


async def test_a_race_goes_on_while_it_is_looked_at(console: Console) -> None:
    async with console() as session:
        await session.play("racing")
        before = session.text("#compare")
        await session.wait(0.2)
        assert session.text("#compare") != before
        await session.tell(ev.RaceFinished(None))
        assert "behind" not in session.text("#compare")


# -- any mix fits ------------------------------------------------------------------------------------------------------

TIMES = st.floats(0, 1e8)
WORDS = st.text("ab [/]界\u202e…", max_size=90)
COUNTS = st.integers(0, 3_000)


@st.composite
def states(draw: st.DrawFn) -> AppState:
    def some(strategy: st.SearchStrategy[object]) -> object:
        return draw(st.none() | strategy)

    summaries = st.builds(
        TrackSummary,
        st.integers(1, 999),
        TIMES,
        TIMES,
        TIMES,
        TIMES,
        st.lists(TIMES, max_size=20).map(tuple),
        COUNTS,
        COUNTS,
    )
    stages = st.builds(StageTime, WORDS, st.none() | TIMES, st.none() | TIMES, st.booleans())
    scenarios = st.sampled_from(Scenario)
    others = st.builds(OtherMeasurement, st.sampled_from(Track), scenarios, COUNTS, TIMES, WORDS)
    verdicts = st.builds(Verdict, scenarios, WORDS, st.lists(WORDS, max_size=3).map(tuple))
    comparisons = st.builds(
        Comparison,
        scenarios,
        st.none() | summaries,
        st.none() | summaries,
        st.lists(stages, max_size=7).map(tuple),
        st.none() | st.tuples(TIMES, TIMES),
        st.lists(others, max_size=2).map(tuple),
        st.none() | verdicts,
    )
    targets = st.builds(TargetCheck, WORDS, WORDS, st.none() | st.booleans())
    periods = st.builds(Period, COUNTS, st.floats(-1e9, 1e9), COUNTS, COUNTS, TIMES)
    sizes = st.none() | st.integers(0, 10**12)
    findings = st.builds(
        Findings,
        st.lists(comparisons, max_size=3).map(tuple),
        st.lists(targets, max_size=4).map(tuple),
        st.builds(Ledger, periods, periods, periods, st.none() | TIMES, st.none() | TIMES),
        st.builds(ImageBytes, sizes, sizes, sizes, sizes, sizes),
        st.none() | TIMES,
        st.none() | st.builds(PullTime, COUNTS, TIMES, COUNTS),
    )
    names = st.lists(WORDS, max_size=3).map(tuple)
    exact = draw(st.booleans())
    return AppState(
        comparison=some(comparisons),  # type: ignore[arg-type]
        findings=draw(findings),
        race=some(st.builds(Race, st.sampled_from(RacePhase), names, st.none() | TIMES, st.booleans(), WORDS)),  # type: ignore[arg-type]
        raced=some(st.builds(RaceResult, TIMES, st.none() | TIMES, st.none() | scenarios, WORDS, names)),  # type: ignore[arg-type]
        legacy_build=some(st.builds(building, st.floats(-1, 1e5), st.none() | TIMES)),  # type: ignore[arg-type]
        mode=draw(st.sampled_from(Mode)),
        builder=BuilderInfo("engine", "tar", "", exact=exact),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(state=states(), width=st.integers(1, 200), height=st.integers(1, 3 * ZOOMED), can_race=st.booleans())
def test_no_row_is_wider_and_no_panel_taller_than_there_is_room(
    state: AppState, width: int, height: int, can_race: bool
) -> None:
    shown = compare_rows(state, NOW, width, height, can_race=can_race)
    assert len(shown) <= height
    assert all(row.cell_length <= width for row in shown)
    assert all("\n" not in row.plain for row in shown)
