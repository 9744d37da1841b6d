"""`splitdeck doctor`: what keeps a project from being built and served here, and what will make that slow.

Nothing is built or changed. Every check has a deadline: a check that hangs is one that failed.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswerError
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from console.base.versions import find_base
from console.build.backends import open_backend
from console.build.context import Kind, select_files
from console.build.dockerfile import read_dockerfile
from console.build.probes import probe_buildx
from console.build.recipe import recipe_for
from console.build.request import SecretSource
from console.build.secrets import read_secret
from console.config import Config
from console.engine import Engine, connect, engine_errors
from console.errors import ExitCode, SplitdeckError
from console.format import age, paths, plural, printable, size
from console.history.records import history_path
from console.loop.fingerprint import read_base_inputs, status_of
from console.loop.guard import defect
from console.model import SystemClock, Target
from console.places import Port, parse_port
from console.run.published import holder_of
from console.watch.ignore import load_ignore
from console.watch.scope import Ignored, scope_of
from console.watch.watcher import Watcher

if TYPE_CHECKING:
    from docker import APIClient

Result = TypeVar("Result")

_DEADLINE_S = 30.0
"""For one check; the longest honest one walks a huge build context."""
_REQUEST_TIMEOUT_S = 10
_MANY_BYTES = 50_000_000
_MANY_FILES = 5_000
_FOLDERS_NAMED = 3


class Verdict(str, Enum):
    """What came of a check, as it is shown."""

    WELL = "✔"
    REMARK = "!"
    """It works, but not as well as it could, or not yet."""
    FAILED = "✘"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    subject: str
    said: str
    verdict: Verdict = Verdict.WELL
    hint: str = ""
    remarks: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """As it is shown."""
        yield f"{self.verdict.value} {self.subject:<12} {self.said}"
        for more in (*self.remarks, *([f"hint: {self.hint}"] if self.hint else [])):
            yield f"{'':<15}{more}"


def run_doctor(load: Callable[[], Config], tell: Callable[[str], object]) -> ExitCode:
    """Runs all checks and tells what each finds, as soon as it is known.

    Args:
        load: Reads the configuration.
        tell: Takes a line.
    """
    failed = no_engine = False

    def note(found: Iterable[Finding]) -> None:
        nonlocal failed
        for finding in found:
            failed = failed or finding.verdict is Verdict.FAILED
            for line in finding.lines():
                tell(printable(line))

    config: Config | None = None
    try:
        config = load()
        note([Finding("config", str(config.path))])
    except SplitdeckError as error:
        note([_failure("config", error)])
    engine: Engine | None = None
    try:
        engine = within_deadline(connect)
        note([_engine(engine)])
    except SplitdeckError as error:
        no_engine = True
        note([_failure("engine", error)])
    for subject, check in _checks(config, engine):
        try:
            note(within_deadline(check))
        except SplitdeckError as error:
            note([_failure(subject, error)])
        except Exception as error:  # noqa: BLE001 - a defect of ours in one check must not hide the others
            message, hint = defect(error)
            note([Finding(subject, message, Verdict.FAILED, hint)])
    if no_engine:
        return ExitCode.NO_ENGINE
    return ExitCode.FAILED if failed else ExitCode.OK


def within_deadline(job: Callable[[], Result]) -> Result:
    """A job's result, or what it raised.

    Raises:
        SplitdeckError: If it takes too long. Its thread is left behind: nothing can end it, and it holds up nothing.
    """
    future: Future[Result] = Future()

    def work() -> None:
        try:
            future.set_result(job())
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            future.set_exception(error)

    threading.Thread(target=work, name="doctor", daemon=True).start()
    try:
        return future.result(_DEADLINE_S)
    except NoAnswerError:
        hint = "is a disk or network that it needs away?"
        raise SplitdeckError(f"no answer within {_DEADLINE_S:g} s", hint) from None


def _checks(config: Config | None, engine: Engine | None) -> Iterator[tuple[str, Callable[[], list[Finding]]]]:
    """Subject and job of every check that can be made; jobs on the engine bring their own client."""
    if engine is not None:
        if config is not None:
            yield "builder", lambda: [_builder(config, engine)]
        yield "buildx", lambda: [_buildx(engine)]
    if config is None:
        return
    if engine is not None:
        yield "base image", lambda: [_base(config, engine)]
    for target in (Target.BASE, Target.APP, *((Target.LEGACY,) if config.legacy else ())):
        yield target.value, lambda target=target: _recipe(config, target)  # type: ignore[misc]
    if engine is not None and config.run.ports:
        yield "ports", lambda: _ports(config, engine)
    yield "secrets", lambda: _secrets(config)
    yield "history", lambda: [_history(config)]
    yield "watch", lambda: [_watch(config)]


def _failure(subject: str, error: SplitdeckError) -> Finding:
    return Finding(subject, error.message, Verdict.FAILED, error.hint)


def _engine(engine: Engine) -> Finding:
    info = engine.info
    able = f"{info.name} {info.version}, API {info.api_version}, {info.builder}, {info.storage} store"
    return Finding("engine", f"{able}, {'on another machine' if info.remote else 'here'} at {info.host}")


def _asking(engine: Engine, ask: Callable[[APIClient], Result]) -> Result:
    client = engine.client()
    client.timeout = _REQUEST_TIMEOUT_S
    with closing(client):
        return ask(client)


def _builder(config: Config, engine: Engine) -> Finding:
    found, _ = open_backend(engine, config, SystemClock())
    name = f", builder {found.builder}" if found.builder else ""
    said = f"{found.backend} by {found.transport}{name}: {found.reason}"
    return Finding("builder", said, Verdict.REMARK if found.limits else Verdict.WELL, remarks=found.limits)


def _buildx(engine: Engine) -> Finding:
    probe = probe_buildx(engine.command_environment())
    if probe.version is None:
        return Finding("buildx", f"not here ({probe.reason}); only some keys of [build] take it")
    names = (f"{name} ({each.driver or 'broken'})" for name, each in probe.builders.items())
    return Finding("buildx", f"{probe.version}, builders: {', '.join(names) or 'none'}")


def _base(config: Config, engine: Engine) -> Finding:
    reference = config.base.reference
    image = _asking(engine, lambda client: find_base(client, reference))
    status = status_of(reference, image, read_base_inputs(config, load_ignore))
    if not status.present:
        if "@" in reference:
            hint = f"`docker pull {reference}`, or set [base] version to a tag to build it here"
            return Finding("base image", f"{reference} is not here", Verdict.FAILED, hint)
        hint = "`splitdeck build base` makes it; so does the first app build"
        return Finding("base image", f"{reference} is not here yet", Verdict.REMARK, hint)
    described = f"{reference}, {size(status.size_bytes)}, made {age(time.time() - status.created_at)} ago"
    if status.stale_files:
        hint = "`splitdeck build base` makes it anew"
        return Finding("base image", f"{described}, stale: {paths(status.stale_files)}", Verdict.REMARK, hint)
    known = "fresh" if status.fingerprint else "not made by splitdeck, so nobody knows whether it is fresh"
    return Finding("base image", f"{described}, {known}")


def _recipe(config: Config, target: Target) -> list[Finding]:
    """A target's Dockerfile, and what a build of it reads."""
    recipe = recipe_for(config, target)
    dockerfile = read_dockerfile(recipe.dockerfile, recipe.args)
    stages = dockerfile.needed_stages(recipe.target or None)
    shown = os.path.relpath(recipe.dockerfile, config.root)
    images = dockerfile.base_images(recipe.target or None)
    found = Finding(target.value, f"{shown}: {plural(len(stages), 'stage')}, from {paths(images or ('scratch',))}")
    if target is Target.APP and config.base.reference not in images:
        said = f"{shown} does not start from the base image {config.base.reference}"
        hint = "begin it with `ARG BASE_IMAGE` and `FROM ${BASE_IMAGE}`"
        found = Finding(target.value, said, Verdict.REMARK, hint)
    rules = load_ignore(recipe.context, recipe.dockerfile)
    selection = select_files(str(recipe.context), dockerfile.context_sources(recipe.target or None), rules)
    files = [path for path, kind in selection.entries.items() if kind is Kind.FILE]
    return [found, _context(target, recipe.context, files)]


