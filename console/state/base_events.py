"""What the events of the base image's life, and of the mode, mean for the screen. Pure."""

from __future__ import annotations

from dataclasses import replace

from console import events as ev
from console.base_values import TransferStatus
from console.format import paths
from console.state.app_state import AppState, Notice, Severity
from console.state.base_words import (
    CANDIDATE,
    held_hint,
    held_words,
    mode_words,
    promoted_words,
    pruned_words,
    transfer_outcome,
)
from console.state.notices import noticed, settled, with_notice

_DIFFS_KEPT = 20
_CONTENTS_KEPT = 5
_STALE, _HELD = ev.BaseStale.name, ev.BaseHeld.name


def base_checked(state: AppState, event: ev.BaseChecked, _at: float) -> AppState:
    return replace(state, base=event.base)


def base_stale(state: AppState, event: ev.BaseStale, at: float) -> AppState:
    if state.base is not None:
        state = replace(state, base=replace(state.base, stale_files=event.files))
    message = f"the base image is stale: {paths(event.files)} changed"
    return with_notice(state, Notice(at, message, "press b to build it", "warning", _STALE))


def base_promoted(state: AppState, event: ev.BasePromoted, at: float) -> AppState:
    state = settled(state, _STALE, _HELD)
    if state.base is not None:
        state = replace(state, base=replace(state.base, held=None))
    said = promoted_words(event.version, pinned=state.base is not None and state.base.pinned)
    return noticed(_candidate_gone(state), at, said, severity="information")


def base_held(state: AppState, event: ev.BaseHeld, at: float) -> AppState:
    held = event.held
    if state.base is not None:
        state = replace(state, base=replace(state.base, held=held))
    notice = Notice(at, f"the new base image {held_words(held)}", held_hint(held), "warning", _HELD)
    return with_notice(settled(_candidate_gone(state), _HELD), notice)


def _candidate_gone(state: AppState) -> AppState:
    """Without what was told of an earlier candidate: its name moves on to the next one."""
    diffs = tuple(diff for diff in state.bases.diffs if CANDIDATE not in (diff.before, diff.after))
    contents = tuple(one for one in state.bases.contents if one.version != CANDIDATE)
    return replace(state, bases=replace(state.bases, diffs=diffs, contents=contents))


def base_used(state: AppState, event: ev.BaseUsed, at: float) -> AppState:
    reason = f": {event.reason}" if event.reason else ""
    return noticed(state, at, f"app builds stand on base {event.version} now{reason}", severity="information")


def base_versions_listed(state: AppState, event: ev.BaseVersionsListed, _at: float) -> AppState:
    return replace(state, bases=replace(state.bases, versions=event.versions))


def base_compared(state: AppState, event: ev.BaseCompared, _at: float) -> AppState:
    diff = event.diff
    others = [known for known in state.bases.diffs if (known.before, known.after) != (diff.before, diff.after)]
    return replace(state, bases=replace(state.bases, diffs=(*others[1 - _DIFFS_KEPT :], diff)))


def base_contents_read(state: AppState, event: ev.BaseContentsRead, _at: float) -> AppState:
    contents = event.contents
    others = [known for known in state.bases.contents if known.image_id != contents.image_id]
    return replace(state, bases=replace(state.bases, contents=(*others[1 - _CONTENTS_KEPT :], contents)))


def base_transferred(state: AppState, event: ev.BaseTransferred, at: float) -> AppState:
    transfer, before = event.transfer, state.bases.transfer
    began = before is None or before.status is not TransferStatus.RUNNING
    started_at = at if began else state.bases.transfer_started_at
    state = replace(state, bases=replace(state.bases, transfer=transfer, transfer_started_at=started_at))
    if transfer.status is TransferStatus.RUNNING:
        return state
    severity: Severity = "error" if transfer.status is TransferStatus.FAILED else "information"
    return noticed(state, at, transfer_outcome(transfer), severity=severity)


def base_pruned(state: AppState, event: ev.BasePruned, at: float) -> AppState:
    return noticed(state, at, pruned_words(event.versions, event.freed_bytes), severity="information")


def mode_changed(state: AppState, event: ev.ModeChanged, at: float) -> AppState:
    if event.mode is state.mode:
        return state
    return noticed(replace(state, mode=event.mode), at, mode_words(event.mode), severity="information")
