"""The state that front ends read: frozen slices, replaced and never changed.

`eq=False` on the slices on purpose: a panel asks "is this another object?", never "are these trees equal?".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from console.base_values import BaseContents, BaseDiff, BaseStatus, BaseVersion, Transfer
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
    ContainerStatus,
    ContainerUsage,
    ContextSummary,
    EngineInfo,
    Mode,
    Step,
    StepFailure,
    Target,
    Timing,
)

Severity = Literal["information", "warning", "error"]


@dataclass(frozen=True, slots=True, eq=False)
class WatchView:
    """The watcher."""

    active: bool = False
    paused: bool = False
    files: int = 0
    paths: tuple[str, ...] = ()
    polling: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class BuildView:
    """One build, running or finished."""

    number: BuildNumber
    target: Target
    image: str
    reason: str
    started_at: float
    batch: BatchNumber | None = None
    status: BuildStatus = BuildStatus.RUNNING
    duration_ms: float | None = None
    """None while it runs."""
    context: ContextSummary | None = None
    steps: tuple[Step, ...] = ()
    """In the order in which they began."""
    failure: StepFailure | None = None
    image_id: str = ""
    size_bytes: int = 0
    usual: Usual | None = None
    """What such a build takes; None where none was measured before."""
    warnings: tuple[BuildWarning, ...] = ()
    known_warnings: frozenset[BuildWarning] = frozenset()
    """What the build before remarked; the user has been told."""
    causes: tuple[Cause, ...] = ()
    """Why each step that was run did not come from the cache, once it has succeeded."""

    @property
    def exact(self) -> bool:
        """Whether the times of all its steps are the builder's own."""
        return all(step.exact for step in self.steps)

    @property
    def instructions(self) -> tuple[Step, ...]:
        """The steps that are lines of the Dockerfile."""
        return tuple(step for step in self.steps if step.number)


@dataclass(frozen=True, slots=True, eq=False)
class PipelineView:
    """The newest save on its way to the running container."""

    batch: BatchNumber | None = None
    saved_at: float | None = None
    paths: tuple[str, ...] = ()
    decision: str = ""
    """What was decided about it, with the reason."""
    held: bool = False
    detect_ms: float | None = None
    wait_ms: float | None = None
    context_ms: float | None = None
    build_ms: float | None = None
    swap_ms: float | None = None
    ready_ms: float | None = None
    save_to_ready_ms: float | None = None
    phase: str = "idle"
    """`idle`, `build`, `swap`, `ready` (probing), `served`, `failed`, `cancelled`."""
    phase_started_at: float | None = None
    build: BuildNumber | None = None
    """The build that is followed; None until one begins."""


@dataclass(frozen=True, slots=True, eq=False)
class ContainerView:
    """The app's container, and which save it is made of."""

    status: ContainerStatus = ContainerStatus.ABSENT
    container: str = ""
    name: str = ""
    image_id: str = ""
    address: str = ""
    build: BuildNumber | None = None
    target: Target | None = None
    """Which image it is made from; None where no build of this session made it."""
    batch: BatchNumber | None = None
    saved_at: float | None = None
    """When the save that it serves was made; None for one that no save led to."""
    reason: str = ""
    """Why its image was built; empty where no build of this session made it."""
    since: float | None = None
    exit_code: int | None = None
    usage: ContainerUsage | None = None
    rolled_back: str = ""
    """Why the newest build is not what runs; empty when it is."""


@dataclass(frozen=True, slots=True, eq=False)
class BasesView:
    """What the user asked about base images: which there are, how they differ, what comes or goes."""

    versions: tuple[BaseVersion, ...] | None = None
    """Those on this engine, newest first; None until somebody looked."""
    diffs: tuple[BaseDiff, ...] = ()
    """What was compared, newest last."""
    contents: tuple[BaseContents, ...] = ()
    """What some of them hold, newest last."""
    transfer: Transfer | None = None
    """The one under way, or the last one."""
    transfer_started_at: float = 0.0
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True, eq=False)
class HistoryView:
    """What the user asked the history."""

    query: BuildQuery = field(default_factory=BuildQuery)
    """Which question the list answers."""
    total: int = 0
    builds: tuple[ListedBuild, ...] | None = None
    """None until somebody looked."""
    trends: tuple[Trend, ...] = ()
    details: tuple[Sample, ...] = ()
    """Builds with their steps, newest last asked for."""

    def detail(self, number: int) -> Sample | None:
        """A build with its steps, if somebody asked for it lately."""
        return next((sample for sample in reversed(self.details) if sample.number == number), None)


@dataclass(frozen=True, slots=True, eq=False)
class Notice:
    """An error or a remark for the user."""

    at: float
    message: str
    hint: str = ""
    severity: Severity = "error"
    about: str = ""
    """What may settle it, so that it goes: `base.stale`, `base.held`."""


@dataclass(frozen=True, slots=True, eq=False)
class AppState:
    """Everything that a screen shows, but for log text (see `state.logs`)."""

    project: str = ""
    version: str = ""
    config: str = ""
    engine: EngineInfo | None = None
    builder: BuilderInfo | None = None
    base: BaseStatus | None = None
    bases: BasesView = field(default_factory=BasesView)
    mode: Mode = Mode.SPLIT
    watch: WatchView = field(default_factory=WatchView)
    pipeline: PipelineView = field(default_factory=PipelineView)
    app_build: BuildView | None = None
    base_build: BuildView | None = None
    legacy_build: BuildView | None = None
    container: ContainerView = field(default_factory=ContainerView)
    served: ContainerView | None = None
    """The container as it was when one last became ready: what still answers during an overlapping swap."""
    saves: tuple[tuple[BatchNumber, float], ...] = ()
    """Batches and when they were saved, newest last, the last fifty."""
    comparison: Comparison | None = None
    findings: Findings = field(default_factory=Findings)
    race: Race | None = None
    """The one that waits or runs."""
    raced: RaceResult | None = None
    """How the last one ended, be the source what it may by now; None while another one waits or runs."""
    history: HistoryView = field(default_factory=HistoryView)
    last_timing: Timing | None = None
    notices: tuple[Notice, ...] = ()
    """Newest last, the last fifty."""

    def build_of(self, target: Target) -> BuildView | None:
        """The newest build of a target."""
        return {Target.APP: self.app_build, Target.BASE: self.base_build, Target.LEGACY: self.legacy_build}[target]

    def build_numbered(self, number: BuildNumber) -> BuildView | None:
        """The build with a number, if it is the newest of its target."""
        return next((view for view in map(self.build_of, Target) if view is not None and view.number == number), None)

    @property
    def followed_build(self) -> BuildView | None:
        """The build of what the pipeline shows."""
        number = self.pipeline.build
        return None if number is None else self.build_numbered(number)

    def is_newest_save(self, view: BuildView) -> bool:
        """Whether a build is of what the pipeline shows, and not of a save that a newer one has overtaken."""
        return view.number == self.pipeline.build

    def saved_at(self, batch: BatchNumber | None) -> float | None:
        """When a batch was saved; None for no batch and for one long gone."""
        return next((at for number, at in reversed(self.saves) if number == batch), None)

    @property
    def waiting_saves(self) -> bool:
        """True while a newer save than the running container's is on its way or could not be served."""
        if not self.saves:
            return False
        newest, saved_at = self.saves[-1]
        container = self.container
        if container.batch is not None:
            return newest != container.batch
        build = None if container.build is None else self.build_numbered(container.build)
        if build is not None:
            return saved_at > build.started_at
        return container.since is None or saved_at > container.since
