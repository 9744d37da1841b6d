"""What happens: events, in the past tense. What the user asks for is in `console.intents`.

Names and fields are a public contract, described in docs/events.md; a test holds that page against this module.
`console.event_json` writes them. Events carry no time of their own: whoever dispatches one stamps it (`Stamped.at`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from console.base_values import BaseContents, BaseDiff, BaseStatus, BaseVersion, HeldBase, Transfer
from console.measurements import (
    BuildQuery,
    Comparison,
    Findings,
    ListedBuild,
    Race,
    RaceResult,
    Sample,
    Trend,
    Usual,
)
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


@dataclass(frozen=True, slots=True)
class LogEvent(Event):
    """Lines of text from one place; JSON gets one object per line."""

    stream: Stream
    lines: tuple[str, ...]


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
class BaseContentsRead(Event):
    name: ClassVar[str] = "base.contents"
    contents: BaseContents


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
    """In the scenario that says most."""
    findings: Findings = field(default_factory=Findings)


@dataclass(frozen=True, slots=True)
class RaceStarted(Event):
    """The legacy build of a race waits, or runs: of the very source that the app build was made of."""

    name: ClassVar[str] = "race.started"
    race: Race


@dataclass(frozen=True, slots=True)
class RaceFinished(Event):
    name: ClassVar[str] = "race.finished"
    result: RaceResult | None
    """None where the legacy build was cancelled or failed."""


@dataclass(frozen=True, slots=True)
class HistoryListed(Event):
    """Answers a question for builds of the history."""

    name: ClassVar[str] = "history.listed"
    query: BuildQuery
    total: int
    """How many there are of the kind that was asked for."""
    builds: tuple[ListedBuild, ...]
    trends: tuple[Trend, ...]


@dataclass(frozen=True, slots=True)
class HistoryBuildRead(Event):
    """Answers a question for one build of the history."""

    name: ClassVar[str] = "history.build"
    sample: Sample
