"""What was measured, and what it comes to: samples, comparisons, what is usual. Plain immutable data, as in `model`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from console.model import BuildStatus, Cause, Scenario, Step, Target, Track

# -- samples ----------------------------------------------------------------------------------------------------------


class Trigger(str, Enum):
    """What led to a build. Why exactly is in `Sample.reason`."""

    SAVE = "save"
    ASKED = "asked"
    """A key, or a wish of another program."""
    START = "start"
    """The first build of a session."""
    BASE = "base"
    """The base image: there is another one, or none."""
    MODE = "mode"
    """Another way to make what is served."""
    RACE = "race"
    """The legacy build, to be compared with the app build of the same change."""
    IDLE = "idle"
    """A race that nobody asked for, while nothing else was to do."""
    COMMAND = "command"
    """`splitdeck build`, `splitdeck base …`."""
    COMPARE = "compare"
    """`splitdeck compare`: made to be measured, and for nothing else."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image."""

    digest: str
    """The first sixteen hexadecimal digits of its diff ID: enough to tell layers apart."""
    size_bytes: int
    """Uncompressed."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured build, as the history keeps it."""

    target: Target
    scenario: Scenario
    started_at: float
    duration_ms: float
    status: BuildStatus
    engine: str
    """`BuilderInfo.measured_on` at the time: engine, version, builder, image store, and the way to build."""
    machine: str
    context_ms: float = 0.0
    context_files: int = 0
    context_bytes: int = 0
    context_digest: str = ""
    image_id: str = ""
    image_bytes: int = 0
    base_id: str = ""
    no_cache: bool = False
    disturbed: str = ""
    """Why the figure says nothing about this build alone (another one ran at the same time); empty where it does."""
    trigger: Trigger = Trigger.ASKED
    reason: str = ""
    revision: str = ""
    """The commit that was checked out; empty where there is none."""
    recipe: str = ""
    """Tells apart builds of Dockerfiles with other instructions; empty where unknown."""
    save_to_ready_ms: float | None = None
    base_layers: int = 0
    """How many of the layers, from the first on, are the base's."""
    layers: tuple[Layer, ...] = ()
    """Of the image; empty where that could not be told."""
    causes: tuple[Cause, ...] = ()
    """Why each step that was run did not come from the cache."""
    steps: tuple[Step, ...] = field(default=())
    number: int = field(default=0, compare=False)
    """In the history; 0 until it is kept."""

    @property
    def place(self) -> tuple[str, str]:
        """Engine and machine: only measurements of one place are compared."""
        return self.engine, self.machine


@dataclass(frozen=True, slots=True)
class PullSample:
    """One measured pull of a base image."""

    reference: str
    started_at: float
    duration_ms: float
    fetched_bytes: int
    """What travelled."""
    whole: bool
    """Every layer came; where the engine had some already, the time says nothing about a fresh machine."""
    engine: str
    machine: str


class Mark(str, Enum):
    """What a reader of a sample's figure should know. A marked one is not left out."""

    OLD = "old"
    """Measured more than a month ago, or with other instructions in the Dockerfile than the newest."""
    OUTLIER = "outlier"
    """Far from the others of its kind."""


@dataclass(frozen=True, slots=True)
class BuildQuery:
    """Which builds of the history are wanted."""

    sort: str = "started_at"
    """A field of `Sample` that is one figure or word."""
    descending: bool = True
    target: Target | None = None
    scenario: Scenario | None = None
    status: BuildStatus | None = None
    limit: int = 200
    """Most that are wanted; 0 for all."""


@dataclass(frozen=True, slots=True)
class ListedBuild:
    """A build in a list, without its steps, causes and layers."""

    sample: Sample
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Trend:
    """The comparable builds of one track over time."""

    track: Track
    scenario: Scenario
    points: tuple[tuple[float, float], ...]
    """When each began (seconds since 1970), and what it took in milliseconds; newest last."""


# -- comparisons ------------------------------------------------------------------------------------------------------


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
    old: int = 0
    """How many are marked as old."""
    outliers: int = 0
    """How many are marked as outliers."""


@dataclass(frozen=True, slots=True)
class TargetCheck:
    """One target of the plan beside what was measured; `met` is None while a side is missing."""

    label: str
    measured: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class OtherMeasurement:
    """What one track took in a scenario, or in a place, that is not the one compared."""

    track: Track
    scenario: Scenario
    n: int
    median_ms: float
    elsewhere: str = ""
    """Engine or machine that it was measured on, where that is another one; in words."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the figures of one scenario mean."""

    scenario: Scenario
    sentence: str
    """What the split gains, and which instruction causes it."""
    advice: tuple[str, ...] = ()
    """What would gain more, a sentence each, with what it costs now."""


