"""Every build, whichever lane wants it: numbered, told, timed and recorded in one way."""

from __future__ import annotations

import asyncio
import os
import platform
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from console import events as ev
from console.config import Config
from console.errors import EngineUnreachableError, SplitdeckError
from console.format import plural
from console.history.stages import instruction_of
from console.history.usual import unnumbered
from console.loop.guard import defect, guarded
from console.loop.ports import Emit, ImageBuilder, Recorder
from console.measurements import Recorded, Sample, Trigger
from console.model import BuildNumber, BuildOutcome, BuildStatus, ChangeBatch, Clock, Scenario, StepFailure, Target

Fact = TypeVar("Fact")

_REMEMBERED = 8
"""So many builds may still be waiting for their image to serve."""
_BESIDE = "another build ran at the same time"


@dataclass(frozen=True, slots=True)
class Identity:
    """Where measurements are taken."""

    engine: str
    machine: str


def this_machine() -> str:
    """What tells this machine from others whose builds take other times."""
    return f"{platform.node()}, {os.cpu_count()} × {platform.machine()}"


@dataclass(frozen=True, slots=True)
class FinishedBuild:
    number: BuildNumber
    outcome: BuildOutcome
    ended_at: float
    """Seconds since 1970."""
    cut_off: bool = False
    """The engine went away meanwhile: the build says nothing of what was to be built."""
    recorded: asyncio.Task[Recorded | None] | None = None
    """What the history makes of it; None where it could not be kept, which was told."""

    @property
    def why(self) -> str:
        """Why it was cut off."""
        failure = self.outcome.failure
        return failure.message if failure is not None else "the container engine went away"


