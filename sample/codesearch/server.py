"""The HTTP front: `/health` at once, and `/mcp` as soon as somebody asks for it.

While one edits this code the server is restarted at every save, so nothing heavy is imported here: the MCP library and
the index come with the first request to `/mcp` (0.5 s), the embedding model with the first search (some seconds more).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from codesearch import BANNER, __version__

if TYPE_CHECKING:
    from codesearch.index import SymbolIndex


class McpEndpoint:
    """An ASGI app that imports and starts the MCP app when its first request arrives."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.index: SymbolIndex | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._wanted.set()
        app = await asyncio.shield(self._app)
        await app(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """To be entered before the first request and left after the last."""
        self._wanted = asyncio.Event()
        self._app: asyncio.Future[Starlette] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def _run(self) -> None:
        """Holds the MCP app's lifespan, which has to begin and end in the same task."""
        await self._wanted.wait()
        try:
            app = await asyncio.to_thread(self._load)
        except Exception as error:  # noqa: BLE001 - handed on
            self._app.set_exception(error)  # every request to /mcp fails with it and logs it
            return
        async with app.router.lifespan_context(app):
            self._app.set_result(app)
            await asyncio.Event().wait()

    def _load(self) -> Starlette:
        from codesearch.embedding import Embedder
        from codesearch.index import SymbolIndex
        from codesearch.tools import create_app

        self.index = SymbolIndex(self.root, Embedder())
        return create_app(self.index)


def create_app(root: Path) -> Starlette:
    """The whole server, searching the files under `root`."""
    mcp = McpEndpoint(root)

    async def health(request: Request) -> JSONResponse:
        return JSONResponse(
            {
                "status": "ok",
                "version": __version__,
                "banner": BANNER,
                "root": str(root),
                "symbols": mcp.index.symbol_count if mcp.index else 0,
                "model": "loaded" if mcp.index and mcp.index.embedder.loaded else "not loaded",
            }
        )

    return Starlette(routes=[Route("/health", health), Route("/mcp", mcp)], lifespan=lambda app: mcp.running())


class Server(uvicorn.Server):
    """Stops when the signal comes, not at uvicorn's next look for one: a restart waits for this."""

    _ticks: asyncio.Task[None] | None = None

    async def main_loop(self) -> None:
        self._ticks = asyncio.create_task(super().main_loop())
        with suppress(asyncio.CancelledError):
            await self._ticks

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._ticks:
            self._ticks.get_loop().call_soon_threadsafe(self._ticks.cancel)


def search_root() -> Path:
    """The folder to search: `CODESEARCH_ROOT`, or this package where that is empty or missing."""
    root = Path(os.environ.get("CODESEARCH_ROOT", "/workspace"))
    return root if root.is_dir() and any(root.iterdir()) else Path(__file__).parent


def main() -> None:
    """Serves on all interfaces at `CODESEARCH_PORT` until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s:     %(name)s: %(message)s")
    logging.getLogger("mcp.server.streamable_http").setLevel(logging.WARNING)  # else a line per request, for no session
    port = int(os.environ.get("CODESEARCH_PORT", "8000"))
    app = create_app(search_root())
    config = uvicorn.Config(app, host="0.0.0.0", port=port, ws="none", timeout_graceful_shutdown=1)
    with suppress(KeyboardInterrupt):
        Server(config).run()
