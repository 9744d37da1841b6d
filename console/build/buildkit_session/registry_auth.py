"""Credentials for registries: BuildKit asks for a host's when it pulls or pushes.

Protocol: moby/buildkit, session/auth/auth.proto and authprovider. Fetching tokens on the builder's behalf
(`FetchToken` and its like) is left out: BuildKit then fetches them itself with the credentials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from console.build.buildkit_session.grpc import Code, GrpcError
from console.build.buildkit_session.grpc_server import Handler, unary
from console.build.protobuf import Fields, data_field

_HUB_HOST = "registry-1.docker.io"
_HUB_NAME = "docker.io"
"""What docker-py calls the Docker Hub; it knows of `https://index.docker.io/v1/`, which Docker's config file says."""


class RegistryAuth:
    """Serves what `docker login` has left: in Docker's config file or with its credential helpers.

    Args:
        load: Reads the config, a docker.auth.AuthConfig; asked when the first credentials are.
    """

    def __init__(self, load: Callable[[], Any] | None = None) -> None:
        self._load = load or _load_config

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {"/moby.filesync.v1.Auth/Credentials": unary(self._credentials)}

    def _credentials(self, request: bytes) -> bytes:
        from docker.errors import DockerException

        host = Fields(request).text(1)
        registry = _HUB_NAME if host == _HUB_HOST else host
        try:
            found = self._load().resolve_authconfig(registry) or {}
        except DockerException as error:
            # the helper's own words stay here: they may hold what must not be seen
            message = f"the credentials for {registry} cannot be read ({type(error).__name__})"
            raise GrpcError(Code.UNAVAILABLE, message) from error
        values = {name.lower(): value for name, value in found.items() if isinstance(value, str)}
        if values.get("identitytoken"):
            return data_field(2, values["identitytoken"])
        if not values.get("password"):
            return b""
        return data_field(1, values.get("username", "")) + data_field(2, values["password"])


def _load_config() -> Any:
    from docker.auth import load_config

    return load_config()
