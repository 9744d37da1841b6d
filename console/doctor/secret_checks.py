"""The doctor's checks of build secrets and ssh agents: what the configuration names, and what the Dockerfiles mount."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase

from console.build.dockerfile import read_dockerfile
from console.build.recipe import recipe_for
from console.build.request import SecretSource
from console.build.secrets import read_secret
from console.config import Config
from console.doctor.finding import Finding, Verdict, failure
from console.errors import DockerfileError, SplitdeckError
from console.model import Target

_SUBJECT = "secrets"


@dataclass(frozen=True, slots=True)
class _Mount:
    """What an instruction asks for."""

    place: str
    """Dockerfile and line."""
    kind: str
    """`secret` or `ssh`."""
    name: str
    """A pattern of fnmatch."""
    required: bool
    implied: bool
    """BuildKit asks by itself, for an ADD of something far away that mostly takes none."""


def secrets(config: Config) -> list[Finding]:
    """Whether the build secrets and ssh agents are there, and whether the Dockerfiles get all; never what they are."""
    found = []
    for name, source in config.build.secrets.items():
        try:
            read_secret(name, SecretSource(str(source.file or ""), source.env))
            place = f"variable {source.env}" if source.env else str(source.file)
            found.append(Finding(_SUBJECT, f"{name}: there ({place})"))
        except SplitdeckError as error:
            found.append(failure(_SUBJECT, error))
    mounts = list(_mounts(config))
    found += [_agent(entry, mounts) for entry in config.build.ssh]
    given = {"secret": list(config.build.secrets), "ssh": [entry.partition("=")[0] for entry in config.build.ssh]}
    told: set[tuple[str, str]] = set()
    for mount in mounts:
        lacking = not any(fnmatchcase(name, mount.name) for name in given[mount.kind])
        if lacking and not mount.implied and (mount.kind, mount.name) not in told:
            told.add((mount.kind, mount.name))
            found.append(_lacking(mount))
    return found


def _mounts(config: Config) -> Iterator[_Mount]:
    """Those of all Dockerfiles, the required ones first; one that cannot be read is told by its own check."""
    mounts: list[_Mount] = []
    for target in (Target.BASE, Target.APP, *((Target.LEGACY,) if config.legacy else ())):
        plan = recipe_for(config, target)
        shown = os.path.relpath(plan.dockerfile, config.root)
        with suppress(DockerfileError):
            dockerfile = read_dockerfile(plan.dockerfile, plan.args)
            adding = {instruction.line for instruction in dockerfile.instructions if instruction.keyword == "ADD"}
            for one in dockerfile.credentials(plan.target or None):
                place = f"{shown}:{one.line}"
                mounts.append(_Mount(place, one.kind, one.name, one.required, one.line in adding))
    yield from sorted(mounts, key=lambda mount: not mount.required)


def _lacking(mount: _Mount) -> Finding:
    what = f"build secret {mount.name}" if mount.kind == "secret" else f"ssh agent {mount.name}"
    does = "needs" if mount.required else "mounts"
    said = f"{mount.place} {does} {what}, which config.toml does not name"
    if mount.kind == "secret":
        hint = f'[build.secrets] {mount.name} = {{ env = "…" }} or {{ file = "…" }}'
    else:
        hint = f'[build] ssh = ["{mount.name}"]' if mount.name == "default" else f'[build] ssh = ["{mount.name}=PATH"]'
    return Finding(_SUBJECT, said, Verdict.FAILED if mount.required else Verdict.REMARK, hint)


def _agent(entry: str, mounts: list[_Mount]) -> Finding:
    name, sign, place = entry.partition("=")
    place = place or os.environ.get("SSH_AUTH_SOCK", "")
    if _is_socket(place):
        return Finding(_SUBJECT, f"ssh {name}: there ({place})")
    missing = f"no agent at {place}" if place else "no agent runs (SSH_AUTH_SOCK is not set)"
    if not any(mount.kind == "ssh" and fnmatchcase(name, mount.name) for mount in mounts):
        hint = "leave it out of [build] ssh"
        return Finding(_SUBJECT, f"ssh {name}: {missing}, but nothing mounts it", Verdict.REMARK, hint)
    where = "start that agent, or correct its path in [build] ssh"
    hint = where if sign else "start one: eval $(ssh-agent) && ssh-add"
    return Finding(_SUBJECT, f"ssh {name}: {missing}", Verdict.FAILED, hint)


def _is_socket(place: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(place).st_mode)  # noqa: PTH116
    except OSError:
        return False
