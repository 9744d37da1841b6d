"""The base image as `splitdeck base` prints it: status, versions, differences. Pure text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from console.base_values import BaseContents, BaseStatus, BaseVersion
from console.format import age, paths, printable, short_id, size
from console.state.base_words import contents_words, held_command, held_words

_NAME = 10


def status_lines(base: BaseStatus, versions: Sequence[BaseVersion], remote: str, now: float) -> list[str]:
    """What there is to say of the present base, a fact a line.

    Args:
        base: As it was looked at.
        versions: Those on the engine.
        remote: The repository in a registry; empty for none.
        now: Seconds since 1970.
    """
    facts = [("base", f"{printable(base.reference)}: {_state(base, remote)}")]
    present = next((one for one in versions if one.current), None)
    if base.present:
        facts.append(("version", _version(base, present)))
        facts.append(("built", _built(base.created_at, now)))
        facts.append(("image", f"{short_id(base.image_id)}, {size(base.size_bytes)}"))
        facts.append(("digest", base.digest or "none: it was neither pushed nor pulled"))
        facts.append(("rollback", printable(base.previous) or "there is no version before this one"))
    if present is not None and present.apps:
        facts.append(("apps", ", ".join(map(printable, present.apps))))
    if base.held is not None:
        facts.append(("held", f"the new base image {held_words(base.held)}; {held_command(base.held)}"))
    newer = f"; another one is latest there: {short_id(base.newer)}" if base.newer else ""
    facts.append(("registry", f"{remote}{newer}" if remote else "none: [base] repository is not set"))
    return [f"{name:<{_NAME}} {value}" for name, value in facts]


def version_lines(versions: Sequence[BaseVersion], now: float) -> list[str]:
    """The versions as a table, newest first."""
    if not versions:
        return ["no version of the base image is on this engine yet"]
    rows = [("version", "age", "size", "digest", "", "tags", "apps on it")]
    rows += [
        (
            printable(one.name),
            age(max(now - one.created_at, 0)) if one.created_at else "–",
            size(one.size_bytes),
            short_id(one.digest) or "–",
            ", ".join(word for holds, word in ((one.current, "current"), (one.pinned, "pinned")) if holds),
            " ".join(printable(tag) for tag in one.tags if tag != one.name) or "–",
            ", ".join(map(printable, one.apps)) or "–",
        )
        for one in versions
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def contents_lines(contents: BaseContents) -> list[str]:
    """The packages in a base, a line each."""
    rows = [(one.manager, printable(one.name), printable(one.version)) for one in contents.packages]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(2)]
    table = [f"{manager:<{widths[0]}}  {name:<{widths[1]}}  {version}" for manager, name, version in rows]
    return [f"{printable(contents.version)}: {contents_words(contents)}", *table]


def superfluous_line(versions: Sequence[BaseVersion]) -> str:
    """What a prune would remove."""
    if not versions:
        return "nothing would be removed: each version here is needed"
    return f"would be removed: {', '.join(printable(one.name) for one in versions)}"


def _state(base: BaseStatus, remote: str) -> str:
    if not base.present and base.pinned:
        todo = "splitdeck base pull fetches it" if remote else "pull it, or splitdeck base use latest"
        return f"pinned, and not on this engine; {todo}"
    if not base.present:
        return "not on this engine; splitdeck base build makes it"
    if base.stale_files:
        return f"stale, {paths(base.stale_files)} changed"
    return "fresh" if base.fingerprint else "here; what it was built from is not known"


def _version(base: BaseStatus, present: BaseVersion | None) -> str:
    tags = [printable(tag) for tag in present.tags if tag != base.version] if present is not None else []
    pinned = "pinned in config.toml" if base.pinned else ""
    more = ", ".join(filter(None, (*tags, pinned)))
    return f"{printable(base.version) or '–'}{f' ({more})' if more else ''}"


def _built(at: float, now: float) -> str:
    if not at:
        return "–"
    day = datetime.fromtimestamp(at, tz=timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    since = age(max(now - at, 0))
    return f"{day}, {since if since == 'now' else f'{since} ago'}"
