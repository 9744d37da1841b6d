from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console.history import file, records, rows
from console.history.records import History, HistoryError, history_path
from console.history.schema import MIGRATIONS
from console.measurements import BuildQuery, Layer, PullSample, Sample, Trigger
from console.model import BuildStatus, Cause, CauseKind, Scenario, Step, StepKind, StepStatus, Target

STEP = Step(
    id="sha256:1",
    name="[2/3] RUN printf 'ü\udc80'",
    kind=StepKind.INSTRUCTION,
    status=StepStatus.CACHED,
    number=2,
    total=3,
    stage_label="builder",
    started_at=1.7e9 + 0.123456789,
    duration_ms=17.25,
    intervals=((1.7e9 + 0.1, 1.7e9 + 0.2), (1.7e9 + 0.3, 1.7e9 + 0.4)),
    line=7,
    stage="Other",
)
SAMPLE = Sample(
    target=Target.APP,
    scenario=Scenario.CODE_CHANGE,
    started_at=1000.0,
    duration_ms=118.5,
    status=BuildStatus.OK,
    engine="docker 28.5 buildkit overlay2",
    machine="m1",
    context_ms=4.5,
    context_files=3,
    context_bytes=18_000,
    context_digest="d",
    image_id="sha256:2",
    image_bytes=5,
    base_id="sha256:3",
    no_cache=True,
    reason="src/server.py",
    trigger=Trigger.SAVE,
    revision="0123456789",
    recipe="r",
    save_to_ready_ms=349.0,
    base_layers=1,
    layers=(Layer("d1", 2_000), Layer("d2", 30)),
    causes=(Cause("[2/3] RUN x", CauseKind.FILES, ("a.py",), 17.0),),
    steps=(STEP, replace(STEP, started_at=None, intervals=())),
)


def bare(sample: Sample) -> Sample:
    """As lists have it."""
    return replace(sample, steps=(), causes=(), layers=())


def since(history: History, at: float) -> list[Sample]:
    """Every build begun at a moment or later, oldest first."""
    _, found = history.listed(BuildQuery(descending=False, limit=0))
    return [sample for sample in found if sample.started_at >= at]


