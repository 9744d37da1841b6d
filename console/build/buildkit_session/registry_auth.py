"""Credentials for registries: BuildKit asks for a host's when it pulls or pushes.

Protocol: moby/buildkit, session/auth/auth.proto and authprovider. Fetching tokens on the builder's behalf
(`FetchToken` and its like) is left out: BuildKit then fetches them itself with the credentials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from console.build.buildkit_session.credential_helper import HelperError, ask_helper
from console.build.buildkit_session.grpc import Code, GrpcError
from console.build.buildkit_session.grpc_server import Handler, ServerCall
from console.build.protobuf import Fields, data_field

_HUB_HOST = "registry-1.docker.io"
_HUB_NAME = "docker.io"
_HUB_URL = "https://index.docker.io/v1/"
"""What the Docker Hub is called in Docker's config file and by its credential helpers."""


class RegistryAuth:
    """Serves what `docker login` has left: in Docker's config file or with its credential helpers.

    Args:
        load: Reads the config, a docker.auth.AuthConfig; asked when the first credentials are.
    """

    def __init__(self, load: Callable[[], Any] | None = None) -> None:
        self._load = load or _load_config

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {"/moby.filesync.v1.Auth/Credentials": self._credentials}

    def _credentials(self, call: ServerCall) -> None:
        request = call.receive()
        if request is None:
            raise GrpcError(Code.INVALID_ARGUMENT, f"{call.method} takes a message")
        host = Fields(request).text(1)
        try:
            config = self._load()
            helper = _helper_for(config, host)
        except Exception as error:  # docker-py stumbles over a config file that is wrong in any way it likes
            raise GrpcError(Code.UNAVAILABLE, "Docker's config file cannot be read") from error
        found = None
        if helper:
            try:
                found = ask_helper(helper, _HUB_URL if host == _HUB_HOST else host, call.when_broken)
            except HelperError as error:
                raise GrpcError(Code.UNAVAILABLE, str(error)) from error
        name, secret = found or _from_file(config, host)
        call.send((data_field(1, name) if name else b"") + (data_field(2, secret) if secret else b""))


def _helper_for(config: Any, host: str) -> str:
    """The credential helper that the config file names for a registry; empty where it names none."""
    names = (_HUB_URL, _HUB_NAME, host) if host == _HUB_HOST else (host,)
    helper = next((config.cred_helpers[name] for name in names if name in config.cred_helpers), config.creds_store)
    return str(helper or "")


def _from_file(config: Any, host: str) -> tuple[str, str]:
    """User and secret as they stand in the config file: an identity token has no user; both empty where none is."""
    from docker.auth import AuthConfig

    without_helpers = AuthConfig({"auths": config.auths})
    found = without_helpers.resolve_authconfig(_HUB_NAME if host == _HUB_HOST else host) or {}
    values = {name.lower(): value for name, value in found.items() if isinstance(value, str)}
    if token := values.get("identitytoken"):
        return "", token
    secret = values.get("password", "")
    return (values.get("username", ""), secret) if secret else ("", "")


def _load_config() -> Any:
    from docker.auth import load_config

    return load_config()
