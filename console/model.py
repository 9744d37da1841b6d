"""The values that travel through the pipe: tracks, steps, builds, containers, measurements.

Plain immutable data without behaviour beyond small derivations; no I/O, no clock reading.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
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
LABEL_PARENTS = "io.splitdeck.parents"
"""On base images: JSON of image name → digest or ID, as the images were that it was built from."""
LABEL_ARGS = "io.splitdeck.args"
"""On base images: JSON of build argument → short hash of its value."""
LABEL_BASE = "io.splitdeck.base"
"""On app images: ID of the base image that they stand on."""
OCI_CREATED = "org.opencontainers.image.created"
OCI_REVISION = "org.opencontainers.image.revision"
OCI_VERSION = "org.opencontainers.image.version"
OCI_BASE_NAME = "org.opencontainers.image.base.name"
OCI_BASE_DIGEST = "org.opencontainers.image.base.digest"
"""The standard labels: github.com/opencontainers/image-spec, annotations.md."""
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


class Mode(str, Enum):
    """How the loop makes the image that it serves; the user may change it at any time."""

    SPLIT = "split"
    """The app image, on the base."""
    LEGACY = "legacy"
    """The single image, as before the split: the way back if anything is wrong with the base."""

    @property
    def target(self) -> Target:
        """What a save builds."""
        return Target.APP if self is Mode.SPLIT else Target.LEGACY


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
    exact: bool = True
    """False where the builder tells no times: then they are those at which its lines arrived here."""

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
class BuildWarning:
    """A remark of the builder on the Dockerfile; the build goes on."""

    message: str
    detail: tuple[str, ...] = ()
    url: str = ""
    """Where the rule is explained."""
    dockerfile: str = ""
    lines: tuple[tuple[int, int], ...] = ()
    """First and last line of each place it is about, from 1."""


class CauseKind(str, Enum):
    """Why a step was not taken from the builder's cache."""

    CACHE_OFF = "cache-off"
    FIRST = "first"
    """No earlier build of this target is known here."""
    FILES = "files"
    """Files that it reads were changed, added or removed."""
    ARGUMENT = "argument"
    """A build argument or variable that it sees has another value."""
    INSTRUCTION = "instruction"
    """The instruction itself was changed, added or moved."""
    BASE = "base"
    """The image that its stage is built on is another one."""
    PARENT = "parent"
    """A step that it builds on was rebuilt."""
    GONE = "gone"
    """Nothing changed, but the builder's cache does not have it any more."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why one step was run, and what it cost."""

    step: str
    """The step's name."""
    kind: CauseKind
    names: tuple[str, ...]
    """The files, arguments, image or step to blame."""
    cost_ms: float


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
    sent_bytes: int | None = None
    """What of it travelled to the builder; None where that cannot be told."""
    warnings: tuple[BuildWarning, ...] = ()
    causes: tuple[Cause, ...] = ()
    """Of every step that was run; empty where the build did not succeed."""
    borrowed: tuple[str, ...] = ()
    """Steps that the cache had from elsewhere than the last build of the target: their cost is not in the duration."""
    base_id: str = ""
    """ID of the base that an app build stood on; empty for other builds, and where there was none."""


@dataclass(frozen=True, slots=True)
class ContextSummary:
    """What was sent to the builder."""

    files: int
    size_bytes: int
    digest: str
    """Hash of names, modes and contents; equal digests build equal images."""
    duration_ms: float
    """How long it took to look them up and pack them."""
    skipped: tuple[str, ...] = ()
    """Paths left out because no image can hold them (sockets, devices)."""
    sent_bytes: int | None = None
    """What travelled to the builder; None while that is not known yet."""


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
    """What builds images there: `buildkit`, `classic`, `buildah`."""
    storage: str
    """The image store: `overlay2`, `containerd`."""
    host: str
    """The address it is reached at."""
    remote: bool = False

    @property
    def identity(self) -> str:
        """Tells engines apart: times of two different ones say nothing about each other."""
        return f"{self.name} {self.version} {self.builder} {self.storage}"


@dataclass(frozen=True, slots=True)
class BuilderInfo:
    """The way in which images are built, and why this one."""

    backend: str
    """`engine`, `buildx`, `classic`, `podman`."""
    transport: str
    """How the build context and secrets get there: `session` (only what changed), `tar` (all of it), `command`."""
    reason: str
    limits: tuple[str, ...] = ()
    """What it cannot do, each in a sentence; told before the first build."""
    exact: bool = True
    """Whether it tells the times of its steps."""
    builder: str = ""
    """The buildx builder's name."""

    def measured_on(self, engine: EngineInfo) -> str:
        """What measurements are grouped by: the engine, and how it builds where that is not its best way."""
        match self.backend, self.transport:
            case "buildx", _:
                return f"{engine.identity} by buildx {self.builder}"
            case "engine", "tar":
                return f"{engine.identity} by tar"
            case "classic", _ if engine.builder != "classic":
                return f"{engine.identity} by the classic builder"
        return engine.identity


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
