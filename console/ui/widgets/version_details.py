"""What there is to say of the selected base image: a transfer under way, its facts, its packages."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import var

from console.base_values import BaseDiff, PackageChange, Transfer, TransferLayer, TransferStatus
from console.format import age, printable, short_id, size
from console.state.app_state import AppState
from console.state.base_words import (
    CANDIDATE,
    change_words,
    contents_words,
    diff_words,
    direction_words,
    in_order,
    transfer_bytes,
    transfer_progress,
    transfer_share,
)
from console.ui.base_rows import Entry, contents_of, diff_of, entries_of, pair_of
from console.ui.lines import FAINT, MUTED, bar, fit, spread, text, wrapped
from console.ui.widgets.rows import RowsView

_NAME = 8
_LAYER_MARKS = {
    "waiting": ("○", MUTED),
    "moving": ("●", "bold $accent"),
    "unpacking": ("◐", "$accent"),
}
_SETTLED = {"done": "done", "there": "there already"}
_FACTS_FIRST_FROM = 14
"""Rows of the pane."""


class VersionDetails(RowsView):
    """The pane beside the list."""

    BORDER_TITLE = "Details"

    state: var[AppState] = var(AppState, init=False)
    now: var[float] = var(0.0, init=False)
    selected: var[str] = var("", init=False)
    """Key of the entry that is shown."""
    comparing: var[bool] = var(default=False, init=False)
    """Whether the answer to a comparison is awaited."""
    reading: var[bool] = var(default=False, init=False)
    """Whether what it holds is being read."""

    def rows(self, width: int) -> list[Content]:
        height = self.scrollable_content_region.height
        return detail_rows(
            self.state, self.selected, self.now, width, height, comparing=self.comparing, reading=self.reading
        )

    def watch_state(self, before: AppState, after: AppState) -> None:
        if before.base is not after.base or before.bases is not after.bases:
            self.redraw()

    def watch_now(self) -> None:
        transfer = self.state.bases.transfer
        if transfer is not None and transfer.status is TransferStatus.RUNNING:
            self.redraw()

    def watch_selected(self) -> None:
        self.scroll_to(y=0, animate=False, force=True)
        self.redraw()

    def watch_comparing(self) -> None:
        self.redraw()

    def watch_reading(self) -> None:
        self.redraw()


def detail_rows(
    state: AppState,
    key: str,
    now: float,
    width: int,
    height: int,
    *,
    comparing: bool = False,
    reading: bool = False,
) -> list[Content]:
    """The pane's rows: the facts come last where they would leave no room to see the differences."""
    rows = transfer_rows(state.bases.transfer, max(now - state.bases.transfer_started_at, 0.0), width)
    entry = next((entry for entry in entries_of(state) if entry.key == key), None)
    if entry is None:
        return rows or [fit(text(("What the selected version holds is shown here.", MUTED)), width)]
    rows += [text("")] if rows else []
    facts, differences = _facts(entry, width), _differences(state, entry, width, comparing=comparing)
    parts = (differences, facts) if height < _FACTS_FIRST_FROM else (facts, differences)
    holds = _contents(state, entry, width, reading=reading)
    return [*rows, _title(entry, width), *parts[0], text(""), *parts[1], text(""), *holds]


# -- a transfer --------------------------------------------------------------------------------------------------------


def transfer_rows(transfer: Transfer | None, elapsed_s: float, width: int) -> list[Content]:
    """How far it is, layer by layer; of one that ended only a failure is worth a row."""
    if transfer is None or transfer.status is TransferStatus.OK:
        return []
    if transfer.status is TransferStatus.FAILED:
        why = f": {printable(transfer.message)}" if transfer.message else ""
        said = wrapped(text(("✖ ", "bold $error")), f"{direction_words(transfer)} failed{why}", "bold", width)
        return [*said, *wrapped("  ", printable(transfer.reference), MUTED, width)]
    head = text((f"● {direction_words(transfer)}  {transfer_progress(transfer)}", "bold $accent"))
    rows = [spread(head, text((age(elapsed_s), MUTED)), width)]
    rows += wrapped("", printable(transfer.reference), "$foreground", width)
    if transfer.attempt > 1:
        again = f"attempt {transfer.attempt}{f': {printable(transfer.message)}' if transfer.message else ''}"
        rows += wrapped(text(("! ", "bold $warning")), again, "$warning", width)
    share, moved = transfer_share(transfer), transfer_bytes(transfer)
    if share is not None:
        rows.append(text(_drawn(share, max(width - len(moved) - 2, 0)), "  ", moved))
    elif moved:
        rows.append(fit(text(moved), width))
    rows += [_layer_row(layer, width) for layer in transfer.layers if layer.status not in _SETTLED]
    counts = [(sum(layer.status == status for layer in transfer.layers), status) for status in _SETTLED]
    settled = ", ".join(f"{count} {_SETTLED[status]}" for count, status in counts if count)
    return [*rows, *wrapped(text(("✔ ", "$success")), settled and f"layers: {settled}", MUTED, width)]


