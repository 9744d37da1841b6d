"""Where both tracks are built to be compared: builds like any other, but of a copy, under names of their own.

They are made by the same builder as the loop's, timed in the same way, and kept in the project's history under the
scenario that their steps tell. App builds stand on the present base, or on one that was built here from the copy. All
images are removed at the end, so that neither `latest` of the app nor the base that it stands on becomes another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from console import events as ev
from console.base.revision import head_revision
from console.base.versions import BaseImage, find_base, identify_images
from console.base_values import BaseStatus, Foundation
from console.build.backends import open_backend
from console.build.builder import ProjectBuilder
from console.build.last_inputs import LastInputs
from console.build.recipe import recipe_for
from console.config import Config
from console.engine import Engine, engine_errors
from console.errors import BuildError, ConfigError, EngineError, EngineUnreachableError, SplitdeckError
from console.format import duration
from console.history.findings import Place, last_base, pull_time
from console.history.recorder import HistoryRecorder
from console.history.records import History, history_path
from console.history.stages import StageRules
from console.lock import Lock, project_lock
from console.loop.builds import Builds, Identity, this_machine
from console.loop.endings import to_its_end
from console.loop.fingerprint import BaseInputs, read_base_inputs, status_of
from console.measurements import PullTime, Sample, Trigger
from console.model import BuildStatus, Clock, Target
from console.source_copy import SourceCopy
from console.watch.ignore import load_ignore

if TYPE_CHECKING:
    from docker import APIClient

Result = TypeVar("Result")
Tell = Callable[[str], None]
"""Takes a line for people, from any thread."""


@dataclass(frozen=True, slots=True)
class _Present:
    """The base as it was found."""

    status: BaseStatus
    image: BaseImage | None
    """None where it is not on the engine."""
    inputs: BaseInputs
    """What it would be built from now."""


@dataclass(slots=True)
class Bench:
    """Where the builds are made."""

    engine: Engine
    config: Config
    source: SourceCopy
    identity: Identity
    clock: Clock
    present: _Present
    tell: Tell
    lock: Lock
    images: list[str] = field(default_factory=list)
    """IDs of what was built, oldest first; and of what an earlier comparison could not remove."""
    builds: dict[bool, Builds] = field(default_factory=dict)
    """By whether the base is one that was built here."""
    builders: list[ProjectBuilder] = field(default_factory=list)
    recorder: HistoryRecorder | None = None
    history: History | None = None

    async def build(self, target: Target, words: str, *, no_cache: bool = False, own_base: bool = False) -> Sample:
        """One build, recorded like any other.

        Args:
            target: What to build.
            words: What for, for people.
            no_cache: Take nothing from the builder's cache.
            own_base: Build the app on the base that was built here last, and not on the present one.

        Raises:
            SplitdeckError: If it fails, cannot be recorded, or the base is not the one that the first build stood on.
        """
        own_base = own_base or target is Target.BASE
        stands_on = self.source.as_edited(self.present.inputs).fingerprint
        if target is Target.APP and not own_base:
            await asyncio.to_thread(self._check_base)
            stands_on = self.present.status.image_id
        builds = self.builds[own_base]
        finished = await to_its_end(
            builds.build(
                *(target, f"compare: {words}", None),
                trigger=Trigger.COMPARE,
                no_cache=no_cache,
                stands_on=stands_on,
                serving=False,
                watching=False,
            ),
            lambda: builds.cancel(target),
        )
        if finished.outcome.image_id:
            self.images.append(finished.outcome.image_id)
        recorded = None if finished.recorded is None else await asyncio.shield(finished.recorded)
        if finished.cut_off:
            raise EngineUnreachableError("the container engine went away", "compare again once it is back")
        if finished.outcome.status is not BuildStatus.OK:
            raise BuildError(f"the {target.value} build did not succeed, so there is nothing to compare")
        self.tell(f"{target.value}: {words}: {duration(finished.outcome.duration_ms)}")
        if recorded is None:
            raise SplitdeckError(
                f"the {target.value} build was not recorded",
                "see that the state directory can be written (SPLITDECK_STATE_DIR)",
            )
        return recorded.sample

    @property
    def place(self) -> Place:
        """Where it is measured."""
        return Place(self.identity.engine, self.identity.machine, self.config.dockerfiles)

    def last_base(self) -> Sample | None:
        """The newest base build that is known: it tells what the base holds."""
        assert self.history is not None
        base = last_base(self.history, self.place)
        return None if base is None else self.history.whole(base)

    def pull(self) -> tuple[PullTime | None, str]:
        """What pulling the base takes, as it was measured whenever that was done here, or why that is not known."""
        assert self.history is not None
        found = pull_time(self.history, self.place)
        if found is not None:
            return found, ""
        if self.history.pulls(*self.place.key):
            return None, "it was only pulled where a part of it was already"
        if not self.config.base.remote:
            return None, "there is no [base] repository to pull it from"
        return None, "`splitdeck base pull` on a machine that has nothing of it measures it"

    async def close(self) -> None:
        """Removes the images and lets go of everything else."""
        for builds in self.builds.values():
            await builds.settle()
        for builder in self.builders:
            builder.close()
        if self.recorder is not None:
            await self.recorder.close()
        if self.history is not None:
            self.history.close()
        names = _image_names(self.source)
        await to_its_end(asyncio.to_thread(_remove_images, self.engine, names, self.images))
        self.lock.release()

    def _check_base(self) -> None:
        now = _find_image(self.engine, self.present.status.reference)
        if now is None or now.image_id != self.present.status.image_id:
            raise SplitdeckError(
                f"{self.present.status.reference} became another image while it was measured on",
                "compare again once nothing builds or pulls the base",
            )


async def open_bench(
    engine: Engine, config: Config, source: SourceCopy, folder: Path, tell: Tell, clock: Clock
) -> Bench:
    """Makes the parts.

    Args:
        engine: Where to build.
        config: The project.
        source: What to build.
        folder: For what is of use only until the end.
        tell: Hears of each build as it ends, and of what goes wrong.
        clock: The present.

    Raises:
        SplitdeckError: If the base is not there, or the engine cannot build what the configuration asks for.
    """
    present = await asyncio.to_thread(_look_at_base, engine, config)
    if present.image is None:
        ways = "build it first: `splitdeck build base`"
        if config.base.remote:
            ways = f"take it from {config.base.remote} first: `splitdeck base pull`, which is measured, too; or {ways}"
        raise BuildError(
            f"there is no base image {present.status.reference} on this engine, and without it no app build to measure",
            ways,
        )
    left = await asyncio.to_thread(_left_behind, engine, source)
    path = history_path(config.project.name, config.path)
    what = f"is comparing the builds of {config.project.name} already"
    lock = Lock(path.with_suffix(".compare.lock"), what, "wait until it is done, or end it first")
    lock.take()
    if _is_served(path, config.project.name):
        tell("a session of this project runs meanwhile: what it builds makes these figures worse (p pauses it)")
    emit = _Told(tell, source.shown)
    chosen, backend = await asyncio.to_thread(
        open_backend, engine, config, clock, tell=lambda reason: emit(ev.ErrorOccurred(reason))
    )
    measured_on = chosen.measured_on(engine.info)
    machine = this_machine()
    bench = Bench(engine, config, source, Identity(measured_on, machine), clock, present, tell, lock, left)
    recorder = HistoryRecorder(path, config.compare, measured_on, machine, clock, bench.place.dockerfiles)
    bench.recorder = recorder
    first_build, notice = await recorder.open()
    if notice:
        tell(notice)
    bench.history = History.open(path)
    own = source.config_with_own_base
    for settings, bases in (
        (source.config, _PresentBase(config.base.version, present.status.reference, present.image)),
        (own, _OwnBase(own.base.version, own.base.reference)),
    ):
        builder = ProjectBuilder(
            *(engine, settings, backend, load_ignore, StageRules(config.compare.stage).stage_of),
            bases=bases,
            last_inputs=LastInputs(folder / f"inputs-{len(bench.builders)}", measured_on),
            emit=emit,
        )
        bench.builders.append(builder)
        bench.builds[settings is own] = Builds(
            *(settings, builder, recorder, emit, clock, bench.identity, first_build),
            revision=partial(asyncio.to_thread, head_revision, config.root),
        )
    return bench


def _is_served(history: Path, project: str) -> bool:
    """Whether a session runs on the project, whose builds this process cannot tell."""
    session = project_lock(history.with_suffix(".lock"), project)
    try:
        session.take()
    except ConfigError:
        return True
    session.release()
    return False


class _PresentBase:
    """The base as it was found: what is built here says nothing of it, as nobody is to use it."""

    def __init__(self, version: str, reference: str, found: BaseImage) -> None:
        self.version = version
        self._foundation = Foundation(reference, found.image_id, found.layers, {})

    def labels(self, _client: APIClient) -> Mapping[str, str]:
        return {}

    def foundation(self, _client: APIClient) -> Foundation | None:
        return self._foundation


class _OwnBase:
    """The base that was built here last."""

    def __init__(self, version: str, reference: str) -> None:
        self.version = version
        self._reference = reference

    def labels(self, _client: APIClient) -> Mapping[str, str]:
        return {}

    def foundation(self, client: APIClient) -> Foundation | None:
        found = find_base(client, self._reference)
        return None if found is None else Foundation(self._reference, found.image_id, found.layers, {})


class _Told:
    """Passes on what a user should know of the builds' events."""

    def __init__(self, tell: Tell, shown: Callable[[str], str]) -> None:
        self._tell = tell
        self._shown = shown

    def __call__(self, event: ev.Event) -> None:
        if isinstance(event, ev.BuildFinished) and event.failure is not None:
            for line in event.failure.output:
                self._tell(f"    {line}")
        elif isinstance(event, ev.ErrorOccurred):
            self._tell(self._shown(event.message))
            if event.hint:
                self._tell(f"    hint: {event.hint}")


