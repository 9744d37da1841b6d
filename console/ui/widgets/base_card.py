"""The present base image: what people call it, how it stands, and what may be done about it."""

from __future__ import annotations

from textual.content import Content

from console.base_values import BaseStatus, BaseVersion, HeldBase, HeldBecause
from console.format import age, paths, printable, short_id, size
from console.model import BuildStatus
from console.state.app_state import AppState
from console.state.base_words import held_words
from console.state.outlook import build_outlook
from console.state.words import short_outlook
from console.ui.lines import MUTED, fit, keep, text, wrapped
from console.ui.widgets.header import version_of
from console.ui.widgets.panel import Panel

_NAME = 10
_WARNING = "bold $warning"


class BaseCard(Panel):
    """The facts about the present base, the important ones first."""

    BORDER_TITLE = "Base image"
    SLICES = ("base", "base_build", "bases", "mode")

    def __init__(self, remote: str, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._remote = remote

    def rows(self, width: int, height: int) -> list[Content]:
        return base_card_rows(self.state, self.now, width, height, remote=self._remote)


def base_card_rows(state: AppState, now: float, width: int, height: int, *, remote: str = "") -> list[Content]:
    """The card's rows, the least important left out where `height` does not hold them all."""
    base = state.base
    if base is None:
        return [fit(text(("looking for it…", MUTED)), width)]
    rows = [(0, row) for row in _building(state, now, width)]
    if not base.present:
        rows += [(0, row) for row in _missing(base, width, remote)]
    else:
        rows.append((0, _title(base, now, width)))
    if base.held is not None:
        rows += [(0, row) for row in _held(base.held, width)]
    if base.stale_files:
        rows += [(1, row) for row in _fact("! stale", f"{paths(base.stale_files, 6)} changed; b builds it", width)]
    if base.newer:
        newer = f"the registry has another one under this tag, {short_id(base.newer)}; g pulls it"
        rows += [(1, row) for row in _fact("↑ newer", newer, width, "bold $primary")]
    if base.present:
        rows += _details(base, _current(state), width)
    where = remote or "none: [base] repository in config.toml is not set"
    rows.append((5, _plain_fact("registry", where, width)))
    return keep(rows, height)


def _building(state: AppState, now: float, width: int) -> list[Content]:
    build = state.base_build
    if build is None or build.status is not BuildStatus.RUNNING:
        return []
    left = short_outlook(build_outlook(build, now))
    so_far = f"● building a new one for {age(max(now - build.started_at, 0))}{f' · {left}' if left else ''}"
    return [fit(text((so_far, "bold $accent")), width)]


def _missing(base: BaseStatus, width: int, remote: str) -> list[Content]:
    said = f"{printable(base.reference)} is not on this engine: there is nothing that app builds could stand on."
    pull = text(("  g", "bold"), f"  pulls it from {printable(remote)}") if remote else None
    return [
        *wrapped(text(("✖ ", "bold $error")), said, "bold", width),
        fit(text(("  b", "bold"), "  builds it, then the app on it"), width),
        *([fit(pull, width)] if pull is not None else []),
    ]


def _title(base: BaseStatus, now: float, width: int) -> Content:
    state = ("✔ fresh", "$success")
    if base.stale_files:
        state = ("! stale", _WARNING)
    parts: list[tuple[str, str]] = [(version_of(base), "bold"), ("  ", ""), state]
    if base.pinned:
        parts.append(("  pinned", "bold"))
    if base.created_at:
        since = age(max(now - base.created_at, 0))
        parts.append((f"  built {since if since == 'now' else f'{since} ago'}", MUTED))
    parts.append((f"  {size(base.size_bytes)}", MUTED))
    return fit(text(*parts), width)


def _held(held: HeldBase, width: int) -> list[Content]:
    said = _fact("! held", f"the new base {held_words(held)}", width, _WARNING, "bold")
    keys = "b tries again"
    if held.because is HeldBecause.MAJOR:
        keys = "a approves it as it is; b tries again"
    return [*said, fit(text(" " * _NAME, (f"{keys}; app builds go on with the present one", MUTED)), width)]


def _details(base: BaseStatus, version: BaseVersion | None, width: int) -> list[tuple[int, Content]]:
    rows = [(3, _plain_fact("image", f"{printable(base.reference)}  {short_id(base.image_id)}", width))]
    if version is not None:
        commit = f"  from commit {short_id(version.revision)}" if version.revision else ""
        rows.append((2, _plain_fact("tags", f"{', '.join(map(printable, version.tags))}{commit}", width)))
    digest = base.digest or "none: it was neither pushed nor pulled"
    rows.append((4, _plain_fact("digest", digest if not base.digest else base.digest[: 7 + 12], width)))
    back = f"R goes back to {printable(base.previous)}" if base.previous else "there is no version before this one"
    rows.append((3, _plain_fact("rollback", back, width)))
    return rows


def _current(state: AppState) -> BaseVersion | None:
    return next((version for version in state.bases.versions or () if version.current), None)


def _plain_fact(name: str, value: str, width: int) -> Content:
    return fit(text((f"{name:<{_NAME}}", MUTED), value), width)


def _fact(name: str, value: str, width: int, style: str = _WARNING, value_style: str = "$foreground") -> list[Content]:
    """A fact on at most two lines."""
    lines = wrapped(text((f"{name:<{_NAME}}", style)), value, value_style, width)
    return lines if len(lines) <= 2 else [lines[0], fit(text(lines[1], "…"), width)]
