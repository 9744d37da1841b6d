"""The engines of the compatibility tests, beside the machine's own; `ensure-engines.sh --help` describes them.

Bringing them up for the first time takes about a minute; afterwards `ensure` finds them up in half a second.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

ENGINES = ("docker28", "containerd", "podman")
BUILDKIT = "buildkit"
"""Speaks BuildKit's gRPC instead of an engine's API: for `docker buildx create --driver remote`."""

SCRIPT = Path(__file__).with_name("ensure-engines.sh")


def endpoint(name: str) -> str:
    """Where an engine listens when it is up: a `unix://` address on this machine."""
    return _endpoints()[name]


def ensure(names: Iterable[str] = ENGINES) -> dict[str, str]:
    """Brings up these engines with their images, and tells their endpoints. Those that are up are left alone."""
    wanted = tuple(names)
    if not wanted:
        return {}
    _run("up", *wanted)
    listening = _endpoints()
    return {name: listening[name] for name in wanted}


def docker_config() -> Path:
    """A folder for DOCKER_CONFIG that gives the Docker CLI buildx and compose; filled by `ensure`."""
    return Path(_run("docker-config").strip())


def in_network(name: str) -> list[str]:
    """What to put before a command so that it meets the published ports of an engine's containers on 127.0.0.1."""
    return [str(SCRIPT), "exec", name]


def _endpoints() -> dict[str, str]:
    return dict(line.split() for line in _run("endpoints").splitlines())


def _run(*arguments: str) -> str:
    done = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{SCRIPT.name} {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout
