"""Where both tracks are built to be compared: builds like any other, but of a copy, under names of their own.

They are made by the same builder as the loop's, timed in the same way, and kept in the project's history under the
scenario that their steps tell. The images are removed at the end, so that neither `latest` of the app nor the base that
it stands on becomes another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from console import events as ev
from console.base.versions import find_base, identify_images
from console.base_values import BaseStatus, Foundation
from console.build.backends import open_backend
from console.build.builder import ProjectBuilder
from console.build.last_inputs import LastInputs
from console.build.recipe import recipe_for
from console.config import Config
from console.engine import Engine, engine_errors
from console.errors import BuildError, EngineError, EngineUnreachableError, SplitdeckError
from console.format import duration
from console.history.recorder import HistoryRecorder
from console.history.records import History, history_path
from console.history.stages import StageRules
from console.lock import Lock
from console.loop.builds import Builds, Identity, this_machine
from console.loop.fingerprint import read_base_inputs, status_of
from console.measurements import TO_MEASURE, Sample
from console.model import BuildStatus, Clock, Target
from console.source_copy import MARK, SourceCopy
from console.watch.ignore import load_ignore

if TYPE_CHECKING:
    from docker import APIClient

Result = TypeVar("Result")
Tell = Callable[[str], None]
"""Takes a line for people, from any thread."""

_CANCEL_S = 8.0
"""How long a build may take to end that nobody wants any more."""


@dataclass(slots=True)
class Bench:
    """Where the builds are made."""

    engine: Engine
    config: Config
    """The project as it is built here: from the copy."""
    identity: Identity
    clock: Clock
    base: BaseStatus
    tell: Tell
    names: tuple[str, ...]
    """Of all images that are built here."""
    lock: Lock
    images: set[str] = field(default_factory=set)
    """IDs of what was built."""
    builds: dict[Target, Builds] = field(default_factory=dict)
    builders: list[ProjectBuilder] = field(default_factory=list)
    recorder: HistoryRecorder | None = None
    history: History | None = None

    async def build(self, target: Target, words: str, *, no_cache: bool = False) -> Sample:
        """One build, recorded like any other.

        Raises:
            SplitdeckError: If it fails, or the base is not the one that the first build stood on.
        """
        if target is Target.APP:
            await asyncio.to_thread(self._check_base)
        builds = self.builds[target]
        finished = await to_its_end(
            builds.build(
                *(target, f"{TO_MEASURE}{words}", None),
                no_cache=no_cache,
                stands_on=self.base.image_id if target is Target.APP else self.base.inputs_fingerprint,
                serving=False,
                watching=False,
            ),
            lambda: builds.cancel(target),
        )
        await builds.settle()
        if finished.outcome.image_id:
            self.images.add(finished.outcome.image_id)
        if finished.cut_off:
            raise EngineUnreachableError("the container engine went away", "compare again once it is back")
        if finished.outcome.status is not BuildStatus.OK:
            raise BuildError(f"the {target.value} build did not succeed, so there is nothing to compare")
        self.tell(f"{target.value}: {words}: {duration(finished.outcome.duration_ms)}")
        assert self.history is not None
        sample = self.history.last(target, self.identity.engine, self.identity.machine)
        if sample is None or sample.duration_ms != finished.outcome.duration_ms:
            raise SplitdeckError(
                f"the {target.value} build was not recorded, or another one at the same time",
                "see that the state directory can be written (SPLITDECK_STATE_DIR), and that no other splitdeck builds",
            )
        return sample

    def last_base(self) -> Sample | None:
        """The newest base build that is known: it tells what the base holds."""
        assert self.history is not None
        return self.history.last(Target.BASE, self.identity.engine, self.identity.machine)

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
        await to_its_end(asyncio.to_thread(_remove_images, self.engine, self.names, self.images))
        self.lock.release()

    def _check_base(self) -> None:
        if _look_at_base(self.engine, self.config)[0].image_id != self.base.image_id:
            raise SplitdeckError(
                f"{self.base.reference} became another image while it was measured on",
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
    base, layers = await asyncio.to_thread(_look_at_base, engine, config)
    if not base.present:
        raise BuildError(
            f"there is no base image {base.reference} on this engine, and without it no app build to measure",
            "build it first: `splitdeck build base`",
        )
    path = history_path(config.project.name, config.path)
    what = f"is comparing the builds of {config.project.name} already"
    lock = Lock(path.with_suffix(".compare.lock"), what, "wait until it is done, or end it first")
    lock.take()
    emit = _Told(tell, source.shown)
    chosen, backend = await asyncio.to_thread(
        open_backend, engine, config, clock, tell=lambda reason: emit(ev.ErrorOccurred(reason))
    )
    measured_on = chosen.measured_on(engine.info)
    machine = this_machine()
    bench = Bench(
        engine, source.config, Identity(measured_on, machine), clock, base, tell, _image_names(config, source), lock
    )
    bench.recorder = HistoryRecorder(path, config.compare, measured_on, machine, clock)
    first_build, notice = await bench.recorder.open()
    if notice:
        tell(notice)
    bench.history = History.open(path)
    for settings, targets in ((source.config, (Target.LEGACY, Target.APP)), (_with_own_base(config), (Target.BASE,))):
        builder = ProjectBuilder(
            *(engine, settings, backend, load_ignore, StageRules(config.compare.stage).stage_of),
            bases=_PresentBase(settings.base.version, base, layers),
            last_inputs=LastInputs(folder / "inputs", measured_on),
            emit=emit,
        )
        builds = Builds(settings, builder, bench.recorder, emit, clock, bench.identity, first_build)
        bench.builders.append(builder)
        bench.builds |= dict.fromkeys(targets, builds)
    return bench


class _PresentBase:
    """The base as it was found: what is built here says nothing of it, as nobody is to use it."""

    def __init__(self, version: str, found: BaseStatus, layers: tuple[str, ...]) -> None:
        self.version = version
        self._foundation = Foundation(found.reference, found.image_id, layers, {})

    def labels(self, _client: APIClient) -> Mapping[str, str]:
        return {}

    def foundation(self, _client: APIClient) -> Foundation:
        return self._foundation


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


def _look_at_base(engine: Engine, config: Config) -> tuple[BaseStatus, tuple[str, ...]]:
    """The base that app builds stand on, as the loop knows it (samples of both have to agree on it), and its layers."""
    client = engine.client()
    try:
        inputs = read_base_inputs(config, load_ignore, lambda names: identify_images(client, names))
        image = find_base(client, config.base.reference)
        return status_of(config.base.reference, image, inputs), image.layers if image else ()
    finally:
        client.close()


def _with_own_base(config: Config) -> Config:
    """The project with another name for the base."""
    base = msgspec.structs.replace(config.base, image=config.base.image + MARK, version="latest")
    return msgspec.structs.replace(config, base=base)


def _image_names(config: Config, source: SourceCopy) -> tuple[str, ...]:
    """The names of all images that are built here."""
    built = ((source.config, Target.APP), (source.config, Target.LEGACY), (_with_own_base(config), Target.BASE))
    return tuple(recipe_for(settings, target).tag for settings, target in built)


def _remove_images(engine: Engine, names: Iterable[str], images: Iterable[str]) -> None:
    """Removes what was built, as far as nobody else has a name for it or uses it.

    What the classic builder and Podman keep of an image's steps goes with it, unless another image is built on that.
    """
    client = engine.client()
    try:
        for name in names:
            _remove(client, name)
        for image in images:
            with suppress(EngineError):
                found = find_base(client, image)
                if found is not None and not found.names:
                    _remove(client, image)
    finally:
        client.close()


def _remove(client: APIClient, image: str) -> None:
    """Removes an image, or a name of one. That it is not there is as good, and one that is in use stays."""
    with suppress(EngineError), engine_errors(f"removing {image}"):
        client.remove_image(image)


async def to_its_end(work: Coroutine[Any, Any, Result], cancel: Callable[[], None] = lambda: None) -> Result:
    """Waits for work that cannot just be left; when we are cancelled, it is told so, and waited for a while longer."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        cancel()
        await asyncio.wait([task], timeout=_CANCEL_S)
        raise
