"""What `splitdeck base` does: one wish to the base image's life, and how the outcome is shown."""

from __future__ import annotations

import io
import sys
from collections.abc import Awaitable, Callable

from console.base_values import HeldBecause
from console.config import Config
from console.errors import ExitCode
from console.loop.base_life import BaseLife
from console.model import SystemClock
from console.session import Session, headless_store
from console.state.app_state import AppState
from console.state.base_report import contents_lines, status_lines, superfluous_line, version_lines
from console.state.base_words import CANDIDATE

Work = Callable[[BaseLife], Awaitable[bool]]


async def carry_out(config: Config, work: Work, *, as_json: bool, publish: bool = False) -> ExitCode:
    """Does something with the base image and tells of it as it happens.

    Args:
        config: The project.
        work: Says whether it went well.
        as_json: Whether events are written as JSON lines.
        publish: Whether the present base is pushed after that.
    """
    store = headless_store(as_json=as_json)
    session = Session(config, store)
    try:
        base = (await session.open()).base
        await base.look()
        done = await work(base) and (not publish or await base.publish())
    finally:
        await session.stop()
        store.drain()
    return ExitCode.OK if done else ExitCode.FAILED


async def build(base: BaseLife, *, force: bool, no_cache: bool, allow_major: bool) -> bool:
    """Builds a new base where there is reason to."""
    await base.tidy()
    status = base.status
    held = status is not None and status.held is not None and status.held.because is HeldBecause.MAJOR
    if status is not None and status.present and not status.stale_files and not force and not (held and allow_major):
        sys.stderr.write(f"{status.reference} is fresh; --force builds it all the same\n")
        return True
    reason = f"{', '.join(status.stale_files)} changed" if status is not None and status.stale_files else "asked for"
    return (await base.renew(reason, no_cache=no_cache, allow_major=allow_major)).taken


async def pull(base: BaseLife, *, allow_major: bool) -> bool:
    """Fetches the registry's `latest`, or the version that is pinned."""
    if base.status is not None and base.status.pinned:
        return (await base.obtain()).taken
    return (await base.fetch(asked=True, allow_major=allow_major)).taken


async def show_status(config: Config, *, as_json: bool) -> ExitCode:
    """Prints how the base stands."""

    async def work(base: BaseLife) -> bool:
        return base.status is not None and await base.list_versions()

    def lines(state: AppState) -> list[str]:
        assert state.base is not None
        return status_lines(state.base, state.bases.versions or (), config.base.remote, SystemClock().now())

    return await _show(config, work, lines, as_json=as_json)


async def show_versions(config: Config, *, as_json: bool) -> ExitCode:
    """Prints the versions on this engine."""
    return await _show(config, BaseLife.list_versions, _versions, as_json=as_json)


async def show_superfluous(config: Config, *, as_json: bool) -> ExitCode:
    """Prints what a prune would remove."""
    return await _show(
        config, BaseLife.list_superfluous, lambda state: [superfluous_line(state.bases.versions or ())], as_json=as_json
    )


async def show_difference(config: Config, before: str, after: str, *, as_json: bool) -> ExitCode:
    """Prints the packages that two versions do not have alike.

    Args:
        config: The project.
        before: The older one; empty for the one before the present one.
        after: The newer one; empty for the one that is held, if one is, else the present one.
        as_json: Whether it is printed as an event.
    """
    from console.base.package_diff import render_diff

    async def work(base: BaseLife) -> bool:
        status = base.status
        if status is None:
            return False
        held = status.held is not None and status.held.because is not HeldBecause.BUILD
        newer = after or (CANDIDATE if held and not before else status.image_id)
        older = before or (status.image_id if newer == CANDIDATE else status.previous)
        return await base.compare(older, newer)

    return await _show(config, work, lambda state: render_diff(state.bases.diffs[-1]), as_json=as_json)


async def show_contents(config: Config, version: str, *, as_json: bool) -> ExitCode:
    """Prints the packages in a version; in the present one where none is named."""

    async def work(base: BaseLife) -> bool:
        return base.status is not None and await base.read_contents(version or base.status.image_id)

    return await _show(config, work, lambda state: contents_lines(state.bases.contents[-1]), as_json=as_json)


def _versions(state: AppState) -> list[str]:
    return version_lines(state.bases.versions or (), SystemClock().now())


async def _show(config: Config, work: Work, lines: Callable[[AppState], list[str]], *, as_json: bool) -> ExitCode:
    """Asks something and prints the answer alone; errors go to standard error."""
    store = headless_store(as_json=as_json, out=None if as_json else io.StringIO())
    session = Session(config, store)
    try:
        base = (await session.open()).base
        await base.look()
        done = await work(base)
    finally:
        await session.stop()
        store.drain()
    if done and not as_json:
        sys.stdout.write("".join(f"{line}\n" for line in lines(store.state)))
    return ExitCode.OK if done else ExitCode.FAILED
