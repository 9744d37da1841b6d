"""`reduce(state, stamped) -> state`: what each event means for the screen.

Pure. Events about builds or containers that the state does not know are ignored, never fatal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from console import events as ev
from console.model import BuildStatus, BuildWarning, Step, StepKind, Target
from console.state import base_events, comparison_events
from console.state.app_state import AppState, BuildView, PipelineView, WatchView
from console.state.container_events import (
    container_exited,
    container_measured,
    container_ready,
    container_rolled_back,
    container_started,
)
from console.state.notices import noticed

_SAVES_KEPT = 50
_PHASE_AFTER = {BuildStatus.OK: "swap", BuildStatus.CANCELLED: "cancelled"}
_KINDS = (StepKind.INTERNAL, StepKind.INSTRUCTION, StepKind.EXPORT)
_FIELD_OF = {Target.APP: "app_build", Target.BASE: "base_build", Target.LEGACY: "legacy_build"}


def reduce(state: AppState, stamped: ev.Stamped) -> AppState:
    """The state after an event; the same object when the event changes nothing that is shown."""
    handler = _HANDLERS.get(type(stamped.event))
    return state if handler is None else handler(state, stamped.event, stamped.at)


def _session_started(state: AppState, event: ev.SessionStarted, at: float) -> AppState:
    return replace(state, project=event.project, version=event.version, config=event.config)


def _engine_connected(state: AppState, event: ev.EngineConnected, at: float) -> AppState:
    return replace(state, engine=event.engine)


def _builder_chosen(state: AppState, event: ev.BuilderChosen, at: float) -> AppState:
    before, builder = state.builder, event.builder
    state = replace(state, builder=builder)
    if not builder.limits or (before is not None and before.limits == builder.limits):
        return state
    return noticed(
        state, at, f"{builder.backend} builds the images: {builder.reason}", " ".join(builder.limits), "information"
    )


def _watch_started(state: AppState, event: ev.WatchStarted, at: float) -> AppState:
    watch = WatchView(True, state.watch.paused, event.files, event.paths, event.polling)
    return replace(state, watch=watch)


def _watch_paused(state: AppState, event: ev.WatchPaused, at: float) -> AppState:
    return replace(state, watch=replace(state.watch, paused=event.paused))


def _error(state: AppState, event: ev.ErrorOccurred, at: float) -> AppState:
    return noticed(state, at, event.message, event.hint)


def _change_detected(state: AppState, event: ev.ChangeDetected, at: float) -> AppState:
    pipeline = PipelineView(
        batch=event.batch, saved_at=event.saved_at, paths=event.paths, detect_ms=event.detect_ms, phase_started_at=at
    )
    saves = (*state.saves[1 - _SAVES_KEPT :], (event.batch, event.saved_at))
    return replace(state, pipeline=pipeline, saves=saves)


def _plan_made(state: AppState, event: ev.PlanMade, at: float) -> AppState:
    if event.batch is not None and event.batch != state.pipeline.batch:
        return state
    decision = f"{event.plan or event.hold}: {event.reason}"
    return replace(state, pipeline=replace(state.pipeline, decision=decision, held=event.hold is not None))


def _build_started(state: AppState, event: ev.BuildStarted, at: float) -> AppState:
    before = state.build_of(event.target)
    known = frozenset[BuildWarning]()
    if before is not None:
        told = before.known_warnings if before.status is BuildStatus.CANCELLED else frozenset[BuildWarning]()
        known = told.union(before.warnings)
    view = BuildView(event.build, event.target, event.image, event.reason, at, event.batch, known_warnings=known)
    state = _with_build(state, view)
    if event.target is not state.mode.target:
        return state
    pipeline = state.pipeline
    if event.batch is None:
        pipeline = PipelineView(decision=event.reason)
    elif event.batch != pipeline.batch:
        return state
    wait_ms = None
    if pipeline.saved_at is not None and pipeline.detect_ms is not None:
        wait_ms = max(0.0, (at - pipeline.saved_at) * 1000 - pipeline.detect_ms)
    return replace(
        state,
        pipeline=replace(
            pipeline,
            wait_ms=wait_ms,
            context_ms=None,
            build_ms=None,
            swap_ms=None,
            ready_ms=None,
            save_to_ready_ms=None,
            phase="build",
            phase_started_at=at,
            build=event.build,
        ),
    )


def _build_expected(state: AppState, event: ev.BuildExpected, at: float) -> AppState:
    view = state.build_numbered(event.build)
    return state if view is None else _with_build(state, replace(view, usual=event.usual))


def _build_warned(state: AppState, event: ev.BuildWarned, at: float) -> AppState:
    view = state.build_numbered(event.build)
    if view is None or event.warning in view.warnings:
        return state
    return _with_build(state, replace(view, warnings=(*view.warnings, event.warning)))


def _context_sent(state: AppState, event: ev.ContextSent, at: float) -> AppState:
    view = state.build_numbered(event.build)
    if view is None:
        return state
    state = _with_build(state, replace(view, context=event.context))
    if view.context is None and state.is_newest_save(view):
        pipeline = replace(state.pipeline, context_ms=event.context.duration_ms, phase_started_at=at)
        state = replace(state, pipeline=pipeline)
    return state


def _step_updated(state: AppState, event: ev.StepUpdated, at: float) -> AppState:
    view = state.build_numbered(event.build)
    if view is None:
        return state
    return _with_build(state, replace(view, steps=_with_step(view.steps, event.step)))


def _with_step(steps: tuple[Step, ...], step: Step) -> tuple[Step, ...]:
    for index, known in enumerate(steps):
        if known.id == step.id:
            return (*steps[:index], step, *steps[index + 1 :])
    return _in_order((*steps, step))


def _in_order(steps: Iterable[Step]) -> tuple[Step, ...]:
    """The steps as the Dockerfile has them, the builder's own before and the export after them.

    Builders announce them in any order, and a row that has its place from the beginning is easier to follow than one
    that is where its time puts it.
    """
    steps = tuple(steps)
    stages: dict[str, int] = {}
    for step in steps:
        if step.line:
            stages[step.stage_label] = min(step.line, stages.get(step.stage_label, step.line))

    def place(step: Step) -> tuple[int, int, str, int]:
        return _KINDS.index(step.kind), stages.get(step.stage_label, 0), step.stage_label, step.number

    return tuple(sorted(steps, key=place))


def _build_finished(state: AppState, event: ev.BuildFinished, at: float) -> AppState:
    view = state.build_numbered(event.build)
    if view is None:
        return state
    view = replace(
        view,
        status=event.status,
        duration_ms=event.duration_ms,
        steps=_in_order(event.steps),
        failure=event.failure,
        image_id=event.image_id,
        size_bytes=event.size_bytes,
        causes=event.causes,
    )
    state = _with_build(state, view)
    if state.is_newest_save(view):
        phase = _PHASE_AFTER.get(event.status, "failed")
        pipeline = replace(state.pipeline, build_ms=event.duration_ms, phase=phase, phase_started_at=at)
        state = replace(state, pipeline=pipeline)
    return state


def _with_build(state: AppState, view: BuildView) -> AppState:
    changed: dict[str, Any] = {_FIELD_OF[view.target]: view}
    return replace(state, **changed)


_HANDLERS: dict[type[ev.Event], Callable[[AppState, Any, float], AppState]] = {
    ev.SessionStarted: _session_started,
    ev.EngineConnected: _engine_connected,
    ev.BuilderChosen: _builder_chosen,
    ev.WatchStarted: _watch_started,
    ev.WatchPaused: _watch_paused,
    ev.ErrorOccurred: _error,
    ev.ChangeDetected: _change_detected,
    ev.PlanMade: _plan_made,
    ev.BuildStarted: _build_started,
    ev.BuildExpected: _build_expected,
    ev.BuildWarned: _build_warned,
    ev.ContextSent: _context_sent,
    ev.StepUpdated: _step_updated,
    ev.BuildFinished: _build_finished,
    ev.ContainerStarted: container_started,
    ev.ContainerReady: container_ready,
    ev.ContainerExited: container_exited,
    ev.ContainerRolledBack: container_rolled_back,
    ev.ContainerMeasured: container_measured,
    ev.BaseChecked: base_events.base_checked,
    ev.BaseStale: base_events.base_stale,
    ev.BasePromoted: base_events.base_promoted,
    ev.BaseHeld: base_events.base_held,
    ev.BaseUsed: base_events.base_used,
    ev.BaseVersionsListed: base_events.base_versions_listed,
    ev.BaseCompared: base_events.base_compared,
    ev.BaseContentsRead: base_events.base_contents_read,
    ev.BaseTransferred: base_events.base_transferred,
    ev.BasePruned: base_events.base_pruned,
    ev.ModeChanged: base_events.mode_changed,
    ev.ComparisonUpdated: comparison_events.comparison_updated,
    ev.RaceStarted: comparison_events.race_started,
    ev.RaceFinished: comparison_events.race_finished,
    ev.HistoryListed: comparison_events.history_listed,
    ev.HistoryBuildRead: comparison_events.history_build_read,
}
