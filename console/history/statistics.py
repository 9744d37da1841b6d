"""How sure a figure is: an interval around the ratio of two medians, and which samples are far from the others. Pure.

The interval is a bootstrap's: both sides are drawn from anew, with replacement, and the ratio of the medians is taken
each time; the interval holds the middle 95 % of these ratios. It asks nothing of how build times are distributed, and
says nothing of what another machine would show. The draws are always the same, so equal samples give equal intervals.

Only the middle of a draw matters, so only that is drawn: the median of n values that are drawn with replacement is the
sample's value at the median of n uniform numbers, which is a beta variate; for an even n the next one above it is the
least of the n/2 numbers that lie between it and 1.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from functools import lru_cache

CONFIDENCE = 0.95
LEAST = 3
"""With fewer samples on a side there is no interval: two values cannot tell their spread."""
_DRAWS = 2000
_SEED = 5
_TELLING = 5
"""With fewer samples none is an outlier: one of four may as well be the only one that is right."""
_FENCE = 1.5
"""Of the distance between the quartiles, as Tukey has it."""
_FAR = 0.1
"""Of the median: where all samples are close together, a little further off is no outlier yet."""


def speedup_interval(legacy_ms: Sequence[float], split_ms: Sequence[float]) -> tuple[float, float] | None:
    """The interval of legacy median ÷ split median; None where a side has too few samples.

    Args:
        legacy_ms: Durations of the legacy builds.
        split_ms: Those of the app builds; all above zero.
    """
    if min(len(legacy_ms), len(split_ms)) < LEAST or min(split_ms) <= 0:
        return None
    pairs = zip(_medians(legacy_ms, 0), _medians(split_ms, 1), strict=True)
    ratios = sorted(legacy / split for legacy, split in pairs)
    outside = round(_DRAWS * (1 - CONFIDENCE) / 2)
    return ratios[outside], ratios[-1 - outside]


def fences(times_ms: Sequence[float]) -> tuple[float, float]:
    """Between which durations a sample is no outlier: Tukey's fences, and a tenth of the median around it at least."""
    if len(times_ms) < _TELLING:
        return 0.0, math.inf
    low, middle, high = statistics.quantiles(times_ms, n=4, method="inclusive")
    reach = _FENCE * (high - low)
    return min(low - reach, middle * (1 - _FAR)), max(high + reach, middle * (1 + _FAR))


def _medians(times_ms: Sequence[float], side: int) -> Sequence[float]:
    ordered = sorted(times_ms)
    return [(ordered[low] + ordered[high]) / 2 for low, high in _middles(len(ordered), side)]


@lru_cache(64)
def _middles(n: int, side: int) -> tuple[tuple[int, int], ...]:
    """Of each draw of n values, the places in the ordered sample that its median is the mean of."""
    source = random.Random(_SEED + side)
    drawn = []
    half = n // 2
    for _ in range(_DRAWS):
        if n % 2:
            low = high = source.betavariate(half + 1, half + 1)
        else:
            low = source.betavariate(half, half + 1)
            high = 1 - (1 - low) * source.random() ** (1 / half)
        drawn.append((min(int(low * n), n - 1), min(int(high * n), n - 1)))
    return tuple(drawn)
