"""A comparison as an SVG picture: what it shows, that it fits, and that it is XML whatever it is made from."""

from __future__ import annotations

import itertools
import re
import statistics
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.history.picture import BAR_LEFT, BAR_WIDTH, LEAST_WIDTH, WIDTH, to_svg
from console.history.report import Measured, Report
from console.history.svg import Fills, cut, room, wrapped
from console.measurements import Comparison, StageTime, TrackSummary, Verdict
from console.model import Scenario

SVG = "{http://www.w3.org/2000/svg}"
Picture = ET.Element


def times(*ms: float) -> TrackSummary:
    return TrackSummary(len(ms), statistics.median(ms), min(ms), max(ms), 0.0, ms)


STAGES = (
    StageTime("System packages", 17_000, 0, in_base=True),
    StageTime("Python deps", 40_000, 0, in_base=True),
    StageTime("Code copy", 1_000, 100),
    StageTime("Assets", 2_000, 20),
    StageTime("Other", 1_000, 30),
)
CHANGE = Measured(
    Comparison(
        Scenario.CODE_CHANGE,
        times(61_000, 60_000, 64_000),
        times(150, 140, 160),
        STAGES,
        (375.0, 457.1),
        verdict=Verdict(Scenario.CODE_CHANGE, "A code change takes 150 ms in place of 61.0 s (×407): " + "words " * 40),
    ),
    edited="src/app.py",
)
COLD = Measured(
    Comparison(Scenario.COLD, times(60_000, 62_000), times(30_000, 32_000), STAGES), base_ms=(57_000.0, 59_000.0)
)


def report(*measured: Measured) -> Report:
    return Report("demo", measured, "splitdeck compare --runs 3", "docker 28", "2 cores", 1_764_158_400.0, "1.2.3")


def drawn(*measured: Measured) -> Picture:
    return ET.fromstring(to_svg(report(*measured)))


def texts(picture: Picture) -> list[str]:
    return ["".join(element.itertext()) for element in picture.iter(f"{SVG}text")]


def named(picture: Picture, start: str) -> list[Picture]:
    """The rectangles that say what they are."""
    return [
        rect
        for rect in picture.iter(f"{SVG}rect")
        if (title := rect.find(f"{SVG}title")) is not None and (title.text or "").startswith(start)
    ]


def width(picture: Picture, start: str) -> float:
    return sum(float(rect.attrib["width"]) for rect in named(picture, start))


def test_a_panel_has_the_figures_of_both_tracks() -> None:
    said = texts(drawn(CHANGE))
    for expected in (
        *("demo: legacy against split", "Code change", "a line is added to src/app.py; the cache is warm"),
        *("61.0 s", "n=3, 60.0 s – 64.0 s", "150 ms", "n=3, 140 ms – 160 ms"),
        *("×407", "legacy ÷ split; 95 % interval ×375 – ×457"),
    ):
        assert expected in said
    assert (said.count("System packages"), said.count("Code copy")) == (2, 1), "in the legend; one is in the base, too"
    assert "in the base" in said


def test_the_footer_says_where_it_comes_from() -> None:
    said = " ".join(texts(drawn(CHANGE)))
    assert "Measured by `splitdeck compare --runs 3` on 2025-11-26" in said
    assert "docker 28; 2 cores; splitdeck 1.2.3." in said


def test_who_cannot_see_it_is_told() -> None:
    described = drawn(CHANGE, COLD).find(f"{SVG}desc")
    assert described is not None
    expected = "Code change: legacy 61.0 s (n=3), split 150 ms (n=3), ×407. Cold: legacy 61.0 s (n=2), split 31.0 s"
    assert (described.text or "").startswith(expected)


def test_bars_are_as_long_as_the_medians_and_stages_have_their_share() -> None:
    picture = drawn(COLD)
    legacy, split = width(picture, "legacy"), width(picture, "split")
    assert legacy / split == pytest.approx(61 / 31, rel=1e-3)
    assert legacy == pytest.approx(BAR_WIDTH * 61 / 62, abs=0.1), "the slowest build ends the axis"
    assert width(picture, "base") == pytest.approx(BAR_WIDTH * 58 / 62, abs=0.1)
    assert width(picture, "legacy, Python deps") == pytest.approx(legacy * 40 / 61, abs=0.1)
    assert width(picture, "split, Assets") == pytest.approx(split * 20 / 150, abs=0.1)
    [base] = named(picture, "base")
    [python] = named(picture, "legacy, Python deps")
    assert float(base.attrib["height"]) < float(python.attrib["height"])


