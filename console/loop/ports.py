"""What the loop needs from the outside: one protocol per part; tests bring fakes that keep the same promises."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from console.base.checks import CheckFailure
from console.base.versions import BaseImage
from console.base_values import BaseContents, BaseDiff, BaseStatus, BaseVersion, HeldBase, Transfer
from console.events import Event
from console.measurements import (
    BuildQuery,
    Comparison,
    Findings,
    Layer,
    ListedBuild,
    Recorded,
    Sample,
    Trend,
    Usual,
)
from console.model import BuildNumber, BuildOutcome, Target
from console.run.swap import SwapResult

Emit = Callable[[Event], None]
"""Where events go; takes them from any thread and never blocks."""


class ImageBuilder(Protocol):
    """Builds images. It never has two builds of one target at once; asking for that is a programming error."""

    async def build(self, number: BuildNumber, target: Target, *, no_cache: bool = False) -> BuildOutcome:
        """Builds and reports context, steps and output as events on the way.

        Raises:
            SplitdeckError: If the build could not begin: unreadable Dockerfile or context, engine away.
        """

    async def layers(self, image_id: str, base_id: str) -> tuple[tuple[Layer, ...], int]:
        """The layers of an image, and how many of them are its base's; none where that cannot be told.

        Raises:
            SplitdeckError: If the engine does not tell.
        """

    def reads(self, target: Target, path: str) -> bool:
        """Whether a build of a target could read a path (relative to the project's folder); true where in doubt."""

    def cancel(self, target: Target) -> None:
        """Ends the running build of a target; `build` returns soon with status `cancelled`. Nothing to end is fine."""


class AppRunner(Protocol):
    """Keeps one container of the app serving."""

    async def resume(self) -> SwapResult | None:
        """Takes over a container that an earlier session left running; None where there is none."""

    async def serve(self, image_id: str, build: BuildNumber) -> SwapResult:
        """Brings an image into service; if it does not answer, the earlier container serves again."""

    async def revive(self) -> SwapResult | None:
        """Starts the last good container if none runs; None where there is none."""

    async def fall_back(self) -> SwapResult | None:
        """After the serving container ended: the one before it serves again; None where there is none."""

    async def tidy(self) -> None:
        """Removes what the last swap replaced."""

    def abandon(self) -> None:
        """The session ends: `serve` comes to an end soon, with a container running."""

    def supersede(self) -> None:
        """A newer image is ready: `serve` need not wait for the older one's readiness any more."""


class BaseImages(Protocol):
    """The base images of the project on this engine. Whatever fails is a `SplitdeckError`."""

    @property
    def files(self) -> frozenset[str]:
        """What goes into it, relative to the project's folder, as last read."""

    @property
    def version(self) -> str:
        """What app builds stand on, as [base] version has it."""

    @property
    def pinned(self) -> bool:
        """Whether that is one certain version, whatever becomes `latest`."""

    @property
    def may_pull(self) -> bool:
        """Whether one that is missing may be fetched from a registry."""

    @property
    def rolled_back(self) -> bool:
        """Whether somebody rolled back, and the inputs are what they were then: nothing goes forward by itself."""

    def adopt(self, version: str) -> None:
        """Takes over what somebody else has written to config.toml as [base] version."""

    def pull_due(self) -> bool:
        """Whether the registry is to be asked for a newer one now."""

    def reserved(self) -> AbstractContextManager[None]:
        """While it is held, no other process makes, moves or removes base images of the project."""

    async def status(self) -> BaseStatus:
        """As it is now, compared with its inputs as they are now."""

    async def versions(self) -> tuple[BaseVersion, ...]:
        """Those on this engine, newest first."""

    async def candidate(self) -> BaseImage | None:
        """One that was built or fetched and is not a version yet."""

    async def latest(self) -> str | None:
        """The ID of what is `latest`; None where nothing is."""

    async def twin(self, image_id: str) -> str | None:
        """The ID of the version that holds just what a candidate holds; None where there is none."""

    async def compare(self, before: str, after: str) -> BaseDiff:
        """What two of them do not have alike."""

    async def contents(self, wanted: str) -> BaseContents:
        """What one of them holds."""

    async def check(self, image_id: str, tell: Callable[[str, tuple[str, ...]], None]) -> CheckFailure | None:
        """Runs the checks of a new one; None where it passes."""

    async def promote(self, image_id: str) -> BaseStatus:
        """Makes one `latest`, with tags of its own that never move."""

    async def hold(self, held: HeldBase, image_id: str) -> None:
        """Keeps in mind why a new one did not become `latest`."""

    async def superseded(self, image_id: str) -> None:
        """Removes a candidate that a newer one took the place of."""

    async def drop_candidate(self, image_id: str) -> None:
        """Forgets a candidate that is not wanted."""

    async def use(self, wanted: str, observe: Callable[[Transfer], None]) -> str:
        """Lets app builds stand on a version from now on, and gives its name."""

    async def roll_back(self) -> tuple[str, str]:
        """Lets app builds stand on the version before; gives its name and that of the one before."""

    async def ask_registry(self) -> None:
        """Keeps in mind whether the registry has another `latest` than there is here."""

    async def fetch_pinned(self, observe: Callable[[Transfer], None]) -> None:
        """Fetches the version that app builds are to stand on."""

    async def fetch_latest(self, observe: Callable[[Transfer], None], *, asked: bool) -> str | None:
        """Fetches the registry's `latest` and gives its ID; None where it is not a newer one."""

    async def publish(self, observe: Callable[[Transfer], None]) -> tuple[str, ...]:
        """Pushes the present one, and gives its tags there."""

    async def superfluous(self) -> tuple[BaseVersion, ...]:
        """Those that nobody needs."""

    async def prune(self) -> tuple[tuple[str, ...], int]:
        """Removes those that nobody needs; gives their names and the bytes that came free."""

    async def tidy(self) -> None:
        """Removes what a killed process left."""

    def cancel(self) -> None:
        """Ends the check or transfer under way; nothing to end is fine."""


class Recorder(Protocol):
    """Keeps measured builds and says what they come to. Whatever fails is a `SplitdeckError`."""

    async def record(self, sample: Sample) -> Recorded:
        """Keeps a build; its scenario is found out here."""

    async def served(self, number: int, save_to_ready_ms: float) -> None:
        """Adds to a kept build how long it took from the save until its image served."""

    async def comparison(self) -> tuple[Comparison, Findings]:
        """What was measured so far."""

    async def builds(self, query: BuildQuery) -> tuple[int, tuple[ListedBuild, ...], tuple[Trend, ...]]:
        """How many builds there are of the kind asked for, those wanted, and what the tracks took over time."""

    async def build(self, number: int) -> Sample | None:
        """One build with its steps."""

    async def usual(self, target: Target, *, no_cache: bool) -> Usual | None:
        """What a build that begins now usually takes; None where none like it was measured."""
