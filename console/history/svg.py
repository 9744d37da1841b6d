"""Elements of a picture as SVG text: figures, words with the room that they take, and what rows are filled with. Pure.

A picture carries its own background and follows the reader's colour scheme, has no script and refers to nothing
outside. Whoever shows it has other fonts than we know of, so the room that words take is an upper estimate.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape, quoteattr

from console.format import printable
from console.history.stages import CODE, MODELS, OTHER, OTHER_DEPS, PYTHON, SYSTEM

STYLE = """\
.splitdeck text { font-family: -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; }
.splitdeck .card { fill: #ffffff; stroke: #d1d9e0; }
.splitdeck .words { fill: #1f2328; }
.splitdeck .muted { fill: #59636e; }
.splitdeck .grid { stroke: #d1d9e0; stroke-width: 1; }
.splitdeck .edge { fill: none; stroke: #ffffff; stroke-width: 1; }
.splitdeck .plain { fill: #8c959f; }
.splitdeck .range { fill: none; stroke: #1f2328; stroke-width: 1.5; }
.splitdeck .hollow { fill: none; stroke: #59636e; stroke-width: 1.2; stroke-dasharray: 3 2; }
.splitdeck .thin { fill: #8c959f; fill-opacity: 0.35; stroke: #59636e; }
.splitdeck .label { fill: #ffffff; fill-opacity: 0.92; }
.splitdeck .behind { fill: #ffffff; }
@media (prefers-color-scheme: dark) {
.splitdeck .card { fill: #0d1117; stroke: #3d444d; }
.splitdeck .words { fill: #f0f6fc; }
.splitdeck .muted { fill: #9198a1; }
.splitdeck .grid { stroke: #3d444d; }
.splitdeck .edge { stroke: #0d1117; }
.splitdeck .range { stroke: #f0f6fc; }
.splitdeck .hollow { stroke: #9198a1; }
.splitdeck .thin { stroke: #9198a1; }
.splitdeck .label, .splitdeck .behind { fill: #0d1117; }
}"""
"""GitHub's colours, for both of its schemes."""

_RISING, _FALLING = "M-2 2L2 -2M-2 10L10 -2M6 10L10 6", "M-2 6L2 10M-2 -2L10 10M6 -2L10 2"
_DOTS, _UPRIGHT, _LEVEL = "M1 2h2M5 6h2", "M2 0V8M6 0V8", "M0 2H8M0 6H8"
_CROSSED = f"{_RISING}{_FALLING}"
_LOOKS = {
    SYSTEM: ("#0072b2", ""),
    PYTHON: ("#e69f00", _RISING),
    MODELS: ("#009e73", _DOTS),
    CODE: ("#cc79a7", _UPRIGHT),
    OTHER_DEPS: ("#56b4e9", _LEVEL),
    OTHER: ("#8c959f", _CROSSED),
}
"""Okabe and Ito's colours, which people who see few colours tell apart; nobody needs them to tell the lines apart."""
_OWN_COLOURS = ("#d55e00", "#f0e442", "#b07aa1", "#44aa99", "#9ecae1")
_OWN_LINES = (_FALLING, _LEVEL, _RISING, _CROSSED, _DOTS, _UPRIGHT)
_NARROW = frozenset("iljtfrI.,:;|!'()[] -·")
_NARROW_EM, _USUAL_EM, _LARGE_EM, _WIDE_EM, _BOLD = 0.38, 0.61, 0.8, 1.0, 1.1


class Fills:
    """What the rows of all panels are filled with, the same row everywhere alike.

    Args:
        names: The rows, in the order of the legend.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}

    @property
    def names(self) -> Sequence[str]:
        return tuple(self._numbers)

    def of(self, name: str) -> str:
        """The value of a `fill` attribute."""
        return f"url(#splitdeck-{self._numbers[name]})"

    def definitions(self) -> str:
        """What `of` refers to."""
        own = [name for name in self._numbers if name not in _LOOKS]
        found = []
        for name, number in self._numbers.items():
            if name in _LOOKS:
                colour, lines = _LOOKS[name]
            else:
                at = own.index(name)
                colour, lines = _OWN_COLOURS[at % len(_OWN_COLOURS)], _OWN_LINES[at % len(_OWN_LINES)]
            drawn = f'<path d="{lines}" stroke="#000000" stroke-opacity="0.45" stroke-width="1.4"/>' if lines else ""
            found.append(
                f'<pattern id="splitdeck-{number}" width="8" height="8" patternUnits="userSpaceOnUse">'
                f'<rect width="8" height="8" fill="{colour}"/>{drawn}</pattern>'
            )
        return f"<defs>{''.join(found)}</defs>"


def figure(value: float) -> str:
    """A length or a place, in pixels."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def rect(
    x: float,
    y: float,
    width: float,
    height: float,
    kind: str = "",
    *,
    fill: str = "",
    name: str = "",
    radius: float = 0,
) -> str:
    """A rectangle; `name` is what it is, for people and programs that point at it."""
    place = f'x="{figure(x)}" y="{figure(y)}" width="{figure(width)}" height="{figure(height)}"'
    more = f" class={quoteattr(kind)}" if kind else ""
    more += f" fill={quoteattr(fill)}" if fill else ""
    more += f' rx="{figure(radius)}"' if radius else ""
    return f"<rect {place}{more}><title>{content(name)}</title></rect>" if name else f"<rect {place}{more}/>"


def path(drawn: str, kind: str) -> str:
    """Lines."""
    return f"<path d={quoteattr(drawn)} class={quoteattr(kind)}/>"


def words(
    x: float, y: float, text: str, size: float = 13, *, kind: str = "words", bold: bool = False, anchor: str = "start"
) -> str:
    """Text on one line; foreign text is made printable. `y` is where the letters stand."""
    weight = ' font-weight="600"' if bold else ""
    side = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return (
        f'<text x="{figure(x)}" y="{figure(y)}" font-size="{figure(size)}" class="{kind}"{weight}{side}>'
        f"{content(text)}</text>"
    )


def content(text: str) -> str:
    """Foreign text as XML holds it."""
    return escape(printable(text))


def room(text: str, size: float, *, bold: bool = False) -> float:
    """What text takes of a line, at most, in pixels."""
    em = sum(map(_em, text)) * (_BOLD if bold else 1)
    return em * size


def cut(text: str, width: float, size: float) -> str:
    """Text that takes no more than a width, its end left out where it does."""
    text = printable(text)
    if room(text, size) <= width:
        return text
    while text and room(f"{text}…", size) > width:
        text = text[:-1]
    return f"{text}…"


def wrapped(text: str, width: float, size: float) -> list[str]:
    """Text on lines of a width, between words where there is a space, else anywhere."""
    lines: list[str] = []
    line = ""
    for word in printable(text).split():
        longer = f"{line} {word}" if line else word
        if room(longer, size) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        line = word
        while room(line, size) > width:
            end = next(at for at in range(len(line), 0, -1) if at == 1 or room(line[:at], size) <= width)
            lines.append(line[:end])
            line = line[end:]
    return [*lines, line] if line else lines


def _em(char: str) -> float:
    if char in _NARROW:
        return _NARROW_EM
    if unicodedata.east_asian_width(char) in "WF":
        return _WIDE_EM
    return _LARGE_EM if char.isupper() or char in "mwMW%@÷×" else _USUAL_EM
