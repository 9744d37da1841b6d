"""Docker's credential helpers: commands that keep what `docker login` was told, asked for one registry at a time.

Protocol: docker/docker-credential-helpers, README and client/command.go.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress

_TIMEOUT_S = 10.0
"""Then a helper is killed."""
_TOKEN_USER = "<token>"
"""The user that helpers tell where the secret is an identity token."""
_NONE_KEPT = b"credentials not found"
"""What helpers write where they keep nothing for a registry (`errCredentialsNotFoundMessage`)."""


class HelperError(Exception):
    """A helper gave no answer that makes sense. Names the helper and never its output, which may hold a secret."""


def ask_helper(name: str, server: str, when_stopped: Callable[[Callable[[], None]], object]) -> tuple[str, str] | None:
    """What a helper keeps for a registry: user and secret; an identity token has no user. None where it keeps nothing.

    Args:
        name: Of the helper, as Docker's config file has it: `docker-credential-NAME` is the command.
        server: The registry, as it was called when its credentials were kept.
        when_stopped: Takes what ends the helper at once, to be called if nobody wants the answer any more.

    Raises:
        HelperError: If it cannot be started, takes too long, fails, or says what is no answer.
    """
    command = f"docker-credential-{name}"
    try:
        process = subprocess.Popen(
            [command, "get"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the terminal is not its own
            start_new_session=True,  # so that what it has started ends with it
        )
    except OSError as error:
        raise HelperError(f"{command} cannot be run: {error.strerror}") from error
    with process:
        when_stopped(lambda: _kill(process))
        try:
            answer, _ = process.communicate(server.encode("utf-8", "surrogateescape"), _TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            _kill(process)
            raise HelperError(f"{command} has not answered within {_TIMEOUT_S:g} s") from error
    if process.returncode:
        if _NONE_KEPT in answer:
            return None
        raise HelperError(f"{command} failed with exit code {process.returncode}")
    return _read(answer, command)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a helper and what it has started."""
    if process.returncode is None:  # else its number may be another's by now
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)


def _read(answer: bytes, command: str) -> tuple[str, str]:
    try:
        found = json.loads(answer)
    except ValueError:  # its text would hold the answer: no cause
        found = None
    user, secret = (found.get("Username"), found.get("Secret")) if isinstance(found, dict) else (None, None)
    if not isinstance(user, str) or not isinstance(secret, str):
        raise HelperError(f"{command} has answered with something else than credentials")
    return ("", secret) if user == _TOKEN_USER else (user, secret)
