"""config.toml → a frozen `Config`.

Unknown keys and wrong values are refused with file, key, value and the nearest valid key. Paths come out absolute; they
are relative to the file and free of `..`; links stay as they are. Only keys that do something are accepted.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

from console.config_checks import check_values, placed_agent, placed_cache
from console.config_words import refuse_unknown_keys, unknown_key, wrong_value
from console.errors import ConfigError
from console.model import Mode, Target
from console.places import names_registry

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONFIG_NAME = "config.toml"
REPOSITORY_VARIABLE = "SPLITDECK_BASE_REPOSITORY"
"""Goes before [base] repository: where one is published to may be CI's to say."""

_Text = Annotated[str, Meta(min_length=1)]
_Milliseconds = Annotated[int, Meta(ge=1, le=600_000)]
_RELATIVE = "paths are relative to config.toml"


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of config.toml."""


class ProjectConfig(Section, frozen=True, kw_only=True):
    """[project]"""

    name: _Text = ""
    """Default: the folder's name. Names images, the container and the history: lower case, digits, `.`, `_`, `-`."""


class SecretConfig(Section, frozen=True, kw_only=True):
    """[build.secrets.NAME]: exactly one of the two."""

    file: Path | None = None
    """Its content is the secret; `~` is your home."""
    env: str = ""
    """This variable's value is the secret."""


class ArgConfig(Section, frozen=True, kw_only=True):
    """A build argument whose value is this machine's to say."""

    env: _Text


class BuildConfig(Section, frozen=True, kw_only=True):
    """[build]: holds for every image."""

    backend: Literal["auto", "engine", "buildx", "classic"] = "auto"
    """How to build: the engine's own API, the buildx command, the engine's classic builder; `auto` takes what fits."""
    transport: Literal["auto", "session", "tar"] = "auto"
    """How the engine gets the build context: what changed, or all; `auto` takes what it offers. Not with buildx."""
    network: Literal["default", "host", "none"] = "default"
    """Network of RUN steps."""
    platform: str = ""
    """`linux/arm64`, …; empty for the engine's own. Several, with commas between, take buildx."""
    args: dict[str, str | ArgConfig] = field(default_factory=dict)
    """Build arguments. They stay readable in the image: no secrets. `{ env = "NAME" }` takes this variable's value, or
    gives none where it is not set; such a one says where a machine gets things from, and never makes a base stale."""
    secrets: dict[str, SecretConfig] = field(default_factory=dict)
    """For `RUN --mount=type=secret,id=NAME`: never in an image, an event or a log."""
    ssh: tuple[str, ...] = ()
    """For `RUN --mount=type=ssh`: `default` is the running agent, `id=PATH` another agent's socket."""
    builder: str = ""
    """Name of a buildx builder (`docker buildx ls`); takes the buildx backend."""
    cache_from: tuple[str, ...] = ()
    """Caches to read, as buildx writes them: `type=local,src=PATH`, `type=registry,ref=…`, or an image's name."""
    cache_to: tuple[str, ...] = ()
    """Caches to write, as buildx writes them: `type=inline`, `type=local,dest=PATH`, `type=registry,ref=…`."""

    @property
    def given_args(self) -> dict[str, str]:
        """The build arguments with their values on this machine."""
        values = {
            name: value if isinstance(value, str) else os.environ.get(value.env) for name, value in self.args.items()
        }
        return {name: value for name, value in values.items() if value is not None}


