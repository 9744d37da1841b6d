"""Figures as people read them. Pure text; both front ends use it."""

from __future__ import annotations

from datetime import datetime


def duration(ms: float | None) -> str:
    """A time span in milliseconds: `4 ms`, `349 ms`, `1.42 s`, `17.1 s`, `2 m 03 s`, `1 h 04 m`; `–` for None."""
    if ms is None:
        return "–"
    if ms < 999.5:
        return f"{ms:.0f} ms"
    seconds = ms / 1000
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} m"


def size(count: int) -> str:
    """A size in bytes with decimal units, as Docker prints it: `18 kB`, `1.24 GB`."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            return f"{value:.0f} {unit}" if value >= 99.5 else f"{value:.3g} {unit}"
    raise AssertionError


def age(seconds: float) -> str:
    """How long ago, in the one unit that matters: `now`, `40 s`, `12 m`, `5 h`, `2 d`."""
    if seconds < 1:
        return "now"
    for limit, divisor, unit in ((60, 1, "s"), (3600, 60, "m"), (86400, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // divisor)} {unit}"
    return f"{int(seconds // 86400)} d"


def clock_time(at: float) -> str:
    """Local wall clock of a moment, `14:02:11`."""
    return datetime.fromtimestamp(at).strftime("%H:%M:%S")  # noqa: DTZ006 - people read their own zone


def speedup(ratio: float | None) -> str:
    """`×351`, `×9.3`, `×0.80`; `–` for None."""
    if ratio is None:
        return "–"
    if ratio >= 99.5:
        return f"×{ratio:.0f}"
    return f"×{ratio:.1f}" if ratio >= 1.95 else f"×{ratio:.2f}"


def percent(share: float | None) -> str:
    """A share of 0…1 as `99.7 %`; never rounded up to a full 100 %."""
    if share is None:
        return "–"
    if 0.9995 <= share < 1:
        return f"{int(share * 1e4) / 100:.2f} %"
    return f"{share * 100:.1f} %"


def short_id(image_id: str) -> str:
    """Twelve hex digits of an image or container ID, without its algorithm."""
    return image_id.rpartition(":")[2][:12]


def plural(count: int, noun: str, many: str = "") -> str:
    """`1 file`, `3 files`."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def printable(text: str) -> str:
    """A file name or foreign text on one line: control characters and undecodable bytes made visible."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode() for char in text
    )


def paths(names: tuple[str, ...] | list[str], limit: int = 3) -> str:
    """The first few of many paths: `a.py, b.py, +4 more`."""
    shown = ", ".join(printable(name) for name in names[:limit])
    return f"{shown}, +{len(names) - limit} more" if len(names) > limit else shown
