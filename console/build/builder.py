"""The builder of a project: Dockerfile and context read, sent off, progress told as events, cancellable."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from console import events as ev
from console.build.answer import failure_without_secrets
from console.build.causes import BuildInputs, borrowed, explain
from console.build.context import KeptContext, Kind, Snapshot
from console.build.context.reads import is_read
from console.build.dockerfile import Dockerfile, read_dockerfile
from console.build.dockerfile.step_inputs import step_inputs
from console.build.foundation import Bases, check_foundation
from console.build.last_inputs import LastInputs
from console.build.layers import read_layers
from console.build.recipe import LoadIgnore, Recipe, agents_for, recipe_for, secrets_for
from console.build.request import Backend, BuildRequest, Cancellation
from console.build.secrets import redactor
from console.build.steps import StepLog
from console.config import Config
from console.engine import Engine, EngineWorker, engine_errors
from console.errors import BuildError, SplitdeckError
from console.measurements import Layer
from console.model import (
    LABEL_PROJECT,
    LABEL_ROLE,
    BuildNumber,
    BuildOutcome,
    BuildStatus,
    BuildWarning,
    Cause,
    ContextSummary,
    Step,
    StepFailure,
    Target,
)

if TYPE_CHECKING:
    from docker import APIClient

Result = TypeVar("Result")


_TRUST_S = 60.0


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

    def warned(self, warning: BuildWarning) -> None:
        self._emit(ev.BuildWarned(self._number, self._target, warning))

    def context_sent(self, summary: ContextSummary) -> None:
        self._emit(ev.ContextSent(self._number, summary))


class ProjectBuilder:
    """Builds the project's images on one engine, at most one build of a target at a time.

    Args:
        engine: Where to build.
        config: What to build.
        backend: How to build.
        load_ignore: Reads .dockerignore; an engine does not apply it to what it is sent.
        stage_of: Puts a step under a row of the comparison.
        bases: The base images that are built here, and that app images stand on.
        last_inputs: What earlier builds depended on.
        emit: Where events go.
    """

    def __init__(
        self,
        engine: Engine,
        config: Config,
        backend: Backend,
        load_ignore: LoadIgnore,
        stage_of: Callable[[str], str],
        bases: Bases,
        last_inputs: LastInputs,
        emit: Callable[[ev.Event], None],
    ) -> None:
        self._engine = engine
        self._config = config
        self._backend = backend
        self._load_ignore = load_ignore
        self._stage_of = stage_of
        self._bases = bases
        self._last_inputs = last_inputs
        self._emit = emit
        self._facts = EngineWorker(engine, "images")
        self._workers = {target: EngineWorker(engine, f"build {target.value}") for target in Target}
        self._running: dict[Target, Cancellation] = {}
        self._kept: dict[Target, KeptContext] = {}
        self._covers: Callable[[KeptContext], bool] = lambda _kept: False
        self._looked_at: dict[Target, float] = {}
        """When everything in a target's build context was last looked at, on the clock that never jumps."""
        self._ours: set[str] = set()
        """Tags that were found free or ours: only the first build of each looks."""

    async def build(self, number: BuildNumber, target: Target, *, no_cache: bool = False) -> BuildOutcome:
        """Builds one target, and waits for its end.

        Raises:
            SplitdeckError: If the build could not begin, or the engine went away.
        """
        if target in self._running:
            raise BuildError(f"the {target.value} image is being built already")
        cancellation = self._running[target] = Cancellation()
        reporter = _Reporter(self._emit, number, target)
        try:
            return await self._workers[target].call(
                lambda client: self._build(client, target, cancellation, reporter, no_cache=no_cache)
            )
        finally:
            del self._running[target]

    async def layers(self, image_id: str, base_id: str) -> tuple[tuple[Layer, ...], int]:
        """The layers of an image, and how many of them are its base's. See `read_layers`."""
        return await self._facts.call(lambda client: read_layers(client, image_id, base_id))

    def saved(self, paths: Iterable[str]) -> None:
        """Takes note of changed files and directories (absolute paths): a build looks at these again."""
        for kept in self._kept.values():
            kept.saved(paths)

    def doubt(self) -> None:
        """Takes note that changes may have gone by unnoticed: the next builds look at everything."""
        for kept in self._kept.values():
            kept.doubt()

    def watching(self, covers: Callable[[KeptContext], bool]) -> None:
        """From now on `saved` tells of every change in those build contexts for which `covers` is true."""
        self.doubt()
        self._covers = covers

    def reads(self, target: Target, path: str) -> bool:
        """Whether a build of a target could read a path (relative to the project's folder); true where in doubt."""
        recipe = self._recipe(target)
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
        cancellation = self._running.get(target)
        if cancellation is not None and not cancellation.asked:
            threading.Thread(target=cancellation.cancel, name=f"cancel {target.value}", daemon=True).start()

    def close(self) -> None:
        """Lets the threads end after what they are at."""
        for worker in (*self._workers.values(), self._facts):
            worker.close()

    def _build(
        self, client: APIClient, target: Target, cancellation: Cancellation, reporter: _Reporter, *, no_cache: bool
    ) -> BuildOutcome:
        began = time.monotonic()
        recipe = self._recipe(target)
        if target is not Target.BASE and recipe.tag not in self._ours:  # a base may well come from elsewhere
            _refuse_foreign(client, recipe.tag, self._config.project.name, target)
            self._ours.add(recipe.tag)
        dockerfile = read_dockerfile(recipe.dockerfile, recipe.args)
        dockerfile = replace(dockerfile, path=os.path.relpath(recipe.dockerfile, self._config.root))
        # Before the files are looked at: one that is saved in between then counts as changed since.
        foundation = self._bases.foundation(client) if target is Target.APP else None
        labels = {LABEL_PROJECT: self._config.project.name, LABEL_ROLE: target.value}
        labels |= self._bases.labels(client) if target is Target.BASE else {}
        labels |= foundation.labels if foundation is not None else {}
        kept = self._kept_for(target, recipe.context)
        snapshot = kept.snapshot(
            self._load_ignore(recipe.context, recipe.dockerfile),
            dockerfile.context_sources(recipe.target or None),
            recipe.dockerfile,
            trust=self._trusts(target, kept),
        )
        summary = _summary(snapshot, (time.monotonic() - began) * 1000)
        reporter.context_sent(summary)
        if cancellation.asked:
            return BuildOutcome(BuildStatus.CANCELLED, 0.0, context=summary)
        request = self._request(recipe, dockerfile, snapshot, cancellation, labels, no_cache=no_cache)
        inputs = _Later(lambda: self._inputs(recipe, dockerfile, snapshot))
        outcome = self._backend.build(client, request, reporter)
        # A tar is packed only there, before the request from which on the build's own time counts.
        until_request_ms = (time.monotonic() - began) * 1000 - outcome.duration_ms
        context_ms = max(summary.duration_ms, until_request_ms)
        summary = replace(summary, duration_ms=context_ms, sent_bytes=outcome.sent_bytes)
        if outcome.status is BuildStatus.CANCELLED and not cancellation.asked:
            failure = StepFailure("", "the engine cancelled the build", dockerfile.path)
            outcome = replace(outcome, status=BuildStatus.FAILED, failure=failure)
        if foundation is not None:
            outcome = replace(outcome, base_id=foundation.image_id)
        if outcome.failure is not None:  # what the engine says before there is an answer may hold one, too
            outcome = replace(outcome, failure=failure_without_secrets(outcome.failure, request.redact))
        if outcome.status is BuildStatus.OK:
            with engine_errors("reading the image's size"):
                found: dict[str, Any] = client.inspect_image(outcome.image_id)  # type: ignore[no-untyped-call]
            causes, unpaid = self._causes(target, inputs, outcome, no_cache=no_cache)
            outcome = replace(outcome, size_bytes=found["Size"], causes=causes, borrowed=unpaid)
            if foundation is not None:
                outcome = check_foundation(outcome, found, foundation, dockerfile, recipe.target, reporter.warned)
        return replace(outcome, context=summary)

    def _recipe(self, target: Target) -> Recipe:
        return recipe_for(self._config.with_base_version(self._bases.version), target)

    def _trusts(self, target: Target, kept: KeptContext) -> bool:
        """Whether a build may look at nothing but what was saved.

        A base's labels are taken from the files themselves, so what it holds must be, too. And as the kernel drops
        events that come too fast without a word, everything is looked at again at least once a minute.
        """
        now = time.monotonic()
        if target is not Target.BASE and self._covers(kept) and now - self._looked_at.get(target, -_TRUST_S) < _TRUST_S:
            return True
        self._looked_at[target] = now
        return False

    def _causes(
        self, target: Target, inputs: _Later[BuildInputs], outcome: BuildOutcome, *, no_cache: bool
    ) -> tuple[tuple[Cause, ...], tuple[str, ...]]:
        """Why the steps that were run did not come from the cache, and which the cache had from elsewhere.

        Nothing where that cannot be found out now.
        """
        try:
            before, now = self._last_inputs.get(target), inputs.result()
            causes = explain(before, now, outcome.steps, no_cache=no_cache)
            unpaid = () if no_cache else borrowed(before, now, outcome.steps)
            self._last_inputs.keep(target, now)
        except Exception:  # noqa: BLE001 - the image is built; not to know why a step was run is no failure
            return (), ()
        return causes, unpaid

    def _kept_for(self, target: Target, context: Path) -> KeptContext:
        if target not in self._kept:
            self._kept = {**self._kept, target: KeptContext(context)}  # `saved` may be going through them
        return self._kept[target]

    def _request(
        self,
        recipe: Recipe,
        dockerfile: Dockerfile,
        snapshot: Snapshot,
        cancellation: Cancellation,
        labels: Mapping[str, str],
        *,
        no_cache: bool,
    ) -> BuildRequest:
        build = self._config.build
        secrets = secrets_for(build, dockerfile, recipe.target)
        return BuildRequest(
            tag=recipe.tag,
            snapshot=snapshot,
            dockerfile=dockerfile,
            stage_of=self._stage_of,
            cancellation=cancellation,
            args=recipe.args,
            labels=labels,
            target=recipe.target,
            no_cache=no_cache,
            network=build.network,
            platform=build.platform,
            secrets=secrets,
            ssh=agents_for(build, dockerfile, recipe.target),
            builder=build.builder,
            cache_from=build.cache_from,
            cache_to=build.cache_to,
            redact=redactor(secrets),
        )

    def _inputs(self, recipe: Recipe, dockerfile: Dockerfile, snapshot: Snapshot) -> BuildInputs:
        """What the build depends on; worked out while it runs."""
        steps = step_inputs(dockerfile, recipe.args, recipe.target)
        files = {path: f"{entry.mode:o} {entry.digest.hex()[:16]}" for path, entry in snapshot.entries.items()}
        links = {path: entry.target for path, entry in snapshot.entries.items() if entry.kind is Kind.LINK}
        names = dict.fromkeys(name for step in steps for name in step.images)
        client = self._engine.client()
        try:
            images = {name: image_id for name in names if (image_id := _image_id(client, name))}
        finally:
            client.close()
        build = self._config.build
        return BuildInputs(steps, files, images, dockerfile.path, links, build.network, build.platform)


class _Later(Generic[Result]):
    """Something that is worked out meanwhile, in a thread of its own."""

    def __init__(self, job: Callable[[], Result]) -> None:
        self._future: Future[Result] = Future()
        threading.Thread(target=self._run, args=(job,), name="build inputs", daemon=True).start()

    def result(self) -> Result:
        """Waits for it; raises what it raised."""
        return self._future.result()

    def _run(self, job: Callable[[], Result]) -> None:
        try:
            self._future.set_result(job())
        except BaseException as error:  # noqa: BLE001 - handed to whoever asks
            self._future.set_exception(error)


def _image_id(client: APIClient, name: str) -> str:
    """An image's ID; empty where it is not on the engine."""
    from docker.errors import ImageNotFound

    with engine_errors(f"looking for {name}"):
        try:
            found: dict[str, str] = client.inspect_image(name)  # type: ignore[no-untyped-call]
        except ImageNotFound:
            return ""
    return found["Id"]


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


def _summary(snapshot: Snapshot, duration_ms: float) -> ContextSummary:
    return ContextSummary(snapshot.files, snapshot.size_bytes, snapshot.digest, duration_ms, snapshot.skipped)
