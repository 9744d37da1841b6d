"""The values that travel through the pipe: tracks, steps, builds, containers, measurements.

Plain immutable data without behaviour beyond small derivations; no I/O, no clock reading.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, Protocol

BuildNumber = int
BatchNumber = int
Stream = Literal["stdout", "stderr"]

LABEL_PROJECT = "io.splitdeck.project"
"""On every image and container that we make: the project's name. What lacks it is never touched."""
LABEL_ROLE = "io.splitdeck.role"
"""`app`, `base` or `legacy` on images; `app` on containers."""
LABEL_FINGERPRINT = "io.splitdeck.fingerprint"
"""On base images: our hash of everything that the base was built from."""
LABEL_INPUTS = "io.splitdeck.inputs"
"""On base images: JSON of input path → short hash, to tell which file made the base stale."""
LABEL_SETTINGS = "io.splitdeck.settings"
"""On containers: our hash of the [run] settings it was created with."""


class Clock(Protocol):
    """Where time enters; tests bring their own."""

    def now(self) -> float:
        """Wall clock, seconds since 1970 UTC."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps; only differences mean anything."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class Track(str, Enum):
    """The two ways to build that are compared."""

    SPLIT = "split"
    LEGACY = "legacy"


class Target(str, Enum):
    """What one build makes."""

    APP = "app"
    BASE = "base"
    LEGACY = "legacy"

    @property
    def track(self) -> Track:
        return Track.LEGACY if self is Target.LEGACY else Track.SPLIT


class Scenario(str, Enum):
    """Under which circumstances a build was measured; only equal scenarios are ever compared."""

    COLD = "cold"
    """Nothing from the builder's cache: what CI and a fresh machine pay. For the split track the base is present."""
    CODE_CHANGE = "code-change"
    DEPS_CHANGE = "deps-change"
    NO_CHANGE = "no-change"


class StepStatus(str, Enum):
    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    CACHED = "cached"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepKind(str, Enum):
    """`instruction` is a line of the Dockerfile; `internal` is the builder's own doing; `export` writes the image."""

    INSTRUCTION = "instruction"
    INTERNAL = "internal"
    EXPORT = "export"


Interval = tuple[float, float]
"""Start and end on the builder's wall clock, seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a build as shown to people."""

    id: str
    """The builder's identity of the step; stable across builds of the same content."""
    name: str
    """As the builder words it: `[2/5] RUN pip install …`."""
    kind: StepKind
    status: StepStatus
    number: int = 0
    """Position within its Dockerfile stage, from 1; 0 for steps that have none."""
    total: int = 0
    stage_label: str = ""
    """The Dockerfile stage's name, empty when there is only one."""
    started_at: float | None = None
    duration_ms: float = 0.0
    """Union of the step's intervals, so a pause between two of them is not counted."""
    intervals: tuple[Interval, ...] = ()
    current_bytes: int = 0
    total_bytes: int = 0
    detail: str = ""
    """What the step is doing now, for steps that tell (`exporting layers`)."""
    error: str = ""
    line: int = 0
    """The instruction's line in the Dockerfile, from 1; 0 where unknown."""
    stage: str = ""
    """The row of the comparison that the step counts under."""

    @property
    def cached(self) -> bool:
        return self.status is StepStatus.CACHED


class BuildStatus(str, Enum):
    RUNNING = "running"
    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class StepFailure:
    """Why a build failed: enough to show the place and the last words without scrolling."""

    step: str
    """The failing step's name; empty where the build failed outside any step."""
    message: str
    dockerfile: str = ""
    line: int = 0
    source: tuple[str, ...] = ()
    """The instruction's lines as they stand in the Dockerfile."""
    output: tuple[str, ...] = ()
    """The step's last log lines."""


@dataclass(frozen=True, slots=True)
class BuildOutcome:
    """How one build ended."""

    status: BuildStatus
    duration_ms: float
    """Wall clock from the request to the end of the engine's answer."""
    steps: tuple[Step, ...] = ()
    image_id: str = ""
    size_bytes: int = 0
    failure: StepFailure | None = None
    context: ContextSummary | None = None
    """What was sent; None where the build ended before that."""


