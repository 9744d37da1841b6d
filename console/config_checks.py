"""What no type can check in a config.toml. Values that may hold a secret are never part of what is said."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from console.caches import parse_cache
from console.errors import ConfigError
from console.places import is_place, parse_port

if TYPE_CHECKING:
    from console.config import BaseConfig, BuildConfig, Config, RunConfig

_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_VERSION = re.compile(r"@sha256:[0-9a-f]{64}|[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(?:@sha256:[0-9a-f]{64})?")
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(rf"(?:[a-zA-Z0-9.-]+(?::[0-9]+)?/)?{_PART}(?:/{_PART})*")
_REPOSITORY = re.compile(r"[a-zA-Z0-9.-]+(?::[0-9]+)?(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)+")
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
"""A secret's or agent's id, a buildx builder's name."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9.]+)?")
_IMAGE = re.compile(r"[\w.\-:/\[\]]+(?:@sha256:[0-9a-f]{64})?", re.ASCII)
_PLACE_KEYS = {"cache_from": "src", "cache_to": "dest"}
_CACHES = ("registry", "local", "inline", "gha", "s3", "azblob")


VERSION_HINT = "use latest, 2026.11.23, @sha256:… or 2026.11.23@sha256:…"


class _Checker:
    """One file's checks.

    Args:
        path: The file, for messages.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def fail(self, key: str, value: object, wanted: str, hint: str) -> ConfigError:
        return ConfigError(f"{self._path}: {key} = {value!r}: {wanted}", hint)

    def build(self, build: BuildConfig) -> None:
        platforms = [part.strip() for part in build.platform.split(",")] if build.platform else []
        for platform in platforms:
            if not _PLATFORM.fullmatch(platform):
                raise self.fail("build.platform", build.platform, "not a platform", 'write "linux/arm64"')
        if len(set(platforms)) < len(platforms):
            raise self.fail("build.platform", build.platform, "names one platform twice", "once is enough")
        if build.builder and not _WORD.fullmatch(build.builder):
            hint = "`docker buildx ls` shows the names"
            raise self.fail("build.builder", build.builder, "not a builder's name", hint)
        self.secrets(build)
        agents: list[str] = []
        for entry in build.ssh:
            name, sign, place = entry.partition("=")
            if not _WORD.fullmatch(name) or bool(place) != bool(sign) or (not place and name != "default"):
                hint = 'write "default", or "work=~/.ssh/work.sock"'
                raise self.fail("build.ssh", entry, "neither default nor id=PATH", hint)
            agents.append(name)
        if len(set(agents)) < len(agents):
            raise self.fail("build.ssh", list(build.ssh), "names one agent twice", "give each an id of its own")
        for key, entries in (("cache_from", build.cache_from), ("cache_to", build.cache_to)):
            for entry in entries:
                self.cache(key, entry)

    def secrets(self, build: BuildConfig) -> None:
        for name, source in build.secrets.items():
            if not _WORD.fullmatch(name):
                hint = "use letters, digits, '.', '_' and '-', as in RUN --mount=type=secret,id=NAME"
                raise ConfigError(f"{self._path}: build.secrets: {name!r} is no name for a secret", hint)
            if (source.file is None) == (not source.env):
                hint = f'write [build.secrets] {name} = {{ env = "TOKEN" }} or {{ file = "~/.token" }}'
                raise ConfigError(f"{self._path}: build.secrets.{name}: needs either file or env", hint)
            if source.env and not _VARIABLE.fullmatch(source.env):
                hint = "write the name of the variable that has the secret; the secret itself never stands here"
                raise ConfigError(f"{self._path}: build.secrets.{name}.env: not the name of a variable", hint)

    def cache(self, key: str, entry: str) -> None:
        """One cache. Its values may hold credentials, so that only keys and the type are told."""
        place = _PLACE_KEYS[key]
        hint = f'write "type=registry,ref=…" or "type=local,{place}=PATH"'

        def wrong(why: str) -> ConfigError:
            return ConfigError(f"{self._path}: build.{key}: {why}", hint)

        if "=" not in entry:
            if not _IMAGE.fullmatch(entry):
                raise wrong(f"{entry!r} is neither a cache nor an image's name")
            return
        try:
            cache = parse_cache(entry)
        except ValueError:
            raise wrong("a cache is a list of key=value with commas between") from None
        if cache.kind not in _CACHES:
            raise wrong(f"there is no cache of type {cache.kind!r}; there are {', '.join(_CACHES)}")
        if cache.kind == "inline" and key == "cache_from":
            raise wrong("an inline cache is read from its image: name that in place of type=inline")
        needed = {"registry": "ref", "local": place}.get(cache.kind)
        if needed and not cache.attributes.get(needed):
            raise wrong(f"a cache of type {cache.kind} needs {needed}=")

    def run(self, run: RunConfig) -> None:
        for text in run.ports:
            try:
                parse_port(text)
            except ValueError as error:
                hint = 'write "127.0.0.1:8000:8000" or "8000:8000"'
                raise self.fail("run.ports", text, "not a port", hint) from error
        for text in run.volumes:
            if not 2 <= len(parts := text.split(":")) <= 3 or not all(parts):
                raise self.fail("run.volumes", text, "not a volume", 'write "./data:/data" or "cache:/cache:ro"')
        ready, ports = run.ready, [parse_port(text) for text in run.ports]
        if ready.http.startswith("/") and not any(port.protocol == "tcp" for port in ports):
            hint = "add one to run.ports, or write a whole URL"
            raise self.fail("run.ready.http", ready.http, "a path needs a published port", hint)
        if ready.http and not ready.http.startswith("/") and not is_place(ready.http, scheme="http"):
            raise self.fail("run.ready.http", ready.http, "neither a path nor an http:// URL", 'write "/health"')
        if ready.tcp and not is_place(ready.tcp if ":" in ready.tcp else f"localhost:{ready.tcp}"):
            raise self.fail("run.ready.tcp", ready.tcp, "not a port", 'write "8000" or "localhost:8000"')

    def patterns(self, patterns: Iterable[tuple[str, str]]) -> None:
        for key, pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                wanted = f"not a regular expression ({error})"
                raise self.fail(key, pattern, wanted, "escape special characters with \\") from error

    def base(self, base: BaseConfig) -> None:
        if base.repository and not _REPOSITORY.fullmatch(base.repository):
            hint = 'write host and name without a tag: "ghcr.io/me/app-base"'
            raise self.fail("base.repository", base.repository, "not a repository's name", hint)
        if base.image and not _IMAGE.fullmatch(base.image):
            hint = 'write a name without a tag: "my-base", "ghcr.io/me/my-base"'
            raise self.fail("base.image", base.image, "not usable as an image name", hint)
        if base.version.partition("@")[0] == "candidate":
            hint = "it becomes a version once it has passed its check; name a version, or latest"
            raise self.fail("base.version", base.version, "a base that is still being tried", hint)
        for command in base.check:
            if not command or not all(command):
                hint = 'write "python -c \'import torch\'", or ["python", "-c", "import torch"]'
                raise self.fail("base.check", command, "not a command", hint)
        self.inputs(base.inputs)

    def inputs(self, inputs: Iterable[str]) -> None:
        for pattern in inputs:
            try:
                next(self._path.glob(pattern), None)  # below a file is nothing to find: this only reads the pattern
            except (ValueError, NotImplementedError, IndexError) as error:
                hint = 'write it relative to config.toml: "locks/**/*.lock", "../shared.txt"'
                raise self.fail("base.inputs", pattern, f"not a pattern ({error})", hint) from error


def is_version(text: str) -> bool:
    """Whether it can be a [base] version: a tag, a digest, or both."""
    return _VERSION.fullmatch(text) is not None


def check_values(config: Config, path: Path) -> None:
    """Checks each value by itself and against its neighbours; no file but the one at `path` is looked at.

    Raises:
        ConfigError: For the first one that is wrong.
    """
    checker = _Checker(path)
    name, version, watch = config.project.name, config.base.version, config.watch
    if not _NAME.fullmatch(name):
        raise checker.fail("project.name", name, "not usable as an image name", "use a-z, 0-9, '.', '_' and '-'")
    if not is_version(version):
        raise checker.fail("base.version", version, "neither a tag nor a digest", VERSION_HINT)
    checker.base(config.base)
    checker.build(config.build)
    checker.patterns((("run.ready.log", config.run.ready.log),))
    checker.patterns(("compare.stage.match", stage.match) for stage in config.compare.stage)
    checker.run(config.run)
    if watch.ceiling_ms < watch.quiet_ms:
        hint = "make it the larger of the two"
        raise checker.fail("watch.ceiling_ms", watch.ceiling_ms, "below watch.quiet_ms", hint)


def placed_agent(entry: str, root: Path) -> str:
    """An entry of [build] ssh whose socket is an absolute path."""
    name, sign, place = entry.partition("=")
    return f"{name}={_absolute(place, root)}" if sign else entry


def placed_cache(entry: str, root: Path) -> str:
    """A cache whose type is written out and whose folder, where it has one, is an absolute path."""
    if "=" not in entry:
        return entry
    cache = parse_cache(entry)
    folders = _PLACE_KEYS.values()
    placed = {key: _absolute(value, root) if key in folders else value for key, value in cache.attributes.items()}
    return replace(cache, attributes=placed).text()


def _absolute(place: str, root: Path) -> str:
    return os.path.normpath(root / Path(place).expanduser())
