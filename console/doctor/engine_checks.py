"""The doctor's checks that ask the engine or the buildx command."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from console.base.versions import find_base
from console.build.backend import buildx_needed_for, platforms_of
from console.build.backends import open_backend
from console.build.probes import probe_buildx
from console.config import BuildConfig, Config
from console.doctor.finding import Finding, Verdict
from console.engine import Engine, engine_errors
from console.format import age, paths, size
from console.loop.fingerprint import read_base_inputs, status_of
from console.model import BuilderInfo, EngineInfo, SystemClock
from console.places import Port, parse_port
from console.run.published import holder_of
from console.watch.ignore import load_ignore

if TYPE_CHECKING:
    from docker import APIClient

Result = TypeVar("Result")

_REQUEST_TIMEOUT_S = 10


def connection(engine: Engine) -> Finding:
    """What answers."""
    info = engine.info
    able = f"{info.name} {info.version}, API {info.api_version}, {info.builder}, {info.storage} store"
    return Finding("engine", f"{able}, {'on another machine' if info.remote else 'here'} at {info.host}")


def builder(config: Config, engine: Engine) -> Finding:
    """How images are built; worth a remark where that is not what the user chose.

    Raises:
        SplitdeckError: If they cannot be built as the configuration says.
    """
    found, _ = open_backend(engine, config, SystemClock())
    name = f", builder {found.builder}" if found.builder else ""
    said = f"{found.backend} by {found.transport}{name}: {found.reason}"
    second_best = found.limits and not _chosen(config.build, engine.info, found)
    return Finding("builder", said, Verdict.REMARK if second_best else Verdict.WELL, remarks=found.limits)


def _chosen(settings: BuildConfig, engine: EngineInfo, found: BuilderInfo) -> bool:
    """Whether the user chose this way to build, by a key or by the engine."""
    by_key = settings.backend in ("buildx", "classic") or settings.transport == "tar"
    return by_key or found.backend == "podman" or bool(buildx_needed_for(settings, engine))


def buildx(engine: Engine) -> Finding:
    """What the buildx command is here."""
    probe = probe_buildx(engine.command_environment())
    if probe.version is None:
        return Finding("buildx", f"not here ({probe.reason}); only some keys of [build] take it")
    names = (f"{name} ({each.driver or 'broken'})" for name, each in probe.builders.items())
    return Finding("buildx", f"{probe.version}, builders: {', '.join(names) or 'none'}")


def base_image(config: Config, engine: Engine) -> list[Finding]:
    """What stands under the base's name, whether it is fresh, and whether it is for the platform that is built for."""
    reference = config.base.reference
    image = _asking(engine, lambda client: find_base(client, reference))
    status = status_of(reference, image, read_base_inputs(config, load_ignore))
    if not status.present:
        if "@" in reference:
            hint = f"`docker pull {reference}`, or set [base] version to a tag to build it here"
            return [Finding("base image", f"{reference} is not here", Verdict.FAILED, hint)]
        hint = "`splitdeck build base` makes it; so does the first app build"
        return [Finding("base image", f"{reference} is not here yet", Verdict.REMARK, hint)]
    described = f"{reference}, {size(status.size_bytes)}, made {age(time.time() - status.created_at)} ago"
    foreign = _foreign_platform(config, engine)
    if status.stale_files:
        hint = "`splitdeck build base` makes it anew"
        return [
            Finding("base image", f"{described}, stale: {paths(status.stale_files)}", Verdict.REMARK, hint),
            *foreign,
        ]
    known = "fresh" if status.fingerprint else "not made by splitdeck, so nobody knows whether it is fresh"
    return [Finding("base image", f"{described}, {known}"), *foreign]


def _foreign_platform(config: Config, engine: Engine) -> list[Finding]:
    """A remark where the base is for another platform than the one that [build] names.

    Several platforms are left to the builder: an engine tells of one only.
    """
    platforms = platforms_of(config.build)
    if len(platforms) != 1:
        return []
    wanted, reference = platforms[0], config.base.reference

    def ask(client: APIClient) -> dict[str, Any]:
        with engine_errors(f"looking at {reference}"):
            return client.inspect_image(reference)  # type: ignore[no-untyped-call, no-any-return]

    image = _asking(engine, ask)
    found = f"{image.get('Os', '')}/{image.get('Architecture', '')}"
    if found in ("/", "/".join(wanted.split("/")[:2])):
        return []
    hint = f"`splitdeck build base` makes it for {wanted}; or leave out platform"
    return [Finding("base image", f"is for {found}, but [build] platform is {wanted}", Verdict.REMARK, hint)]


def ports(config: Config, engine: Engine) -> list[Finding]:
    """Whether each published port is free, or is our own app's."""
    if config.run.network == "host":
        return [Finding("ports", "none are published on the network host")]

    def ask(client: APIClient) -> list[dict[str, Any]]:
        with engine_errors("listing containers"):
            return client.containers()  # type: ignore[no-any-return]

    running = _asking(engine, ask)
    wanted = [port for port in map(parse_port, config.run.ports) if port.host is not None]
    return [_port(port, running, config.project.name, local=not engine.info.remote) for port in wanted]


def _port(port: Port, running: list[dict[str, Any]], project: str, *, local: bool) -> Finding:
    said = f"{port.address}:{port.host}/{port.protocol}"
    holder = holder_of(port, running, project, local=local)
    if holder is None:
        return Finding("ports", f"{said} is free")
    if holder.ours:
        return Finding("ports", f"{said} is served by this project's app")
    if holder.container:
        hint = f"`docker stop {holder.container}`, or choose another in run.ports"
        return Finding("ports", f"{said} is taken by container {holder.container}", Verdict.FAILED, hint)
    hint = "end the program that has it, or choose another in run.ports"
    return Finding("ports", f"{said} is taken by another program", Verdict.FAILED, hint)


def _asking(engine: Engine, ask: Callable[[APIClient], Result]) -> Result:
    client = engine.client()
    client.timeout = _REQUEST_TIMEOUT_S
    with closing(client):
        return ask(client)