@dataclass(frozen=True, slots=True)
class ContextSummary:
    """What was sent to the builder."""

    files: int
    size_bytes: int
    digest: str
    """Hash of names, modes and contents; equal digests build equal images."""
    duration_ms: float
    skipped: tuple[str, ...] = ()
    """Paths left out because no image can hold them (sockets, devices)."""


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """Saves that belong together: no further one came for a quiet period."""

    number: BatchNumber
    paths: tuple[str, ...]
    """Relative to the project's folder, sorted."""
    saved_at: float
    """When the last of them was written, seconds since 1970 UTC."""
    closed_at: float
    """When the quiet period was over."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """The container engine that answers."""

    name: str
    """`docker`, `podman`."""
    version: str
    api_version: str
    builder: str
    """`buildkit`, `classic`."""
    storage: str
    """The image store: `overlay2`, `containerd`."""
    host: str
    """The address it is reached at."""
    remote: bool = False

    @property
    def identity(self) -> str:
        """What measurements are grouped by: times of two different engines say nothing about each other."""
        return f"{self.name} {self.version} {self.builder} {self.storage}"


@dataclass(frozen=True, slots=True)
class BaseStatus:
    """The base image as it stands on this engine."""

    reference: str
    present: bool
    image_id: str = ""
    created_at: float = 0.0
    size_bytes: int = 0
    fingerprint: str = ""
    """As on the image's label; empty when someone else built it."""
    inputs_fingerprint: str = ""
    """Of the base's inputs as they are now; equal to `fingerprint` while nothing changed."""
    stale_files: tuple[str, ...] = ()
    """Inputs that changed since it was built."""


class ContainerStatus(str, Enum):
    ABSENT = "absent"
    STARTING = "starting"
    READY = "ready"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time between a save and the app's answer went, in milliseconds; the phases follow each other."""

    detect_ms: float
    """Last save → end of the quiet period."""
    wait_ms: float
    """End of the quiet period → start of the build: planning, and waiting for a superseded build to go."""
    context_ms: float
    build_ms: float
    swap_ms: float
    """Old container out, new one in."""
    ready_ms: float

    @property
    def save_to_ready_ms(self) -> float:
        return self.detect_ms + self.wait_ms + self.context_ms + self.build_ms + self.swap_ms + self.ready_ms


@dataclass(frozen=True, slots=True)
class ContainerUsage:
    """What a container takes at one moment."""

    cpu_percent: float
    """Of one core, so two busy cores are 200."""
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class StageTime:
    """One row of the comparison, in milliseconds; None where that side has not been measured."""

    stage: str
    legacy_ms: float | None
    split_ms: float | None
    in_base: bool = False
    """The split track has this in its base image, so a save costs nothing of it."""


@dataclass(frozen=True, slots=True)
class TrackSummary:
    """The samples of one track in one scenario."""

    n: int
    median_ms: float
    min_ms: float
    max_ms: float
    last_at: float
    recent_ms: tuple[float, ...] = ()
    """Newest last, for the trend."""


@dataclass(frozen=True, slots=True)
class TargetCheck:
    """One target of the plan beside what was measured; `met` is None while a side is missing."""

    label: str
    measured: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class OtherMeasurement:
    """What one track took in a scenario that is not the one compared."""

    track: Track
    scenario: Scenario
    n: int
    median_ms: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Legacy against split for one scenario: measurements only, never estimates."""

    scenario: Scenario
    legacy: TrackSummary | None = None
    split: TrackSummary | None = None
    stages: tuple[StageTime, ...] = ()
    targets: tuple[TargetCheck, ...] = ()
    saved_today_ms: float = 0.0
    base_cost_today_ms: float = 0.0
    elsewhere: tuple[OtherMeasurement, ...] = ()
    """What was measured in other scenarios: never compared with these, but it tells why a side is missing here."""

    @property
    def speedup(self) -> float | None:
        """Legacy median ÷ split median; None while a side is missing."""
        if self.legacy is None or self.split is None or self.split.median_ms <= 0:
            return None
        return self.legacy.median_ms / self.split.median_ms

    @property
    def reduction(self) -> float | None:
        """The share of the legacy time that the split track saves, 0 to 1 (negative where it costs more)."""
        if self.legacy is None or self.split is None or self.legacy.median_ms <= 0:
            return None
        return 1 - self.split.median_ms / self.legacy.median_ms


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured build, as the history keeps it."""

    target: Target
    scenario: Scenario
    started_at: float
    duration_ms: float
    status: BuildStatus
    engine: str
    """`EngineInfo.identity` at the time."""
    machine: str
    context_ms: float = 0.0
    context_files: int = 0
    context_bytes: int = 0
    context_digest: str = ""
    image_id: str = ""
    image_bytes: int = 0
    base_id: str = ""
    no_cache: bool = False
    alongside: bool = False
    """Another build ran at the same time, so the figure says nothing about this one alone."""
    reason: str = ""
    save_to_ready_ms: float | None = None
    steps: tuple[Step, ...] = field(default=())
