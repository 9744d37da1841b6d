"""`splitdeck history`: what it prints, for people and for scripts, and docs/history.md held against the code."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.config import Config
from console.errors import ExitCode
from console.history.export import DETAILS, FIELDS, Summary, summary_lines, table_lines, to_csv, to_json
from console.history.records import History, history_path
from console.measurements import (
    Findings,
    ImageBytes,
    Layer,
    Ledger,
    ListedBuild,
    Mark,
    Period,
    PullSample,
    Sample,
    Trigger,
)
from console.model import BuildStatus, Cause, CauseKind, Scenario, Step, StepKind, StepStatus, Target
from tests.fakes import make_project

PAGE = (Path(__file__).parents[2] / "docs/history.md").read_text(encoding="utf-8")
AT = 1_764_000_000.25
PIP = "[2/3] RUN pip install -r requirements.txt"
COPY = "[3/3] COPY . /app"
LEGACY = Sample(
    Target.LEGACY,
    Scenario.CODE_CHANGE,
    AT,
    60_000.0,
    BuildStatus.OK,
    "docker 28",
    "2 cores",
    image_id="legacy",
    image_bytes=500_000_000,
    trigger=Trigger.RACE,
    reason="race",
)
APP = replace(
    LEGACY,
    target=Target.APP,
    duration_ms=150.0,
    image_id="app",
    image_bytes=400_000_000,
    trigger=Trigger.SAVE,
    reason="saved src/app.py",
    save_to_ready_ms=349.0,
)
BASE = replace(LEGACY, target=Target.BASE, scenario=Scenario.COLD, duration_ms=59_000.0, trigger=Trigger.START)


def run(config: Config, *arguments: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """Runs the command where no engine is."""
    return subprocess.run(
        [sys.executable, "-m", "console", "history", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        cwd=config.root,
        env={
            **os.environ,
            "DOCKER_HOST": "unix:///nowhere/docker.sock",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PYTHONIOENCODING": "ascii",
        },
        timeout=30,
        check=False,
    )


def told(config: Config, *arguments: str) -> str:
    """What it says where all is well."""
    done = run(config, *arguments)
    assert (done.returncode, done.stderr) == (ExitCode.OK, "")
    return done.stdout


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return make_project(tmp_path)


def opened(config: Config) -> closing[History]:
    return closing(History.open(history_path(config.project.name, config.path)))


@pytest.fixture
def filled(config: Config) -> Config:
    """Three builds of each track a minute ago, one of a base, one that failed, and one on another engine before."""
    now = time.time() - 60
    with opened(config) as history:
        history.add(replace(APP, started_at=now - 1, engine="podman 5", duration_ms=777.0))
        for number, (legacy_ms, app_ms) in enumerate(((60_000.0, 140.0), (61_000.0, 150.0), (64_000.0, 160.0))):
            at = now + number
            pip = Step("p", PIP, StepKind.INSTRUCTION, StepStatus.DONE, line=2, intervals=((at, at + 50),))
            copy = Step("c", COPY, StepKind.INSTRUCTION, StepStatus.DONE, line=1, intervals=((at, at + 0.1),))
            cause = Cause(COPY, CauseKind.FILES, ("app.py",), 100.0)
            legacy = replace(LEGACY, started_at=at, duration_ms=legacy_ms, steps=(copy, pip), causes=(cause,))
            history.add(legacy)
            layers = (Layer("base", 390_000_000), Layer(f"code {number}", 20_000))
            app = replace(APP, started_at=at, duration_ms=app_ms, steps=(copy,), layers=layers, base_layers=1)
            history.add(replace(app, image_id=f"app {number}"))
        history.add(replace(BASE, started_at=now + 3))
        history.add(replace(APP, started_at=now + 4, status=BuildStatus.FAILED, reason="saved größe.py"))
        history.add_pull(PullSample("r/base@x", now, 21_000.0, 390_000_000, True, "docker 28", "2 cores"))
    return config


def document(config: Config, *arguments: str) -> dict[str, Any]:
    text = told(config, "--json", *arguments)
    assert text.isascii()
    found: dict[str, Any] = json.loads(text)
    return found


def table(config: Config, *arguments: str) -> list[str]:
    """The numbers in the table, and the summary's lines after it."""
    rows = told(config, *arguments).split("\n\n")[0].splitlines()
    assert rows[0].split() == ["#", "began", "image", "scenario", "status", "took", "ready", "marks", "reason"]
    return [row.split()[0] for row in rows[1:] if row.strip()[0].isdigit() and " of " not in row]


