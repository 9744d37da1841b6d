from __future__ import annotations

import json
from dataclasses import replace

import pytest

from console.config import TargetsConfig
from console.history.budget import judge, parse_budget
from console.history.compare import compare
from console.history.report import Measured, Report, to_json, to_markdown
from console.history.stages import StageRules
from console.measurements import Sample
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
    comparison = compare(legacy, split, scenario, targets=TargetsConfig(), rules=StageRules())
    return replace(Measured(comparison), **more)  # type: ignore[arg-type]


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


def report(*parts: Measured, budgets: tuple[str, ...] = ()) -> Report:
    verdicts = tuple(judge(parse_budget(text), parts[0].times_ms) for text in budgets)
    return Report(
        "demo", parts, "splitdeck compare --runs 3", "docker 28", "2 cores", 1_764_158_400.0, "1.2.3", verdicts
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
    table = rows(
        to_markdown(
            report(
                measured(Scenario.CODE_CHANGE, samples(Target.LEGACY, Scenario.CODE_CHANGE, 1_000), slower, edited="a")
            )
        ),
        "Code change",
    )
    assert ["Code copy", "1.00 s", "3.00 s", "−2.00 s"] in table
    assert ["iteration ≥ 5×", "×0.33", "✘"] in table


def test_the_plans_targets_are_met_or_not() -> None:
    table = rows(to_markdown(report(CHANGE)), "Code change")
    assert ["app build < 60 s", "150 ms", "✔"] in table
    assert ["reduction ≥ 80 %", "99.8 %", "✔"] in table
    assert ["iteration ≥ 5×", "×407", "✔"] in table


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
    assert ["iteration ≥ 5×", "not measured", "–"] in rows(text, "Code change")
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
    }
    assert change["speedup"] == pytest.approx(61_000 / 150)
    assert change["speedup_interval"] == [pytest.approx(375), pytest.approx(64_000 / 140)]
    assert change["confidence"] == 0.95
    assert [stage["stage"] for stage in change["stages"] if stage["in_base"]] == ["Python deps"]
    assert [target["met"] for target in change["targets"]] == [True, True, True]
    assert (cold["edited"], cold["base"]["times_ms"], cold["speedup_interval"]) == (None, [57_000, 59_000], None)


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a|b.py", "`a\\|b.py`"), ("a`b.py", "`` a`b.py ``"), ("a\nb.py", "`a\\nb.py`"), ("<b>.py", "`<b>.py`")],
)
def test_no_name_breaks_out_of_the_text(name: str, shown: str) -> None:
    assert f"One line is added to {shown}," in to_markdown(report(replace(CHANGE, edited=name)))


def test_a_name_that_is_no_text_can_be_written() -> None:
    strange = report(replace(CHANGE, edited="caf\udce9.py"))
    assert "One line is added to `caf\\udce9.py`" in to_markdown(strange)
    assert json.loads(to_json(strange))["scenarios"][0]["edited"] == "caf\\udce9.py"
    assert (to_markdown(strange) + to_json(strange)).encode()
