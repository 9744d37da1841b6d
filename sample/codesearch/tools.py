"""The MCP tools: what an assistant can ask of the index."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Annotated

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import Field
from starlette.applications import Starlette

from codesearch import __version__, textsearch
from codesearch.index import SymbolIndex
from codesearch.symbols import Kind, Symbol
from codesearch.textsearch import InvalidSearchError, Match

Limit = Annotated[int, Field(ge=1, le=100)]


@dataclass(frozen=True)
class Hit(Symbol):
    """A symbol and how near it is to the query: 1 is the same meaning, 0 nothing in common."""

    score: float


def create_app(index: SymbolIndex) -> Starlette:
    """An app that answers MCP over streamable HTTP at `/mcp`.

    It keeps no sessions, so that a client does not notice when the container behind it is replaced.
    """
    mcp = MCPServer("codesearch", version=__version__, instructions="Search the code of one project.")

    @mcp.tool()
    def search_code(query: str, limit: Limit = 10, kind: Kind | None = None) -> list[Hit]:
        """Functions, classes and methods by what they mean, best first. Ask in plain words."""
        return [Hit(**asdict(symbol), score=round(score, 4)) for symbol, score in index.search(query, limit, kind)]

    @mcp.tool()
    def search_text(pattern: str, path: str = ".", limit: Limit = 100) -> list[Match]:
        """Lines that match a regular expression (ripgrep's), in the whole project or under a path."""
        with _explained():
            return textsearch.search(index.root, pattern, path, limit)

    @mcp.tool()
    def list_symbols(path: str) -> list[Symbol]:
        """The functions, classes and methods of a file, or of all files under a folder."""
        with _explained():
            return index.list_symbols(path)

    return mcp.streamable_http_app(stateless_http=True, json_response=True, transport_security=_allowed_hosts())


@contextmanager
def _explained() -> Iterator[None]:
    """Lets the assistant read why; of any other exception it would only be told that there was one."""
    try:
        yield
    except InvalidSearchError as error:
        raise ToolError(str(error)) from error


def _allowed_hosts() -> TransportSecuritySettings:
    """Guards a browser's user against DNS rebinding; `CODESEARCH_ALLOWED_HOSTS` adds hosts, separated by commas."""
    added = os.environ.get("CODESEARCH_ALLOWED_HOSTS", "").split(",")
    hosts = ["127.0.0.1", "localhost", "[::1]", *filter(None, added)]
    return TransportSecuritySettings(
        allowed_hosts=[name for host in hosts for name in (host, f"{host}:*")],
        allowed_origins=[f"http://{host}:*" for host in hosts],
    )