class BaseConfig(Section, frozen=True, kw_only=True):
    """[base]: the slow image with all dependencies."""

    dockerfile: Path
    """May lie outside the context."""
    image: str = ""
    """Default: `<project>-base`."""
    context: Path = Path()
    """Build context; default: the folder of config.toml."""
    version: _Text = "latest"
    """The base that app builds stand on: a tag (`latest`, `YYYY.MM.DD`, `sha-XXXXXXX`), a registry's digest
    (`@sha256:…`), or both (`YYYY.MM.DD@sha256:…`)."""
    inputs: tuple[str, ...] = ()
    """Files or globs, relative to config.toml, that make the base stale besides what its Dockerfile copies."""
    on_change: Literal["build", "ask", "warn"] = "ask"
    """When an input changes: build at once, tell and wait for the key, or only mark it."""
    repository: str = ""
    """Where it is published to and pulled from, such as `ghcr.io/me/app-base`; default: `image`, where that names a
    registry. The variable `SPLITDECK_BASE_REPOSITORY` goes before it."""
    pull: Literal["missing", "daily", "weekly", "always", "never"] = "missing"
    """When the registry is asked for a newer one: only where there is none here, at a start after a day or a week, at
    every start, or never."""
    check: tuple[str | tuple[str, ...], ...] = ()
    """Commands that must succeed in a new base before it becomes `latest`: text for its shell, or a list of words."""
    check_timeout_s: Annotated[float, Meta(gt=0, le=3600)] = 120.0
    """For each of them."""
    majors: Literal["ask", "allow"] = "ask"
    """What becomes of a new base that brings a major update of a package: it waits to be approved, or it is taken."""
    keep: Annotated[int, Meta(ge=1, le=1000)] = 5
    """How many versions `base prune` leaves, besides those that are in use, pinned or rolled back to."""

    @property
    def reference(self) -> str:
        """What app builds get as BASE_IMAGE."""
        return self.reference_to(self.version)

    def reference_to(self, version: str) -> str:
        """An image by its version. A digest is the registry's, so it goes with the repository's name."""
        name = (self.remote or self.image) if "@" in version else self.image
        return f"{name}{version}" if version.startswith("@") else f"{name}:{version}"

    @property
    def remote(self) -> str:
        """The repository in a registry; empty where there is none."""
        return self.repository or (self.image if names_registry(self.image) else "")


class AppConfig(Section, frozen=True, kw_only=True):
    """[app]: the thin image, rebuilt on every save."""

    dockerfile: Path
    """May lie outside the context."""
    image: str = ""
    """Default: the project's name."""
    context: Path = Path()
    """Build context; default: the folder of config.toml."""
    target: str = ""
    """Stage to build; empty for the last."""
    mode: Mode = Mode.SPLIT
    """`legacy` serves what [legacy] builds, as before the split; `m` changes it while the console runs."""


class LegacyConfig(Section, frozen=True, kw_only=True):
    """[legacy]: the single-image build that the split is compared with."""

    dockerfile: Path
    """May lie outside the context."""
    image: str = ""
    """Default: `<project>-legacy`."""
    context: Path = Path()
    """Build context; default: the folder of config.toml."""


class ReadyConfig(Section, frozen=True, kw_only=True):
    """[run.ready]: how we know that the app answers; the first one set is used, else the first port must accept."""

    http: str = ""
    """A path on the first published port, or a whole URL; any answer below 400 counts."""
    tcp: str = ""
    """`port` or `host:port` that must accept and keep a connection."""
    log: str = ""
    """A regular expression that a line of the app's log must match."""
    healthcheck: bool = False
    """Wait for the image's own HEALTHCHECK."""
    timeout_s: Annotated[float, Meta(gt=0, le=3600)] = 30.0
    """A container that is not ready after this long is replaced by the one before."""


class RunConfig(Section, frozen=True, kw_only=True):
    """[run]: the app's container."""

    ports: tuple[str, ...] = ()
    """`[ip:]host:container[/udp]`; without an address the port is published on 127.0.0.1 only."""
    environment: dict[str, str] = field(default_factory=dict)
    """Variables of the container."""
    env_file: Path | None = None
    """`KEY=value` lines; `environment` wins."""
    volumes: tuple[str, ...] = ()
    """`source:target[:ro]`; a source that begins with `.` or `/` is a path, anything else a named volume."""
    command: tuple[str, ...] = ()
    """Replaces the image's CMD."""
    network: str = ""
    """A network's name or `host`; empty for the engine's default bridge."""
    init: bool = True
    """A small PID 1 that passes signals on: without it an app that ignores SIGTERM takes the whole grace to stop."""
    stop_grace_s: Annotated[int, Meta(ge=0, le=600)] = 2
    """Seconds between SIGTERM and SIGKILL."""
    swap: Literal["auto", "recreate"] = "auto"
    """`recreate`: the old container stops before the new one starts; so does `auto`."""
    ready: ReadyConfig = field(default_factory=ReadyConfig)


