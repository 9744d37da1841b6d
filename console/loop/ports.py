"""What the loop needs from the outside: one protocol per part; tests bring fakes that keep the same promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from console.base_values import BaseStatus
from console.events import Event
from console.measurements import Comparison, Sample, Usual
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
    """The base image on this engine."""

    @property
    def files(self) -> frozenset[str]:
        """What goes into it, relative to the project's folder, as last read."""

    async def status(self) -> BaseStatus:
        """As it is now, compared with its inputs as they are now."""


class Recorder(Protocol):
    """Keeps measured builds."""

    async def record(self, sample: Sample) -> Comparison | None:
        """Keeps a sample, after deciding its scenario; gives the comparison as it is then.

        Raises:
            SplitdeckError: If it cannot be kept.
        """

    async def comparison(self) -> Comparison:
        """Legacy against split as measured so far."""

    async def usual(self, target: Target, *, no_cache: bool) -> Usual | None:
        """What a build of a target that begins now usually takes; None where none like it was measured.

        Raises:
            SplitdeckError: If that cannot be read.
        """
