"""The app's containers on the engine: create, start, stop, inspect, find ours again.

Everything raises `ContainerError` where the engine refuses and `EngineUnreachableError` where it is gone. with
our project label are ever touched.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.config import Config, RunConfig
from console.engine import engine_errors
from console.errors import ConfigError, ContainerError, EngineError, EngineUnreachableError
from console.model import LABEL_PROJECT, LABEL_ROLE, LABEL_SETTINGS
from console.places import parse_port

if TYPE_CHECKING:
    from docker import APIClient

_PORT_TAKEN = re.compile(
    r"(?:Bind for |listen tcp4? )(?P<address>[0-9.:\[\]]+:(?P<port>\d+)).*(?:already|in use)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Container:
    """One container of ours."""

    id: str
    name: str
    image_id: str
    settings: str
    """Hash of what it was created with; another hash means that it must be replaced even for the same image."""


@dataclass(frozen=True, slots=True)
class ContainerState:
    """What the engine says of a container now."""

    running: bool
    exit_code: int
    error: str
    health: str
    """`healthy`, `unhealthy`, `starting`, or empty without a HEALTHCHECK."""
    published: tuple[tuple[int, int], ...] = ()
    """TCP ports of the container and the host ports that reach them."""
    address: str = ""
    """The container's own IP address on its network; empty on the host's."""


@contextmanager
def _container_errors(doing: str) -> Iterator[None]:
    try:
        with engine_errors(doing):
            yield
    except EngineUnreachableError:
        raise
    except EngineError as error:
        raise _explained(error) from error


def _explained(error: EngineError) -> ContainerError:
    taken = _PORT_TAKEN.search(error.message)
    if taken is not None or "port is already allocated" in error.message:
        where = taken["address"] if taken else "a published port"
        port = taken["port"] if taken else "…"
        return ContainerError(
            f"{where} is already taken by another program or container",
            f"end what listens there (`ss -ltnp 'sport = :{port}'`, `docker ps`), or change [run] ports in config.toml",
        )
    if "lookup init binary" in error.message or "container-init" in error.message:
        hint = "install catatonit, which Podman takes for it, or set [run] init = false in config.toml"
        return ContainerError(f"{error.message}; the engine has no small init for [run] init", hint)
    return ContainerError(error.message, error.hint)


def settings_of(config: Config) -> dict[str, Any]:
    """The engine's create parameters for the app's container, without the image.

    Raises:
        ConfigError: If the env_file cannot be read.
    """
    run = config.run
    ports = [parse_port(text) for text in run.ports]
    host_config: dict[str, Any] = {"Init": run.init, "Binds": [_bind(text, config.root) for text in run.volumes]}
    if run.network:
        host_config["NetworkMode"] = run.network
    settings: dict[str, Any] = {
        "Env": [f"{key}={value}" for key, value in sorted(_environment(run).items())],
        "StopTimeout": run.stop_grace_s,
        "HostConfig": host_config,
        "Labels": {LABEL_PROJECT: config.project.name, LABEL_ROLE: "app"},
    }
    if run.network != "host" and ports:
        settings["ExposedPorts"] = {f"{port.container}/{port.protocol}": {} for port in ports}
        bindings: dict[str, list[dict[str, str]]] = {}
        for port in ports:
            place = {"HostIp": port.address, "HostPort": "" if port.host is None else str(port.host)}
            bindings.setdefault(f"{port.container}/{port.protocol}", []).append(place)
        host_config["PortBindings"] = bindings
    if run.command:
        settings["Cmd"] = list(run.command)
    return settings


def digest_of(settings: dict[str, Any]) -> str:
    """A hash that changes whenever a container made with these settings would."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


