"""How notices come and go. Pure."""

from __future__ import annotations

from dataclasses import replace

from console.state.app_state import AppState, Notice, Severity

_KEPT = 50


def noticed(state: AppState, at: float, message: str, hint: str = "", severity: Severity = "error") -> AppState:
    """With one more notice; the oldest goes where there would be too many."""
    return with_notice(state, Notice(at, message, hint, severity))


def with_notice(state: AppState, notice: Notice) -> AppState:
    """With one more notice; the oldest goes where there would be too many."""
    return replace(state, notices=(*state.notices[1 - _KEPT :], notice))


def settled(state: AppState, *about: str) -> AppState:
    """Without the notices about something that does not hold any more."""
    kept = tuple(notice for notice in state.notices if notice.about not in about)
    return state if len(kept) == len(state.notices) else replace(state, notices=kept)
