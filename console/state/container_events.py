"""What the events about containers mean for the screen, above all: which save the running one is made of. Pure."""

from __future__ import annotations

from dataclasses import replace

from console import events as ev
from console.model import ContainerStatus, Timing
from console.state.app_state import AppState, ContainerView, PipelineView


def container_started(state: AppState, event: ev.ContainerStarted, at: float) -> AppState:
    before = state.container
    again = event.build == before.build and event.image_id == before.image_id
    build = None if event.build is None else state.build_numbered(event.build)
    served = state.served
    known = before if again else served if served is not None and served.build == event.build else None
    view = ContainerView(
        ContainerStatus.STARTING,
        event.container,
        event.container_name,
        event.image_id,
        build=event.build,
        target=build.target if build is not None else None if known is None else known.target,
        saved_at=None if build is None else state.saved_at(build.batch),
        reason=build.reason if build is not None else "" if known is None else known.reason,
        since=at,
        rolled_back=before.rolled_back if again else "",
    )
    pipeline = state.pipeline
    if pipeline.phase == "swap" and build is not None and state.is_newest_save(build):
        swap_ms = None if pipeline.phase_started_at is None else (at - pipeline.phase_started_at) * 1000
        pipeline = replace(pipeline, phase="ready", swap_ms=swap_ms, phase_started_at=at)
    return replace(state, container=view, pipeline=pipeline)


def container_ready(state: AppState, event: ev.ContainerReady, at: float) -> AppState:
    served = state.served
    known = served is not None and served.build == event.build
    batch = served.batch if served is not None and known and event.batch is None else event.batch
    saved_at = event.saved_at or state.saved_at(batch) or (served.saved_at if served is not None and known else None)
    # After a failed overlapping swap the container before answers on, without having been started again.
    kept = served is not None and served.container == event.container
    image_of = served if served is not None and known else state.container
    container = replace(
        served if served is not None and kept else state.container,
        status=ContainerStatus.READY,
        container=event.container,
        address=event.address,
        build=event.build,
        batch=batch,
        saved_at=saved_at,
        target=image_of.target,
        reason=image_of.reason,
        since=at,
        exit_code=None,
    )
    state = replace(state, container=container, served=container)
    newest = event.build is not None and event.build == state.pipeline.build
    if state.pipeline.phase in {"swap", "ready"} and newest:
        state = replace(state, pipeline=_served(state.pipeline, event, at))
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


def _served(pipeline: PipelineView, event: ev.ContainerReady, at: float) -> PipelineView:
    """The pipeline with the phases as the loop measured them; where no save led to it, as they were seen here."""
    if event.save_to_ready_ms is None:
        if pipeline.phase == "ready" and pipeline.phase_started_at is not None:
            pipeline = replace(pipeline, ready_ms=(at - pipeline.phase_started_at) * 1000)
        return replace(pipeline, phase="served", phase_started_at=at)
    return replace(
        pipeline,
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


def container_exited(state: AppState, event: ev.ContainerExited, at: float) -> AppState:
    if event.container != state.container.container:
        return state
    container = replace(state.container, status=ContainerStatus.EXITED, exit_code=event.exit_code, since=at, usage=None)
    pipeline = state.pipeline
    if pipeline.phase == "ready":
        pipeline = replace(pipeline, phase="failed", phase_started_at=at)
    return replace(state, container=container, pipeline=pipeline)


def container_rolled_back(state: AppState, event: ev.ContainerRolledBack, at: float) -> AppState:
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


def container_measured(state: AppState, event: ev.ContainerMeasured, _at: float) -> AppState:
    if event.container != state.container.container:
        return state
    return replace(state, container=replace(state.container, usage=event.usage))
