"""What a user wishes of his base images, besides a new one: versions, pins, rollbacks, the registry, order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from console import events as ev
from console import intents
from console.base.tags import LATEST
from console.base_values import Transfer
from console.errors import SplitdeckError
from console.loop.guard import Guard
from console.loop.ports import BaseImages, Emit


class BaseWishes:
    """Carries them out and tells of it by events; each says whether it went well, and never raises.

    Args:
        images: The base images on the engine.
        emit: Where events go.
        look: Looks at the present base again.
    """

    def __init__(self, images: BaseImages, emit: Emit, look: Callable[[], Awaitable[None]]) -> None:
        self._images = images
        self._emit = emit
        self._look = look
        self._guard = Guard(emit)
        self._unanswered = ""
        """Why the registry could not be asked the last time."""

    @property
    def failure(self) -> SplitdeckError | None:
        """What was last told as an error."""
        return self._guard.failure

    def answer(self, intent: intents.Intent) -> Coroutine[Any, Any, bool] | None:
        """What carries out a wish that changes nothing for app builds; None for any other."""
        match intent:
            case intents.BasePublishRequested():
                return self.publish()
            case intents.BaseNewerRequested():
                return self.ask_registry()
            case intents.BaseVersionsRequested():
                return self.list_versions()
            case intents.BaseCompareRequested(before, after):
                return self.compare(before, after)
            case intents.BaseContentsRequested(version):
                return self.read_contents(version)
            case intents.BasePruneRequested():
                return self.prune()
        return None

    async def use(self, version: str) -> bool:
        """Lets app builds stand on a version, and writes that to config.toml."""

        async def doing() -> None:
            with self._images.reserved():
                name = await self._images.use(version, self._tell_transfer)
            follows = "config.toml follows latest" if version == LATEST else "pinned in config.toml"
            self._emit(ev.BaseUsed(name, follows))
            await self._look()

        return await self._done(doing())

    async def adopt(self, version: str) -> bool:
        """Takes over a version that somebody has written to config.toml."""

        async def doing() -> None:
            self._images.adopt(version)
            self._emit(ev.BaseUsed(version, "config.toml says so"))
            await self._look()

        return await self._done(doing())

    async def roll_back(self) -> bool:
        """Lets app builds stand on the version before the present one."""

        async def doing() -> None:
            with self._images.reserved():
                name, before = await self._images.roll_back()
            self._emit(ev.BaseUsed(name, f"rolled back from {before}"))
            await self._look()

        return await self._done(doing())

    async def list_versions(self) -> bool:
        """Tells which versions there are."""

        async def doing() -> None:
            self._emit(ev.BaseVersionsListed(await self._images.versions()))

        return await self._done(doing())

    async def ask_registry(self) -> bool:
        """Asks whether the registry has a newer base; that it cannot be asked is told once."""

        async def doing() -> None:
            try:
                await self._images.ask_registry()
            except SplitdeckError as error:
                if error.message != self._unanswered:
                    self._unanswered = error.message
                    raise
                return
            self._unanswered = ""
            await self._look()

        return await self._done(doing())

    async def compare(self, before: str, after: str) -> bool:
        """Tells what two versions do not have alike."""

        async def doing() -> None:
            self._emit(ev.BaseCompared(await self._images.compare(before, after)))

        return await self._done(doing())

    async def read_contents(self, version: str) -> bool:
        """Tells what a version holds."""

        async def doing() -> None:
            self._emit(ev.BaseContentsRead(await self._images.contents(version)))

        return await self._done(doing())

    async def publish(self) -> bool:
        """Pushes the present base to its registry."""

        async def doing() -> None:
            await self._images.publish(self._tell_transfer)
            await self._look()

        return await self._done(doing())

    async def list_superfluous(self) -> bool:
        """Tells which versions a prune would remove."""

        async def doing() -> None:
            self._emit(ev.BaseVersionsListed(await self._images.superfluous()))

        return await self._done(doing())

    async def prune(self) -> bool:
        """Removes the versions that nobody needs."""

        async def doing() -> None:
            with self._images.reserved():
                self._emit(ev.BasePruned(*await self._images.prune()))

        return await self._done(doing())

    async def _done(self, doing: Coroutine[Any, Any, None]) -> bool:
        async def said() -> bool:
            await doing
            return True

        return bool(await self._guard(said()))

    def _tell_transfer(self, transfer: Transfer) -> None:
        self._emit(ev.BaseTransferred(transfer))
