"""The first line: project, engine, base image, watcher, clock."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len
from textual.content import Content

from console.format import age, clock_time, plural, printable
from console.model import BuildStatus
from console.state.app_state import AppState
from console.ui.lines import FAINT, MUTED, fit, text
from console.ui.widgets.panel import Panel

_GAP = 3


class HeaderBar(Panel):
    """One line that says which project on which engine with which base is watched."""

    SLICES = ("project", "engine", "base", "base_build", "watch")

    DEFAULT_CSS = """
    HeaderBar { dock: top; height: 1; padding: 0 1; background: $surface; }
    """

    def rows(self, width: int, _height: int) -> list[Content]:
        return [header_line(self.state, self.now, width)]


def header_line(state: AppState, now: float, width: int) -> Content:
    """The header for `width` cells: with all it has to say where there is room, in short words where there is not."""
    for parts in (_long(state, now), _medium(state, now), _short(state, now)):
        content = list(parts)
        needed = sum(part.cell_length for part in content) + _GAP * (len(content) - 1)
        if needed <= width:
            return _justified(content, width - needed)
    return fit(text("   ").join(content), width)


def _justified(parts: list[Content], spare: int) -> Content:
    gaps = len(parts) - 1
    line = parts[0]
    for index, part in enumerate(parts[1:]):
        wider = spare // gaps + (1 if index >= gaps - spare % gaps else 0)
        line = text(line, " " * (_GAP + wider), part)
    return line


def _long(state: AppState, now: float) -> Iterator[Content]:
    yield text(("splitdeck", "bold $primary"), ("  ", FAINT), (printable(state.project), "bold"))
    if state.engine is None:
        yield text(("connecting to the engine…", "$warning"))
    else:
        engine = state.engine
        place = ("  remote", "$warning") if engine.remote else ""
        yield text((f"{engine.name} {engine.version}", ""), (f"  {engine.builder}", MUTED), place)
    yield text(("base ", MUTED), *_base(state, now, full=True))
    yield _watching(state, full=True)
    yield _clock(now)


def _medium(state: AppState, now: float) -> Iterator[Content]:
    yield text((printable(state.project) or "splitdeck", "bold $primary"))
    if state.engine is None:
        yield text(("connecting…", "$warning"))
    else:
        yield text((f"{state.engine.name} {state.engine.version.partition('.')[0]}", ""))
    yield text(("base ", MUTED), *_base(state, now, full=True))
    yield _watching(state, full=False)
    yield _clock(now)


def _short(state: AppState, now: float) -> Iterator[Content]:
    name = printable(state.project) or "splitdeck"
    yield text((name if cell_len(name) <= 16 else name[:15] + "…", "bold $primary"))
    if state.engine is None:
        yield text(("connecting…", "$warning"))
    yield text(("base ", MUTED), *_base(state, now, full=False))
    yield _watching(state, full=False)
    yield _clock(now)


def _base(state: AppState, now: float, *, full: bool) -> list[tuple[str, str]]:
    build = state.base_build
    if build is not None and build.status is BuildStatus.RUNNING:
        return [("● building ", "$accent"), (age(max(now - build.started_at, 0)), "$accent")]
    base = state.base
    if base is None:
        return [("…", MUTED)]
    if not base.present:
        return [("✖ missing", "bold $error"), (", b builds it" if full else "", MUTED)]
    version = base_version(base.reference)
    since = age(max(now - base.created_at, 0)) if base.created_at else ""
    if base.stale_files:
        what = f"! stale: {plural(len(base.stale_files), 'input')} changed" if full else "! stale"
        return [(f"{version} ", ""), (what, "bold $warning")]
    words = [(f"{version} ", ""), ("✔ fresh" if full else "✔", "$success")]
    return [*words, (f" {since}", MUTED)] if full and since else words


def base_version(reference: str) -> str:
    """What people call a base: its tag, or the start of its digest."""
    name, at, digest = reference.partition("@")
    if at:
        return digest.rpartition(":")[2][:12]
    tail = name.rpartition("/")[2]
    return printable(tail.partition(":")[2] or "latest")


def _watching(state: AppState, *, full: bool) -> Content:
    watch = state.watch
    if watch.paused:
        return text(("‖ paused", "bold $warning"), (", p goes on" if full else "", MUTED))
    if not watch.active:
        return text(("○ not watching yet" if full else "○ not watching", MUTED))
    files = plural(watch.files, "file")
    how = " by polling" if watch.polling and full else ""
    return text(("● ", "$success"), (f"watching {files}{how}" if full else files, ""))


def _clock(now: float) -> Content:
    return text((clock_time(now) if now else "--:--:--", MUTED))
