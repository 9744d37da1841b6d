"""Fuzzes each target for a while: `FUZZ_SECONDS=60 python -m tests.fuzz [TARGET…]`; ends with 1 where one fails."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.targets import TARGETS, Target

LONGEST_EXAMPLE_S = 5.0
"""An input that takes longer counts as one that never comes to an end."""
ROUND = 2_000


class HangError(Exception):
    """An input was not dealt with in time."""


def _alarm(_signal: int, _frame: FrameType | None) -> None:
    raise HangError(f"not done after {LONGEST_EXAMPLE_S} s")


@contextmanager
def in_time() -> Iterator[None]:
    signal.setitimer(signal.ITIMER_REAL, LONGEST_EXAMPLE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def fuzz(target: Target, seconds: float) -> int:
    """Gives the number of examples; raises what the target raises, with hypothesis's smallest example in its notes."""
    examples, failed = 0, False
    until = time.monotonic() + seconds

    def check(example: Any) -> None:
        nonlocal examples, failed
        if time.monotonic() > until and not failed:  # what failed is looked at until it is as small as can be
            return
        examples += 1
        try:
            with in_time():
                target.check(example)
        except Exception:
            failed = True
            raise

    while time.monotonic() < until:
        runner = given(target.inputs)(check)
        options = settings(
            max_examples=ROUND,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        seed(random.randrange(2**64))(options(runner))()
    return examples


def main() -> int:
    signal.signal(signal.SIGALRM, _alarm)
    seconds = float(os.environ.get("FUZZ_SECONDS", "60"))
    failed = 0
    for name in sys.argv[1:] or TARGETS:
        try:
            print(f"{name}: {fuzz(TARGETS[name], seconds)} examples in {seconds:g} s", flush=True)
        except Exception:  # noqa: BLE001 - whatever it is, it is a finding
            failed += 1
            print(f"{name}: FAILED\n{traceback.format_exc()}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
