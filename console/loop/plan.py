"""Deciding: what a change batch leads to, or why nothing is done. Pure; the reason is always told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from console.format import paths as some_paths
from console.model import Target


@dataclass(frozen=True, slots=True)
class Situation:
    """What the decision depends on besides the batch."""

    base_present: bool
    base_inputs: frozenset[str] = frozenset()
    """Files that go into the base image, relative to the project's folder."""
    app_reads: Callable[[str], bool] = lambda _path: True
    """Whether an app build could read a path; a path that it cannot read changes nothing."""
    target: Target = Target.APP
    """What is served."""
    config_path: str = "config.toml"
    config_known: bool = False
    """Whether config.toml says just what is in use."""
    paused: bool = False
    building: bool = False
    base_building: bool = False
    on_busy: Literal["restart", "queue", "do-nothing"] = "restart"
    on_base_change: Literal["build", "ask", "warn"] = "ask"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to build, in order, and why."""

    targets: tuple[Target, ...]
    reason: str
    cancels: bool = False
    """A build of the same image that runs now is cancelled first."""
    meanwhile: bool = False
    """The app is built on the present base meanwhile, and again on the new one."""

    @property
    def summary(self) -> str:
        return "build " + ", then ".join(target.value for target in self.targets)


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing is built now, and why."""

    reason: str
    follows: bool = False
    """What was saved is served by something that is under way already."""


def plan(changed: tuple[str, ...], situation: Situation) -> Plan | Hold:
    """Decides about a batch of changed files."""
    if situation.paused:
        return Hold("paused; saves are collected until you go on (p)")
    relevant = tuple(path for path in changed if path != situation.config_path)
    if not relevant and situation.config_known:
        return Hold(f"{situation.config_path} says what is in use")
    if not relevant:
        return Hold(f"{situation.config_path} changed; restart splitdeck to use it")
    if situation.building and situation.on_busy == "do-nothing":
        return Hold('a build is running and [watch] on_busy = "do-nothing"')
    also = f"; {situation.config_path} changed too: restart splitdeck to use it"
    also = also if len(relevant) < len(changed) and not situation.config_known else ""
    cancels = situation.building and situation.on_busy == "restart"
    if not situation.base_present:
        if situation.base_building:
            return Hold("the base image is being built; the app follows by itself", follows=True)
        return Plan((Target.BASE, Target.APP), f"saved {some_paths(relevant)}; there is no base image yet", cancels)
    for_base = [path for path in relevant if path in situation.base_inputs]
    for_app = [path for path in relevant if situation.app_reads(path)]
    if for_base and situation.on_base_change == "build":
        reason = f"saved {some_paths(for_base)}, which the base is made of"
        meanwhile = not situation.base_inputs.issuperset(for_app)
        return Plan((Target.BASE, Target.APP), reason, cancels and meanwhile, meanwhile)
    if for_app:
        return Plan((situation.target,), f"saved {some_paths(for_app)}{also}", cancels)
    if for_base:
        return Hold(f"{some_paths(for_base)} goes into the base image only; b (or `splitdeck build base`) builds it")
    return Hold(f"the {situation.target.value} image reads nothing of {some_paths(relevant)}")
