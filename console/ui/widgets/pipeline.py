"""The newest save on its way to the running container, and which save the running container is made of."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content

from console.format import clock_time, duration, plural, printable, size
from console.model import BuildStatus, CauseKind, ContainerStatus, Mode, StepStatus
from console.state.app_state import AppState, BuildView, ContainerView, PipelineView
from console.state.outlook import build_outlook
from console.state.words import SLOW_MS, cause_words, context_words, short_outlook
from console.ui.lines import FAINT, MUTED, bar, column, fit, keep, paths, spread, text
from console.ui.widgets.panel import Panel

NOTABLE_WAIT_MS = 20.0
"""A shorter wait between a save and its build is nothing that anyone could act on."""

_NAME = 9
_FIGURE = 9
_BAR = 4


@dataclass(frozen=True, slots=True)
class Phase:
    """One row of the pipeline: how long it took, or has taken so far."""

    name: str
    ms: float | None = None
    running: bool = False
    failed: bool = False
    notes: tuple[str, ...] = ()
    """The same remark in fewer and fewer words."""


class Pipeline(Panel, can_focus=True):
    """Phases with bars in proportion, the headline number, and the answer to "what is running?"."""

    BORDER_TITLE = "Pipeline"
    SLICES = (
        "engine",
        "pipeline",
        "container",
        "app_build",
        "base_build",
        "legacy_build",
        "last_timing",
        "served",
        "mode",
    )

    @property
    def live(self) -> bool:
        base = self.state.base_build
        return self.state.pipeline.phase in {"build", "swap", "ready"} or (
            base is not None and base.status is BuildStatus.RUNNING
        )

    def rows(self, width: int, height: int) -> list[Content]:
        return pipeline_rows(self.state, self.now, width, height)


def pipeline_rows(state: AppState, now: float, width: int, height: int) -> list[Content]:
    """The panel's rows, the least important left out where `height` does not hold them all."""
    pipeline = state.pipeline
    phases = phases_of(state, now)
    before = state.last_timing
    known = [phase.ms for phase in phases if phase.ms is not None]
    if before is not None and any(phase.running for phase in phases):
        known += [before.build_ms, before.swap_ms]  # so that a bar does not start at full length
    scale = max(known, default=0.0)
    rows = [(0, _title(pipeline, state.followed_build, width))]
    if pipeline.batch is not None and (pipeline.held or pipeline.phase == "idle"):
        rows.append((3, _decision(state, width)))
    rows += [
        (4 if phase.name in {"wait", "detect", "context"} else 2, _phase_row(phase, scale, width))
        for phase in phases
        if phase.name != "wait" or (phase.ms or 0) >= NOTABLE_WAIT_MS
    ]
    rows += [(5, row) for row in _cause(state.followed_build, width)]
    rows.append((9, text("")))
    rows.append((1, _headline(state, now, width)))
    rows += [(0, row) for row in running_rows(state, width)]
    return keep(rows, height)


def phases_of(state: AppState, now: float) -> list[Phase]:
    """The phases in their order, with the time so far for the one that runs."""
    pipeline = state.pipeline
    so_far = None if pipeline.phase_started_at is None else max(now - pipeline.phase_started_at, 0.0) * 1000
    build = state.followed_build
    in_context = pipeline.phase == "build" and pipeline.context_ms is None
    in_build = pipeline.phase == "build" and not in_context
    ended = pipeline.phase in {"failed", "cancelled"}
    broke_in = ""
    if ended:
        broke_in = "build" if build is not None and build.status is not BuildStatus.OK else "ready"
    phases = [
        Phase("detect", pipeline.detect_ms),
        Phase("wait", pipeline.wait_ms),
        Phase(
            "context",
            so_far if in_context else pipeline.context_ms,
            running=in_context,
            notes=_context_notes(build),
        ),
        Phase(
            "build",
            so_far if in_build else pipeline.build_ms,
            running=in_build,
            failed=broke_in == "build",
            notes=_build_notes(build, now),
        ),
        Phase("swap", so_far if pipeline.phase == "swap" else pipeline.swap_ms, running=pipeline.phase == "swap"),
        Phase(
            "ready",
            so_far if pipeline.phase == "ready" else pipeline.ready_ms,
            running=pipeline.phase == "ready",
            failed=broke_in == "ready",
        ),
    ]
    by_hand = pipeline.batch is None and pipeline.phase != "idle"
    return phases[2:] if by_hand else phases


