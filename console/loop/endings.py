"""Work that a command cannot just leave when it is interrupted: it is told so, and its end is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

CANCEL_S = 8.0
"""How long a build may take to end that nobody wants any more."""


async def to_its_end(work: Coroutine[Any, Any, Result], cancel: Callable[[], None] = lambda: None) -> Result:
    """Waits for work; when we are cancelled, the work is told so, and waited for a while longer."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        cancel()
        await asyncio.wait([task], timeout=CANCEL_S)
        raise
