"""Housekeeping after a swap, where other projects tidy the same engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError
from requests import Response

from console.errors import EngineError
from console.run.runner import ContainerRunner
from tests.fakes import FakeClock, make_project


class TidyClient:
    """An engine without containers that answers with a status when images are to be pruned."""

    def __init__(self, status: int) -> None:
        self._status = status

    def prune_images(self, **_: Any) -> None:
        response = Response()
        response.status_code = self._status
        raise APIError("no", response, "a prune operation is already running")

    def containers(self, **_: Any) -> list[Any]:
        return []

    def close(self) -> None:
        pass


class TidyEngine:
    """Makes such clients."""

    address = "127.0.0.1"

    def __init__(self, status: int) -> None:
        self.client: Callable[[], TidyClient] = lambda: TidyClient(status)


def runner(folder: Path, status: int) -> ContainerRunner:
    engine: Any = TidyEngine(status)
    return ContainerRunner(engine, make_project(folder), lambda _event: None, FakeClock())


async def test_that_somebody_else_tidies_is_no_news(tmp_path: Path) -> None:
    tested = runner(tmp_path, 409)
    await tested.tidy()
    tested.close()


async def test_any_other_refusal_is_told(tmp_path: Path) -> None:
    tested = runner(tmp_path, 500)
    with pytest.raises(EngineError, match="removing superseded images"):
        await tested.tidy()
    tested.close()
