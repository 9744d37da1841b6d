"""Runs the doctor's checks one after the other. Each has a deadline: a check that hangs is one that failed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswerError
from typing import TypeVar

from console.config import Config
from console.doctor import engine_checks, project_checks, secret_checks
from console.doctor.finding import Finding, Verdict, failure
from console.engine import Engine, connect
from console.errors import ConfigError, ExitCode, SplitdeckError
from console.format import printable
from console.loop.guard import defect
from console.model import Target

Result = TypeVar("Result")

_DEADLINE_S = 30.0
"""For one check; the longest honest one walks a huge build context."""


def run_doctor(load: Callable[[], Config], tell: Callable[[str], object]) -> ExitCode:
    """Runs all checks and tells what each finds, as soon as it is known.

    Args:
        load: Reads the configuration.
        tell: Takes a line.
    """
    failed = no_engine = False

    def note(found: Iterable[Finding]) -> None:
        nonlocal failed
        for finding in found:
            failed = failed or finding.verdict is Verdict.FAILED
            for line in finding.lines():
                tell(printable(line))

    config: Config | None = None
    try:
        config = within_deadline(load)
        note([Finding("config", str(config.path))])
    except SplitdeckError as error:
        note([failure("config", error)])
    engine: Engine | None = None
    try:
        engine = within_deadline(connect)
        note([engine_checks.connection(engine)])
    except SplitdeckError as error:
        no_engine = not isinstance(error, ConfigError)
        note([failure("engine", error)])
    for subject, check in _checks(config, engine):
        try:
            note(within_deadline(check))
        except SplitdeckError as error:
            note([failure(subject, error)])
        except Exception as error:  # noqa: BLE001 - a defect of ours in one check must not hide the others
            message, hint = defect(error)
            note([Finding(subject, message, Verdict.FAILED, hint)])
    if no_engine:
        return ExitCode.NO_ENGINE
    return ExitCode.FAILED if failed else ExitCode.OK


def within_deadline(job: Callable[[], Result]) -> Result:
    """A job's result, or what it raised.

    Raises:
        SplitdeckError: If it takes too long. Its thread is left behind: nothing can end it, and it holds up nothing.
    """
    future: Future[Result] = Future()

    def work() -> None:
        try:
            future.set_result(job())
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            future.set_exception(error)

    threading.Thread(target=work, name="doctor", daemon=True).start()
    try:
        return future.result(_DEADLINE_S)
    except NoAnswerError:
        hint = "is a disk or network that it needs away?"
        raise SplitdeckError(f"no answer within {_DEADLINE_S:g} s", hint) from None


def _checks(config: Config | None, engine: Engine | None) -> Iterator[tuple[str, Callable[[], list[Finding]]]]:
    """Subject and job of every check that can be made; jobs on the engine bring their own client."""
    if engine is not None:
        if config is not None:
            yield "builder", lambda: [engine_checks.builder(config, engine)]
        yield "buildx", lambda: [engine_checks.buildx(engine)]
    if config is None:
        return
    if engine is not None:
        yield "base image", lambda: engine_checks.base_image(config, engine)
    for target in (Target.BASE, Target.APP, *((Target.LEGACY,) if config.legacy else ())):
        yield f"{target.value} Dockerfile", lambda target=target: project_checks.recipe(config, target)  # type: ignore[misc]
    if engine is not None and config.run.ports:
        yield "ports", lambda: engine_checks.ports(config, engine)
    yield "secrets", lambda: secret_checks.secrets(config)
    yield "history", lambda: [project_checks.history(config)]
    yield "watch", lambda: [project_checks.watch(config)]
