"""Lines of styled text for the panels: columns, bars, trends, and what to leave out where room is short.

Everything takes plain text and `Content`; nothing here is ever read as markup, whatever a file is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from textual.content import Content

from console.format import printable

MUTED = "$foreground 62%"
FAINT = "$foreground 40%"

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_LEVELS = "▁▂▃▄▅▆▇█"

Part = str | Content | tuple[str, str]


def text(*parts: Part) -> Content:
    """One line of parts: plain text, `(text, style)` or other content."""
    return Content.assemble(*parts)


def fit(content: Content, width: int) -> Content:
    """Exactly `width` cells: cut with an ellipsis or filled with spaces."""
    return content.truncate(max(width, 0), ellipsis=True, pad=True)


def spread(left: Content, right: Content, width: int) -> Content:
    """`left` and `right` at the two ends of a line; the left one gives way where both do not fit."""
    room = width - right.cell_length
    if room < 2:
        return fit(left, width)
    return Content.assemble(fit(left, room - 1), " ", right)


def wrapped(edge: Part, value: str, style: str, width: int, *, below: Part | None = None) -> list[Content]:
    """A text on as many lines as it needs, none for an empty one; `edge` stands before the first, `below` (spaces of
    the same width by default) before the others."""
    if not value:
        return []
    first = text(edge)
    others = text(" " * first.cell_length) if below is None else text(below)
    lines = text((value, style)).wrap(max(width - first.cell_length, 1))
    return [fit(text(others if index else first, line), width) for index, line in enumerate(lines)]


def limited(lines: list[Content], most: int, style: str) -> list[Content]:
    """At most so many of the lines of a wrapped text; the last one says with an ellipsis that there is more."""
    if len(lines) <= most:
        return lines
    width = lines[0].cell_length
    indent = len(lines[most - 1].plain) - len(lines[most - 1].plain.lstrip())
    rest = " ".join(line.plain.strip() for line in lines[most - 1 :])
    return [*lines[: most - 1], fit(text(" " * indent, (rest, style)), width)]


def column(value: str, width: int, style: str = "") -> Content:
    """A figure in a right-aligned column."""
    return Content.assemble(" " * max(0, width - cell_len(value)), (value, style))


def path(name: str, width: int) -> str:
    """A file name on one line of at most `width` cells; its end is what people recognise, so the front is cut."""
    shown = printable(name)
    if cell_len(shown) <= width:
        return shown
    while shown and cell_len(shown) > width - 1:
        shown = shown[max(1, (cell_len(shown) - width) // 2) :]
    return f"…{shown}" if width > 0 else ""


def paths(names: Sequence[str], width: int) -> str:
    """As many of the names as fit into `width` cells, then how many more there are."""
    if not names:
        return ""
    shown: list[str] = []
    for name in names:
        rest = len(names) - len(shown) - 1
        tail = f" +{rest}" if rest else ""
        if cell_len(", ".join([*shown, printable(name)]) + tail) > width:
            break
        shown.append(printable(name))
    rest = len(names) - len(shown)
    if not shown:
        tail = f" +{rest - 1}" if rest > 1 else ""
        return path(names[0], width - len(tail)) + tail
    return ", ".join(shown) + (f" +{rest}" if rest else "")


def bar(share: float, width: int) -> str:
    """A bar of `share` (0 to 1) of `width` cells, in eighths of a cell; anything above nothing shows at least one."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    if share > 0:
        eighths = max(eighths, 1)
    full, part = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[part] if part else "")


def trend(values: Sequence[float], width: int) -> str:
    """The newest values as columns, one cell each: the tallest is the highest, the range at least a fifth of it."""
    shown = values[-width:] if width > 0 else ()
    top = max(shown, default=0.0)
    if top <= 0:
        return _LEVELS[0] * len(shown)
    span = max(top - min(shown), top / 5)
    return "".join(_LEVELS[round((value - top + span) / span * 7)] for value in shown)


def keep(rows: Iterable[tuple[int, Content]], height: int) -> list[Content]:
    """The rows that fit into `height`, in their order; those with the highest numbers go first where room is short."""
    kept = list(rows)
    while len(kept) > max(height, 0):
        worst = max(range(len(kept)), key=lambda index: (kept[index][0], index))
        del kept[worst]
    return [row for _, row in kept]
