"""Which way images are built on an engine, why, and what that way cannot do: decided before the first build.

Pure: what the engine, its session and buildx can do comes in as values. The facts were measured on Docker 20.10, on
Docker 28 with both image stores, and on Podman 5.8, with buildx 0.29.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from console.caches import parse_cache
from console.config import BuildConfig
from console.errors import BuildError
from console.model import BuilderInfo, EngineInfo

OWN_BUILDER = "default"
"""The buildx builder that is the engine which DOCKER_HOST names."""

_OLDEST_BUILDX = (0, 13)
"""The first with `--progress=rawjson` and `ls --format json`."""
_INSTALL_HINT = "install it (docs.docker.com/go/buildx), or leave out of [build] what needs it"
_CREATE_HINT = "make one with `docker buildx create --name NAME`, and set [build] builder to its name"
_ARRIVAL_LIMIT = "The times of its steps are those at which its lines arrive here."
_NO_WARNINGS_LIMIT = "It gives no warnings on Dockerfiles."
_NO_CREDENTIALS_LIMIT = "It has no build secrets, no ssh agent and no registry credentials: pull private images first."
_WHOLE_CONTEXT_LIMIT = "Every build sends all files that the Dockerfile reads, changed or not."


@dataclass(frozen=True, slots=True)
class SessionProbe:
    """Whether the engine's BuildKit opens a session with us."""

    available: bool
    reason: str = ""
    """Why not."""


@dataclass(frozen=True, slots=True)
class BuildxBuilder:
    """A builder that the buildx command knows."""

    driver: str
    """`docker` for an engine's own BuildKit; `docker-container`, `remote`, `kubernetes`; empty where it is broken."""
    platforms: tuple[str, ...] = ()
    """Those whose programs it can run; empty while it is not running."""
    endpoint: str = ""
    """The address of what it builds on."""
    problem: str = ""
    """Why it cannot be used."""


@dataclass(frozen=True, slots=True)
class BuildxProbe:
    """The buildx command as it is here."""

    version: str | None
    """None where there is none, or it was not asked."""
    builders: Mapping[str, BuildxBuilder] = field(default_factory=dict)
    reason: str = ""
    """Why there is none."""


def buildx_needed_for(settings: BuildConfig, engine: EngineInfo) -> str:
    """What in the configuration the engine's own API cannot do, in words; empty where nothing takes buildx.

    `choose_backend` may fall back to buildx all the same where there is no session.
    """
    if settings.backend == "buildx":
        return '[build] backend is "buildx"'
    if settings.builder:
        return f"[build] builder is {settings.builder!r}"
    if len(platforms_of(settings)) > 1:
        return f"[build] platform names several: {settings.platform}"
    return _strange_cache(settings, engine, _engine_caches(engine))


def choose_backend(
    settings: BuildConfig, engine: EngineInfo, session: SessionProbe, buildx: BuildxProbe, *, base: str = ""
) -> BuilderInfo:
    """Decides how images are built.

    Args:
        settings: What the configuration asks for.
        engine: Where the images are to be.
        session: Looked at where the engine has BuildKit.
        buildx: Looked at where `buildx_needed_for` says something, or there is no session.
        base: The base image that app builds start from.

    Raises:
        BuildError: If the configuration needs what is not there.
    """
    need = buildx_needed_for(settings, engine)
    if need and settings.backend not in ("auto", "buildx"):
        raise BuildError(
            f'{need}, which takes buildx; but [build] backend is "{settings.backend}"', 'set backend = "auto"'
        )
    if need and settings.transport != "auto":
        raise BuildError(
            f'{need}, which takes buildx and its own transport; but [build] transport is "{settings.transport}"',
            'set transport = "auto"',
        )
    if need:
        return _buildx(settings, engine, buildx, need, base)
    if engine.builder == "buildkit" and settings.backend != "classic":
        return _engine(settings, engine, session, buildx, base)
    if settings.transport == "session":
        raise BuildError(
            f'[build] transport is "session", but {engine.name} {engine.version} builds without BuildKit here',
            'set transport = "auto"',
        )
    if engine.builder == "buildah":
        return _classic("podman", settings, engine, f"the engine is Podman {engine.version}, which builds with Buildah")
    if engine.builder == "classic":
        return _classic("classic", settings, engine, f"the engine (API {engine.api_version}) does not offer BuildKit")
    return _classic("classic", settings, engine, '[build] backend is "classic"')


