"""What a history says on one engine and machine: both tracks in every scenario, account, images, targets."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from console.config import CompareConfig
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
    Period,
    PullTime,
    Sample,
    Verdict,
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
        self._verdicts: dict[Scenario, tuple[object, Verdict | None]] = {}
        """With what each was found from."""
        self._written_by_others: tuple[int, int] | None = None

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
        return self._found(now)

    def _found(self, now: float) -> tuple[Comparison, Findings]:
        history, place = self._history, self._place
        base_ms = {
            scenario: history.times_ms(Target.BASE, scenario, *place.key, limit=COMPARED)
            for scenario in (Scenario.COLD, Scenario.DEPS_CHANGE)
        }
        base_cold_ms = median(base_ms[Scenario.COLD])
        pull = pull_time(history, place)
        base = last_base(history, place)
        judged = {scenario: self._judged(scenario, base, base_cold_ms, pull) for scenario in Scenario}
        measured = [one for one in judged.values() if one.legacy is not None or one.split is not None]
        shown = _most_telling(judged)
        if shown.speedup is None:
            shown = replace(shown, elsewhere=_elsewhere(shown, measured, history, place))
        findings = Findings(
            scenarios=tuple(shown if one.scenario is shown.scenario else one for one in measured),
            targets=checks(measured, self._targets, pull),
            ledger=_ledger(history, place, judged, [*base_ms[Scenario.COLD], *base_ms[Scenario.DEPS_CHANGE]], now),
            images=_image_bytes(history, place, base),
            base_cold_ms=base_cold_ms,
            pull=pull,
        )
        return shown, findings

    def _judged(
        self, scenario: Scenario, base: Sample | None, base_cold_ms: float | None, pull: PullTime | None
    ) -> Comparison:
        """The comparison with its verdict."""
        compared = self._compared[scenario]
        known, grounds = self._verdicts.get(scenario), (compared, base, base_cold_ms, pull)
        if known is None or known[0] != grounds:
            whole = None if base is None else self._history.whole(base)
            evidence = evidence_of(compared, self._place.dockerfiles, base=whole, base_cold_ms=base_cold_ms, pull=pull)
            known = self._verdicts[scenario] = grounds, verdict(compared.comparison, evidence, self._rules)
        return replace(compared.comparison, verdict=known[1])


def compared_in(history: History, place: Place, scenario: Scenario, rules: StageRules, now: float) -> Compared:
    """The two tracks in one scenario.

    Raises:
        HistoryError: If the history cannot be read.
    """
    legacy, split = (_recent(history, place, target, scenario) for target in (Target.LEGACY, Target.APP))
    bases = bases_of(history, split) if scenario is Scenario.DEPS_CHANGE else {}
    base = last_base(history, place)
    return compare(legacy, split, scenario, rules=rules, now=now, base=base, bases=bases, whole=history.whole)


def bases_of(history: History, apps: Iterable[Sample]) -> dict[str, Sample]:
    """The builds that made the bases of app builds, by the image, as far as they were made in the same place."""
    made = {app.base_id: (app, history.base_build(app.base_id)) for app in apps}
    return {image: base for image, (app, base) in made.items() if base is not None and base.place == app.place}


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


def evidence_of(
    one: Compared,
    dockerfiles: Mapping[Target, str],
    *,
    base: Sample | None,
    base_cold_ms: float | None,
    pull: PullTime | None,
) -> Evidence:
    """What a verdict on two tracks is found from.

    Args:
        one: The two tracks in one scenario.
        dockerfiles: What people call the Dockerfiles.
        base: The newest base build that is known, with its steps; where the split track built one itself, that counts.
        base_cold_ms: Median of cold base builds.
        pull: What pulling the base takes.
    """
    paired = one.split.base if one.split is not None else None
    return Evidence(
        legacy=one.legacy.sample if one.legacy is not None else None,
        split=one.split.sample if one.split is not None else None,
        base=paired or base,
        base_cold_ms=base_cold_ms,
        pull_ms=None if pull is None else pull.median_ms,
        dockerfiles=dockerfiles,
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
            statistics.median(history.times_ms(other.target, other.scenario, other.engine, other.machine, COMPARED)),
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


def _ledger(
    history: History, place: Place, judged: Mapping[Scenario, Comparison], base_ms: Sequence[float], now: float
) -> Ledger:
    legacy_ms = {scenario: one.legacy.median_ms for scenario, one in judged.items() if one.legacy is not None}

    def since(at: float | None) -> Period:
        return period(history.account(*place.key, at), legacy_ms, history.pulled(*place.key, at or 0.0))

    today, week, in_all = map(since, (*beginnings(now), None))
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
        app=weight(app),
        legacy=weight(legacy),
        app_pull=app_pull,
        legacy_pull=legacy_pull,
    )


def _image(history: History, place: Place, target: Target) -> tuple[Sample | None, int | None]:
    """The newest build of a target, and what the last code change made anew of its image."""
    newest = history.newest(target, *place.key, limit=10)
    if not newest:
        return None, None
    last = history.whole(newest[0])
    warm = [sample for sample in newest if not sample.no_cache]
    for index, changed in enumerate(warm):
        if changed.scenario is Scenario.CODE_CHANGE and not changed.disturbed:
            like = (sample for sample in warm[index + 1 :] if sample.base_id == changed.base_id)
            before = next((sample for sample in like if sample.image_id != changed.image_id), None)
            return last, None if before is None else made_anew(history.whole(before), history.whole(changed))
    return last, None


def made_anew(before: Sample, after: Sample) -> int | None:
    """The layers of an image that an earlier one had not, in bytes; None where it is not known which it had."""
    if not before.layers or not after.layers:
        return None
    there = {layer.digest for layer in before.layers}
    return sum(layer.size_bytes for layer in after.layers if layer.digest not in there)


def weight(sample: Sample | None) -> int | None:
    """What an image weighs, in bytes; None where unknown."""
    if sample is None:
        return None
    return sum(layer.size_bytes for layer in sample.layers) or sample.image_bytes or None
