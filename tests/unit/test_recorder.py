"""The recorder: every build is kept under its scenario, and the comparison that says most is shown."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from console.config import CompareConfig
from console.history import records
from console.history.recorder import HistoryRecorder
from console.measurements import Comparison, Sample
from console.model import BuildStatus, Scenario, Step, StepKind, StepStatus, Target
from tests.fakes import FakeClock

PLACE = ("docker 28 buildkit", "laptop")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def recorder(path: Path, clock: FakeClock) -> AsyncIterator[HistoryRecorder]:
    recorder = HistoryRecorder(path, CompareConfig(), *PLACE, clock)
    assert await recorder.open() == (1, "")
    yield recorder
    await recorder.close()


class Measured:
    """Makes samples one after the other."""

    def __init__(self, recorder: HistoryRecorder, clock: FakeClock) -> None:
        self._recorder = recorder
        self._clock = clock
        self._known: set[Target] = set()

    async def __call__(
        self, target: Target, ms: float, context: str, *, cached: int = 1, no_cache: bool = False, deps: str = "base 1"
    ) -> Comparison:
        """A build of two instructions of which some came from the cache."""
        first = target not in self._known
        self._known.add(target)
        if first and not no_cache and cached:  # the first build of all is none of a change
            before = Sample(target, Scenario.COLD, self._clock.now(), 1.0, BuildStatus.OK, *PLACE, base_id=deps)
            await self._recorder.record(replace(before, context_digest="before", disturbed="not measured"))
        self._clock.advance(60)
        steps = tuple(
            Step(name, name, StepKind.INSTRUCTION, StepStatus.CACHED if number < cached else StepStatus.DONE, number, 2)
            for number, name in enumerate(("[1/2] RUN pip install", "[2/2] COPY . ."))
        )
        sample = Sample(
            target,
            Scenario.CODE_CHANGE,
            self._clock.now(),
            ms,
            BuildStatus.OK,
            *PLACE,
            context_digest=context,
            base_id=deps,
            no_cache=no_cache,
            steps=steps,
        )
        return (await self._recorder.record(sample)).comparison


@pytest.fixture
def measured(recorder: HistoryRecorder, clock: FakeClock) -> Measured:
    return Measured(recorder, clock)


async def test_nothing_measured_is_an_empty_comparison_of_code_changes(recorder: HistoryRecorder) -> None:
    comparison, _ = await recorder.comparison()
    assert (comparison.scenario, comparison.legacy, comparison.split) == (Scenario.CODE_CHANGE, None, None)
    assert comparison.elsewhere == ()


async def test_the_first_build_is_cold_and_tells_so(measured: Measured) -> None:
    comparison = await measured(Target.APP, 900, "a", cached=0)
    assert (comparison.scenario, comparison.split) == (Scenario.CODE_CHANGE, None)
    assert [(other.scenario, other.median_ms) for other in comparison.elsewhere] == [(Scenario.COLD, 900)]


async def test_both_sides_cold_are_compared_until_both_have_seen_a_code_change(measured: Measured) -> None:
    await measured(Target.LEGACY, 100_000, "a", no_cache=True)
    comparison = await measured(Target.APP, 1_000, "a", no_cache=True)
    assert (comparison.scenario, comparison.speedup) == (Scenario.COLD, 100.0)

    comparison = await measured(Target.APP, 400, "b")
    assert comparison.scenario is Scenario.COLD, "legacy has not seen one yet"

    comparison = await measured(Target.LEGACY, 80_000, "b")
    assert (comparison.scenario, comparison.speedup) == (Scenario.CODE_CHANGE, 200.0)
    assert comparison.elsewhere == ()

    comparison = await measured(Target.APP, 1_000, "b", no_cache=True)
    assert comparison.scenario is Scenario.CODE_CHANGE, "cold ones do not displace it"
    assert comparison.split is not None
    assert comparison.split.n == 1


async def test_builds_of_unequal_scenarios_are_not_mixed(measured: Measured) -> None:
    await measured(Target.APP, 900, "a", cached=0)
    await measured(Target.APP, 50, "a", cached=2)
    comparison = await measured(Target.APP, 5_000, "b", deps="base 2")
    assert comparison.split is None
    assert {other.scenario: other.n for other in comparison.elsewhere} == {
        Scenario.COLD: 1,
        Scenario.NO_CHANGE: 1,
    }, "what a change of dependencies costs is not known without the build of its base"
    comparison = await measured(Target.APP, 400, "c", deps="base 2")
    assert comparison.split is not None
    assert (comparison.split.n, comparison.split.median_ms) == (1, 400)


async def test_what_failed_or_ran_beside_another_is_kept_but_not_compared(
    recorder: HistoryRecorder, measured: Measured, clock: FakeClock
) -> None:
    await measured(Target.APP, 400, "a")
    base = Sample(Target.APP, Scenario.CODE_CHANGE, clock.now() + 1, 9_999, BuildStatus.OK, *PLACE, context_digest="z")
    await recorder.record(replace(base, disturbed="another build ran"))
    comparison = (await recorder.record(replace(base, status=BuildStatus.FAILED))).comparison
    assert comparison.split is not None
    assert comparison.split.recent_ms == (400,)


async def test_builds_of_another_place_count_for_nothing_here(
    recorder: HistoryRecorder, measured: Measured, path: Path, clock: FakeClock
) -> None:
    await measured(Target.APP, 400, "a")
    await measured(Target.LEGACY, 40_000, "a")
    elsewhere = HistoryRecorder(path, CompareConfig(), "docker 29 buildkit", "laptop", clock)
    assert await elsewhere.open() == (5, "")
    comparison, findings = await elsewhere.comparison()
    assert (comparison.legacy, comparison.split) == (None, None)
    assert [(other.track.value, other.n, other.elsewhere) for other in comparison.elsewhere] == [
        ("legacy", 1, PLACE[0]),
        ("split", 1, PLACE[0]),
    ]
    assert findings.scenarios == ()
    await elsewhere.close()


async def test_the_day_counts_what_was_saved_and_what_the_base_cost(
    recorder: HistoryRecorder, measured: Measured, clock: FakeClock
) -> None:
    await measured(Target.LEGACY, 40_000, "a")
    await measured(Target.APP, 400, "a")
    clock.advance(86_400)
    await measured(Target.BASE, 90_000, "", no_cache=True)
    await measured(Target.APP, 600, "b")
    _, findings = await recorder.comparison()
    ledger = findings.ledger
    assert (ledger.today.saved_ms, ledger.today.base_ms) == (39_400, 90_000)
    assert (ledger.in_all.builds, ledger.in_all.saved_ms) == (2, 39_400 + 39_600)
    assert (ledger.base_build_ms, ledger.gain_ms, ledger.saves_until_paid) == (90_000, 39_500, 3)
    assert findings.base_cold_ms == 90_000


async def test_what_another_process_measured_counts_at_once(
    recorder: HistoryRecorder, measured: Measured, path: Path, clock: FakeClock
) -> None:
    await measured(Target.LEGACY, 40_000, "a")
    await measured(Target.APP, 400, "a")
    other = HistoryRecorder(path, CompareConfig(), *PLACE, clock)
    await other.open()
    await Measured(other, clock)(Target.APP, 500, "b", no_cache=True)
    await other.close()
    await measured(Target.APP, 600, "c")
    _, findings = await recorder.comparison()
    cold = next(one for one in findings.scenarios if one.scenario is Scenario.COLD)
    assert cold.split is not None
    assert cold.split.recent_ms == (500,)


async def test_what_is_remembered_is_what_would_be_found_anew(
    recorder: HistoryRecorder, measured: Measured, path: Path, clock: FakeClock
) -> None:
    source = random.Random(7)
    for number in range(60):
        target = source.choice([Target.APP, Target.APP, Target.LEGACY, Target.BASE])
        context, cached = f"c{source.randrange(9)}", source.randrange(3)
        told = await measured(target, source.uniform(100, 900), context, cached=cached, deps=f"base {number // 20}")
        if number % 10 == 9:
            fresh = HistoryRecorder(path, CompareConfig(), *PLACE, clock)
            await fresh.open()
            assert (await fresh.comparison())[0] == told
            await fresh.close()


def damage_a_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    with closing(sqlite3.connect(path)) as file:
        (page,) = file.execute("SELECT rootpage FROM sqlite_master WHERE name = 'sample'").fetchone()
        (size,) = file.execute("PRAGMA page_size").fetchone()
    content[(page - 1) * size : page * size] = b"\xff" * size
    path.write_bytes(content)


async def test_damage_that_is_found_while_opening_does_not_refuse_the_start(path: Path, clock: FakeClock) -> None:
    recorder = HistoryRecorder(path, CompareConfig(), *PLACE, clock)
    await recorder.open()
    await Measured(recorder, clock)(Target.APP, 400, "a")
    await recorder.close()
    damage_a_page(path)
    again = HistoryRecorder(path, CompareConfig(), *PLACE, clock)
    number, notice = await again.open()
    assert number == 1
    assert "a new history begins" in notice
    await again.close()


async def test_numbers_go_on_and_a_lost_history_is_told(measured: Measured, path: Path, clock: FakeClock) -> None:
    await measured(Target.APP, 400, "a")
    again = HistoryRecorder(path, CompareConfig(), *PLACE, clock)
    assert await again.open() == (3, "")
    assert (await again.comparison())[0].split is not None
    await again.close()
    path.with_name("torn.db").write_text("this is no database, but long enough to be taken for something else")
    torn = HistoryRecorder(path.with_name("torn.db"), CompareConfig(), *PLACE, clock)
    number, notice = await torn.open()
    assert number == 1
    assert "a new history begins" in notice
    await torn.close()


async def test_what_is_usual_is_told_of_builds_in_the_scenario_that_is_expected_and_of_no_other(
    recorder: HistoryRecorder, measured: Measured
) -> None:
    async def usually(target: Target = Target.APP, *, no_cache: bool = False) -> tuple[int, float] | None:
        known = await recorder.usual(target, no_cache=no_cache)
        return None if known is None else (known.n, known.total_ms)

    assert await usually() is None
    await measured(Target.APP, 9_000, "a", cached=0)
    assert await usually() is None, "a cold build does not tell what a change takes"
    await measured(Target.APP, 5_000, "b", deps="base 2")
    assert await usually() is None, "nor does one on another base"
    for number in range(12):
        await measured(Target.APP, 400 + number, f"c{number}", deps="base 2")
    assert await usually() == (10, 406.5), "the newest ten"
    assert await usually(no_cache=True) == (1, 9_000)
    assert await recorder.usual(Target.LEGACY, no_cache=False) is None
    await measured(Target.BASE, 90_000, "", cached=0, deps="inputs 1")
    assert await usually(Target.BASE) is None
    await measured(Target.BASE, 60_000, "x", deps="inputs 2")
    assert await usually(Target.BASE) == (1, 60_000)


async def test_of_a_step_that_is_usually_cached_the_cold_build_tells(
    recorder: HistoryRecorder, clock: FakeClock
) -> None:
    async def build(install_ms: float, copy_ms: float, *, no_cache: bool) -> None:
        clock.advance(60)
        install = StepStatus.DONE if install_ms else StepStatus.CACHED
        steps = (
            Step("i", "[1/2] RUN pip install", StepKind.INSTRUCTION, install, 1, 2, duration_ms=install_ms),
            Step("c", "[2/2] COPY . .", StepKind.INSTRUCTION, StepStatus.DONE, 2, 2, duration_ms=copy_ms),
        )
        sample = Sample(Target.APP, Scenario.CODE_CHANGE, clock.now(), 1.0, BuildStatus.OK, *PLACE, no_cache=no_cache)
        await recorder.record(replace(sample, steps=steps, context_digest=str(clock.now())))

    await build(40_000, 90, no_cache=True)
    await build(0, 20, no_cache=False)
    known = await recorder.usual(Target.APP, no_cache=False)
    assert known is not None
    assert {step.name: step.median_ms for step in known.steps} == {"RUN pip install": 40_000, "COPY . .": 20}


async def test_of_a_big_history_only_the_newest_are_read(
    path: Path, measured: Measured, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await measured(Target.APP, 400, "a")
    with closing(sqlite3.connect(path)) as connection, connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(sample)") if row[1] != "id"]
        same = ", ".join(name for name in columns if name not in {"started_at", "scenario"})
        connection.execute(
            f"""WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
            INSERT INTO sample ({same}, started_at, scenario)
            SELECT {same}, started_at - i, CASE i % 3 WHEN 0 THEN 'cold' ELSE 'code-change' END FROM sample, n"""
        )
        connection.execute(
            "INSERT INTO detail SELECT s.id, d.steps, d.causes, d.layers FROM sample s, detail d"
            " WHERE d.id = 2 AND s.id > 2"
        )
    again = HistoryRecorder(path, CompareConfig(), *PLACE, clock)
    await again.open()
    read: list[object] = []
    to_sample = records.sample_of

    def counted(row: Sequence[object], details: Sequence[bytes] = ()) -> Sample | None:
        read.append(row)
        return to_sample(row, details)

    monkeypatch.setattr(records, "sample_of", counted)
    known = await again.usual(Target.APP, no_cache=False)
    await again.close()
    assert known is not None
    assert (known.n, len(read)) == (10, 2 * 20)
