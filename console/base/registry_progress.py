"""How far a pull or a push is: an engine's messages about layers, brought into one form.

Docker with its own image store, Docker with containerd's and Podman word them differently, and tell different things:
Podman tells of no layer that it pushes. Source: moby, daemon/internal/distribution and daemon/containerd; podman,
pkg/api/handlers/compat/images{,_push}.go; recorded in tests/data/registry.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from console.base_values import Transfer, TransferLayer, TransferStatus

WAITING, MOVING, UNPACKING, DONE, THERE = "waiting", "moving", "unpacking", "done", "there"
_STATUSES = (
    ("Pulling fs layer", WAITING),
    ("Waiting", WAITING),
    ("Preparing", WAITING),
    ("Retrying in", WAITING),
    ("Downloading", MOVING),
    ("Pushing", MOVING),
    ("Verifying Checksum", MOVING),
    ("Download complete", UNPACKING),
    ("Extracting", UNPACKING),
    ("Pull complete", DONE),
    ("Pushed", DONE),
    ("Already exists", THERE),
    ("Layer already exists", THERE),
    ("Mounted from", THERE),
)
_DIGEST = re.compile(r"\bdigest: (sha256:[0-9a-f]{64})", re.IGNORECASE)
_INTERVAL_S = 0.1


class LayerProgress:
    """The layers of one attempt, by the messages that came so far."""

    def __init__(self) -> None:
        self._layers: dict[str, TransferLayer] = {}
        self.digest = ""
        """What the registry has the image under, as soon as it is told."""
        self.retrying = ""
        """What the engine itself tries again; empty while all is well."""

    @property
    def layers(self) -> tuple[TransferLayer, ...]:
        return tuple(self._layers.values())

    @property
    def begun(self) -> bool:
        """Whether the registry has answered at all."""
        return any(layer.status != WAITING for layer in self._layers.values())

    def take(self, message: Mapping[str, Any]) -> None:
        """Takes one message of an engine; what it does not know is no progress."""
        text, layer_id = str(message.get("status") or ""), str(message.get("id") or "")
        aux = message.get("aux")
        if isinstance(aux, Mapping) and isinstance(aux.get("Digest"), str):
            self.digest = aux["Digest"]
        elif found := _DIGEST.search(text):
            self.digest = found[1]
        status = next((ours for theirs, ours in _STATUSES if text.startswith(theirs)), "")
        if not status or not layer_id:
            return
        self.retrying = f"layer {layer_id}: the engine tries again" if text.startswith("Retrying in") else ""
        before = self._layers.get(layer_id, TransferLayer(layer_id, WAITING))
        self._layers[layer_id] = _moved(replace(before, status=status), message.get("progressDetail"))

    def finish(self) -> None:
        """Takes it that all layers have arrived."""
        for layer in self.layers:
            if layer.status != THERE:
                self._layers[layer.id] = _moved(replace(layer, status=DONE), None)


def arrived(transfer: Transfer) -> tuple[int, bool]:
    """What a pull that went well has fetched, in bytes, and whether it was whole: all layers came, in one go.

    Layers that an attempt which broke has left behind are there for the next one. A layer whose size the engine does
    not tell counts no bytes: Podman tells it of slow ones only.
    """
    came = [layer for layer in transfer.layers if layer.status != THERE]
    whole = bool(came) and len(came) == len(transfer.layers) and transfer.attempt == 1
    return sum(layer.current_bytes for layer in came), whole


def _moved(layer: TransferLayer, detail: object) -> TransferLayer:
    """A layer with the bytes that its state speaks of; those of unpacking are others, or seconds.

    One that waits has none, even if the engine told of all of them before it began again.
    """
    if layer.status in {UNPACKING, DONE}:
        return replace(layer, current_bytes=layer.total_bytes or layer.current_bytes)
    if layer.status == WAITING:
        return replace(layer, current_bytes=0)
    if layer.status != MOVING or not isinstance(detail, Mapping):
        return layer
    told, current = _number(detail.get("total")), _number(detail.get("current"))
    # Of a layer that Docker goes on with after a broken connection it tells the rest only.
    kept = max(0, layer.total_bytes - told) if told else 0
    total = max(told, layer.total_bytes)
    current = kept + current if current else layer.current_bytes
    # What is pushed is a tar with its headers, what was promised is the files alone.
    return replace(layer, current_bytes=min(current, total) if total else current, total_bytes=total)


def _number(value: object) -> int:
    return max(0, value) if isinstance(value, int) else 0


class Telling:
    """Tells of a transfer, at most ten times a second but for what is new.

    Args:
        observe: Hears of it.
        clock: Seconds, from anywhere.
        transfer: As it begins; told at once.
    """

    def __init__(self, observe: Callable[[Transfer], None], clock: Callable[[], float], transfer: Transfer) -> None:
        self._observe = observe
        self._clock = clock
        self._told = transfer
        self._told_at = clock()
        observe(transfer)

    def progress(self, progress: LayerProgress) -> None:
        """Layers moved on."""
        now = self._clock()
        new = progress.retrying != self._told.message
        if new or now - self._told_at >= _INTERVAL_S:
            self._tell(replace(self._told, layers=progress.layers, message=progress.retrying), now)

    def again(self, attempt: int, message: str) -> None:
        """It begins again."""
        self._tell(replace(self._told, attempt=attempt, message=message), self._clock())

    def end(self, status: TransferStatus, progress: LayerProgress, message: str = "") -> None:
        """It is over."""
        self._tell(replace(self._told, status=status, layers=progress.layers, message=message), self._clock())

    def _tell(self, transfer: Transfer, now: float) -> None:
        self._told, self._told_at = transfer, now
        self._observe(transfer)
