"""A project's base images and its registry: which is to be fetched, what is published under which tag."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timezone
from itertools import count
from typing import TYPE_CHECKING

from console.base.registry import Registry
from console.base.registry_errors import RegistryError, RegistryFault
from console.base.registry_progress import arrived
from console.base.tags import CANDIDATE, LATEST, called, date_tag, revision_tag, tags_of
from console.base.versions import BaseImage, all_tags, find_base, list_versions
from console.base_values import Transfer
from console.config import BaseConfig
from console.engine import engine_errors
from console.errors import BaseError
from console.measurements import PullSample
from console.model import Clock

if TYPE_CHECKING:
    from docker import APIClient

Observe = Callable[[Transfer], None]
"""Hears how far a transfer is; takes it from any thread."""
Pulled = Callable[[PullSample], None]
"""Hears of a pull that went well; takes it from any thread. Engine and machine are left to whoever keeps it."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the registry has under `latest`."""

    image_id: str = ""
    """To be taken; empty where it is the present one, or one that was here before and nobody asked for."""
    newer: str = ""
    """Its digest, where it is another one than the present one's and is not taken now."""


_WAIT_S = {"always": 0.0, "daily": 86_400.0, "weekly": 7 * 86_400.0}
"""How long the registry is not asked again, by [base] pull."""


