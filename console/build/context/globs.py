"""Globs in a Dockerfile's sources: Go's filepath.Match, one path component at a time."""

from __future__ import annotations

import re


def has_wildcard(component: str) -> bool:
    """As BuildKit tells a glob from a name that holds a backslash."""
    position = 0
    while position < len(component):
        if component[position] in "*?[":
            return True
        position += 2 if component[position] == "\\" else 1
    return False


def component_pattern(pattern: str) -> re.Pattern[str] | None:
    """One component of a filepath.Match pattern; None where it is malformed, which matches nothing."""
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            if parts[-1:] != [".*"]:
                parts.append(".*")
        elif character == "?":
            parts.append(".")
        elif character == "[":
            found = re.match(r"(\^?)((?:(?:\\.|[^\]\\-])(?:-(?:\\.|[^\]\\-]))?)+)\]", pattern[position:], re.DOTALL)
            if found is None:
                return None
            position += found.end()
            parts.append(_class(found[2], negated=bool(found[1])))
        elif character == "\\":
            if position == len(pattern):
                return None
            parts.append(re.escape(pattern[position]))
            position += 1
        else:
            parts.append(re.escape(character))
    return re.compile("".join(parts), re.DOTALL)


def _class(inside: str, *, negated: bool) -> str:
    """The inside of a well-formed `[…]` as a regular expression."""
    ranges = []
    for low, high in re.findall(r"(\\.|[^\\])(?:-(\\.|[^\\]))?", inside, re.DOTALL):
        first = low[-1]
        last = high[-1] if high else first
        if first <= last:
            ranges.append(f"{re.escape(first)}-{re.escape(last)}")
    if not ranges:
        return "." if negated else "(?!)"
    return f"[{'^' if negated else ''}{''.join(ranges)}]"