def platforms_of(settings: BuildConfig) -> tuple[str, ...]:
    """The platforms to build for; empty for the engine's own."""
    return tuple(part.strip() for part in settings.platform.split(",") if part.strip())


@dataclass(frozen=True, slots=True)
class _Caches:
    """Kinds of caches that a way of building can read and write."""

    read: frozenset[str]
    written: frozenset[str]


_GRAPH_DRIVER_CACHES = _Caches(frozenset({"registry"}), frozenset({"inline"}))
_CONTAINERD_CACHES = _Caches(frozenset({"registry"}), frozenset({"inline", "registry"}))
_NAMES_ONLY = _Caches(frozenset({"registry"}), frozenset())
_LOCAL = frozenset({"local"})
"""Folders on this machine: the command serves them to the builder, our sessions do not."""
_GITHUB = frozenset({"gha"})
"""Reached with a token that only the command finds."""


def _engine_caches(engine: EngineInfo) -> _Caches:
    """What goes through the engine's API at best (moby, builder/builder-next/controller.go)."""
    if engine.builder != "buildkit":
        return _NAMES_ONLY
    return _CONTAINERD_CACHES if engine.storage == "containerd" else _GRAPH_DRIVER_CACHES


def _strange_cache(settings: BuildConfig, engine: EngineInfo, can: _Caches) -> str:
    """The first cache that is not among those that can be used, in words."""
    wanted = (("cache_from", settings.cache_from, can.read), ("cache_to", settings.cache_to, can.written))
    for key, entries, kinds in wanted:
        for kind in (parse_cache(entry).kind for entry in entries):
            if kind not in kinds:
                where = f"{engine.name} {engine.version} with the {engine.storage} store"
                return f"[build] {key} has a cache of type {kind}, which {where} cannot use itself"
    return ""


def _needs_session(settings: BuildConfig) -> str:
    """The first key that takes a session with the builder."""
    wanted = {"secrets": settings.secrets, "ssh": settings.ssh, "cache_to": settings.cache_to}
    wanted["cache_from"] = tuple(entry for entry in settings.cache_from if "=" in entry)  # a tar takes plain names
    return next((f"[build] {key}" for key, value in wanted.items() if value), "")


def _refuse_without_session(settings: BuildConfig, why: str) -> None:
    if lacking := _needs_session(settings):
        by_choice = settings.backend != "auto" or settings.transport != "auto"
        hint = 'set it to "auto"' if by_choice else f"let buildx build ({_CREATE_HINT})"
        raise BuildError(f"{lacking} cannot be had: {why}", f"{hint}, or leave out {lacking}")


def _engine(
    settings: BuildConfig, engine: EngineInfo, session: SessionProbe, buildx: BuildxProbe, base: str
) -> BuilderInfo:
    if settings.transport == "tar":
        why = '[build] transport is "tar"'
    elif session.available:
        return BuilderInfo("engine", "session", "the engine has BuildKit and opens sessions")
    else:
        why = f"the engine opens no session ({session.reason})"
        if settings.transport == "session":
            raise BuildError(f'[build] transport is "session", but {why}', 'set transport = "auto"')
        lacking = _needs_session(settings)
        if lacking and settings.backend == "auto" and buildx.version is not None:
            return _buildx(settings, engine, buildx, f"{lacking} takes a session, and {why}", base)
    _refuse_without_session(settings, why)
    return BuilderInfo("engine", "tar", why, _tar_limits(engine))


def _classic(backend: str, settings: BuildConfig, engine: EngineInfo, reason: str) -> BuilderInfo:
    _refuse_without_session(settings, reason)
    limits = [_WHOLE_CONTEXT_LIMIT, _NO_CREDENTIALS_LIMIT, _ARRIVAL_LIMIT, _NO_WARNINGS_LIMIT]
    if backend == "classic" and engine.storage == "containerd":
        limits.append(
            "On the containerd image store it takes two seconds more a build than BuildKit on a base of 300 MB."
        )
    if backend == "podman":
        limits.append("A cancelled build ends only when its running step is over; what follows is not begun.")
        limits.append("Names of stages are told apart by upper and lower case, other than with BuildKit.")
    return BuilderInfo(backend, "tar", reason, tuple(limits), exact=False)


