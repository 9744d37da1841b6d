"""One build through the engine's own API: `POST /build?version=2` with a tar, BuildKit behind it.

docker-py's `build()` reaches only the classic builder (docker-py #2230), so the request is made here on its session.
Protocol: moby, daemon/server/router/build/build_routes.go and daemon/internal/builder-next/builder.go.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Any, Protocol

from console.build.steps import StepLog, StepTracker
from console.build.trace import decode_status
from console.engine import engine_errors
from console.errors import EngineError
from console.model import BuildOutcome, BuildStatus, Step, StepFailure, StepStatus

if TYPE_CHECKING:
    from docker import APIClient

_CHUNK_BYTES = 64 * 1024
_OUTPUT_KEPT = 20
_AT_LINE = re.compile(r"(?:parse error (?:on )?line|Dockerfile:|\.[Dd]ockerfile:)\s*(\d+)")
_STEP_IN_ERROR = re.compile(
    r"^(?:executor failed running \[.*\]: |process \".*\" did not complete successfully: |failed to solve: |"
    r"failed to solve with frontend [^:]*: |failed to (?:build|create) LLB(?: definition)?: )+",
    re.DOTALL,
)


class BuildObserver(Protocol):
    """Hears of a build's progress, on the build's thread."""

    def step_updated(self, step: Step) -> None: ...

    def logged(self, log: StepLog) -> None: ...


class DockerfileView(Protocol):
    """What a build needs to know of its Dockerfile to point at a line of it."""

    @property
    def path(self) -> str: ...

    def line_of(self, stage_label: str, number: int, text: str) -> int: ...

    def source_of(self, line: int) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """Everything that the engine is asked for."""

    build_id: str
    """Ours to choose; `cancel_build` takes it."""
    tag: str
    tar: IO[bytes]
    dockerfile_in_tar: str
    dockerfile: DockerfileView
    stage_of: Callable[[str], str]
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    no_cache: bool = False
    network: str = "default"
    platform: str = ""

    def parameters(self) -> dict[str, str]:
        """The query string's values."""
        values = {
            "version": "2",
            "buildid": self.build_id,
            "t": self.tag,
            "dockerfile": self.dockerfile_in_tar,
            "rm": "1",
            "buildargs": json.dumps(dict(self.args)),
            "labels": json.dumps(dict(self.labels)),
            "networkmode": self.network,
        }
        optional = {"target": self.target, "platform": self.platform, "nocache": "1" if self.no_cache else ""}
        return values | {key: value for key, value in optional.items() if value}


def run_build(client: APIClient, request: BuildRequest, observer: BuildObserver) -> BuildOutcome:
    """Builds, and blocks until the engine is done with it. A failing step is an outcome, not an error.

    Raises:
        EngineUnreachableError: If the engine goes away.
    """
    began = time.monotonic()
    with engine_errors("the build"):
        try:
            outcome = read_answer(_post(client, request), request, observer)
        except EngineError as error:
            failure = _failure(request.dockerfile, error.message, (), {})
            outcome = BuildOutcome(BuildStatus.FAILED, 0.0, failure=failure)
    return replace(outcome, duration_ms=(time.monotonic() - began) * 1000)


def read_answer(chunks: Iterator[bytes], request: BuildRequest, observer: BuildObserver) -> BuildOutcome:
    """Follows a build through the engine's answer to its end; how long it took is left to the caller.

    Args:
        chunks: The answer's body, cut anywhere.
        request: What was asked for.
        observer: Hears of steps and output as they come.
    """
    tracker = StepTracker(request.stage_of, request.dockerfile.line_of)
    tails: dict[str, list[str]] = {}
    image_id, failure = "", ""

    def report(logs: Iterable[StepLog]) -> None:
        for log in logs:
            tails[log.step] = (tails.get(log.step, []) + list(log.lines))[-_OUTPUT_KEPT:]
            observer.logged(log)

    for message in _messages(chunks):
        if message.get("id") == "moby.buildkit.trace":
            changed, logs = tracker.apply(decode_status(base64.b64decode(message["aux"])))
            for step in changed:
                observer.step_updated(step)
            report(logs)
        elif message.get("id") == "moby.image.id":
            image_id = message["aux"]["ID"]
        elif "error" in message:
            failure = str(message["error"])
    report(tracker.finish())
    if not failure and image_id:
        return BuildOutcome(BuildStatus.OK, 0.0, tracker.steps, image_id)
    steps = tuple(_closed(step) for step in tracker.steps)
    if _cancelled(failure, tracker.steps):
        return BuildOutcome(BuildStatus.CANCELLED, 0.0, steps)
    reason = failure or "the engine ended the build without an image and without a reason"
    return BuildOutcome(BuildStatus.FAILED, 0.0, steps, failure=_failure(request.dockerfile, reason, steps, tails))


def cancel_build(client: APIClient, build_id: str) -> None:
    """Stops a build; its finished steps stay cached.

    The engine says yes to builds that it does not know (yet), so ask again until the build has ended. `/build/cancel`
    is BuildKit's (moby 0bddd4cc); unlike with a closed socket, the trace of the build stays whole.
    """
    with engine_errors("cancelling the build"):
        _request(client, "/build/cancel", params={"id": build_id})


def _post(client: APIClient, request: BuildRequest) -> Iterator[bytes]:
    request.tar.seek(0)
    response = _request(
        client,
        "/build",
        params=request.parameters(),
        data=request.tar,
        headers={"Content-Type": "application/x-tar"},
        stream=True,
        timeout=None,  # a quiet RUN step may take longer than docker-py's 60 s
    )
    if response.status_code >= 400:
        text = response.text
        with suppress(ValueError, KeyError):
            text = response.json()["message"]
        raise EngineError(text.strip() or f"the engine refused the build with HTTP {response.status_code}")
    chunks: Iterator[bytes] = response.raw.stream(_CHUNK_BYTES, decode_content=False)
    return chunks


def _request(client: Any, path: str, **options: Any) -> Any:
    """A POST on docker-py's session; it has no public way to a BuildKit build, so its private one is used here only."""
    return client._post(client._url(path), **options)  # noqa: SLF001


def _messages(chunks: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON objects of the engine's answer, one per line."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield json.loads(line)
    if rest.strip():
        yield json.loads(rest)


def _cancelled(failure: str, steps: tuple[Step, ...]) -> bool:
    if any(step.status is StepStatus.FAILED for step in steps):
        return False
    return "context canceled" in failure or any(step.status is StepStatus.CANCELLED for step in steps)


def _closed(step: Step) -> Step:
    """A step that was running when the build ended did not get to its end."""
    return replace(step, status=StepStatus.CANCELLED) if step.status is StepStatus.RUNNING else step


def _failure(
    dockerfile: DockerfileView, reason: str, steps: tuple[Step, ...], tails: Mapping[str, list[str]]
) -> StepFailure:
    step = next((step for step in steps if step.status is StepStatus.FAILED and step.number), None) or next(
        (step for step in steps if step.status is StepStatus.FAILED), None
    )
    message = _STEP_IN_ERROR.sub("", step.error if step is not None else reason)
    line = step.line if step is not None else 0
    if not line and (found := _AT_LINE.search(reason)):
        line = int(found[1])
    return StepFailure(
        step=step.name if step is not None else "",
        message=message,
        dockerfile=dockerfile.path,
        line=line,
        source=dockerfile.source_of(line) if line else (),
        output=tuple(tails.get(step.name, ())) if step is not None else (),
    )
