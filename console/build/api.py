"""Builds through the engine's `POST /build`: a tar goes in, the builder's own account of the build comes out.

With `version=2` that is BuildKit; docker-py's `build()` reaches only the classic builder (docker-py #2230), so the
request is made here on its session. Podman takes the same request and builds with buildah.
Protocol: moby, daemon/server/router/build/build_routes.go and daemon/internal/builder-next/builder.go.
"""

from __future__ import annotations

import base64
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from urllib3.exceptions import HTTPError

from console.build.answer import BuildAnswer, step_failure
from console.build.context import PackedContext, TarPacker
from console.build.dockerfile import Dockerfile
from console.build.request import BuildObserver, BuildRequest
from console.build.trace import StatusUpdate, TraceError, decode_status
from console.engine import Engine, engine_errors, json_lines
from console.errors import EngineError, EngineUnreachableError
from console.model import BuildOutcome, BuildStatus, Clock

if TYPE_CHECKING:
    from docker import APIClient

_CHUNK_BYTES = 64 * 1024
_CANCEL_AGAIN_S = 0.02
_CANCEL_FAILED_S = 0.5
_CANCEL_GRACE_S = 2.0
"""How long the engine may take to answer that it cancels a build."""


class TarBackend:
    """BuildKit behind `POST /build`: documented, everywhere, and the whole build context each time.

    Args:
        engine: Where to build.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._packer = TarPacker()

    def build(self, client: APIClient, request: BuildRequest, observer: BuildObserver) -> BuildOutcome:
        """As `Backend.build`."""
        build_id = f"splitdeck-{secrets.token_hex(8)}"
        over = threading.Event()

        line = _Line(client)

        def cancel() -> None:
            _cancel_until(over, self._engine.client(), build_id, line)

        parameters = tar_parameters(request) | {"version": "2", "buildid": build_id}
        try:
            with request.cancellation.stopping(cancel):
                packed = self._packer.pack(request.snapshot)
                return run_build(
                    line, parameters, request, packed, lambda chunks: read_answer(chunks, request, observer)
                )
        finally:
            over.set()


class LinesTrace(Protocol):
    """Reads what a builder without a trace says, message by message."""

    image_id: str
    failure: str

    def read(self, message: Mapping[str, Any], at: float) -> StatusUpdate: ...


class LinesBackend:
    """The builders that tell of a build in lines: the engine's classic one, and Podman's.

    Both end a build when the connection closes; Podman only once the running step is over.

    Args:
        trace: Reads the lines.
        clock: Steps have no times but those at which their lines arrive.
    """

    def __init__(self, trace: Callable[[Dockerfile], LinesTrace], clock: Clock) -> None:
        self._trace = trace
        self._clock = clock
        self._packer = TarPacker()

    def build(self, client: APIClient, request: BuildRequest, observer: BuildObserver) -> BuildOutcome:
        """As `Backend.build`."""
        parameters = tar_parameters(request) | {"version": "1"}

        def read(chunks: Iterator[bytes]) -> BuildOutcome:
            answer, trace = BuildAnswer(request, observer), self._trace(request.dockerfile)
            try:
                for message in messages(chunks):
                    with suppress(TraceError):  # a line that cannot be read costs that line, not the build
                        answer.take(trace.read(message, self._clock.now()))
            except EngineUnreachableError:  # we hung up, or the engine did
                if not request.cancellation.asked:
                    raise
            if request.cancellation.asked and not trace.image_id:
                return answer.outcome("", "context canceled")
            return answer.outcome(trace.image_id, trace.failure)

        packed = self._packer.pack(request.snapshot)
        line = _Line(client)
        with request.cancellation.stopping(line.hang_up):
            return run_build(line, parameters, request, packed, read)


def tar_parameters(request: BuildRequest) -> dict[str, str]:
    """The query string's values that hold for every builder."""
    values = {
        "t": request.tag,
        "dockerfile": request.snapshot.dockerfile_name,
        "rm": "1",
        "forcerm": "1",
        "buildargs": json.dumps(dict(request.args)),
        "labels": json.dumps(dict(request.labels)),
        "networkmode": request.network,
    }
    optional = {
        "target": request.target,
        "platform": request.platform,
        "nocache": "1" if request.no_cache else "",
        "cachefrom": json.dumps(request.cache_from) if request.cache_from else "",
    }
    return values | {key: value for key, value in optional.items() if value}


