"""How much longer a build will take, and whether it takes longer than usual: from what earlier ones took. Pure.

The steps of one Dockerfile stage follow each other, and stages run side by side. Whether a step that waits will be run
or come from the cache is known only once a step before it has been run: then it will be run too, even where the cache
usually has it. Until then the usual time of the whole build is the best that is known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from console.history.usual import unnumbered
from console.measurements import Usual, UsualStep
from console.model import BuildStatus, Step, StepKind, StepStatus
from console.state.app_state import BuildView

WORTH_TELLING_MS = 2000.0
"""What takes less is over before anyone has read how long it will take."""
_ENOUGH = 3
"""Measurements that it takes to call something slower than usual."""
_FROM_STAGE = re.compile(r"\s--from=(\S+)")


@dataclass(frozen=True, slots=True)
class Outlook:
    """What can be said of something that runs, or has ended; neither where nothing is known."""

    left_ms: float | None = None
    """How long it will still take; 0 where it may end at any moment."""
    usually_ms: float | None = None
    """What it usually takes; set where it takes, or took, longer than that."""


NOTHING_KNOWN = Outlook()


def step_outlook(usual: Usual | None, step: Step, now: float) -> Outlook:
    """A step that runs or was run, at a moment (seconds since 1970)."""
    known = None if usual is None else _by_name(usual).get(unnumbered(step.name))
    running = step.status is StepStatus.RUNNING
    if known is None or not (running or step.status is StepStatus.DONE):
        return NOTHING_KNOWN
    took = _so_far(step, now) if running else step.duration_ms
    longer = _longer_than_ever(known, took)
    if known.n >= _ENOUGH and longer:
        return Outlook(usually_ms=known.median_ms)
    if not running or longer or known.median_ms < WORTH_TELLING_MS:
        return NOTHING_KNOWN
    return Outlook(left_ms=max(0.0, known.median_ms - took))


def build_outlook(build: BuildView, now: float = 0.0) -> Outlook:
    """A build that runs, at a moment (seconds since 1970), or has ended."""
    usual, running = build.usual, build.status is BuildStatus.RUNNING
    if usual is None or not (running or build.status is BuildStatus.OK):
        return NOTHING_KNOWN
    took = max(0.0, now - build.started_at) * 1000 if running else build.duration_ms or 0.0
    left = _left_ms(usual, build.steps, took, now) if running else 0.0
    late = _late_steps(usual, build.steps, now) if running else []
    slow = usual.n >= _ENOUGH and took > _clearly_above(usual.total_ms)
    # What waits behind a step that is late says nothing of how long that one still takes.
    if slow and (not left or late) and _does_the_usual(usual, build):
        return Outlook(usually_ms=usual.total_ms)
    no_end_in_sight = any(_longer_than_ever(known, so_far) for known, so_far in late)
    if not running or left is None or no_end_in_sight or max(took + left, usual.total_ms) < WORTH_TELLING_MS:
        return NOTHING_KNOWN
    return Outlook(left_ms=left)


def _late_steps(usual: Usual, steps: Sequence[Step], now: float) -> list[tuple[UsualStep, float]]:
    """The running steps that take longer than they usually do, with how long they have taken so far (ms)."""
    known = _by_name(usual)
    running = [step for step in steps if step.status is StepStatus.RUNNING and unnumbered(step.name) in known]
    timed = [(known[unnumbered(step.name)], _so_far(step, now)) for step in running]
    return [(usually, so_far) for usually, so_far in timed if so_far > usually.median_ms]


def _longer_than_ever(known: UsualStep, took: float) -> bool:
    """Whether a step takes clearly longer than usual, and longer than it did in any earlier build."""
    return took > max(_clearly_above(known.median_ms), known.max_ms)


def _clearly_above(median_ms: float) -> float:
    return max(1.25 * median_ms, median_ms + 1000)


def _does_the_usual(usual: Usual, build: BuildView) -> bool:
    """Whether a build runs no more than usual: one that does takes longer for that reason, which its causes tell."""
    known = _by_name(usual)
    sums: dict[str, float] = {}
    for step in build.instructions:
        if _was_run(step):
            usually = known.get(unnumbered(step.name))
            if usually is None:
                return False
            sums[step.stage_label] = sums.get(step.stage_label, 0.0) + usually.median_ms
    return max(sums.values(), default=0.0) <= _clearly_above(usual.total_ms)


def _left_ms(usual: Usual, steps: Sequence[Step], took: float, now: float) -> float | None:
    """How much longer a running build will take; None where something runs of which nothing is known."""
    schedule = _Schedule(_by_name(usual), steps, now)
    sure = max((schedule.end_of(label) for label in schedule.stages), default=0.0)
    if schedule.unknown:
        return None
    waiting = max((schedule.waiting_in(label) for label in schedule.stages), default=0.0)
    export = schedule.export_ms
    by_the_whole = max(0.0, usual.total_ms - took)
    if schedule.complete:
        by_the_whole = min(by_the_whole, sure + waiting + export)
    return max(sure + (export if schedule.something_ran else 0.0), by_the_whole)


class _Schedule:
    """The steps of a running build with the time that each will still take."""

    def __init__(self, known: dict[str, UsualStep], steps: Sequence[Step], now: float) -> None:
        self._known = known
        self._now = now
        self._ends: dict[str, float | None] = {}
        self.unknown = False
        """Whether a command is run, or will be, that was never measured."""
        self.stages: dict[str, list[Step]] = {}
        for step in sorted(steps, key=lambda step: step.number):
            if step.number:
                self.stages.setdefault(step.stage_label, []).append(step)
        self.complete = bool(self.stages) and all(stage[-1].number == stage[-1].total for stage in self.stages.values())
        """Whether every step to come is announced; some builders tell of a step only when it begins."""
        self.something_ran = any(map(_was_run, steps))
        exports = [step for step in steps if step.kind is StepKind.EXPORT]
        self.export_ms = sum(map(self._left, exports)) if exports else self._usual_exports()

    def end_of(self, label: str) -> float:
        """When a stage's steps that are sure to be run will have ended, in milliseconds from now."""
        return self._end(label) or 0.0

    def waiting_in(self, label: str) -> float:
        """What a stage would add if all its waiting steps were run; 0 where it is sure that they are."""
        return sum(map(self._left, self.stages[label])) if self._end(label) is None else 0.0

    def _end(self, label: str) -> float | None:
        """As `end_of`; None where no step of the stage is sure to be run."""
        if label not in self._ends:
            self._ends[label] = None  # a stage cannot wait for itself
            end: float | None = None
            for step in self.stages[label]:
                source = self._end_of_source(step) if step.status is StepStatus.PENDING else None
                if source is not None:
                    end = max(source, end or 0.0)
                elif _was_run(step):
                    end = end or 0.0
                if end is not None:
                    end += self._sure(step)
            self._ends[label] = end
        return self._ends[label]

    def _end_of_source(self, step: Step) -> float | None:
        """When the stage that a step copies from will have ended; None where that one does nothing, or it has none."""
        match = _FROM_STAGE.search(step.name)
        names = (match[1], f"stage-{match[1]}") if match else ()
        return next((self._end(name) for name in names if name in self.stages), None)

    def _sure(self, step: Step) -> float:
        if unnumbered(step.name) not in self._known and step.status in {StepStatus.PENDING, StepStatus.RUNNING}:
            self.unknown = self.unknown or unnumbered(step.name).upper().startswith("RUN")
        return self._left(step)

    def _left(self, step: Step) -> float:
        usually = self._known.get(unnumbered(step.name))
        if usually is None or step.status not in {StepStatus.PENDING, StepStatus.RUNNING}:
            return 0.0
        if step.status is StepStatus.PENDING:
            return usually.median_ms
        return max(0.0, usually.median_ms - _so_far(step, self._now))

    def _usual_exports(self) -> float:
        return sum(step.median_ms for name, step in self._known.items() if name.startswith("exporting"))


def _was_run(step: Step) -> bool:
    """Whether an instruction began to be run. A FROM is no sign: looking up its image is not rebuilding anything."""
    began = step.status in {StepStatus.RUNNING, StepStatus.FAILED} or (
        step.status is StepStatus.DONE and step.duration_ms > 0
    )
    return bool(step.number) and began and not unnumbered(step.name).upper().startswith("FROM ")


def _so_far(step: Step, now: float) -> float:
    return step.duration_ms if step.started_at is None else max(step.duration_ms, (now - step.started_at) * 1000)


def _by_name(usual: Usual) -> dict[str, UsualStep]:
    return {step.name: step for step in usual.steps}
