"""Build secrets: `RUN --mount=type=secret`.

Protocol: moby/buildkit, session/secrets/secrets.proto and secretsprovider.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from console.build.buildkit_session.grpc import Code, GrpcError
from console.build.buildkit_session.grpc_server import Handler, unary
from console.build.protobuf import Fields, data_field
from console.build.secrets import LARGEST_BYTES
from console.errors import SplitdeckError

LoadSecret = Callable[[], bytes]
"""Reads a secret when it is needed. A `SplitdeckError` that it raises is told: its message must not hold the secret."""


class BuildSecrets:
    """Serves secrets.

    Args:
        loaders: By the id that the Dockerfile names.
    """

    def __init__(self, loaders: Mapping[str, LoadSecret]) -> None:
        self._loaders = loaders

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {"/moby.buildkit.secrets.v1.Secrets/GetSecret": unary(self._get)}

    def _get(self, request: bytes) -> bytes:
        name = Fields(request).text(1)
        load = self._loaders.get(name)
        if load is None:
            raise GrpcError(Code.NOT_FOUND, f"build secret {name} is not set")
        try:
            value = load()
        except SplitdeckError as error:
            raise GrpcError(Code.FAILED_PRECONDITION, error.message) from error
        if len(value) > LARGEST_BYTES:
            message = f"build secret {name} has {len(value)} bytes; builders take no more than {LARGEST_BYTES}"
            raise GrpcError(Code.RESOURCE_EXHAUSTED, message)
        return data_field(1, value)
