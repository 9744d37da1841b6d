"""BuildKit's session protocol: the engine asks, this machine answers, while a build runs.

Bottom up: `transport` carries bytes, `http2` streams, `grpc_server` and `grpc_client` calls; `control` finds the way to
an engine's BuildKit; a `Session` offers services, each in a module of its own. h2 takes a while to import, so import
this package where a build begins, not where the program does.
"""

from console.build.buildkit_session.build_secrets import BuildSecrets
from console.build.buildkit_session.control import (
    SOLVE,
    STATUS,
    ControlConnection,
    Identity,
    open_control,
    open_session,
)
from console.build.buildkit_session.filesync import FileSync, Folder
from console.build.buildkit_session.grpc import Code, GrpcError
from console.build.buildkit_session.grpc_client import CallGroup, ClientCall, GrpcClient
from console.build.buildkit_session.listing import Listings, dockerfile_entries, names_without_text
from console.build.buildkit_session.registry_auth import RegistryAuth
from console.build.buildkit_session.session import Service, Session
from console.build.buildkit_session.ssh_agent import SshAgents
from console.build.buildkit_session.transport import SessionUnavailableError

__all__ = [
    "SOLVE",
    "STATUS",
    "BuildSecrets",
    "CallGroup",
    "ClientCall",
    "Code",
    "ControlConnection",
    "FileSync",
    "Folder",
    "GrpcClient",
    "GrpcError",
    "Identity",
    "Listings",
    "RegistryAuth",
    "Service",
    "Session",
    "SessionUnavailableError",
    "SshAgents",
    "dockerfile_entries",
    "names_without_text",
    "open_control",
    "open_session",
]
