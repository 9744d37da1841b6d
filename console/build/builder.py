"""The builder of a project: Dockerfile and context read, sent to the engine, progress told as events, cancellable."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console import events as ev
from console.build.api import BuildRequest, cancel_build, run_build
from console.build.context import Context, read_context
from console.build.context.files import Excludes
from console.build.context.reads import is_read
from console.build.dockerfile import read_dockerfile
from console.build.steps import StepLog
from console.config import Config
from console.engine import Engine, EngineWorker, engine_errors
from console.errors import BuildError, EngineError, SplitdeckError
from console.model import (
    LABEL_PROJECT,
    LABEL_ROLE,
    BuildNumber,
    BuildOutcome,
    BuildStatus,
    ContextSummary,
    Step,
    StepFailure,
    Target,
)

if TYPE_CHECKING:
    from docker import APIClient

_CANCEL_AGAIN_S = 0.02
_CANCEL_FAILED_S = 0.5

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


class _Reporter:
    """Turns a build's progress into events, on the build's thread."""

    def __init__(self, emit: Callable[[ev.Event], None], number: BuildNumber, target: Target) -> None:
        self._emit = emit
        self._number = number
        self._target = target

    def step_updated(self, step: Step) -> None:
        self._emit(ev.StepUpdated(self._number, step))

    def logged(self, log: StepLog) -> None:
        self._emit(ev.BuildLogged(log.stream, log.lines, self._number, self._target, log.step))

    def context_sent(self, summary: ContextSummary) -> None:
        self._emit(ev.ContextSent(self._number, summary))


@dataclass(slots=True)
class _Running:
    """One build under way."""

    id: str
    cancelled: threading.Event
    done: threading.Event


class EngineBuilder:
    """Builds the project's images on one engine, at most one build of a target at a time.

    Args:
        engine: Where to build.
        config: What to build.
        load_ignore: Reads .dockerignore; the engine does not apply it to a tar.
        stage_of: Puts a step under a row of the comparison.
        labels: More labels for an image, asked for when its build begins.
        emit: Where events go.
    """

    def __init__(
        self,
        engine: Engine,
        config: Config,
        load_ignore: LoadIgnore,
        stage_of: Callable[[str], str],
        labels: Callable[[Target], Mapping[str, str]],
        emit: Callable[[ev.Event], None],
    ) -> None:
        self._engine = engine
        self._config = config
        self._load_ignore = load_ignore
        self._stage_of = stage_of
        self._labels = labels
        self._emit = emit
        self._workers = {target: EngineWorker(engine, f"build {target.value}") for target in Target}
        self._running: dict[Target, _Running] = {}
        self._ours: set[str] = set()
        """Tags that were found free or ours: only the first build of each looks."""

    async def build(self, number: BuildNumber, target: Target, *, no_cache: bool = False) -> BuildOutcome:
        """Builds one target, and waits for its end.

        Raises:
            SplitdeckError: If the build could not begin, or the engine went away.
        """
        if target in self._running:
            raise BuildError(f"the {target.value} image is being built already")
        running = _Running(f"splitdeck-{secrets.token_hex(8)}", threading.Event(), threading.Event())
        self._running[target] = running
        reporter = _Reporter(self._emit, number, target)
        try:
            return await self._workers[target].call(
                lambda client: self._build(client, target, running, reporter, no_cache=no_cache)
            )
        finally:
            running.done.set()
            del self._running[target]

    def reads(self, target: Target, path: str) -> bool:
        """Whether a build of a target could read a path (relative to the project's folder); true where in doubt."""
        recipe = recipe_for(self._config, target)
        place = Path(os.path.normpath(self._config.root / path))
        if place in (recipe.dockerfile, self._config.run.env_file) or place.name.endswith(".dockerignore"):
            return True
        if not place.is_relative_to(recipe.context):
            return False
        try:
            sources = read_dockerfile(recipe.dockerfile, recipe.args).context_sources(recipe.target or None)
        except SplitdeckError:
            return True  # the build will say what is wrong with the Dockerfile
        return is_read(recipe.context, sources, place.relative_to(recipe.context).as_posix())

    def cancel(self, target: Target) -> None:
        """Ends the running build of a target; `build` returns soon. Nothing to end is fine."""
        running = self._running.get(target)
        if running is None or running.cancelled.is_set():
            return
        running.cancelled.set()
        threading.Thread(target=self._cancel, args=(running,), name=f"cancel {target.value}", daemon=True).start()

    def close(self) -> None:
        """Lets the threads end after what they are at."""
        for worker in self._workers.values():
            worker.close()

    def _cancel(self, running: _Running) -> None:
        """Asks until the build is over: a request that comes before the builder knows the build has no effect."""
        client = self._engine.client()
        try:
            while not running.done.is_set():
                try:
                    cancel_build(client, running.id)
                    running.done.wait(_CANCEL_AGAIN_S)
                except EngineError:  # if it lasts, the build's own thread meets it and tells it
                    running.done.wait(_CANCEL_FAILED_S)
        finally:
            client.close()

    def _build(
        self, client: APIClient, target: Target, running: _Running, reporter: _Reporter, *, no_cache: bool
    ) -> BuildOutcome:
        began = time.monotonic()
        recipe = recipe_for(self._config, target)
        if "@" in recipe.tag:
            raise BuildError(
                f"the base is pinned to {recipe.tag.partition(':')[0]}:…, which no build can make",
                "pull that image, or set [base] version to a tag to build it here",
            )
        if target is not Target.BASE and recipe.tag not in self._ours:  # a base may well come from elsewhere
            _refuse_foreign(client, recipe.tag, self._config.project.name, target)
            self._ours.add(recipe.tag)
        dockerfile = read_dockerfile(recipe.dockerfile, recipe.args)
        dockerfile = replace(dockerfile, path=os.path.relpath(recipe.dockerfile, self._config.root))
        # Before the files are packed: one that is saved in between then counts as changed since.
        labels = {LABEL_PROJECT: self._config.project.name, LABEL_ROLE: target.value, **self._labels(target)}
        context = read_context(
            recipe.context,
            self._load_ignore(recipe.context, recipe.dockerfile),
            dockerfile.context_sources(recipe.target or None),
            recipe.dockerfile,
        )
        with context.tar:
            summary = _summary(context, (time.monotonic() - began) * 1000)
            reporter.context_sent(summary)
            if running.cancelled.is_set():
                return BuildOutcome(BuildStatus.CANCELLED, 0.0, context=summary)
            request = BuildRequest(
                build_id=running.id,
                tag=recipe.tag,
                tar=context.tar,
                dockerfile_in_tar=context.dockerfile,
                dockerfile=dockerfile,
                stage_of=self._stage_of,
                args=recipe.args,
                labels=labels,
                target=recipe.target,
                no_cache=no_cache,
                network=self._config.build.network,
                platform=self._config.build.platform,
            )
            outcome = run_build(client, request, reporter)
        if outcome.status is BuildStatus.CANCELLED and not running.cancelled.is_set():
            failure = StepFailure("", "the engine cancelled the build", dockerfile.path)
            outcome = replace(outcome, status=BuildStatus.FAILED, failure=failure)
        if outcome.status is BuildStatus.OK:
            with engine_errors("reading the image's size"):
                found: dict[str, int] = client.inspect_image(outcome.image_id)  # type: ignore[no-untyped-call]
            outcome = replace(outcome, size_bytes=found["Size"])
        return replace(outcome, context=summary)


def _refuse_foreign(client: APIClient, tag: str, project: str, target: Target) -> None:
    """Sees to it that a build takes no tag from an image that is not this project's."""
    from docker.errors import ImageNotFound

    with engine_errors(f"looking for {tag}"):
        try:
            found: dict[str, Any] = client.inspect_image(tag)  # type: ignore[no-untyped-call]
        except ImageNotFound:
            return
    if ((found.get("Config") or {}).get("Labels") or {}).get(LABEL_PROJECT) != project:
        raise BuildError(
            f"there is an image {tag} that was not built for {project}; a build would take its name",
            f"set [{target.value}] image to another name, or remove or retag that image",
        )


def _summary(context: Context, duration_ms: float) -> ContextSummary:
    return ContextSummary(context.files, context.size_bytes, context.digest, duration_ms, context.skipped)