class Builds:
    """Makes builds and keeps what they cost.

    Args:
        config: Names the images.
        builder: Does the building.
        recorder: Keeps the samples.
        emit: Where events go.
        clock: The present.
        identity: Where measurements are taken.
        first_number: The next build's number, so that numbers go on from an earlier session.
        revision: The commit that is checked out.
        cancels: Whether a build is at an end once it is cancelled, and not only once its running step is.
    """

    def __init__(
        self,
        config: Config,
        builder: ImageBuilder,
        recorder: Recorder,
        emit: Emit,
        clock: Clock,
        identity: Identity,
        first_number: BuildNumber = 1,
        revision: Callable[[], Awaitable[str]] | None = None,
        *,
        cancels: bool = True,
    ) -> None:
        self._images = {
            Target.APP: config.app.image,
            Target.BASE: config.base.image,
            Target.LEGACY: config.legacy.image if config.legacy else "",
        }
        self._builder = builder
        self.recorder = recorder
        self._emit = emit
        self._revision = revision
        self.clock = clock
        self._identity = identity
        self._next_number = first_number
        self._disturbed: set[Target] = set()
        """Targets whose running build shares the machine with another one."""
        self.cancels = cancels
        self._leaving: set[Target] = set()
        """Targets whose running build was told to end."""
        self._recorded: OrderedDict[BuildNumber, asyncio.Task[Recorded | None]] = OrderedDict()
        """The newest builds on their way into the history."""
        self.running: set[Target] = set()

    async def build(
        self,
        target: Target,
        reason: str,
        batch: ChangeBatch | None,
        *,
        trigger: Trigger,
        no_cache: bool,
        stands_on: str,
        serving: bool,
        watching: bool = True,
    ) -> FinishedBuild:
        """Builds, reports and records. What a user can cause never raises: it is a failed outcome.

        Why a build failed is told as an error, but for one that was cut off while the loop runs: the caller knows
        whether somebody else tells of the engine.

        Args:
            target: What to build.
            reason: Why, for people.
            batch: The save behind it, if any.
            trigger: What led to it, for the history.
            no_cache: Take nothing from the builder's cache.
            stands_on: What identifies the dependencies: the base's image ID for an app build, its inputs' fingerprint
                for the others.
            serving: Whether a container serves meanwhile, to reassure after a failure.
            watching: Whether the loop runs, so that a save leads to another build.
        """
        number, self._next_number = self._next_number, self._next_number + 1
        if others := self.running - (self._leaving if self.cancels else set()):
            self._disturbed |= {target, *others}
        self.running.add(target)
        started_at = self.clock.now()
        batch_number = batch.number if batch else None
        self._emit(ev.BuildStarted(number, target, target.track, self._images[target], reason, batch_number))
        revision = None if self._revision is None else asyncio.ensure_future(self._revision())
        expecting = asyncio.create_task(self._expect(number, target, no_cache=no_cache))  # begins once the build has
        hint, cut_off = "", False
        try:
            outcome = await self._builder.build(number, target, no_cache=no_cache)
        except SplitdeckError as error:
            hint, cut_off = error.hint, isinstance(error, EngineUnreachableError)
            duration_ms = (self.clock.now() - started_at) * 1000
            outcome = BuildOutcome(BuildStatus.FAILED, duration_ms, failure=StepFailure("", error.message))
        except Exception as error:  # noqa: BLE001 - a defect of ours must not end the loop
            message, hint = defect(error)
            duration_ms = (self.clock.now() - started_at) * 1000
            outcome = BuildOutcome(BuildStatus.FAILED, duration_ms, failure=StepFailure("", message))
        finally:
            expecting.cancel()
            self.running.discard(target)
            self._leaving.discard(target)
        finished = FinishedBuild(number, outcome, self.clock.now(), cut_off)
        self._report(target, finished)
        if outcome.failure is not None and not (cut_off and watching):
            hint = hint or _next(target, watching=watching)
            self._emit(ev.ErrorOccurred(*_told(target, number, outcome.failure, hint, serving=serving)))
        disturbed = target in self._disturbed
        self._disturbed.discard(target)
        sample = self._sample(target, finished, started_at, reason, trigger, no_cache=no_cache, stands_on=stands_on)
        sample = replace(sample, disturbed=_BESIDE if disturbed else _skew(outcome))
        earlier = next(reversed(self._recorded.values()), None)
        recorded = asyncio.create_task(self._record(sample, revision, earlier))
        self._recorded[number] = recorded
        while len(self._recorded) > _REMEMBERED and next(iter(self._recorded.values())).done():
            self._recorded.popitem(last=False)
        return replace(finished, recorded=recorded)

    def reads(self, target: Target, path: str) -> bool:
        """Whether a build of a target could read a path, relative to the project's folder."""
        return self._builder.reads(target, path)

    def cancel(self, target: Target) -> None:
        """Ends the running build of a target, if there is one."""
        if target in self.running:
            self._leaving.add(target)
            self._builder.cancel(target)

    def cancel_all(self) -> None:
        for target in tuple(self.running):
            self.cancel(target)

    async def served(self, number: BuildNumber, save_to_ready_ms: float) -> None:
        """Takes note of how long it took from a save until the image of its build served."""
        recorded = self._recorded.get(number)
        kept = await asyncio.shield(recorded) if recorded is not None else None
        if kept is not None:
            await guarded(self._emit, self.recorder.served(kept.sample.number, save_to_ready_ms))

    async def show_comparison(self) -> None:
        """Tells what was measured before."""
        found = await guarded(self._emit, self.recorder.comparison())
        if found is not None:
            self._emit(ev.ComparisonUpdated(*found))

    async def settle(self) -> None:
        """Waits until everything is recorded."""
        await asyncio.gather(*self._recorded.values(), return_exceptions=True)

    async def _expect(self, number: BuildNumber, target: Target, *, no_cache: bool) -> None:
        """Tells what the build that has just begun usually takes."""
        usual = await guarded(self._emit, self.recorder.usual(target, no_cache=no_cache))
        if usual is not None:
            self._emit(ev.BuildExpected(number, target, usual))

    def _report(self, target: Target, finished: FinishedBuild) -> None:
        outcome = finished.outcome
        if outcome.context is not None and outcome.context.sent_bytes is not None:
            self._emit(
                ev.ContextSent(finished.number, outcome.context)
            )  # again, as only now it is known what travelled
        # A base image that is present is always "cached": counted, it would make every build look better than it is.
        instructions = [step for step in outcome.steps if step.number and instruction_of(step.name) != "FROM"]
        self._emit(
            ev.BuildFinished(
                finished.number,
                target,
                target.track,
                outcome.status,
                outcome.duration_ms,
                outcome.context.duration_ms if outcome.context else 0.0,
                outcome.steps,
                sum(step.cached for step in instructions),
                len(instructions),
                outcome.image_id,
                outcome.size_bytes,
                outcome.failure,
                outcome.causes,
            )
        )

    def _sample(
        self,
        target: Target,
        finished: FinishedBuild,
        started_at: float,
        reason: str,
        trigger: Trigger,
        *,
        no_cache: bool,
        stands_on: str,
    ) -> Sample:
        outcome, context = finished.outcome, finished.outcome.context
        return Sample(
            target=target,
            scenario=Scenario.COLD if no_cache else Scenario.CODE_CHANGE,  # the recorder knows better
            started_at=started_at,
            duration_ms=outcome.duration_ms,
            status=outcome.status,
            engine=self._identity.engine,
            machine=self._identity.machine,
            context_ms=context.duration_ms if context else 0.0,
            context_files=context.files if context else 0,
            context_bytes=context.size_bytes if context else 0,
            context_digest=context.digest if context else "",
            image_id=outcome.image_id,
            image_bytes=outcome.size_bytes,
            base_id=outcome.base_id or stands_on,
            no_cache=no_cache,
            trigger=trigger,
            reason=reason,
            causes=outcome.causes,
            steps=outcome.steps,
        )

    async def _record(
        self, sample: Sample, revision: asyncio.Future[str] | None, earlier: asyncio.Task[Recorded | None] | None
    ) -> Recorded | None:
        """Keeps a sample, after those of the builds that ended before."""
        if revision is not None:
            sample = replace(sample, revision=await _known(revision, ""))
        if sample.status is BuildStatus.OK:
            base_id = sample.base_id if sample.target is Target.APP else ""
            layers, base_layers = await _known(self._builder.layers(sample.image_id, base_id), ((), 0))
            sample = replace(sample, layers=layers, base_layers=base_layers)
        if earlier is not None:
            await asyncio.wait([earlier])
        recorded: Recorded | None = await guarded(self._emit, self.recorder.record(sample))
        if recorded is not None:
            self._emit(ev.ComparisonUpdated(recorded.comparison, recorded.findings))
        return recorded