# -- for people -------------------------------------------------------------------------------------------------------


def test_builds_and_what_they_say(filled: Config) -> None:
    text = told(filled)
    rows = text.split("\n\n")[0].splitlines()
    assert rows[1].split()[0] == "9", "the newest first"
    assert re.search(r"9  20\d\d-\d\d-\d\d \d\d:\d\d  app +code-change  failed  150 ms  349 ms +saved gr", rows[1])
    assert "gr??e.py" in rows[1], "not every terminal has the letters"
    assert "8  " in rows[2]
    assert "59.0 s" in rows[2]
    said = " ".join(text.split())
    assert "legacy against split, on docker 28; 2 cores" in said
    assert "code-change: legacy 61.0 s (n=3), split 150 ms (n=3), ?407 (?375 ? ?457)" in said
    assert "A code change takes 150 ms in place of 61.0 s" in said
    assert "COPY . /app (Dockerfile.legacy:1)" in said, "the Dockerfile by its name"
    assert "app build < 60 s 150 ms" in said
    assert "in all saved 3 m 03 s in 3 app builds, base cost 80.0 s in 1 build and 1 pull, net 1 m 43 s" in said
    assert "a base build pays off after 1 save" in said
    assert "base 390 MB" in said
    assert "a teammate pulls 20 kB (app)" in said


def test_nothing_measured_yet_is_no_failure(config: Config) -> None:
    assert told(config).startswith("nothing was measured yet")
    assert document(config) == {"total": 0, "builds": [], "summary": None}
    assert told(config, "--csv").splitlines() == [",".join(FIELDS)]


def test_a_table_is_short_unless_told_otherwise(config: Config) -> None:
    with opened(config) as history:
        for number in range(25):
            history.add(replace(APP, started_at=AT + number))
    text = told(config)
    assert len(table(config)) == 20
    assert "20 of 25 builds" in text
    assert table(config, "-n", "2") == ["25", "24"]
    assert len(table(config, "--limit", "0")) == 25
    assert (len(document(config)["builds"]), len(document(config, "-n", "3")["builds"])) == (25, 3)
    assert document(config, "-n", "3")["total"] == 25


def test_only_some_in_another_order(filled: Config) -> None:
    assert table(filled, "--target", "legacy") == ["6", "4", "2"]
    assert table(filled, "--scenario", "cold") == ["8"]
    assert table(filled, "--status", "failed") == ["9"]
    assert table(filled, "--target", "app", "--status", "ok", "--sort", "duration_ms") == ["1", "7", "5", "3"]
    assert table(filled, "--target", "legacy", "--reverse") == ["2", "4", "6"]
    nothing = told(filled, "--scenario", "no-change")
    assert nothing.startswith("there are no such builds\n\nlegacy against split")


def test_reasons_are_cut_at_the_terminals_edge_only() -> None:
    build = ListedBuild(replace(APP, number=7, reason="saved " + "x" * 200, disturbed="beside another"), (Mark.OLD,))
    _, whole = table_lines([build], 1)
    assert whole.endswith("x" * 200)
    assert "old, disturbed" in whole
    _, cut = table_lines([build], 1, 100)
    assert len(cut) == 100
    assert cut.endswith("x…")
    _, narrow = table_lines([build], 1, 20)
    assert "saved xxxxx…" in narrow, "a little of it stays"


def test_a_split_that_costs_more_says_so() -> None:
    ledger = Ledger(today=Period(2, -5_000.0, 1, 1, 60_000.0), in_all=Period(2, -5_000.0, 1, 1, 60_000.0))
    said = summary_lines(Summary("e", "m", Findings(ledger=ledger, images=ImageBytes(legacy=5_000))))
    assert "  today      saved −5.00 s in 2 app builds, base cost 60.0 s in 1 build, net −65.0 s" in said
    assert not any("this week" in line for line in said)
    assert not any("pays off" in line for line in said)
    assert "  1 app build not counted: legacy not measured in their scenario" in said
    assert said[-1] == "images, uncompressed: legacy 5 kB"
    assert "  neither is measured there" in said


