"""What the user asks the history while the loop runs."""

from __future__ import annotations

from collections.abc import Coroutine

from console import events as ev
from console import intents
from console.loop.guard import guarded
from console.loop.ports import Emit, Recorder
from console.measurements import BuildQuery


class HistoryWishes:
    """Answers with events.

    Args:
        recorder: Has the history.
        emit: Where events go.
    """

    def __init__(self, recorder: Recorder, emit: Emit) -> None:
        self._recorder = recorder
        self._emit = emit

    def answer(self, intent: intents.Intent) -> Coroutine[None, None, None] | None:
        """What answers a question; None for any other wish."""
        match intent:
            case intents.HistoryRequested(query):
                return self.list(query)
            case intents.HistoryBuildRequested(number):
                return self.read(number)
        return None

    async def list(self, query: BuildQuery) -> None:
        """Lists builds."""
        found = await guarded(self._emit, self._recorder.builds(query))
        if found is not None:
            self._emit(ev.HistoryListed(query, *found))

    async def read(self, number: int) -> None:
        """Tells everything of one build."""
        sample = await guarded(self._emit, self._recorder.build(number))
        if sample is not None:
            self._emit(ev.HistoryBuildRead(sample))
