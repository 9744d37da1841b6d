"""Trace messages become steps: whichever builder they come from, and in whichever order."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.build.steps import StepTracker, merged
from console.build.trace import StatusUpdate, Vertex, VertexLog, VertexStatus, VertexWarning
from console.build.trace.updates import ProgressGroup
from console.model import BuildWarning, Step, StepKind, StepStatus
from tests.recorded import dockerfile_of, follow, lines_of, names, read

BUILDKIT = names("", "bk28", "containerd", "buildx")
EVERY = names("", "bk28", "containerd", "buildx", "classic", "podman")
SMALL = {name: read(name) for name in EVERY if not name.endswith("big_log")}


def step_of(*updates: StatusUpdate) -> Step:
    tracker = StepTracker()
    for update in updates:
        tracker.apply(update)
    (step,) = tracker.steps
    return step


def vertexes(*reports: Vertex) -> StatusUpdate:
    return StatusUpdate(vertexes=reports)


# --- recorded builds ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_what_holds_for_every_build(name: str) -> None:
    dockerfile = dockerfile_of(name)
    steps, _ = follow(read(name).updates, StepTracker(line_of=dockerfile.line_of))
    assert all(step.duration_ms >= 0 and step.name and step.id for step in steps)
    assert len({step.id for step in steps}) == len(steps)
    for step in steps:
        assert all(start <= end for start, end in step.intervals)
        assert all(end < start for (_, end), (start, _) in itertools.pairwise(step.intervals))
        assert step.exact is not name.startswith(("classic", "podman"))
        assert 0 <= step.number <= step.total


@pytest.mark.parametrize("family", ["", "bk28_", "containerd_", "buildx_", "classic_", "podman_"])
def test_the_same_dockerfile_gives_the_same_steps_with_every_builder(family: str) -> None:
    dockerfile = dockerfile_of("ok")
    steps, logs = follow(SMALL[f"{family}ok"].updates, StepTracker(line_of=dockerfile.line_of))
    told = [(step.number, step.total, step.line, step.name.split("] ")[1].split()[0]) for step in steps if step.number]
    assert told == [(1, 4, 1, "FROM"), (2, 4, 2, "WORKDIR"), (3, 4, 3, "RUN"), (4, 4, 4, "COPY")]
    run = next(step for step in steps if step.number == 3)
    assert run.name.endswith('] RUN echo hello; echo oops >&2; printf "no end"')
    assert (run.status, run.kind, run.stage_label) == (StepStatus.DONE, StepKind.INSTRUCTION, "")
    assert 50 < run.duration_ms < 5000
    assert next(step for step in steps if step.number == 1).name.startswith(
        "[1/4] FROM docker.io/library/python:3.11-slim-bookworm"
    )
    if family == "podman_":  # it does not tell the streams apart
        assert sorted("".join(lines_of(logs, "stdout"))) == sorted("hellono endoops")
    else:
        assert (lines_of(logs, "stdout"), lines_of(logs, "stderr")) == (["hello", "no end"], ["oops"])


@pytest.mark.parametrize("family", ["", "bk28_", "containerd_", "buildx_", "classic_", "podman_"])
def test_cached_steps(family: str) -> None:
    steps, logs = follow(SMALL[f"{family}cached"].updates, StepTracker())
    assert [step.status for step in steps if step.number > 1] == [StepStatus.CACHED] * 3
    assert logs == []


@pytest.mark.parametrize("family", ["", "bk28_", "buildx_", "classic_", "podman_"])
def test_a_failing_step(family: str) -> None:
    dockerfile = dockerfile_of("failed")
    steps, logs = follow(SMALL[f"{family}failed"].updates, StepTracker(line_of=dockerfile.line_of))
    (failed,) = (step for step in steps if step.status is StepStatus.FAILED)
    assert (failed.number, failed.line) == (3, 3)
    assert any(told in failed.error for told in ("exit code: 3", "exit status 3"))
    assert set(itertools.chain(*(log.lines for log in logs))) == {"one", "two"}


@pytest.mark.parametrize("family", ["", "bk28_", "buildx_", "classic_", "podman_"])
def test_stages_are_told_apart(family: str) -> None:
    dockerfile = dockerfile_of("multistage")
    steps, _ = follow(SMALL[f"{family}multistage"].updates, StepTracker(line_of=dockerfile.line_of))
    # BuildKit has one FROM for all that are the same
    told = {(step.stage_label, step.number, step.total, step.line) for step in steps if step.number > 1}
    assert told == {("one", 2, 2, 2), ("two", 2, 2, 4), ("stage-2", 2, 3, 6), ("stage-2", 3, 3, 7)}


@pytest.mark.parametrize("family", ["", "bk28_", "classic_"])
def test_ten_megabytes_of_output_come_through_whole(family: str) -> None:
    logs = follow(read(f"{family}big_log").updates, StepTracker())[1]
    lines = lines_of(logs, "stdout")
    if family == "classic_":  # BuildKit clips what a step writes
        assert len(lines) == 100_001
    assert lines[0].startswith("line 000000 of a long log")
    assert all(line.endswith("." * 50) for line in lines[:1000])


# --- order ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in BUILDKIT if name in SMALL])
@given(seed=st.integers(0, 2**32), size=st.integers(1, 9))
@settings(max_examples=15, deadline=None)
def test_the_order_of_messages_makes_no_difference(name: str, seed: int, size: int) -> None:
    updates = SMALL[name].updates
    expected, _ = follow(updates, StepTracker())
    parts = [
        *(StatusUpdate(vertexes=(vertex,)) for update in updates for vertex in update.vertexes),
        *(StatusUpdate(statuses=(status,)) for update in updates for status in update.statuses),
        *(StatusUpdate(logs=(log,)) for update in updates for log in update.logs),
        *(StatusUpdate(warnings=(warning,)) for update in updates for warning in update.warnings),
    ]
    random.Random(seed).shuffle(parts)
    again = [together(parts[start : start + size]) for start in range(0, len(parts), size)]
    tracker = StepTracker()
    assert follow(again + again, tracker)[0] == expected
    other = StepTracker()
    follow(updates, other)
    assert set(tracker.warnings) == set(other.warnings)


def together(updates: Iterable[StatusUpdate]) -> StatusUpdate:
    result = StatusUpdate()
    for update in updates:
        result = StatusUpdate(
            result.vertexes + update.vertexes,
            result.statuses + update.statuses,
            result.logs + update.logs,
            result.warnings + update.warnings,
        )
    return result


spans = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)).map(lambda pair: (min(pair), max(pair))), max_size=8)


@given(spans)
def test_a_union_is_ordered_disjoint_and_covers_the_same(intervals: list[tuple[float, float]]) -> None:
    union = merged(intervals)
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(union))
    for start, end in intervals:
        assert any(first <= start and end <= last for first, last in union)


def test_intervals_are_merged_and_never_overwritten() -> None:
    """The upload lies in the first of three intervals; the last one says 0.0 ms."""
    reports = []
    for start, end in ((10.0, 10.355), (10.4, 10.4), (10.6, 10.6)):
        reports += [Vertex("v", "load", started=start), Vertex("v", "load", started=start, completed=end), Vertex("v")]
    for order in (reports, reports[::-1]):
        step = step_of(*map(vertexes, order))
        assert step.status is StepStatus.DONE
        assert step.duration_ms == pytest.approx(355)
        assert len(step.intervals) == 3


def test_an_interval_that_is_open_runs_and_a_clock_that_went_back_takes_nothing() -> None:
    assert step_of(vertexes(Vertex("v", "n", started=5.0, completed=4.0))).intervals == ((5.0, 5.0),)
    running = step_of(vertexes(Vertex("v", "n", started=1.0, completed=2.0), Vertex("v", "n", started=3.0)))
    assert (running.status, running.duration_ms, running.started_at) == (StepStatus.RUNNING, 1000, 1.0)
    assert step_of(vertexes(Vertex("v", "n"))).status is StepStatus.PENDING


def test_of_a_failure_and_a_cancel_the_failure_counts() -> None:
    failed, cancelled = Vertex("v", "n", error="exit code: 1"), Vertex("v", "n", error="context canceled")
    for order in ((failed, cancelled), (cancelled, failed)):
        assert step_of(*map(vertexes, order)).error == "exit code: 1"
    assert step_of(vertexes(cancelled)).status is StepStatus.CANCELLED


# --- what comes before its vertex -----------------------------------------------------------------------------------


def test_output_waits_for_the_name_of_its_step() -> None:
    tracker = StepTracker()
    early = StatusUpdate(logs=(VertexLog("v", 1, b"one\ntw"), VertexLog("v", 2, b"oops\n")))
    assert tracker.apply(early) == ([], [])
    assert tracker.steps == ()
    changed, logs = tracker.apply(StatusUpdate(vertexes=(Vertex("v", "RUN x"),), logs=(VertexLog("v", 1, b"o\n"),)))
    assert [step.name for step in changed] == ["RUN x"]
    assert [(log.step, log.stream, log.lines) for log in logs] == [
        ("RUN x", "stdout", ("one",)),
        ("RUN x", "stderr", ("oops",)),
        ("RUN x", "stdout", ("two",)),
    ]
    tracker.apply(StatusUpdate(logs=(VertexLog("never", 1, b"whose\n"), VertexLog("v", 1, b"rest"))))
    assert [(log.step, log.lines) for log in tracker.finish()] == [("RUN x", ("rest",)), ("", ("whose",))]
    assert tracker.finish() == []


def status(part: str, at: float, current: int = 0, total: int = 0, name: str = "") -> StatusUpdate:
    return StatusUpdate(statuses=(VertexStatus(part, "v", name, current, total, 1.0, None, at),))


def test_statuses_wait_too_and_the_newest_counts() -> None:
    named = vertexes(Vertex("v", "FROM x", started=1.0))
    parts = [status("layer a", 2.0, 5, 10), status("layer a", 3.0, 10, 10), status("layer b", 2.5, 3, 20), named]
    for order in itertools.permutations(parts):
        step = step_of(*order)
        assert (step.current_bytes, step.total_bytes, step.detail) == (13, 30, "layer a")
    extracting = status("extracting a", 4.0, current=7)
    step = step_of(*parts, extracting)
    assert (step.current_bytes, step.total_bytes, step.detail) == (13, 30, "extracting a")
    step = step_of(named, status("1", 2.0, name="transferring"), status("1", 3.0, 77, name="transferring"))
    assert (step.current_bytes, step.total_bytes, step.detail) == (77, 0, "transferring")


# --- groups, warnings, names ----------------------------------------------------------------------------------------


def test_a_group_is_one_step() -> None:
    """`COPY --link` is two vertexes on the containerd store: the copy and the merge."""
    group = ProgressGroup("random", "[stage-1 2/4] COPY --link a b", weak=False)
    reports = [
        Vertex("copy", "[stage-1 2/4] COPY --link a b", group=replace(group, weak=True), started=1.0, completed=1.5),
        Vertex("merge", "[stage-1 2/4] LINK COPY --link a b", group=group, started=2.0, completed=2.25, cached=True),
    ]
    other = [replace(report, group=replace(report.group, id="other")) for report in reports if report.group]
    for order in (reports, reports[::-1], other):
        step = step_of(*map(vertexes, order))
        assert (step.name, step.number, step.duration_ms) == (group.name, 2, 750)
        assert step.status is StepStatus.DONE  # not all of it was cached
        assert step.id == step_of(vertexes(*reports)).id
    tracker = StepTracker()
    tracker.apply(vertexes(replace(reports[1], group=None)))
    tracker.apply(vertexes(*reports, replace(reports[1], group=None)))
    assert [step.name for step in tracker.steps] == [group.name]
    _, logs = tracker.apply(StatusUpdate(logs=(VertexLog("merge", 1, b"x\n"),)))
    assert [log.step for log in logs] == [group.name]


def test_warnings_are_collected_once() -> None:
    warning = VertexWarning("v", "JSONArgsRecommended: use JSON", ("why",), "https://x", ((8, 9),), 1, "Dockerfile")
    tracker = StepTracker(dockerfile="app.Dockerfile")
    tracker.apply(StatusUpdate(warnings=(warning,)))
    tracker.apply(StatusUpdate(vertexes=(Vertex("v", "n"),), warnings=(warning, replace(warning, vertex="unknown"))))
    tracker.apply(StatusUpdate(warnings=(replace(warning, lines=((1, 1),)),)))
    first = BuildWarning(warning.short, ("why",), "https://x", "app.Dockerfile", ((8, 9),))
    assert tracker.warnings == (first, replace(first, lines=((1, 1),)))


@pytest.mark.parametrize("family", ["bk28", "buildx"])
def test_recorded_warnings(family: str) -> None:
    tracker = StepTracker(dockerfile="app.Dockerfile")
    follow(SMALL[f"{family}_warnings"].updates, tracker)
    assert {(warning.message.partition(":")[0], warning.lines) for warning in tracker.warnings} == {
        ("FromAsCasing", ((1, 1),)),
        ("LegacyKeyValueFormat", ((2, 2),)),
        ("WorkdirRelativePath", ((5, 5),)),
        ("JSONArgsRecommended", ((8, 8),)),
    }
    assert {warning.dockerfile for warning in tracker.warnings} == {"app.Dockerfile"}
    assert all(warning.url.startswith("https://docs.docker.com/") and warning.detail for warning in tracker.warnings)


@pytest.mark.parametrize(
    ("name", "label", "number", "total", "kind"),
    [
        ("[2/5] RUN x", "", 2, 5, StepKind.INSTRUCTION),
        ("[ 2/11] RUN x", "", 2, 11, StepKind.INSTRUCTION),
        ("[builder 3/4] COPY a b", "builder", 3, 4, StepKind.INSTRUCTION),
        ("[builder  3/14] COPY a b", "builder", 3, 14, StepKind.INSTRUCTION),
        ("[linux/amd64 stage-1 1/2] FROM x", "linux/amd64 stage-1", 1, 2, StepKind.INSTRUCTION),
        ("[internal] load build definition from Dockerfile", "", 0, 0, StepKind.INTERNAL),
        ("[99999999999999999999/1] RUN x", "", 0, 0, StepKind.INTERNAL),
        ("exporting to image", "", 0, 0, StepKind.EXPORT),
    ],
)
def test_names_tell_stage_and_position(name: str, label: str, number: int, total: int, kind: StepKind) -> None:
    """BuildKit pads the number once there are ten steps."""
    step = step_of(vertexes(Vertex("v", name, started=1.0)))
    assert (step.stage_label, step.number, step.total, step.kind) == (label, number, total, kind)


def test_a_step_that_looks_the_same_is_not_told_again() -> None:
    tracker = StepTracker()
    update = vertexes(Vertex("v", "RUN x", started=1.0))
    assert len(tracker.apply(update)[0]) == 1
    assert tracker.apply(update)[0] == []
