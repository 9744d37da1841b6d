"""The builder without an engine: what it asks for, in which order, and how a build is cancelled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from docker.errors import ImageNotFound

from console.build import builder as builder_module
from console.build.api import BuildRequest
from console.build.builder import EngineBuilder
from console.config import load_config
from console.engine import Engine
from console.errors import BuildError, EngineUnreachableError
from console.model import BuildOutcome, BuildStatus, EngineInfo, Target
from console.watch.ignore import load_ignore
from tests.fakes import make_project

DEADLINE_S = 20.0
INFO = EngineInfo("docker", "28", "1.48", "buildkit", "overlay2", "unix:///x")
OK = BuildOutcome(BuildStatus.OK, 1.0, image_id="sha256:new")


class Bench:
    """A builder whose engine answers as told."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config = make_project(folder)
        self.images: dict[str, dict[str, Any]] = {"sha256:new": {"Size": 5}}
        self.looked_up: list[str] = []
        self.requests: list[BuildRequest] = []
        self.answer: Callable[[], BuildOutcome] = lambda: OK
        self.labels: Callable[[Target], Mapping[str, str]] = lambda _target: {}
        engine = Engine(INFO, lambda: self)  # type: ignore[arg-type, return-value]
        self.builder = EngineBuilder(
            engine, self.config, load_ignore, str, lambda target: self.labels(target), lambda _event: None
        )
        monkeypatch.setattr(builder_module, "run_build", self._run)

    def _run(self, _client: object, request: BuildRequest, _reporter: object) -> BuildOutcome:
        self.requests.append(request)
        return self.answer()

    def inspect_image(self, name: str) -> dict[str, Any]:
        self.looked_up.append(name)
        if name not in self.images:
            raise ImageNotFound("no such image")
        return self.images[name]

    def close(self) -> None:
        pass

    async def build(self, target: Target) -> BuildOutcome:
        return await asyncio.wait_for(self.builder.build(1, target), DEADLINE_S)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    bench = Bench(tmp_path, monkeypatch)
    yield bench
    bench.builder.close()


async def test_labels_tell_of_the_files_as_they_were_before_they_were_packed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = bench.config.root / "requirements.txt"
    bench.labels = lambda _target: {"content": file.read_text()}
    pack = builder_module.read_context

    def pack_and_save(*arguments: Any) -> Any:
        packed = pack(*arguments)
        file.write_text("heavy==2\n")
        return packed

    monkeypatch.setattr(builder_module, "read_context", pack_and_save)
    await bench.build(Target.BASE)
    assert bench.requests[0].labels["content"] == "heavy==1\n"


async def test_a_cancel_that_fails_is_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    loop, begun, cancelled = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def cancel(_client: object, build_id: str) -> None:
        asked.append(build_id)
        if len(asked) == 1:
            raise EngineUnreachableError("busy")
        cancelled.set()

    def run() -> BuildOutcome:
        loop.call_soon_threadsafe(begun.set)
        assert cancelled.wait(DEADLINE_S)
        return BuildOutcome(BuildStatus.CANCELLED, 1.0)

    monkeypatch.setattr(builder_module, "cancel_build", cancel)
    bench.answer = run
    building = asyncio.create_task(bench.build(Target.APP))
    await asyncio.wait_for(begun.wait(), DEADLINE_S)
    bench.builder.cancel(Target.APP)
    assert (await building).status is BuildStatus.CANCELLED
    assert set(asked) == {bench.requests[0].build_id}


async def test_a_cancel_that_nobody_asked_for_is_a_failure(bench: Bench) -> None:
    bench.answer = lambda: BuildOutcome(BuildStatus.CANCELLED, 1.0)
    outcome = await bench.build(Target.APP)
    assert outcome.status is BuildStatus.FAILED
    assert outcome.failure is not None
    assert outcome.failure.message == "the engine cancelled the build"
    assert outcome.failure.dockerfile


@pytest.mark.parametrize("labels", [None, {}, {"io.splitdeck.project": "other"}])
@pytest.mark.parametrize(("target", "image"), [(Target.APP, "demo:latest"), (Target.LEGACY, "demo-legacy:latest")])
async def test_an_image_of_someone_else_is_not_overwritten(
    bench: Bench, target: Target, image: str, labels: dict[str, str] | None
) -> None:
    bench.images[image] = {"Config": {"Labels": labels}}
    for _ in range(2):
        with pytest.raises(BuildError, match=f"{image} .*not built for demo") as caught:
            await bench.build(target)
        assert f"set [{target.value}] image to another name" in caught.value.hint
    assert bench.requests == []


async def test_our_own_image_is_looked_at_once_and_a_base_may_come_from_anywhere(bench: Bench) -> None:
    bench.images["demo:latest"] = {"Config": {"Labels": {"io.splitdeck.project": "demo"}}}
    bench.images["demo-base:latest"] = {"Config": None}
    for target in (Target.APP, Target.APP, Target.LEGACY, Target.LEGACY, Target.BASE):
        assert (await bench.build(target)).status is BuildStatus.OK
    assert [name for name in bench.looked_up if name != "sha256:new"] == ["demo:latest", "demo-legacy:latest"]


def test_what_a_build_with_a_context_above_the_project_reads(bench: Bench) -> None:
    root = bench.config.root / "project"
    root.mkdir()
    text = bench.config.path.read_text().replace('"base.', '"../base.').replace('"Dock', '"../Dock')
    text = text.replace('"app.Dockerfile"', '"../app.Dockerfile"\ncontext = ".."')
    (root / "config.toml").write_text(text)
    config = load_config(root / "config.toml")
    engine = Engine(INFO, lambda: bench)  # type: ignore[arg-type, return-value]
    builder = EngineBuilder(engine, config, load_ignore, str, lambda _target: {}, lambda _event: None)
    read = {path: builder.reads(Target.APP, path) for path in ("../app.py", "../app.Dockerfile", "../notes", "x")}
    builder.close()
    assert read == {"../app.py": True, "../app.Dockerfile": True, "../notes": False, "x": False}
