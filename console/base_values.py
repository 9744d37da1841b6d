"""What is known of base images: versions, what they hold, why a new one is held back, transfers to and from a registry.

Plain immutable data; no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class HeldBecause(str, Enum):
    """Why a new base image did not become `latest`."""

    BUILD = "build-failed"
    CHECK = "check-failed"
    MAJOR = "needs-approval"
    """It brings a major update, which somebody has to approve."""


@dataclass(frozen=True, slots=True)
class PackageChange:
    """One package that two base images do not have alike."""

    manager: str
    """`dpkg`, `apk`, `rpm`, `pip`."""
    name: str
    before: str
    """Its version in the older image; empty where that lacks it."""
    after: str
    """Its version in the newer image; empty where that lacks it."""
    major: bool = False
    """Whether the two are so far apart that it may not work with the app any more."""


@dataclass(frozen=True, slots=True)
class BasePackage:
    """One package in a base image."""

    manager: str
    """`dpkg`, `apk`, `rpm`, `pip`."""
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class BaseContents:
    """What a base image holds."""

    version: str
    """What people call it."""
    image_id: str
    packages: tuple[BasePackage, ...]


@dataclass(frozen=True, slots=True)
class BaseDiff:
    """What two base images do not have alike."""

    before: str
    """What people call the older one."""
    after: str
    changes: tuple[PackageChange, ...]
    size_before_bytes: int = 0
    size_after_bytes: int = 0

    @property
    def majors(self) -> tuple[PackageChange, ...]:
        return tuple(change for change in self.changes if change.major)


@dataclass(frozen=True, slots=True)
class HeldBase:
    """A new base image that was held back; app builds go on with the one before."""

    because: HeldBecause
    reason: str
    """In one line."""
    version: str = ""
    """What it would have been called."""
    majors: tuple[PackageChange, ...] = ()
    """What has to be approved."""


@dataclass(frozen=True, slots=True)
class BaseVersion:
    """One base image on this engine."""

    image_id: str
    tags: tuple[str, ...]
    """Without the image's name: `latest`, `2026.11.24`, `sha-1a2b3c4`."""
    created_at: float
    """Seconds since 1970."""
    size_bytes: int
    digest: str = ""
    """The registry's, `sha256:…`; empty where it was neither pushed nor pulled."""
    version: str = ""
    """The date tag that it was built for; empty where somebody else built it."""
    revision: str = ""
    """The git commit it was built from; empty where its inputs were not committed."""
    fingerprint: str = ""
    """Of its inputs."""
    apps: tuple[str, ...] = ()
    """App images on this engine that stand on it, by name."""
    project: str = ""
    """Whose splitdeck built it; empty where somebody else did."""
    current: bool = False
    """Whether app builds stand on it."""
    pinned: bool = False
    """Whether config.toml or a compose file names it, so that nothing may take it away."""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.version or next((tag for tag in self.tags if tag != "latest"), self.image_id[7:19])


@dataclass(frozen=True, slots=True)
class BaseStatus:
    """The base image that app builds stand on, as it is on this engine."""

    reference: str
    present: bool
    image_id: str = ""
    created_at: float = 0.0
    size_bytes: int = 0
    fingerprint: str = ""
    """As on the image's label; empty when someone else built it."""
    inputs_fingerprint: str = ""
    """Of the base's inputs as they are now; equal to `fingerprint` while nothing changed."""
    stale_files: tuple[str, ...] = ()
    """Inputs that changed since it was built."""
    version: str = ""
    """What people call it: its date tag; empty where it has none."""
    digest: str = ""
    """The registry's; empty where it was neither pushed nor pulled."""
    pinned: bool = False
    """Whether config.toml names this very version, so that a new base does not take its place."""
    previous: str = ""
    """The version that a rollback goes to; empty where there is none."""
    newer: str = ""
    """The digest of another one that the registry has under this tag; empty where that is not known."""
    held: HeldBase | None = None
    """A newer base that could not take its place."""


@dataclass(frozen=True, slots=True)
class Foundation:
    """The base image that an app image is to stand on, as it is when the app's build begins."""

    reference: str
    image_id: str
    layers: tuple[str, ...]
    """Digests of its layers; an app image that stands on it begins with them."""
    labels: Mapping[str, str]
    """What the app image says of it."""


class TransferStatus(str, Enum):
    RUNNING = "running"
    OK = "ok"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TransferLayer:
    """One layer on its way."""

    id: str
    """The start of its digest."""
    status: str
    """`waiting`, `moving`, `unpacking`, `done`, `there` (was there already)."""
    current_bytes: int = 0
    total_bytes: int = 0
    """0 where it is not known."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """A base image on its way to or from a registry."""

    direction: str
    """`pull` or `push`."""
    reference: str
    status: TransferStatus = TransferStatus.RUNNING
    layers: tuple[TransferLayer, ...] = ()
    attempt: int = 1
    """More than 1 after a broken connection."""
    message: str = ""
    """Why it failed or begins again; empty while all is well."""

    @property
    def current_bytes(self) -> int:
        return sum(layer.current_bytes for layer in self.layers)

    @property
    def total_bytes(self) -> int:
        return sum(layer.total_bytes for layer in self.layers)
