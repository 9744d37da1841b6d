"""Foreign text made fit for the screen: colours are kept, everything else that a terminal would act on is not."""

from __future__ import annotations

import re

from rich.text import Text

LONGEST = 4000
"""Characters of one line that are looked at; the rest of it is counted, not drawn."""

_ESCAPES = re.compile(
    r"\x1b(?:"
    r"\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # titles and links
    r"|[PX^_][^\x1b]*(?:\x1b\\)?"  # device strings
    r"|\[[0-?]*[ -/]*[@-~]?"  # cursor movement and colours
    r"|[ -/]*[0-~]?"
    r")"
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def clean(line: str) -> str:
    """A line without colours and control characters: what is searched and what is copied."""
    if line.isascii() and line.isprintable():
        return line if len(line) <= LONGEST else _shortened(line)
    return _without_unsafe(_ESCAPES.sub("", _visible_part(line))).replace("\x1b", "").expandtabs(8)


def to_text(line: str) -> Text:
    """A line as drawn, with its colours."""
    if "\x1b" not in line:
        return Text(clean(line), no_wrap=True, end="")
    coloured = _ESCAPES.sub(lambda match: match[0] if _COLOUR.fullmatch(match[0]) else "", _visible_part(line))
    drawn = Text.from_ansi(_without_unsafe(coloured), no_wrap=True, end="")
    drawn.expand_tabs(8)
    return drawn


def _visible_part(line: str) -> str:
    """What is left of a line that a program has rewritten with carriage returns: its last version."""
    if "\r" in line:
        parts = [part for part in line.split("\r") if part]
        line = parts[-1] if parts else ""
    return line if len(line) <= LONGEST else _shortened(line)


def _shortened(line: str) -> str:
    return f"{line[:LONGEST]} … +{len(line) - LONGEST:,} characters"


def _without_unsafe(line: str) -> str:
    return _UNSAFE.sub(lambda match: "\N{REPLACEMENT CHARACTER}" if "\ud800" <= match[0] <= "\udfff" else "", line)
