"""The life of a project's base image: a new one is built or fetched beside the present one, tried, and taken if good.

App builds go on with the present one meanwhile, and afterwards if the new one is not good. Which work is under way is
the caller's to see to: one of `renew`, `fetch`, `obtain` and `go_on` at a time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from console import events as ev
from console.base.checks import CANCELLED, CheckFailure, command_text
from console.base.versions import BaseImage
from console.base_values import BaseStatus, HeldBase, HeldBecause, Transfer
from console.config import Config
from console.errors import EngineUnreachableError, SplitdeckError
from console.format import paths as some_paths
from console.loop.builds import FinishedBuild
from console.loop.guard import Guard
from console.loop.ports import BaseImages, Emit
from console.measurements import Trigger
from console.model import BuildNumber, BuildOutcome, BuildStatus, Clock, Step, StepKind, StepStatus, Target

_REASON_CHARACTERS = 200


class BuildBase(Protocol):
    """Builds the candidate, as the loop makes every build."""

    def __call__(self, reason: str, *, no_cache: bool, trigger: Trigger) -> Awaitable[FinishedBuild]: ...


@dataclass(frozen=True, slots=True)
class Renewal:
    """What came of it."""

    taken: bool
    """A good base is `latest` now."""
    cut_off: str = ""
    """What was told of an engine that went away meanwhile; then it may be tried again."""
    built: FinishedBuild | None = None

    @property
    def outcome(self) -> BuildOutcome:
        """As that of a build: held is failed, however well it was built.

        Raises:
            EngineUnreachableError: If the engine went away outside any build, which nobody has told yet.
        """
        if self.cut_off and self.built is None:
            raise EngineUnreachableError(
                self.cut_off, "see that the engine runs, then try again: it goes on from there"
            )
        built = self.built.outcome if self.built is not None else BuildOutcome(BuildStatus.OK, 0.0)
        if self.taken or built.status is not BuildStatus.OK:
            return built
        return replace(built, status=BuildStatus.FAILED)


class BaseLife:
    """One project's base image through its life.

    Args:
        config: The project.
        images: The base images on the engine.
        emit: Where events go.
        clock: The present.
        build: Builds a candidate.
    """

    def __init__(self, config: Config, images: BaseImages, emit: Emit, clock: Clock, build: BuildBase) -> None:
        self._settings = config.base
        self._images = images
        self._emit = emit
        self._clock = clock
        self._build = build
        self._guard = Guard(emit)
        self.status: BaseStatus | None = None
        """As last looked at; None until then, or where it cannot be told."""

    # -- what is known ------------------------------------------------------------------------------------------------

    @property
    def failure(self) -> SplitdeckError | None:
        """What was last told as an error."""
        return self._guard.failure

    @property
    def missing(self) -> bool:
        """Whether there is nothing that app builds could stand on."""
        return self.status is not None and not self.status.present

    @property
    def stale_files(self) -> tuple[str, ...]:
        """The inputs that changed since the present base was built."""
        return self.status.stale_files if self.status is not None else ()

    @property
    def reference(self) -> str:
        """The image that app builds stand on."""
        return self.status.reference if self.status is not None else self._settings.reference

    async def look(self) -> None:
        """Looks at the base and its inputs, and tells of it."""
        self.status = await self._guard(self._images.status()) or self.status
        if self.status is not None:
            self._emit(ev.BaseChecked(self.status))

    def tell_stale(self) -> None:
        """Tells which files made it stale, unless it is only to be marked."""
        if self.stale_files and self._settings.on_change != "warn":
            self._emit(ev.BaseStale(self.stale_files))

    # -- a new base ---------------------------------------------------------------------------------------------------

    async def obtain(self) -> Renewal:
        """Gets a base where there is none: from the registry if there is one, else by building it."""
        if self._images.pinned:
            return await self._obtain_pinned()
        if self._images.may_pull:
            fetched = await self.fetch(asked=True)
            if fetched.taken or fetched.cut_off:
                return fetched
        return await self.renew(f"{self.reference} is not on this engine yet")

    async def go_on(self) -> Renewal | None:
        """At a start with a base: goes on with what an earlier session left, asks the registry, builds what is stale.

        Returns:
            None where there was nothing to do.
        """
        candidate = await self.tidy()
        status = self.status
        if (
            candidate is not None
            and (status is not None and status.held is None)
            and (self._came_from_there(candidate) or candidate.fingerprint == status.inputs_fingerprint)
        ):
            return await self._reserved(partial(self._try, candidate.image_id, None, allow_major=False))
        if self._images.pull_due():
            fetched = await self.fetch(asked=False)
            if fetched.taken or fetched.cut_off:
                return fetched
        if self.stale_files and self.builds_at_once:
            return await self.renew(f"{some_paths(self.stale_files)} changed since it was built")
        return None

    async def tidy(self) -> BaseImage | None:
        """Removes what a killed process left of its work; gives the candidate, if there is one to go on with."""

        async def doing() -> BaseImage | None:
            await self._images.tidy()
            candidate = await self._images.candidate()
            if candidate is None or candidate.image_id != await self._images.latest():
                return candidate
            await self._images.drop_candidate(candidate.image_id)  # a promotion got as far as that
            return None

        found: BaseImage | None = await self._guard(doing())
        return found

    @property
    def builds_at_once(self) -> bool:
        """Whether a change of an input is built unasked; not if that would fail again or undo a rollback."""
        held = self.status is not None and self.status.held is not None
        stays = held or self._images.pinned or self._images.rolled_back
        return self._settings.on_change == "build" and not stays

    async def renew(
        self, reason: str, *, trigger: Trigger = Trigger.BASE, no_cache: bool = False, allow_major: bool = False
    ) -> Renewal:
        """Builds a base beside the present one, tries it, and takes it if it is good.

        Args:
            reason: Why, for people.
            trigger: What led to it, for the history.
            no_cache: Take nothing from the builder's cache.
            allow_major: Take it even if it brings major updates; one that was held back for these is taken as it is.
        """
        return await self._reserved(partial(self._renew, reason, trigger, no_cache=no_cache, allow_major=allow_major))

    async def fetch(self, *, asked: bool, allow_major: bool = False) -> Renewal:
        """Fetches the registry's `latest`, tries it, and takes it if it is good.

        Args:
            asked: Whether the user wants it even if it was here before.
            allow_major: Take it even if it brings major updates.
        """
        return await self._reserved(partial(self._fetch, asked=asked, allow_major=allow_major))

    async def _reserved(self, work: Callable[[], Awaitable[Renewal]]) -> Renewal:
        """Does it while nobody else does such a thing. Whatever a user can cause is told, and never raised."""

        async def doing() -> Renewal:
            try:
                with self._images.reserved():
                    return await work()
            except EngineUnreachableError as error:
                return Renewal(taken=False, cut_off=error.message)

        return await self._guard(doing()) or Renewal(taken=False)

    async def _renew(self, reason: str, trigger: Trigger, *, no_cache: bool, allow_major: bool) -> Renewal:
        before = await self._images.candidate()
        if allow_major and not no_cache and before is not None and await self._only_waits(before):
            return await self._take(before.image_id)
        built = await self._build(reason, no_cache=no_cache, trigger=trigger)
        outcome = built.outcome
        if built.cut_off:
            return Renewal(taken=False, cut_off=_message(built), built=built)
        if outcome.status is BuildStatus.FAILED:
            await self._hold(HeldBase(HeldBecause.BUILD, _message(built)), "")
        if outcome.status is not BuildStatus.OK:
            return Renewal(taken=False, built=built)
        if before is not None and before.image_id != outcome.image_id:
            await self._images.superseded(before.image_id)
        tried = await self._try(outcome.image_id, built.number, allow_major=allow_major)
        return replace(tried, built=built)

    async def _only_waits(self, candidate: BaseImage) -> bool:
        """Whether a candidate is what there would be to build or fetch, and is held for nothing but a major update."""
        await self.look()  # another process may have tried another one since
        status = self.status
        if status is None or status.held is None or status.held.because is not HeldBecause.MAJOR:
            return False
        return self._came_from_there(candidate) or candidate.fingerprint == status.inputs_fingerprint

    def _came_from_there(self, candidate: BaseImage) -> bool:
        """Whether it was fetched from the project's registry."""
        remote = self._settings.remote
        return bool(remote) and bool(candidate.digest_in(remote))

    async def _fetch(self, *, asked: bool, allow_major: bool) -> Renewal:
        before = await self._images.candidate()
        image_id = await self._images.fetch_latest(self._tell_transfer, asked=asked)
        now = await self._images.candidate()
        if before is not None and now is not None and before.image_id != now.image_id:
            await self._images.superseded(before.image_id)
        if image_id is None:
            await self.look()
            return Renewal(taken=asked and not self.missing)
        return await self._try(image_id, None, allow_major=allow_major)

    async def _obtain_pinned(self) -> Renewal:
        reference = self.reference
        if not self._images.may_pull:
            hint = (
                "pull that image, set [base] repository, or let app builds follow latest: `splitdeck base use latest`"
            )
            self._emit(
                ev.ErrorOccurred(f"{reference} is pinned, is not on this engine, and no build can make it", hint)
            )
            return Renewal(taken=False)

        async def fetched() -> Renewal:
            await self._images.fetch_pinned(self._tell_transfer)
            await self.look()
            return Renewal(taken=not self.missing)

        return await self._reserved(fetched)

    # -- is it good? --------------------------------------------------------------------------------------------------

    async def _try(self, image_id: str, number: BuildNumber | None, *, allow_major: bool) -> Renewal:
        """Takes a candidate if it passes its check and brings no major update that nobody approved."""
        twin = await self._images.twin(image_id)
        failure = await self._check(image_id, number)
        if failure is not None:
            await self._check_failed(failure, image_id)
            return Renewal(taken=False)
        if twin is not None:  # it was approved when it became a version
            taken = await self._take(twin)
            if twin != image_id:
                await self._images.drop_candidate(image_id)
            return taken
        if self._settings.majors == "ask" and not allow_major and await self._brings_majors(image_id):
            return Renewal(taken=False)
        return await self._take(image_id)

    async def _check(self, image_id: str, number: BuildNumber | None) -> CheckFailure | None:
        """Runs the check; with the number of a build it is shown as a step after those of that build."""
        name = f"check: {' && '.join(map(command_text, self._settings.check))}"
        began = self._clock.now()
        step = Step("check", name, StepKind.EXPORT, StepStatus.RUNNING, started_at=began, stage="Other")
        shown = number is not None and self._settings.check
        if number is not None and shown:
            self._emit(ev.StepUpdated(number, step))
        await self._images.tidy()
        failure = await self._images.check(image_id, partial(self._tell_check, number))
        if number is not None and shown:
            took_ms = (self._clock.now() - began) * 1000
            status = StepStatus.FAILED if failure is not None else StepStatus.DONE
            self._emit(ev.StepUpdated(number, replace(step, status=status, duration_ms=took_ms)))
        return failure

    async def _check_failed(self, failure: CheckFailure, image_id: str) -> None:
        if failure.reason == CANCELLED:
            self._emit(ev.ErrorOccurred("the check of the new base image was cancelled", "b tries again"))
            return
        last = next((line.strip(" \0") for line in reversed(failure.output) if line.strip(" \0")), "")
        said = f": {last[:_REASON_CHARACTERS]}" if last else ""
        await self._hold(HeldBase(HeldBecause.CHECK, f"`{failure.command}`: {failure.reason}{said}"), image_id)

    async def _brings_majors(self, image_id: str) -> bool:
        present = await self._images.latest()
        if present is None:
            return False
        diff = await self._images.compare(present, image_id)
        if not diff.majors:
            return False
        self._emit(ev.BaseCompared(diff))
        changes = ", ".join(f"{one.name} {one.before} → {one.after}" for one in diff.majors[:3])
        many = f" and {len(diff.majors) - 3} more" if len(diff.majors) > 3 else ""
        await self._hold(HeldBase(HeldBecause.MAJOR, f"{changes}{many}: major updates", majors=diff.majors), image_id)
        return True

    async def _take(self, image_id: str) -> Renewal:
        promoted = await self._images.promote(image_id)
        await self.look()
        self._emit(ev.BasePromoted(promoted.version, promoted.fingerprint))
        return Renewal(taken=True)

    async def _hold(self, held: HeldBase, image_id: str) -> None:
        candidate = await self._images.candidate() if image_id else None
        held = replace(held, version=candidate.version if candidate is not None else "")
        await self._images.hold(held, image_id)
        await self.look()
        if self.missing:
            hint = "there is none before it that app builds could stand on; mend it, then b (`splitdeck base build`)"
            if held.because is not HeldBecause.BUILD:  # that one has been told
                self._emit(ev.ErrorOccurred(f"the new base image did not pass its check: {held.reason}", hint))
            return
        self._emit(ev.BaseHeld(held))

    def cancel(self) -> None:
        """Ends the check or transfer under way; what stands stays as it is."""
        self._images.cancel()

    # -- telling ------------------------------------------------------------------------------------------------------

    def _tell_transfer(self, transfer: Transfer) -> None:
        self._emit(ev.BaseTransferred(transfer))

    def _tell_check(self, number: BuildNumber | None, command: str, lines: tuple[str, ...]) -> None:
        if number is not None and lines:
            self._emit(ev.BuildLogged("stdout", lines, number, Target.BASE, f"check: {command}"))


def _message(built: FinishedBuild) -> str:
    failure = built.outcome.failure
    return failure.message if failure is not None else "the container engine went away"