class WatchConfig(Section, frozen=True, kw_only=True):
    """[watch]: which saves count."""

    paths: tuple[Path, ...] = ()
    """Default: the app's build context."""
    ignore: tuple[str, ...] = ()
    """More patterns, in the syntax of .dockerignore, relative to config.toml."""
    quiet_ms: _Milliseconds = 50
    """Saves that follow each other faster than this are one batch."""
    ceiling_ms: _Milliseconds = 1000
    """A batch is closed after this long even while saves go on."""
    on_busy: Literal["restart", "queue", "do-nothing"] = "restart"
    """A save during a build: cancel and start over, finish first, or ignore it."""
    poll: Literal["auto", "true", "false"] = "auto"
    """Look at the files every 300 ms in place of waiting for the kernel's word (network and virtual file systems)."""


class TargetsConfig(Section, frozen=True, kw_only=True):
    """[compare.targets]: what the plan asked for."""

    app_build_s: Annotated[float, Meta(gt=0)] = 60.0
    reduction: Annotated[float, Meta(gt=0, lt=1)] = 0.8
    iteration: Annotated[float, Meta(gt=0)] = 5.0
    ci_reduction: Annotated[float, Meta(gt=0, lt=1)] = 0.7


class StageConfig(Section, frozen=True, kw_only=True):
    """[[compare.stage]]: steps that match belong to this row; asked before the built-in rules."""

    name: _Text
    match: _Text
    """A regular expression over the step's name."""


class CompareConfig(Section, frozen=True, kw_only=True):
    """[compare]: the legacy build beside the split one."""

    race: Literal["in-turn", "beside"] = "in-turn"
    """A save during a race: the legacy build gives way and begins anew once the loop is idle, or both share the cores,
    and neither figure counts."""
    background: bool = False
    """Races by itself, in turn, whenever the loop was idle for a while after a save."""
    idle_s: Annotated[float, Meta(ge=1, le=3600)] = 20.0
    """How long nothing must have been saved or built before a race begins by itself, or anew."""
    targets: TargetsConfig = field(default_factory=TargetsConfig)
    stage: tuple[StageConfig, ...] = ()


class UiConfig(Section, frozen=True, kw_only=True):
    """[ui]: the full screen."""

    theme: _Text = "splitdeck"
    """One of Textual's, or ours."""
    keys: dict[str, str] = field(default_factory=dict)
    """Command name → key, such as `rebuild = "f5"`; the README lists the names."""


class Config(Section, frozen=True, kw_only=True):
    """A whole config.toml, checked and with its defaults filled in."""

    project: ProjectConfig
    base: BaseConfig
    app: AppConfig
    legacy: LegacyConfig | None = None
    build: BuildConfig = field(default_factory=BuildConfig)
    run: RunConfig = field(default_factory=RunConfig)
    watch: WatchConfig = field(default_factory=WatchConfig)
    compare: CompareConfig = field(default_factory=CompareConfig)
    ui: UiConfig = field(default_factory=UiConfig)
    path: Path = Path()
    """The file itself; not a key of it."""

    @property
    def root(self) -> Path:
        """The folder that paths are relative to."""
        return self.path.parent

    @property
    def dockerfiles(self) -> dict[Target, str]:
        """What people call the Dockerfiles: relative to the folder."""
        written = {Target.APP: self.app, Target.BASE: self.base, Target.LEGACY: self.legacy}
        return {target: os.path.relpath(part.dockerfile, self.root) for target, part in written.items() if part}

    def with_base_version(self, version: str) -> Config:
        """The same with another [base] version."""
        return msgspec.structs.replace(self, base=msgspec.structs.replace(self.base, version=version))


