"""Which version app builds stand on, when somebody chooses another one. Everything blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.base.promotion import make_latest, name_version
from console.base.tags import LATEST, called
from console.base.versions import find_base, find_version, previous_of
from console.base_values import BaseVersion
from console.config import BaseConfig
from console.config_checks import is_version
from console.errors import BaseError
from console.format import paths as some
from console.loop.base_facts import BaseFacts
from console.loop.base_registry import BaseRegistry, Observe
from console.model import Clock

if TYPE_CHECKING:
    from docker import APIClient


class BaseChoice:
    """One project's.

    Args:
        base: Names the image.
        facts: What is known.
        registry: Has what is not here.
        clock: The present.
    """

    def __init__(self, base: BaseConfig, facts: BaseFacts, registry: BaseRegistry, clock: Clock) -> None:
        self._image = base.image
        self._facts = facts
        self._registry = registry
        self._clock = clock

    def find(self, client: APIClient, wanted: str, observe: Observe) -> tuple[str, str]:
        """What to write as [base] version for what somebody wants, and what people call it.

        One that is not here is fetched from the registry; one that has no tag of its own gets a date. Where a digest is
        wanted, that is what is written.

        Raises:
            SplitdeckError: If there is no such version.
        """
        if wanted == LATEST:
            return LATEST, LATEST
        versions, remote = self._facts.versions(client), self._registry.remote
        found = find_version(versions, wanted)
        if found is not None and "@" not in wanted:
            own = wanted if wanted in found.tags else self._name(client, found)
            return own, called(found.tags, found.version) or own
        if found is not None and remote:
            image = find_base(client, found.image_id)
            if image is not None and image.digest_in(remote) == found.digest:
                return wanted, found.name
        if remote and is_version(wanted):
            self._registry.fetch_pinned(client, wanted, observe)
            return wanted, wanted
        there = some([one.name for one in versions])
        hint = f"there are {there}" if versions else "`splitdeck base build` makes one"
        raise BaseError(f"there is no version {wanted} of {self._image} on this engine", hint)

    def back(self, client: APIClient) -> tuple[str, str]:
        """The version before the present one and the present one, as people call them; `latest` moves unless one is
        pinned.

        Raises:
            SplitdeckError: If there is none before it, or it cannot be done.
        """
        versions = self._facts.versions(client)
        present = next((one for one in versions if one.current), None)
        before = None if present is None else previous_of(versions, present.image_id)
        if present is None or before is None:
            hint = f"there is {some([one.name for one in versions])}" if versions else "there is none at all"
            raise BaseError(f"there is no version of {self._image} before the present one", hint)
        name = self._name(client, before)
        if not self._facts.pinned:
            make_latest(client, self._image, before.image_id, self._clock.now())
        return name, present.name

    def _name(self, client: APIClient, version: BaseVersion) -> str:
        """The tag that a version goes by; one that has none of its own gets a date."""
        image = find_base(client, version.image_id)
        if image is None:
            raise BaseError(f"{version.name} has gone meanwhile", "`splitdeck base list` shows what there is")
        return name_version(client, self._image, image, self._clock.now())