def test_what_is_too_short_to_be_seen_is_seen() -> None:
    picture = drawn(CHANGE)
    assert width(picture, "split") == pytest.approx(LEAST_WIDTH, abs=0.05)
    assert "150 ms" in texts(picture)


def test_a_stage_looks_the_same_everywhere_and_like_no_other() -> None:
    picture = drawn(CHANGE, COLD)
    fills: dict[str, set[str]] = {}
    for rect in [*named(picture, "legacy"), *named(picture, "split")]:
        name = (rect.findtext(f"{SVG}title") or "").partition(", ")[2].partition(":")[0]
        fills.setdefault(name, set()).add(rect.attrib["fill"])
    assert sorted(fills) == ["Assets", "Code copy", "Other", "Python deps", "System packages"]
    assert all(len(found) == 1 for found in fills.values())
    patterns = {pattern.attrib["id"]: pattern for pattern in picture.iter(f"{SVG}pattern")}
    looks = [
        ET.tostring(patterns[fill[len("url(#") : -1]]).partition(b"<")[2].partition(b">")[2]
        for found in fills.values()
        for fill in found
    ]
    assert len(set(looks)) == len(fills)


def test_no_two_stages_are_told_apart_by_colour_alone() -> None:
    names = ["System packages", "Python deps", "Models", "Code copy", "Other deps", "mine", "yours", "Other"]
    lines = re.findall(r'(?:<path d="([^"]*)"[^>]*/>)?</pattern>', Fills(names).definitions())
    assert len(lines) == len(names)
    for builtin in range(5):
        assert lines.count(lines[builtin]) <= 2
    assert len(set(lines[:5])) == 5


@pytest.mark.parametrize(("legacy", "split"), [(True, False), (False, True), (False, False)])
def test_a_missing_side_is_called_that(legacy: bool, split: bool) -> None:
    comparison = CHANGE.comparison
    stages = tuple(
        replace(row, legacy_ms=row.legacy_ms if legacy else None, split_ms=row.split_ms if split else None)
        for row in STAGES
    )
    half = Measured(
        replace(
            comparison,
            legacy=comparison.legacy if legacy else None,
            split=comparison.split if split else None,
            stages=stages,
        )
    )
    said = texts(drawn(half))
    assert said.count("not measured") == 2 - legacy - split
    assert "no speedup: a side is missing" in said
    assert ("61.0 s" in said, "150 ms" in said) == (legacy, split)
    assert ("in the base" in said) is split


def test_a_track_without_stages_is_one_bar() -> None:
    plain = Measured(replace(CHANGE.comparison, stages=()))
    picture = drawn(plain)
    [bar] = named(picture, "legacy")
    assert float(bar.attrib["width"]) == pytest.approx(BAR_WIDTH * 61 / 64, abs=0.1)


def test_after_a_change_of_dependencies_the_base_is_part_of_the_split() -> None:
    said = texts(drawn(replace(COLD, comparison=replace(COLD.comparison, scenario=Scenario.DEPS_CHANGE))))
    assert "of that, base" in said
    assert "58.0 s (n=2, 57.0 s – 59.0 s)" in said
    assert "base, built" in texts(drawn(COLD))


def test_one_build_has_no_range() -> None:
    single = Measured(Comparison(Scenario.COLD, times(1000.0), times(500.0)))
    said = texts(drawn(single))
    assert said.count("n=1") == 2
    assert "legacy ÷ split; fewer than 3 builds a side: no interval" in said


def test_foreign_text_is_text() -> None:
    name = "<b>\"&'\x1b]]>\udcff</b>"
    odd = Measured(
        Comparison(
            Scenario.CODE_CHANGE,
            times(1000, 1100),
            times(10, 11),
            (StageTime(name, 1000, 5), StageTime("Other", 0, 5)),
            verdict=Verdict(Scenario.CODE_CHANGE, name),
        ),
        edited=name,
        notes=(name,),
    )
    text = to_svg(replace(report(odd), project=name, command=name, engine=name, machine=name))
    picture = ET.fromstring(text)
    shown = "<b>\"&'\\x1b]]>\\udcff</b>"
    assert [said for said in texts(picture) if said == shown], "verdict and note"
    assert f"{shown}: legacy against split" in texts(picture)
    assert all(element.tag != f"{SVG}b" for element in picture.iter())


