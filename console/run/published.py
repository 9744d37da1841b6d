"""Who has a port that the app's container is to publish."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from console.model import LABEL_PROJECT
from console.places import Port


@dataclass(frozen=True, slots=True)
class PortHolder:
    """What is in a port's place."""

    ours: bool = False
    """It is a container of the project itself, which the next one replaces."""
    container: str = ""
    """A container's name; empty for a program outside of any."""


def holder_of(port: Port, running: Iterable[Mapping[str, Any]], project: str, *, local: bool) -> PortHolder | None:
    """Who has a port; None where it is free, or nobody can tell.

    Args:
        port: With its number on the host.
        running: The engine's running containers, as its API lists them.
        project: Whose containers are ours.
        local: Whether the engine publishes ports on this machine.
    """
    for container in running:
        if any(_collides(port, published) for published in container.get("Ports") or ()):
            ours = (container.get("Labels") or {}).get(LABEL_PROJECT) == project
            names = container.get("Names") or [container["Id"][:12]]
            return PortHolder(ours, names[0].lstrip("/"))
    return PortHolder() if local and not _is_free(port) else None


def _collides(port: Port, published: Mapping[str, Any]) -> bool:
    """Whether a container's port leaves no room for another."""
    if (port.host, port.protocol) != (published.get("PublicPort"), published.get("Type")):
        return False
    addresses = {port.address, published.get("IP", "")}
    return len(addresses) == 1 or not addresses.isdisjoint({"", "0.0.0.0", "::"})


def _is_free(port: Port) -> bool:
    """Whether a program here could take the port; true where that cannot be tried (an address or right we lack)."""
    family = socket.AF_INET6 if ip_address(port.address).version == 6 else socket.AF_INET
    kind = socket.SOCK_DGRAM if port.protocol == "udp" else socket.SOCK_STREAM
    try:
        with socket.socket(family, kind) as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what just closed a connection is free
            attempt.bind((port.address, port.host))
    except OSError as error:
        return error.errno != errno.EADDRINUSE
    return True
