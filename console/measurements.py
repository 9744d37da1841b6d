"""What was measured, and what it comes to: samples, comparisons, what is usual. Plain immutable data, as in `model`."""

from __future__ import annotations

from dataclasses import dataclass, field

from console.model import BuildStatus, Scenario, Step, Target, Track


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


TO_MEASURE = "compare: "
"""How the reason of a build begins that was made to be measured, and for nothing else."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured build, as the history keeps it."""

    target: Target
    scenario: Scenario
    started_at: float
    duration_ms: float
    status: BuildStatus
    engine: str
    """`BuilderInfo.measured_on` at the time."""
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