def _look_at_base(engine: Engine, config: Config) -> _Present:
    """The base that app builds stand on, as the loop knows it: samples of both have to agree on it."""
    client = engine.client()
    try:
        inputs = read_base_inputs(config, load_ignore, lambda names: identify_images(client, names))
        image = find_base(client, config.base.reference)
    finally:
        client.close()
    status = status_of(config.base.reference, image, inputs)
    return _Present(status, image, inputs if image is None else inputs.standing_for(image))


def _find_image(engine: Engine, reference: str) -> BaseImage | None:
    client = engine.client()
    try:
        return find_base(client, reference)
    finally:
        client.close()


def _left_behind(engine: Engine, source: SourceCopy) -> list[str]:
    """IDs of images that have the names of those that are built here: a comparison left them that was killed, or whose
    engine goes on with a cancelled build.

    Raises:
        BuildError: If one is not this project's; a build would take its name.
    """
    project = source.config.project.name
    left = {name: found for name in _image_names(source) if (found := _find_image(engine, name)) is not None}
    for name, image in left.items():
        if image.project != project:
            raise BuildError(
                f"there is an image {name} that was not built for {project}; a build would take its name",
                "remove or retag that image, or set another name in config.toml: [base], [app] or [legacy] image",
            )
    return [image.image_id for image in reversed(left.values())]


