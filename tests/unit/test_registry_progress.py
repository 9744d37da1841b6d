"""What engines tell of layers, as recorded from four of them, in one form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from console.base.registry_progress import LayerProgress, Telling
from console.base_values import Transfer, TransferLayer, TransferStatus

RECORDED = Path(__file__).parents[1] / "data" / "registry"
DOCKERS = ("containerd", "docker", "docker28")
ENGINES = (*DOCKERS, "podman")
LARGE_BYTES = 40_000_000


def messages(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RECORDED / f"{name}.jsonl").read_text().splitlines()]


def states(name: str) -> tuple[LayerProgress, list[tuple[TransferLayer, ...]]]:
    """The layers after each message."""
    progress = LayerProgress()
    told = []
    for message in messages(name):
        progress.take(message)
        told.append(progress.layers)
    return progress, told


def largest(told: list[tuple[TransferLayer, ...]]) -> list[TransferLayer]:
    """What was told of the largest layer, without repetitions."""
    wanted = max(told[-1], key=lambda layer: layer.total_bytes).id
    found = [layer for layers in told for layer in layers if layer.id == wanted]
    return [layer for at, layer in enumerate(found) if at == 0 or layer != found[at - 1]]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", ["push", "push_again", "push_other", "pull", "pull_again", "pull_broken"])
def test_a_transfer_tells_of_its_layers_and_its_digest(engine: str, case: str) -> None:
    progress, told = states(f"{engine}_{case}")
    assert bool(progress.digest) is (case.startswith("push") or engine != "podman")
    assert not progress.retrying, "it went well in the end"
    silent = case.startswith("push") if engine == "podman" else case == "pull_again"
    if silent:
        assert told[-1] == ()
        return
    expected = "there" if case in ("push_again", "push_other") else "done"
    progress.finish()
    if engine == "podman":  # it counts the image's configuration as a layer, and has that at hand sometimes
        assert len(progress.layers) == 4
        assert {layer.status for layer in progress.layers} <= {"done", "there"}
    else:
        assert [layer.status for layer in progress.layers] == [expected] * 3
    assert progress.begun
    assert all(layer.current_bytes == layer.total_bytes for layer in progress.layers)


@pytest.mark.parametrize("engine", DOCKERS)
@pytest.mark.parametrize("case", ["push", "pull"])
def test_bytes_only_grow(engine: str, case: str) -> None:
    _, told = states(f"{engine}_{case}")
    steps = largest(told)
    assert [layer.current_bytes for layer in steps] == sorted(layer.current_bytes for layer in steps)
    assert steps[-1].current_bytes == steps[-1].total_bytes > LARGE_BYTES * 0.99
    assert {layer.total_bytes for layer in steps} <= {0, steps[-1].total_bytes}
    assert "moving" in {layer.status for layer in steps}
    assert sum(0 < layer.current_bytes < layer.total_bytes for layer in steps) >= 1


@pytest.mark.parametrize("engine", ["docker", "docker28"])
def test_a_layer_that_begins_again_goes_on_where_it_was(engine: str) -> None:
    """Docker then counts the rest of it only, from nothing on."""
    progress = LayerProgress()
    waited, after = [], []
    for message in messages(f"{engine}_pull_broken"):
        progress.take(message)
        layer = next((one for one in progress.layers if one.id == message.get("id")), None)
        if layer and message["status"].startswith("Retrying"):
            assert progress.retrying == f"layer {layer.id}: the engine tries again"
            waited.append(layer)
        elif layer and waited and layer.id == waited[0].id and layer.status == "moving":
            after.append(layer)
    assert {(layer.status, layer.current_bytes) for layer in waited} == {("waiting", 0)}
    assert {layer.total_bytes for layer in after} == {waited[0].total_bytes}
    assert after[0].current_bytes > 589_824, "what had come before is counted"
    assert progress.retrying == ""


def test_what_is_no_progress() -> None:
    progress = LayerProgress()
    for message in ({}, {"status": None, "id": "a"}, {"status": "Pushed"}, {"status": "Pulling from x", "id": "t"}):
        progress.take(message)
    assert progress.layers == ()
    assert not progress.begun
    progress.take({"status": "Waiting", "id": "a"})
    assert not progress.begun
    for detail in (None, 7, {"current": "1"}, {"current": -5, "total": -1}):
        progress.take({"status": "Downloading", "id": "a", "progressDetail": detail})
    assert progress.layers == (TransferLayer("a", "moving"),)
    assert progress.begun


def test_more_than_was_promised_is_not_told() -> None:
    progress = LayerProgress()
    progress.take({"status": "Pushing", "id": "a", "progressDetail": {"current": 1536, "total": 1000}})
    assert progress.layers == (TransferLayer("a", "moving", 1000, 1000),)
    progress.take({"status": "Pushing", "id": "b", "progressDetail": {"current": 1536}})
    assert progress.layers[1] == TransferLayer("b", "moving", 1536, 0)


def test_a_digest_is_told_in_one_of_three_ways() -> None:
    digest = f"sha256:{64 * 'a'}"
    for message in (
        {"status": f"Digest: {digest}"},
        {"status": f"t: digest: {digest} size: 739"},
        {"aux": {"Tag": "t", "Digest": digest, "Size": 739}},
    ):
        progress = LayerProgress()
        progress.take(message)
        assert progress.digest == digest


class Told:
    """A transfer that is told of, and a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.heard: list[Transfer] = []
        self.progress = LayerProgress()
        self.telling = Telling(self.heard.append, lambda: self.now, Transfer("pull", "r/base:t"))

    def take(self, at: float, status: str, **detail: int) -> None:
        self.now = at
        self.progress.take({"status": status, "id": "a", "progressDetail": detail})
        self.telling.progress(self.progress)


def test_progress_is_told_at_most_ten_times_a_second_but_trouble_at_once() -> None:
    told = Told()
    for at in range(100):
        told.take(at / 100, "Downloading", current=at, total=100)
    assert len(told.heard) == 1 + 9
    told.take(0.991, "Retrying in 5 seconds")
    assert told.heard[-1].message == "layer a: the engine tries again"
    told.take(0.992, "Downloading", current=1, total=50)
    assert told.heard[-1].message == ""
    assert told.heard[-1].layers == (TransferLayer("a", "moving", 51, 100),)
    told.telling.again(2, "it broke")
    assert (told.heard[-1].attempt, told.heard[-1].message) == (2, "it broke")
    told.take(0.993, "Downloading", current=2, total=50)
    assert (told.heard[-1].attempt, told.heard[-1].message) == (2, "")
    told.progress.finish()
    told.telling.end(TransferStatus.OK, told.progress)
    assert told.heard[-1] == Transfer(
        "pull", "r/base:t", TransferStatus.OK, (TransferLayer("a", "done", 100, 100),), attempt=2
    )
    assert (told.heard[-1].current_bytes, told.heard[-1].total_bytes) == (100, 100)
