"""The doctor's checks that take the project's files and this machine, but no engine."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from console.build.context import Kind, select_files
from console.build.dockerfile import read_dockerfile
from console.build.recipe import recipe_for
from console.config import Config
from console.doctor.finding import Finding, Verdict
from console.format import paths, plural, size
from console.history.records import history_path
from console.loop.fingerprint import read_base_inputs
from console.model import SystemClock, Target
from console.watch.ignore import load_ignore
from console.watch.scope import Ignored, scope_of
from console.watch.watcher import Watcher

_MANY_BYTES = 50_000_000
_MANY_FILES = 5_000
_FOLDERS_NAMED = 3
_LOCK_TIMEOUT_S = 10
"""How long another session may hold the history."""


def recipe(config: Config, target: Target) -> list[Finding]:
    """A target's Dockerfile, and what a build of it reads."""
    plan = recipe_for(config, target)
    dockerfile = read_dockerfile(plan.dockerfile, plan.args)
    stages = dockerfile.needed_stages(plan.target or None)
    shown = os.path.relpath(plan.dockerfile, config.root)
    images = dockerfile.base_images(plan.target or None)
    subject = f"{target.value} Dockerfile"
    found = Finding(subject, f"{shown}: {plural(len(stages), 'stage')}, from {paths(images or ('scratch',))}")
    if target is Target.APP and config.base.reference not in images:
        said = f"{shown} does not start from the base image {config.base.reference}"
        hint = f"begin it with `ARG BASE_IMAGE={config.base.reference}` and `FROM ${{BASE_IMAGE}}`"
        found = Finding(subject, said, Verdict.REMARK, hint)
    rules = load_ignore(plan.context, plan.dockerfile)
    selection = select_files(str(plan.context), dockerfile.context_sources(plan.target or None), rules)
    files = [path for path, kind in selection.entries.items() if kind is Kind.FILE]
    return [found, _context(target, plan.context, files)]


def _context(target: Target, root: Path, files: Iterable[str]) -> Finding:
    """How much a build sends, and which folders are to blame where that is a lot."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for path in files:
        folder = f"{path.partition('/')[0]}/" if "/" in path else "."
        counts[folder] += 1
        sizes[folder] += _size(root / path)
    subject, said = f"{target.value} context", f"{plural(counts.total(), 'file')}, {size(sizes.total())}"
    if counts.total() <= _MANY_FILES and sizes.total() <= _MANY_BYTES:
        return Finding(subject, said)
    by = sizes if sizes.total() > _MANY_BYTES else counts
    names = [name for name, _ in by.most_common(_FOLDERS_NAMED)]
    largest = (f"{name} ({size(sizes[name])}, {plural(counts[name], 'file')})" for name in names)
    hint = f"most is in {', '.join(largest)}: leave out by .dockerignore what no image needs, or copy less"
    return Finding(subject, said, Verdict.REMARK, hint)


def _size(place: Path) -> int:
    try:
        return place.lstat().st_size
    except OSError:
        return 0  # gone meanwhile


def history(config: Config) -> Finding:
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
        with closing(sqlite3.connect(path.as_uri() + "?mode=ro", uri=True, timeout=_LOCK_TIMEOUT_S)) as connection:
            sound = connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
            (builds,) = connection.execute("SELECT count(*) FROM sample").fetchone()
    except sqlite3.Error as error:
        return Finding("history", f"{path} cannot be read: {error}", Verdict.REMARK, hint)
    if not sound:
        return Finding("history", f"{path} is damaged", Verdict.REMARK, hint)
    return Finding("history", f"{path}, {plural(builds, 'build')}")


def watch(config: Config) -> Finding:
    """What is watched and how."""
    settings = config.watch
    scope = scope_of(config, read_base_inputs(config, load_ignore).files)
    watcher = Watcher(scope, Ignored(config), settings.quiet_ms, settings.ceiling_ms, settings.poll, SystemClock())
    roots = paths([os.path.relpath(place, config.root) for place in settings.paths])
    said = f"{plural(watcher.count_files(), 'file')} in {roots}"
    if watcher.polling and settings.poll != "true":
        hint = "saves are noticed later than by the kernel's word; keep the source on the Linux side of WSL"
        return Finding("watch", f"{said}, by polling", Verdict.REMARK, hint)
    return Finding("watch", f"{said}, {'by polling, as configured' if watcher.polling else 'told by the kernel'}")
