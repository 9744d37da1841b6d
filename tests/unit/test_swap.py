"""The swap against an engine that behaves like one: whatever fails, the last good container is still there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.config import ReadyConfig, RunConfig
from console.errors import ContainerError, EngineUnreachableError
from console.run import swap as swap_module
from console.run.container import Container, ContainerState
from console.run.swap import Runtime, Swapper, SwapStatus
from tests.fakes import FakeClock

RUN = RunConfig(ports=("8000:8000",), ready=ReadyConfig(healthcheck=True, timeout_s=30))
HERE = "http://engine:8000"


@dataclass
class _Row:
    """A container as the engine sees it."""

    container: Container
    running: bool = False


@dataclass
class FakeRuntime:
    """An engine on which every container publishes the same port.

    It holds the promise of the swap at every call: the container that answered last is never removed.
    """

    clock: FakeClock
    faults: dict[str, str] = field(default_factory=dict)
    """Image → `uncreatable`, `unstartable`, `ends` (at once), `mute` (never answers) or `superseded` (while asked)."""
    supersede: Callable[[], None] = lambda: None
    poll_s: float = 0.004
    port_taken: bool = False
    """By a program that is not ours."""
    stuck: set[str] = field(default_factory=set)
    """Containers that the engine cannot remove at the moment."""
    rows: dict[str, _Row] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    answered_last: str = ""
    _made: int = 0

    def create(self, image: str, settings: dict[str, Any]) -> Container:
        self._call(f"create {image}", 0.02)
        if self.faults.get(image) == "uncreatable":
            raise ContainerError("no space left on device", "docker system df")
        self._made += 1
        return self.add(f"c{self._made}", f"shop-{self._made}", image, running=False)

    def start(self, container: Container) -> None:
        self._call(f"start {container.id}", 0.1)
        row = self._row(container)
        if self.port_taken or any(other.running for other in self.rows.values() if other is not row):
            raise ContainerError("port is already allocated", "end what listens there")
        fault = self.faults.get(container.image_id)
        if fault == "unstartable":
            raise ContainerError("exec: no such file", "check [run] command")
        row.running = fault != "ends"

    def stop(self, container: Container, grace_s: int) -> None:
        assert grace_s == RUN.stop_grace_s
        self._call(f"stop {container.id}", 0.05)
        self._row(container).running = False

    def remove(self, container: Container) -> None:
        self._call(f"remove {container.id}")
        assert container.id != self.answered_last, "the last good container is sacred"
        self._row(container).running = False
        if container.id in self.stuck:
            raise ContainerError("device or resource busy")
        del self.rows[container.id]

    def rename(self, container: Container, name: str) -> Container:
        self._call(f"rename {container.id}")
        assert all(row.container.name != name for row in self.rows.values()), "the name is taken"
        return self.add(container.id, name, container.image_id, running=self._row(container).running)

    def state_of(self, container: Container) -> ContainerState:
        self.clock.advance(self.poll_s)
        running, fault = self._row(container).running, self.faults.get(container.image_id)
        if not running:
            return ContainerState(False, 3, "", "")
        if fault == "superseded":
            self.supersede()
        if fault is None:
            self.answered_last = container.id
        return ContainerState(True, 0, "", "starting" if fault else "healthy", ((8000, 8000),))

    def last_lines(self, container: Container, count: int = 20) -> tuple[str, ...]:
        return (f"last words of {container.image_id}",)

    def add(self, identity: str, name: str, image: str, *, running: bool) -> Container:
        container = Container(identity, name, image, "digest")
        self.rows[identity] = _Row(container, running)
        return container

    @property
    def running(self) -> list[str]:
        return [row.container.image_id for row in self.rows.values() if row.running]

    def _row(self, container: Container) -> _Row:
        return self.rows[container.id]

    def _call(self, call: str, takes_s: float = 0.0) -> None:
        self.calls.append(call)
        self.clock.advance(takes_s)
        assert not self.answered_last or self.answered_last in self.rows


@dataclass
class Observer:
    heard: list[str] = field(default_factory=list)

    def started(self, container: Container) -> None:
        self.heard.append(f"{container.id} started")

    def about_to_stop(self, container: Container) -> None:
        self.heard.append(f"{container.id} about to stop")


class Bench:
    """A swapper on a fake engine."""

    def __init__(self, **faults: str) -> None:
        self.clock = FakeClock()
        self.engine = FakeRuntime(self.clock, faults)
        runtime: Runtime = self.engine
        self.swapper = Swapper("shop", RUN, {"Labels": {}}, "engine", runtime, self.clock)
        self.engine.supersede = self.swapper.supersede
        self.observer = Observer()

    def swap(self, image: str) -> swap_module.SwapResult:
        return self.swapper.swap(image, self.observer)

    def serving(self, image: str) -> Bench:
        """With an image in service and everything tidied up."""
        assert self.swap(image).status is SwapStatus.READY
        self.swapper.tidy()
        self.engine.calls.clear()
        self.observer.heard.clear()
        return self


@pytest.fixture(autouse=True, scope="module")
def impatient() -> Iterator[None]:
    """Real time does not pass between two questions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(swap_module, "_POLL_S", 0)
        patch.setattr(swap_module, "_SLOW_POLL_S", 0)
        patch.setattr(swap_module, "_ATTEMPT_S", 0)
        yield


