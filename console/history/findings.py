"""What a history says on one engine and machine: both tracks in every scenario, account, images, targets."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from console.config import CompareConfig, TargetsConfig
from console.history.compare import Compared, compare
from console.history.ledger import beginnings, period
from console.history.plan_targets import checks
from console.history.records import Elsewhere, History
from console.history.stages import StageRules
from console.history.verdict import Evidence, verdict
from console.measurements import (
    Comparison,
    Findings,
    ImageBytes,
    Ledger,
    OtherMeasurement,
    PullTime,
    Sample,
)
from console.model import Scenario, Target

COMPARED = 50
"""Newest samples of each track that a comparison looks at."""
_FIRST = (Scenario.CODE_CHANGE, Scenario.COLD)
"""What is shown if both tracks were measured in it: the scenario of every day, else the dearest one."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where measurements are compared, and what the two tracks are built of."""

    engine: str
    machine: str
    dockerfiles: Mapping[Target, str]
    """What people call them: relative to the project's folder."""

    @property
    def key(self) -> tuple[str, str]:
        return self.engine, self.machine


class Finder:
    """Finds anew after each build what that build can have changed, and remembers the rest.

    Args:
        history: What was measured.
        place: Where.
        settings: Targets and stage rules.
    """

    def __init__(self, history: History, place: Place, settings: CompareConfig) -> None:
        self._history = history
        self._place = place
        self._targets = settings.targets
        self._rules = StageRules(settings.stage)
        self._compared: dict[Scenario, Compared] = {}
        self._written_by_others = -1

    def find(self, now: float, newest: Sample | None = None) -> tuple[Comparison, Findings]:
        """The comparison in the scenario that says most, and everything else that was found.

        Args:
            now: Seconds since 1970.
            newest: The only build that was kept by this process since the last time; None where that is not known.

        Raises:
            HistoryError: If the history cannot be read.
        """
        others = self._history.written_by_others()
        if newest is None or newest.target is Target.BASE or others != self._written_by_others:
            self._compared.clear()
        else:
            self._compared.pop(newest.scenario, None)
        self._written_by_others = others
        for scenario in Scenario:
            if scenario not in self._compared:
                self._compared[scenario] = compared_in(self._history, self._place, scenario, self._rules, now)
        return _found(self._history, self._place, self._targets, self._rules, self._compared, now)


def _found(
    history: History,
    place: Place,
    targets: TargetsConfig,
    rules: StageRules,
    found: Mapping[Scenario, Compared],
    now: float,
) -> tuple[Comparison, Findings]:
    base_cold_ms = median([sample.duration_ms for sample in _recent(history, place, Target.BASE, Scenario.COLD)])
    pull = pull_time(history, place)
    base = last_base(history, place)
    whole_base = None if base is None else history.whole(base)
    judged = {
        scenario: replace(
            one.comparison,
            verdict=verdict(one.comparison, _evidence(one, place, whole_base, base_cold_ms, pull), rules),
        )
        for scenario, one in found.items()
    }
    measured = [one for one in judged.values() if one.legacy is not None or one.split is not None]
    shown = _most_telling(judged)
    if shown.speedup is None:
        shown = replace(shown, elsewhere=_elsewhere(shown, measured, history, place))
    findings = Findings(
        scenarios=tuple(shown if one.scenario is shown.scenario else one for one in measured),
        targets=checks(measured, targets, pull),
        ledger=_ledger(history, place, judged, now),
        images=_image_bytes(history, place, base),
        base_cold_ms=base_cold_ms,
        pull=pull,
    )
    return shown, findings


def compared_in(history: History, place: Place, scenario: Scenario, rules: StageRules, now: float) -> Compared:
    """The two tracks in one scenario.

    Raises:
        HistoryError: If the history cannot be read.
    """
    legacy, split = (_recent(history, place, target, scenario) for target in (Target.LEGACY, Target.APP))
    bases = {}
    if scenario is Scenario.DEPS_CHANGE:
        made = {sample.base_id: history.base_build(sample.base_id) for sample in split}
        bases = {image: base for image, base in made.items() if base is not None}
    base = last_base(history, place)
    return compare(legacy, split, scenario, rules=rules, now=now, base=base, bases=bases, whole=history.whole)


def last_base(history: History, place: Place) -> Sample | None:
    """The newest base build that is known: it tells what the base holds."""
    return history.last(Target.BASE, *place.key)


def pull_time(history: History, place: Place) -> PullTime | None:
    """What pulling the base takes where nothing of it is there; None where that was never measured."""
    pulls = [pull for pull in history.pulls(*place.key) if pull.whole]
    if not pulls:
        return None
    times, sizes = [pull.duration_ms for pull in pulls], [pull.fetched_bytes for pull in pulls]
    return PullTime(len(pulls), statistics.median(times), round(statistics.median(sizes)))


