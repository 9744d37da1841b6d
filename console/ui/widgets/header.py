"""The first line: project, mode, engine, base image, watcher, clock."""

from __future__ import annotations

from rich.cells import cell_len
from textual.content import Content

from console.base_values import BaseStatus, HeldBecause, Transfer, TransferStatus
from console.format import age, clock_time, plural, printable
from console.model import BuildStatus, Mode
from console.state.app_state import AppState
from console.state.base_words import direction_words, transfer_bytes, transfer_progress
from console.state.outlook import build_outlook
from console.state.words import builder_words, short_outlook
from console.ui.lines import FAINT, MUTED, fit, text
from console.ui.widgets.panel import Panel

_GAP = 3
_SHORTENED = (
    "project",
    "mode",
    "engine",
    "watch",
    "base",
    "engine",
    "engine",
    "base",
    "project",
    "base",
    "base",
    "clock",
)
"""Whose words are shortened first where there is not room for all."""
_RESTORED = ("clock", "base", "watch", "engine", "mode", "project")
"""Whose words are made longer again first where there is room left."""

_SHORTEST = ("!", "bold $warning")
_HELD = {
    HeldBecause.BUILD: ("! new base failed, b retries", "! new base failed", "! failed"),
    HeldBecause.CHECK: ("! new base failed its check, b retries", "! new base failed", "! failed"),
    HeldBecause.MAJOR: ("! new base needs approval, v shows", "! needs approval", "! held"),
}


class HeaderBar(Panel):
    """One line that says which project on which engine with which base is watched."""

    SLICES = ("project", "mode", "engine", "builder", "base", "base_build", "bases", "watch")

    DEFAULT_CSS = """
    HeaderBar { dock: top; height: 1; padding: 0 1; background: $surface; }
    """

    def rows(self, width: int, _height: int) -> list[Content]:
        return [header_line(self.state, self.now, width)]


def header_line(state: AppState, now: float, width: int) -> Content:
    """The header for `width` cells: with all it has to say where there is room, in short words where there is not."""
    parts = {
        "project": _project(state),
        "mode": _mode(state),
        "engine": _engine(state),
        "base": [text(("base ", MUTED), *words) for words in _base(state, now)],
        "watch": _watching(state),
        "clock": [text((clock_time(now) if now else "--:--:--", MUTED)), text("")],
    }
    level = dict.fromkeys(parts, 0)

    def spare() -> int:
        shown = [forms[level[name]].cell_length for name, forms in parts.items() if forms[level[name]]]
        return width - sum(shown) - _GAP * (len(shown) - 1)

    for name in _SHORTENED:
        if spare() >= 0:
            break
        level[name] = min(level[name] + 1, len(parts[name]) - 1)
    for name in _RESTORED:  # another part may have made more room than was needed
        while level[name]:
            level[name] -= 1
            if spare() < 0:
                level[name] += 1
                break
    content = [forms[level[name]] for name, forms in parts.items() if forms[level[name]]]
    return _justified(content, spare()) if spare() >= 0 else fit(text("   ").join(content), width)


def _justified(parts: list[Content], spare: int) -> Content:
    gaps = len(parts) - 1
    line = parts[0]
    for index, part in enumerate(parts[1:]):
        wider = spare // gaps + (1 if index >= gaps - spare % gaps else 0)
        line = text(line, " " * (_GAP + wider), part)
    return line


def _project(state: AppState) -> list[Content]:
    name = printable(state.project)
    short = name or "splitdeck"
    return [
        text(("splitdeck", "bold $primary"), ("  ", FAINT), (name, "bold")),
        text((short, "bold $primary")),
        text((short if cell_len(short) <= 16 else short[:15] + "…", "bold $primary")),
    ]


def _mode(state: AppState) -> list[Content]:
    """Nothing in split mode: that is the usual one."""
    if state.mode is Mode.SPLIT:
        return [text("")]
    legacy = ("! legacy mode", "bold $warning")
    return [text(legacy, (", m goes back", MUTED)), text(legacy)]


