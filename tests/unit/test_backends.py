"""Ways of building put together: what happens when the preferred one fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.build.backends import OnceMore, SessionOrTar
from console.build.buildkit_session.transport import SessionUnavailableError
from console.build.context import Entry, Kind, Snapshot
from console.build.dockerfile import parse_dockerfile
from console.build.request import BuildRequest, SecretSource
from console.model import BuildOutcome, BuildStatus, StepFailure

OK = BuildOutcome(BuildStatus.OK, 100.0, image_id="sha256:1")
UNPACKING = StepFailure(
    "exporting to image",
    'failed to prepare extraction snapshot "extract-1 sha256:a": parent snapshot sha256:b does not exist: not found',
)
REQUEST = BuildRequest(
    "app:latest",
    Snapshot(Path(), {}, Path("Dockerfile"), "Dockerfile", 0, 0, "", ()),
    parse_dockerfile("FROM x\n", "Dockerfile"),
    str,
)


class Scripted:
    """A way of building that answers in turn."""

    def __init__(self, *answers: BuildOutcome | Callable[[], BuildOutcome]) -> None:
        self.answers = list(answers)
        self.asked: list[BuildRequest] = []

    def build(self, _client: Any, request: BuildRequest, _observer: Any) -> BuildOutcome:
        self.asked.append(request)
        answer = self.answers.pop(0)
        return answer() if callable(answer) else answer


def refuse() -> BuildOutcome:
    raise SessionUnavailableError("no")


def build(backend: Any, request: BuildRequest = REQUEST) -> BuildOutcome:
    found: BuildOutcome = backend.build(None, request, None)
    return found


def test_without_a_session_the_tar_goes_on() -> None:
    tar = Scripted(OK)
    assert build(SessionOrTar(Scripted(refuse), tar)) is OK
    assert tar.asked == [REQUEST]


@pytest.mark.parametrize("needs", [{"secrets": {"t": SecretSource(env="T")}}, {"ssh": {"default": "/s"}}])
def test_what_a_tar_cannot_carry_is_refused(needs: dict[str, Any]) -> None:
    tar = Scripted(OK)
    with pytest.raises(SessionUnavailableError):
        build(SessionOrTar(Scripted(refuse), tar), replace(REQUEST, **needs))
    assert tar.asked == []


def test_names_that_are_no_utf8_go_as_a_tar() -> None:
    entry = Entry(Kind.FILE, 0o644, 0, 0, "", b"", "/x")
    snapshot = replace(REQUEST.snapshot, entries={"not-\udcff": entry})
    session, tar = Scripted(OK), Scripted(OK)
    assert build(SessionOrTar(session, tar), replace(REQUEST, snapshot=snapshot)) is OK
    assert (len(session.asked), len(tar.asked)) == (0, 1)


def test_a_result_that_could_not_be_unpacked_is_built_once_more_from_the_cache() -> None:
    failed = BuildOutcome(BuildStatus.FAILED, 50.0, failure=UNPACKING)
    backend = Scripted(failed, OK)
    outcome = build(OnceMore(backend), replace(REQUEST, no_cache=True))
    assert outcome == replace(OK, duration_ms=150.0)
    assert [request.no_cache for request in backend.asked] == [True, False]
    assert build(OnceMore(Scripted(failed, failed))).status is BuildStatus.FAILED


def test_other_failures_are_final() -> None:
    failed = BuildOutcome(BuildStatus.FAILED, 50.0, failure=StepFailure("[2/2] RUN x", "exit code: 1"))
    assert build(OnceMore(Scripted(failed))) is failed
