"""Reports for others: every figure as it was measured, and nothing that a project is called taken for markup."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from console.config import TargetsConfig
from console.history.budget import judge, parse_budget
from console.history.compare import compare
from console.history.plan_targets import checks
from console.history.report import Measured, Report, to_json, to_markdown
from console.history.stages import StageRules
from console.measurements import ImageBytes, PullTime, Sample, Verdict
from console.model import BuildStatus, Scenario, Step, StepKind, StepStatus, Target

PIP, COPY = "[2/3] RUN pip install -r requirements.txt", "[3/3] COPY src ."


def samples(target: Target, scenario: Scenario, *durations_ms: float, pip_ms: float = 0.0) -> list[Sample]:
    """Builds that copy the code at their end, after an install where that takes any time."""
    made = []
    for number, duration_ms in enumerate(durations_ms):
        at = 1000.0 * number
        middle, end = at + pip_ms / 1000, at + duration_ms / 1000
        parts = [(PIP, at, middle)] if pip_ms else []
        steps = tuple(
            Step(name, name, StepKind.INSTRUCTION, StepStatus.DONE, intervals=((begin, finish),))
            for name, begin, finish in [*parts, (COPY, middle, end)]
        )
        made.append(Sample(target, scenario, at, duration_ms, BuildStatus.OK, "engine", "machine", steps=steps))
    return made


def measured(scenario: Scenario, legacy: list[Sample], split: list[Sample], **more: object) -> Measured:
    comparison = compare(legacy, split, scenario, rules=StageRules(), now=3_000.0).comparison
    return replace(Measured(comparison), **more)


CHANGE = measured(
    Scenario.CODE_CHANGE,
    samples(Target.LEGACY, Scenario.CODE_CHANGE, 60_000, 61_000, 64_000, pip_ms=59_000),
    samples(Target.APP, Scenario.CODE_CHANGE, 140, 150, 160),
    edited="src/app.py",
)
COLD = measured(
    Scenario.COLD,
    samples(Target.LEGACY, Scenario.COLD, 62_000, 58_000, pip_ms=50_000),
    samples(Target.APP, Scenario.COLD, 200, 220),
    base_ms=(57_000.0, 59_000.0),
)


APPS = samples(Target.APP, Scenario.DEPS_CHANGE, 1_000, 1_200, 1_100)
BASES = samples(Target.BASE, Scenario.DEPS_CHANGE, 40_000, 41_000, 44_000, pip_ms=39_000)
DEPS = Measured(
    compare(
        samples(Target.LEGACY, Scenario.DEPS_CHANGE, 60_000, 61_000, 64_000, pip_ms=59_000),
        [replace(app, base_id=f"base {number}") for number, app in enumerate(APPS)],
        Scenario.DEPS_CHANGE,
        rules=StageRules(),
        now=3_000.0,
        bases={f"base {number}": base for number, base in enumerate(BASES)},
    ).comparison,
    base_ms=(40_000.0, 41_000.0, 44_000.0),
    app_ms=(1_000.0, 1_200.0, 1_100.0),
    edited="requirements.txt",
)


def report(*parts: Measured, budgets: tuple[str, ...] = ()) -> Report:
    judged = tuple(judge(parse_budget(text), parts[0].times_ms) for text in budgets)
    targets = checks([part.comparison for part in parts], TargetsConfig())
    return Report(
        *("demo", parts, "splitdeck compare --runs 3", "docker 28", "2 cores", 1_764_158_400.0, "1.2.3"),
        judged=judged,
        targets=targets,
    )


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of every table row below a heading, rules left out."""
    section = text.split(f"### {heading}\n")[1].split("\n### ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|") and "---" not in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_both_tracks_with_their_number_median_and_spread() -> None:
    table = rows(to_markdown(report(CHANGE)), "Code change")
    assert ["legacy", "3", "61.0 s", "60.0 s – 64.0 s"] in table
    assert ["app", "3", "150 ms", "140 ms – 160 ms"] in table


def test_the_speedup_has_its_interval_and_says_what_it_is() -> None:
    text = to_markdown(report(CHANGE))
    assert "**Speedup ×407 (legacy median ÷ app median; 95 % bootstrap interval ×375 – ×457).**" in text
    assert "One line is added to `src/app.py`" in text


def test_two_builds_a_side_have_no_interval() -> None:
    assert "no interval with fewer than 3 builds a side" in to_markdown(report(COLD))


