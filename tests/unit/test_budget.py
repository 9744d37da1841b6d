from __future__ import annotations

import pytest

from console.errors import ConfigError, ExitCode
from console.history.budget import Budget, check_measurable, judge, parse_budget
from console.model import Scenario, Target

TIMES = {Target.LEGACY: (9_000.0, 10_000.0, 14_000.0), Target.APP: (900.0, 1_000.0, 2_600.0), Target.BASE: (5_000.0,)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("app.code-change.p50<60s", (Target.APP, Scenario.CODE_CHANGE, "p50", "<", 60_000)),
        ("split.code-change.p50<=60s", (Target.APP, Scenario.CODE_CHANGE, "p50", "<=", 60_000)),
        ("legacy.cold.min>500ms", (Target.LEGACY, Scenario.COLD, "min", ">", 500)),
        ("base.cold.max >= 2m", (Target.BASE, Scenario.COLD, "max", ">=", 120_000)),
        ("  app . no-change . mean < 1.5 s ", (Target.APP, Scenario.NO_CHANGE, "mean", "<", 1_500)),
        ("app.cold.p50<1h", (Target.APP, Scenario.COLD, "p50", "<", 3_600_000)),
        ("speedup.code-change.p50>5", (None, Scenario.CODE_CHANGE, "p50", ">", 5)),
        ("speedup.cold.p50>=0.5", (None, Scenario.COLD, "p50", ">=", 0.5)),
    ],
)
def test_what_a_budget_says(text: str, expected: tuple[object, ...]) -> None:
    budget = parse_budget(text)
    assert (budget.target, budget.scenario, budget.statistic, budget.operator, budget.limit) == expected
    assert budget.text == text.strip()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "there must be one of < <= > >="),
        ("app.code-change.p50", "there must be one of < <= > >="),
        ("app.code-change.p50=60s", "there must be one of < <= > >="),
        ("app.code-change.p50==60s", "there must be one of < <= > >="),
        ("1s<app.cold.p50<2s", "there must be one of < <= > >="),
        ("app.code-change<60s", "'app.code-change' is not FIGURE.SCENARIO.STATISTIC"),
        ("app.code-change.p50.x<60s", "is not FIGURE.SCENARIO.STATISTIC"),
        ("<60s", "'nothing' is not FIGURE.SCENARIO.STATISTIC"),
        (
            "apps.code-change.p50<60s",
            "'apps' is no figure; there are app, split, base, legacy, speedup; did you mean app",
        ),
        (
            "app.code_change.p50<60s",
            "'code_change' is no scenario; there are cold, code-change, deps-change, no-change",
        ),
        ("app.code-change.p95<60s", "'p95' is no statistic; there are p50, min, max, mean"),
        ("app.code-change.p50<60", "'60' is no duration: a number and one of ms, s, m, h"),
        ("app.code-change.p50<-1s", "'-1s' is no duration"),
        ("app.code-change.p50<60 seconds", "'60 seconds' is no duration"),
        ("app.code-change.p50<nan", "'nan' is no duration"),
        ("app.code-change.p50<", "'' is no duration"),
        ("app.code-change.p50<٦s", "is no duration"),
        ("speedup.code-change.p50>5s", "speedup is held against a bare number, not '5s'"),
        ("speedup.code-change.p50>x5", "speedup is held against a bare number, not 'x5'"),
        ("speedup.code-change.max>5", "it has a p50 and no max"),
    ],
)
def test_what_makes_no_sense_is_refused_with_an_example(text: str, why: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_budget(text)
    assert refused.value.message.startswith(f"--budget {text!r}: ")
    assert why in refused.value.message
    assert "app.code-change.p50<60s" in refused.value.hint
    assert refused.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize(
    ("text", "measured", "met"),
    [
        ("app.cold.p50<1001ms", 1_000, True),
        ("app.cold.p50<1s", 1_000, False),
        ("app.cold.p50<=1s", 1_000, True),
        ("app.cold.p50>1s", 1_000, False),
        ("app.cold.p50>=1s", 1_000, True),
        ("split.cold.mean<=1.5s", 1_500, True),
        ("app.cold.min<900ms", 900, False),
        ("app.cold.max<2s", 2_600, False),
        ("legacy.cold.p50>9s", 10_000, True),
        ("base.cold.p50<4s", 5_000, False),
        ("speedup.cold.p50>=10", 10, True),
        ("speedup.cold.p50>10", 10, False),
    ],
)
def test_a_verdict(text: str, measured: float, met: bool) -> None:
    verdict = judge(parse_budget(text), TIMES)
    assert verdict.measured == pytest.approx(measured)
    assert verdict.met is met


@pytest.mark.parametrize("text", ["base.cold.p50<4s", "base.cold.p50>4s", "speedup.cold.p50>0", "speedup.cold.p50<9"])
def test_what_was_not_measured_meets_nothing(text: str) -> None:
    verdict = judge(parse_budget(text), {Target.APP: (1.0,), Target.LEGACY: ()})
    assert (verdict.measured, verdict.met, verdict.figure) == (None, False, "not measured")


def test_a_figure_is_exact_enough_to_see_why_it_is_missed() -> None:
    assert judge(parse_budget("app.cold.p50<60s"), {Target.APP: (60_001.0,)}).figure == "60.0 s (60,001 ms)"
    assert judge(parse_budget("app.cold.p50<60ms"), {Target.APP: (71.0,)}).figure == "71 ms"
    slow = {Target.APP: (1_000.0,), Target.LEGACY: (4_999.0,)}
    assert judge(parse_budget("speedup.cold.p50>5"), slow).figure == "×4.999"


MEASURES = {Scenario.COLD: (Target.LEGACY, Target.APP, Target.BASE), Scenario.CODE_CHANGE: (Target.LEGACY, Target.APP)}


def budgets(*texts: str) -> list[Budget]:
    return [parse_budget(text) for text in texts]


def test_budgets_over_what_is_measured_pass() -> None:
    check_measurable(
        budgets("app.cold.p50<1s", "base.cold.p50<1s", "legacy.code-change.max<1s", "speedup.code-change.p50>1"),
        MEASURES,
    )


@pytest.mark.parametrize(
    ("text", "why", "hint"),
    [
        ("app.no-change.p50<1s", "no-change is not measured", "add --scenario no-change"),
        ("speedup.no-change.p50>1", "no-change is not measured", "add --scenario no-change"),
        ("base.code-change.p50<1s", "no base build is measured in code-change", "it is in cold"),
    ],
)
def test_budgets_over_anything_else_are_refused(text: str, why: str, hint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_measurable(budgets("app.cold.p50<1s", text), MEASURES)
    assert why in refused.value.message
    assert text in refused.value.message
    assert hint in refused.value.hint
