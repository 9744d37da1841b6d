"""What a pull of the base is measured as: the registry's part of the base, against an engine on this machine's loopback
that answers as real ones were recorded to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from console.base.registry_errors import RegistryError
from console.base.registry_progress import LayerProgress, arrived
from console.base_values import Transfer, TransferLayer, TransferStatus
from console.config import BaseConfig
from console.errors import BaseError
from console.loop.base_registry import BaseRegistry
from console.measurements import PullSample
from tests.fakes import FakeClock
from tests.unit.test_registry_line import Server
from tests.unit.test_registry_progress import messages

DIGEST, IMAGE = f"sha256:{64 * 'a'}", f"sha256:{64 * 'b'}"
REMOTE = "127.0.0.1:1/base"
TOOK_S = 12.5


class Engine:
    """Answers what a pull asks."""

    def __init__(self, server: Server) -> None:
        self.clock = FakeClock()
        self.pulls: list[PullSample] = []
        self.lines = [json.dumps(message).encode() + b"\n" for message in messages("docker_pull")]
        """How the pull goes."""
        self.here: dict[str, Any] | None = None
        """What has the wanted tag already."""
        self.registry = BaseRegistry(
            BaseConfig(dockerfile=Path("Dockerfile"), image="base", repository=REMOTE), self.clock, self.pulls.append
        )
        self.client = server.client
        server.answer = self.answer

    def answer(self, handler: Any) -> None:
        path = unquote(handler.path.partition("?")[0]).partition("/v1.41")[2]
        if path == "/images/create":
            self.clock.advance(TOOK_S)
            handler.tell(*self.lines)
        elif path == "/images/json":
            handler.tell(b"[]")
        elif path.startswith(f"/distribution/{REMOTE}:"):
            handler.tell(json.dumps({"Descriptor": {"digest": DIGEST}}).encode())
        elif path == f"/images/{REMOTE}@{DIGEST}/json":
            handler.tell(json.dumps({"Id": IMAGE}).encode())
        elif path == "/images/base:2026.11.24/json" and self.here is not None:
            handler.tell(json.dumps(self.here).encode())
        elif path.endswith("/json"):
            handler.tell(b'{"message": "No such image"}', status=404)
        else:
            handler.tell(b"", status=201)


@pytest.fixture
def engine() -> Iterator[Engine]:
    server = Server()
    yield Engine(server)
    server.close()


def test_a_pull_is_measured_from_its_beginning_until_the_image_is_there(engine: Engine) -> None:
    began = engine.clock.now()
    heard: list[Transfer] = []
    engine.registry.fetch_pinned(engine.client, f"@{DIGEST}", heard.append)
    expected = PullSample(
        f"{REMOTE}@{DIGEST}", began, TOOK_S * 1000, 40_012_405 + 1_000_482 + 134, True, engine="", machine=""
    )
    assert engine.pulls == [expected]
    assert heard[-1].status is TransferStatus.OK, "who follows the transfer hears of it as before"


@pytest.mark.parametrize("version", ["2026.11.24", f"2026.11.24@{DIGEST}"])
def test_whatever_is_fetched_counts(engine: Engine, version: str) -> None:
    engine.registry.fetch_pinned(engine.client, version, lambda _: None)
    fetched = engine.registry.fetch_latest(engine.client, None, lambda _: None, asked=True)
    assert fetched.image_id == IMAGE
    assert [pull.whole for pull in engine.pulls] == [True, True]
    assert engine.pulls[1].started_at == engine.pulls[0].started_at + TOOK_S


def test_a_pull_whose_image_is_not_taken_was_a_pull(engine: Engine) -> None:
    engine.here = {"Id": f"sha256:{64 * 'c'}", "RepoTags": ["base:2026.11.24"]}
    with pytest.raises(BaseError, match="another image here"):
        engine.registry.fetch_pinned(engine.client, "2026.11.24", lambda _: None)
    assert len(engine.pulls) == 1


def test_a_pull_that_fails_is_none(engine: Engine) -> None:
    engine.lines[-1] = b'{"error": "denied: no"}\n'
    with pytest.raises(RegistryError):
        engine.registry.fetch_pinned(engine.client, f"@{DIGEST}", lambda _: None)
    assert engine.pulls == []


# -- what travelled ---------------------------------------------------------------------------------------------------


def end(recorded: str, attempt: int = 1) -> Transfer:
    """A pull that went well, by its recorded messages."""
    progress = LayerProgress()
    for message in messages(recorded):
        progress.take(message)
    progress.finish()
    return Transfer("pull", "r/base:t", TransferStatus.OK, progress.layers, attempt)


@pytest.mark.parametrize("engine", ["containerd", "docker", "docker28", "podman"])
def test_only_a_pull_that_brings_all_layers_is_whole(engine: str) -> None:
    fetched_bytes, whole = arrived(end(f"{engine}_pull"))
    assert whole
    assert (fetched_bytes > 40_000_000) is (engine != "podman"), "that tells no sizes of what comes fast"
    assert arrived(end(f"{engine}_pull_again")) == (0, False)


def test_layers_that_were_there_did_not_travel() -> None:
    layers = (TransferLayer("a", "there", 70, 70), TransferLayer("b", "done", 30, 30))
    assert arrived(Transfer("pull", "r/base:t", TransferStatus.OK, layers)) == (30, False)


def test_a_pull_that_broke_on_its_way_says_nothing_of_a_fresh_machine() -> None:
    fetched_bytes, whole = arrived(end("docker_pull", attempt=2))
    assert fetched_bytes > 40_000_000
    assert not whole
