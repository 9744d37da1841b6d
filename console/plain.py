"""The headless front end: what happens as text lines, or as JSON lines. Reads events and the state, nothing else."""

from __future__ import annotations

import os
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TextIO

from console import events as ev
from console.base_values import PackageChange, Transfer, TransferStatus
from console.event_json import to_json
from console.events import Stamped
from console.format import clock_time, duration, paths, percent, plural, printable, short_id, size, speedup
from console.measurements import Comparison
from console.model import BuildStatus, BuildWarning, ContextSummary, Step, StepStatus, Target
from console.state.base_words import (
    NAMED,
    change_words,
    contents_words,
    diff_words,
    direction_words,
    held_command,
    held_words,
    in_order,
    mode_words,
    promoted_words,
    pruned_words,
    transfer_outcome,
)
from console.state.comparison_words import race_words
from console.state.outlook import WORTH_TELLING_MS, build_outlook
from console.state.store import Store
from console.state.words import (
    INEXACT,
    SLOW_MS,
    cause_line,
    context_words,
    outlook_words,
    step_took,
    telling_causes,
    usual_words,
    warning_lines,
    why_line,
)

_GLYPHS = {
    StepStatus.CACHED: "⚡ cached",
    StepStatus.DONE: "✔",
    StepStatus.FAILED: "✘ failed",
    StepStatus.CANCELLED: "– cancelled",
}

_KEPT = re.compile(r"(\x1b\[[0-9;]*m|\t)")
"""Colours and tabs: what foreign text may hold besides what can be seen."""


