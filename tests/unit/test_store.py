"""The store: events from any thread, one state, subscribers told once a batch."""

from __future__ import annotations

import asyncio
import threading

from console import events as ev
from console.model import Target, Track
from console.state.logs import MARKER
from console.state.store import Store


class StillClock:
    def now(self) -> float:
        return 5.0

    def monotonic(self) -> float:
        return 5.0


def test_without_a_loop_the_caller_drains() -> None:
    store = Store(StillClock())
    batches: list[list[ev.Stamped]] = []
    unsubscribe = store.subscribe(batches.append)
    store.dispatch(ev.SessionStarted("shop", "1", "config.toml"))
    store.dispatch(ev.WatchPaused(paused=True), at=7.0)
    assert store.state.project == ""
    store.drain()
    store.drain()
    assert store.state.project == "shop"
    assert [[stamped.at for stamped in batch] for batch in batches] == [[5.0, 7.0]]
    unsubscribe()
    store.dispatch(ev.WatchPaused(paused=False))
    store.drain()
    assert len(batches) == 1


async def test_threads_dispatch_and_the_loop_reduces() -> None:
    store = Store()
    store.attach(asyncio.get_running_loop())
    done = asyncio.Event()
    reduced_on: set[int] = set()

    def look(batch: list[ev.Stamped]) -> None:
        reduced_on.add(threading.get_ident())
        if store.app_log.end == 4000:
            done.set()

    store.subscribe(look)

    def produce(name: str) -> None:
        for number in range(1000):
            store.dispatch(ev.ContainerLogged(stream="stdout", lines=(f"{name} {number}",), container="c"))

    threads = [threading.Thread(target=produce, args=(str(index),)) for index in range(4)]
    for thread in threads:
        thread.start()
    await asyncio.wait_for(done.wait(), 20)
    for thread in threads:
        thread.join()
    assert reduced_on == {threading.get_ident()}
    _, lines = store.app_log.since(0)
    for name in "0123":
        assert [line.text for line in lines if line.text.startswith(f"{name} ")] == [f"{name} {n}" for n in range(1000)]


def test_log_lines_go_to_their_rings_and_new_builds_and_containers_are_marked() -> None:
    store = Store(StillClock())
    before = store.state
    store.dispatch(ev.BuildLogged(stream="stderr", lines=("a", "b"), build=1, target=Target.BASE, step="[1/1] RUN x"))
    store.drain()
    assert store.state is before
    store.dispatch(ev.BuildStarted(2, Target.BASE, Track.SPLIT, "image", "asked for"))
    store.dispatch(ev.ContainerStarted("c", "shop-app", "sha256:1", 2))
    store.drain()
    _, lines = store.build_logs[Target.BASE].since(0)
    assert [(line.origin, line.text) for line in lines] == [
        ("[1/1] RUN x", "a"),
        ("[1/1] RUN x", "b"),
        (MARKER, "#2 base: asked for"),
    ]
    _, lines = store.app_log.since(0)
    assert [(line.origin, line.text) for line in lines] == [(MARKER, "container shop-app started from build #2")]


def test_a_flood_does_not_hold_the_drain() -> None:
    store = Store(StillClock())

    def again(batch: list[ev.Stamped]) -> None:
        store.dispatch(ev.WatchPaused(paused=True))

    store.subscribe(again)
    store.dispatch(ev.WatchPaused(paused=True))
    store.drain()
    store.drain()
    assert store.state.watch.paused
