from __future__ import annotations

from dataclasses import replace

import pytest

from console.loop.plan import Hold, Plan, Situation, plan
from console.model import Target

CALM = Situation(
    base_present=True,
    base_inputs=frozenset({"base.Dockerfile", "requirements.txt"}),
    app_reads=lambda path: path.endswith(".py"),
)


@pytest.mark.parametrize(
    ("situation", "changed", "targets", "word"),
    [
        (CALM, ("app.py",), (Target.APP,), "app.py"),
        (CALM, ("app.py", "config.toml"), (Target.APP,), "app.py"),
        (CALM, ("notes.md", "app.py"), (Target.APP,), "app.py"),
        (replace(CALM, on_base_change="build"), ("requirements.txt",), (Target.BASE, Target.APP), "base"),
        (replace(CALM, on_base_change="build"), ("app.py",), (Target.APP,), "app.py"),
        (replace(CALM, base_present=False), ("app.py",), (Target.BASE, Target.APP), "no base image"),
        (replace(CALM, building=True, on_busy="queue"), ("app.py",), (Target.APP,), "app.py"),
    ],
)
def test_plans(situation: Situation, changed: tuple[str, ...], targets: tuple[Target, ...], word: str) -> None:
    decision = plan(changed, situation)
    assert isinstance(decision, Plan)
    assert decision.targets == targets
    assert word in decision.reason


@pytest.mark.parametrize(
    ("situation", "changed", "word"),
    [
        (replace(CALM, paused=True), ("app.py",), "paused"),
        (CALM, ("config.toml",), "restart splitdeck"),
        (CALM, ("requirements.txt",), "base image only"),
        (CALM, ("notes.md",), "reads nothing"),
        (replace(CALM, building=True, on_busy="do-nothing"), ("app.py",), "do-nothing"),
        (replace(CALM, base_present=False, base_building=True), ("app.py",), "being built"),
    ],
)
def test_holds_say_why(situation: Situation, changed: tuple[str, ...], word: str) -> None:
    decision = plan(changed, situation)
    assert isinstance(decision, Hold)
    assert word in decision.reason


def test_only_restart_cancels_a_running_build() -> None:
    busy = replace(CALM, building=True)
    for on_busy, cancels in (("restart", True), ("queue", False)):
        decision = plan(("app.py",), replace(busy, on_busy=on_busy))
        assert isinstance(decision, Plan)
        assert decision.cancels is cancels