def _context_notes(build: BuildView | None) -> tuple[str, ...]:
    if build is None or build.context is None:
        return ()
    context, files = build.context, plural(build.context.files, "file")
    sent = () if context.sent_bytes is None else (f"{files}, {size(context.sent_bytes)} sent",)
    return context_words(context), *sent, f"{files}, {size(context.size_bytes)}", files


def _build_notes(build: BuildView | None, now: float) -> tuple[str, ...]:
    if build is None or not build.instructions:
        return ()
    steps = build.instructions
    done = sum(step.status in {StepStatus.DONE, StepStatus.CACHED} for step in steps)
    total = max(max(step.total for step in steps), len(steps))
    cached = sum(step.cached for step in steps)
    counted = f"{done}/{total}"
    forms = (f"{counted} ⚡{cached}", counted) if cached else (counted,)
    outlook = short_outlook(build_outlook(build, now)) if build.status is BuildStatus.RUNNING else ""
    return (*(f"{form} · {outlook}" for form in forms), outlook, counted) if outlook else forms


def _title(pipeline: PipelineView, build: BuildView | None, width: int) -> Content:
    if pipeline.batch is None:
        if build is None or not pipeline.decision:
            return fit(text(("no save yet", MUTED)), width)
        return fit(text((f"build #{build.number}  ", "bold $primary"), printable(pipeline.decision)), width)
    saved = "" if pipeline.saved_at is None else f"  saved {clock_time(pipeline.saved_at)}  "
    head = text((f"#{pipeline.batch}", "bold $primary"), (saved, ""))
    return fit(text(head, (paths(pipeline.paths, width - head.cell_length), "$foreground")), width)


def _decision(state: AppState, width: int) -> Content:
    pipeline = state.pipeline
    base = state.base_build if state.mode is Mode.SPLIT else None
    if base is not None and base.status is BuildStatus.RUNNING and pipeline.batch is not None and not pipeline.held:
        return fit(text(("waiting ", "bold $accent"), ("for the base image", MUTED)), width)
    if pipeline.held:
        return fit(text(("held ", "bold $warning"), (printable(pipeline.decision).partition(": ")[2], "")), width)
    return fit(text((printable(pipeline.decision), MUTED)), width)


def _phase_row(phase: Phase, scale: float, width: int) -> Content:
    style = "$error" if phase.failed else "$accent" if phase.running else "$primary"
    mark = "✖ " if phase.failed else "● " if phase.running else "  "
    figure = column(
        duration(phase.ms) if phase.ms is not None else "",
        _FIGURE,
        "bold $error" if phase.failed else "bold $accent" if phase.running else "",
    )
    name = text((f"{phase.name:<{_NAME}}", MUTED if phase.ms is None else ""), (mark, style))
    room = width - name.cell_length - _FIGURE
    note = next((note for note in phase.notes if len(note) <= room - _BAR), "")
    drawn = bar((phase.ms or 0.0) / scale, max(room - len(note) - 3, _BAR)) if scale > 0 else ""
    middle = spread(text((drawn, style)), text((f" {note}", MUTED)), room)
    if len(drawn) <= 2 and not phase.running:
        middle = fit(text((drawn, style), (f" {note}", MUTED)), room)
    return text(name, middle, figure)


def _cause(build: BuildView | None, width: int) -> list[Content]:
    """Why the build rebuilt what it did, where that took time that anyone would like back."""
    if build is None or sum(cause.cost_ms for cause in build.causes) < SLOW_MS:
        return []
    root = next((cause for cause in build.causes if cause.kind is not CauseKind.PARENT), None)
    if root is None:
        return []
    why, step = cause_words(root), f"  {printable(root.step)}"
    return [fit(text((f"{'because':<{_NAME}}", MUTED), "  ", why, (step, FAINT)), width)]


