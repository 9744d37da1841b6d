"""What both front ends say of a build in the same words. Pure text on one line each; foreign text is made printable."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from console.format import duration, paths, plural, printable, size
from console.history.usual import unnumbered
from console.measurements import Usual
from console.model import BuilderInfo, BuildWarning, Cause, CauseKind, ContextSummary, EngineInfo, Step
from console.state.outlook import Outlook

INEXACT = "≈ as its lines arrived: this builder tells no times"
_FIRST_CAUSES = 2
SLOW_MS = 1000.0
"""From here on the time that a rebuilt step took is worth a word on why it was rebuilt."""
_LINE = re.compile(r" \(line \d+\)$")
"""What BuildKit's checks say of a place that is known better."""
_NUMBER = re.compile(r"\[[^\]]*\d+/\d+\]")


def took(ms: float | None, *, exact: bool = True) -> str:
    """A time span; one that the builder did not tell is marked."""
    return duration(ms) if exact or ms is None else f"≈ {duration(ms)}"


def step_took(step: Step) -> str:
    """The time of a step."""
    return took(step.duration_ms, exact=step.exact)


def outlook_words(outlook: Outlook) -> str:
    """`57 s left`, `any moment now`, `slower than usual (usually 8.10 s)`; empty where there is nothing to say."""
    if outlook.usually_ms is not None:
        return f"slower than usual (usually {duration(outlook.usually_ms)})"
    if outlook.left_ms is None:
        return ""
    return f"{_whole_seconds(outlook.left_ms)} left" if outlook.left_ms >= 1000 else "any moment now"


def short_outlook(outlook: Outlook) -> str:
    """The same in as few cells as will do: `57 s left`, `soon`, `usually 8.10 s`."""
    if outlook.usually_ms is not None:
        return f"usually {duration(outlook.usually_ms)}"
    return "soon" if outlook.left_ms is not None and outlook.left_ms < 1000 else outlook_words(outlook)


def usual_words(usual: Usual) -> str:
    """`usually 57.0 s`."""
    return f"usually {duration(usual.total_ms)}"


def _whole_seconds(ms: float) -> str:
    """A remaining time: whole seconds, and whole minutes from ten on; more would only flicker."""
    seconds = round(ms / 1000)
    if seconds < 100:
        return f"{seconds} s"
    return f"{seconds // 60} m {seconds % 60:02d} s" if seconds < 600 else f"{round(seconds / 60)} m"


def cause_words(cause: Cause) -> str:
    """Why a step was run: `src/server.py changed`, `follows [3/5]`, `argument VERSION changed`."""
    names = paths(cause.names)
    first = printable(cause.names[0]) if cause.names else ""
    match cause.kind:
        case CauseKind.CACHE_OFF:
            return "the cache was switched off"
        case CauseKind.FIRST:
            return "no earlier build is known here"
        case CauseKind.FILES:
            return f"{names or 'its files'} changed"
        case CauseKind.ARGUMENT:
            return f"argument{'s' if len(cause.names) > 1 else ''} {names} changed".replace("  ", " ")
        case CauseKind.INSTRUCTION:
            return f"instruction changed ({names})" if names else "instruction changed"
        case CauseKind.BASE:
            return f"base image {names} changed".replace("  ", " ")
        case CauseKind.PARENT:
            number = _NUMBER.match(first)
            return f"follows {number[0] if number else first or 'a rebuilt step'}"
        case CauseKind.GONE:
            return "no longer in the builder's cache"


def telling_causes(causes: Iterable[Cause]) -> list[Cause]:
    """The causes without those that only repeat what holds for the whole build."""
    told: set[CauseKind] = set()
    telling = []
    for cause in causes:
        if cause.kind not in told:
            telling.append(cause)
        if cause.kind in {CauseKind.FIRST, CauseKind.CACHE_OFF}:
            told.add(cause.kind)
    return telling


def cause_line(cause: Cause, *, exact: bool = True) -> str:
    """A rebuilt step with its cause and its cost: `[3/5] COPY src/ — src/server.py changed · 21 ms`."""
    return f"{printable(cause.step)} — {cause_words(cause)} · {took(cause.cost_ms, exact=exact)}"


def why_line(causes: Sequence[Cause]) -> str:
    """Why a build's first steps were run, on one line: `why: COPY src/ — src/a.py changed; RUN make follows`."""
    told = []
    for cause in telling_causes(causes)[:_FIRST_CAUSES]:
        step = printable(unnumbered(cause.step))
        told.append(f"{step} follows" if cause.kind is CauseKind.PARENT else f"{step} — {cause_words(cause)}")
    more = len(telling_causes(causes)) - len(told)
    return f"why: {'; '.join(told)}{f'; {more} more' if more else ''}"


def context_words(context: ContextSummary) -> str:
    """`3 files, 18 kB · 1.2 kB sent`."""
    files = f"{plural(context.files, 'file')}, {size(context.size_bytes)}"
    return files if context.sent_bytes is None else f"{files} · {size(context.sent_bytes)} sent"


def builder_words(engine: EngineInfo, builder: BuilderInfo | None) -> str:
    """How images are built, after the engine's name: `buildkit · session`, `buildx mybuilder`, `classic · tar`."""
    if builder is None:
        return printable(engine.builder)
    if builder.backend == "buildx":
        return printable(f"buildx {builder.builder}".rstrip())
    name = engine.builder if builder.backend == "engine" else builder.backend
    return printable(f"{name} · {builder.transport}")


def warning_place(warning: BuildWarning) -> str:
    """`docker/app.Dockerfile:3`; empty where the builder names no place."""
    place = printable(warning.dockerfile)
    return f"{place}:{warning.lines[0][0]}" if warning.lines else place


def warning_lines(warning: BuildWarning) -> tuple[str, ...]:
    """A remark on the Dockerfile: its place and what it says, then its details, then where the rule is explained."""
    place = warning_place(warning)
    said = printable(_LINE.sub("", warning.message) if warning.lines else warning.message)
    details = [f"  {printable(line)}" for line in (*warning.detail, warning.url) if line]
    return (f"{place}  {said}" if place else said, *details)
