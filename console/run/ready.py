"""Readiness: does the app answer? Probes that are asked every few milliseconds until they say yes."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from console.config import ReadyConfig, RunConfig
from console.places import parse_port
from console.run.container import ContainerState

_CONNECT_S = 2.0
_HASTY_S = 0.1
_KEPT_OPEN_S = 0.03
_ALIVE_MS = 300


@dataclass(frozen=True, slots=True)
class Probe:
    """One way to ask. `ask(state, log, alive_ms)` is true once the app is ready; it never raises."""

    description: str
    """What it asks, for messages: `GET http://127.0.0.1:8000/health`."""
    address: str
    """Where a person reaches the app; empty where unknown."""
    ask: Callable[[ContainerState, Callable[[], str], float], bool]


def probe_for(run: RunConfig, host: str, state: ContainerState) -> Probe:
    """The probe that [run.ready] asks for; without one: the first port accepts, or the container stays up.

    Args:
        run: The [run] settings.
        host: The name under which the engine's published ports are reached.
        state: The started container's state, for ports that the engine chose.
    """
    ready = run.ready
    address = _address(run, host, state)
    if ready.http:
        url = ready.http if ready.http.startswith("http://") else f"http://{address}{ready.http}"
        return Probe(f"GET {url}", _site(url), lambda _state, _log, alive_ms: _answers(url, alive_ms))
    site = f"http://{address}" if address else ""
    if ready.tcp:
        name, _, port = ready.tcp.rpartition(":")
        place = (name.strip("[]") or host, int(port))
        return Probe(f"connect to {place[0]}:{place[1]}", site, lambda _state, _log, _alive: _accepts(*place))
    if ready.log:
        pattern = re.compile(ready.log)
        return Probe(f"a log line like {ready.log!r}", site, lambda _state, log, _alive: bool(pattern.search(log())))
    if ready.healthcheck:
        return Probe("the image's HEALTHCHECK", site, lambda state, _log, _alive: state.health == "healthy")
    if address:
        name, _, port = address.rpartition(":")
        return Probe(f"connect to {address}", site, lambda _state, _log, _alive: _accepts(name.strip("[]"), int(port)))
    return Probe(f"running for {_ALIVE_MS} ms", "", lambda _state, _log, alive_ms: alive_ms >= _ALIVE_MS)


def needs_log(ready: ReadyConfig) -> bool:
    """Whether the probe reads the container's log."""
    return bool(ready.log) and not ready.http and not ready.tcp


def _address(run: RunConfig, host: str, state: ContainerState) -> str:
    for text in run.ports:
        port = parse_port(text)
        if port.protocol != "tcp":
            continue
        if run.network == "host":
            return f"{host}:{port.container}"
        published = dict(state.published).get(port.container, port.host)
        if published is None:  # a network that publishes nothing
            return f"{state.address}:{port.container}" if state.address else ""
        name = host if port.address in {"0.0.0.0", "127.0.0.1", "::", "::1"} else port.address
        return f"[{name}]:{published}" if ":" in name else f"{name}:{published}"
    return ""


def _site(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _answers(url: str, alive_ms: float) -> bool:
    """Whether a GET is answered with less than 400.

    Young containers are asked hastily: the engine's port proxy may take a connection before the container's interface
    is up and then hold it for a second, where the next attempt would have been answered at once.
    """
    parts = urlsplit(url)
    patience_s = min(_CONNECT_S, max(_HASTY_S, alive_ms / 1000))
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=patience_s)
    try:
        connection.request("GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        return connection.getresponse().status < 400
    except (OSError, http.client.HTTPException, ValueError):  # ValueError: a path or host that HTTP cannot carry
        return False
    finally:
        connection.close()


def _accepts(host: str, port: int) -> bool:
    """Whether a connection is taken and kept.

    The engine's own port proxy accepts before the app listens and hangs up when it finds nobody: a connection counts
    only if it is still open a moment later, or if the app speaks first.
    """
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_S) as connection:
            connection.settimeout(_KEPT_OPEN_S)
            return bool(connection.recv(1))
    except TimeoutError:
        return True
    except OSError:
        return False
