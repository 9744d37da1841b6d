"""A wish for a new image in service."""

from __future__ import annotations

from dataclasses import dataclass, replace

from console.format import paths as some_paths
from console.measurements import Trigger
from console.model import ChangeBatch


@dataclass(frozen=True, slots=True)
class AppRequest:
    """Why a new image is wanted, and the save behind it."""

    reason: str
    batch: ChangeBatch | None = None
    trigger: Trigger = Trigger.ASKED

    def after(self, earlier: AppRequest | None) -> AppRequest:
        """This request with the files of an earlier one that was never served."""
        if earlier is None or earlier.batch is None:
            return self
        if self.batch is None:
            return replace(self, batch=earlier.batch)
        both = joined(earlier.batch, self.batch)
        return AppRequest(f"saved {some_paths(both.paths)}", both, Trigger.SAVE)


def joined(earlier: ChangeBatch, later: ChangeBatch) -> ChangeBatch:
    """The later batch with the files of both."""
    return replace(later, paths=tuple(sorted({*earlier.paths, *later.paths})))