class _Line:
    """The connection of one build's request, which other threads may end.

    Args:
        client: docker-py's, of the thread that builds.
    """

    def __init__(self, client: APIClient) -> None:
        self.client = client
        self._lock = threading.Lock()
        self._response: Any = None
        self._hung_up = False

    def take(self, response: Any) -> None:
        """Takes the answer's beginning, after which the connection can be ended; at once if that was asked before."""
        with self._lock:
            self._response = response
            hung_up = self._hung_up
        if hung_up:
            self.hang_up()

    def hang_up(self) -> None:
        """Ends the connection; `response.close()` from another thread would wait for the build's end."""
        with self._lock:
            self._hung_up = True
            response = self._response
        if response is not None:
            private: Any = self.client
            found = private._get_raw_response_socket(response)  # noqa: SLF001
            with suppress(OSError):
                getattr(found, "_sock", found).shutdown(socket.SHUT_RDWR)

    def chunks(self) -> Iterator[bytes]:
        """The answer's body.

        Raises:
            EngineUnreachableError: If it breaks off.
        """
        try:
            yield from self._response.raw.stream(_CHUNK_BYTES, decode_content=False)
        except (HTTPError, OSError) as error:
            message = "the build: the container engine ended the connection in the middle of its answer"
            raise EngineUnreachableError(message, "see whether it is still running, and build again") from error


def run_build(
    line: _Line,
    parameters: dict[str, str],
    request: BuildRequest,
    packed: PackedContext,
    read: Callable[[Iterator[bytes]], BuildOutcome],
) -> BuildOutcome:
    """Sends the build context, and reads the answer to its end.

    Args:
        line: To the engine.
        parameters: The query string's values.
        request: What to build.
        packed: Its build context.
        read: Follows the answer's body, which is cut anywhere.

    Raises:
        EngineUnreachableError: If the engine goes away.
    """
    began = time.monotonic()
    with packed.tar, engine_errors("the build"):
        try:
            line.take(_post(line.client, parameters, packed.tar))
            outcome = read(line.chunks())
        except EngineUnreachableError:
            raise
        except EngineError as error:
            outcome = BuildOutcome(BuildStatus.FAILED, 0.0, failure=step_failure(request.dockerfile, error.message))
    duration_ms = (time.monotonic() - began) * 1000
    return replace(outcome, duration_ms=duration_ms, sent_bytes=packed.sent_bytes)


def read_answer(chunks: Iterator[bytes], request: BuildRequest, observer: BuildObserver) -> BuildOutcome:
    """Follows a BuildKit build through the engine's answer to its end.

    Args:
        chunks: The answer's body, cut anywhere.
        request: What was asked for.
        observer: Hears of steps and output as they come.

    Raises:
        EngineUnreachableError: If the answer breaks off, and not because the build was cancelled.
    """
    answer = BuildAnswer(request, observer)
    image_id, failure = "", ""
    try:
        for message in messages(chunks):
            if message.get("id") == "moby.buildkit.trace":
                with suppress(TraceError, ValueError):  # what cannot be read costs a line of the screen, not the build
                    answer.take(decode_status(base64.b64decode(message["aux"])))
            elif message.get("id") == "moby.image.id":
                image_id = message["aux"]["ID"]
            elif "error" in message:
                failure = str(message["error"])
    except EngineUnreachableError:
        if not request.cancellation.asked:
            raise
        failure = "context canceled"
    return answer.outcome(image_id, failure)


def messages(chunks: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON objects of an engine's answer to a build, one per line.

    Raises:
        EngineError: If something else is among them.
    """
    return json_lines(chunks, "the engine's answer to the build")


def cancel_build(client: APIClient, build_id: str) -> None:
    """Stops a build; its finished steps stay cached.

    The engine says yes to builds that it does not know (yet), so ask again until the build has ended. `/build/cancel`
    is BuildKit's (moby 0bddd4cc); unlike with a closed socket, the trace of the build stays whole.
    """
    with engine_errors("cancelling the build"):
        _request(client, "/build/cancel", params={"id": build_id}, timeout=_CANCEL_GRACE_S)


def _cancel_until(over: threading.Event, client: APIClient, build_id: str, line: _Line) -> None:
    """Asks until the build is over: a request that comes before the builder knows the build has no effect.

    Hangs up on an engine that does not answer.
    """
    try:
        while not over.is_set():
            try:
                cancel_build(client, build_id)
                over.wait(_CANCEL_AGAIN_S)
            except EngineUnreachableError:
                line.hang_up()
                over.wait(_CANCEL_FAILED_S)
            except EngineError:  # if it lasts, the build's own thread meets it and tells it
                over.wait(_CANCEL_FAILED_S)
    finally:
        client.close()


def _post(client: APIClient, parameters: dict[str, str], tar: Any) -> Any:
    response = _request(
        client,
        "/build",
        params=parameters,
        data=tar,
        headers={"Content-Type": "application/x-tar"},
        stream=True,
        timeout=None,  # a quiet RUN step may take longer than docker-py's 60 s
    )
    if response.status_code >= 400:
        text = response.text
        with suppress(ValueError, KeyError):
            text = response.json()["message"]
        raise EngineError(text.strip() or f"the engine refused the build with HTTP {response.status_code}")
    return response


def _request(client: Any, path: str, **options: Any) -> Any:
    """A POST on docker-py's session; it has no public way to a BuildKit build, so its private one is used here only."""
    return client._post(client._url(path), **options)  # noqa: SLF001
