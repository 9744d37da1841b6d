"""Which packages two base images do not have alike, and which of the differences are major updates. Pure.

A major update is one whose first release number differs, up or down, or whose epoch does:

- pip by PEP 440, dpkg and rpm by `[epoch:]upstream[-revision]` (deb-version(7)), apk by its leading number.
- `0.3` → `0.4` is none. It may break just as much, but packages that stay below 1 do so for years and are updated at
  every build: whoever has to approve everything approves anything.
- Years and dates are none: a first number from 1900 on, such as tzdata's 2024a → 2025b. From a date to a number or back
  is one, because then nobody knows what the number says.
- Where a version has no number in front (a git hash, a branch), nothing can be told, and it is none.

Debian's libraries that have the major in their name (libicu72 → libicu74) are two packages, one removed and one added.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from packaging.version import Version

from console.base.packages import Package
from console.base_values import BaseDiff, PackageChange
from console.format import plural, printable, size

_EPOCH = re.compile(r"([0-9]+):(.*)", re.DOTALL)
_LEADING = re.compile(r"[vV]?([0-9]+)")
_HASH = re.compile(r"(?=.*[a-f])(?=.*[0-9])[0-9a-f]{7,40}")
_NUMBERS = re.compile(r"[0-9]+")
_FIRST_YEAR = 1900


def compare_packages(before: Iterable[Package], after: Iterable[Package]) -> tuple[PackageChange, ...]:
    """What differs: major updates first, then other changes, what was added, what was removed; each by name.

    Of a package that is there in several versions, those that both images have are left out; the rest are set beside
    each other from the highest down, and what has no counterpart was added or removed.
    """
    older, newer = _by_name(before), _by_name(after)
    changes = []
    for key in older.keys() | newer.keys():
        manager, name = key
        was, now = older.get(key, set()), newer.get(key, set())
        gone, come = (sorted(side, key=_order, reverse=True) for side in (was - now, now - was))
        pairs = min(len(gone), len(come))
        changes += [
            PackageChange(manager, name, old, new, _is_major(manager, old, new))
            for old, new in zip(gone, come, strict=False)
        ]
        changes += [PackageChange(manager, name, old, "") for old in gone[pairs:]]
        changes += [PackageChange(manager, name, "", new) for new in come[pairs:]]
    return tuple(sorted(changes, key=_place))


def render_diff(diff: BaseDiff) -> list[str]:
    """A difference as lines of text: what it is about, how much, and a table of the packages.

    `!` stands before a major update, `+` and `-` before what was added and removed.
    """
    heading = f"{printable(diff.before)} → {printable(diff.after)}"
    if diff.size_before_bytes and diff.size_after_bytes:
        grown = diff.size_after_bytes - diff.size_before_bytes
        sign = "−" if grown < 0 else "+"
        heading += f"   {size(diff.size_before_bytes)} → {size(diff.size_after_bytes)} ({sign}{size(abs(grown))})"
    if not diff.changes:
        return [heading, "the same packages"]
    added = sum(not change.before for change in diff.changes)
    removed = sum(not change.after for change in diff.changes)
    changed = plural(len(diff.changes) - added - removed, "package")
    majors = f" ({len(diff.majors)} major)" if diff.majors else ""
    rows = [
        (
            "!" if change.major else "+" if not change.before else "-" if not change.after else " ",
            change.manager,
            printable(change.name),
            printable(change.before) or "–",
            "→",
            printable(change.after) or "–",
            "major" if change.major else "",
        )
        for change in diff.changes
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [heading, f"{changed} changed{majors}, {added} added, {removed} removed"] + [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _by_name(packages: Iterable[Package]) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for manager, name, version in packages:
        if version:
            found.setdefault((manager, name), set()).add(version)
    return found


def _place(change: PackageChange) -> tuple[int, str, str, str, str]:
    kind = 0 if change.major else 1 if change.before and change.after else 2 if change.after else 3
    return kind, change.name, change.manager, change.before, change.after


def _is_major(manager: str, before: str, after: str) -> bool:
    old, new = _first(manager, before), _first(manager, after)
    if old is None or new is None or old == new:
        return False
    return old[0] != new[0] or not (_is_date(old[1]) and _is_date(new[1]))


def _first(manager: str, version: str) -> tuple[str, str] | None:
    """Epoch and first release number, as digits without leading zeros; None where it begins with no number."""
    if manager == "pip":
        try:
            parsed = Version(version)
            return str(parsed.epoch), str(parsed.release[0])
        except ValueError:  # older packages did not keep to PEP 440
            pass
    epoch, rest = "0", version
    if match := _EPOCH.fullmatch(version):
        epoch, rest = match[1].lstrip("0") or "0", match[2]
    upstream = rest.rpartition("-")[0] if manager in ("dpkg", "rpm") and "-" in rest else rest
    leading = _LEADING.match(upstream)
    if leading is None or _HASH.fullmatch(upstream):
        return None
    return epoch, leading[1].lstrip("0") or "0"


def _is_date(digits: str) -> bool:
    return len(digits) > 4 or int(digits) >= _FIRST_YEAR


def _order(version: str) -> tuple[tuple[tuple[int, str], ...], str]:
    """A natural order of versions: good enough to set the higher ones beside each other."""
    numbers = (digits.lstrip("0") for digits in _NUMBERS.findall(version))
    return tuple((len(digits), digits) for digits in numbers), version
