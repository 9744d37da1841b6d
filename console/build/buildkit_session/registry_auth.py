"""Credentials for registries: BuildKit asks for a host's when it pulls or pushes.

Protocol: moby/buildkit, session/auth/auth.proto and authprovider. Fetching tokens on the builder's behalf
(`FetchToken` and its like) is left out: BuildKit then fetches them itself with the credentials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from console.build.buildkit_session.grpc import Code, GrpcError
from console.build.buildkit_session.grpc_server import Handler, ServerCall
from console.build.protobuf import Fields, data_field
from console.credentials import CredentialsError, find_credentials


class RegistryAuth:
    """Serves what `docker login` has left.

    Args:
        load: Reads the config, a docker.auth.AuthConfig; asked when the first credentials are.
    """

    def __init__(self, load: Callable[[], Any] | None = None) -> None:
        self._load = load

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {"/moby.filesync.v1.Auth/Credentials": self._credentials}

    def _credentials(self, call: ServerCall) -> None:
        request = call.receive()
        if request is None:
            raise GrpcError(Code.INVALID_ARGUMENT, f"{call.method} takes a message")
        try:
            found = find_credentials(Fields(request).text(1), call.when_broken, self._load)
        except CredentialsError as error:
            raise GrpcError(Code.UNAVAILABLE, error.message) from error
        name, secret = (found.user, found.secret) if found else ("", "")
        call.send((data_field(1, name) if name else b"") + (data_field(2, secret) if secret else b""))
