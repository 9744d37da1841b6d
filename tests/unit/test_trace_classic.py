"""The classic builder's announcements, as recorded on Docker 20.10, become the steps that BuildKit shows."""

from __future__ import annotations

from typing import Any

import pytest

from console.build.dockerfile import parse_dockerfile
from console.build.steps import StepTracker
from console.build.trace import TraceError
from console.build.trace.classic import ClassicTrace
from console.model import Step, StepKind, StepStatus
from tests.recorded import follow, lines_of, read

MADE = " ---> 8856c01a5141\n"
RUNNING, REMOVED = " ---> Running in eb9d9ead10e5\n", "Removing intermediate container eb9d9ead10e5\n"


class Build:
    """One build; a message arrives every second."""

    def __init__(self, dockerfile: str, *messages: str | dict[str, Any]) -> None:
        parsed = parse_dockerfile(dockerfile, "Dockerfile")
        self.tracker = StepTracker(line_of=parsed.line_of)
        self.trace = ClassicTrace(parsed)
        told: list[dict[str, Any]] = []
        for message in messages:
            if isinstance(message, str) and message.startswith("Step "):
                told += [{"stream": message}, {"stream": "\n"}]  # the engine writes it in two pieces
            else:
                told.append({"stream": message} if isinstance(message, str) else message)
        self.updates = [self.trace.read(message, float(at)) for at, message in enumerate(told)]
        self.steps, self.logs = follow(self.updates, self.tracker)

    def shown(self) -> list[tuple[str, int]]:
        return [(step.name, step.line) for step in self.steps]

    def step(self, text: str) -> Step:
        (found,) = (step for step in self.steps if text in step.name)
        return found


def test_stages_are_numbered_as_buildkit_does() -> None:
    """Everything after `Step` counts through the file, ARGs before FROM and labels of the request included."""
    build = Build(
        "ARG V=3\nFROM python:$V AS Base\nENV A=1 \\\n  B=2\nWORKDIR /app\nRUN x\nFROM base AS two\nRUN y\n"
        "FROM scratch\nCOPY --from=base /app /app\nFROM ghcr.io/o/p@sha256:1\nCOPY a .\nWORKDIR /\nCMD z\n",
        "Step 1/14 : ARG V=3",
        "Step 2/14 : FROM python:$V AS Base",
        MADE,
        "Step 3/14 : ENV A=1   B=2",
        RUNNING,
        REMOVED,
        MADE,
        "Step 4/14 : WORKDIR /app",
        MADE,
        "Step 5/14 : RUN x",
        RUNNING,
        REMOVED,
        MADE,
        "Step 6/14 : FROM base AS two",
        MADE,
        "Step 7/14 : RUN y",
        MADE,
        "Step 8/14 : FROM scratch",
        " ---> \n",
        "Step 9/14 : COPY --from=base /app /app",
        MADE,
        "Step 10/14 : FROM ghcr.io/o/p@sha256:1",
        MADE,
        "Step 11/14 : COPY a .",
        MADE,
        "Step 12/14 : WORKDIR /",
        MADE,
        "Step 13/14 : CMD z",
        MADE,
        'Step 14/14 : LABEL "a"="b"',
        MADE,
        {"aux": {"ID": "sha256:2"}},
        "Successfully built 2\n",
        "Successfully tagged a:latest\n",
    )
    assert build.shown() == [
        ("[internal] write image settings", 0),
        ("[base 1/3] FROM docker.io/library/python:3", 2),
        ("[base 2/3] WORKDIR /app", 5),
        ("[base 3/3] RUN x", 6),
        ("[two 1/1] RUN y", 8),
        ("[stage-2 1/1] COPY --from=base /app /app", 10),
        ("[stage-3 1/3] FROM ghcr.io/o/p@sha256:1", 11),
        ("[stage-3 2/3] COPY a .", 12),
    ]
    assert {step.status for step in build.steps} == {StepStatus.DONE}
    assert build.trace.image_id == "sha256:2"
    assert build.trace.failure == ""
    settings = build.step("settings")
    assert settings.kind is StepKind.INTERNAL
    assert settings.detail == 'LABEL "a"="b"'
    assert settings.duration_ms == 12_000  # ARG 2, ENV 4, WORKDIR / 2, CMD 2, LABEL 2
    assert len(settings.intervals) == 5


def test_output_of_a_step() -> None:
    build = Build(
        "FROM x\nRUN y\n",
        "Step 1/2 : FROM x",
        MADE,
        "Step 2/2 : RUN y",
        RUNNING,
        "\x1b[91moops\n\x1b[0m",
        "hello\nno ",
        " ---> Using cache\n",
        "Removing intermediate container 000000000000\n",
        {"stream": "Step 1/9 : FROM inner\n"},
        "[Warning] of the program\n",
        "\n",
        "# Executing 3 build triggers\n",
        "Successfully built 123\n",
        "end",
        REMOVED,
        MADE,
        {"aux": {"ID": "sha256:2"}},
        "Successfully built 2\n",
    )
    assert lines_of(build.logs, "stderr") == ["oops"]
    assert lines_of(build.logs, "stdout") == [
        "hello",
        "no  ---> Using cache",
        "Removing intermediate container 000000000000",
        "Step 1/9 : FROM inner",
        "[Warning] of the program",
        "",
        "# Executing 3 build triggers",
        "Successfully built 123",
        "end",
    ]
    assert {log.step for log in build.logs} == {"[2/2] RUN y"}
    run = build.step("RUN")
    assert (run.status, run.started_at) == (StepStatus.DONE, 3.0)
    assert run.duration_ms == 14_000
    assert build.trace.image_id == "sha256:2"


