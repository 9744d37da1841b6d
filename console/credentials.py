"""What `docker login` has left for a registry: in Docker's config file, or with its credential helpers.

Source: docker/cli, cli/config/configfile/file.go (which helper is asked), cli/config/credentials.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from console.credential_helper import HelperError, ask_helper
from console.errors import SplitdeckError

_HUB_NAME = "docker.io"
_HUB_URL = "https://index.docker.io/v1/"
"""What the Docker Hub is called in Docker's config file and by its credential helpers."""
_HUB_HOSTS = frozenset({_HUB_NAME, "index.docker.io", "registry-1.docker.io"})


class CredentialsError(SplitdeckError):
    """What `docker login` has left cannot be read. Tells nothing of what stands there."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a registry lets somebody in with."""

    user: str
    """Empty where the secret is an identity token."""
    secret: str = field(repr=False)


def find_credentials(
    host: str,
    when_stopped: Callable[[Callable[[], None]], object] = lambda _: None,
    load: Callable[[], Any] | None = None,
) -> Credentials | None:
    """The credentials that are kept for a registry; None where none are.

    Args:
        host: The registry's, with its port if it has one.
        when_stopped: Takes what ends a credential helper at once, to be called if nobody wants the answer any more.
        load: Reads the config, a docker.auth.AuthConfig.

    Raises:
        CredentialsError: If Docker's config file makes no sense, or a helper gives no answer.
    """
    try:
        config = (load or _load_config)()
        helper = _helper_for(config, host)
        in_file = _from_file(config, host)
    except Exception as error:  # docker-py stumbles over a config file that is wrong in any way it likes
        raise CredentialsError(
            "Docker's config file cannot be read", f"`docker login{_named(host)}` writes it"
        ) from error
    if not helper:
        return in_file
    try:
        found = ask_helper(helper, _HUB_URL if host in _HUB_HOSTS else host, when_stopped)
    except HelperError as error:
        hint = f"run `docker login{_named(host)}`, or mend credHelpers and credsStore in Docker's config file"
        raise CredentialsError(str(error), hint) from error
    return in_file if found is None else Credentials(*found)


def _named(host: str) -> str:
    return "" if host in _HUB_HOSTS else f" {host}"


def _helper_for(config: Any, host: str) -> str:
    """The credential helper that the config file names for a registry; empty where it names none."""
    names = (_HUB_URL, *sorted(_HUB_HOSTS)) if host in _HUB_HOSTS else (host,)
    helper = next((config.cred_helpers[name] for name in names if name in config.cred_helpers), config.creds_store)
    return str(helper or "")


def _from_file(config: Any, host: str) -> Credentials | None:
    """What stands in the config file itself."""
    from docker.auth import AuthConfig

    without_helpers = AuthConfig({"auths": config.auths})
    found = without_helpers.resolve_authconfig(_HUB_NAME if host in _HUB_HOSTS else host) or {}
    values = {name.lower(): value for name, value in found.items() if isinstance(value, str)}
    if token := values.get("identitytoken"):
        return Credentials("", token)
    secret = values.get("password", "")
    return Credentials(values.get("username", ""), secret) if secret else None


def _load_config() -> Any:
    from docker.auth import load_config
    from docker.utils.config import find_config_file

    config = load_config()
    nothing = not (config.auths or config.cred_helpers or config.creds_store)
    if nothing and (file := find_config_file()):
        # docker-py takes a file that it cannot read for one without credentials.
        json.loads(Path(str(file)).read_bytes() or "{}")
    return config
