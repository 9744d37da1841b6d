"""What the user asks for. Front ends dispatch intents; the loop carries them out and tells of it by events."""

from __future__ import annotations

from dataclasses import dataclass

from console.measurements import BuildQuery
from console.model import Mode


@dataclass(frozen=True, slots=True)
class Intent:
    """Something that the user asks for; front ends dispatch it and read the outcome from the state."""


@dataclass(frozen=True, slots=True)
class RebuildRequested(Intent):
    """Build the app image now and swap the container."""


@dataclass(frozen=True, slots=True)
class BaseBuildRequested(Intent):
    """Build the base image now, then the app on it.

    One that is held back for a major update is taken as it is, once that is approved.
    """

    allow_major: bool = False


@dataclass(frozen=True, slots=True)
class BaseVersionsRequested(Intent):
    """Look which base images there are here."""


@dataclass(frozen=True, slots=True)
class BaseUseRequested(Intent):
    """Let app builds stand on this version, and write that to config.toml."""

    version: str


@dataclass(frozen=True, slots=True)
class BaseRollbackRequested(Intent):
    """Let app builds stand on the version before the present one."""


@dataclass(frozen=True, slots=True)
class BasePullRequested(Intent):
    """Fetch the registry's base image, and take it if it passes its check."""


@dataclass(frozen=True, slots=True)
class BaseNewerRequested(Intent):
    """Ask the registry whether it has another base than the present one; nothing is fetched."""


@dataclass(frozen=True, slots=True)
class BasePublishRequested(Intent):
    """Push the present base image to its registry."""


@dataclass(frozen=True, slots=True)
class BaseCompareRequested(Intent):
    """Tell what two versions do not have alike."""

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class BaseContentsRequested(Intent):
    """Tell what a version holds."""

    version: str


@dataclass(frozen=True, slots=True)
class BasePruneRequested(Intent):
    """Remove the base images that nobody needs."""


@dataclass(frozen=True, slots=True)
class ModeRequested(Intent):
    """Make the served image in this way from now on."""

    mode: Mode


@dataclass(frozen=True, slots=True)
class LegacyRaceRequested(Intent):
    """Build the legacy image for real, of the last change, and set it against the app build of it."""


@dataclass(frozen=True, slots=True)
class HistoryRequested(Intent):
    """List builds of the history."""

    query: BuildQuery


@dataclass(frozen=True, slots=True)
class HistoryBuildRequested(Intent):
    """Tell everything of one build of the history."""

    number: int


@dataclass(frozen=True, slots=True)
class CancelRequested(Intent):
    """Stop whatever is being built."""


@dataclass(frozen=True, slots=True)
class PauseRequested(Intent):
    """Stop or go on reacting to saves."""

    paused: bool
