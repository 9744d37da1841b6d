"""From the choice of a way to build to the thing itself: probes, the choice (`backend`), and its parts put together."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from console.build.api import LinesBackend, TarBackend
from console.build.backend import BuildxProbe, SessionProbe, buildx_needed_for, choose_backend
from console.build.buildkit_session.control import open_control
from console.build.buildkit_session.listing import names_without_text
from console.build.buildkit_session.transport import SessionUnavailableError
from console.build.buildx import BuildxBackend
from console.build.probes import probe_buildx
from console.build.request import Backend, BuildObserver, BuildRequest
from console.build.solve import SolveBackend
from console.build.trace.classic import ClassicTrace
from console.build.trace.podman import PodmanTrace
from console.config import BuildConfig, Config
from console.engine import Engine
from console.model import BuilderInfo, BuildOutcome, Clock, EngineInfo

if TYPE_CHECKING:
    from docker import APIClient


_UNPACKING_FAILED = re.compile(r"failed to prepare extraction snapshot .*does not exist", re.DOTALL)


def open_backend(
    engine: Engine, config: Config, clock: Clock, tell: Callable[[str], None] = lambda _: None
) -> tuple[BuilderInfo, Backend]:
    """Chooses how this project's images are built on an engine; blocks for the questions that this takes.

    Args:
        engine: Where the images are to be.
        config: What is asked for.
        clock: For builders that tell no times.
        tell: Hears in a sentence, on a build's thread, when builds are done in another way from then on.

    Raises:
        BuildError: If the configuration needs what is not there.
        EngineUnreachableError: If the engine goes away.
    """
    needs_buildx = bool(buildx_needed_for(config.build, engine.info))
    session = SessionProbe(False, "it was not asked")
    if not needs_buildx and _may_open_session(config.build, engine.info):
        session = probe_session(engine)
        needs_buildx = not session.available
    buildx = probe_buildx(engine.command_environment()) if needs_buildx else BuildxProbe(None)
    chosen = choose_backend(config.build, engine.info, session, buildx, base=config.base.reference)
    make: dict[str, Callable[[], Backend]] = {
        "engine": lambda: _engine_backend(engine, config, chosen, tell),
        "buildx": lambda: BuildxBackend(engine.command_environment()),
        "classic": lambda: LinesBackend(ClassicTrace, clock),
        "podman": lambda: LinesBackend(PodmanTrace, clock),
    }
    return chosen, make[chosen.backend]()


def _may_open_session(settings: BuildConfig, engine: EngineInfo) -> bool:
    """Whether `choose_backend` looks at the session at all."""
    return engine.builder == "buildkit" and settings.backend != "classic" and settings.transport != "tar"


def probe_session(engine: Engine) -> SessionProbe:
    """Opens a session with the engine's BuildKit and closes it; a few milliseconds where it works.

    Raises:
        EngineUnreachableError: If the engine goes away.
    """
    client = engine.client()
    try:
        with open_control(client, engine.info) as control:
            control.probe_session()
    except SessionUnavailableError as error:
        return SessionProbe(False, error.message)
    finally:
        client.close()
    return SessionProbe(True)


class SessionOrTar:
    """BuildKit with a session, and the tar where that does not go.

    That is where the engine refuses a session although it opened one before, and with names that are no UTF-8, which
    BuildKit from 0.25 on takes in a tar only. What was refused once is not asked for again at each build, which may
    take seconds, unless a build cannot do without.

    Args:
        session: Builds with a session.
        tar: Builds without.
        tell: Hears once, in a sentence, that the engine refuses sessions.
    """

    def __init__(self, session: Backend, tar: Backend, tell: Callable[[str], None] = lambda _: None) -> None:
        self._session = session
        self._tar = tar
        self._tell = tell
        self._refused = False

    def build(self, client: APIClient, request: BuildRequest, observer: BuildObserver) -> BuildOutcome:
        """As `Backend.build`."""
        takes_more_than_names = any(map(_has_attributes, request.cache_from))
        needs_session = request.secrets or request.ssh or request.cache_to or takes_more_than_names
        if not needs_session and (self._refused or names_without_text(request.snapshot.entries)):
            return self._tar.build(client, request, observer)
        try:
            return self._session.build(client, request, observer)
        except SessionUnavailableError as error:
            if needs_session:
                raise
            if not self._refused:  # builds may run side by side
                self._refused = True
                self._tell(f"the engine opens no more sessions, so builds go as a tar ({error.message})")
            return self._tar.build(client, request, observer)


def _has_attributes(cache: str) -> bool:
    """Whether a cache is more than an image's name, which is all that a tar's request can say."""
    return "=" in cache


class OnceMore:
    """Tries a build again whose result the containerd store failed to unpack: the second time it succeeds.

    The failure is the store's (moby/buildkit #6521): a snapshot that it builds on has just been removed.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def build(self, client: APIClient, request: BuildRequest, observer: BuildObserver) -> BuildOutcome:
        """As `Backend.build`."""
        outcome = self._backend.build(client, request, observer)
        if outcome.failure is None or not _UNPACKING_FAILED.search(outcome.failure.message):
            return outcome
        again = self._backend.build(client, replace(request, no_cache=False), observer)
        return replace(again, duration_ms=outcome.duration_ms + again.duration_ms)


def _engine_backend(engine: Engine, config: Config, chosen: BuilderInfo, tell: Callable[[str], None]) -> Backend:
    backend: Backend = TarBackend(engine)
    if chosen.transport == "session":
        key = hashlib.sha256(os.fsencode(config.path)).hexdigest()
        backend = SessionOrTar(SolveBackend(engine, config.project.name, key), backend, tell)
    return OnceMore(backend) if engine.info.storage == "containerd" else backend