async def _known(fact: Awaitable[Fact], otherwise: Fact) -> Fact:
    """What is good to know of a build, and no reason to say anything where it cannot be found out."""
    try:
        return await fact
    except Exception:  # noqa: BLE001 - the sample is worth more than what is missing in it
        return otherwise


def _skew(outcome: BuildOutcome) -> str:
    """What is wrong with a build's time as a measure of what its change costs; empty where nothing is."""
    if not outcome.borrowed:
        return ""
    steps = plural(len(outcome.borrowed), "step")
    return f"the cache had {steps} from another build: {unnumbered(outcome.borrowed[0])}"


_KEYS = {Target.BASE: "b", Target.LEGACY: "l"}


def _next(target: Target, *, watching: bool) -> str:
    """What to do after a failed build."""
    if target is Target.APP and watching:
        return "fix it and save"
    key = f"{_KEYS[target]}, or " if watching else ""
    return f"fix it, then build it again: {key}`splitdeck build {target.value}`"


def _told(target: Target, number: int, failure: StepFailure, hint: str, *, serving: bool) -> tuple[str, str]:
    """A failed build in one message and one hint."""
    place = f" at {failure.dockerfile}:{failure.line}" if failure.line else ""
    step = f" ({failure.step})" if failure.step else ""
    message = f"{target.value} build #{number} failed{place}{step}: {failure.message}"
    return message, f"{hint}; the running container stays as it is" if serving else hint
