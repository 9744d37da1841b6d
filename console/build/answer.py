"""A build's answer, whichever builder gives it: trace messages in, progress on the way, the outcome at the end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from console.build.dockerfile import Dockerfile
from console.build.request import BuildObserver, BuildRequest
from console.build.secrets import RedactedLines
from console.build.steps import StepLog, StepTracker
from console.build.trace import StatusUpdate
from console.model import BuildOutcome, BuildStatus, BuildWarning, Step, StepFailure, StepStatus, Stream

_OUTPUT_KEPT = 20
_AT_LINE = re.compile(r"(?:parse error (?:on )?line|Dockerfile:|\.[Dd]ockerfile:)\s*(\d+)")
_STEP_IN_ERROR = re.compile(
    r"^(?:executor failed running \[.*\]: |process \".*\" did not complete successfully: |failed to solve: |"
    r"failed to solve with frontend [^:]*: |failed to (?:build|create) LLB(?: definition)?: )+",
    re.DOTALL,
)


class BuildAnswer:
    """Follows one build.

    Args:
        request: What was asked for.
        observer: Hears of steps, output and warnings as they come, without build secrets.
    """

    def __init__(self, request: BuildRequest, observer: BuildObserver) -> None:
        self._dockerfile = request.dockerfile
        self._redact = request.redact
        self._observer = observer
        self._tracker = StepTracker(request.stage_of, request.dockerfile.line_of, request.dockerfile.path)
        self._tails: dict[str, list[str]] = {}
        self._warned = 0
        self._redacted: dict[tuple[str, Stream], RedactedLines] = {}

    def take(self, update: StatusUpdate) -> None:
        """Takes one message and tells what it brings."""
        changed, logs = self._tracker.apply(update)
        for step in changed:
            self._observer.step_updated(self._without_secrets(step))
        self._report(logs)
        for warning in self._tracker.warnings[self._warned :]:
            self._warned += 1
            self._observer.warned(self._warning_without_secrets(warning))

    def outcome(self, image_id: str, failure: str) -> BuildOutcome:
        """How the build ended; how long it took is left to the caller.

        Args:
            image_id: Of the image; empty where there is none.
            failure: What the builder said of the whole; empty where it said nothing bad.
        """
        self._report(self._tracker.finish())
        self._report_held()
        steps = tuple(self._without_secrets(step) for step in self._tracker.steps)
        warnings = tuple(map(self._warning_without_secrets, self._tracker.warnings))
        if not failure and image_id:
            # equal builds that run at a time are one to BuildKit: a step that never began is another project's
            steps = tuple(step for step in steps if step.status is not StepStatus.PENDING)
            return BuildOutcome(BuildStatus.OK, 0.0, steps, image_id, warnings=warnings)
        steps = tuple(_closed(step) for step in steps)
        if _cancelled(failure, steps):
            return BuildOutcome(BuildStatus.CANCELLED, 0.0, steps, warnings=warnings)
        reason = self._redact(failure) or "the engine ended the build without an image and without a reason"
        why = failure_without_secrets(step_failure(self._dockerfile, reason, steps, self._tails), self._redact)
        return BuildOutcome(BuildStatus.FAILED, 0.0, steps, failure=why, warnings=warnings)

    def _report(self, logs: Iterable[StepLog]) -> None:
        for log in logs:
            redacted = self._redacted.get((log.step, log.stream))
            if redacted is None:
                redacted = self._redacted[log.step, log.stream] = RedactedLines(self._redact)
            self._show(log.step, log.stream, [line for one in log.lines for line in redacted.take(one)])

    def _report_held(self) -> None:
        for (step, stream), redacted in self._redacted.items():
            self._show(step, stream, redacted.end())

    def _show(self, step: str, stream: Stream, lines: list[str]) -> None:
        if lines:
            shown = StepLog(self._redact(step), stream, tuple(lines))
            self._tails[shown.step] = (self._tails.get(shown.step, []) + lines)[-_OUTPUT_KEPT:]
            self._observer.logged(shown)

    def _warning_without_secrets(self, warning: BuildWarning) -> BuildWarning:
        detail = tuple(map(self._redact, warning.detail))
        return replace(warning, message=self._redact(warning.message), detail=detail, url=self._redact(warning.url))

    def _without_secrets(self, step: Step) -> Step:
        texts = (step.name, step.detail, step.error)
        redacted = tuple(map(self._redact, texts))
        if redacted == texts:
            return step
        return replace(step, name=redacted[0], detail=redacted[1], error=redacted[2])


def failure_without_secrets(failure: StepFailure, redact: Callable[[str], str]) -> StepFailure:
    """Why a build failed, fit to be shown: the Dockerfile's own lines may hold a secret, too."""
    source, output = tuple(map(redact, failure.source)), tuple(map(redact, failure.output))
    return replace(failure, step=redact(failure.step), message=redact(failure.message), source=source, output=output)


def step_failure(
    dockerfile: Dockerfile, reason: str, steps: tuple[Step, ...] = (), tails: Mapping[str, list[str]] | None = None
) -> StepFailure:
    """Why a build failed, with the place in the Dockerfile where one is to blame.

    Args:
        dockerfile: What was built.
        reason: What the builder said of the whole.
        steps: As they ended.
        tails: The last lines of their output, by step name.
    """
    step = next((step for step in steps if step.status is StepStatus.FAILED and step.number), None) or next(
        (step for step in steps if step.status is StepStatus.FAILED), None
    )
    message = _STEP_IN_ERROR.sub("", step.error if step is not None else reason)
    line = step.line if step is not None else 0
    if not line and (found := _AT_LINE.search(reason)):
        line = int(found[1])
    return StepFailure(
        step=step.name if step is not None else "",
        message=message,
        dockerfile=dockerfile.path,
        line=line,
        source=dockerfile.source_of(line) if line else (),
        output=tuple((tails or {}).get(step.name, ())) if step is not None else (),
    )


def _cancelled(failure: str, steps: tuple[Step, ...]) -> bool:
    if any(step.status is StepStatus.FAILED for step in steps):
        return False
    return "context canceled" in failure or any(step.status is StepStatus.CANCELLED for step in steps)


def _closed(step: Step) -> Step:
    """A step that was running when the build ended did not get to its end."""
    return replace(step, status=StepStatus.CANCELLED) if step.status is StepStatus.RUNNING else step