def _tar_limits(engine: EngineInfo) -> tuple[str, ...]:
    limits = [_WHOLE_CONTEXT_LIMIT, _NO_CREDENTIALS_LIMIT]
    if engine.storage == "containerd":
        limits.append("Every build asks the base image's registry for it, even where the image is here.")
    return tuple(limits)


def _buildx(settings: BuildConfig, engine: EngineInfo, buildx: BuildxProbe, need: str, base: str) -> BuilderInfo:
    if buildx.version is None:
        raise BuildError(f"{need}, which takes the buildx command: {buildx.reason or 'it is not here'}", _INSTALL_HINT)
    if tuple(int(part) for part in re.findall(r"\d+", buildx.version)[:2]) < _OLDEST_BUILDX:
        raise BuildError(f"{need}, which takes buildx 0.13 or later; here is {buildx.version}", _INSTALL_HINT)
    name = settings.builder or OWN_BUILDER
    platforms = platforms_of(settings)
    if len(platforms) > 1 and engine.storage != "containerd":
        held = f"the {engine.storage} store of {engine.name} {engine.version} holds images for one only"
        hint = "name one platform, or use Docker with the containerd image store (docs.docker.com/go/containerd)"
        raise BuildError(f"[build] platform names several, but {held}", hint)
    builder = _named_builder(name, engine, buildx, need)
    own = builder.driver == "docker"
    if own:
        can = _engine_caches(engine)
        can = _Caches(can.read | _LOCAL, can.written)
        if engine.storage == "containerd":
            can = _Caches(can.read | _GITHUB, can.written | _LOCAL | _GITHUB)
        if strange := _strange_cache(settings, engine, can):
            raise BuildError(strange, f"a builder of its own can: {_CREATE_HINT}")
    elif base and "/" not in base:
        hint = 'name the base with its registry ([base] image = "ghcr.io/me/base") and push it, or use no such builder'
        blind = f"buildx builder {name!r} ({builder.driver}) does not see this engine's images"
        raise BuildError(f"{blind}, so it cannot build on {base}", hint)
    limits = ["Each build starts a command, which takes about 0.2 s."]
    if not own:
        limits.append("It takes the base from its registry, so push each new one there.")
        limits.append("Each image is copied into the engine once it is built.")
    native = {_short(each) for each in builder.platforms}
    if native and (foreign := [each for each in platforms if _short(each) not in native]):
        limits.append(f"It cannot run programs for {', '.join(foreign)}: RUN steps fail there.")
    return BuilderInfo("buildx", "command", need, tuple(limits), builder=name)


def _named_builder(name: str, engine: EngineInfo, buildx: BuildxProbe, need: str) -> BuildxBuilder:
    """The builder of that name, if images that it builds can get to the engine."""
    builder = buildx.builders.get(name)
    if builder is None:
        near = difflib.get_close_matches(name, buildx.builders, n=1)
        known = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(buildx.builders) or 'none'}"
        raise BuildError(f"{need}, but buildx knows no builder {name!r}", f"{known}; {_CREATE_HINT}")
    if builder.problem:
        raise BuildError(f"buildx builder {name!r} cannot be used: {builder.problem}", "see `docker buildx ls`")
    if name == OWN_BUILDER and (builder.driver != "docker" or engine.builder != "buildkit"):
        raise BuildError(f"{need}, but {engine.name} {engine.version} offers buildx no BuildKit", _CREATE_HINT)
    if builder.driver == "docker" and builder.endpoint != engine.host:
        raise BuildError(
            f"buildx builder {name!r} is the engine at {builder.endpoint}, but images are needed at {engine.host}",
            f"name another builder, or use that engine: `docker context use {name}`",
        )
    return builder


def _short(platform: str) -> str:
    """A platform without the variant that everyone assumes: `linux/arm64/v8` is `linux/arm64`."""
    return platform.removesuffix("/v8") if platform.endswith("arm64/v8") else platform
