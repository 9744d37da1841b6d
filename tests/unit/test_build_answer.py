"""Recorded builds of a real engine (tests/data/streams), read back to steps and outcomes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.build.answer import BuildAnswer
from console.build.api import read_answer
from console.build.context import Snapshot
from console.build.dockerfile import parse_dockerfile
from console.build.request import BuildRequest
from console.build.steps import StepLog, StepTracker, merged
from console.build.trace import StatusUpdate, TraceError, Vertex, VertexLog, VertexWarning, decode_status
from console.model import BuildOutcome, BuildStatus, BuildWarning, Step, StepStatus

STREAMS = Path(__file__).parents[1] / "data" / "streams"
FAILING = "FROM python:3.11-slim-bookworm\nWORKDIR /app\nRUN echo one; echo two >&2; \\\n    exit 3\nCOPY app.py .\n"


class Heard:
    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.logs: list[StepLog] = []
        self.warnings: list[BuildWarning] = []

    def step_updated(self, step: Step) -> None:
        self.steps.append(step)

    def logged(self, log: StepLog) -> None:
        self.logs.append(log)

    def warned(self, warning: BuildWarning) -> None:
        self.warnings.append(warning)

    def lines(self, stream: str) -> list[str]:
        return [line for log in self.logs if log.stream == stream for line in log.lines]


def cut(body: bytes, size: int) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


def read(name: str, dockerfile: str = "FROM x\n", chunk: int = 1000) -> tuple[BuildOutcome, Heard]:
    request = BuildRequest(
        tag="app:latest",
        snapshot=Snapshot(Path(), {}, Path("Dockerfile"), "Dockerfile", 0, 0, "", ()),
        dockerfile=parse_dockerfile(dockerfile, "app.Dockerfile"),
        stage_of=lambda name: "Code copy" if "COPY" in name else "Other",
    )
    heard = Heard()
    return read_answer(cut((STREAMS / f"{name}.jsonl").read_bytes(), chunk), request, heard), heard


def instructions(outcome: BuildOutcome) -> list[tuple[str, StepStatus]]:
    return [(step.name, step.status) for step in outcome.steps if step.number]


@pytest.mark.parametrize("chunk", [7, 1000, 10**6])
def test_ok(chunk: int) -> None:
    outcome, heard = read("ok", chunk=chunk)
    assert outcome.status is BuildStatus.OK
    assert outcome.image_id.startswith("sha256:")
    names = [name.partition("] ")[2].split()[0] for name, _ in instructions(outcome)]
    assert names == ["FROM", "WORKDIR", "RUN", "COPY"]
    assert {status for _, status in instructions(outcome)[1:]} == {StepStatus.DONE}
    assert heard.lines("stdout") == ["hello", "no end"]
    assert heard.lines("stderr") == ["oops"]
    run = next(step for step in outcome.steps if " RUN " in step.name)
    assert 20 < run.duration_ms < 5000
    assert [step.stage for step in outcome.steps if step.number][-1] == "Code copy"


def test_cached_steps_take_no_time() -> None:
    outcome, heard = read("cached")
    assert outcome.status is BuildStatus.OK
    ran = [step for step in outcome.steps if step.number > 1]
    assert [step.status for step in ran] == [StepStatus.CACHED] * 3
    assert sum(step.duration_ms for step in ran) < 5
    assert heard.logs == []


def test_a_failing_step_is_named_with_its_lines_and_its_last_output() -> None:
    outcome, _ = read("failed", FAILING)
    failure = outcome.failure
    assert outcome.status is BuildStatus.FAILED
    assert failure is not None
    assert failure.step.startswith("[3/4] RUN")
    assert "exit code: 3" in failure.message
    assert (failure.dockerfile, failure.line) == ("app.Dockerfile", 3)
    assert failure.source == ("RUN echo one; echo two >&2; \\", "    exit 3")
    assert failure.output == ("one", "two")


def test_a_cancelled_build_is_no_failure() -> None:
    outcome, _ = read("cancelled")
    assert outcome.status is BuildStatus.CANCELLED
    assert outcome.failure is None
    assert StepStatus.CANCELLED in {step.status for step in outcome.steps}


def test_parallel_stages_count_once() -> None:
    outcome, _ = read("multistage")
    runs = [step for step in outcome.steps if " RUN " in step.name]
    assert {step.stage_label for step in runs} == {"one", "two"}
    covered_ms = sum(end - start for start, end in merged(span for step in runs for span in step.intervals)) * 1000
    assert covered_ms < sum(step.duration_ms for step in runs) - 300
    assert covered_ms == pytest.approx(max(step.duration_ms for step in runs), rel=0.2)


def test_a_parse_error_has_its_line() -> None:
    outcome, _ = read("parse_error", "FROM x\nRUN echo\n")
    assert outcome.failure is not None
    assert outcome.failure.line == 2
    assert outcome.failure.message == "dockerfile parse error line 2: unknown instruction: RUNN"


def test_a_missing_file_is_said() -> None:
    outcome, _ = read("missing_file")
    assert outcome.failure is not None
    assert '"/nothere" not found' in outcome.failure.message


def test_invalid_utf8_is_shown_as_such() -> None:
    _, heard = read("invalid_utf8")
    assert heard.lines("stdout")[0] == "\ufffd( café \ufffd"


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_are_refused(message: bytes) -> None:
    with suppress(TraceError):
        assert isinstance(decode_status(message), StatusUpdate)


spans = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)).map(lambda pair: (min(pair), max(pair))), max_size=8)


@given(spans)
def test_a_union_is_ordered_disjoint_and_covers_the_same(intervals: list[tuple[float, float]]) -> None:
    union = merged(intervals)
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(union))
    for start, end in intervals:
        assert any(first <= start and end <= last for first, last in union)


@given(st.lists(st.text(alphabet="aé\x1b€ \t", max_size=8), max_size=6), st.integers(1, 5))
def test_output_cut_anywhere_comes_out_in_whole_lines(lines: list[str], size: int) -> None:
    tracker = StepTracker()
    tracker.apply(StatusUpdate(vertexes=(Vertex("v", "[1/1] RUN x", started=1.0),)))
    heard = []
    for piece in cut("\n".join(lines).encode(), size):
        heard += tracker.apply(StatusUpdate(logs=(VertexLog("v", 1, piece),)))[1]
    heard += tracker.finish()
    assert [line for log in heard for line in log.lines] == (lines[:-1] + [line for line in lines[-1:] if line])


def test_intervals_are_merged_and_never_overwritten() -> None:
    """The upload lies in the first of three intervals; the last one says 0.0 ms (notes of the protocol, rule 2)."""
    tracker = StepTracker()
    for start, end in ((10.0, 10.355), (10.4, 10.4), (10.6, 10.6)):
        tracker.apply(StatusUpdate(vertexes=(Vertex("v", "[internal] load", started=start),)))
        tracker.apply(StatusUpdate(vertexes=(Vertex("v", "[internal] load", started=start, completed=end),)))
        tracker.apply(StatusUpdate(vertexes=(Vertex("v", "[internal] load"),)))
    (step,) = tracker.steps
    assert step.status is StepStatus.DONE
    assert step.duration_ms == pytest.approx(355)


@pytest.mark.parametrize(
    ("name", "label", "number", "total"),
    [
        ("[2/5] RUN x", "", 2, 5),
        ("[ 2/11] RUN x", "", 2, 11),
        ("[builder 3/4] COPY a b", "builder", 3, 4),
        ("[builder  3/14] COPY a b", "builder", 3, 14),
        ("[linux/amd64 stage-1 1/2] FROM x", "linux/amd64 stage-1", 1, 2),
        ("[internal] load build definition from Dockerfile", "", 0, 0),
        ("exporting to image", "", 0, 0),
    ],
)
def test_names_tell_stage_and_position(name: str, label: str, number: int, total: int) -> None:
    """BuildKit pads the number once there are ten steps."""
    tracker = StepTracker()
    tracker.apply(StatusUpdate(vertexes=(Vertex("v", name, started=1.0),)))
    (step,) = tracker.steps
    assert (step.stage_label, step.number, step.total) == (label, number, total)


def test_remarks_on_the_dockerfile_are_heard_with_their_lines() -> None:
    outcome, heard = read("bk28_warnings")
    assert outcome.status is BuildStatus.OK
    assert list(outcome.warnings) == heard.warnings
    found = {warning.message.partition(":")[0]: warning for warning in heard.warnings}
    assert {"FromAsCasing", "JSONArgsRecommended"} <= found.keys()
    assert found["JSONArgsRecommended"].url.startswith("https://docs.docker.com/")
    assert found["JSONArgsRecommended"].dockerfile == "app.Dockerfile"
    assert all(first >= 1 for warning in heard.warnings for first, _ in warning.lines)


def answering(dockerfile: str) -> tuple[BuildAnswer, Heard]:
    """Of a build with the secret `hunter2`."""
    request = BuildRequest(
        tag="app:latest",
        snapshot=Snapshot(Path(), {}, Path("Dockerfile"), "Dockerfile", 0, 0, "", ()),
        dockerfile=parse_dockerfile(dockerfile, "app.Dockerfile"),
        stage_of=lambda _name: "Other",
        redact=lambda text: text.replace("hunter2", "***"),
    )
    heard = Heard()
    return BuildAnswer(request, heard), heard


def test_no_secret_is_in_a_failure_or_a_warning() -> None:
    answer, heard = answering("FROM x\nRUN echo hunter2\n")
    failed = Vertex("v", "[2/2] RUN echo hunter2", False, 1.0, 2.0, "hunter2: exit code: 1")
    remark = VertexWarning("v", "see hunter2", ("of hunter2",), "http://x/hunter2")
    answer.take(StatusUpdate(vertexes=(failed,), warnings=(remark,), logs=(VertexLog("v", 1, b"is hunter2\n"),)))
    outcome = answer.outcome("", "hunter2 failed")
    assert outcome.failure is not None
    assert outcome.failure.source == ("RUN echo ***",)
    assert outcome.warnings == tuple(heard.warnings)
    assert "hunter2" not in repr((outcome, heard.steps, heard.logs, heard.warnings))


def test_a_secret_at_the_cut_of_a_long_line_is_not_shown() -> None:
    answer, heard = answering("FROM x\nRUN y\n")
    answer.take(StatusUpdate(vertexes=(Vertex("v", "[2/2] RUN y", started=1.0),)))
    answer.take(StatusUpdate(logs=(VertexLog("v", 1, b"." * (64 * 1024 - 3) + b"hunter2" + b"." * 100),)))
    answer.outcome("sha256:1", "")
    assert "".join(heard.lines("stdout")) == "." * (64 * 1024 - 3) + "***" + "." * 100


def test_steps_of_another_project_s_equal_build_are_not_ours() -> None:
    answer, _ = answering("FROM x\nRUN y\n")
    mine = Vertex("v", "[2/2] RUN y", False, 1.0, 2.0)
    answer.take(StatusUpdate(vertexes=(mine, Vertex("w", "[other 2/2] RUN z"))))
    assert [step.name for step in answer.outcome("sha256:1", "").steps] == ["[2/2] RUN y"]