def median(values: Sequence[float]) -> float | None:
    """The median; None of nothing."""
    return statistics.median(values) if values else None


def _recent(history: History, place: Place, target: Target, scenario: Scenario) -> list[Sample]:
    return history.recent(target, scenario, *place.key, limit=COMPARED)


def _evidence(
    one: Compared, place: Place, base: Sample | None, base_cold_ms: float | None, pull: PullTime | None
) -> Evidence:
    paired = one.split.base if one.split is not None else None
    return Evidence(
        legacy=one.legacy.sample if one.legacy is not None else None,
        split=one.split.sample if one.split is not None else None,
        base=paired or base,
        base_cold_ms=base_cold_ms,
        pull_ms=None if pull is None else pull.median_ms,
        dockerfiles=place.dockerfiles,
    )


def _most_telling(judged: Mapping[Scenario, Comparison]) -> Comparison:
    return next((judged[scenario] for scenario in _FIRST if judged[scenario].speedup is not None), judged[_FIRST[0]])


def _elsewhere(
    shown: Comparison, measured: Sequence[Comparison], history: History, place: Place
) -> tuple[OtherMeasurement, ...]:
    """What was measured of the two tracks in other scenarios here, and in the same one on other engines or machines."""
    here = [
        OtherMeasurement(target.track, one.scenario, summary.n, summary.median_ms)
        for one in measured
        if one.scenario is not shown.scenario
        for target, summary in ((Target.LEGACY, one.legacy), (Target.APP, one.split))
        if summary is not None
    ]
    there = [
        OtherMeasurement(
            other.target.track,
            other.scenario,
            other.n,
            statistics.median(
                sample.duration_ms
                for sample in history.recent(other.target, other.scenario, other.engine, other.machine, COMPARED)
            ),
            _difference(other, place),
        )
        for other in history.everywhere()
        if other.scenario is shown.scenario and (other.engine, other.machine) != place.key
    ]
    return (*here, *there)


def _difference(other: Elsewhere, place: Place) -> str:
    """Why a measurement says nothing here."""
    parts = []
    if other.engine != place.engine:
        parts.append(other.engine)
    if other.machine != place.machine:
        parts.append("another machine")
    return " on ".join(parts)


def _ledger(history: History, place: Place, judged: Mapping[Scenario, Comparison], now: float) -> Ledger:
    legacy_ms = {scenario: one.legacy.median_ms for scenario, one in judged.items() if one.legacy is not None}
    today, week, in_all = (period(history.account(*place.key, since), legacy_ms) for since in (*beginnings(now), None))
    base_ms = [
        sample.duration_ms
        for scenario in (Scenario.COLD, Scenario.DEPS_CHANGE)
        for sample in _recent(history, place, Target.BASE, scenario)
    ]
    change = judged[Scenario.CODE_CHANGE]
    gain = None
    if change.legacy is not None and change.split is not None:
        gain = change.legacy.median_ms - change.split.median_ms
    return Ledger(today, week, in_all, median(base_ms), gain)


def _image_bytes(history: History, place: Place, base: Sample | None) -> ImageBytes:
    app, app_pull = _image(history, place, Target.APP)
    legacy, legacy_pull = _image(history, place, Target.LEGACY)
    base_bytes = base.image_bytes if base is not None else None
    if app is not None and 0 < app.base_layers <= len(app.layers):
        base_bytes = sum(layer.size_bytes for layer in app.layers[: app.base_layers])
    return ImageBytes(
        base=base_bytes,
        app=_weight(app),
        legacy=_weight(legacy),
        app_pull=app_pull,
        legacy_pull=legacy_pull,
    )


def _image(history: History, place: Place, target: Target) -> tuple[Sample | None, int | None]:
    """The newest build of a target, and what its image has that the one before it, of the same base, had not."""
    newest = history.newest(target, *place.key, limit=10)
    if not newest:
        return None, None
    last = history.whole(newest[0])
    like = [sample for sample in newest if sample.base_id == last.base_id and not sample.no_cache]
    before = next((sample for sample in like if sample.image_id != last.image_id), None)
    if before is None or not last.layers or not (known := history.whole(before).layers):
        return last, None
    there = {layer.digest for layer in known}
    return last, sum(layer.size_bytes for layer in last.layers if layer.digest not in there)


def _weight(sample: Sample | None) -> int | None:
    if sample is None:
        return None
    return sum(layer.size_bytes for layer in sample.layers) or sample.image_bytes or None
