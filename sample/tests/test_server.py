"""The server as it runs in the container: a process of its own, asked over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from mcp import Client

from codesearch import BANNER, __version__

DEADLINE_S = 30


@pytest.fixture
def server(project: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "CODESEARCH_ROOT": str(project), "CODESEARCH_PORT": str(port)}
    with subprocess.Popen([sys.executable, "-m", "codesearch"], env=environment) as process:
        wait_until_listening(port)
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) in (0, -signal.SIGTERM)


def wait_until_listening(port: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.01)


def health(server: str) -> dict[str, Any]:
    with urlopen(f"{server}/health", timeout=DEADLINE_S) as response:
        return json.load(response)


def test_healthy_before_anything_is_loaded(server: str, project: Path) -> None:
    assert health(server) == {
        "status": "ok",
        "version": __version__,
        "banner": BANNER,
        "root": str(project),
        "symbols": 0,
        "model": "not loaded",
    }


def test_a_client_uses_every_tool(server: str) -> None:
    async def conversation() -> None:
        async with Client(f"{server}/mcp") as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
            assert tools == {"search_code", "search_text", "list_symbols"}

            symbols = await ask(client, "list_symbols", path="web/user.ts")
            assert [symbol["name"] for symbol in symbols] == ["User", "verify", "Shape", "Shape.area"]
            assert (await asyncio.to_thread(health, server))["model"] == "not loaded"

            hits = await ask(client, "search_code", query="draw a picture", limit=2)
            assert hits[0]["name"] == "draw"
            assert (hits[0]["path"], hits[0]["line"]) == ("web/app.js", 3)

            lines = await ask(client, "search_text", pattern="def \\w+")
            assert [line["line"] for line in lines] == [8, 13]

            refused = await client.call_tool("search_text", {"pattern": "x", "path": "../.."})
            assert refused.is_error
            assert "no such file or folder: ../.." in refused.content[0].text

    asyncio.run(conversation())
    state = health(server)
    assert (state["model"], state["symbols"]) == ("loaded", 11)


async def ask(client: Client, tool: str, **arguments: Any) -> list[dict[str, Any]]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content["result"]
