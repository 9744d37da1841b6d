"""A year of heavy use in the history: opening it, what a build costs in it, and drawing what it says."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from console import events as ev
from console.config import CompareConfig
from console.events import Stamped
from console.history.recorder import HistoryRecorder
from console.history.records import History
from console.measurements import BuildQuery, Layer, Recorded, Sample, Trigger
from console.model import BuildStatus, Scenario, Step, StepKind, StepStatus, SystemClock, Target
from console.state.app_state import AppState
from console.state.reducer import reduce
from console.ui.compare_rows import compare_rows
from tests.perf.measure import Row, table

BUILDS = 100_000
_YEAR_S = 365 * 86_400.0
_PLACE = ("docker 28.5.2 buildkit overlay2", "laptop, 8 × x86_64")
_STEPS = 12


def year_of_builds(count: int, now: float) -> Iterator[Sample]:
    """What a busy team leaves: mostly app builds after code changes, all steps and layers with them."""
    source = random.Random(1)
    layers = tuple(Layer(f"{number:016x}", number * 1_000_000) for number in range(14))
    weights = {Target.APP: 90, Target.LEGACY: 7, Target.BASE: 3}
    for number in range(count):
        (target,) = source.choices(list(weights), list(weights.values()))
        (scenario,) = source.choices(list(Scenario), [1, 20, 1, 4])
        at = now - _YEAR_S * (1 - number / count)
        yield Sample(
            target,
            scenario,
            at,
            abs(source.gauss(400, 60) if target is Target.APP else source.gauss(57_000, 4_000)),
            BuildStatus.OK if source.random() < 0.95 else BuildStatus.CANCELLED,
            *_PLACE,
            context_digest=f"{source.getrandbits(256):064x}",
            image_id=f"sha256:{source.getrandbits(256):064x}",
            image_bytes=2_300_000_000,
            base_id=f"sha256:{number // 2_000:064x}",
            trigger=Trigger.SAVE,
            reason="saved src/server.py",
            revision="0123456789",
            recipe="0123456789ab",
            save_to_ready_ms=600.0,
            base_layers=12,
            layers=layers,
            steps=_steps(at),
        )


def _steps(at: float) -> tuple[Step, ...]:
    return tuple(
        Step(
            f"sha256:{number:064x}",
            f"[{number:2}/{_STEPS}] RUN pip install --no-cache-dir package-{number}",
            StepKind.INSTRUCTION,
            StepStatus.CACHED if number < _STEPS else StepStatus.DONE,
            number,
            _STEPS,
            started_at=at,
            duration_ms=100.0,
            intervals=((at, at + 0.1),),
            line=number + 2,
            stage="Python deps",
        )
        for number in range(1, _STEPS + 1)
    )


def bench_history(rounds: int) -> str:
    opened, first = Row("opened"), Row("opened and compared, as at a start")
    updated, drawn = Row("one more build: kept, compared anew"), Row("the panel drawn from it")
    listed = Row("200 builds listed by what they took")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "history.db")
        fill(path, BUILDS)
        for turn in range(rounds):
            asyncio.run(_measure(path, turn, opened, first, updated, drawn, listed))
    note = (
        f"{BUILDS:,} builds of a year with {_STEPS} steps each. Asked for: opened in under 300 ms, the panel updated "
        "in under 20 ms (the two rows about one more build, together)."
    )
    return table("A year of history", note, [opened, first, updated, drawn, listed], None)


def fill(path: Path, count: int) -> None:
    history = History.open(path)
    history._connection.execute("PRAGMA synchronous = OFF")
    for sample in year_of_builds(count, time.time()):
        history.add(sample)
    history.close()


async def _measure(path: Path, turn: int, opened: Row, first: Row, updated: Row, drawn: Row, listed: Row) -> None:
    began = time.perf_counter()
    recorder = HistoryRecorder(path, CompareConfig(), *_PLACE, SystemClock(), {Target.LEGACY: "Dockerfile.legacy"})
    await recorder.open()
    opened.samples_ms.append((time.perf_counter() - began) * 1000)
    await recorder.comparison()
    first.samples_ms.append((time.perf_counter() - began) * 1000)
    now = time.time()
    sample = next(year_of_builds(1, now + _YEAR_S))
    sample = replace(sample, target=Target.APP, context_digest=f"{turn}", status=BuildStatus.OK, started_at=now)
    began = time.perf_counter()
    recorded: Recorded = await recorder.record(sample)
    updated.samples_ms.append((time.perf_counter() - began) * 1000)
    began = time.perf_counter()
    told = ev.ComparisonUpdated(recorded.comparison, recorded.findings)
    compare_rows(reduce(AppState(), Stamped(now, told)), now, 70, 12)
    drawn.samples_ms.append((time.perf_counter() - began) * 1000)
    began = time.perf_counter()
    await recorder.builds(BuildQuery("duration_ms", scenario=Scenario.CODE_CHANGE, target=Target.APP))
    listed.samples_ms.append((time.perf_counter() - began) * 1000)
    await recorder.close()
