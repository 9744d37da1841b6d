"""Buildah's announcements, as recorded on Podman 5.8, become the steps that BuildKit shows."""

from __future__ import annotations

from typing import Any

import pytest

from console.build.dockerfile import parse_dockerfile
from console.build.steps import StepTracker
from console.build.trace import TraceError
from console.build.trace.podman import PodmanTrace
from console.model import Step, StepKind, StepStatus
from tests.recorded import follow, lines_of, read

MADE = "--> 0b578c2f6090\n"
IMAGE = "ea86c3617095c30efc8f58819948d5e8dfadf9f3c42ce91cc7e3a55042c938c0"


def build(dockerfile: str, *messages: str | dict[str, Any]) -> tuple[PodmanTrace, tuple[Step, ...], list[str]]:
    """One build; a message arrives every second."""
    parsed = parse_dockerfile(dockerfile, "Dockerfile")
    trace = PodmanTrace(parsed)
    told = [{"stream": message} if isinstance(message, str) else message for message in messages]
    updates = [trace.read(message, float(at)) for at, message in enumerate(told)]
    steps, logs = follow(updates, StepTracker(line_of=parsed.line_of))
    return trace, steps, lines_of(logs, "stdout")


def test_stages_triggers_and_settings() -> None:
    """Unneeded stages keep their number; a stage's triggers shift the positions of those that build on it."""
    trace, steps, lines = build(
        "ARG V=3.11\nFROM python:3.11 AS base\nENV A=1 \\\n  B=2\nRUN <<EOF\necho heredoc\nEOF\n"
        "ONBUILD RUN echo trigger\nFROM base AS two\nARG X=5\nRUN y\nRUN y\nFROM scratch\nCOPY --from=base /a /a\n"
        "FROM python:3.11\nCOPY a .\nCMD z\n",
        "[1/4] STEP 1/4: FROM python:3.11 AS base\n",
        "[1/4] STEP 2/4: ENV A=1   B=2\n",
        MADE,
        "[1/4] STEP 3/4: RUN <<EOF (echo heredoc)\n",
        "heredoc\n",
        MADE,
        "[1/4] STEP 4/4: ONBUILD RUN echo trigger\n",
        MADE,
        "[2/4] STEP 1/3: FROM ee0a4708188e AS two\n",
        "[2/4] STEP 2/5: RUN echo trigger\n",
        "trigger\n",
        MADE,
        "[2/4] STEP 3/5: ARG X=5\n",
        MADE,
        "[2/4] STEP 4/5: RUN y\n",
        MADE,
        "[2/4] STEP 5/5: RUN y\n",
        MADE,
        "[4/4] STEP 1/4: FROM python:3.11\n",
        "[4/4] STEP 2/4: COPY a .\n",
        MADE,
        "[4/4] STEP 3/4: CMD z\n",
        MADE,
        '[4/4] STEP 4/4: LABEL "q"="b"\n',
        "[4/4] COMMIT docker.io/library/app:latest\n",
        "--> ea86c3617095\n",
        "Successfully tagged docker.io/library/app:latest\n",
        f"{IMAGE}\n",
        {"aux": {"ID": f"sha256:{IMAGE}"}},
        "Successfully built ea86c3617095\n",
    )
    assert [(step.name, step.line) for step in steps] == [
        ("[base 1/2] FROM docker.io/library/python:3.11", 2),
        ("[internal] write image settings", 0),
        ("[base 2/2] RUN <<EOF", 5),
        ("[two 1/3] ONBUILD RUN echo trigger", 8),
        ("[two 2/3] RUN y", 11),
        ("[two 3/3] RUN y", 12),
        ("[stage-3 1/2] FROM docker.io/library/python:3.11", 15),
        ("[stage-3 2/2] COPY a .", 16),
        ("exporting to image", 0),
    ]
    assert lines == ["heredoc", "trigger"]
    assert {step.status for step in steps} == {StepStatus.DONE}
    assert steps[-1].kind is StepKind.EXPORT
    assert not any(step.exact for step in steps)
    assert trace.image_id == f"sha256:{IMAGE}"


def test_what_the_cache_gave() -> None:
    trace, steps, _ = build(
        "FROM x\nENV A=1\nRUN y\nCMD z\n",
        "STEP 1/4: FROM x\n",
        "STEP 2/4: ENV A=1\n",
        f"--> Using cache {IMAGE}\n",
        MADE,
        "STEP 3/4: RUN y\n",
        f"--> Using cache {IMAGE}\n",
        MADE,
        "STEP 4/4: CMD z\n",
        MADE,
        "COMMIT\n",
        MADE,
    )
    assert [(step.name, step.status.value) for step in steps] == [
        ("[1/2] FROM docker.io/library/x:latest", "done"),
        ("[internal] write image settings", "done"),  # some of them were not cached
        ("[2/2] RUN y", "cached"),
        ("exporting to image", "done"),
    ]
    assert trace.image_id == ""


def test_errors() -> None:
    whole = 'building at STEP "RUN echo "a"; exit 3": while running runtime: exit status 3'
    trace, steps, lines = build(
        "FROM x\nRUN echo 'a'\n",
        "STEP 1/2: FROM x\n",
        "Trying to pull docker.io/library/x:latest...\n",
        'STEP 2/2: RUN echo "a"; exit 3\n',
        "a\n",
        {"errorDetail": {"message": f"{whole}\n"}, "error": f"{whole}\n"},
    )
    assert [(step.status, step.error, step.line) for step in steps] == [
        (StepStatus.DONE, "", 1),
        (StepStatus.FAILED, "while running runtime: exit status 3", 2),
    ]
    assert lines == ["Trying to pull docker.io/library/x:latest...", "a"]
    assert trace.failure == whole


def test_a_line_of_the_output_that_only_looks_like_an_end() -> None:
    _, _, lines = build(
        "FROM x\nRUN y\n",
        "STEP 1/2: FROM x\n",
        "STEP 2/2: RUN y\n",
        f"{IMAGE}\n",
        "Successfully built\n",
        "--> no id\n",
    )
    assert lines == [IMAGE, "Successfully built", "--> no id"]


def test_an_announcement_that_the_dockerfile_does_not_explain() -> None:
    _, steps, _ = build(
        "FROM x\nRUN y\n",
        "[9/9] STEP 1/2: FROM z\n",
        "STEP 1/2: FROM x\n",
        "STEP 7/8: RUN what\n",
        "STEP 8/8: USER me\n",
    )
    assert [step.name for step in steps] == [
        "[internal] FROM z",
        "[1/2] FROM docker.io/library/x:latest",
        "[internal] RUN what",
        "[internal] write image settings",
    ]


def test_a_build_that_is_cut_off_leaves_its_step_running() -> None:
    steps, _ = follow(read("podman_cancelled").updates, StepTracker())
    assert [step.status for step in steps] == [StepStatus.DONE, StepStatus.RUNNING]


@pytest.mark.parametrize("message", [{"stream": 1}, {"aux": {"ID": 5}}, {"errorDetail": {"message": 1}}])
def test_nonsense_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(TraceError):
        build("FROM x\n", message)
