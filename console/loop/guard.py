"""What keeps the loop going: whatever a part raises is told, and the rest goes on."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from console.errors import SplitdeckError
from console.events import ErrorOccurred
from console.loop.ports import Emit


class Guard:
    """Does things; what a user should know of a failure is told as an error, and nothing is raised.

    Args:
        emit: Where events go.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.failure: SplitdeckError | None = None
        """The last one."""

    async def __call__(self, doing: Coroutine[Any, Any, Any]) -> Any:
        """The result, or None after telling the user what went wrong."""
        try:
            return await doing
        except SplitdeckError as error:
            self.failure = error
        except Exception as error:  # noqa: BLE001 - a defect of ours must not end the loop
            self.failure = SplitdeckError(*defect(error))
        self._emit(ErrorOccurred(self.failure.message, self.failure.hint))
        return None


async def guarded(emit: Emit, doing: Coroutine[Any, Any, Any]) -> Any:
    """The result, or None after telling the user what went wrong."""
    return await Guard(emit)(doing)


def defect(error: Exception) -> tuple[str, str]:
    """An exception that nobody foresaw, as message and hint."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" in {place.tb_frame.f_code.co_name}, line {place.tb_lineno}" if place is not None else ""
    return (
        f"splitdeck met an error of its own: {type(error).__name__}: {error}{where}",
        "this is a defect, please report it with these words; the loop goes on",
    )