def test_a_difference_that_could_be_chance_is_called_that() -> None:
    legacy = samples(Target.LEGACY, Scenario.NO_CHANGE, 100, 101, 102)
    split = samples(Target.APP, Scenario.NO_CHANGE, 99, 101, 103)
    assert "no difference that these builds can show" in to_markdown(
        report(measured(Scenario.NO_CHANGE, legacy, split))
    )
    assert "no difference" not in to_markdown(report(CHANGE))


def test_stages_add_up_to_the_median_build() -> None:
    table = rows(to_markdown(report(CHANGE)), "Code change")
    assert ["Python deps", "59.0 s", "in base", "59.0 s"] in table
    assert ["Code copy", "2.00 s", "150 ms", "1.85 s"] in table
    assert "Models" not in [row[0] for row in table], "a stage that neither track has says nothing"


def test_what_the_split_costs_more_is_told_as_well() -> None:
    slower = samples(Target.APP, Scenario.CODE_CHANGE, 3_000)
    legacy = samples(Target.LEGACY, Scenario.CODE_CHANGE, 1_000)
    text = to_markdown(report(measured(Scenario.CODE_CHANGE, legacy, slower, edited="a")))
    assert ["Code copy", "1.00 s", "3.00 s", "−2.00 s"] in rows(text, "Code change")
    assert ["iteration ≥ 5×", "×0.33", "✘"] in rows(text, "Targets of the plan")


def test_the_plans_targets_are_met_or_not() -> None:
    text = to_markdown(report(COLD, CHANGE))
    assert rows(text, "Targets of the plan")[1:] == [
        ["app build < 60 s", "150 ms", "✔"],
        ["reduction ≥ 80 %", "99.8 %", "✔"],
        ["iteration ≥ 5×", "×407", "✔"],
        ["CI pipeline −70 %", "−99.7 % but for the base's pull, not measured", "–"],
    ]
    assert text.index("### Code change") < text.index("### Targets of the plan")
    value = json.loads(to_json(report(CHANGE)))["targets"]
    assert value[0] == {"target": "app build < 60 s", "measured": "150 ms", "met": True}
    assert value[3] == {"target": "CI pipeline −70 %", "measured": "not measured", "met": None}


def test_a_change_of_dependencies_costs_the_split_a_base_and_an_app() -> None:
    text = to_markdown(report(DEPS))
    assert rows(text, "Change of dependencies")[1:5] == [
        ["legacy", "3", "61.0 s", "60.0 s – 64.0 s"],
        ["base and app", "3", "42.2 s", "41.0 s – 45.1 s"],
        ["of that, base", "3", "41.0 s", "40.0 s – 44.0 s"],
        ["of that, app", "3", "1.10 s", "1.00 s – 1.20 s"],
    ]
    assert "Speedup ×1.45 (legacy median ÷ base and app together;" in text
    assert "One line is added to `requirements.txt`, a list of dependencies" in text
    value = json.loads(to_json(report(DEPS)))["scenarios"][0]
    medians = {figure: value[figure]["median_ms"] for figure in ("legacy", "split", "base", "app")}
    assert medians == {"legacy": 61_000, "split": 42_200, "base": 41_000, "app": 1_100}
    assert value["speedup"] == pytest.approx(61_000 / 42_200)


def test_after_a_change_of_dependencies_budgets_tell_the_app_from_the_split() -> None:
    limits = ("app.deps-change.p50<2s", "split.deps-change.p50<42s", "base.deps-change.max<50s")
    told = report(DEPS, budgets=(*limits, "speedup.deps-change.p50>1.4"))
    table = rows(to_markdown(told), "Budgets")
    assert [row[1:] for row in table[1:]] == [
        ["1.10 s (1,100 ms)", "✔"],
        ["42.2 s (42,200 ms)", "✘"],
        ["44.0 s (44,000 ms)", "✔"],
        ["×1.445", "✔"],
    ]


def test_elsewhere_the_app_is_all_of_the_split() -> None:
    for part in (CHANGE, COLD):
        value = json.loads(to_json(report(part)))["scenarios"][0]
        assert value["app"] == value["split"] != None  # noqa: E711


def test_the_verdict_comes_first_and_the_advice_last() -> None:
    told = Verdict(Scenario.CODE_CHANGE, "It pays.", ("Dockerfile.legacy:2 is too early.", "So is line 3."))
    part = replace(CHANGE, comparison=replace(CHANGE.comparison, verdict=told))
    text = to_markdown(report(part))
    assert text.splitlines()[2:5] == ["### Code change", "", "**It pays.**"]
    assert "What would gain more:\n\n- Dockerfile.legacy:2 is too early.\n- So is line 3.\n" in text
    value = json.loads(to_json(report(part, COLD)))["scenarios"]
    assert value[0]["verdict"] == {"sentence": "It pays.", "advice": list(told.advice)}
    assert value[1]["verdict"] is None