ASKED = (Target.APP, Scenario.CODE_CHANGE, SAMPLE.engine, SAMPLE.machine)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.db"


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of a user who is not root: nothing is unreadable or read-only to root."""
    folder = Path(tempfile.mkdtemp(prefix="splitdeck-test-"))
    root = os.geteuid() == 0
    if root:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        for spoilt in (folder, *folder.iterdir()):
            spoilt.chmod(0o700)
        shutil.rmtree(folder)


def kept_aside(path: Path) -> list[Path]:
    return [found for found in path.parent.glob("*.broken-*") if not found.name.endswith(("-wal", "-shm"))]


def fill(path: Path, count: int = 300) -> None:
    with closing(History.open(path)) as history:
        for number in range(count):
            history.add(replace(SAMPLE, started_at=float(number)))


def test_a_sample_comes_back_as_it_was_after_a_restart(path: Path) -> None:
    with closing(History.open(path)) as history:
        assert history.notice == ""
        assert history.next_build_number() == 1
        number = history.add(SAMPLE)
    with closing(History.open(path)) as history:
        assert history.recent(*ASKED) == [bare(SAMPLE)]
        last = history.last(Target.APP)
        assert last is not None
        assert (last.number, history.whole(last)) == (number, SAMPLE)
        assert since(history, 0) == [bare(SAMPLE)]
        assert history.next_build_number() == number + 1
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


finite = st.floats(allow_nan=False, allow_infinity=False)
count = st.integers(0, 2**62)
steps = st.builds(
    Step, started_at=finite, duration_ms=finite, intervals=st.lists(st.tuples(finite, finite)).map(tuple), number=count
)
causes = st.builds(Cause, kind=st.sampled_from(CauseKind), names=st.lists(st.text()).map(tuple), cost_ms=finite)
samples = st.builds(
    Sample,
    started_at=finite,
    duration_ms=finite,
    image_bytes=count,
    engine=st.text(st.characters(exclude_categories=["Cs"])),
    machine=st.just("m"),
    save_to_ready_ms=st.none() | finite,
    disturbed=st.text(st.characters(exclude_categories=["Cs"])),
    trigger=st.sampled_from(Trigger),
    causes=st.lists(causes).map(tuple),
    layers=st.lists(st.builds(Layer, size_bytes=count)).map(tuple),
    steps=st.lists(steps).map(tuple),
)


@given(samples)
@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
def test_any_sample_comes_back(sample: Sample) -> None:
    with closing(History.open(Path("/dev/null/history.db"))) as history:
        history.add(sample)
        assert since(history, float("-inf")) == [bare(sample)]
        successful = replace(sample, status=BuildStatus.OK, disturbed="")
        number = history.add(successful)
        (found,) = history.recent(sample.target, sample.scenario, sample.engine, sample.machine, 1)
        assert (found, found.number) == (bare(successful), number)
        assert history.whole(found) == successful


def test_recent_holds_comparable_samples_only_newest_last(path: Path) -> None:
    with closing(History.open(path)) as history:
        for at in (3.0, 1.0, 2.0, 4.0):
            history.add(replace(SAMPLE, started_at=at))
        for other in (
            {"target": Target.BASE},
            {"scenario": Scenario.COLD},
            {"engine": "x"},
            {"machine": "x"},
            {"status": BuildStatus.CANCELLED},
            {"disturbed": "another build ran"},
        ):
            history.add(replace(SAMPLE, started_at=9.0, **other))  # type: ignore[arg-type]
        assert [sample.started_at for sample in history.recent(*ASKED, limit=3)] == [2.0, 3.0, 4.0]
        assert len(since(history, 3.0)) == 8


def test_last_is_the_newest_that_succeeded_where_asked(path: Path) -> None:
    with closing(History.open(path)) as history:
        history.add(replace(SAMPLE, started_at=1.0, reason="here"))
        history.add(replace(SAMPLE, started_at=2.0, reason="there", machine="m2"))
        history.add(replace(SAMPLE, started_at=3.0, reason="failed", status=BuildStatus.FAILED))

        def reason(*where: str) -> str:
            sample = history.last(Target.APP, *where)
            return "" if sample is None else sample.reason

        assert reason() == "there"
        assert reason(SAMPLE.engine, "m1") == "here"
        assert reason("another engine") == ""


def test_names_that_no_text_can_hold_are_kept_readable(path: Path) -> None:
    with closing(History.open(path)) as history:
        history.add(replace(SAMPLE, reason="bad\udc80\nname.py"))
        last = history.last(Target.APP)
    assert last is not None
    assert last.reason == "bad\\udc80\\nname.py"


WRITER = """
import sys
from contextlib import closing
from pathlib import Path
from console.history.records import History
from console.measurements import *
from console.model import *
path = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
with closing(History.open(path)) as history:
    assert history.notice == "", history.notice
    for at in range(100):
        history.add(Sample(Target.APP, Scenario.COLD, float(at), 1.0, BuildStatus.OK, "engine", sys.argv[2]))