def _image_names(source: SourceCopy) -> tuple[str, ...]:
    """The names of all images that are built here, those first that stand on others."""
    built = ((source.config, Target.APP), (source.config, Target.LEGACY), (source.config_with_own_base, Target.BASE))
    return tuple(recipe_for(settings, target).tag for settings, target in built)


def _remove_images(engine: Engine, names: Iterable[str], images: Sequence[str]) -> None:
    """Removes what was built, as far as nobody else has a name for it or uses it.

    What the classic builder and Podman keep of an image's steps goes with it, unless another image is built on that.
    """
    client = engine.client()
    try:
        unnamed = (*images, *_built_on(client, images))  # Podman forgets what an image stands on once that is gone
        for name in names:
            _remove(client, name)
        for image in reversed(unnamed):  # first what stands on others
            with suppress(EngineError):
                found = find_base(client, image)
                if found is not None and not found.names:
                    _remove(client, image)
        for name in names:  # a base keeps its last name as long as something stands on it
            _remove(client, name)
    finally:
        client.close()


def _built_on(client: APIClient, images: Sequence[str]) -> list[str]:
    """What stands on images, nearest first: a build that was cancelled leaves its steps there, without a name.

    A builder that keeps its steps elsewhere has none.
    """
    rows: list[dict[str, Any]] = []
    with suppress(EngineError), engine_errors("listing images"):
        rows = client.images(all=True)
    parents = [(_bare(row["Id"]), _bare(row.get("ParentId") or "")) for row in rows]
    found = list(map(_bare, images))
    for parent in found:  # grows meanwhile
        found += [image for image, below in parents if below == parent and image not in found]
    return found[len(images) :]


def _bare(image_id: str) -> str:
    """An image's ID without its algorithm, which Podman leaves out of a parent's."""
    return image_id.rpartition(":")[2]


def _remove(client: APIClient, image: str) -> None:
    """Removes an image, or a name of one. That it is not there is as good, and one that is in use stays."""
    with suppress(EngineError), engine_errors(f"removing {image}"):
        client.remove_image(image)