def _context(target: Target, root: Path, files: Iterable[str]) -> Finding:
    """How much a build sends, and which folders are to blame where that is a lot."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for path in files:
        folder = f"{path.partition('/')[0]}/" if "/" in path else "."
        counts[folder] += 1
        sizes[folder] += _size(root / path)
    said = f"build context of {plural(counts.total(), 'file')}, {size(sizes.total())}"
    if counts.total() <= _MANY_FILES and sizes.total() <= _MANY_BYTES:
        return Finding(target.value, said)
    by = sizes if sizes.total() > _MANY_BYTES else counts
    names = [name for name, _ in by.most_common(_FOLDERS_NAMED)]
    largest = (f"{name} ({size(sizes[name])}, {plural(counts[name], 'file')})" for name in names)
    hint = f"most is in {', '.join(largest)}: leave out by .dockerignore what no image needs, or copy less"
    return Finding(target.value, said, Verdict.REMARK, hint)


def _size(place: Path) -> int:
    try:
        return place.lstat().st_size
    except OSError:
        return 0  # gone meanwhile


def _ports(config: Config, engine: Engine) -> list[Finding]:
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


def _secrets(config: Config) -> list[Finding]:
    """Whether the build secrets and ssh agents are there; never what they are."""
    found = []
    for name, source in config.build.secrets.items():
        try:
            read_secret(name, SecretSource(str(source.file or ""), source.env))
            place = f"variable {source.env}" if source.env else str(source.file)
            found.append(Finding("secrets", f"{name}: there ({place})"))
        except SplitdeckError as error:
            found.append(_failure("secrets", error))
    for entry in config.build.ssh:
        name, _, place = entry.partition("=")
        place = place or os.environ.get("SSH_AUTH_SOCK", "")
        if _is_socket(place):
            found.append(Finding("secrets", f"ssh {name}: there ({place})"))
        else:
            missing = f"no agent at {place}" if place else "no agent runs (SSH_AUTH_SOCK is not set)"
            hint = "start one: eval $(ssh-agent) && ssh-add"
            found.append(Finding("secrets", f"ssh {name}: {missing}", Verdict.FAILED, hint))
    return found


def _is_socket(place: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(place).st_mode)  # noqa: PTH116
    except OSError:
        return False


def _history(config: Config) -> Finding:
    """The file of measurements, looked at without touching it."""
    path = history_path(config.project.name, config.path)
    if not path.exists():
        folder = next(folder for folder in path.parents if folder.exists())
        if os.access(folder, os.W_OK | os.X_OK):
            return Finding("history", f"{path}, begins with the first build")
        hint = "give your user the right to write there, or set SPLITDECK_STATE_DIR"
        return Finding("history", f"{folder} cannot be written to", Verdict.REMARK, hint)
    hint = "move the file away; the next session begins a new one"
    try:
        with closing(sqlite3.connect(path.as_uri() + "?mode=ro", uri=True, timeout=_REQUEST_TIMEOUT_S)) as connection:
            sound = connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
            (builds,) = connection.execute("SELECT count(*) FROM sample").fetchone()
    except sqlite3.Error as error:
        return Finding("history", f"{path} cannot be read: {error}", Verdict.REMARK, hint)
    if not sound:
        return Finding("history", f"{path} is damaged", Verdict.REMARK, hint)
    return Finding("history", f"{path}, {plural(builds, 'build')}")


def _watch(config: Config) -> Finding:
    """What is watched and how."""
    watch = config.watch
    scope = scope_of(config, read_base_inputs(config, load_ignore).files)
    watcher = Watcher(scope, Ignored(config), watch.quiet_ms, watch.ceiling_ms, watch.poll, SystemClock())
    roots = paths([os.path.relpath(place, config.root) for place in watch.paths])
    said = f"{plural(watcher.count_files(), 'file')} in {roots}"
    if watcher.polling and watch.poll != "true":
        hint = "saves are noticed later than by the kernel's word; keep the source on the Linux side of WSL"
        return Finding("watch", f"{said}, by polling", Verdict.REMARK, hint)
    return Finding("watch", f"{said}, {'by polling, as configured' if watcher.polling else 'told by the kernel'}")