def test_what_pulling_the_base_takes_stands_with_cold() -> None:
    pulled = replace(report(CHANGE, COLD), pull=PullTime(2, 41_000.0, 812_000_000))
    text = to_markdown(pulled)
    assert "Pulling the base: 41.0 s (n=2, 812 MB)" in text.split("### Cold")[1]
    assert text.count("Pulling the base") == 1
    value = json.loads(to_json(pulled))
    assert (value["pull"], value["no_pull"]) == ({"n": 2, "median_ms": 41_000, "size_bytes": 812_000_000}, None)


def test_why_no_pull_was_measured_is_said() -> None:
    lacking = replace(report(COLD), no_pull="there is no [base] repository to pull it from")
    why = "Pulling the base was not measured here: there is no [base] repository to pull it from."
    assert why in to_markdown(lacking)
    value = json.loads(to_json(lacking))
    assert (value["pull"], value["no_pull"]) == (None, "there is no [base] repository to pull it from")


def test_what_images_weigh() -> None:
    images = ImageBytes(base=340_000_000, app=340_012_000, legacy=351_000_000, app_pull=12_000, legacy_pull=11_000_000)
    weighed = replace(report(CHANGE), images=images)
    text = to_markdown(weighed)
    assert "Images, uncompressed: base 340 MB, app 12 kB above it, legacy 351 MB. " in text
    assert "whoever has the image before it pulls 12 kB of the app image or 11 MB of the legacy image." in text
    assert json.loads(to_json(weighed))["images"] == {
        "base_bytes": 340_000_000,
        "app_bytes": 340_012_000,
        "legacy_bytes": 351_000_000,
        "app_pull_bytes": 12_000,
        "legacy_pull_bytes": 11_000_000,
    }


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (ImageBytes(), ""),
        (ImageBytes(app=2_000, legacy=3_000), "Images, uncompressed: app 2 kB, legacy 3 kB.\n"),
        (ImageBytes(base=1_000, legacy_pull=5), "Images, uncompressed: base 1 kB. "),
    ],
)
def test_what_is_not_known_of_an_image_is_not_told(images: ImageBytes, told: str) -> None:
    text = to_markdown(replace(report(CHANGE), images=images))
    assert told in text
    assert ("Images" in text) is bool(told)
    assert "None" not in text


def test_a_build_far_from_the_others_is_named() -> None:
    legacy = samples(Target.LEGACY, Scenario.NO_CHANGE, 100, 101, 102, 103, 900)
    split = samples(Target.APP, Scenario.NO_CHANGE, 99, 100, 101, 101, 103)
    told = report(measured(Scenario.NO_CHANGE, legacy, split))
    table = rows(to_markdown(told), "No change")
    assert ["legacy", "5", "102 ms", "100 ms – 900 ms; far from the others: 900 ms"] in table
    assert ["app", "5", "101 ms", "99 ms – 103 ms"] in table
    value = json.loads(to_json(told))["scenarios"][0]
    assert (value["legacy"]["outliers_ms"], value["split"]["outliers_ms"]) == ([900], [])


def test_a_cold_base_stands_beside_and_in_no_other_figure() -> None:
    text = to_markdown(report(COLD))
    assert ["base, where it is built", "2", "58.0 s", "57.0 s – 59.0 s"] in rows(text, "Cold")
    assert ["app, on the present base", "2", "210 ms", "200 ms – 220 ms"] in rows(text, "Cold")
    assert "Speedup ×286" in text
    assert "base, where it is built" not in to_markdown(report(CHANGE))


def test_a_side_that_is_missing_is_not_made_up() -> None:
    lacking = measured(Scenario.CODE_CHANGE, [], samples(Target.APP, Scenario.CODE_CHANGE, 140), edited="a")
    text = to_markdown(report(lacking))
    assert ["legacy", "0", "–", "not measured"] in rows(text, "Code change")
    assert "Speedup: not measured, as a side is missing." in text
    assert ["iteration ≥ 5×", "not measured", "–"] in rows(text, "Targets of the plan")
    value = json.loads(to_json(report(lacking)))["scenarios"][0]
    assert (value["legacy"], value["speedup"], value["speedup_interval"]) == (None, None, None)


def test_notes_are_in_both_forms() -> None:
    noted = replace(CHANGE, notes=("1 app build turned out to be deps-change, which no figure here counts.",))
    assert noted.notes[0] in to_markdown(report(noted))
    assert json.loads(to_json(report(noted)))["scenarios"][0]["notes"] == list(noted.notes)


