"""What a project's watcher looks at, and what it leaves out, from its configuration."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from console.config import Config
from console.errors import ContextError
from console.watch.ignore import IgnoreRules, ignore_files, load_ignore
from console.watch.watcher import WatchScope


def scope_of(config: Config, base_files: Iterable[str]) -> WatchScope:
    """The [watch] paths, and single files wherever they lie: Dockerfiles, ignore files, config.toml, the base's inputs.

    Args:
        config: The project.
        base_files: The base's inputs, relative to the project's folder.
    """
    singles = [
        config.path,
        config.app.dockerfile,
        *ignore_files(config.app.context, config.app.dockerfile),
        *((config.run.env_file,) if config.run.env_file else ()),
        *(_place(config.root, path) for path in sorted(base_files)),
    ]
    return WatchScope(config.root, config.watch.paths, tuple(dict.fromkeys(singles)))


class Ignored:
    """Tells what is left out: .dockerignore's paths, which no build gets, and [watch] ignore.

    Raises:
        ContextError: If one of the two makes no sense.
    """

    def __init__(self, config: Config) -> None:
        self._root = config.root
        self._drafts = f".{config.path.name}."
        self._context = config.app.context
        self._dockerfile = config.app.dockerfile
        self._more = IgnoreRules.parse("\n".join(config.watch.ignore), f"{config.path} [watch] ignore")
        self._rules = load_ignore(self._context, self._dockerfile)

    def __call__(self, path: str) -> bool:
        """Whether a path, relative to the project's folder, is left out."""
        if path.startswith(self._drafts) and "/" not in path:  # what config.toml is written through
            return True
        if self._more.excludes(path):
            return True
        place = _place(self._root, path)
        if not place.is_relative_to(self._context):
            return False
        return self._rules.excludes(place.relative_to(self._context).as_posix())

    def notice(self, paths: Iterable[str]) -> None:
        """Reads the ignore files anew if one of them was saved. The next build tells what is wrong with them, if so."""
        files = {str(file) for file in ignore_files(self._context, self._dockerfile)}
        if any(str(_place(self._root, path)) in files for path in paths):
            with suppress(ContextError):
                self._rules = load_ignore(self._context, self._dockerfile)


def _place(root: Path, path: str) -> Path:
    """Where a path is that may begin with `..`."""
    return Path(os.path.normpath(root / path))