class BaseRegistry:
    """One project's registry. Everything blocks; `cancel` is for another thread.

    Args:
        base: Names image and repository.
        clock: The present.
        pulled: Hears what each pull took.
    """

    def __init__(self, base: BaseConfig, clock: Clock, pulled: Pulled) -> None:
        self._image = base.image
        self.remote = base.remote
        """The repository; empty where there is none."""
        self._policy = base.pull
        self._clock = clock
        self._pulled = pulled
        self._at_work: Registry | None = None
        self._last: Transfer | None = None
        """How the newest transfer ended, or how far it is."""

    @property
    def may_pull(self) -> bool:
        """Whether a base that is missing may be fetched."""
        return bool(self.remote) and self._policy != "never"

    def is_due(self, asked_at: float) -> bool:
        """Whether it is to be asked for a newer one now; `asked_at` is when it last was, seconds since 1970."""
        wait_s = _WAIT_S.get(self._policy)
        return bool(self.remote) and wait_s is not None and not 0 <= self._clock.now() - asked_at < wait_s

    def cancel(self) -> None:
        """Ends the transfer under way. That there is none is fine."""
        if self._at_work is not None:
            self._at_work.cancel()

    def newer_than(self, client: APIClient, present: BaseImage | None) -> str:
        """The digest that is `latest` there, where that is another one; else empty.

        Raises:
            SplitdeckError: If there is no registry, or it does not answer.
        """
        digest = self._open(client, lambda _transfer: None).digest_of(LATEST) or ""
        return "" if present is not None and present.digest_in(self.remote) == digest else digest

    def fetch_latest(self, client: APIClient, present: BaseImage | None, observe: Observe, *, asked: bool) -> Fetched:
        """Fetches what is `latest` there and tags it as the candidate.

        Raises:
            SplitdeckError: If there is no registry, it does not answer, or has no `latest`.
        """
        registry = self._open(client, observe)
        digest = registry.digest_of(LATEST)
        if digest is None:
            raise RegistryError(
                f"{self.remote} has no {LATEST} yet",
                "publish one: `splitdeck base publish`",
                fault=RegistryFault.ABSENT,
            )
        known = next((one for one in list_versions(client, self._image) if one.digest == digest), None)
        if known is not None and present is not None and known.image_id == present.image_id:
            return Fetched()
        if known is not None:
            return Fetched(known.image_id) if asked else Fetched(newer=digest)
        image_id = self._pull(registry, digest)
        if present is not None and image_id == present.image_id:
            return Fetched()
        with engine_errors(f"tagging {self._image}:{CANDIDATE}"):
            client.tag(image_id, self._image, CANDIDATE, force=True)
        return Fetched(image_id)

    def fetch_pinned(self, client: APIClient, version: str, observe: Observe) -> None:
        """Fetches one version: by its digest where that is known, else by its tag, which it gets here, too.

        Args:
            client: This thread's.
            version: As [base] version has it.
            observe: Hears how far it is.

        Raises:
            SplitdeckError: If there is no registry, or it does not have that version.
        """
        registry = self._open(client, observe)
        tag, _, digest = version.partition("@")
        if digest:
            self._pull(registry, digest)
            return
        found = registry.digest_of(tag)
        if found is None:
            raise RegistryError(
                f"{self.remote} has no version {tag}",
                "`splitdeck base list` shows those on this engine",
                fault=RegistryFault.ABSENT,
            )
        here = find_base(client, f"{self._image}:{tag}")
        if here is not None and here.digest_in(self.remote) == found:
            return
        image_id = self._pull(registry, found)
        if here is not None and here.image_id != image_id:
            raise BaseError(
                f"{self._image}:{tag} is another image here than in {self.remote}, and no date ever moves",
                f"pin the registry's by its digest (@{found}), or remove the one that is here",
            )
        with engine_errors(f"tagging {self._image}:{tag}"):
            client.tag(image_id, self._image, tag, force=True)

    def publish(self, client: APIClient, image: BaseImage, observe: Observe) -> tuple[str, ...]:
        """Pushes an image under its date, its commit and, where it is that here, `latest`, in this order.

        Only `latest` is ever moved there. Where somebody else has the date, it gets the next number of that day.

        Raises:
            SplitdeckError: If there is no registry, or it refuses.
        """
        registry = self._open(client, observe)
        own = tags_of(image.names, self._image)
        digest = image.digest_in(self.remote)
        others = all_tags(client, self._image) - set(own)
        name = called(own, image.version) or date_tag(self._day(image), others)
        day = ".".join(name.split(".")[:3])
        for number in count(2):
            there = registry.digest_of(name)
            if there in (None, digest) and name not in others:
                break
            name = f"{day}.{number}"
        published = [name]
        if there is None:
            digest = registry.push(image.image_id, name)
        if name not in own:
            with engine_errors(f"tagging {self._image}:{name}"):
                client.tag(image.image_id, self._image, name, force=True)
        commit = revision_tag(image.revision)
        if commit:
            there = registry.digest_of(commit)
            if there is None:
                registry.push(image.image_id, commit)
            if there in (None, digest):
                published.append(commit)
        if LATEST in own:
            if registry.digest_of(LATEST) != digest:
                registry.push(image.image_id, LATEST)
            published.append(LATEST)
        return tuple(published)

    def _pull(self, registry: Registry, digest: str) -> str:
        """Fetches an image, gives its ID, and tells what that took: as a user waits for it, unpacking included."""
        started_at, began = self._clock.now(), self._clock.monotonic()
        image_id = registry.pull(digest)
        duration_ms = (self._clock.monotonic() - began) * 1000
        if self._last is not None:
            fetched_bytes, whole = arrived(self._last)
            reference = self._last.reference
            self._pulled(PullSample(reference, started_at, duration_ms, fetched_bytes, whole, engine="", machine=""))
        return image_id

    def _open(self, client: APIClient, observe: Observe) -> Registry:
        if not self.remote:
            hint = 'set [base] repository = "ghcr.io/me/app-base" in config.toml'
            raise BaseError("there is no registry to pull from or publish to", hint)

        def hear(transfer: Transfer) -> None:
            self._last = transfer
            observe(transfer)

        self._at_work = Registry(client, self.remote, hear)
        return self._at_work

    def _day(self, image: BaseImage) -> date:
        return datetime.fromtimestamp(image.created_at or self._clock.now(), tz=timezone.utc).date()