# -- for scripts ------------------------------------------------------------------------------------------------------


def test_a_build_as_json(filled: Config) -> None:
    found = document(filled, "--target", "app", "--status", "ok")
    assert [build["number"] for build in found["builds"]] == [7, 5, 3, 1]
    build = found["builds"][0]
    assert list(build) == list(FIELDS)
    assert (build["target"], build["scenario"], build["status"], build["trigger"]) == (
        "app",
        "code-change",
        "ok",
        "save",
    )
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", build["started_at"])
    assert (build["duration_ms"], build["save_to_ready_ms"], build["no_cache"]) == (160.0, 349.0, False)
    assert document(filled, "--target", "base")["builds"][0]["marks"] == []


def test_steps_causes_and_layers_are_told_where_asked_for(filled: Config) -> None:
    first = document(filled, "--target", "legacy", "--steps", "-n", "1")["builds"][0]
    assert list(first) == [*FIELDS, *DETAILS]
    assert [step["name"] for step in first["steps"]] == [COPY, PIP]
    assert first["causes"] == [{"step": COPY, "kind": "files", "names": ["app.py"], "cost_ms": 100.0}]
    app = document(filled, "--target", "app", "--status", "ok", "--steps", "-n", "1")["builds"][0]
    assert app["layers"] == [{"digest": "base", "size_bytes": 390_000_000}, {"digest": "code 2", "size_bytes": 20_000}]


def test_the_summary_as_json(filled: Config) -> None:
    summary = document(filled, "--target", "base")["summary"]
    assert (summary["engine"], summary["machine"]) == ("docker 28", "2 cores")
    [change] = [one for one in summary["scenarios"] if one["scenario"] == "code-change"]
    assert (change["legacy"]["n"], change["legacy"]["median_ms"], change["split"]["median_ms"]) == (3, 61_000.0, 150.0)
    assert change["legacy"]["times_ms"] == [60_000.0, 61_000.0, 64_000.0]
    assert change["speedup"] == pytest.approx(61_000 / 150, rel=1e-4)
    assert change["reduction"] == pytest.approx(1 - 150 / 61_000, abs=1e-4)
    assert change["verdict"].startswith("A code change takes 150 ms")
    assert summary["targets"][0] == {"target": "app build < 60 s", "measured": "150 ms", "met": True}
    ledger = summary["ledger"]
    assert ledger["in_all"]["net_ms"] == ledger["in_all"]["saved_ms"] - 80_000.0, "with the pull"
    assert (ledger["saves_until_paid"], ledger["base_build_ms"]) == (1, 59_000.0)
    assert summary["images"]["app_pull_bytes"] == 20_000
    assert summary["pull"] == {"n": 1, "median_ms": 21_000.0, "size_bytes": 390_000_000}
    assert summary["base_cold_ms"] == 59_000.0


def test_csv_is_what_json_says(filled: Config) -> None:
    text = told(filled, "--csv")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    builds = document(filled)["builds"]
    assert [int(row["number"]) for row in rows] == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    for row, build in zip(rows, builds, strict=True):
        assert (float(row["duration_ms"]), row["started_at"]) == (build["duration_ms"], build["started_at"])
        assert row["save_to_ready_ms"] == ("" if build["save_to_ready_ms"] is None else str(build["save_to_ready_ms"]))
        assert (row["reason"], row["target"], row["no_cache"]) == (build["reason"], build["target"], "false")
    assert rows[0]["reason"] == "saved größe.py", "in UTF-8, whatever the terminal speaks"


FORMULAS = st.sampled_from(["=1+1", "+1", "-1", "@a", "\t=1", "\r=1", "", "a,b", 'a"b', "a\nb", "a\r\nb", "'", "ä"])


