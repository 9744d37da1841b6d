"""What each target of a project is built from: its part of the configuration."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from console.build.context import Excludes
from console.build.dockerfile import Dockerfile
from console.build.request import SecretSource
from console.config import BuildConfig, Config
from console.errors import BuildError
from console.model import Target

LoadIgnore = Callable[[Path, Path], Excludes]
"""What .dockerignore leaves out, by context folder and Dockerfile."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one target is built from."""

    tag: str
    dockerfile: Path
    context: Path
    args: Mapping[str, str]
    target: str = ""


def recipe_for(config: Config, target: Target) -> Recipe:
    """The target's part of the configuration.

    Raises:
        BuildError: If the configuration has no such image.
    """
    args = config.build.given_args
    if target is Target.APP:
        app = config.app
        args = {**args, "BASE_IMAGE": config.base.reference}
        return Recipe(f"{app.image}:latest", app.dockerfile, app.context, args, app.target)
    if target is Target.BASE:
        # Beside the present one: it gets other tags once it was found good.
        return Recipe(config.base.reference_to("candidate"), config.base.dockerfile, config.base.context, args)
    if config.legacy is None:
        hint = 'add [legacy] dockerfile = "Dockerfile.legacy" to config.toml'
        raise BuildError("there is no legacy Dockerfile to build", hint)
    return Recipe(f"{config.legacy.image}:latest", config.legacy.dockerfile, config.legacy.context, args)


def secrets_for(build: BuildConfig, dockerfile: Dockerfile, target: str) -> dict[str, SecretSource]:
    """The secrets of the configuration that a build of the target asks for.

    Raises:
        BuildError: If a step demands one that the configuration does not have.
    """
    wanted = [one for one in dockerfile.credentials(target or None) if one.kind == "secret"]
    for one in wanted:
        if one.required and one.name != "*" and one.name not in build.secrets:
            raise BuildError(
                f"{dockerfile.path}:{one.line}: this step needs the build secret {one.name}, which is not configured",
                f'add {one.name} = {{ env = "…" }} or {{ file = "…" }} to [build.secrets] in config.toml',
            )
    return {
        name: SecretSource(str(each.file or ""), each.env)
        for name, each in build.secrets.items()
        if any(fnmatchcase(name, one.name) for one in wanted)
    }


def agents_for(build: BuildConfig, dockerfile: Dockerfile, target: str) -> dict[str, str]:
    """The sockets of the SSH agents that a build of the target asks for, by id; empty where none is known here.

    Raises:
        BuildError: If a step demands one that the configuration does not have.
    """
    agents = {name: socket or os.environ.get("SSH_AUTH_SOCK", "") for name, socket in map(_agent, build.ssh)}
    wanted = [one for one in dockerfile.credentials(target or None) if one.kind == "ssh"]
    for one in wanted:
        if one.required and one.name != "*" and one.name not in agents:
            entry = one.name if one.name == "default" else f"{one.name}=PATH"
            raise BuildError(
                f"{dockerfile.path}:{one.line}: this step needs the ssh agent {one.name}, which is not configured",
                f'set [build] ssh = ["{entry}"] in config.toml',
            )
    return {name: socket for name, socket in agents.items() if any(fnmatchcase(name, one.name) for one in wanted)}


def _agent(entry: str) -> tuple[str, str]:
    name, _, socket = entry.partition("=")
    return name, socket
