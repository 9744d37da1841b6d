"""What both front ends say of base images, transfers and the mode in the same words. Pure text on one line each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from console.base_values import (
    BaseContents,
    BaseDiff,
    HeldBase,
    HeldBecause,
    PackageChange,
    Transfer,
    TransferLayer,
    TransferStatus,
)
from console.format import paths, plural, printable, size
from console.model import Mode

CANDIDATE = "candidate"
"""What a held base is called until it becomes a version."""
_THERE = frozenset({"done", "there"})
NAMED = 3
"""So many packages are told on one line."""


def held_words(held: HeldBase) -> str:
    """Why it was held, after "the new base image": `2026.11.24 needs approval: numpy 1.26.4 → 2.1.0`."""
    name = f"{printable(held.version)} " if held.version else ""
    verb = {
        HeldBecause.BUILD: "could not be built",
        HeldBecause.CHECK: "did not pass its check",
        HeldBecause.MAJOR: "needs approval",
    }[held.because]
    reason = some_changes(held.majors) if held.because is HeldBecause.MAJOR and held.majors else printable(held.reason)
    return f"{name}{verb}{f': {reason}' if reason else ''}"


def held_hint(held: HeldBase) -> str:
    """What to do about it."""
    if held.because is HeldBecause.MAJOR:
        return "v opens the base panel, where a approves it; b tries again; app builds go on with the base before"
    return "b tries again; app builds go on with the base before"


def held_command(held: HeldBase) -> str:
    """The same where there are no keys."""
    approve = "splitdeck base build --allow-major approves it; " if held.because is HeldBecause.MAJOR else ""
    return f"{approve or 'splitdeck base build tries again; '}app builds go on with the base before"


def change_words(change: PackageChange) -> str:
    """`numpy 1.26.4 → 2.1.0`, `+ libfoo 1.2`, `- libbar 3.4`."""
    name, before, after = printable(change.name), printable(change.before), printable(change.after)
    if not before:
        return f"+ {name} {after}"
    return f"{name} {before} → {after}" if after else f"- {name} {before}"


def some_changes(changes: Sequence[PackageChange]) -> str:
    """The first few of many: `numpy 1.26.4 → 2.1.0, +2 more`."""
    shown = ", ".join(map(change_words, changes[:NAMED]))
    return f"{shown}, +{len(changes) - NAMED} more" if len(changes) > NAMED else shown


def in_order(changes: Iterable[PackageChange]) -> list[PackageChange]:
    """The changes as people want to read them: major updates first, then by manager and name."""
    return sorted(changes, key=lambda change: (not change.major, change.manager, change.name))


def diff_words(diff: BaseDiff) -> str:
    """`2 major, 14 changed, 1 added, 1 removed · 1.91 GB → 2.03 GB`."""
    added = sum(not change.before for change in diff.changes)
    removed = sum(not change.after for change in diff.changes)
    counts = (len(diff.majors), "major"), (len(diff.changes) - added - removed, "changed")
    counted = (*counts, (added, "added"), (removed, "removed"))
    words = ", ".join(f"{count:,} {word}" for count, word in counted if count) or "the same packages"
    return f"{words}{growth_words(diff)}"


def contents_words(contents: BaseContents) -> str:
    """`93 pip, 319 dpkg`."""
    counts = Counter(package.manager for package in contents.packages)
    return ", ".join(f"{count:,} {printable(manager)}" for manager, count in sorted(counts.items())) or "no packages"


def growth_words(diff: BaseDiff) -> str:
    """` · 1.91 GB → 2.03 GB (+120 MB)`; empty where a size is not known."""
    before, after = diff.size_before_bytes, diff.size_after_bytes
    if not before or not after:
        return ""
    more = after - before
    by = f" ({'+' if more > 0 else '−'}{size(abs(more))})" if more else ""
    return f" · {size(before)} → {size(after)}{by}"


def direction_words(transfer: Transfer) -> str:
    """`pulling` or `publishing`."""
    return "publishing" if transfer.direction == "push" else "pulling"


def transfer_share(transfer: Transfer) -> float | None:
    """How much of it is there, 0 to 1; None where a layer's size is not known yet, as a share would run backwards."""
    if not transfer.layers or any(not layer.total_bytes and layer.status not in _THERE for layer in transfer.layers):
        return None
    total = sum(layer.total_bytes for layer in transfer.layers)
    return min(sum(map(_moved, transfer.layers)) / total, 1.0) if total else None


def _moved(layer: TransferLayer) -> int:
    return layer.total_bytes if layer.status in {*_THERE, "unpacking"} else min(layer.current_bytes, layer.total_bytes)


def transfer_progress(transfer: Transfer) -> str:
    """In a few cells: `42 %`; `3/9 layers` where sizes are not known yet; empty where nothing is."""
    share = transfer_share(transfer)
    if share is not None:
        return f"{int(share * 100)} %"
    done = sum(layer.status in _THERE for layer in transfer.layers)
    return f"{done}/{len(transfer.layers)} layers" if transfer.layers else ""


def transfer_bytes(transfer: Transfer) -> str:
    """`412 MB of 1.91 GB`; `412 MB` where the whole is not known yet."""
    moved = sum(map(_moved, transfer.layers)) + sum(
        layer.current_bytes for layer in transfer.layers if not layer.total_bytes
    )
    if transfer_share(transfer) is not None:
        return f"{size(moved)} of {size(sum(layer.total_bytes for layer in transfer.layers))}"
    return size(moved) if moved else ""


def transfer_outcome(transfer: Transfer) -> str:
    """How it ended."""
    name = printable(transfer.reference)
    if transfer.status is TransferStatus.FAILED:
        message = f": {printable(transfer.message)}" if transfer.message else ""
        return f"{direction_words(transfer)} {name} failed{message}"
    there = sum(layer.status == "there" for layer in transfer.layers)
    kept = f" ({there} of {plural(len(transfer.layers), 'layer')} were there)" if there else ""
    return f"{'published' if transfer.direction == 'push' else 'pulled'} {name}{kept}"


def promoted_words(version: str, *, pinned: bool) -> str:
    """What it means that a base became `latest`."""
    if pinned:
        return f"base {printable(version)} is latest now; app builds stay on the one that config.toml names"
    return f"the base is {printable(version)} now"


def pruned_words(versions: Sequence[str], freed_bytes: int) -> str:
    """`2 base versions removed, 812 MB freed: 2026.11.01, 2026.10.30`."""
    if not versions:
        return "no base version was removed: each one here is needed"
    removed = f"{plural(len(versions), 'base version')} removed, {size(freed_bytes)} freed"
    return f"{removed}: {paths(list(versions))}"


def mode_words(mode: Mode) -> str:
    """What a change of the mode means."""
    if mode is Mode.LEGACY:
        return "legacy mode: saves build and serve the single image of [legacy]"
    return "split mode: saves build and serve the app image on its base"