@settings(deadline=None)
@given(st.lists(st.tuples(FORMULAS | st.text(), FORMULAS | st.text(), st.booleans()), max_size=5))
def test_cells_are_read_back_and_none_is_a_formula(cells: list[tuple[str, str, bool]]) -> None:
    builds = [
        ListedBuild(replace(APP, reason=reason, engine=engine, no_cache=off), (Mark.OLD, Mark.OUTLIER))
        for reason, engine, off in cells
    ]
    text = "".join(to_csv(builds))
    head, *rows = csv.reader(io.StringIO(text, newline=""))
    assert head == list(FIELDS)
    for row, (reason, engine, off) in zip(rows, cells, strict=True):
        found = dict(zip(head, row, strict=True))
        for cell, meant in ((found["reason"], reason), (found["engine"], engine)):
            assert cell[:1] not in tuple("=+-@\t\r")
            assert cell in (meant, f"'{meant}")
            assert cell == meant or meant[0] in "=+-@\t\r"
        assert (found["no_cache"], found["marks"]) == (str(off).lower(), "old outlier")


def test_a_long_history_comes_in_pieces() -> None:
    asked = []

    def builds() -> Any:
        for number in range(5_000):
            asked.append(number)
            yield ListedBuild(replace(APP, number=number))

    first = to_csv(builds())
    assert next(first) == ",".join(FIELDS) + "\r\n"
    assert next(first).startswith("0,app,")
    assert len(asked) < 5_000
    as_json = to_json(builds(), 5_000, None, details=False)
    next(as_json)
    assert json.loads(next(as_json))["number"] == 0
    assert "".join(to_csv(builds())).count("\r\n") == 5_001


def test_text_from_a_history_of_others_is_one_line_in_a_table() -> None:
    _, row = table_lines([ListedBuild(replace(APP, reason="a\nb\x1b[2J"))], 1)
    assert row.endswith(r"a\nb\x1b[2J")


# -- what can go wrong ------------------------------------------------------------------------------------------------


def test_a_torn_history_is_told_on_standard_error(filled: Config) -> None:
    path = history_path(filled.project.name, filled.path)
    path.write_bytes(b"torn" * 1000)
    done = run(filled, "--json")
    assert done.returncode == ExitCode.OK
    assert "splitdeck: history" in done.stderr
    assert "a new history begins" in done.stderr
    assert json.loads(done.stdout)["builds"] == []


@pytest.mark.parametrize("arguments", [("--csv",), ("--json",), ()])
def test_a_reader_that_goes_ends_it_quietly(filled: Config, arguments: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = run(filled, *arguments, stdout=write)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (ExitCode.INTERRUPTED, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--json", "--csv"), "only one of them"),
        (("--steps",), "--steps goes with --json"),
        (("--sort", "duration"), "did you mean duration_ms?"),
        (("--sort", "zzz"), "there are base_layers,"),
        (("--target", "nothing"), "nothing"),
        (("-n", "-1"), "greater than or equal to 0"),
    ],
)
def test_what_makes_no_sense_is_refused(config: Config, arguments: tuple[str, ...], message: str) -> None:
    done = run(config, *arguments)
    assert done.returncode == ExitCode.USAGE
    assert message in done.stderr
    assert done.stdout == ""


# -- the page ---------------------------------------------------------------------------------------------------------


def rows_of(heading: str) -> list[list[str]]:
    """The fields of each table below a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    tables = re.findall(r"\| Field \| Meaning \|\n\| --- \| --- \|\n((?:\|.*\n)+)", section)
    return [re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE) for rows in tables]


def test_the_page_has_every_field(filled: Config) -> None:
    found = document(filled)
    assert rows_of("The document") == [list(found)]
    assert rows_of("A build") == [list(FIELDS), list(DETAILS)]
    summary = found["summary"]
    assert rows_of("The summary") == [list(summary)]
    assert rows_of("A scenario") == [list(summary["scenarios"][0])]
    assert rows_of("The account") == [list(summary["ledger"]["today"])]
    words = set(re.findall(r"`(\w+)`", PAGE))
    inner = [summary["images"], summary["pull"], summary["targets"][0], summary["ledger"]]
    inner += [summary["scenarios"][0]["split"], summary["scenarios"][0]["stages"][0]]
    for value in inner:
        assert set(value) <= words
    for kind in (Trigger, Target, Scenario, Mark):
        assert {each.value for each in kind} <= set(re.findall(r"`([\w-]+)`", PAGE))
