"""What each target of a project is built from: its part of the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from console.build.context import Excludes
from console.config import Config
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
    args = config.build.args
    if target is Target.APP:
        app = config.app
        args = {**args, "BASE_IMAGE": config.base.reference}
        return Recipe(f"{app.image}:latest", app.dockerfile, app.context, args, app.target)
    if target is Target.BASE:
        return Recipe(config.base.reference, config.base.dockerfile, config.base.context, args)
    if config.legacy is None:
        hint = 'add [legacy] dockerfile = "Dockerfile.legacy" to config.toml'
        raise BuildError("there is no legacy Dockerfile to build", hint)
    return Recipe(f"{config.legacy.image}:latest", config.legacy.dockerfile, config.legacy.context, args)
