"""The errors that a user may see: what happened, where, and what to do about it.

Every layer raises a `SplitdeckError`; only the edges (engine, config, files) turn a foreign exception into one.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process tells its caller (a contract: scripts depend on it)."""

    OK = 0
    FAILED = 1
    """A build or a check failed."""
    USAGE = 2
    """Wrong arguments or a wrong config.toml."""
    NO_ENGINE = 3
    """No container engine could be reached."""
    INTERRUPTED = 130


class SplitdeckError(Exception):
    """Something that the user can be told about in one message and one hint.

    Args:
        message: What happened and where, one sentence, no full stop needed.
        hint: What to do next; empty where there is nothing useful to say.
    """

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(SplitdeckError):
    """config.toml or an argument is wrong."""

    exit_code = ExitCode.USAGE


class EngineError(SplitdeckError):
    """The container engine refused a request, or went away during one."""


class EngineUnreachableError(EngineError):
    """No container engine answers."""

    exit_code = ExitCode.NO_ENGINE


class DockerfileError(SplitdeckError):
    """A Dockerfile cannot be read or makes no sense; `line` is 1-based, 0 where unknown."""

    def __init__(self, message: str, hint: str = "", *, line: int = 0) -> None:
        super().__init__(message, hint)
        self.line = line


class ContextError(SplitdeckError):
    """The build context cannot be read from disk."""


class BuildError(SplitdeckError):
    """A build could not be started or its result makes no sense (a failing step is an outcome, not an error)."""


class BaseError(SplitdeckError):
    """A base image is not there, or what was asked of it cannot be."""


class ContainerError(SplitdeckError):
    """A container could not be created, started or found ready."""
