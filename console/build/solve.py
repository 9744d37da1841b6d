"""Builds by BuildKit's own API, as buildx does: `Control/Solve`, beside a session that serves the files.

Only what changed travels, base images that are on the engine are taken from there without asking a registry
(`image-resolve-mode=local`), secrets and SSH agents reach a build, caches can be read and written.
Protocol: moby/buildkit, api/services/control/control.proto and client/solve.go.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from console.build.answer import BuildAnswer
from console.build.buildkit_session.build_secrets import BuildSecrets
from console.build.buildkit_session.control import SOLVE, STATUS, open_control
from console.build.buildkit_session.filesync import FileSync, Folder, Sent
from console.build.buildkit_session.grpc import Code, GrpcError, PeerGoneError
from console.build.buildkit_session.grpc_client import ClientCall, GrpcClient
from console.build.buildkit_session.listing import Listings, dockerfile_entries
from console.build.buildkit_session.registry_auth import RegistryAuth
from console.build.buildkit_session.session import Service, Session
from console.build.buildkit_session.ssh_agent import SshAgents
from console.build.context.look import look
from console.build.context.snapshot import Entry, Snapshot
from console.build.protobuf import Fields, data_field, text_map_field
from console.build.request import BuildObserver, BuildRequest
from console.build.secrets import read_secret
from console.build.trace import TraceError, decode_status
from console.caches import parse_cache
from console.engine import Engine
from console.errors import ContextError, EngineError, EngineUnreachableError
from console.model import BuildOutcome, BuildStatus

if TYPE_CHECKING:
    from docker import APIClient

_STATUS_GRACE_S = 1.0
"""How long the last messages may take after the build is over, or was cancelled."""
_CANCELLED = "context canceled"
"""What BuildKit says of a cancelled build."""


class SolveBackend:
    """BuildKit behind an engine, driven as buildx drives it.

    Args:
        engine: Where to build.
        project: What BuildKit calls us in its own messages.
        shared_key: Stands for this project on this machine in BuildKit's store of files already sent.
    """

    def __init__(self, engine: Engine, project: str, shared_key: str) -> None:
        self._info = engine.info
        self._project = project
        self._shared_key = shared_key
        self._listings: dict[tuple[str, str], Listings] = {}

    def build(self, client: APIClient, request: BuildRequest, observer: BuildObserver) -> BuildOutcome:
        """As `Backend.build`. Files that change while they are sent are looked at, and the image built, once more.

        Raises:
            SessionUnavailableError: If the engine refuses this way; nothing was built then.
            EngineUnreachableError: If it goes away.
        """
        if request.cancellation.asked:
            return BuildAnswer(request, observer).outcome("", _CANCELLED)
        began = time.monotonic()
        outcome, sent = self._attempt(client, request, observer)
        sent_bytes = sent.size_bytes
        if sent.changed and outcome.status is BuildStatus.FAILED:
            again = replace(request, snapshot=_looked_at_again(request.snapshot))
            outcome, sent = self._attempt(client, again, observer)
            sent_bytes += sent.size_bytes
            if sent.changed and outcome.failure is not None:
                names = ", ".join(sorted(path for _, path in sent.changed))
                message = f"{names} changed while it was being sent; the next save leads to a build of its own"
                outcome = replace(outcome, failure=replace(outcome.failure, message=message))
        return replace(outcome, duration_ms=(time.monotonic() - began) * 1000, sent_bytes=sent_bytes)

    def _attempt(self, client: APIClient, request: BuildRequest, observer: BuildObserver) -> tuple[BuildOutcome, Sent]:
        """One build, and what was sent for it."""
        folders = {
            "context": self._folder("context", request, request.snapshot.entries),
            "dockerfile": self._folder("dockerfile", request, _dockerfile(request)),
        }
        files = FileSync(folders)
        cancellation = request.cancellation
        loaders = {name: partial(read_secret, name, source) for name, source in request.secrets.items()}
        services: list[Service] = [files, BuildSecrets(loaders), SshAgents(request.ssh), RegistryAuth()]
        try:
            with (
                open_control(client, self._info) as control,
                Session(control.open_session, services, name=self._project, shared_key=self._shared_key) as session,
            ):
                outcome = _Solve(control.calls, request, observer).run(session.id)
        except EngineError:
            if not cancellation.asked:
                raise
            return BuildAnswer(request, observer).outcome("", _CANCELLED), files.sent
        if session.failure is not None and outcome.status is BuildStatus.FAILED and not cancellation.asked:
            raise session.failure  # the builder only knows that we fell silent
        return outcome, files.sent

    def _folder(self, name: str, request: BuildRequest, entries: Mapping[str, Entry]) -> Folder:
        """Listings are kept from build to build: telling BuildKit of 10,000 files anew takes a tenth of a second."""
        listings = self._listings.setdefault((name, request.tag), Listings())
        return Folder(entries, listings, request.snapshot.dockerfile_name)


class _Solve:
    """One call of Solve, and one of Status beside it."""

    def __init__(self, calls: GrpcClient, request: BuildRequest, observer: BuildObserver) -> None:
        self._calls = calls
        self._request = request
        self._answer = BuildAnswer(request, observer)
        self._call: ClientCall | None = None
        self._solved = threading.Event()
        self._ending = threading.Event()
        """Solve is over, or the build was cancelled."""
        self._over = threading.Event()

    def run(self, session_id: str) -> BuildOutcome:
        """Builds to the end.

        Raises:
            EngineUnreachableError: If the engine goes away, or falls silent.
        """
        try:
            responses = self._solve(session_id)
        except GrpcError as error:
            if error.code is Code.CANCELLED or self._request.cancellation.asked:
                return self._answer.outcome("", _CANCELLED)
            if isinstance(error, PeerGoneError):
                raise EngineUnreachableError(f"the build: the container engine went away ({error.message})") from error
            return self._answer.outcome("", error.message)
        return self._answer.outcome(_image_id(responses), "")

    def _solve(self, session_id: str) -> list[bytes]:
        """What Solve answers.

        Raises:
            GrpcError: If it fails.
        """
        ref = secrets.token_hex(16)
        responses: list[bytes] = []
        group = self._calls.group()
        threading.Thread(target=self._end, name="end of a build", daemon=True).start()
        try:
            with self._calls.watched(), self._request.cancellation.stopping(self._cancel):
                self._call = solve = self._calls.open(SOLVE, responses.append, self._solve_ended)
                if self._request.cancellation.asked:
                    solve.cancel()
                solve.send_end(solve_message(self._request, ref, session_id))
                group.start(STATUS, data_field(1, ref), self._take)
                group.run()
                self._solved.wait()
        finally:
            self._over.set()
            self._ending.set()
        if solve.error is not None:
            raise solve.error
        return responses

    def _solve_ended(self) -> None:
        self._solved.set()
        self._ending.set()

    def _cancel(self) -> None:
        self._ending.set()  # first, as the rest may block on an engine that takes nothing more
        if self._call is not None:
            self._call.cancel()

    def _take(self, message: bytes) -> None:
        with suppress(TraceError):  # what cannot be read costs a line of the screen, not the build
            self._answer.take(decode_status(message))

    def _end(self) -> None:
        """Hangs up where Solve has ended and the rest does not: a Solve that is refused at once leaves Status waiting
        for a build that will never be, and an engine that has stopped leaves everything waiting."""
        self._ending.wait()
        if not self._over.wait(_STATUS_GRACE_S):
            self._calls.close()


def _looked_at_again(snapshot: Snapshot) -> Snapshot:
    """A snapshot whose files are what is there now; those that have vanished are left out, new ones are not found.

    Raises:
        ContextError: If one cannot be read.
    """
    now_ns = time.time_ns()
    seen = {path: look(path, entry.kind, entry.place, None, now_ns) for path, entry in snapshot.entries.items()}
    return replace(snapshot, entries={path: found.entry for path, found in seen.items() if found is not None})


def _dockerfile(request: BuildRequest) -> Mapping[str, Entry]:
    """The folder in which BuildKit looks for the Dockerfile.

    Raises:
        ContextError: If it has vanished meanwhile.
    """
    place = request.snapshot.dockerfile
    try:
        return dockerfile_entries(request.snapshot.dockerfile_name, place)
    except OSError as error:
        raise ContextError(f"cannot read {place}: {error.strerror}", "check the dockerfile in config.toml") from error


def _image_id(responses: list[bytes]) -> str:
    """The image's ID as the engine tells it: the config's digest, or the manifest's on the containerd store."""
    return Fields(b"".join(responses)).text_map(1).get("containerimage.digest", "")


