"""Builds through the `docker buildx` command: for named builders, several platforms, and caches that take it.

The command's trace (`--progress=rawjson`, buildx 0.13) comes on standard error, one JSON object a line, with the
command's own words between them. Secrets never stand on the command line: buildx gets the names of files and variables
and reads them itself.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from console.build.answer import BuildAnswer
from console.build.backend import OWN_BUILDER
from console.build.request import BuildObserver, BuildRequest, SecretSource
from console.build.trace import TraceError
from console.build.trace.rawjson import decode_rawjson, is_trace_line
from console.engine import engine_errors
from console.errors import BuildError
from console.model import BuildOutcome, BuildStatus, BuildWarning

if TYPE_CHECKING:
    from docker import APIClient

_CANCEL_GRACE_S = 2.0
"""Between SIGINT, at which buildx tells BuildKit and leaves, and SIGKILL."""
_CANCEL_LOOK_S = 0.01
_WORDS_KEPT = 40
_PICTURE = re.compile(r"-{3,}|\s*\d+ \| .*")
"""What buildx shows of the Dockerfile around a failure; we show that ourselves."""
_PLACE = re.compile(r"[^\s:]+:\d+")
_FAILED = re.compile(r"ERROR: (?:failed to build: )?")
_WARNED = "WARNING: "
_READ_BY_COMMANDS = re.compile(
    r"(?i:.*_proxy)|(?:DOCKER|BUILDX|BUILDKIT|COMPOSE|OTEL|LD|GO|SSL|SSH|XDG)_?.*|PATH|HOME|TMPDIR|EXPERIMENTAL_.*"
)
"""Variables that would change what the docker command itself does."""


class BuildxBackend:
    """Builds with the buildx command; the image is loaded into the engine.

    Args:
        environment: In which the command reaches the session's engine (`Engine.command_environment`).
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)

    def build(self, client: APIClient, request: BuildRequest, observer: BuildObserver) -> BuildOutcome:
        """Builds, and blocks until it is over; see `Backend`.

        Raises:
            BuildError: If there is no docker command.
            EngineError: If the engine does not have the image afterwards.
        """
        began = time.monotonic()
        answer = BuildAnswer(request, observer)
        with tempfile.TemporaryDirectory(prefix="splitdeck-buildx-") as folder:
            metadata = Path(folder) / "metadata.json"
            arguments, variables = command_line(request, metadata, self._environment)
            try:
                process = subprocess.Popen(
                    arguments,
                    env={**self._environment, **variables},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    start_new_session=True,  # a ctrl-C in our terminal is for us to pass on
                )
            except OSError as error:
                hint = "install the Docker command line, or set [build] backend to another way"
                raise BuildError(f"cannot start `docker buildx`: {error.strerror}", hint) from error
            with process, request.cancellation.stopping(lambda: _end(process)):
                assert process.stderr is not None
                try:
                    words = _follow(process.stderr, answer)
                except BaseException:
                    _end(process)
                    raise
            failure = "" if process.returncode == 0 else _reason(words, process.returncode)
            image_id = "" if failure else _image_id(client, metadata, request.tag)
        outcome = answer.outcome(image_id, failure)
        if request.cancellation.asked and failure:
            outcome = replace(outcome, status=BuildStatus.CANCELLED, failure=None)
        warnings = tuple(BuildWarning(request.redact(text)) for text in _warnings(words))
        for warning in warnings:
            observer.warned(warning)
        duration_ms = (time.monotonic() - began) * 1000
        return replace(outcome, duration_ms=duration_ms, warnings=(*outcome.warnings, *warnings))