def test_nothing_runs_and_nothing_is_fetched() -> None:
    text = to_svg(report(CHANGE, COLD))
    picture = ET.fromstring(text)
    assert {element.tag for element in picture.iter()} <= {
        f"{SVG}{tag}" for tag in ("svg", "title", "desc", "style", "defs", "pattern", "rect", "path", "g", "text")
    }
    assert "href" not in text
    assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]
    assert all(target.startswith("#splitdeck-") for target in re.findall(r"url\(([^)]*)\)", text))
    assert "@import" not in text


def test_it_has_its_own_background_in_both_schemes() -> None:
    style = drawn(CHANGE).findtext(f"{SVG}style") or ""
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    for kind in ("card", "words", "muted", "grid", "range", "hollow", "label", "behind"):
        assert f".{kind}" in light
        assert f".{kind}" in dark


def test_equal_reports_give_equal_pictures() -> None:
    assert to_svg(report(CHANGE, COLD)) == to_svg(report(CHANGE, COLD))


def test_all_is_within_the_picture_and_lines_do_not_run_over_each_other() -> None:
    picture = drawn(CHANGE, COLD)
    height = float(picture.attrib["height"])
    assert picture.attrib["width"] == str(WIDTH)
    for rect in picture.iter(f"{SVG}rect"):
        if "x" in rect.attrib:
            assert float(rect.attrib["x"]) + float(rect.attrib["width"]) <= WIDTH
            assert float(rect.attrib["y"]) + float(rect.attrib["height"]) <= height
    left = [
        (float(text.attrib["y"]), float(text.attrib["font-size"]))
        for text in picture.iter(f"{SVG}text")
        if text.attrib["x"] == "24" and "text-anchor" not in text.attrib
    ]
    rows = sorted(left)
    assert all(after - size >= before for (before, _), (after, size) in itertools.pairwise(rows))
    assert rows[-1][0] < height


def test_an_empty_report_is_a_picture_too() -> None:
    assert "demo: legacy against split" in texts(drawn())


@settings(deadline=None)
@given(st.text(st.characters(), max_size=200), st.floats(40, 800))
def test_wrapped_text_fits_and_loses_nothing(text: str, width_px: float) -> None:
    lines = wrapped(text, width_px, 12)
    assert all(room(line, 12) <= width_px for line in lines)
    assert room(cut(text, width_px, 12), 12) <= width_px
    if text.isprintable():
        assert "".join(lines).replace(" ", "") == "".join(text.split())


# -- whatever it is made from -----------------------------------------------------------------------------------------

MS = st.floats(0, 1e12) | st.just(0.0)
TEXT = st.text(st.characters(), max_size=30)


def summaries() -> st.SearchStrategy[TrackSummary | None]:
    return st.none() | st.lists(MS, min_size=1, max_size=6).map(lambda ms: times(*ms))


COMPARISONS = st.builds(
    Comparison,
    st.sampled_from(Scenario),
    summaries(),
    summaries(),
    st.lists(st.builds(StageTime, TEXT, st.none() | MS, st.none() | MS, st.booleans()), max_size=8).map(tuple),
    verdict=st.none() | st.builds(Verdict, st.sampled_from(Scenario), TEXT),
)
MEASURED = st.builds(
    Measured,
    COMPARISONS,
    base_ms=st.lists(MS, max_size=4).map(tuple),
    edited=TEXT,
    notes=st.lists(TEXT, max_size=2).map(tuple),
)
REPORTS = st.builds(Report, TEXT, st.lists(MEASURED, max_size=4).map(tuple), TEXT, TEXT, TEXT, st.floats(0, 4e9), TEXT)


@settings(deadline=None)
@given(REPORTS)
def test_every_report_gives_a_picture(made: Report) -> None:
    picture = ET.fromstring(to_svg(made))
    for rect in picture.iter(f"{SVG}rect"):
        assert float(rect.attrib["width"]) >= 0
        assert float(rect.attrib.get("x", 0)) + float(rect.attrib["width"]) <= WIDTH
    for bar in named(picture, "legacy"):
        assert BAR_LEFT <= float(bar.attrib["x"]) <= BAR_LEFT + BAR_WIDTH + LEAST_WIDTH
