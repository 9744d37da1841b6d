"""How sure a speedup is: an interval around the ratio of two medians. Pure.

A bootstrap: both sides are drawn from anew, with replacement, and the ratio of the medians is taken each time; the
interval holds the middle 95 % of these ratios. It asks nothing of how build times are distributed, and says nothing of
what another machine would show. The draws are always the same, so equal samples give equal intervals.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence

CONFIDENCE = 0.95
LEAST = 3
"""With fewer samples on a side there is no interval: two values cannot tell their spread."""
_DRAWS = 4000
_SEED = 5


def speedup_interval(legacy_ms: Sequence[float], split_ms: Sequence[float]) -> tuple[float, float] | None:
    """The interval of legacy median ÷ split median; None where a side has too few samples.

    Args:
        legacy_ms: Durations of the legacy builds.
        split_ms: Those of the app builds; all above zero.
    """
    if min(len(legacy_ms), len(split_ms)) < LEAST or min(split_ms) <= 0:
        return None
    source = random.Random(_SEED)

    def drawn(times: Sequence[float]) -> float:
        return statistics.median(source.choices(times, k=len(times)))

    ratios = sorted(drawn(legacy_ms) / drawn(split_ms) for _ in range(_DRAWS))
    outside = round(_DRAWS * (1 - CONFIDENCE) / 2)
    return ratios[outside], ratios[-1 - outside]