def command_line(
    request: BuildRequest, metadata: Path, environment: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """The command for a build, and the variables that it takes besides the environment's.

    Build arguments go by variable where one of that name is free: everyone on the machine can read a command line.

    Args:
        request: What to build.
        metadata: Where buildx is to write what came of it.
        environment: The command's.
    """
    variables: dict[str, str] = {}
    line = ["docker", "buildx", "build", "--builder", request.builder or OWN_BUILDER, "--progress=rawjson"]
    # Provenance has the time of the build in it, so that equal builds would make different images.
    line += ["--provenance=false", "--load", f"--metadata-file={metadata}", f"--tag={request.tag}"]
    line += [f"--file={request.snapshot.dockerfile}", f"--network={request.network}"]
    if request.network == "host":
        line.append("--allow=network.host")
    for name, value in request.args.items():
        if name in environment or _READ_BY_COMMANDS.fullmatch(name) or not name.isidentifier():
            line.append(f"--build-arg={name}={value}")
        else:
            variables[name] = value
            line.append(f"--build-arg={name}")
    line += [f"--label={name}={value}" for name, value in request.labels.items()]
    line += [f"--target={request.target}"] if request.target else []
    line += ["--no-cache"] if request.no_cache else []
    line += [f"--platform={request.platform.replace(' ', '')}"] if request.platform else []
    line += [f"--secret={_secret(name, source)}" for name, source in request.secrets.items()]
    line += [f"--ssh={name}={socket}" if socket else f"--ssh={name}" for name, socket in request.ssh.items()]
    line += [f"--cache-from={entry}" for entry in request.cache_from]
    line += [f"--cache-to={entry}" for entry in request.cache_to]
    return [*line, str(request.snapshot.root)], variables


def _secret(name: str, source: SecretSource) -> str:
    return _fields(f"id={name}", f"env={source.env}" if source.env else f"src={source.file}")


def _fields(*fields: str) -> str:
    """One line of CSV, which is how buildx reads options with several parts."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()


def _follow(stderr: IO[bytes], answer: BuildAnswer) -> list[str]:
    """Takes the trace until the command's end; gives the last lines that were not part of it."""
    words: deque[str] = deque(maxlen=_WORDS_KEPT)
    for line in stderr:
        if is_trace_line(line):
            try:
                answer.take(decode_rawjson(line))
                continue
            except TraceError:  # one message that we do not understand is no reason to lose the build
                pass
        words.append(line.decode("utf-8", "replace").rstrip())
    return list(words)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the command and what it started, politely at first; BuildKit stops the build when buildx leaves."""
    for number in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            deadline = time.monotonic() + _CANCEL_GRACE_S
            while time.monotonic() < deadline:
                process.poll()  # one that has ended stays in its group until somebody asks for its exit code
                os.killpg(process.pid, 0)
                time.sleep(_CANCEL_LOOK_S)
        except (ProcessLookupError, PermissionError):  # macOS says the latter of a group without a living process
            return


def _reason(words: Sequence[str], code: int) -> str:
    """What buildx said of a failed build: from `ERROR:` on, and the place in the Dockerfile that it names before."""
    place = next((f" ({line})" for line in words if _PLACE.fullmatch(line)), "")
    for number, line in enumerate(words):
        if found := _FAILED.match(line):
            return "\n".join([f"{line[found.end() :]}{place}", *filter(None, words[number + 1 :])])
    said = [line for line in words if line and not _PICTURE.fullmatch(line) and not _PLACE.fullmatch(line)]
    return "\n".join(said) or f"buildx ended with exit code {code} and without a reason"


def _warnings(words: Iterable[str]) -> Iterator[str]:
    """What buildx itself warns of, such as a cache that is not there."""
    return (line.removeprefix(_WARNED) for line in words if line.startswith(_WARNED))


def _image_id(client: APIClient, metadata: Path, tag: str) -> str:
    """The ID of the image as the engine knows it.

    The metadata's `containerimage.digest` is the ID with the containerd image store, and with a graph driver where its
    own builder built; from other builders a graph driver takes the config's digest as ID.
    """
    from docker.errors import ImageNotFound

    try:
        written: dict[str, Any] = json.loads(metadata.read_bytes())
    except (OSError, ValueError):
        written = {}
    names = [written.get(key) for key in ("containerimage.digest", "containerimage.config.digest")]
    with engine_errors(f"looking for the image that buildx built as {tag}"):
        for name in (*filter(None, names), tag):
            try:
                found: dict[str, str] = client.inspect_image(name)  # type: ignore[no-untyped-call]
            except ImageNotFound:
                continue
            return found["Id"]
    raise BuildError(
        f"buildx built {tag}, but the engine does not have it", "does the builder load images into this engine?"
    )