def solve_message(request: BuildRequest, ref: str, session_id: str) -> bytes:
    """A `SolveRequest`.

    Args:
        request: What to build.
        ref: The build's name, ours to choose; `Status` is asked for it.
        session_id: Who serves files and secrets.
    """
    export = {"name": normalized(request.tag)}
    imports = [cache_entry(text) for text in request.cache_from]
    exports = [cache_entry(text) for text in request.cache_to]
    caches = b"".join(
        data_field(number, data_field(1, kind) + text_map_field(2, attributes))
        for number, entries in ((4, exports), (5, imports))
        for kind, attributes in entries
    )
    parts = [
        data_field(1, ref),
        data_field(3, "moby"),  # until BuildKit 0.12; newer ones read field 13
        text_map_field(4, export),
        data_field(5, session_id),
        data_field(6, "dockerfile.v0"),
        text_map_field(7, frontend_attributes(request)),
        data_field(8, caches) if caches else b"",
        data_field(9, "network.host") if request.network == "host" else b"",
        data_field(13, data_field(1, "moby") + text_map_field(2, export)),
    ]
    return b"".join(parts)


def frontend_attributes(request: BuildRequest) -> dict[str, str]:
    """What the Dockerfile frontend is told (moby/buildkit, frontend/dockerui/config.go)."""
    attributes = {"filename": request.snapshot.dockerfile_name, "image-resolve-mode": "local"}
    attributes |= {f"build-arg:{name}": value for name, value in request.args.items()}
    attributes |= {f"label:{name}": value for name, value in request.labels.items()}
    if request.network != "default":
        attributes["force-network-mode"] = request.network
    if request.no_cache:
        attributes["no-cache"] = ""  # of which stages; none is all
    if request.cache_from:
        imports = [{"Type": kind, "Attrs": values} for kind, values in map(cache_entry, request.cache_from)]
        attributes["cache-imports"] = json.dumps(imports)
    optional = {"target": request.target, "platform": request.platform}
    return attributes | {name: value for name, value in optional.items() if value}


def cache_entry(text: str) -> tuple[str, dict[str, str]]:
    """A cache as buildx words it: `type=registry,ref=host/name,mode=max`, or just an image's name."""
    cache = parse_cache(text)
    if "=" not in text:
        return cache.kind, {"ref": normalized(text)}
    return cache.kind, dict(cache.attributes)


def normalized(tag: str) -> str:
    """An image's name with its registry, as BuildKit wants it: `app:latest` is `docker.io/library/app:latest`."""
    first, slash, _ = tag.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first):
        return tag
    return f"docker.io/{tag}" if slash else f"docker.io/library/{tag}"