def find_config(start: Path) -> Path:
    """The config.toml in a folder or the nearest one above it.

    Raises:
        ConfigError: If there is none.
    """
    for folder in (start, *start.parents):
        if (folder / CONFIG_NAME).is_file():
            return folder / CONFIG_NAME
    raise ConfigError(
        f"no {CONFIG_NAME} in {start} or above it",
        "go to the project's folder, or name one with -C DIR or --config FILE; README.md shows a whole one",
    )


def load_config(path: Path) -> Config:
    """Reads and checks a config.toml.

    Raises:
        ConfigError: Naming file, key, value and, for an unknown key, the nearest valid one.
    """
    path = Path(os.path.normpath(path.absolute()))
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file", "name an existing file with --config FILE") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}", "check its permissions; it must be UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}", "strings need quotes, tables look like [run]") from error
    if "path" in raw:
        raise unknown_key(path, "path", Config)
    refuse_unknown_keys(path, raw, Config, "")

    def from_text(kind: type, value: object) -> Path:
        if kind is Path and isinstance(value, str):
            return Path(os.path.normpath(path.parent / Path(value).expanduser()))
        raise TypeError(f"Expected `str`, got `{type(value).__name__}`")

    if isinstance(raw.setdefault("project", {}), dict):
        raw["project"].setdefault("name", _name_from(path.parent))
    if isinstance(raw.get("base"), dict) and (repository := os.environ.get(REPOSITORY_VARIABLE)):
        raw["base"]["repository"] = repository
    try:
        config = msgspec.convert(raw, Config, dec_hook=from_text)
    except msgspec.ValidationError as error:
        raise wrong_value(path, raw, error, Config) from error
    return _completed(config, path)


def _completed(config: Config, path: Path) -> Config:
    """Fills in what depends on other keys, and checks what no type can."""
    swap = msgspec.structs.replace
    root = path.parent
    check_values(config, path)

    def fail(key: str, value: object, wanted: str, hint: str) -> ConfigError:
        return ConfigError(f"{path}: {key} = {value!r}: {wanted}", hint)

    name = config.project.name
    build = swap(
        config.build,
        ssh=tuple(placed_agent(entry, root) for entry in config.build.ssh),
        cache_from=tuple(placed_cache(entry, root) for entry in config.build.cache_from),
        cache_to=tuple(placed_cache(entry, root) for entry in config.build.cache_to),
    )
    base = swap(config.base, image=config.base.image or f"{name}-base", context=_folder(config.base.context, root))
    app = swap(config.app, image=config.app.image or name, context=_folder(config.app.context, root))
    legacy = config.legacy and swap(
        config.legacy, image=config.legacy.image or f"{name}-legacy", context=_folder(config.legacy.context, root)
    )
    for section, table in (("base", base), ("app", app), ("legacy", legacy)):
        if table is None:
            continue
        if not table.dockerfile.is_file():
            raise fail(f"{section}.dockerfile", str(table.dockerfile), "no such file", _RELATIVE)
        if not table.context.is_dir():
            raise fail(f"{section}.context", str(table.context), "no such folder", _RELATIVE)
    if app.mode is Mode.LEGACY and legacy is None:
        raise fail("app.mode", "legacy", "there is no [legacy]", 'add [legacy] dockerfile = "Dockerfile.legacy"')
    made = {"base.image": f"{base.image}:latest", "app.image": f"{app.image}:latest"}
    if legacy:
        made["legacy.image"] = f"{legacy.image}:latest"
    for key, reference in made.items():
        other = next(other for other, taken in made.items() if taken == reference)
        if other != key:
            wanted = f"the same image as {other}; one would replace the other"
            raise fail(key, reference.removesuffix(":latest"), wanted, "give each image a name of its own")
    watch = swap(config.watch, paths=config.watch.paths or (app.context,))
    for watched in watch.paths:
        if not watched.exists():
            raise fail("watch.paths", str(watched), "no such file or folder", _RELATIVE)
    return swap(config, build=build, base=base, app=app, legacy=legacy, watch=watch, path=path)


def _folder(context: Path, root: Path) -> Path:
    return root if context == Path() else context


def _name_from(folder: Path) -> str:
    return re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-") or "app"
