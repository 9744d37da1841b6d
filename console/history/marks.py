"""Which samples a reader should take with care: old ones and outliers. They are marked, never left out. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from console.history.statistics import fences
from console.measurements import Mark, Sample

OLD_AFTER_S = 30 * 86400.0


class Yardstick:
    """What samples of one kind are held against.

    A sample is old if it was measured more than a month ago, or if the Dockerfile had other instructions then than the
    newest of them has. Where the instructions are not known, only its age tells.

    Args:
        samples: The newest builds of one kind: one target, scenario, engine and machine, of which all succeeded.
        times_ms: What each of them counts as.
        now: Seconds since 1970.
    """

    def __init__(self, samples: Sequence[Sample], times_ms: Sequence[float], now: float) -> None:
        newest = max(samples, key=lambda sample: sample.started_at, default=None)
        self._recipe = newest.recipe if newest is not None else ""
        self._oldest = now - OLD_AFTER_S
        self._low, self._high = fences(times_ms)

    def marks(self, sample: Sample, time_ms: float) -> tuple[Mark, ...]:
        """What is to be said of a sample of that kind, be it one of them or an older one."""
        other = bool(self._recipe and sample.recipe) and sample.recipe != self._recipe
        old = [Mark.OLD] if other or sample.started_at < self._oldest else []
        far = [] if self._low <= time_ms <= self._high else [Mark.OUTLIER]
        return (*old, *far)
