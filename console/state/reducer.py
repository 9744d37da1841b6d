"""`reduce(state, stamped) -> state`: what each event means for the screen.

Pure. Events about builds or containers that the state does not know are ignored, never fatal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from console import events as ev
from console.format import paths
from console.model import BuildStatus, ContainerStatus, Step, Target, Timing
from console.state.app_state import AppState, BuildView, ContainerView, Notice, PipelineView, Severity, WatchView

_NOTICES_KEPT = 50
_STALE = "the base image is stale: "
_SAVES_KEPT = 50
_PHASE_AFTER = {BuildStatus.OK: "swap", BuildStatus.CANCELLED: "cancelled"}
_FIELD_OF = {Target.APP: "app_build", Target.BASE: "base_build", Target.LEGACY: "legacy_build"}


def reduce(state: AppState, stamped: ev.Stamped) -> AppState:
    """The state after an event; the same object when the event changes nothing that is shown."""
    handler = _HANDLERS.get(type(stamped.event))
    return state if handler is None else handler(state, stamped.event, stamped.at)


def _session_started(state: AppState, event: ev.SessionStarted, at: float) -> AppState:
    return replace(state, project=event.project, version=event.version, config=event.config)


def _engine_connected(state: AppState, event: ev.EngineConnected, at: float) -> AppState:
    return replace(state, engine=event.engine)


def _watch_started(state: AppState, event: ev.WatchStarted, at: float) -> AppState:
    watch = WatchView(True, state.watch.paused, event.files, event.paths, event.polling)
    return replace(state, watch=watch)


def _watch_paused(state: AppState, event: ev.WatchPaused, at: float) -> AppState:
    return replace(state, watch=replace(state.watch, paused=event.paused))


def _error(state: AppState, event: ev.ErrorOccurred, at: float) -> AppState:
    return _noticed(state, at, event.message, event.hint)


def _noticed(state: AppState, at: float, message: str, hint: str = "", severity: Severity = "error") -> AppState:
    return replace(state, notices=(*state.notices[1 - _NOTICES_KEPT :], Notice(at, message, hint, severity)))


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
    view = BuildView(event.build, event.target, event.image, event.reason, at, event.batch)
    state = _with_build(state, view)
    if event.target is not Target.APP:
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
        ),
    )


def _context_sent(state: AppState, event: ev.ContextSent, at: float) -> AppState:
    view = _build_numbered(state, event.build)
    if view is None:
        return state
    state = _with_build(state, replace(view, context=event.context))
    if _is_newest_save(state, view):
        pipeline = replace(state.pipeline, context_ms=event.context.duration_ms, phase_started_at=at)
        state = replace(state, pipeline=pipeline)
    return state


def _step_updated(state: AppState, event: ev.StepUpdated, at: float) -> AppState:
    view = _build_numbered(state, event.build)
    if view is None:
        return state
    return _with_build(state, replace(view, steps=_with_step(view.steps, event.step)))


def _with_step(steps: tuple[Step, ...], step: Step) -> tuple[Step, ...]:
    for index, known in enumerate(steps):
        if known.id == step.id:
            return (*steps[:index], step, *steps[index + 1 :])
    return (*steps, step)


def _build_finished(state: AppState, event: ev.BuildFinished, at: float) -> AppState:
    view = _build_numbered(state, event.build)
    if view is None:
        return state
    view = replace(
        view,
        status=event.status,
        duration_ms=event.duration_ms,
        steps=event.steps,
        failure=event.failure,
        image_id=event.image_id,
        size_bytes=event.size_bytes,
    )
    state = _with_build(state, view)
    if _is_newest_save(state, view):
        phase = _PHASE_AFTER.get(event.status, "failed")
        pipeline = replace(state.pipeline, build_ms=event.duration_ms, phase=phase, phase_started_at=at)
        state = replace(state, pipeline=pipeline)
    return state


def _container_started(state: AppState, event: ev.ContainerStarted, at: float) -> AppState:
    before = state.container
    again = event.build == before.build and event.image_id == before.image_id
    build = None if event.build is None else _build_numbered(state, event.build)
    served = state.served
    reason = before.reason if again else served.reason if served is not None and served.build == event.build else ""
    view = ContainerView(
        ContainerStatus.STARTING,
        event.container,
        event.container_name,
        event.image_id,
        build=event.build,
        saved_at=None if build is None else state.saved_at(build.batch),
        reason=reason if build is None else build.reason,
        since=at,
        rolled_back=before.rolled_back if again else "",
    )
    pipeline = state.pipeline
    if pipeline.phase == "swap" and build is not None and _is_newest_save(state, build):
        swap_ms = None if pipeline.phase_started_at is None else (at - pipeline.phase_started_at) * 1000
        pipeline = replace(pipeline, phase="ready", swap_ms=swap_ms, phase_started_at=at)
    return replace(state, container=view, pipeline=pipeline)


def _container_ready(state: AppState, event: ev.ContainerReady, at: float) -> AppState:
    served = state.served
    known = served is not None and served.build == event.build
    batch = served.batch if served is not None and known and event.batch is None else event.batch
    saved_at = event.saved_at or state.saved_at(batch) or (served.saved_at if served is not None and known else None)
    # After a failed overlapping swap the container before answers on, without having been started again.
    kept = served is not None and served.container == event.container
    container = replace(
        served if served is not None and kept else state.container,
        status=ContainerStatus.READY,
        container=event.container,
        address=event.address,
        build=event.build,
        batch=batch,
        saved_at=saved_at,
        reason=served.reason if served is not None and known else state.container.reason,
        since=at,
        exit_code=None,
    )
    state = replace(state, container=container, served=container)
    build = state.app_build
    newest = build is not None and event.build == build.number and _is_newest_save(state, build)
    if state.pipeline.phase in {"swap", "ready"} and newest:
        pipeline = replace(
            state.pipeline,
            detect_ms=event.detect_ms,
            wait_ms=event.wait_ms,
            context_ms=event.context_ms,
            build_ms=event.build_ms,
            swap_ms=event.swap_ms,
            ready_ms=event.ready_ms,
            save_to_ready_ms=event.save_to_ready_ms,
            phase="served",
            phase_started_at=at,
        )
        state = replace(state, pipeline=pipeline)
    if event.detect_ms is not None and event.build_ms is not None:
        timing = Timing(
            event.detect_ms,
            event.wait_ms or 0.0,
            event.context_ms or 0.0,
            event.build_ms,
            event.swap_ms or 0.0,
            event.ready_ms or 0.0,
        )
        state = replace(state, last_timing=timing)
    return state


def _container_exited(state: AppState, event: ev.ContainerExited, at: float) -> AppState:
    if event.container != state.container.container:
        return state
    container = replace(state.container, status=ContainerStatus.EXITED, exit_code=event.exit_code, since=at, usage=None)
    pipeline = state.pipeline
    if pipeline.phase == "ready":
        pipeline = replace(pipeline, phase="failed", phase_started_at=at)
    return replace(state, container=container, pipeline=pipeline)


def _container_rolled_back(state: AppState, event: ev.ContainerRolledBack, at: float) -> AppState:
    container = state.container
    if container.image_id != event.to and state.served is not None and state.served.image_id == event.to:
        container = state.served
    elif not event.to:
        status = ContainerStatus.EXITED if container.container else ContainerStatus.ABSENT
        container = replace(container, status=status, usage=None)
    container = replace(container, rolled_back=event.reason)
    pipeline = state.pipeline
    if pipeline.phase in {"swap", "ready"}:
        pipeline = replace(pipeline, phase="failed", phase_started_at=at)
    return replace(state, container=container, pipeline=pipeline)


def _container_measured(state: AppState, event: ev.ContainerMeasured, at: float) -> AppState:
    if event.container != state.container.container:
        return state
    return replace(state, container=replace(state.container, usage=event.usage))


def _base_checked(state: AppState, event: ev.BaseChecked, at: float) -> AppState:
    return replace(state, base=event.base)


def _base_stale(state: AppState, event: ev.BaseStale, at: float) -> AppState:
    if state.base is not None:
        state = replace(state, base=replace(state.base, stale_files=event.files))
    return _noticed(
        state,
        at,
        f"{_STALE}{paths(event.files)} changed",
        "press b to build it",
        "warning",
    )


def _base_promoted(state: AppState, event: ev.BasePromoted, at: float) -> AppState:
    current = tuple(notice for notice in state.notices if not notice.message.startswith(_STALE))
    state = replace(state, notices=current)
    return _noticed(state, at, f"base {event.version} built", severity="information")


def _comparison_updated(state: AppState, event: ev.ComparisonUpdated, at: float) -> AppState:
    return replace(state, comparison=event.comparison)


def _is_newest_save(state: AppState, view: BuildView) -> bool:
    """Whether an app build is of what the pipeline shows, and not of a save that a newer one has overtaken."""
    return view.target is Target.APP and view.batch == state.pipeline.batch


def _build_numbered(state: AppState, number: int) -> BuildView | None:
    for view in (state.app_build, state.legacy_build, state.base_build):
        if view is not None and view.number == number:
            return view
    return None


def _with_build(state: AppState, view: BuildView) -> AppState:
    changed: dict[str, Any] = {_FIELD_OF[view.target]: view}
    return replace(state, **changed)


_HANDLERS: dict[type[ev.Event], Callable[[AppState, Any, float], AppState]] = {
    ev.SessionStarted: _session_started,
    ev.EngineConnected: _engine_connected,
    ev.WatchStarted: _watch_started,
    ev.WatchPaused: _watch_paused,
    ev.ErrorOccurred: _error,
    ev.ChangeDetected: _change_detected,
    ev.PlanMade: _plan_made,
    ev.BuildStarted: _build_started,
    ev.ContextSent: _context_sent,
    ev.StepUpdated: _step_updated,
    ev.BuildFinished: _build_finished,
    ev.ContainerStarted: _container_started,
    ev.ContainerReady: _container_ready,
    ev.ContainerExited: _container_exited,
    ev.ContainerRolledBack: _container_rolled_back,
    ev.ContainerMeasured: _container_measured,
    ev.BaseChecked: _base_checked,
    ev.BaseStale: _base_stale,
    ev.BasePromoted: _base_promoted,
    ev.ComparisonUpdated: _comparison_updated,
}
