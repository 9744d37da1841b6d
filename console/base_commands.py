"""What `splitdeck base` does: one wish to the base image's life, and how the outcome is shown."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from console.base.tags import CANDIDATE
from console.base_values import HeldBecause
from console.config import Config
from console.errors import BaseError, EngineUnreachableError, ExitCode
from console.intents import CancelRequested
from console.loop.base_life import Renewal
from console.loop.controller import Controller
from console.loop.endings import to_its_end
from console.measurements import Trigger
from console.model import SystemClock
from console.session import Session, headless_store
from console.state.app_state import AppState
from console.state.base_report import contents_lines, status_lines, superfluous_line, version_lines
from console.state.store import Store

Work = Callable[[Controller], Coroutine[Any, Any, bool]]
"""Says whether it went well; what went wrong has been told."""


async def carry_out(config: Config, work: Work, *, as_json: bool, publish: bool = False) -> ExitCode:
    """Does something with the base image and tells of it as it happens.

    Args:
        config: The project.
        work: What.
        as_json: Whether events are written as JSON lines.
        publish: Whether the present base is pushed after that.
    """

    async def all_of_it(controller: Controller) -> bool:
        return await work(controller) and (not publish or await controller.wishes.publish())

    return await _with_controller(config, headless_store(as_json=as_json), all_of_it)


async def build(controller: Controller, *, force: bool, no_cache: bool, allow_major: bool) -> bool:
    """Builds a new base where there is reason to.

    Raises:
        EngineUnreachableError: If the engine went away meanwhile.
    """
    base = controller.base
    await base.tidy()
    status = base.status
    held = status is not None and status.held is not None and status.held.because is HeldBecause.MAJOR
    if status is not None and status.present and not status.stale_files and not force and not (held and allow_major):
        sys.stderr.write(f"{status.reference} is fresh; --force builds it all the same\n")
        return True
    reason = f"{', '.join(status.stale_files)} changed" if status is not None and status.stale_files else "asked for"
    return _taken(await base.renew(reason, trigger=Trigger.COMMAND, no_cache=no_cache, allow_major=allow_major))


async def pull(controller: Controller, *, allow_major: bool) -> bool:
    """Fetches the registry's `latest`, or the version that is pinned.

    Raises:
        EngineUnreachableError: If the engine went away meanwhile.
    """
    base = controller.base
    if base.status is not None and base.status.pinned:
        return _taken(await base.obtain())
    return _taken(await base.fetch(asked=True, allow_major=allow_major))


async def show_status(config: Config, *, as_json: bool) -> ExitCode:
    """Prints how the base stands, and whether the registry has a newer one; if that cannot be asked, it says so."""

    async def work(controller: Controller) -> bool:
        if config.base.remote:
            await controller.wishes.ask_registry()
        return controller.base.status is not None and await controller.wishes.list_versions()

    def lines(state: AppState) -> list[str]:
        assert state.base is not None
        return status_lines(state.base, state.bases.versions or (), config.base.remote, SystemClock().now())

    return await _show(config, work, lines, as_json=as_json)


async def show_versions(config: Config, *, as_json: bool) -> ExitCode:
    """Prints the versions on this engine."""
    return await _show(config, lambda controller: controller.wishes.list_versions(), _versions, as_json=as_json)


async def show_superfluous(config: Config, *, as_json: bool) -> ExitCode:
    """Prints what a prune would remove."""

    def lines(state: AppState) -> list[str]:
        return [superfluous_line(state.bases.versions or ())]

    return await _show(config, lambda controller: controller.wishes.list_superfluous(), lines, as_json=as_json)


async def show_difference(config: Config, before: str, after: str, *, as_json: bool) -> ExitCode:
    """Prints the packages that two versions do not have alike.

    Args:
        config: The project.
        before: The older one; empty for the one before the present one.
        after: The newer one; empty for the one that is held, if one is, else the present one.
        as_json: Whether it is printed as an event.
    """
    from console.base.package_diff import render_diff

    async def work(controller: Controller) -> bool:
        status = controller.base.status
        held = status is not None and status.held is not None and status.held.because is not HeldBecause.BUILD
        newer = after or (CANDIDATE if held and not before else _present(controller))
        older = before or (_present(controller) if newer == CANDIDATE else status.previous if status else "")
        if not older:
            raise BaseError("there is no version before the present one to compare it with", "name two: `base list`")
        return await controller.wishes.compare(older, newer)

    return await _show(config, work, lambda state: render_diff(state.bases.diffs[-1]), as_json=as_json)


async def show_contents(config: Config, version: str, *, as_json: bool) -> ExitCode:
    """Prints the packages in a version; in the present one where none is named."""

    async def work(controller: Controller) -> bool:
        return await controller.wishes.read_contents(version or _present(controller))

    return await _show(config, work, lambda state: contents_lines(state.bases.contents[-1]), as_json=as_json)


def _present(controller: Controller) -> str:
    """The ID of the base that app builds stand on.

    Raises:
        BaseError: If there is none.
    """
    status = controller.base.status
    if status is None or not status.present:
        raise BaseError(f"{controller.base.reference} is not on this engine", "`splitdeck base build` or `base pull`")
    return status.image_id


def _taken(renewal: Renewal) -> bool:
    if renewal.cut_off:
        raise EngineUnreachableError(renewal.cut_off, "see that the engine runs, then try again: it goes on from there")
    return renewal.taken


def _versions(state: AppState) -> list[str]:
    return version_lines(state.bases.versions or (), SystemClock().now())


async def _show(config: Config, work: Work, lines: Callable[[AppState], list[str]], *, as_json: bool) -> ExitCode:
    """Asks something and prints the answer alone; errors go to standard error."""
    store = headless_store(as_json=as_json, out=None if as_json else io.StringIO())
    code = await _with_controller(config, store, work)
    if code is ExitCode.OK and not as_json:
        sys.stdout.write("".join(f"{line}\n" for line in lines(store.state)))
    return code


async def _with_controller(config: Config, store: Store, work: Work) -> ExitCode:
    session = Session(config, store)
    try:
        controller = await session.open()
        await controller.base.look()
        done = await to_its_end(work(controller), lambda: controller.request(CancelRequested()))
    finally:
        await session.stop()
        store.drain()
    failure = controller.wishes.failure or controller.base.failure
    return ExitCode.OK if done else failure.exit_code if failure is not None else ExitCode.FAILED