class PlainFrontEnd:
    """Writes every event of a store as it comes.

    Args:
        store: Whose events.
        as_json: One JSON object per line (docs/events.md) in place of text.
        out: Where results go; standard output by default.
        diagnostics: Where errors go as text; standard error by default. With `as_json` they are events like any other.
        on_broken: Called once if what is written is not taken any more (the reader went away, a full disk); from then
            on nothing is written.
    """

    def __init__(
        self,
        store: Store,
        *,
        as_json: bool,
        out: TextIO | None = None,
        diagnostics: TextIO | None = None,
        on_broken: Callable[[], object] | None = None,
    ) -> None:
        self._store = store
        self._as_json = as_json
        self._out = out or sys.stdout
        self._diagnostics = diagnostics or sys.stderr
        self._told_steps: set[tuple[int, str]] = set()
        self._told_contexts: set[int] = set()
        self._told_warnings: set[tuple[Target, BuildWarning]] = set()
        self._app_lines: deque[str] = deque(maxlen=200)
        """What the app said last; a container that failed to start ends with lines that may have been told already."""
        self._compared: Comparison | None = None
        self._told_transfer: tuple[str, str, int] | None = None
        """Direction, reference and attempt of the transfer under way."""
        self._on_broken = on_broken
        self._unsubscribe: Callable[[], None] | None = store.subscribe(self._take)

    def close(self) -> None:
        """From now on nothing is written; more than once does no harm."""
        unsubscribe, self._unsubscribe = self._unsubscribe, None
        if unsubscribe is not None:
            unsubscribe()

    def _take(self, batch: list[Stamped]) -> None:
        if self._as_json:
            lines = [line for stamped in batch for line in to_json(stamped)]
            self._write(self._out, lines)
            return
        for stamped in batch:
            if self._unsubscribe is None:
                return
            if isinstance(stamped.event, ev.ErrorOccurred):
                self._write(self._diagnostics, map(_safe, _error_lines(stamped.event)))
            else:
                self._write(self._out, map(_safe, self._lines(stamped)))

    def _write(self, out: TextIO, lines: Iterable[str]) -> None:
        if text := "".join(f"{line}\n" for line in lines):
            encoding = out.encoding or "utf-8"
            try:
                out.write(text.encode(encoding, "replace").decode(encoding, "replace"))
                out.flush()
            except OSError:
                self.close()
                _discard(out)
                if self._on_broken is not None:
                    self._on_broken()

    def _lines(self, stamped: Stamped) -> list[str]:
        """The news with its time, then the foreign text that comes with it."""
        stamp = clock_time(stamped.at)
        news, quoted = self._news(stamped.event), self._quoted(stamped.event)
        if isinstance(stamped.event, ev.BuildWarned):
            quoted = [f"          │ {line.strip()}" for line in news[1:]]
            del news[1:]
        return [*(f"{stamp}  {line}" for line in news), *quoted]

    def _quoted(self, event: ev.Event) -> list[str]:
        match event:
            case ev.BuildLogged():
                return [f"          │ {_last_version(line)}" for line in event.lines]
            case ev.BuildFinished(failure=failure) if failure is not None:
                numbered = enumerate(failure.source, failure.line)
                return [f"{number:>8} │ {printable(line)}" for number, line in numbered]
            case ev.ContainerLogged():
                self._app_lines.extend(event.lines)
                return [f"      app │ {_last_version(line)}" for line in event.lines]
            case ev.ContainerRolledBack():
                told = set(event.output) <= set(self._app_lines)
                return [] if told else [f"      app │ {_last_version(line)}" for line in event.output]
        return []

    def _news(self, event: ev.Event) -> list[str]:
        match event:
            case ev.BuilderChosen(builder):
                way = f"builder: {builder.backend}, {builder.transport}: {builder.reason}"
                return [way, *builder.limits, *([] if builder.exact else [INEXACT])]
            case ev.BuildWarned():
                return self._warning(event)
            case ev.BuildFinished():
                return [self._finished(event), *_causes(event)]
            case ev.BaseHeld(held):
                majors = held.majors if len(held.majors) > NAMED else ()
                return [f"! the new base image {held_words(held)}", *map(_change, majors), held_command(held)]
            case ev.BaseCompared(diff):
                head = f"base {printable(diff.before)} → {printable(diff.after)}: {diff_words(diff)}"
                return [head, *(_change(change) for change in in_order(diff.changes))]
        text = self._text(event)
        return [] if text is None else [text]

    def _text(self, event: ev.Event) -> str | None:
        match event:
            case ev.SessionStarted():
                return f"splitdeck {event.version} on {event.project} ({event.config})"
            case ev.EngineConnected(engine):
                return f"engine: {engine.name} {engine.version}, {engine.builder}, {engine.storage}, {engine.host}"
            case ev.WatchStarted():
                how = "polling" if event.polling else "watching"
                return f"{how} {plural(event.files, 'file')} in {paths(event.paths)}"
            case ev.WatchPaused(paused):
                return "paused" if paused else "watching again"
            case ev.ChangeDetected():
                return f"saved {paths(event.paths)} (noticed after {duration(event.detect_ms)})"
            case ev.PlanMade(hold=str(hold)):
                return f"{hold}: {event.reason}"
            case ev.BuildStarted():
                return f"#{event.build} {event.target.value} {event.image}: {event.reason}"
            case ev.BuildExpected(build, target, usual) if usual.total_ms >= WORTH_TELLING_MS:
                return f"#{build} {target.value}: {usual_words(usual)} (n={usual.n})"
            case ev.ContextSent(build, context):
                return self._context(build, context)
            case ev.StepUpdated(build, step):
                return self._step(build, step)
            case ev.ContainerStarted():
                return f"container {event.container_name} started from {short_id(event.image_id)}"
            case ev.ContainerReady():
                return _ready(event)
            case ev.ContainerExited():
                return f"the container ended with exit code {event.exit_code}"
            case ev.BaseStale(files):
                return f"the base image is stale: {paths(files)}"
            case ev.BasePromoted(version):
                base = self._store.state.base
                return promoted_words(version, pinned=base is not None and base.pinned)
            case ev.BaseUsed(version, reason):
                return f"app builds stand on base {version} now{f': {reason}' if reason else ''}"
            case ev.BaseTransferred(transfer):
                return self._transfer(transfer)
            case ev.BaseContentsRead(contents):
                return f"base {printable(contents.version)} holds {contents_words(contents)}"
            case ev.BasePruned():
                return pruned_words(event.versions, event.freed_bytes)
            case ev.ModeChanged(mode):
                return mode_words(mode)
            case ev.ComparisonUpdated(comparison):
                return self._comparison(comparison)
            case ev.RaceFinished(result) if result is not None:
                return f"race: {race_words(result)}"
        return None

    def _step(self, build: int, step: Step) -> str | None:
        glyph = _GLYPHS.get(step.status)
        if glyph is None or not step.number or (build, step.id) in self._told_steps:
            return None
        self._told_steps.add((build, step.id))
        took = "" if step.cached else f" {step_took(step)}"
        return f"#{build} {step.name}  {glyph}{took}"

    def _context(self, build: int, context: ContextSummary) -> str | None:
        if build in self._told_contexts:
            return None  # it comes again when it is known what travelled; the end of the build tells
        self._told_contexts.add(build)
        skipped = f"; left out {paths(context.skipped)}" if context.skipped else ""
        return f"#{build} context: {context_words(context)} in {duration(context.duration_ms)}{skipped}"

    def _warning(self, event: ev.BuildWarned) -> list[str]:
        """A remark on a Dockerfile, once per session however many builds repeat it."""
        if (event.target, event.warning) in self._told_warnings:
            return []
        self._told_warnings.add((event.target, event.warning))
        first, *details = warning_lines(event.warning)
        return [f"#{event.build} ! {first}", *details]

    def _finished(self, event: ev.BuildFinished) -> str:
        head = f"#{event.build} {event.target.value} {event.status.value} in {duration(event.duration_ms)}"
        if event.status is not BuildStatus.OK:
            return head
        parts = [head, f"{event.cached} of {plural(event.total, 'step')} cached", f"image {short_id(event.image_id)}"]
        build = self._store.state.build_of(event.target)
        if build is not None and build.number == event.build:
            if build.context is not None and build.context.sent_bytes is not None:
                parts.append(f"{size(build.context.sent_bytes)} sent")
            parts.append(outlook_words(build_outlook(build)))
        return ", ".join(filter(None, parts))

    def _transfer(self, transfer: Transfer) -> str | None:
        """That it begins, or begins again, and how it ends; what is between is for a screen."""
        before, this = self._told_transfer, (transfer.direction, transfer.reference, transfer.attempt)
        if transfer.status is not TransferStatus.RUNNING:
            self._told_transfer = None
            return transfer_outcome(transfer)
        if this == before:
            return None
        self._told_transfer = this
        again = f" again, attempt {transfer.attempt}" if transfer.attempt > 1 else ""
        why = f": {transfer.message}" if again and transfer.message else ""
        return f"{direction_words(transfer)} {transfer.reference}{again}{why}"

    def _comparison(self, comparison: Comparison) -> str | None:
        before, self._compared = self._compared, comparison
        if comparison.speedup is None or comparison.legacy is None or comparison.split is None or before == comparison:
            return None
        legacy, split = comparison.legacy, comparison.split
        return (
            f"{comparison.scenario.value}: legacy {duration(legacy.median_ms)} (n={legacy.n}), "
            f"split {duration(split.median_ms)} (n={split.n}), "
            f"{speedup(comparison.speedup)}, {percent(comparison.reduction)} saved"
        )


