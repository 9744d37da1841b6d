"""The base images on this engine: one row each, one of them selected."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import var

from console.format import age, printable, size
from console.state.app_state import AppState
from console.ui.base_rows import Entry, entries_of
from console.ui.lines import FAINT, MUTED, column, fit, text
from console.ui.widgets.rows import RowsView

_AGE, _SIZE = 6, 9
_SHORTEST = 12
"""Cells below which a column of names says nothing."""
_MARKS = {
    "current": ("●", "bold $success"),
    "held": ("!", "bold $warning"),
    "rollback": ("↶", "$primary"),
    "pinned": ("■", "$primary"),
}


class VersionsList(RowsView):
    """A table without a cell cursor: arrows and clicks select, a double click or enter uses."""

    BORDER_TITLE = "Versions on this engine"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "select(-1)", "up", show=False),
        Binding("down,j", "select(1)", "down", show=False),
        Binding("pageup", "select(-10)", "page up", show=False),
        Binding("pagedown", "select(10)", "page down", show=False),
        Binding("home", "select(-1000)", "first", show=False),
        Binding("end", "select(1000)", "last", show=False),
    ]

    state: var[AppState] = var(AppState, init=False)
    now: var[float] = var(0.0, init=False)
    selected: var[str] = var("", init=False)
    """Key of the selected entry."""

    class Selected(Message):
        """Another entry is selected."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class Wanted(Message):
        """The user wants to use the selected one."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        return entries_of(self.state)

    @property
    def entry(self) -> Entry | None:
        """The selected one; the first while nobody has selected another."""
        entries = self.entries
        return next((entry for entry in entries if entry.key == self.selected), entries[0] if entries else None)

    def rows(self, width: int) -> list[Content]:
        return version_rows(self.state, self.entry, self.now, width, focused=self.has_focus)

    def watch_state(self, before: AppState, after: AppState) -> None:
        if before.base is not after.base or before.bases is not after.bases:
            entry = self.entry
            if entry is not None and entry.key != self.selected:
                self.selected = entry.key
            self.redraw()

    def watch_now(self) -> None:
        self.redraw()

    def watch_selected(self, key: str) -> None:
        self.redraw()
        self.post_message(self.Selected(key))

    def on_focus(self) -> None:
        self.redraw()

    def on_blur(self) -> None:
        self.redraw()

    def action_select(self, steps: int) -> None:
        entries, entry = self.entries, self.entry
        if entry is None:
            return
        index = min(max(entries.index(entry) + steps, 0), len(entries) - 1)
        self.selected = entries[index].key
        self.bring_into_view(0 if index == 0 else index + 1)

    def on_click(self, event: events.Click) -> None:
        entries, place = self.entries, event.get_content_offset(self)
        index = -1 if place is None else place.y + self.scroll_offset.y - 1  # below the headings
        if 0 <= index < len(entries):
            self.selected = entries[index].key
            if event.chain == 2:
                self.post_message(self.Wanted())


def version_rows(
    state: AppState, selected: Entry | None, now: float, width: int, *, focused: bool = True
) -> list[Content]:
    """The table with its headings, or a word on why there is none."""
    if state.bases.versions is None:
        return [fit(text(("looking…", MUTED)), width)]
    entries = entries_of(state)
    if not entries:
        return [
            fit(text(("No version of the base is on this engine yet.", MUTED)), width),
            fit(text(("The first one that is built or pulled will be listed here.", FAINT)), width),
        ]
    columns = _columns(entries, width)
    heading = ("version", "age", "size", "", "tags", "apps on it")
    rows = [_row("", *(text((word, MUTED)) for word in heading), columns=columns)]
    for entry in entries:
        chosen = selected is not None and entry.key == selected.key
        row = _entry_row(entry, now, columns, chosen=chosen)
        rows.append(row.stylize("on $primary 22%" if focused else "on $panel") if chosen else row)
    return [fit(row, width) for row in rows]


def _columns(entries: tuple[Entry, ...], width: int) -> tuple[int, int, int, int]:
    """Cells for names, notes, tags and app images; 0 for a column that there is no room for."""
    name = max(10, *(min(cell_len(entry.name), 16) for entry in entries))
    note = max(len(", ".join(entry.notes)) for entry in entries) + 2
    room = width - 4 - name - _AGE - _SIZE - 2 - note
    if room < _SHORTEST:
        return name, note, 0, 0
    longest = max(cell_len(_tags(entry)) for entry in entries) + 2
    tags = min(longest, room) if room - longest < _SHORTEST else longest
    if room - tags < _SHORTEST and room >= 2 * _SHORTEST:
        tags = room - _SHORTEST
    return name, note, tags, room - tags if room - tags >= _SHORTEST else 0


def _tags(entry: Entry) -> str:
    tags = entry.version.tags if entry.version is not None else ()
    return " ".join(printable(tag) for tag in tags if tag != entry.name)


def _entry_row(entry: Entry, now: float, columns: tuple[int, int, int, int], *, chosen: bool) -> Content:
    version = entry.version
    mark, style = _MARKS.get(entry.notes[0], ("", "")) if entry.notes else ("", "")
    since = age(max(now - version.created_at, 0)) if version is not None and version.created_at else ""
    weight = size(version.size_bytes) if version is not None else ""
    apps = ", ".join(map(printable, version.apps)) if version is not None else ""
    return _row(
        text(("▸" if chosen else " ", "bold"), (f"{mark:<2}", style)),
        text((entry.name, "bold" if "current" in entry.notes or chosen else "")),
        text((since, MUTED)),
        text((weight, MUTED)),
        text((", ".join(entry.notes), style)),
        text((_tags(entry), MUTED)),
        text((apps or "–", "" if apps else FAINT)),
        columns=columns,
    )


def _row(mark: Content | str, *cells: Content, columns: tuple[int, int, int, int]) -> Content:
    name, since, weight, note, tags, apps = cells
    named, noted, tagged, used = columns
    parts = [
        fit(text(mark), 3),
        fit(name, named + 1),
        column(since.plain, _AGE, MUTED),
        column(weight.plain, _SIZE, MUTED),
        text("  "),
        fit(note, noted),
    ]
    parts += [fit(tags, tagged - 1), text(" ")] if tagged else []
    parts += [fit(apps, used)] if used else []
    return text(*parts)
