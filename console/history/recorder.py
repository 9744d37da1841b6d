"""The history for the loop: one thread that keeps samples and compares them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from console.config import CompareConfig
from console.history.compare import compare
from console.history.records import History, HistoryError
from console.history.scenario import scenario_of
from console.history.stages import StageRules
from console.history.usual import usual
from console.measurements import Comparison, OtherMeasurement, Sample, Usual
from console.model import BuildNumber, BuildStatus, Clock, Scenario, Target, Track

Result = TypeVar("Result")

_COMPARED = 50
"""Newest samples of each track that a comparison looks at."""
_USUAL = 10
"""Newest samples of each scenario that tell what is usual: few enough to follow a change of the Dockerfile."""
_WARM = {Target.APP: Scenario.CODE_CHANGE, Target.BASE: Scenario.DEPS_CHANGE, Target.LEGACY: Scenario.CODE_CHANGE}
"""What a build that may use the cache will most likely be; a base is hardly ever built but for its dependencies."""
_TELLING = (Scenario.CODE_CHANGE, Scenario.DEPS_CHANGE, Scenario.COLD)
"""Scenarios whose samples tell what a step takes when it is run; without a change hardly one is."""


class HistoryRecorder:
    """Keeps the samples of one place (engine and machine) in a history file.

    Args:
        path: The history file.
        settings: Targets and stage rules.
        engine: `BuilderInfo.measured_on`.
        machine: What the measurements were taken on.
        clock: The present.
    """

    def __init__(self, path: Path, settings: CompareConfig, engine: str, machine: str, clock: Clock) -> None:
        self._path = path
        self._targets = settings.targets
        self._rules = StageRules(settings.stage)
        self._place = (engine, machine)
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "history")
        self._history: History | None = None

    async def open(self) -> tuple[BuildNumber, str]:
        """Opens the file; gives the next build's number and what the user should know about the file, if anything."""

        def job() -> tuple[BuildNumber, str]:
            history = self._history = History.open(self._path)
            try:
                return history.next_build_number(), history.notice
            except HistoryError as error:  # damage that only reading shows; the history is no reason to stop
                return 1, history.notice or error.message

        return await self._call(job)

    async def record(self, sample: Sample) -> Comparison:
        """Keeps a sample under the scenario that its steps and its predecessor tell; compares anew.

        Raises:
            HistoryError: If it cannot be kept.
        """

        def job() -> Comparison:
            scenario = scenario_of(
                sample.steps,
                no_cache=sample.no_cache,
                context_digest=sample.context_digest,
                deps=sample.base_id,
                previous=self._opened.last(sample.target, *self._place),
            )
            self._opened.add(replace(sample, scenario=scenario))
            return self._compared()

        return await self._call(job)

    async def comparison(self) -> Comparison:
        """Legacy against split as measured so far."""
        return await self._call(self._compared)

    async def usual(self, target: Target, *, no_cache: bool) -> Usual | None:
        """What a build of a target that begins now usually takes; None where none like it was measured.

        Another scenario never stands in for the one that is expected: after one cold build, the first change of the
        code would be promised a minute.

        Raises:
            HistoryError: If the history cannot be read.
        """

        def newest(scenario: Scenario) -> list[Sample]:
            return list(self._opened.recent(target, scenario, *self._place, limit=_USUAL))

        def job() -> Usual | None:
            expected = Scenario.COLD if no_cache else _WARM[target]
            samples = newest(expected)
            if not samples or no_cache:
                return usual(samples)
            return usual(samples, [sample for other in _TELLING if other is not expected for sample in newest(other)])

        return await self._call(job)

    async def close(self) -> None:
        """Finishes what is under way and closes the file."""
        if self._history is not None:
            await self._call(self._history.close)
        self._thread.shutdown(wait=False)

    @property
    def _opened(self) -> History:
        assert self._history is not None, "open() comes first"
        return self._history

    def _compared(self) -> Comparison:
        """The scenario that says most: both tracks measured after a code change, else both cold, else what there is."""
        found = {scenario: self._compared_in(scenario) for scenario in (Scenario.CODE_CHANGE, Scenario.COLD)}
        chosen = next((one for one in found.values() if one.speedup is not None), found[Scenario.CODE_CHANGE])
        if chosen.speedup is not None:
            return chosen
        found |= {scenario: self._compared_in(scenario) for scenario in Scenario if scenario not in found}
        others = tuple(
            OtherMeasurement(track, scenario, summary.n, summary.median_ms)
            for scenario, one in found.items()
            for track, summary in ((Track.LEGACY, one.legacy), (Track.SPLIT, one.split))
            if one is not chosen and summary is not None
        )
        return replace(chosen, elsewhere=others)

    def _compared_in(self, scenario: Scenario) -> Comparison:
        history = self._opened
        midnight = datetime.fromtimestamp(self._clock.now()).replace(hour=0, minute=0, second=0, microsecond=0)  # noqa: DTZ006 - today is the user's day
        base = history.last(Target.BASE, *self._place)
        return compare(
            history.recent(Target.LEGACY, scenario, *self._place, limit=_COMPARED),
            history.recent(Target.APP, scenario, *self._place, limit=_COMPARED),
            scenario,
            targets=self._targets,
            rules=self._rules,
            base=base if base is not None and base.status is BuildStatus.OK else None,
            today=history.since(midnight.timestamp()),
        )

    async def _call(self, job: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)