def _headline(state: AppState, now: float, width: int) -> Content:
    pipeline = state.pipeline
    if pipeline.batch is None and pipeline.phase == "served":
        spent = (pipeline.context_ms, pipeline.build_ms, pipeline.swap_ms, pipeline.ready_ms)
        return spread(text(("build to ready", "bold")), text((duration(sum(ms or 0.0 for ms in spent)), "bold")), width)
    if pipeline.save_to_ready_ms is not None:
        return spread(
            text(("save-to-ready", "bold")), text((duration(pipeline.save_to_ready_ms), "bold $success")), width
        )
    if pipeline.phase in {"build", "swap", "ready"} and pipeline.saved_at is not None:
        so_far = max(now - pipeline.saved_at, 0.0) * 1000
        return spread(text(("save-to-ready", "")), text((f"{duration(so_far)} so far", "$accent")), width)
    outcome = {"failed": ("failed", "bold $error"), "cancelled": ("cancelled", "bold $warning")}.get(pipeline.phase)
    return spread(text(("save-to-ready", MUTED)), text(outcome or ("–", MUTED)), width)


def running_rows(state: AppState, width: int) -> list[Content]:
    """Which save the running container is made of, and what became of a newer one (one to three rows)."""
    container = state.container
    if container.status is ContainerStatus.ABSENT:
        waits = "connecting to the engine…" if state.engine is None else "nothing yet"
        return [fit(text(("running: ", MUTED), (waits, MUTED)), width), *_newer(state, width)]
    if container.status is ContainerStatus.STARTING:
        row = _of("starting: ", "bold $accent", container, width)
        return [row] if state.served is None else [row, _of("before: ", MUTED, state.served, width)]
    if container.status is ContainerStatus.EXITED:
        code = "" if container.exit_code is None else f" (code {container.exit_code})"
        row = _of(f"✖ exited{code}: ", "bold $error", container, width)
        return [row, *_newer(state, width), *_rolled_back(container, width)]
    if not state.waiting_saves and not container.rolled_back:
        return [_of("running: ", "", container, width, text((" ✔", "bold $success")))]
    row = _of("running: ", "", container, width)
    return [row, *_newer(state, width), *_rolled_back(container, width)]


def _of(head: str, style: str, container: ContainerView, width: int, tail: Content | str = "") -> Content:
    """A row that says what a container is made of; the build's number only where there is room for it."""
    number = "" if container.build is None else f"build #{container.build}"
    if container.saved_at is None:
        reason = f" ({printable(container.reason)})" if container.reason else ""
        made = text((number or "an image from before this session", "bold" if number else ""), (reason, MUTED))
        return fit(text((head, style), made, tail), width)
    save = text((head, style), ("your ", ""), (clock_time(container.saved_at), "bold"), (" save", ""))
    full = text(save, tail, (f"  {number}", FAINT))
    return fit(full if full.cell_length <= width else text(save, tail), width)


def _newer(state: AppState, width: int) -> list[Content]:
    pipeline = state.pipeline
    if not state.waiting_saves:
        return []
    failed = "✖ failed, rolled back" if state.container.rolled_back else "✖ failed"
    word, style = {
        "build": ("● is building", "$accent"),
        "swap": ("● is being swapped in", "$accent"),
        "ready": ("● is starting", "$accent"),
        "failed": (failed, "bold $error"),
        "cancelled": ("⊘ was cancelled", "bold $warning"),
    }.get(pipeline.phase, ("‖ is held" if pipeline.held else "○ is waiting", "$warning"))
    saved = clock_time(state.saves[-1][1])
    return [fit(text(("your ", ""), (saved, "bold"), (" save ", ""), (word, style)), width)]


def _rolled_back(container: ContainerView, width: int) -> list[Content]:
    if not container.rolled_back:
        return []
    return [fit(text(("↶ ", "bold $warning"), (printable(container.rolled_back), "")), width)]
