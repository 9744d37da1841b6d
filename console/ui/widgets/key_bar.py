"""The last line of a screen: what the keys do there."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from textual.app import ComposeResult
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

from console.ui.commands import BASE_KEYS, HISTORY_KEYS, KEYS, Room


class KeyBar(Footer):
    """The footer; keys that matter less come last and are marked, so that a narrower screen can leave them out.

    Args:
        labels: What to call actions whose outcome depends on the state.
    """

    def __init__(self, labels: Callable[[], Mapping[str, str]] = dict) -> None:
        super().__init__(compact=True)
        self._labels = labels

    def compose(self) -> ComposeResult:
        rooms: dict[str, Room] = {command.action: command.room for command in (*KEYS, *BASE_KEYS, *HISTORY_KEYS)}
        keys = {key.action: key for key in super().compose() if isinstance(key, FooterKey)}
        if "scroll_end" in keys:
            # It needs the room of two: one key is told on the line above, the other is the mouse's business, too.
            rooms = {"scroll_end": "normal", **rooms, "notices": "wide", "next_build": "wide"}
        for action, room in rooms.items():
            if action in keys and room != "narrow":
                keys[action] = keys.pop(action).add_class(f"-{room}-only")
        for action, label in self._labels().items():
            if action in keys:
                keys[action].description = label
        yield from keys.values()
