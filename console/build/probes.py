"""Asks what the buildx command here is and which builders it knows."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

from console.build.backend import OWN_BUILDER, BuildxBuilder, BuildxProbe

_PROBE_TIMEOUT_S = 10.0
"""For each of its two questions; a builder far away takes its time to answer the second."""


def probe_buildx(environment: Mapping[str, str]) -> BuildxProbe:
    """What the buildx command is and which builders it knows; takes about 0.2 s.

    Args:
        environment: In which the command reaches the session's engine (`Engine.command_environment`).
    """
    try:
        version = _run(["version"], environment)
        found = re.search(r"\bv?(\d+\.\d+\S*)", version.stdout)
        if version.returncode or found is None:
            return BuildxProbe(None, {}, _first_line(version.stderr) or "`docker buildx` is no command here")
        listed = _run(["ls", "--format", "json"], environment)
    except FileNotFoundError:
        return BuildxProbe(None, {}, "there is no docker command")
    except (OSError, subprocess.TimeoutExpired) as error:
        return BuildxProbe(None, {}, f"`docker buildx` does not answer ({error})")
    builders = dict(_builders(listed.stdout, environment.get("DOCKER_HOST", "")))
    return BuildxProbe(found[1], builders, _first_line(listed.stderr))


def _run(arguments: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", "buildx", *arguments],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=_PROBE_TIMEOUT_S,
        check=False,
    )


def _builders(listing: str, host: str) -> Iterator[tuple[str, BuildxBuilder]]:
    """The builders in the answer of `docker buildx ls --format json`: one JSON object a line."""
    for line in listing.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if not isinstance(found, dict):
            continue
        nodes: list[dict[str, Any]] = found.get("Nodes") or []
        platforms = dict.fromkeys(each for node in nodes for each in node.get("Platforms") or ())
        endpoint = next((node.get("Endpoint", "") for node in nodes), "")
        if found.get("Driver") == "docker":
            endpoint = host if endpoint == OWN_BUILDER else _context_host(endpoint)
        problems = [found.get("Err"), *(node.get("Err") for node in nodes)]
        problem = next((_first_line(text) for text in problems if text), "")
        yield found.get("Name", ""), BuildxBuilder(found.get("Driver", ""), tuple(platforms), endpoint, problem)


def _context_host(name: str) -> str:
    """The address behind one of the Docker command's contexts; empty where none of that name makes sense."""
    from docker.context import ContextAPI

    try:
        context = ContextAPI.get_context(name)
    except Exception:  # noqa: BLE001 - docker-py takes a context's file as it comes, and may stumble in any way
        return ""
    return str(context.Host) if context is not None else ""


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "").removeprefix("ERROR: ")