def _discard(out: TextIO) -> None:
    """Lets what is left in the buffer go nowhere: Python writes it at its end and would complain."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        with suppress(OSError):
            os.dup2(nowhere, out.fileno())
        os.close(nowhere)


def _last_version(line: str) -> str:
    """What a terminal would be left with of a line that rewrites itself with carriage returns, as progress bars do."""
    return next((part for part in reversed(line.split("\r")) if part), "")


def _safe(line: str) -> str:
    """One line that stays one: control characters and undecodable bytes made visible."""
    if line.isprintable():
        return line
    return "".join(part if index % 2 else printable(part) for index, part in enumerate(_KEPT.split(line)))


def _error_lines(event: ev.ErrorOccurred) -> list[str]:
    return [f"splitdeck: {event.message}", *([f"    hint: {event.hint}"] if event.hint else [])]


def _causes(event: ev.BuildFinished) -> list[str]:
    """Why steps were rebuilt: all of them if that took time that anyone would like back, else the first on one line."""
    if not event.causes:
        return []
    if all(cause.cost_ms < SLOW_MS for cause in event.causes):
        return [f"#{event.build} {why_line(event.causes)}"]
    exact = all(step.exact for step in event.steps)
    return [f"#{event.build} {cause_line(cause, exact=exact)}" for cause in telling_causes(event.causes)]


def _change(change: PackageChange) -> str:
    return f"  {change.manager} {change_words(change)}{' (major)' if change.major else ''}"


def _ready(event: ev.ContainerReady) -> str:
    where = f" at {event.address}" if event.address else ""
    if event.save_to_ready_ms is None:
        return f"✔ ready{where}"
    phases = ("detect", "wait", "context", "build", "swap", "ready")
    spent = ", ".join(f"{name} {getattr(event, f'{name}_ms') or 0:.0f}" for name in phases)
    return f"✔ ready{where}, save-to-ready {duration(event.save_to_ready_ms)} ({spent} ms)"