def _engine(state: AppState) -> list[Content]:
    engine = state.engine
    if engine is None:
        return [text((words, "$warning")) for words in ("connecting to the engine…", "connecting…")]
    place = ("  remote", "$warning") if engine.remote else ""
    name, version = printable(engine.name), printable(engine.version).partition("+")[0]
    how = (f"  {builder_words(engine, state.builder)}", MUTED)
    major_minor = ".".join(version.split(".")[:2])
    return [
        text(f"{name} {version}", how, place),
        text(f"{name} {major_minor}", how, place),
        text(f"{name} {major_minor}", place),
        text(""),
    ]


def _base(state: AppState, now: float) -> list[list[tuple[str, str]]]:
    """What is said of the base, in fewer and fewer words."""
    build = state.base_build
    if build is not None and build.status is BuildStatus.RUNNING:
        building = [("● building ", "$accent"), (age(max(now - build.started_at, 0)), "$accent")]
        left = short_outlook(build_outlook(build, now))
        return [[*building, (f" · {left}", "$accent")], building] if left else [building]
    transfer = state.bases.transfer
    if transfer is not None and transfer.status is TransferStatus.RUNNING:
        return _transfer(transfer)
    base = state.base
    if base is None:
        return [[("…", MUTED)]]
    if not base.present:
        missing = ("✖ missing", "bold $error")
        return [[missing, (", b builds it", MUTED)], [missing]]
    version = (f"{version_of(base)} ", "")
    named = [version, ("pinned ", MUTED)] if base.pinned else [version]
    if base.held is not None:
        return [*([*named, (said, "bold $warning")] for said in _HELD[base.held.because]), [version, _SHORTEST]]
    if base.stale_files:
        inputs = plural(len(base.stale_files), "input")
        words = (f"! stale: {inputs} changed", f"! stale: {inputs}", "! stale")
        return [*([*named, (said, "bold $warning")] for said in words), [version, ("! stale", "bold $warning")]]
    return _fresh(base, named, now)


def _transfer(transfer: Transfer) -> list[list[tuple[str, str]]]:
    doing = f"● {direction_words(transfer)} "
    progress, moved = transfer_progress(transfer), transfer_bytes(transfer)
    forms = [f"{progress} · {moved}" if progress and moved else progress or moved, progress]
    return [[(f"{doing}{form}".rstrip(), "$accent")] for form in dict.fromkeys(forms)]


def _fresh(base: BaseStatus, named: list[tuple[str, str]], now: float) -> list[list[tuple[str, str]]]:
    fresh = [*named, ("✔ fresh", "$success")]
    aged = [*fresh, (f" {age(max(now - base.created_at, 0))}", MUTED)] if base.created_at else fresh
    short = [named[0], ("✔", "$success")]
    if not base.newer:
        return [aged, fresh, short] if base.created_at else [fresh, short]
    newer = (" ↑ newer", "bold $primary")
    return [[*aged, newer, (", v shows", MUTED)], [*aged, newer], [*fresh, newer], [*short, newer], short]


def version_of(base: BaseStatus) -> str:
    """What people call the present base."""
    return printable(base.version) or base_version(base.reference)


def base_version(reference: str) -> str:
    """What people call a base: its tag, or the start of its digest."""
    name, at, digest = reference.partition("@")
    if at:
        return digest.rpartition(":")[2][:12]
    tail = name.rpartition("/")[2]
    return printable(tail.partition(":")[2] or "latest")


def _watching(state: AppState) -> list[Content]:
    watch = state.watch
    if watch.paused:
        paused = ("‖ paused", "bold $warning")
        return [text(paused, (", p goes on", MUTED)), text(paused)]
    if not watch.active:
        return [text(("○ not watching yet", MUTED)), text(("○ not watching", MUTED))]
    files = plural(watch.files, "file")
    how = " by polling" if watch.polling else ""
    return [text(("● ", "$success"), words) for words in (f"watching {files}{how}", files)]
