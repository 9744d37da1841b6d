"""A console on a store, driven as the controller would drive it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import pytest
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets._footer import FooterKey

from console.events import Event, Stamped
from console.intents import Intent
from console.state.store import Store
from console.ui.app import ConsoleApp
from console.ui.screens.base import BaseScreen
from console.ui.screens.dashboard import Dashboard
from console.ui.widgets.log_view import LogView
from console.ui.widgets.panel import Panel
from console.ui.widgets.rows import RowsView
from console.ui.widgets.steps import StepsView
from tests.ui.story import StoryClock, until


@dataclass
class Session:
    """The running console and everything around it."""

    pilot: Pilot[None]
    app: ConsoleApp
    store: Store
    clock: StoryClock
    intents: list[Intent] = field(default_factory=list)

    @property
    def dashboard(self) -> Dashboard:
        screen = self.app.get_screen_stack("dashboard")[0]
        assert isinstance(screen, Dashboard)
        return screen

    async def tell(self, *events: Event | Stamped, after: float = 0.0) -> None:
        """Dispatches events and shows what they lead to."""
        self.clock.at += after
        for event in events:
            if isinstance(event, Stamped):
                self.clock.at = max(self.clock.at, event.at)
                self.store.dispatch(event.event, event.at)
            else:
                self.store.dispatch(event)
        await self.show()

    async def play(self, scene: str) -> None:
        """Tells the story from its start to the end of a scene."""
        await self.tell(*until(scene))

    async def wait(self, seconds: float) -> None:
        """Lets the clock go on; nobody sleeps."""
        self.clock.at += seconds
        await self.show()

    async def show(self) -> None:
        self.store.drain()
        self.dashboard.refresh_from_store()
        if isinstance(self.app.screen, BaseScreen):
            self.app.screen.refresh_from_store()
        await self.pilot.pause()

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    def text(self, selector: str) -> str:
        """What a panel or the steps show."""
        widget = self.dashboard.query_one(selector, Widget)
        assert isinstance(widget, (Panel, StepsView))
        return widget.text

    def base_text(self, selector: str) -> str:
        """What a part of the base panel shows."""
        widget = self.app.screen.query_one(selector, Widget)
        assert isinstance(widget, (Panel, RowsView))
        return widget.text

    def footer(self) -> list[str]:
        """What the keys of the present screen are called."""
        return [key.description for key in self.app.screen.query(FooterKey)]

    def title(self, selector: str) -> str:
        widget = self.dashboard.query_one(selector, Widget)
        return str(widget._border_title)

    def subtitle(self, selector: str) -> str:
        widget = self.dashboard.query_one(selector, Widget)
        return str(widget._border_subtitle)

    def log(self, pane: str) -> LogView:
        return self.dashboard.query_one(f"{pane} LogView", LogView)

    def screen_text(self) -> list[str]:
        """Every row of the terminal."""
        strips: Iterable[object] = self.app.screen._compositor.render_strips()
        return [strip.text for strip in strips]  # type: ignore[attr-defined]


Console = Callable[..., AbstractAsyncContextManager[Session]]


@pytest.fixture
def console() -> Console:
    @asynccontextmanager
    async def open_console(
        size: tuple[int, int] = (120, 40), *, toasts: bool = False, **options: object
    ) -> AsyncIterator[Session]:
        clock = StoryClock()
        store = Store(clock)
        intents: list[Intent] = []
        app = ConsoleApp(store, intents.append, clock, **options)  # type: ignore[arg-type]
        async with app.run_test(size=size, notifications=toasts) as pilot:
            await pilot.pause()
            yield Session(pilot, app, store, clock, intents)

    return open_console