"""


@pytest.mark.parametrize("content", [None, b"not a database at all"], ids=["new", "unusable"])
def test_processes_write_at_once(path: Path, content: bytes | None) -> None:
    program = WRITER
    if content is not None:
        path.parent.mkdir()
        path.write_bytes(content)
        program = WRITER.replace('== ""', "is not None")
    names = [f"m{number}" for number in range(6)]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in names
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=30)
    assert [writer.returncode for writer in writers] == [0] * len(names)
    with closing(History.open(path)) as history:
        assert history.notice == ""
        for name in names:
            assert len(history.recent(Target.APP, Scenario.COLD, "engine", name, 1000)) == 100
    assert len(kept_aside(path)) == (content is not None)


def torn(path: Path) -> None:
    fill(path)
    os.truncate(path, path.stat().st_size // 2)


def of_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE cookies (name)")


def from_the_future(path: Path) -> None:
    fill(path, 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")


def of_a_development_version(path: Path) -> None:
    fill(path, 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP INDEX comparable")
        connection.execute("DROP INDEX accounted")
        connection.execute("ALTER TABLE sample DROP COLUMN disturbed")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (torn, "malformed"),
        (lambda path: path.write_text("no database, but longer than a header of one hundred bytes " * 9), "database"),
        (lambda path: path.write_bytes(b"short"), "database"),
        (of_another_program, "another program"),
        (of_a_development_version, "lacks columns"),
        (lambda path: path.mkdir(), "not a file"),
    ],
    ids=["torn", "text", "short", "foreign", "development", "folder"],
)
def test_an_unusable_file_is_kept_aside_and_a_new_one_begun(
    path: Path, spoil: Callable[[Path], object], reason: str
) -> None:
    path.parent.mkdir()
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    with closing(History.open(path)) as history:
        assert reason in history.notice
        (aside,) = kept_aside(path)
        assert aside.name in history.notice
        assert history.recent(*ASKED) == []
        history.add(SAMPLE)
    assert before is None or aside.read_bytes() == before
    with closing(History.open(path)) as history:
        assert history.notice == ""
        assert history.recent(*ASKED) == [bare(SAMPLE)]


def test_what_is_kept_aside_keeps_its_journal(path: Path) -> None:
    fill(path, 1)
    with closing(sqlite3.connect(path)) as other:  # another program that runs at the same time
        other.execute("PRAGMA application_id = 1")
        other.execute("UPDATE sample SET reason = 'in the journal only'")
        other.commit()
        with closing(History.open(path)) as history:
            assert since(history, 0) == []
        (aside,) = kept_aside(path)
        with closing(sqlite3.connect(aside)) as connection:
            assert connection.execute("SELECT reason FROM sample").fetchall() == [("in the journal only",)]


def test_a_newer_file_stays_where_it_is(path: Path) -> None:
    from_the_future(path)
    before = path.read_bytes()
    with closing(History.open(path)) as history:
        assert "newer splitdeck" in history.notice
        assert "this session only" in history.notice
        history.add(SAMPLE)
        assert len(since(history, 0)) == 1
    assert kept_aside(path) == []
    assert path.read_bytes() == before


def test_an_empty_file_is_a_new_history(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    with closing(History.open(path)) as history:
        assert history.notice == ""
        history.add(SAMPLE)


def test_damage_found_later_is_told_once_and_a_new_history_begun(path: Path) -> None:
    fill(path)
    with path.open("r+b") as file:  # pages in the middle, which nothing reads when the file is opened
        file.seek(4096 * 8)
        file.write(b"\xff" * (path.stat().st_size - 4096 * 16))
    with closing(History.open(path)) as history:
        before = history.written_by_others()
        history._accounts[SAMPLE.engine, SAMPLE.machine] = (300, {})
        with pytest.raises(HistoryError, match="malformed") as caught:
            since(history, 0)
        assert history.written_by_others() != before
        assert "a new history begins" in caught.value.hint
        history.add(SAMPLE)
        assert since(history, 0) == [bare(SAMPLE)]
        (account,) = history.account(SAMPLE.engine, SAMPLE.machine)
        assert account.builds == 1, "what was in the file before does not count"
    assert len(kept_aside(path)) == 1


def test_rows_that_make_no_sense_are_left_out(path: Path) -> None:
    with closing(History.open(path)) as history:
        for _ in range(3):
            history.add(SAMPLE)
        history._connection.execute("UPDATE detail SET steps = x'00' WHERE id = 1")
        history._connection.execute("UPDATE sample SET status = 'exploded' WHERE id = 2")
        first, last = history.recent(*ASKED)
        assert (history.numbered(first.number), history.whole(first)) == (None, first), "what can be read is"
        assert history.whole(last) == SAMPLE
        assert len(since(history, 0)) == 2


def test_steps_of_other_versions_can_be_read() -> None:
    packed = zlib.compress(b'[["name","id","kind","status","intervals","mood"],["n","i","export","done",[],"good"]]')
    assert rows._unpack("steps", packed) == (Step("i", "n", StepKind.EXPORT, StepStatus.DONE),)


def test_a_full_disk_is_an_error_of_ours(path: Path) -> None:
    with closing(History.open(path)) as history:
        (pages,) = history._connection.execute("PRAGMA page_count").fetchone()
        history._connection.execute(f"PRAGMA max_page_count = {pages}")
        big = replace(SAMPLE, engine="e" * 10_000)
        connection = history._connection
        with pytest.raises(HistoryError, match="full") as caught:
            history.add(big)
        assert "free space" in caught.value.hint
        assert history._connection is connection, "only damage is a reason to begin anew"
        history.add(SAMPLE)
        assert since(history, 0) == [bare(SAMPLE)]
    assert kept_aside(path) == []


def test_a_locked_file_is_an_error_of_ours(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "BUSY_TIMEOUT_S", 0.01)
    with closing(History.open(path)) as history, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(HistoryError, match="locked"):
            history.add(SAMPLE)
        other.rollback()
        history.add(SAMPLE)


def test_a_read_only_history_is_still_read(unprivileged: Path) -> None:
    path = unprivileged / "history.db"
    fill(path, 1)
    path.chmod(0o444)
    unprivileged.chmod(0o555)
    with closing(History.open(path)) as history:
        assert "new measurements are not kept" in history.notice
        assert len(history.recent(*ASKED)) == 1
        with pytest.raises(HistoryError, match="readonly"):
            history.add(SAMPLE)
    assert [found.name for found in unprivileged.iterdir()] == ["history.db"]


def test_an_unreadable_file_is_kept_aside(unprivileged: Path) -> None:
    path = unprivileged / "history.db"
    fill(path, 1)
    path.chmod(0)
    with closing(History.open(path)) as history:
        assert "Permission denied" in history.notice
        history.add(SAMPLE)
    assert len(kept_aside(path)) == 1


@pytest.mark.parametrize("mode", [0, 0o555])
def test_without_a_place_to_write_the_session_keeps_its_own(unprivileged: Path, mode: int) -> None:
    folder = unprivileged / "locked"
    folder.mkdir(mode)
    with closing(History.open(folder / "history.db")) as history:
        assert "this session only" in history.notice
        history.add(SAMPLE)
        assert history.recent(*ASKED) == [bare(SAMPLE)]


def test_every_query_of_the_panel_goes_by_an_index(path: Path) -> None:
    with closing(History.open(path)) as history:
        named = {"target": "app", "engine": "", "machine": "", "limit": 1}
        queries = (
            (records._RECENT, ("",) * 5),
            (records._NEWEST, named),
            (records._TIMES, ("",) * 5),
            (records._BASES, ("",)),
            (records._DETAILED, (1,)),
        )
        for sql, arguments in queries:
            plan = " ".join(row[3] for row in history._connection.execute(f"EXPLAIN QUERY PLAN {sql}", arguments))
            assert "USING INDEX" in plan or "PRIMARY KEY" in plan, sql
            assert "SCAN" not in plan, sql
            assert "TEMP B-TREE" not in plan, sql


def test_where_histories_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(records.STATE_DIR_VARIABLE, str(tmp_path / "s"))
    first = history_path("shop", tmp_path / "a" / "config.toml")
    assert first.parent == tmp_path / "s"
    assert first.name.startswith("shop-")
    assert first == history_path("shop", tmp_path / "b" / ".." / "a" / "config.toml")
    assert first != history_path("shop", tmp_path / "b" / "config.toml")
    monkeypatch.delenv(records.STATE_DIR_VARIABLE)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "x"))
    assert history_path("shop", tmp_path / "config.toml").parent == tmp_path / "x" / "splitdeck"


def test_a_history_of_the_first_schema_is_taken_over(path: Path) -> None:
    path.parent.mkdir()
    old = dict.fromkeys(("target", "scenario", "status"), "x") | {"target": "app", "scenario": "cold", "status": "ok"}
    packed = zlib.compress(b'[["id","name","kind","status","intervals"],["i","n","export","done",[]]]')
    with closing(sqlite3.connect(path)) as connection:
        for statement in MIGRATIONS[0]:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {file._APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        columns = [row[1] for row in connection.execute("PRAGMA table_info(sample)") if row[1] != "id"]
        for alongside, reason in ((0, "saved a.py"), (1, "compare: cold, 1 of 3"), (0, "asked for")):
            values = {**dict.fromkeys(columns, 0), **old, "engine": "e", "machine": "m", "steps": packed}
            values |= {"alongside": alongside, "reason": reason, "save_to_ready_ms": 7.5}
            marks = ", ".join("?" * len(columns))
            connection.execute(
                f"INSERT INTO sample ({', '.join(columns)}) VALUES ({marks})", [values[name] for name in columns]
            )
        connection.commit()
    with closing(History.open(path)) as history:
        assert history.notice == ""
        samples = since(history, -1)
        assert [sample.trigger for sample in samples] == [Trigger.SAVE, Trigger.COMPARE, Trigger.ASKED]
        assert [bool(sample.disturbed) for sample in samples] == [False, True, False]
        assert {sample.save_to_ready_ms for sample in samples} == {7.5}
        assert history.whole(samples[0]).steps == (Step("i", "n", StepKind.EXPORT, StepStatus.DONE),)
        assert history.add(SAMPLE) == 4, "numbers go on"
    assert kept_aside(path) == []


def test_builds_are_listed_as_asked_for(path: Path) -> None:
    with closing(History.open(path)) as history:
        for at, took, target in ((1, 30, Target.APP), (2, 10, Target.LEGACY), (3, 20, Target.APP), (4, 5, Target.BASE)):
            history.add(replace(SAMPLE, started_at=float(at), duration_ms=float(took), target=target))
        total, builds = history.listed(BuildQuery(limit=2))
        assert (total, [sample.started_at for sample in builds]) == (4, [4, 3])
        total, builds = history.listed(BuildQuery("duration_ms", descending=False))
        assert [sample.duration_ms for sample in builds] == [5, 10, 20, 30]
        total, builds = history.listed(BuildQuery("duration_ms", target=Target.APP, scenario=Scenario.CODE_CHANGE))
        assert (total, [sample.duration_ms for sample in builds]) == (2, [30, 20])
        assert history.listed(BuildQuery(scenario=Scenario.COLD)) == (0, [])
        assert history.listed(BuildQuery(status=BuildStatus.FAILED)) == (0, [])
        with pytest.raises(ValueError, match="sorted by steps"):
            history.listed(BuildQuery("steps; DROP TABLE sample"[:5]))


def test_what_only_was_made_to_be_measured_is_no_part_of_the_account(path: Path) -> None:
    here = (SAMPLE.engine, SAMPLE.machine)
    with closing(History.open(path)) as history:
        for other in (
            {},
            {"duration_ms": 81.5},
            {"trigger": Trigger.COMPARE},
            {"target": Target.LEGACY},
            {"target": Target.BASE, "status": BuildStatus.FAILED},
            {"disturbed": "another build ran"},
            {"machine": "another"},
            {"started_at": 1.0},
        ):
            history.add(replace(SAMPLE, **other))  # type: ignore[arg-type]
        found = {(one.target, one.comparable): (one.builds, one.total_ms) for one in history.account(*here, 2.0)}
        in_all = {(one.target, one.comparable): one.builds for one in history.account(*here)}
        history.add(SAMPLE)
        with closing(History.open(path)) as other:
            other.add(SAMPLE)
        more = {(one.target, one.comparable): one.builds for one in history.account(*here)}
        assert (in_all[Target.APP, True], more[Target.APP, True]) == (3, 5)
        assert history.account(*here) == history.account(*here), "each counts once"
    assert found == {
        (Target.APP, True): (2, 200.0),
        (Target.APP, False): (1, 118.5),
        (Target.BASE, False): (1, 118.5),
    }


def test_save_to_ready_is_added_to_a_build_that_is_kept(path: Path) -> None:
    with closing(History.open(path)) as history:
        number = history.add(replace(SAMPLE, save_to_ready_ms=None))
        history.served(number, 412.0)
        found = history.numbered(number)
    assert found is not None
    assert found.save_to_ready_ms == 412.0


def test_pulls_are_kept(path: Path) -> None:
    pull = PullSample("r/base:latest", 5.0, 41_000.0, 812_000_000, True, SAMPLE.engine, SAMPLE.machine)
    with closing(History.open(path)) as history:
        history.add_pull(pull)
        history.add_pull(replace(pull, started_at=6.0, whole=False))
        history.add_pull(replace(pull, machine="another"))
        assert history.pulls(SAMPLE.engine, SAMPLE.machine) == [pull, replace(pull, started_at=6.0, whole=False)]


def test_what_others_write_is_noticed(path: Path) -> None:
    with closing(History.open(path)) as history, closing(History.open(path)) as other:
        before = history.written_by_others()
        history.add(SAMPLE)
        assert history.written_by_others() == before
        other.add(SAMPLE)
        assert history.written_by_others() != before
