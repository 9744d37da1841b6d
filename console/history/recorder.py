"""The history for the loop: one thread that keeps samples and says what they come to."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from console.config import CompareConfig
from console.history.findings import Finder, Place
from console.history.listing import listed, trends
from console.history.records import History, HistoryError
from console.history.scenario import scenario_of, skew_of
from console.history.stages import instruction_of
from console.history.usual import unnumbered, usual
from console.measurements import (
    BuildQuery,
    Comparison,
    Findings,
    ListedBuild,
    PullSample,
    Recorded,
    Sample,
    Trend,
    Usual,
)
from console.model import BuildNumber, Clock, Scenario, Step, StepKind, Target

Result = TypeVar("Result")

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
        dockerfiles: What people call the Dockerfiles.
    """

    def __init__(
        self,
        path: Path,
        settings: CompareConfig,
        engine: str,
        machine: str,
        clock: Clock,
        dockerfiles: Mapping[Target, str] | None = None,
    ) -> None:
        self._path = path
        self._settings = settings
        self._place = Place(engine, machine, dockerfiles or {})
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "history")
        self._history: History | None = None
        self._finder: Finder | None = None

    async def open(self) -> tuple[BuildNumber, str]:
        """Opens the file; gives the next build's number and what the user should know about the file, if anything."""

        def job() -> tuple[BuildNumber, str]:
            history = self._history = History.open(self._path)
            try:
                return history.next_build_number(), history.notice
            except HistoryError as error:  # damage that only reading shows; the history is no reason to stop
                return 1, history.notice or error.message

        return await self._call(job)

    async def record(self, sample: Sample) -> Recorded:
        """Keeps a sample under the scenario that its steps and its predecessor tell; compares anew.

        Raises:
            HistoryError: If it cannot be kept.
        """

        def job() -> Recorded:
            history, previous = self._opened, self._opened.previous(sample)
            kept = replace(
                sample,
                scenario=scenario_of(
                    sample.steps,
                    no_cache=sample.no_cache,
                    context_digest=sample.context_digest,
                    deps=sample.base_id,
                    previous=previous,
                ),
                recipe=sample.recipe or recipe_of(sample.steps),
            )
            kept = replace(kept, disturbed=kept.disturbed or skew_of(kept))
            kept = replace(kept, number=history.add(kept))
            return Recorded(kept, *self._found(kept))

        return await self._call(job)

    async def served(self, number: int, save_to_ready_ms: float) -> None:
        """Adds to a sample that is kept how long it took from the save until its image served.

        Raises:
            HistoryError: If it cannot be kept.
        """
        await self._call(lambda: self._opened.served(number, save_to_ready_ms))

    async def record_pull(self, pull: PullSample) -> None:
        """Keeps how long a pull of the base took.

        Raises:
            HistoryError: If it cannot be kept.
        """
        await self._call(
            lambda: self._opened.add_pull(replace(pull, engine=self._place.engine, machine=self._place.machine))
        )

    async def comparison(self) -> tuple[Comparison, Findings]:
        """Legacy against split as measured so far, and all else that the history says."""
        return await self._call(lambda: self._found())

    async def builds(self, query: BuildQuery) -> tuple[int, tuple[ListedBuild, ...], tuple[Trend, ...]]:
        """How many builds there are of the kind that is asked for, those wanted, and what the tracks took over time.

        Raises:
            HistoryError: If the history cannot be read.
        """

        def job() -> tuple[int, tuple[ListedBuild, ...], tuple[Trend, ...]]:
            total, builds = listed(self._opened, query, self._clock.now())
            return total, builds, trends(self._opened, self._place.key, query.scenario or Scenario.CODE_CHANGE)

        return await self._call(job)

    async def build(self, number: int) -> Sample | None:
        """One build with its steps; None where there is none of that number.

        Raises:
            HistoryError: If the history cannot be read.
        """
        return await self._call(lambda: self._opened.numbered(number))

    async def usual(self, target: Target, *, no_cache: bool) -> Usual | None:
        """What a build of a target that begins now usually takes; None where none like it was measured.

        Another scenario never stands in for the one that is expected: after one cold build, the first change of the
        code would be promised a minute.

        Raises:
            HistoryError: If the history cannot be read.
        """

        def newest(scenario: Scenario) -> list[Sample]:
            history = self._opened
            return [
                history.whole(sample) for sample in history.recent(target, scenario, *self._place.key, limit=_USUAL)
            ]

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

    def _found(self, newest: Sample | None = None) -> tuple[Comparison, Findings]:
        if self._finder is None:
            self._finder = Finder(self._opened, self._place, self._settings)
        return self._finder.find(self._clock.now(), newest)

    async def _call(self, job: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)


def recipe_of(steps: Iterable[Step]) -> str:
    """Tells apart builds of Dockerfiles with other instructions, by their steps; empty for none.

    What they are built on is none of it: a base of another version makes no other Dockerfile.
    """
    instructions = (step for step in steps if step.kind is StepKind.INSTRUCTION)
    names = sorted(unnumbered(step.name) for step in instructions if instruction_of(step.name) != "FROM")
    return hashlib.sha256("\0".join(names).encode("utf-8", "surrogateescape")).hexdigest()[:12] if names else ""