def test_a_container_that_is_kept_ends_with_its_image() -> None:
    """Newer engines say `Removed`, and with `rm=0` nothing is removed."""
    removed = " ---> Removed intermediate container eb9d9ead10e5\n"
    for last in ([MADE], [removed, MADE], [removed]):
        build = Build(
            "FROM x\nRUN y\n", "Step 1/2 : FROM x", MADE, "Step 2/2 : RUN y", RUNNING, *last, "Successfully built 2\n"
        )
        assert build.logs == []
        assert build.step("RUN").status is StepStatus.DONE


def test_what_the_cache_gave() -> None:
    build = Build("FROM x\nCOPY a b\n", "Step 1/2 : FROM x", MADE, "Step 2/2 : COPY a b", " ---> Using cache\n", MADE)
    assert build.step("COPY").status is StepStatus.CACHED
    assert build.step("FROM").status is StepStatus.DONE


@pytest.mark.parametrize(
    ("detail", "error"),
    [
        ({"code": 3, "message": "The command '/bin/sh -c exit 3' returned a non-zero code: 3"}, "exit code: 3"),
        ({"message": "COPY failed: no such file"}, "COPY failed: no such file"),
    ],
)
def test_errors(detail: dict[str, Any], error: str) -> None:
    failed = {"errorDetail": detail, "error": detail["message"]}
    build = Build(
        "FROM x\nRUN y\n", "Step 1/2 : FROM x", MADE, {"aux": {"ID": "sha256:1"}}, "Step 2/2 : RUN y", RUNNING, failed
    )
    run = build.step("RUN")
    assert (run.status, run.error, run.line) == (StepStatus.FAILED, error, 2)
    assert (build.trace.failure, build.trace.image_id) == (detail["message"], "")
    assert Build("FROM x\n", {"error": "no such image\n"}).trace.failure == "no such image"


def test_the_base_image_s_triggers() -> None:
    """The engine does not say where one ends and the next begins."""
    build = Build(
        "FROM x\nRUN own\n",
        "Step 1/2 : FROM x",
        "# Executing 2 build trigger",
        "s",
        "\n",
        RUNNING,
        "t\n",
        REMOVED,
        RUNNING,
        REMOVED,
        MADE,
        "Step 2/2 : RUN own",
        MADE,
    )
    assert [step.name for step in build.steps] == [
        "[1/2] FROM docker.io/library/x:latest",
        "[internal] ONBUILD triggers of the base image",
        "[2/2] RUN own",
    ]
    assert build.step("triggers").duration_ms == 8000
    assert [log.step for log in build.logs] == ["[internal] ONBUILD triggers of the base image"]


def test_pulling_the_base_image() -> None:
    def layer(name: str, status: str, **sizes: int) -> dict[str, Any]:
        return {"status": status, "id": name, "progressDetail": sizes, "progress": "[=>]"}

    build = Build(
        "FROM x\n",
        "Step 1/1 : FROM x",
        {"status": "Pulling from library/x", "id": "latest"},
        layer("a", "Downloading", current=1, total=10),
        layer("b", "Downloading", current=5, total=20),
        layer("a", "Downloading", current=10, total=10),
        layer("a", "Extracting", current=3, total=10),
        {"status": "Digest: sha256:1"},
        MADE,
    )
    step = build.step("FROM")
    assert (step.current_bytes, step.total_bytes, step.detail) == (15, 30, "Digest: sha256:1")
    assert step.duration_ms == 8000


def test_warnings_of_the_builder() -> None:
    build = Build(
        "FROM x\n",
        "Step 1/1 : FROM x",
        " ---> [Warning] IPv4 forwarding is disabled. Networking will not work.\n",
        MADE,
        "\x1b[91m[Warning] One or more build-args [A] were not consumed\n\x1b[0m",
        "Successfully built 2\n",
    )
    assert [warning.message for warning in build.tracker.warnings] == [
        "IPv4 forwarding is disabled. Networking will not work.",
        "One or more build-args [A] were not consumed",
    ]
    assert build.logs == []


def test_a_build_that_is_cut_off_leaves_its_step_running() -> None:
    steps, _ = follow(read("classic_cancelled").updates, StepTracker())
    assert [step.status for step in steps] == [StepStatus.DONE, StepStatus.RUNNING]
    assert read("classic_cancelled").image_id == ""


@pytest.mark.parametrize("name", ["classic_ok", "classic_multistage", "classic_cached"])
def test_the_image_is_told(name: str) -> None:
    assert read(name).image_id.startswith("sha256:")


@pytest.mark.parametrize(
    "message", [{"stream": 1}, {"status": [1]}, {"aux": {"ID": 5}}, {"errorDetail": {"message": 1}}]
)
def test_nonsense_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(TraceError):
        Build("FROM x\n", message)


def test_an_announcement_that_the_dockerfile_does_not_explain() -> None:
    build = Build("FROM x\n", "Step 1/3 : FROM x", MADE, "Step 2/3 : RUN what", MADE, "Step 3/3 : USER me", MADE)
    assert [step.name for step in build.steps] == [
        "[1/1] FROM docker.io/library/x:latest",
        "[internal] RUN what",
        "[internal] write image settings",
    ]
    other = Build("FROM x\nCOPY a b\n", "Step 1/2 : FROM x", MADE, "Step 2/2 : RUN what", MADE)
    assert [step.name for step in other.steps][1:] == ["[internal] RUN what"]
