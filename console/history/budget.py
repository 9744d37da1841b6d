"""Budgets: what a build may take, as a script writes it (`app.code-change.p50<60s`), held against what was measured.

`FIGURE.SCENARIO.STATISTIC OPERATOR LIMIT`: a figure is a target (`app`, `base` or `legacy`) or `split`, all that the
split track builds for one change (the app; after a change of dependencies base and app), whose limit is a duration; or
it is `speedup`, legacy median ÷ split median, whose limit is a bare number. Pure.
"""

from __future__ import annotations

import difflib
import operator
import re
import statistics
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from console import format as fmt
from console.errors import ConfigError
from console.model import Scenario, Target

EXAMPLE = "app.code-change.p50<60s or speedup.code-change.p50>5"

_SPLIT = "split"
_SPEEDUP = "speedup"
_TARGETS = {"app": Target.APP, _SPLIT: Target.APP, "base": Target.BASE, "legacy": Target.LEGACY}
_FIGURES = (*_TARGETS, _SPEEDUP)
_STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "p50": statistics.median,
    "min": min,
    "max": max,
    "mean": statistics.fmean,
}
_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_UNITS_MS = {"ms": 1.0, "s": 1000.0, "m": 60_000.0, "h": 3_600_000.0}
_PARTS = re.compile(r"([^<>=]*)(<=|>=|<|>)([^<>=]*)")
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Budget:
    """One limit."""

    text: str
    """As it was given."""
    figure: str
    """What it is about, as it was given: `app`, `split`, `base`, `legacy` or `speedup`."""
    target: Target | None
    """Whose builds have the figure's durations; None for the speedup."""
    scenario: Scenario
    statistic: str
    operator: str
    limit: float
    """Milliseconds; for the speedup a ratio."""

    @property
    def needs(self) -> tuple[Target, ...]:
        """Whose builds have to be measured for it."""
        return (Target.LEGACY, Target.APP) if self.target is None else (self.target,)


@dataclass(frozen=True, slots=True)
class Judged:
    """A budget and what was measured."""

    budget: Budget
    measured: float | None
    """In the unit of its limit; None where it was not measured after all, which meets no budget."""

    @property
    def met(self) -> bool:
        compares = _OPERATORS[self.budget.operator]
        return self.measured is not None and compares(self.measured, self.budget.limit)

    @property
    def figure(self) -> str:
        """What was measured, for people. As exact as it takes to see on which side of the limit it is."""
        if self.measured is None:
            return "not measured"
        if self.budget.target is None:
            return f"×{self.measured:.4g}"
        short = fmt.duration(self.measured)
        return short if self.measured < 999.5 else f"{short} ({self.measured:,.0f} ms)"


def parse_budget(text: str) -> Budget:
    """Reads a budget.

    Raises:
        ConfigError: Saying what is wrong with it, with an example.
    """
    parts = _PARTS.fullmatch(text.strip())
    if parts is None:
        raise _wrong(text, f"there must be one of {' '.join(_OPERATORS)} between a figure and its limit")
    names = [name.strip() for name in parts[1].split(".")]
    if len(names) != 3:
        raise _wrong(text, f"{parts[1].strip() or 'nothing'!r} is not FIGURE.SCENARIO.STATISTIC")
    figure = _one_of(text, "figure", names[0], _FIGURES)
    scenario = Scenario(_one_of(text, "scenario", names[1], [each.value for each in Scenario]))
    statistic = _one_of(text, "statistic", names[2], _STATISTICS)
    target = _TARGETS.get(figure)
    if target is None and statistic != "p50":
        raise _wrong(text, f"speedup is the ratio of the medians: it has a p50 and no {statistic}")
    return Budget(text.strip(), figure, target, scenario, statistic, parts[2], _limit(text, parts[3].strip(), target))


def check_measurable(budgets: Iterable[Budget], measures: Mapping[Scenario, Collection[Target]]) -> None:
    """Refuses budgets over what will not be measured.

    Args:
        budgets: All of them.
        measures: By scenario that is to be measured, whose builds are.

    Raises:
        ConfigError: Naming the first of them.
    """
    for budget in budgets:
        if budget.scenario not in measures:
            hint = f"add --scenario {budget.scenario.value}, or leave the budget out"
            raise ConfigError(f"--budget {budget.text!r}: {budget.scenario.value} is not measured", hint)
        for target in budget.needs:
            if target not in measures[budget.scenario]:
                where = [scenario.value for scenario, targets in measures.items() if target in targets]
                hint = f"it is in {', '.join(where)}" if where else f"for example {EXAMPLE}"
                raise ConfigError(
                    f"--budget {budget.text!r}: no {target.value} build is measured in {budget.scenario.value}", hint
                )


def judge(budget: Budget, times_ms: Mapping[str, Sequence[float]]) -> Judged:
    """Holds a budget against durations that were measured in its scenario.

    Args:
        budget: What was asked for.
        times_ms: By figure. Where there is no `split`, the app builds are all that the split track builds.
    """
    times_ms = {_SPLIT: times_ms.get(Target.APP.value, ()), **times_ms}
    if budget.target is not None:
        measured = times_ms.get(budget.figure)
        return Judged(budget, _STATISTICS[budget.statistic](measured) if measured else None)
    legacy_ms, split_ms = times_ms.get(Target.LEGACY.value), times_ms[_SPLIT]
    if not legacy_ms or not split_ms:
        return Judged(budget, None)
    split = statistics.median(split_ms)
    return Judged(budget, statistics.median(legacy_ms) / split if split > 0 else None)


def _one_of(text: str, what: str, name: str, known: Collection[str]) -> str:
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, n=1)
    ending = f"; did you mean {near[0]}?" if near else ""
    raise _wrong(text, f"{name!r} is no {what}; there are {', '.join(known)}{ending}")


def _limit(text: str, limit: str, target: Target | None) -> float:
    number = _NUMBER.fullmatch(limit)
    if target is None:
        if number is None or number[2]:
            raise _wrong(text, f"speedup is held against a bare number, not {limit!r}")
        return float(number[1])
    if number is None or number[2] not in _UNITS_MS:
        raise _wrong(text, f"{limit!r} is no duration: a number and one of {', '.join(_UNITS_MS)}")
    return float(number[1]) * _UNITS_MS[number[2]]


def _wrong(text: str, why: str) -> ConfigError:
    return ConfigError(f"--budget {text!r}: {why}", f"for example {EXAMPLE}")
