"""Stand-ins for the parts that need an engine. They keep the promises of `console.loop.ports` and break when asked to
do what the real ones must never do."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from console.base.checks import CANCELLED, CheckFailure
from console.base.versions import BaseImage
from console.base_values import (
    BaseContents,
    BaseDiff,
    BasePackage,
    BaseStatus,
    BaseVersion,
    HeldBase,
    PackageChange,
    Transfer,
)
from console.config import Config, load_config
from console.errors import BaseError, ConfigError, EngineUnreachableError
from console.events import Event
from console.measurements import (
    BuildQuery,
    Comparison,
    Findings,
    Layer,
    ListedBuild,
    Recorded,
    Sample,
    Trend,
    Usual,
)
from console.model import BuildOutcome, BuildStatus, ContextSummary, Scenario, StepFailure, Target
from console.run.container import Container
from console.run.swap import SwapResult, SwapStatus


class FakeClock:
    """Time that moves only when told to."""

    def __init__(self, now: float = 1_764_000_000.0) -> None:
        self.at = now

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += seconds


def make_project(folder: Path, *, extra: str = "", legacy: bool = True, on_change: str = "ask") -> Config:
    """A small project on disk, with its config loaded."""
    (folder / "base.Dockerfile").write_text("FROM scratch\nCOPY requirements.txt /\n")
    (folder / "app.Dockerfile").write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY app.py /\n")
    (folder / "requirements.txt").write_text("heavy==1\n")
    (folder / "app.py").write_text("print('hello')\n")
    text = '[project]\nname = "demo"\n[base]\ndockerfile = "base.Dockerfile"\non_change = "@"\n'
    text += '[app]\ndockerfile = "app.Dockerfile"\n'
    text = text.replace("@", on_change)
    if legacy:
        (folder / "Dockerfile.legacy").write_text("FROM scratch\nCOPY . /\n")
        text += '[legacy]\ndockerfile = "Dockerfile.legacy"\n'
    (folder / "config.toml").write_text(text + extra)
    return load_config(folder / "config.toml")


def ok(image_id: str, duration_ms: float = 100.0) -> BuildOutcome:
    context = ContextSummary(3, 18_000, f"digest of {image_id}", 4.0)
    return BuildOutcome(BuildStatus.OK, duration_ms, image_id=image_id, size_bytes=1, context=context)


def failed(message: str) -> BuildOutcome:
    return BuildOutcome(BuildStatus.FAILED, 50.0, failure=StepFailure("[2/2] RUN false", message))


class FakeBuilder:
    """Builds end when the test lets them; two of one target at once are an error, as in the real one."""

    def __init__(self) -> None:
        self.started: list[tuple[int, Target, bool]] = []
        self._gates: dict[Target, asyncio.Future[BuildOutcome]] = {}
        self.turns_to_cancel = 0
        """How many turns of the event loop a cancelled build goes on for."""

    async def build(self, number: int, target: Target, *, no_cache: bool = False) -> BuildOutcome:
        assert target not in self._gates, f"two builds of {target} at once"
        self.started.append((number, target, no_cache))
        self._gates[target] = asyncio.get_running_loop().create_future()
        try:
            return await self._gates[target]
        finally:
            del self._gates[target]

    async def layers(self, image_id: str, base_id: str) -> tuple[tuple[Layer, ...], int]:
        return (), 0

    def reads(self, target: Target, path: str) -> bool:
        return not path.endswith((".txt", ".log"))

    def cancel(self, target: Target) -> None:
        if target in self._gates:
            self._end(self._gates[target], self.turns_to_cancel)

    def _end(self, gate: asyncio.Future[BuildOutcome], turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._end, gate, turns - 1)
        elif not gate.done():
            gate.set_result(BuildOutcome(BuildStatus.CANCELLED, 10.0))

    def running(self, target: Target) -> bool:
        return target in self._gates

    def finish(self, target: Target, outcome: BuildOutcome) -> None:
        self._gates[target].set_result(outcome)

    def fail_to_begin(self, target: Target, error: Exception) -> None:
        self._gates[target].set_exception(error)


class FakeRunner:
    """Serves what it is given, unless told otherwise."""

    def __init__(self) -> None:
        self.serving: Container | None = None
        self.resumes: Container | None = None
        self.previous: Container | None = None
        self.broken: set[str] = set()
        """Images whose containers end at once."""
        self.slow: set[str] = set()
        """Images that never answer, until superseded."""
        self.swaps: list[str] = []
        self.tidied = 0
        self._superseded = asyncio.Event()

    async def resume(self) -> SwapResult | None:
        self.serving = self.resumes
        return None if self.serving is None else SwapResult(SwapStatus.READY, self.serving, "http://here")

    async def serve(self, image_id: str, build: int) -> SwapResult:
        self.swaps.append(image_id)
        self._superseded.clear()
        await asyncio.sleep(0)
        if image_id in self.slow:
            await self._superseded.wait()
            return SwapResult(SwapStatus.SUPERSEDED, None)
        if image_id in self.broken:
            status = SwapStatus.ROLLED_BACK if self.serving else SwapStatus.FAILED
            return SwapResult(status, self.serving, "http://here", reason="it ended at once", output=("SyntaxError",))
        self.previous = self.serving
        self.serving = Container(f"container of {image_id}", "demo", image_id, "")
        return SwapResult(SwapStatus.READY, self.serving, "http://here", swap_ms=150.0, ready_ms=40.0)

    async def revive(self) -> SwapResult | None:
        return None if self.serving is None else SwapResult(SwapStatus.READY, self.serving, "http://here")

    async def fall_back(self) -> SwapResult | None:
        if self.previous is None:
            return None
        self.serving, self.previous = self.previous, None
        return SwapResult(SwapStatus.READY, self.serving, "http://here")

    async def tidy(self) -> None:
        self.tidied += 1

    def abandon(self) -> None:
        self._superseded.set()

    def supersede(self) -> None:
        self._superseded.set()


@dataclass
class FakeBase:
    """Base images on an engine, called by their IDs."""

    present: bool = True
    files: frozenset[str] = frozenset({"base.Dockerfile", "requirements.txt"})
    inputs: str = "now"
    """The fingerprint of its inputs, as they are."""
    stale_files: tuple[str, ...] = ()
    away: bool = False
    """The engine does not answer."""
    version: str = "latest"
    may_pull: bool = False
    due: bool = False
    rolled_back: bool = False
    busy: bool = False
    """Another process is at it."""
    on_engine: list[str] = field(default_factory=list)
    """The versions, newest first."""
    tried: BaseImage | None = None
    """The candidate."""
    current: str = "sha256:base"
    """What is `latest`."""
    check_fails: CheckFailure | None = None
    majors: tuple[PackageChange, ...] = ()
    """What every new base brings."""
    remote: str = ""
    """Image ID of what the registry has as `latest`."""
    held: HeldBase | None = None
    twins: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    """What was done, in order."""
    checking: asyncio.Event | None = None
    """A check lasts until it is set."""

    @property
    def pinned(self) -> bool:
        return self.version != "latest"

    def pull_due(self) -> bool:
        return self.due

    @contextmanager
    def reserved(self) -> Iterator[None]:
        if self.busy:
            raise ConfigError("another splitdeck is at work on the base images", "wait until it is done")
        yield

    def _answer(self) -> None:
        if self.away:
            raise EngineUnreachableError("no container engine answers", "start it")

    async def status(self) -> BaseStatus:
        self._answer()
        image_id = self.current if self.present else ""
        return BaseStatus(
            f"demo-base:{self.version}",
            self.present,
            image_id,
            fingerprint="old" if self.stale_files else self.inputs,
            inputs_fingerprint=self.inputs,
            stale_files=self.stale_files,
            version=image_id,
            pinned=self.pinned,
            held=self.held,
        )

    async def versions(self) -> tuple[BaseVersion, ...]:
        return tuple(BaseVersion(one, (one,), 1.0, 1, version=one) for one in self.on_engine)

    async def candidate(self) -> BaseImage | None:
        self._answer()
        return self.tried

    async def latest(self) -> str | None:
        return self.current if self.present else None

    async def twin(self, image_id: str) -> str | None:
        return self.twins.get(image_id)

    async def compare(self, before: str, after: str) -> BaseDiff:
        self.done.append(f"compare {before} {after}")
        return BaseDiff(before, after, self.majors)

    async def contents(self, wanted: str) -> BaseContents:
        return BaseContents(wanted, wanted, (BasePackage("pip", "numpy", "1.26.4"),))

    async def check(self, image_id: str, tell: Callable[[str, tuple[str, ...]], None]) -> CheckFailure | None:
        self._answer()
        self.done.append(f"check {image_id}")
        tell("true", ("well",))
        if self.checking is not None:
            await self.checking.wait()
        return self.check_fails

    async def promote(self, image_id: str) -> BaseStatus:
        self._answer()
        self.done.append(f"promote {image_id}")
        self.on_engine.insert(0, image_id)
        self.present, self.current, self.tried, self.held = True, image_id, None, None
        return BaseStatus("demo-base:latest", True, image_id, fingerprint="now", version=image_id)

    async def hold(self, held: HeldBase, image_id: str) -> None:
        self.done.append(f"hold {image_id or 'nothing'}")
        self.held = held

    async def superseded(self, image_id: str) -> None:
        self.done.append(f"remove {image_id}")

    async def drop_candidate(self, image_id: str) -> None:
        self.tried = None

    def adopt(self, version: str) -> None:
        self.version = version

    async def use(self, wanted: str, observe: Callable[[Transfer], None]) -> str:
        if wanted not in (*self.on_engine, "latest"):
            raise BaseError(f"there is no version {wanted}", "look")
        self.version = wanted
        return wanted

    async def roll_back(self) -> tuple[str, str]:
        before = self.current
        if self.current not in self.on_engine or self.on_engine[-1] == self.current:
            raise BaseError("there is no version before the present one", "look")
        self.current = self.on_engine[self.on_engine.index(self.current) + 1]
        return self.current, before

    async def ask_registry(self) -> None:
        self.done.append("ask")
        if not self.remote:
            raise BaseError("the registry cannot be reached", "see whether the network is up")

    async def fetch_pinned(self, observe: Callable[[Transfer], None]) -> None:
        self.done.append(f"fetch {self.version}")
        self.present = True

    async def fetch_latest(self, observe: Callable[[Transfer], None], *, asked: bool) -> str | None:
        self.done.append("fetch latest")
        self.due = False
        if not self.remote:
            raise BaseError("the registry cannot be reached", "see whether the network is up")
        return None if self.remote == self.current else self.remote

    async def publish(self, observe: Callable[[Transfer], None]) -> tuple[str, ...]:
        self.done.append(f"publish {self.current}")
        return (self.current,)

    async def superfluous(self) -> tuple[BaseVersion, ...]:
        return (await self.versions())[-1:]

    async def prune(self) -> tuple[tuple[str, ...], int]:
        return ("2026.11.01",), 1_000

    async def tidy(self) -> None:
        pass

    def cancel(self) -> None:
        if self.checking is not None:
            self.check_fails = CheckFailure("true", CANCELLED, ())
            self.checking.set()


@dataclass
class FakeRecorder:
    samples: list[Sample] = field(default_factory=list)
    usually: dict[Target, Usual] = field(default_factory=dict)

    ready_ms: dict[int, float] = field(default_factory=dict)
    """Save-to-ready, by the sample's number."""
    scenarios: dict[Target, Scenario] = field(default_factory=dict)
    """What builds turn out to be."""

    async def record(self, sample: Sample) -> Recorded:
        sample = replace(sample, scenario=self.scenarios.get(sample.target, sample.scenario))
        self.samples.append(replace(sample, number=len(self.samples) + 1))
        return Recorded(self.samples[-1], *await self.comparison())

    async def served(self, number: int, save_to_ready_ms: float) -> None:
        self.ready_ms[number] = save_to_ready_ms

    async def comparison(self) -> tuple[Comparison, Findings]:
        return Comparison(Scenario.CODE_CHANGE), Findings()

    async def builds(self, query: BuildQuery) -> tuple[int, tuple[ListedBuild, ...], tuple[Trend, ...]]:
        return len(self.samples), tuple(map(ListedBuild, self.samples)), ()

    async def build(self, number: int) -> Sample | None:
        return next((sample for sample in self.samples if sample.number == number), None)

    async def usual(self, target: Target, *, no_cache: bool) -> Usual | None:
        return None if no_cache else self.usually.get(target)


class Events:
    """What was told, in order."""

    def __init__(self) -> None:
        self.all: deque[Event] = deque()

    def __call__(self, event: Event) -> None:
        self.all.append(event)

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.all if isinstance(event, kind)]

    def names(self) -> list[str]:
        return [event.name for event in self.all]