def test_the_new_container_is_made_while_the_old_one_serves_and_the_old_one_only_stopped() -> None:
    bench = Bench().serving("one")
    result = bench.swap("two")
    assert bench.engine.calls == ["create two", "stop c1", "start c2"]
    assert bench.observer.heard == ["c1 about to stop", "c2 started"]
    assert (result.status, result.container, result.address) == (SwapStatus.READY, bench.swapper.good, HERE)
    assert result.swap_ms == pytest.approx(170)
    assert result.ready_ms == pytest.approx(4, abs=0.1)
    assert bench.engine.running == ["two"]


def test_tidy_removes_what_was_replaced_and_gives_the_name_to_what_serves() -> None:
    bench = Bench().serving("one")
    bench.swap("two")
    bench.engine.calls.clear()
    bench.swapper.tidy()
    bench.swapper.tidy()
    assert bench.engine.calls == ["rename c1", "rename c2"]
    names = {row.container.name: row.container.id for row in bench.engine.rows.values()}
    assert names == {"shop-previous": "c1", "shop": "c2"}
    bench.swap("three")
    bench.swapper.tidy()
    names = {row.container.name: row.container.id for row in bench.engine.rows.values()}
    assert names == {"shop-previous": "c2", "shop": "c3"}, "one is kept, not more"


def test_the_one_before_serves_again_when_the_new_one_ends_soon() -> None:
    bench = Bench().serving("one")
    bench.swap("two")
    bench.swapper.tidy()
    bench.engine.rows["c2"].running = False
    bench.engine.answered_last = "c1"
    back = bench.swapper.fall_back(bench.observer)
    assert back is not None
    assert (back.status, bench.engine.running) == (SwapStatus.READY, ["one"])
    bench.swapper.tidy()
    assert [row.container.name for row in bench.engine.rows.values()] == ["shop"]
    assert Bench().swapper.fall_back(bench.observer) is None, "nothing before it"


def test_a_container_that_ends_at_once_is_taken_away_and_the_old_one_started_again() -> None:
    bench = Bench(two="ends").serving("one")
    result = bench.swap("two")
    assert bench.engine.calls == ["create two", "stop c1", "start c2", "remove c2", "start c1"]
    assert bench.observer.heard[-2:] == ["c2 about to stop", "c1 started"]
    assert (result.status, result.container, result.address) == (SwapStatus.ROLLED_BACK, bench.swapper.good, HERE)
    assert "exit code 3" in result.reason
    assert result.output == ("last words of two",)
    assert bench.engine.running == ["one"]


