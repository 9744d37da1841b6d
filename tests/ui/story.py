"""One working session as events: connect, save, build, serve, fail, race, compare, roll back. Plausible numbers.

`story()` gives all scenes in their order; `until("served")` the events up to the end of one scene. A scene is a moment
worth looking at, so some end in the middle of a build.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from console import events as ev
from console.base_values import (
    BaseDiff,
    BaseStatus,
    BaseVersion,
    HeldBase,
    HeldBecause,
    PackageChange,
    Transfer,
    TransferLayer,
    TransferStatus,
)
from console.measurements import (
    Comparison,
    Findings,
    ImageBytes,
    Ledger,
    Period,
    Race,
    RacePhase,
    RaceResult,
    StageTime,
    TargetCheck,
    TrackSummary,
    Verdict,
)
from console.model import (
    BuilderInfo,
    BuildStatus,
    ContainerUsage,
    ContextSummary,
    EngineInfo,
    Mode,
    Scenario,
    Step,
    StepFailure,
    StepKind,
    StepStatus,
    Target,
    Track,
)

START = 1_795_442_400.0
"""When the session begins, seconds since 1970 UTC."""

ENGINE = EngineInfo("docker", "28.5.1", "1.51", "buildkit", "overlay2", "unix:///var/run/docker.sock")
BUILDER = BuilderInfo("engine", "session", "the engine's own BuildKit, over a session")
BASE = BaseStatus("codesearch-base:2026.11.23", True, "sha256:" + "b" * 64, START - 2 * 86400, 1_912_000_000, "f1a2")
REMOTE = "ghcr.io/dev/codesearch-base"
NUMPY = PackageChange("pip", "numpy", "1.26.4", "2.1.0", major=True)
HELD = HeldBase(HeldBecause.MAJOR, "numpy 1.26.4 → 2.1.0 is a major update", "2026.11.24", (NUMPY,))
PRESENT = BaseVersion(
    "sha256:" + "b" * 64,
    ("2026.11.23", "latest", "sha-1a2b3c4"),
    START - 2 * 86400,
    1_912_000_000,
    "sha256:" + "d1" * 32,
    "2026.11.23",
    "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d",
    "f1a2",
    ("codesearch:dev",),
    current=True,
)
BEFORE = replace(
    PRESENT,
    image_id="sha256:" + "c" * 64,
    tags=("2026.11.20", "sha-9f8e7d6"),
    created_at=START - 5 * 86400,
    size_bytes=1_894_000_000,
    version="2026.11.20",
    revision="9f8e7d6c",
    apps=("codesearch:demo", "codesearch:review"),
    current=False,
)
PINNED = replace(
    BEFORE,
    image_id="sha256:" + "e" * 64,
    tags=("2026.11.02",),
    created_at=START - 23 * 86400,
    digest="",
    version="2026.11.02",
    revision="",
    apps=(),
    pinned=True,
)
VERSIONS = (PRESENT, BEFORE, PINNED)
DIFF = BaseDiff(
    "2026.11.20",
    "2026.11.23",
    (
        PackageChange("dpkg", "libssl3", "3.0.14-1", "3.0.15-1"),
        PackageChange("dpkg", "libheif1", "", "1.15.1-1"),
        PackageChange("pip", "tokenizers", "0.19.1", "0.20.3"),
        PackageChange("pip", "urllib3", "1.26.20", "2.2.3", major=True),
        PackageChange("pip", "six", "1.16.0", ""),
    ),
    1_894_000_000,
    1_912_000_000,
)
PULL = Transfer(
    "pull",
    f"{REMOTE}:latest",
    layers=(
        TransferLayer("3f2a1b0c9d8e", "there", 30_000_000, 30_000_000),
        TransferLayer("aa10bb20cc30", "done", 400_000_000, 400_000_000),
        TransferLayer("5d6e7f809102", "unpacking", 200_000_000, 200_000_000),
        TransferLayer("0f1e2d3c4b5a", "moving", 150_000_000, 1_000_000_000),
        TransferLayer("77aa88bb99cc", "waiting", 0, 282_000_000),
    ),
)
APP_STEPS = (
    "[1/5] FROM codesearch-base:2026.11.23",
    "[2/5] WORKDIR /app",
    "[3/5] COPY pyproject.toml README.md ./",
    "[4/5] COPY src/ src/",
    "[5/5] RUN python -m compileall -q src",
)
LEGACY_STEPS = (
    ("[ 1/10] FROM docker.io/library/python:3.10-slim", 2.1, "Other"),
    ("[ 2/10] RUN apt-get update && apt-get install -y gcc g++ git ripgrep", 17.1, "System packages"),
    ("[ 3/10] WORKDIR /app", 0.03, "Other"),
    ("[ 4/10] COPY requirements.txt .", 0.05, "Code copy"),
    ("[ 5/10] RUN pip install --no-cache-dir -r requirements.txt", 75.3, "Python deps"),
    ("[ 6/10] RUN python -m codesearch.models download all-MiniLM-L6-v2", 8.0, "Models"),
    ("[ 7/10] COPY pyproject.toml README.md ./", 0.04, "Code copy"),
    ("[ 8/10] COPY src/ src/", 0.06, "Code copy"),
    ("[ 9/10] RUN python -m compileall -q src", 0.2, "Other"),
    ("[10/10] RUN useradd --create-home app", 0.4, "Other"),
)

RACED = ("src/codesearch/server.py", "src/codesearch/index.py")
VERDICT = Verdict(
    Scenario.CODE_CHANGE,
    "A code change takes 349 ms in place of 2 m 03 s (×354): COPY . . (Dockerfile.legacy:9) makes 2 install steps "
    "after it run again, 83.3 s.",
    ("Dockerfile.legacy:9 copies the code above 2 install steps: below line 12 they would be kept, 83.3 s now.",),
)
FINDINGS = Findings(
    targets=(
        TargetCheck("app build < 60 s", "349 ms", met=True),
        TargetCheck("reduction ≥ 80 %", "99.7 %", met=True),
        TargetCheck("iteration ≥ 5×", "×354", met=True),
        TargetCheck("CI pipeline −70 %", "not measured", met=None),
    ),
    ledger=Ledger(
        today=Period(20, 2_460_000.0, base_builds=4, base_ms=361_000.0),
        week=Period(61, 7_503_000.0, 3, 9, 828_000.0),
        in_all=Period(143, 17_600_000.0, 3, 21, 1_932_000.0),
        base_build_ms=92_000.0,
        gain_ms=123_051.0,
    ),
    images=ImageBytes(1_912_000_000, 1_913_200_000, 2_840_000_000, 4_100, 2_300_000_000),
)


@dataclass
class StoryClock:
    """A clock that stands where the story is."""

    at: float = START

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


def image(letter: str) -> str:
    """A made-up image ID."""
    return f"sha256:{letter * 64}"


def step(name: str, status: StepStatus, ms: float = 0.0, *, at: float = START, **more: object) -> Step:
    """A step by its name; number and total come from the name."""
    number = total = 0
    kind = StepKind.INTERNAL if name.startswith("[internal]") else StepKind.EXPORT
    if name.startswith("[") and "/" in name.partition("]")[0]:
        number, total = (int(part) for part in name[1:].partition("]")[0].rpartition(" ")[2].split("/"))
        kind = StepKind.INSTRUCTION
    made = Step(name, name, kind, status, number, total, started_at=at, duration_ms=ms)
    return replace(made, **more)  # type: ignore[arg-type]


def story(start: float = START) -> Iterator[tuple[str, list[ev.Stamped]]]:
    """All scenes: name and events."""
    teller = _Teller(start)
    for tell in (
        teller.connected,
        teller.first_start,
        teller.building,
        teller.served,
        teller.failed,
        teller.racing,
        teller.compared,
        teller.rolled_back,
        teller.base_held,
        teller.base_compared,
        teller.base_pulled,
        teller.base_changed,
        teller.legacy_served,
    ):
        tell()
        yield tell.__name__, teller.take()


def until(scene: str, start: float = START) -> list[ev.Stamped]:
    """The events from the start to the end of a scene."""
    told: list[ev.Stamped] = []
    for name, events in story(start):
        told += events
        if name == scene:
            return told
    raise KeyError(scene)


class _Teller:
    def __init__(self, start: float) -> None:
        self._at = start
        self._told: list[ev.Stamped] = []

    def take(self) -> list[ev.Stamped]:
        told, self._told = self._told, []
        return told

    def _tell(self, event: ev.Event, after: float = 0.0) -> float:
        self._at += after
        self._told.append(ev.Stamped(self._at, event))
        return self._at

    # -- scenes --------------------------------------------------------------------------------------------------------

    def connected(self) -> None:
        self._tell(ev.SessionStarted("codesearch", "0.1.0", "/home/dev/codesearch/config.toml"))
        self._tell(ev.EngineConnected(ENGINE), 0.12)
        self._tell(ev.BuilderChosen(BUILDER), 0.01)
        self._tell(ev.BaseChecked(BASE), 0.02)
        self._tell(ev.WatchStarted(("src", "pyproject.toml"), 214, polling=False), 0.02)

    def first_start(self) -> None:
        self._tell(ev.BuildStarted(41, Target.APP, Track.SPLIT, "codesearch:dev", "first start"), 0.05)
        self._context(41, 0.011)
        self._app_steps(41, cached=3, last_ms=96)
        self._finish_app(41, 131, 11, cached=3, letter="a")
        self._serve("c41", 41, None, "a", swap=0.31, ready=0.42)
        self._app_says("INFO: Application startup complete.", "INFO: Uvicorn running on http://0.0.0.0:8000")
        self._tell(ev.ContainerMeasured("c41", ContainerUsage(1.2, 212_000_000)), 1.0)

    def building(self) -> None:
        self._app_says(
            *(f"GET /search?q=parser+{number} \x1b[32m200\x1b[0m {3 + number % 9} ms" for number in range(40))
        )
        saved = self._at + 60
        self._tell(ev.ChangeDetected(42, RACED, saved, 31.0), 60.031)
        self._tell(ev.PlanMade(42, "app", None, "src/codesearch/server.py goes into the app image"), 0.001)
        self._tell(ev.BuildStarted(42, Target.APP, Track.SPLIT, "codesearch:dev", "save #42", 42), 0.001)
        self._context(42, 0.004)
        self._app_steps(42, cached=4, last_ms=None)

    def served(self) -> None:
        self._app_step(42, APP_STEPS[4], StepStatus.DONE, 61)
        self._finish_app(42, 118, 4, cached=4, letter="d")
        ready = ev.ContainerReady(
            "c42",
            42,
            42,
            "http://localhost:8000",
            save_to_ready_ms=351.0,
            detect_ms=31.0,
            wait_ms=2.0,
            context_ms=4.0,
            build_ms=118.0,
            swap_ms=152.0,
            ready_ms=44.0,
        )
        self._tell(ev.ContainerStarted("c42", "codesearch-app", image("d"), 42), 0.152)
        self._app_says("INFO: Application startup complete.", "INFO: Uvicorn running on http://0.0.0.0:8000")
        self._tell(ready, 0.044)
        self._tell(ev.ComparisonUpdated(Comparison(Scenario.CODE_CHANGE, split=self._split(12))))
        self._tell(ev.ContainerMeasured("c42", ContainerUsage(1.4, 214_000_000)), 0.8)

    def failed(self) -> None:
        saved = self._at + 120
        self._tell(ev.ChangeDetected(43, ("src/codesearch/parse.py",), saved, 30.0), 120.03)
        self._tell(ev.PlanMade(43, "app", None, "src/codesearch/parse.py goes into the app image"), 0.001)
        self._tell(ev.BuildStarted(43, Target.APP, Track.SPLIT, "codesearch:dev", "save #43", 43), 0.001)
        self._context(43, 0.004)
        self._app_steps(43, cached=4, last_ms=None)
        output = (
            "*** Error compiling 'src/codesearch/parse.py'...",
            '  File "src/codesearch/parse.py", line 88',
            "    def parse(self, text: str -> Tree:",
            "                    ^",
            "SyntaxError: '(' was never closed",
        )
        self._tell(ev.BuildLogged(stream="stderr", lines=output, build=43, target=Target.APP, step=APP_STEPS[4]), 0.05)
        bad = step(APP_STEPS[4], StepStatus.FAILED, 83, at=self._at, line=9, error="exit code: 1")
        self._tell(ev.StepUpdated(43, bad), 0.02)
        message = "RUN python -m compileall -q src: exit code 1"
        source = ("RUN python -m compileall -q src",)
        failure = StepFailure(APP_STEPS[4], message, "docker/app.Dockerfile", 9, source, output)
        steps = (*(step(name, StepStatus.CACHED) for name in APP_STEPS[:4]), bad)
        self._tell(
            ev.BuildFinished(43, Target.APP, Track.SPLIT, BuildStatus.FAILED, 142, 4, steps, 4, 5, "", 0, failure), 0.01
        )
        self._tell(
            ev.ErrorOccurred("build #43 failed in docker/app.Dockerfile:9", "the app still runs your save before")
        )

    def racing(self) -> None:
        self._tell(ev.RaceStarted(Race(RacePhase.WAITING, RACED, why="what is being built goes first")), 30.0)
        self._tell(ev.RaceStarted(Race(RacePhase.RUNNING, RACED, split_ms=118.0)))
        self._race_started = self._tell(
            ev.BuildStarted(44, Target.LEGACY, Track.LEGACY, "codesearch:legacy", "raced by hand")
        )
        self._tell(ev.ContextSent(44, ContextSummary(231, 1_900_000, "c0ffee", 31.0)), 0.031)
        self._tell(ev.StepUpdated(44, step("[internal] load build definition", StepStatus.DONE, 9, at=self._at)), 0.01)
        for name, seconds, stage in LEGACY_STEPS[:4]:
            self._tell(ev.StepUpdated(44, step(name, StepStatus.RUNNING, at=self._at, stage=stage)))
            done = step(name, StepStatus.DONE, seconds * 1000, at=self._at, stage=stage)
            self._tell(ev.StepUpdated(44, done), seconds)
        name = LEGACY_STEPS[4][0]
        running = step(name, StepStatus.RUNNING, at=self._at, stage="Python deps")
        self._tell(ev.StepUpdated(44, running))
        wheels = (
            "Collecting torch==2.9.1",
            "  Downloading torch-2.9.1-cp310-cp310-manylinux_2_28_x86_64.whl (899.8 MB)",
            "     ━━━━━━━━━━ 120.2/899.8 MB\r     \x1b[32m━━━━━━━━━━━━━━━━\x1b[0m 412.0/899.8 MB 61.2 MB/s eta 0:00:08",
        )
        self._tell(ev.BuildLogged(stream="stdout", lines=wheels, build=44, target=Target.LEGACY, step=name), 9.0)
        self._tell(ev.StepUpdated(44, replace(running, current_bytes=412_000_000, total_bytes=899_800_000)), 4.0)

    def compared(self) -> None:
        steps = []
        began = {name for name, _, _ in LEGACY_STEPS[:4]}
        for name, seconds, stage in LEGACY_STEPS:
            done = step(name, StepStatus.DONE, seconds * 1000, at=self._at, stage=stage)
            steps.append(done)
            left = 0.0 if name in began else seconds - 13.0 if stage == "Python deps" else seconds
            self._tell(ev.StepUpdated(44, done), left)
        steps.append(step("exporting to image", StepStatus.DONE, 19_400, at=self._at))
        self._tell(ev.StepUpdated(44, steps[-1]), 19.4)
        took = (self._at - self._race_started) * 1000
        self._tell(
            ev.BuildFinished(
                44,
                Target.LEGACY,
                Track.LEGACY,
                BuildStatus.OK,
                took,
                31.0,
                tuple(steps),
                0,
                10,
                image("e"),
                2_840_000_000,
            )
        )
        self._tell(ev.ComparisonUpdated(self._comparison(), FINDINGS), 0.2)
        self._tell(ev.RaceFinished(RaceResult(took, 118.0, Scenario.CODE_CHANGE, paths=RACED)))

    def rolled_back(self) -> None:
        saved = self._at + 90
        self._tell(ev.ChangeDetected(45, ("src/codesearch/settings.py",), saved, 32.0), 90.032)
        self._tell(ev.PlanMade(45, "app", None, "src/codesearch/settings.py goes into the app image"), 0.001)
        self._tell(ev.BuildStarted(45, Target.APP, Track.SPLIT, "codesearch:dev", "save #45", 45), 0.001)
        self._context(45, 0.004)
        self._app_steps(45, cached=4, last_ms=64)
        self._finish_app(45, 121, 4, cached=4, letter="f")
        self._tell(ev.ContainerStarted("c45", "codesearch-app", image("f"), 45), 0.15)
        output = ("Traceback (most recent call last):", "KeyError: 'CODESEARCH_INDEX'")
        self._tell(ev.ContainerLogged(stream="stderr", lines=output, container="c45"), 0.2)
        self._tell(ev.ContainerExited("c45", 1), 0.05)
        self._tell(ev.ContainerReady("c42", 42, 42, "http://localhost:8000"), 0.1)
        self._tell(ev.ContainerRolledBack(image("f"), image("d"), "the new container exited with code 1", output), 0.2)
        self._tell(
            ev.ErrorOccurred("build #45 did not start: KeyError: 'CODESEARCH_INDEX'", "the container before runs again")
        )

    def base_held(self) -> None:
        self._tell(ev.BaseChecked(replace(BASE, version="2026.11.23", previous="2026.11.20")), 30.0)
        self._tell(ev.BaseStale(("requirements.txt",)), 0.1)
        self._tell(ev.BuildStarted(46, Target.BASE, Track.SPLIT, "codesearch-base:candidate", "asked for"), 5.0)
        self._tell(
            ev.BuildFinished(
                *(46, Target.BASE, Track.SPLIT, BuildStatus.OK, 92_000.0, 12.0, (), 0, 0, image("7"), 1_930_000_000)
            ),
            92.0,
        )
        self._tell(ev.BaseHeld(HELD), 2.0)

    def base_compared(self) -> None:
        self._tell(ev.BaseVersionsListed(VERSIONS), 3.0)
        self._tell(ev.BaseCompared(DIFF), 4.0)

    def base_pulled(self) -> None:
        self._tell(ev.BaseTransferred(Transfer("pull", PULL.reference)), 2.0)
        self._tell(ev.BaseTransferred(PULL), 6.0)

    def base_changed(self) -> None:
        self._tell(ev.BaseTransferred(replace(PULL, status=TransferStatus.OK)), 20.0)
        self._tell(ev.BasePromoted("2026.11.24", "f1a3"), 0.5)
        self._tell(ev.BaseChecked(replace(BASE, version="2026.11.24", previous="2026.11.23", created_at=self._at)), 0.1)
        self._tell(ev.BasePruned(("2026.11.01", "2026.10.30"), 812_000_000), 9.0)
        self._tell(ev.BaseUsed("2026.11.23", "asked for"), 9.0)

    def legacy_served(self) -> None:
        self._tell(ev.ModeChanged(Mode.LEGACY), 5.0)
        self._tell(ev.PlanMade(None, "build legacy", None, "legacy mode"))
        self._tell(ev.BuildStarted(47, Target.LEGACY, Track.LEGACY, "codesearch:legacy", "legacy mode"), 0.1)
        self._context(47, 0.03)
        self._tell(
            ev.BuildFinished(
                *(47, Target.LEGACY, Track.LEGACY, BuildStatus.OK, 2_000.0, 30.0, (), 10, 10, image("e"), 2_840_000_000)
            ),
            2.0,
        )
        self._serve("c47", 47, None, "e", swap=0.2, ready=0.4)

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _context(self, build: int, seconds: float) -> None:
        self._tell(ev.ContextSent(build, ContextSummary(3, 18_212, "dead", seconds * 1000)), seconds)

    def _app_step(self, build: int, name: str, status: StepStatus, ms: float) -> None:
        stage = "Code copy" if "COPY" in name else "Other"
        self._tell(ev.StepUpdated(build, step(name, status, ms, at=self._at, stage=stage)), ms / 1000)

    def _app_steps(self, build: int, *, cached: int, last_ms: float | None) -> None:
        self._app_step(build, "[internal] load build definition from app.Dockerfile", StepStatus.DONE, 4)
        for name in APP_STEPS[:cached]:
            self._app_step(build, name, StepStatus.CACHED, 0)
        for name in APP_STEPS[cached:-1]:
            self._app_step(build, name, StepStatus.DONE, 12)
        running = StepStatus.RUNNING if last_ms is None else StepStatus.DONE
        self._app_step(build, APP_STEPS[-1], running, last_ms or 0.0)

    def _finish_app(self, build: int, ms: float, context_ms: float, *, cached: int, letter: str) -> None:
        names = ("[internal] load build definition from app.Dockerfile", *APP_STEPS)
        steps = [step(names[0], StepStatus.DONE, 4)]
        for index, name in enumerate(APP_STEPS):
            status = StepStatus.CACHED if index < cached else StepStatus.DONE
            steps.append(step(name, status, 0.0 if index < cached else 61.0))
        steps.append(step("exporting to image", StepStatus.DONE, 14))
        self._tell(
            ev.BuildFinished(
                build,
                Target.APP,
                Track.SPLIT,
                BuildStatus.OK,
                ms,
                context_ms,
                tuple(steps),
                cached,
                5,
                image(letter),
                1_921_000_000,
            ),
            0.03,
        )

    def _serve(self, container: str, build: int, batch: int | None, letter: str, *, swap: float, ready: float) -> None:
        self._tell(ev.ContainerStarted(container, "codesearch-app", image(letter), build), swap)
        self._tell(ev.ContainerReady(container, build, batch, "http://localhost:8000"), ready)

    def _app_says(self, *lines: str) -> None:
        self._tell(ev.ContainerLogged(stream="stdout", lines=lines, container="app"), 0.01)

    def _split(self, n: int) -> TrackSummary:
        return TrackSummary(
            n, 349.0, 331.0, 402.0, self._at, (402, 351, 349, 340, 362, 349, 331, 345, 349, 355, 347, 351)
        )

    def _comparison(self) -> Comparison:
        legacy = TrackSummary(
            5, 123_400.0, 118_900.0, 131_000.0, self._at, (131_000, 124_000, 118_900, 123_400, 122_800)
        )
        return Comparison(
            Scenario.CODE_CHANGE,
            legacy,
            self._split(12),
            (
                StageTime("System packages", 17_100.0, None, in_base=True),
                StageTime("Python deps", 75_300.0, None, in_base=True),
                StageTime("Models", 8_000.0, None, in_base=True),
                StageTime("Code copy", 150.0, 61.0),
                StageTime("Other", 22_850.0, 288.0),
            ),
            interval=(341.0, 371.0),
            verdict=VERDICT,
        )