class EngineRuntime:
    """A project's containers, through one thread's client."""

    def __init__(self, client: APIClient, project: str) -> None:
        self._client = client
        self._project = project

    def create(self, image: str, settings: dict[str, Any]) -> Container:
        """Creates a container under a name of its own, so that it can wait beside the one that runs."""
        name = f"{self._project}-{secrets.token_hex(4)}"
        digest = digest_of(settings)
        body = {**settings, "Image": image, "Labels": {**settings["Labels"], LABEL_SETTINGS: digest}}
        with _container_errors(f"creating a container from {image}"):
            created: dict[str, Any] = self._client.create_container_from_config(body, name)  # type: ignore[no-untyped-call]
        return Container(created["Id"], name, image, digest)

    def start(self, container: Container) -> None:
        with _container_errors(f"starting container {container.name}"):
            self._client.start(container.id)

    def stop(self, container: Container, grace_s: int) -> None:
        """Stops a container: SIGTERM, and SIGKILL after the grace. One that is gone or stopped already is fine."""
        with _missing_is_fine(), _container_errors(f"stopping container {container.name}"):
            self._client.stop(container.id, timeout=grace_s)

    def remove(self, container: Container) -> None:
        """Removes a container, running or not, with its anonymous volumes."""
        with _missing_is_fine(), _container_errors(f"removing container {container.name}"):
            self._client.remove_container(container.id, force=True, v=True)

    def rename(self, container: Container, name: str) -> Container:
        with _container_errors(f"renaming container {container.name}"):
            self._client.rename(container.id, name)
        return Container(container.id, name, container.image_id, container.settings)

    def state_of(self, container: Container) -> ContainerState:
        """What the engine says of it now; one that was removed counts as exited."""
        from docker.errors import NotFound

        try:
            with _container_errors(f"inspecting container {container.name}"):
                found = self._client.inspect_container(container.id)
        except ContainerError as error:
            if isinstance(error.__cause__ and error.__cause__.__cause__, NotFound):
                return ContainerState(False, -1, "removed by someone else", "")
            raise
        state, network = found["State"], found.get("NetworkSettings") or {}
        published = tuple(
            (int(port.partition("/")[0]), int(places[0]["HostPort"]))
            for port, places in (network.get("Ports") or {}).items()
            if places and port.endswith("/tcp")
        )
        addresses = [entry.get("IPAddress", "") for entry in (network.get("Networks") or {}).values()]
        return ContainerState(
            running=bool(state["Running"]) and not state.get("Restarting", False),
            exit_code=int(state.get("ExitCode", 0)),
            error=state.get("Error", ""),
            health=(state.get("Health") or {}).get("Status", ""),
            published=published,
            address=next(filter(None, addresses), ""),
        )

    def ours(self) -> list[tuple[Container, bool]]:
        """The project's app containers, newest first, each with whether it runs."""
        label = {"label": [f"{LABEL_PROJECT}={self._project}", LABEL_SETTINGS]}
        with _container_errors("listing containers"):
            found = self._client.containers(all=True, filters=label)
        return [
            (
                Container(
                    row["Id"], row["Names"][0].lstrip("/"), row["ImageID"], row["Labels"].get(LABEL_SETTINGS, "")
                ),
                row["State"] == "running",
            )
            for row in sorted(found, key=lambda row: row["Created"], reverse=True)
            if row.get("Names")
        ]

    def last_lines(self, container: Container, count: int = 20) -> tuple[str, ...]:
        """The container's last log lines; nothing where they cannot be had."""
        text = b""
        with _missing_is_fine(), _container_errors(f"reading the log of {container.name}"):
            text = self._client.logs(container.id, tail=count)
        return tuple(text.decode("utf-8", "replace").splitlines())


@contextmanager
def _missing_is_fine() -> Iterator[None]:
    from docker.errors import NotFound

    try:
        yield
    except ContainerError as error:
        if not isinstance(error.__cause__ and error.__cause__.__cause__, NotFound):
            raise


def _bind(text: str, root: Path) -> str:
    source, _, rest = text.partition(":")
    if source.startswith(("/", ".", "~")):
        source = str((root / Path(source).expanduser()).resolve())
    return f"{source}:{rest}"


def _environment(run: RunConfig) -> dict[str, str]:
    """env_file's values with [run] environment over them."""
    values: dict[str, str] = {}
    if run.env_file is not None:
        try:
            text = run.env_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"run.env_file {run.env_file}: {error}", "check the path; it is relative to config.toml"
            ) from error
        for line in text.splitlines():
            key, equals, value = line.strip().partition("=")
            if equals and not key.startswith("#"):
                values[key.strip()] = value
    return values | run.environment