def _layer_row(layer: TransferLayer, width: int) -> Content:
    mark, style = _LAYER_MARKS.get(layer.status, ("·", MUTED))
    head = text((f"{mark} ", style), (f"{printable(layer.id)[:12]:<13}", ""))
    if layer.status == "moving" and layer.total_bytes:
        share = layer.current_bytes / layer.total_bytes
        figures = f" {size(layer.current_bytes)} of {size(layer.total_bytes)}"
        room = min(width - head.cell_length - len(figures), 30)
        return fit(text(head, _drawn(share, room) if room >= 4 else "", (figures, MUTED)), width)
    weight = f"  {size(layer.total_bytes or layer.current_bytes)}" if layer.total_bytes or layer.current_bytes else ""
    return fit(text(head, (printable(layer.status), MUTED), (weight, MUTED)), width)


def _drawn(share: float, width: int) -> Content:
    filled = bar(share, width)
    return text((filled, "$accent"), ("·" * (width - len(filled)), FAINT))


# -- the selected one --------------------------------------------------------------------------------------------------


def _title(entry: Entry, width: int) -> Content:
    notes = f"  {', '.join(entry.notes)}" if entry.notes else ""
    return fit(text((entry.name, "bold $primary"), (notes, MUTED if entry.held is None else "$warning")), width)


def _facts(entry: Entry, width: int) -> list[Content]:
    version = entry.version
    if version is None:
        assert entry.held is not None
        said = wrapped("", printable(entry.held.reason), "$foreground", width)
        return said + [_change_row(change, width) for change in entry.held.majors]
    rows = []
    facts = (
        ("tags", ", ".join(version.tags)),
        ("apps", ", ".join(version.apps) or "none here stands on it"),
        ("commit", short_id(version.revision)),
        ("digest", version.digest[: 7 + 12] or "neither pushed nor pulled"),
        ("image", short_id(version.image_id)),
    )
    for name, value in facts:
        rows += wrapped(text((f"{name:<{_NAME}}", MUTED)), printable(value), "$foreground", width)
    return rows


def _differences(state: AppState, entry: Entry, width: int, *, comparing: bool) -> list[Content]:
    pair, diff = pair_of(state, entry), diff_of(state, entry)
    if pair is None:
        return [fit(text(("There is no other version to compare it with.", FAINT)), width)]
    if diff is None:
        before, after = (entry.name if name == CANDIDATE else printable(name) for name in pair)
        if comparing:
            return wrapped(text(("● ", "$accent")), f"comparing {before} with {after}…", "$accent", width)
        return wrapped(text(("d ", "bold")), f"compares {before} with {after}", MUTED, width)
    return diff_rows(diff, width)


def _contents(state: AppState, entry: Entry, width: int, *, reading: bool) -> list[Content]:
    """The packages in it, by manager; without an answer what to do for one."""
    contents = contents_of(state, entry)
    if contents is None and reading:
        return wrapped(text(("● ", "$accent")), f"reading what {entry.name} holds…", "$accent", width)
    if contents is None:
        return wrapped(text(("i ", "bold")), f"shows what {entry.name} holds", MUTED, width)
    rows = wrapped(text(("holds  ", "bold")), contents_words(contents), MUTED, width)
    manager = ""
    for package in contents.packages:
        if package.manager != manager:
            manager = package.manager
            rows += [text(""), fit(text((printable(manager), "bold $primary")), width)]
        name, version = text(printable(package.name)), text((printable(package.version), MUTED))
        rows.append(spread(fit(name, max(width - version.cell_length - 1, 1)), version, width))
    return rows


def diff_rows(diff: BaseDiff, width: int) -> list[Content]:
    """What two base images do not have alike, major updates first."""
    title = f"{printable(diff.before)} → {printable(diff.after)}"
    rows = [fit(text((title, "bold")), width), *wrapped("", diff_words(diff), MUTED, width)]
    manager = ""
    for change in in_order(diff.changes):
        heading = "major updates" if change.major else change.manager
        if heading != manager:
            manager = heading
            rows += [text(""), fit(text((printable(heading), _WARNING if change.major else "bold $primary")), width)]
        rows.append(_change_row(change, width))
    return rows


_WARNING = "bold $warning"


def _change_row(change: PackageChange, width: int) -> Content:
    words = change_words(change)
    if change.major:
        tail = text((f" {printable(change.manager)}", MUTED))
        return spread(text(("! ", _WARNING), (words, _WARNING)), tail, width)
    mark = words[0] if not change.before or not change.after else "~"
    style = {"+": "bold $success", "-": "bold $error"}.get(mark, MUTED)
    return fit(text((f"{mark} ", style), words.removeprefix(f"{mark} ")), width)