@dataclass(frozen=True, slots=True)
class Period:
    """What the split saved and cost in one span of time."""

    builds: int = 0
    """App builds that the legacy build of the same scenario is measured for."""
    saved_ms: float = 0.0
    """What they would have cost more as legacy builds; negative where they would have cost less."""
    unpriced: int = 0
    """App builds whose scenario was not measured on the legacy track: they count for nothing."""
    base_builds: int = 0
    base_ms: float = 0.0
    """What base builds took, also those that failed or were cancelled, and pulls of the base."""
    pulls: int = 0

    @property
    def net_ms(self) -> float:
        return self.saved_ms - self.base_ms


@dataclass(frozen=True, slots=True)
class Ledger:
    """The account of the split on this engine and machine."""

    today: Period = field(default_factory=Period)
    week: Period = field(default_factory=Period)
    """Since Monday."""
    in_all: Period = field(default_factory=Period)
    base_build_ms: float | None = None
    """Median of base builds that were run."""
    gain_ms: float | None = None
    """What one code change saves: difference of the medians."""

    @property
    def saves_until_paid(self) -> int | None:
        """How many code changes pay for one base build; None where it is unknown or never happens.

        A gain below a millisecond is none.
        """
        if self.base_build_ms is None or self.gain_ms is None or self.gain_ms < 1:
            return None
        return max(1, -int(-self.base_build_ms // self.gain_ms))


@dataclass(frozen=True, slots=True)
class ImageBytes:
    """What images weigh, uncompressed, in bytes; None where unknown."""

    base: int | None = None
    app: int | None = None
    """The whole app image, the base's layers included."""
    legacy: int | None = None
    app_pull: int | None = None
    """Layers that somebody who has the app image before the last change has to pull."""
    legacy_pull: int | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Legacy against split for one scenario: measurements only, never estimates."""

    scenario: Scenario
    legacy: TrackSummary | None = None
    split: TrackSummary | None = None
    stages: tuple[StageTime, ...] = ()
    interval: tuple[float, float] | None = None
    """95 % bootstrap interval of the speedup; None where a side has too few samples."""
    elsewhere: tuple[OtherMeasurement, ...] = ()
    """What was measured otherwise: never compared with these, but it tells why a side is missing here."""
    verdict: Verdict | None = None

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
class PullTime:
    """What pulling the base takes on a machine that has nothing of it."""

    n: int
    median_ms: float
    size_bytes: int
    """What travelled, median."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that the history of a project says about its two tracks, on this engine and machine."""

    scenarios: tuple[Comparison, ...] = ()
    """Every scenario in which something was measured, here or elsewhere."""
    targets: tuple[TargetCheck, ...] = ()
    """The plan's, whatever the scenario shown."""
    ledger: Ledger = field(default_factory=Ledger)
    images: ImageBytes = field(default_factory=ImageBytes)
    base_cold_ms: float | None = None
    """Median of base builds without a cache."""
    pull: PullTime | None = None
    """None where no whole pull of the base was measured."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A sample that is kept, and what it makes of everything that was measured."""

    sample: Sample
    """With its number, and the scenario that it turned out to be of."""
    comparison: Comparison
    """In the scenario that says most."""
    findings: Findings


# -- the race ---------------------------------------------------------------------------------------------------------


class RacePhase(str, Enum):
    WAITING = "waiting"
    """For the app build, or for the loop to be idle."""
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Race:
    """Both tracks build the same change, one after the other: the app build at the save, the legacy build now."""

    phase: RacePhase
    paths: tuple[str, ...] = ()
    """What was saved; empty where no save of this session led to the app build."""
    split_ms: float | None = None
    """What the app build took; None while it is not known."""
    asked: bool = True
    """By the user; else it began by itself."""
    why: str = ""
    """What it waits for."""


@dataclass(frozen=True, slots=True)
class RaceResult:
    """How a race ended."""

    legacy_ms: float
    split_ms: float | None
    scenario: Scenario | None
    """That both builds turned out to be of; None where they are not alike."""
    why_not: str = ""
    """Why the two say nothing about each other; empty where they do."""
    paths: tuple[str, ...] = ()

    @property
    def lead_ms(self) -> float | None:
        """By how much the app build was earlier; negative where it was later. None where they are not alike."""
        return None if self.split_ms is None or self.why_not else self.legacy_ms - self.split_ms


# -- what is usual ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UsualStep:
    """What one step took in earlier builds."""

    name: str
    """The step's name as it was then, without its number: `RUN pip install …`."""
    median_ms: float
    """Of the builds in which it was run, not taken from the cache."""
    max_ms: float
    n: int


@dataclass(frozen=True, slots=True)
class Usual:
    """What a build usually takes: earlier ones of the same target and scenario, on the same engine and machine."""

    n: int
    total_ms: float
    """Median of the whole build."""
    steps: tuple[UsualStep, ...] = ()
