"""SSH for a build: `RUN --mount=type=ssh` reaches an agent of this machine.

Protocol: moby/buildkit, session/sshforward/ssh.proto, copy.go and sshprovider.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress

from console.build.buildkit_session.grpc import Code, GrpcError
from console.build.buildkit_session.grpc_server import Handler, ServerCall, unary
from console.build.buildkit_session.http2 import StreamBrokenError
from console.build.protobuf import Fields, data_field

_DEFAULT_ID = "default"
_CHUNK_BYTES = 32 * 1024


class SshAgents:
    """Passes an agent's unix socket on; keys never leave the agent.

    Args:
        sockets: Paths by the id that the Dockerfile names; `default` is meant where it names none.
    """

    def __init__(self, sockets: Mapping[str, str]) -> None:
        self._sockets = sockets

    @property
    def handlers(self) -> Mapping[str, Handler]:
        service = "/moby.sshforward.v1.SSH"
        return {f"{service}/CheckAgent": unary(self._check), f"{service}/ForwardAgent": self._forward}

    def _check(self, request: bytes) -> bytes:
        self._socket_of(Fields(request).text(1))
        return b""

    def _socket_of(self, name: str) -> str:
        path = self._sockets.get(name or _DEFAULT_ID)
        if path is None:
            raise GrpcError(Code.NOT_FOUND, f"no SSH agent is set up as {name or _DEFAULT_ID!r}")
        return path

    def _forward(self, call: ServerCall) -> None:
        path = self._socket_of(call.metadata.first("buildkit.ssh.id"))
        with socket.socket(socket.AF_UNIX) as agent:
            try:
                agent.connect(path)
            except OSError as error:
                raise GrpcError(Code.UNAVAILABLE, f"no SSH agent answers at {path}: {error.strerror}") from error
            call.when_broken(lambda: _shut_down(agent))  # an agent may never answer
            questions = threading.Thread(target=_pass_questions, args=(call, agent), name="ssh questions", daemon=True)
            questions.start()
            try:
                while answer := _receive(agent):
                    call.send(data_field(1, answer))
            finally:
                _shut_down(agent)


def _shut_down(agent: socket.socket) -> None:
    """Ends what is blocked on an agent, in whichever thread."""
    with suppress(OSError):  # ended or closed already
        agent.shutdown(socket.SHUT_RDWR)


def _receive(agent: socket.socket) -> bytes:
    """Empty when the agent, or `_pass_questions`, has ended the connection."""
    try:
        return agent.recv(_CHUNK_BYTES)
    except OSError:
        return b""


def _pass_questions(call: ServerCall, agent: socket.socket) -> None:
    """From the build to the agent, until the build has no more: then the agent may still answer."""
    end = socket.SHUT_WR
    try:
        for message in call:
            agent.sendall(Fields(message).data(1))
    except (StreamBrokenError, GrpcError, OSError, ValueError):
        end = socket.SHUT_RDWR
    with suppress(OSError):
        agent.shutdown(end)
