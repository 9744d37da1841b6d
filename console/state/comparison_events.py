"""What events about the comparison, the race and the history mean for the screen. See `reducer`."""

from __future__ import annotations

from dataclasses import replace

from console import events as ev
from console.state.app_state import AppState, HistoryView

_DETAILS_KEPT = 12


def comparison_updated(state: AppState, event: ev.ComparisonUpdated, _at: float) -> AppState:
    return replace(state, comparison=event.comparison, findings=event.findings)


def race_started(state: AppState, event: ev.RaceStarted, _at: float) -> AppState:
    return replace(state, race=event.race, raced=None)


def race_finished(state: AppState, event: ev.RaceFinished, _at: float) -> AppState:
    return replace(state, race=None, raced=event.result)


def history_listed(state: AppState, event: ev.HistoryListed, _at: float) -> AppState:
    history = HistoryView(event.query, event.total, event.builds, event.trends, state.history.details)
    return replace(state, history=history)


def history_build_read(state: AppState, event: ev.HistoryBuildRead, _at: float) -> AppState:
    others = tuple(sample for sample in state.history.details if sample.number != event.sample.number)
    details = (*others[1 - _DETAILS_KEPT :], event.sample)
    return replace(state, history=replace(state.history, details=details))