def test_where_when_and_how_to_do_it_again() -> None:
    text = to_markdown(report(CHANGE, COLD))
    assert text.index("### Code change") < text.index("### Cold")
    assert text.endswith(
        "Measured by `splitdeck compare --runs 3` on 2025-11-26, the tracks taking turns: docker 28; 2 cores; "
        "splitdeck 1.2.3.\n"
    )


def test_budgets() -> None:
    limits = ("app.code-change.p50<60s", "legacy.code-change.p50<60s", "base.code-change.p50<60s")
    table = rows(to_markdown(report(CHANGE, budgets=limits)), "Budgets")
    assert table[1:] == [
        ["`app.code-change.p50<60s`", "150 ms", "✔"],
        ["`legacy.code-change.p50<60s`", "61.0 s (61,000 ms)", "✘"],
        ["`base.code-change.p50<60s`", "not measured", "✘"],
    ]
    assert "Budgets" not in to_markdown(report(CHANGE))
    assert json.loads(to_json(report(CHANGE, budgets=limits)))["budgets"][1] == {
        "budget": "legacy.code-change.p50<60s",
        "measured": 61_000.0,
        "limit": 60_000.0,
        "met": False,
    }


def test_json_holds_every_duration() -> None:
    value = json.loads(to_json(report(CHANGE, COLD)))
    assert list(value) == [
        "project",
        "measured_at",
        "command",
        "engine",
        "machine",
        "splitdeck",
        "scenarios",
        "pull",
        "no_pull",
        "targets",
        "images",
        "budgets",
    ]
    assert value["measured_at"] == "2025-11-26T12:00:00Z"
    change, cold = value["scenarios"]
    assert (change["scenario"], change["edited"], change["base"]) == ("code-change", "src/app.py", None)
    assert change["legacy"] == {
        "n": 3,
        "median_ms": 61_000,
        "min_ms": 60_000,
        "max_ms": 64_000,
        "mean_ms": pytest.approx(61_666.7, abs=0.1),
        "times_ms": [60_000, 61_000, 64_000],
        "outliers_ms": [],
    }
    assert change["speedup"] == pytest.approx(61_000 / 150)
    assert change["speedup_interval"] == [pytest.approx(375), pytest.approx(64_000 / 140)]
    assert change["confidence"] == 0.95
    assert [stage["stage"] for stage in change["stages"] if stage["in_base"]] == ["Python deps"]
    assert (cold["edited"], cold["base"]["times_ms"], cold["speedup_interval"]) == (None, [57_000, 59_000], None)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a|b.py", "`a|b.py`"),
        ("a`b.py", "`` a`b.py ``"),
        ("a``b.py", "``` a``b.py ```"),
        ("a\nb.py", "`a\\nb.py`"),
        ("<b>.py", "`<b>.py`"),
    ],
)
def test_no_name_breaks_out_of_the_text(name: str, shown: str) -> None:
    assert f"One line is added to {shown}," in to_markdown(report(replace(CHANGE, edited=name)))


def test_no_instruction_or_note_is_taken_for_markup() -> None:
    strange = Verdict(Scenario.CODE_CHANGE, "COPY *.py __init__.py `x` <b>|y [z](u) a < b &lt; (my_file:2)", ("~~a~~",))
    part = replace(CHANGE, comparison=replace(CHANGE.comparison, verdict=strange), notes=("a`b:3 mounts <i>",))
    text = to_markdown(report(part))
    assert "**COPY \\*.py \\_\\_init\\_\\_.py \\`x\\` \\<b>\\|y [z\\](u) a < b \\&lt; (my_file:2)**" in text
    assert "- \\~~a\\~~" in text
    assert "a\\`b:3 mounts \\<i>" in text
    assert json.loads(to_json(report(part)))["scenarios"][0]["verdict"]["sentence"] == strange.sentence


def test_no_row_of_the_projects_own_breaks_a_table() -> None:
    stages = tuple(replace(stage, stage=f"{stage.stage} | <b>") for stage in CHANGE.comparison.stages)
    text = to_markdown(report(replace(CHANGE, comparison=replace(CHANGE.comparison, stages=stages))))
    lines = [line for line in text.splitlines() if line.startswith("| Python deps")]
    assert lines == ["| Python deps \\| \\<b> | 59.0 s | in base | 59.0 s |"]


def test_a_name_that_is_no_text_can_be_written() -> None:
    strange = report(replace(CHANGE, edited="caf\udce9.py"))
    assert "One line is added to `caf\\udce9.py`" in to_markdown(strange)
    assert json.loads(to_json(strange))["scenarios"][0]["edited"] == "caf\\udce9.py"
    assert (to_markdown(strange) + to_json(strange)).encode()
