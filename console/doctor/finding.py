"""What a check of the doctor gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from console.errors import SplitdeckError

_SUBJECT_CELLS = 17
"""The longest is `legacy Dockerfile`."""


class Verdict(str, Enum):
    """What came of a check, as it is shown."""

    WELL = "✔"
    REMARK = "!"
    """It works, but not as well as it could, or not yet."""
    FAILED = "✘"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    subject: str
    said: str
    verdict: Verdict = Verdict.WELL
    hint: str = ""
    remarks: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """As it is shown."""
        yield f"{self.verdict.value} {self.subject:<{_SUBJECT_CELLS}} {self.said}"
        for more in (*self.remarks, *([f"hint: {self.hint}"] if self.hint else [])):
            yield f"{'':<{_SUBJECT_CELLS + 3}}{more}"


def failure(subject: str, error: SplitdeckError) -> Finding:
    """What a check found that ended with an error."""
    return Finding(subject, error.message, Verdict.FAILED, error.hint)