def test_one_that_never_answers_is_given_its_time_then_rolled_back() -> None:
    bench = Bench(two="mute").serving("one")
    bench.engine.poll_s = 7
    began = bench.clock.now()
    result = bench.swap("two")
    assert result.status is SwapStatus.ROLLED_BACK
    assert "not ready after 30 s (the image's HEALTHCHECK)" in result.reason
    assert 30 < bench.clock.now() - began < 60
    assert bench.engine.running == ["one"]


def test_when_none_can_be_created_the_old_one_is_not_touched() -> None:
    bench = Bench(two="uncreatable").serving("one")
    result = bench.swap("two")
    assert bench.engine.calls == ["create two"]
    assert bench.observer.heard == []
    assert (result.status, result.container, result.address) == (SwapStatus.ROLLED_BACK, bench.swapper.good, HERE)
    assert (result.reason, result.hint) == ("no space left on device", "docker system df")


def test_a_refused_start_is_rolled_back() -> None:
    bench = Bench(two="unstartable").serving("one")
    result = bench.swap("two")
    assert (result.status, result.reason) == (SwapStatus.ROLLED_BACK, "exec: no such file")
    assert bench.engine.running == ["one"]


def test_when_a_stranger_took_the_port_the_old_one_waits_for_its_chance() -> None:
    bench = Bench().serving("one")
    bench.engine.port_taken = True
    result = bench.swap("two")
    assert (result.status, result.container) == (SwapStatus.FAILED, None)
    assert (result.reason, result.hint) == ("port is already allocated", "end what listens there")
    bench.engine.port_taken = False
    revived = bench.swapper.revive(bench.observer)
    assert revived is not None
    assert revived.status is SwapStatus.READY
    assert bench.engine.running == ["one"]


def test_both_reasons_are_told_when_the_old_one_does_not_start_either() -> None:
    bench = Bench(two="ends").serving("one")
    bench.engine.faults["one"] = "unstartable"
    result = bench.swap("two")
    assert (result.status, result.container) == (SwapStatus.FAILED, None)
    assert "exit code 3" in result.reason
    assert "exec: no such file" in result.reason


def test_an_old_one_that_does_not_answer_any_more_is_kept_but_not_called_serving() -> None:
    bench = Bench(two="ends").serving("one")
    bench.engine.faults["one"] = "mute"
    bench.engine.poll_s = 7
    result = bench.swap("two")
    assert (result.status, result.container) == (SwapStatus.FAILED, None)
    assert bench.swapper.good is not None
    assert bench.swapper.good.image_id == "one"


@pytest.mark.parametrize("fault", ["ends", "mute", "unstartable", "uncreatable"])
def test_a_first_start_that_fails_leaves_nothing_behind(fault: str) -> None:
    bench = Bench(one=fault)
    bench.engine.poll_s = 7
    result = bench.swap("one")
    assert (result.status, result.container) == (SwapStatus.FAILED, None)
    assert result.reason
    assert bench.engine.rows == {}
    assert bench.swapper.revive(bench.observer) is None


def test_a_superseded_container_goes_with_the_next_swap_and_the_good_one_stays() -> None:
    bench = Bench(two="superseded").serving("one")
    assert bench.swap("two").status is SwapStatus.SUPERSEDED
    assert bench.engine.running == ["two"], "the next swap follows at once"
    bench.engine.calls.clear()
    assert bench.swap("three").status is SwapStatus.READY
    assert bench.engine.calls == ["create three", "stop c2", "stop c1", "remove c2", "start c3"]
    bench.swapper.tidy()
    assert bench.engine.running == ["three"]
    assert list(bench.engine.rows) == ["c1", "c3"]


@pytest.mark.parametrize("fault", ["ends", "uncreatable"])
def test_a_failure_after_a_superseded_swap_goes_back_to_the_good_one(fault: str) -> None:
    bench = Bench(two="superseded", three=fault).serving("one")
    bench.swap("two")
    assert bench.swap("three").status is SwapStatus.ROLLED_BACK
    assert bench.engine.running == ["one"]
    assert list(bench.engine.rows) == ["c1"]


