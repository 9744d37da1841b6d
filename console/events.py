"""What happens: events, in the past tense. What the user asks for is in `console.intents`.

The JSON names are a public contract, described in docs/events.md; a test holds that page against this module.
Events carry no time of their own: whoever dispatches one stamps it (`Stamped.at`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import Any, ClassVar

from console.base_values import BaseDiff, BaseStatus, BaseVersion, HeldBase, Transfer
from console.measurements import Comparison, Usual
from console.model import (
    BatchNumber,
    BuilderInfo,
    BuildNumber,
    BuildStatus,
    BuildWarning,
    Cause,
    ContainerUsage,
    ContextSummary,
    EngineInfo,
    Mode,
    Step,
    StepFailure,
    Stream,
    Target,
    Track,
)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `name` is its public JSON name."""

    name: ClassVar[str] = ""

    def payload(self) -> dict[str, Any]:
        """The fields as JSON values, keys as documented."""
        return {item.name.rstrip("_"): _jsonable(item.name, getattr(self, item.name)) for item in fields(self)}


@dataclass(frozen=True, slots=True)
class LogEvent(Event):
    """Lines of text from one place; JSON gets one object per line."""

    stream: Stream
    lines: tuple[str, ...]

    def payload(self) -> dict[str, Any]:
        return {key: value for key, value in Event.payload(self).items() if key != "lines"}


@dataclass(frozen=True, slots=True)
class Stamped:
    """An event and when it happened, seconds since 1970 UTC."""

    at: float
    event: Event


# -- the session ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionStarted(Event):
    name: ClassVar[str] = "session.started"
    project: str
    version: str
    config: str


@dataclass(frozen=True, slots=True)
class EngineConnected(Event):
    name: ClassVar[str] = "engine.connected"
    engine: EngineInfo


@dataclass(frozen=True, slots=True)
class BuilderChosen(Event):
    name: ClassVar[str] = "builder.chosen"
    builder: BuilderInfo


@dataclass(frozen=True, slots=True)
class WatchStarted(Event):
    name: ClassVar[str] = "watch.started"
    paths: tuple[str, ...]
    files: int
    polling: bool


@dataclass(frozen=True, slots=True)
class WatchPaused(Event):
    name: ClassVar[str] = "watch.paused"
    paused: bool


@dataclass(frozen=True, slots=True)
class ErrorOccurred(Event):
    """Something went wrong that the user should know; the loop goes on."""

    name: ClassVar[str] = "error"
    message: str
    hint: str = ""


# -- saves and plans --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChangeDetected(Event):
    name: ClassVar[str] = "change.detected"
    batch: BatchNumber
    paths: tuple[str, ...]
    saved_at: float
    detect_ms: float


@dataclass(frozen=True, slots=True)
class PlanMade(Event):
    """What a batch leads to: exactly one of `plan` and `hold` is set."""

    name: ClassVar[str] = "plan.made"
    batch: BatchNumber | None
    plan: str | None
    hold: str | None
    reason: str


# -- builds -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BuildStarted(Event):
    name: ClassVar[str] = "build.started"
    build: BuildNumber
    target: Target
    track: Track
    image: str
    reason: str
    batch: BatchNumber | None = None


@dataclass(frozen=True, slots=True)
class BuildExpected(Event):
    """What such a build usually takes; comes with the start of one that was measured before."""

    name: ClassVar[str] = "build.expected"
    build: BuildNumber
    target: Target
    usual: Usual


@dataclass(frozen=True, slots=True)
class ContextSent(Event):
    name: ClassVar[str] = "build.context"
    build: BuildNumber
    context: ContextSummary


@dataclass(frozen=True, slots=True)
class StepUpdated(Event):
    name: ClassVar[str] = "step.updated"
    build: BuildNumber
    step: Step


@dataclass(frozen=True, slots=True)
class BuildLogged(LogEvent):
    name: ClassVar[str] = "build.log"
    build: BuildNumber
    target: Target
    step: str
    """The step's name."""


@dataclass(frozen=True, slots=True)
class BuildWarned(Event):
    """A remark of the builder on the Dockerfile; the build goes on."""

    name: ClassVar[str] = "build.warning"
    build: BuildNumber
    target: Target
    warning: BuildWarning


@dataclass(frozen=True, slots=True)
class BuildFinished(Event):
    name: ClassVar[str] = "build.finished"
    build: BuildNumber
    target: Target
    track: Track
    status: BuildStatus
    duration_ms: float
    context_ms: float
    steps: tuple[Step, ...]
    cached: int
    total: int
    image_id: str
    size_bytes: int
    failure: StepFailure | None = None
    causes: tuple[Cause, ...] = ()
    """Why each step that was run did not come from the cache."""

    def payload(self) -> dict[str, Any]:
        public = Event.payload(self)
        public["steps"] = [
            {
                "name": step.name,
                "stage": step.stage,
                "cached": step.cached,
                "status": step.status.value,
                "started_at": None if step.started_at is None else iso_time(step.started_at),
                "duration_ms": round(step.duration_ms, 3),
                "exact": step.exact,
            }
            for step in self.steps
        ]
        return public


