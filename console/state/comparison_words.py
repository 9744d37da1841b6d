"""What is said of the comparison in the same words on the screen and as text."""

from __future__ import annotations

from console.format import duration, speedup
from console.measurements import RaceResult


def race_words(result: RaceResult) -> str:
    """`split won by 56.8 s (×394), code change`; or why there is no winner."""
    lead = result.lead_ms
    if lead is None or result.split_ms is None:
        return f"no race: {result.why_not or 'what the app build took is not known'}"
    scenario = f", {result.scenario.value.replace('-', ' ')}" if result.scenario is not None else ""
    if lead == 0:
        return f"a draw{scenario}"
    faster, slower = sorted((result.legacy_ms, result.split_ms))
    ratio = f" ({speedup(slower / faster)})" if faster > 0 else ""
    return f"{'split' if lead > 0 else 'legacy'} won by {duration(abs(lead))}{ratio}{scenario}"
