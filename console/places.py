"""Ports, network places and names of images as they are written in config.toml."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

_PORT = re.compile(
    r"(?:(?P<ip>\d+\.[\d.]+|\[[0-9a-fA-F:]+\]):)?(?:(?P<host>\d+):)?(?P<container>\d+)(?:/(?P<protocol>tcp|udp))?"
)


@dataclass(frozen=True, slots=True)
class Port:
    """One published port."""

    container: int
    host: int | None
    """None: the engine chooses."""
    address: str = "127.0.0.1"
    protocol: str = "tcp"


def parse_port(text: str) -> Port:
    """Reads `[ip:]host:container[/udp]` or `container`.

    Raises:
        ValueError: If it is none of these.
    """
    match = _PORT.fullmatch(text)
    if match is None:
        raise ValueError(text)
    host = None if match["host"] is None else int(match["host"])
    port = Port(int(match["container"]), host, (match["ip"] or "127.0.0.1").strip("[]"), match["protocol"] or "tcp")
    if not all(0 < number < 65536 for number in (port.container, port.host or 1)):
        raise ValueError(text)
    ip_address(port.address)
    return port


def is_place(text: str, scheme: str = "") -> bool:
    """Whether a URL has a host and a possible port; without a scheme: `host:port`."""
    try:
        parts = urlsplit(text if scheme else f"//{text}")
        return parts.scheme == scheme and bool(parts.hostname) and parts.port != 0 and bool(parts.port or scheme)
    except ValueError:
        return False


def names_registry(image: str) -> bool:
    """Whether an image's name leads to a registry.

    A name without any `/` would be an official image of the Docker Hub; ours are never that, so it exists here only.
    """
    return "/" in image