# -- the container ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ContainerStarted(Event):
    name: ClassVar[str] = "container.started"
    container: str
    container_name: str
    image_id: str
    build: BuildNumber | None


@dataclass(frozen=True, slots=True)
class ContainerReady(Event):
    """The app answers. Times are None where no save led to it (the first start, a rebuild by hand)."""

    name: ClassVar[str] = "container.ready"
    container: str
    build: BuildNumber | None
    batch: BatchNumber | None
    address: str
    """Where to reach it: a URL where one is known."""
    saved_at: float | None = None
    """When the save that it serves was made."""
    save_to_ready_ms: float | None = None
    detect_ms: float | None = None
    wait_ms: float | None = None
    context_ms: float | None = None
    build_ms: float | None = None
    swap_ms: float | None = None
    ready_ms: float | None = None


@dataclass(frozen=True, slots=True)
class ContainerLogged(LogEvent):
    name: ClassVar[str] = "container.log"
    container: str


@dataclass(frozen=True, slots=True)
class ContainerExited(Event):
    name: ClassVar[str] = "container.exited"
    container: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class ContainerRolledBack(Event):
    name: ClassVar[str] = "container.rolled_back"
    from_: str
    """Image ID of the build that failed to serve."""
    to: str
    """Image ID that serves again; empty when there was none to go back to."""
    reason: str
    output: tuple[str, ...] = ()
    """The failed container's last log lines."""


@dataclass(frozen=True, slots=True)
class ContainerMeasured(Event):
    name: ClassVar[str] = "container.usage"
    container: str
    usage: ContainerUsage


# -- the base and the comparison --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BaseChecked(Event):
    name: ClassVar[str] = "base.checked"
    base: BaseStatus


@dataclass(frozen=True, slots=True)
class BaseStale(Event):
    name: ClassVar[str] = "base.stale"
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BasePromoted(Event):
    name: ClassVar[str] = "base.promoted"
    version: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class BaseHeld(Event):
    """A new base image did not become `latest`; app builds go on with the one before."""

    name: ClassVar[str] = "base.held"
    held: HeldBase


@dataclass(frozen=True, slots=True)
class BaseUsed(Event):
    """App builds stand on another version from now on, because the user said so."""

    name: ClassVar[str] = "base.used"
    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class BaseVersionsListed(Event):
    name: ClassVar[str] = "base.versions"
    versions: tuple[BaseVersion, ...]


@dataclass(frozen=True, slots=True)
class BaseCompared(Event):
    name: ClassVar[str] = "base.compared"
    diff: BaseDiff


@dataclass(frozen=True, slots=True)
class BaseTransferred(Event):
    """How far a pull or push of the base image is."""

    name: ClassVar[str] = "base.transfer"
    transfer: Transfer


@dataclass(frozen=True, slots=True)
class BasePruned(Event):
    """Base versions that nobody needs were removed."""

    name: ClassVar[str] = "base.pruned"
    versions: tuple[str, ...]
    freed_bytes: int


@dataclass(frozen=True, slots=True)
class ModeChanged(Event):
    """The loop makes another image from now on."""

    name: ClassVar[str] = "mode.changed"
    mode: Mode


@dataclass(frozen=True, slots=True)
class ComparisonUpdated(Event):
    name: ClassVar[str] = "comparison.updated"
    comparison: Comparison


# -- JSON -------------------------------------------------------------------------------------------------------------


def iso_time(at: float) -> str:
    """A moment (seconds since 1970) as the JSON events carry it: UTC, microseconds, `Z`."""
    return datetime.fromtimestamp(at, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


_MOMENTS = frozenset({"saved_at", "started_at", "created_at", "last_at"})


def to_json(stamped: Stamped) -> list[str]:
    """One JSON object per line: a log event gives one per log line, every other event one."""
    event = stamped.event
    head = {"event": event.name, "at": iso_time(stamped.at), **event.payload()}
    if isinstance(event, LogEvent):
        return [json.dumps({**head, "text": line}) for line in event.lines]
    return [json.dumps(head)]


def _jsonable(key: str, value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float):
        if key in _MOMENTS:
            return iso_time(value) if value else None  # 0 stands for "unknown"
        return round(value, 3)
    if isinstance(value, (tuple, list)):
        return [_jsonable(key, item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _jsonable(item.name, getattr(value, item.name)) for item in fields(value)}
    return value