def test_a_word_from_before_does_not_supersede_the_next_swap() -> None:
    bench = Bench().serving("one")
    bench.swapper.supersede()
    assert bench.swap("two").status is SwapStatus.READY


def test_one_that_cannot_be_removed_does_not_keep_the_good_one_from_starting() -> None:
    bench = Bench(two="ends").serving("one")
    bench.engine.stuck = {"c2"}
    assert bench.swap("two").status is SwapStatus.ROLLED_BACK
    assert bench.engine.running == ["one"]
    with pytest.raises(ContainerError, match="busy"):
        bench.swapper.tidy()
    bench.engine.stuck.clear()
    bench.swapper.tidy()
    assert list(bench.engine.rows) == ["c1"]


def test_a_lost_engine_is_told_and_the_next_swap_works(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench().serving("one")

    def lost(_container: Container) -> None:
        raise EngineUnreachableError("the container engine went away")

    with monkeypatch.context() as patch:
        for call in ("start", "remove"):
            patch.setattr(bench.engine, call, lost)
        result = bench.swap("two")
    assert (result.status, result.container) == (SwapStatus.FAILED, None)
    assert "went away" in result.reason
    assert bench.swap("three").status is SwapStatus.READY
    assert bench.engine.running == ["three"]


@pytest.mark.parametrize("call", ["stop", "remove", "start"])
def test_a_hiccup_of_the_engine_leaves_a_container_running(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """One request that fails once: the swap succeeds, or the good one runs again."""
    bench = Bench(two="exited").serving("one")
    real, failures = getattr(bench.engine, call), iter([True])

    def once(*arguments: object) -> object:
        if next(failures, False):
            raise EngineUnreachableError("read timed out")
        return real(*arguments)

    monkeypatch.setattr(bench.engine, call, once)
    bench.swap("two")
    assert bench.engine.running == ["one"]
    assert bench.swap("three").status is SwapStatus.READY
    bench.swapper.tidy()
    assert bench.engine.running == ["three"]
    assert list(bench.engine.rows) == ["c1", "c3"]


def test_a_session_that_ends_during_a_swap_leaves_a_container_running(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench().serving("one")
    real = bench.engine.stop

    def stop_and_end(container: Container, grace_s: int) -> None:
        real(container, grace_s)
        bench.swapper.abandon()

    monkeypatch.setattr(bench.engine, "stop", stop_and_end)
    assert bench.swap("two").status is not SwapStatus.READY
    assert bench.engine.running == ["one"]
    assert bench.swap("three").status is SwapStatus.SUPERSEDED, "nothing begins any more"
    assert bench.engine.running == ["one"]


def test_a_name_that_another_container_has_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench().serving("one")

    def taken(_container: Container, _name: str) -> Container:
        raise ContainerError("the name is already in use")

    monkeypatch.setattr(bench.engine, "rename", taken)
    bench.swap("two")
    with pytest.raises(ContainerError, match="already in use") as told:
        bench.swapper.tidy()
    assert "nothing is wrong with the app" in told.value.hint
    bench.swap("three")
    bench.swapper.tidy()
    assert bench.engine.running == ["three"]


def test_an_old_one_that_does_not_stop_is_left_to_the_next_swap(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench().serving("one")

    def refuse(_container: Container, _grace_s: int) -> None:
        raise ContainerError("cannot stop container: permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(bench.engine, "stop", refuse)
        result = bench.swap("two")
    assert (result.status, bench.engine.running) == (SwapStatus.ROLLED_BACK, ["one"])
    assert "permission denied" in result.reason
    assert bench.swap("three").status is SwapStatus.READY
    bench.swapper.tidy()
    assert list(bench.engine.rows) == ["c1", "c3"]


def test_serves_tells_whether_a_swap_would_change_anything() -> None:
    bench = Bench(two="superseded")
    assert not bench.swapper.serves("one", "digest"), "nothing serves yet"
    bench.serving("one")
    assert bench.swapper.serves("one", "digest")
    assert not bench.swapper.serves("two", "digest")
    assert not bench.swapper.serves("one", "other settings")
    bench.swap("two")
    assert not bench.swapper.serves("one", "digest"), "another one is on trial"
    bench.swap("three")
    bench.engine.rows["c3"].running = False
    assert not bench.swapper.serves("three", "digest"), "it has crashed"


def test_what_runs_is_adopted_and_strays_are_removed() -> None:
    bench = Bench()
    stray = bench.engine.add("stray", "shop-77", "stray", running=False)
    serving = bench.engine.add("old", "shop", "one", running=True)
    assert bench.swapper.adopt([(stray, False), (serving, True)]) == serving
    assert bench.swapper.good == serving
    assert list(bench.engine.rows) == ["old"]
    assert bench.swapper.confirm().status is SwapStatus.READY
    assert bench.engine.calls == ["remove stray"], "it is not touched"


def test_a_stopped_one_with_the_projects_name_is_kept_to_go_back_to() -> None:
    bench = Bench(two="ends")
    stopped = bench.engine.add("old", "shop", "one", running=False)
    assert bench.swapper.adopt([(stopped, False)]) is None
    assert bench.swap("two").status is SwapStatus.ROLLED_BACK
    assert bench.engine.running == ["one"]


def test_nothing_found_is_nothing_adopted() -> None:
    bench = Bench()
    assert bench.swapper.adopt([]) is None
    assert bench.swapper.good is None


@pytest.mark.parametrize(("fault", "kept"), [("", "two"), ("mute", "one")])
def test_a_trial_that_outlived_its_session_proves_itself_before_the_good_one_goes(fault: str, kept: str) -> None:
    bench = Bench(**{"two": fault} if fault else {})
    bench.engine.poll_s = 7
    good = bench.engine.add("old", "shop", "one", running=False)
    trial = bench.engine.add("trial", "shop-2", "two", running=True)
    bench.engine.answered_last = "old"
    assert bench.swapper.adopt([(trial, True), (good, False)]) == trial
    if bench.swapper.confirm().status is not SwapStatus.READY:
        revived = bench.swapper.revive(bench.observer)
        assert revived is not None
        assert revived.status is SwapStatus.READY
    bench.swapper.tidy()
    assert bench.engine.running == [kept]
    names = [row.container.name for row in bench.engine.rows.values()]
    assert names == (["shop-previous", "shop"] if kept == "two" else ["shop"])


FATES = st.sampled_from(["good", "good", "ends", "mute", "superseded", "unstartable", "uncreatable", "stuck"])


@given(st.lists(st.tuples(FATES, st.booleans()), max_size=12))
def test_whatever_comes_the_last_good_container_is_there(story: list[tuple[str, bool]]) -> None:
    """The fake engine itself refuses to remove it; here is that it also runs, alone, as soon as a swap is over."""
    bench = Bench()
    bench.engine.poll_s = 7
    good: str | None = None
    for number, (fate, tidied) in enumerate(story):
        image = f"image {number}"
        if fate != "good":
            bench.engine.faults[image] = "ends" if fate == "stuck" else fate
        bench.engine.stuck = {f"c{bench.engine._made + 1}"} if fate == "stuck" else set()
        result = bench.swap(image)
        if fate == "good":
            good = image
            assert result.status is SwapStatus.READY
        elif fate == "superseded":
            assert result.status is SwapStatus.SUPERSEDED
        else:
            assert result.status is (SwapStatus.ROLLED_BACK if good else SwapStatus.FAILED)
        if fate != "superseded":
            assert bench.engine.running == ([good] if good else [])
            assert result.container == bench.swapper.good
        assert (bench.swapper.good.image_id if bench.swapper.good else None) == good
        bench.engine.stuck.clear()
        if tidied:
            bench.swapper.tidy()
            assert len(bench.engine.rows) <= (3 if fate == "superseded" else 2), "what serves, the one before, a trial"
