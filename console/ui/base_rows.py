"""Which base images the base panel lists, and which of two the user means when he compares. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from console.base_values import BaseContents, BaseDiff, BaseVersion, HeldBase, HeldBecause
from console.format import printable
from console.state.app_state import AppState
from console.state.base_words import CANDIDATE


@dataclass(frozen=True, slots=True)
class Entry:
    """One row: a version, or the new one that is held."""

    version: BaseVersion | None = None
    held: HeldBase | None = None
    rollback: bool = False
    """Whether a rollback goes to it."""

    @property
    def key(self) -> str:
        """What stays the same while the list changes around it."""
        return CANDIDATE if self.version is None else self.version.image_id

    @property
    def name(self) -> str:
        """What people call it."""
        if self.version is not None:
            return printable(self.version.name)
        return printable(self.held.version) if self.held is not None and self.held.version else CANDIDATE

    @property
    def reference(self) -> str:
        """What it is asked for by."""
        return CANDIDATE if self.version is None else self.version.image_id

    @property
    def notes(self) -> tuple[str, ...]:
        """What it is at present."""
        version = self.version
        if version is None:
            return ("held",)
        marks = ((version.current, "current"), (version.pinned, "pinned"), (self.rollback, "rollback"))
        return tuple(word for holds, word in marks if holds)


def entries_of(state: AppState) -> tuple[Entry, ...]:
    """All rows, newest first. A new base that could not even be built is nowhere, so it has none."""
    base = state.base
    held = base.held if base is not None else None
    previous = base.previous if base is not None else ""
    first = (Entry(held=held),) if held is not None and held.because is not HeldBecause.BUILD else ()
    versions = state.bases.versions or ()
    return (*first, *(Entry(version, rollback=_is_before(version, previous)) for version in versions))


def _is_before(version: BaseVersion, previous: str) -> bool:
    return bool(previous) and not version.current and previous in (version.name, *version.tags)


def pair_of(state: AppState, entry: Entry) -> tuple[str, str] | None:
    """What is compared where this one is selected: the older and the newer name; None where there is no other one.

    The present one is compared with the one before it, any other with the present one.
    """
    versions = state.bases.versions or ()
    present = next((version for version in versions if version.current), None)
    if present is None:
        return None
    if entry.version is None:
        return present.name, CANDIDATE
    if entry.version.current:
        before = next((other.version for other in entries_of(state) if other.rollback), None)
        before = before or next((one for one in versions if one.created_at < present.created_at), None)
        return None if before is None else (before.name, present.name)
    older, newer = sorted((entry.version, present), key=lambda version: version.created_at)
    return older.name, newer.name


def contents_of(state: AppState, entry: Entry) -> BaseContents | None:
    """What it is known to hold."""
    for contents in reversed(state.bases.contents):
        if entry.version is not None and contents.image_id == entry.version.image_id:
            return contents
        if entry.version is None and contents.version == CANDIDATE:
            return contents
    return None


def diff_of(state: AppState, entry: Entry) -> BaseDiff | None:
    """What `pair_of` is known to differ in."""
    pair = pair_of(state, entry)
    if pair is None:
        return None
    wanted = {*pair}
    known = {name: CANDIDATE for name in (entry.name,) if entry.version is None}
    for diff in reversed(state.bases.diffs):
        if {known.get(diff.before, diff.before), known.get(diff.after, diff.after)} == wanted:
            return diff
    return None
