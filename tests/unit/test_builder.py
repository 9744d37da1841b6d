"""The builder without an engine: what it asks for, in which order, and how a build is cancelled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from docker.errors import ImageNotFound

from console import events as ev
from console.base_values import Foundation
from console.build.builder import ProjectBuilder
from console.build.context import KeptContext
from console.build.last_inputs import LastInputs
from console.build.request import BuildObserver, BuildRequest, Cancellation
from console.config import Config, load_config
from console.engine import Engine
from console.errors import BuildError
from console.model import BuildOutcome, BuildStatus, EngineInfo, StepFailure, Target
from console.watch.ignore import load_ignore
from tests.fakes import make_project

DEADLINE_S = 20.0
INFO = EngineInfo("docker", "28", "1.48", "buildkit", "overlay2", "unix:///x")
OK = BuildOutcome(BuildStatus.OK, 1.0, image_id="sha256:new")


class Bases:
    """The base images of the project."""

    version = "latest"
    own: Callable[[], Mapping[str, str]] = staticmethod(dict)
    stands: Foundation | None = None

    def labels(self, _client: object) -> Mapping[str, str]:
        return self.own()

    def foundation(self, _client: object) -> Foundation | None:
        return self.stands


class Bench:
    """A builder whose engine and way of building answer as told."""

    def __init__(self, folder: Path) -> None:
        self.config = make_project(folder)
        self.images: dict[str, dict[str, Any]] = {"sha256:new": {"Size": 5, "Id": "sha256:new"}}
        self.looked_up: list[str] = []
        self.requests: list[BuildRequest] = []
        self.answer: Callable[[BuildRequest], BuildOutcome] = lambda _request: OK
        self.bases = Bases()
        self.heard: list[ev.Event] = []
        self.builder = self.make(self.config)

    def make(self, config: Config) -> ProjectBuilder:
        engine = Engine(INFO, lambda: self)  # type: ignore[arg-type, return-value]
        inputs = LastInputs(self.config.root / "state", "here")
        return ProjectBuilder(engine, config, self, load_ignore, str, self.bases, inputs, self.heard.append)

    def build(self, _client: object, request: BuildRequest, _observer: BuildObserver) -> BuildOutcome:
        self.requests.append(request)
        return self.answer(request)

    def inspect_image(self, name: str) -> dict[str, Any]:
        self.looked_up.append(name)
        if name not in self.images:
            raise ImageNotFound("no such image")
        return self.images[name]

    def close(self) -> None:
        pass

    async def built(self, target: Target) -> BuildOutcome:
        return await asyncio.wait_for(self.builder.build(1, target), DEADLINE_S)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.builder.close()


async def test_labels_tell_of_the_files_as_they_were_before_they_were_looked_at(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = bench.config.root / "requirements.txt"
    bench.bases.own = lambda: {"content": file.read_text()}
    look = KeptContext.snapshot

    def look_and_save(*arguments: Any, **options: Any) -> Any:
        snapshot = look(*arguments, **options)
        file.write_text("heavy==2\n")
        return snapshot

    monkeypatch.setattr(KeptContext, "snapshot", look_and_save)
    await bench.built(Target.BASE)
    assert bench.requests[0].labels["content"] == "heavy==1\n"


async def test_a_cancel_reaches_the_build(bench: Bench) -> None:
    loop, begun, cancelled = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def run(request: BuildRequest) -> BuildOutcome:
        with request.cancellation.stopping(cancelled.set):
            loop.call_soon_threadsafe(begun.set)
            assert cancelled.wait(DEADLINE_S)
        return BuildOutcome(BuildStatus.CANCELLED, 1.0)

    bench.answer = run
    building = asyncio.create_task(bench.built(Target.APP))
    await asyncio.wait_for(begun.wait(), DEADLINE_S)
    bench.builder.cancel(Target.APP)
    bench.builder.cancel(Target.APP)
    assert (await building).status is BuildStatus.CANCELLED


def test_a_cancel_that_comes_before_the_build_can_be_stopped_stops_it_then() -> None:
    stopped, over = threading.Event(), threading.Event()
    calls: list[str] = []

    def stop() -> None:  # as the tar's: asks until the build is over, which it is only after the block
        calls.append("stop")
        stopped.set()
        assert over.wait(DEADLINE_S)

    cancellation = Cancellation()
    cancellation.cancel()
    with cancellation.stopping(stop):
        assert stopped.wait(DEADLINE_S)
    over.set()
    cancellation.cancel()
    assert calls == ["stop"]


async def test_a_cancel_that_nobody_asked_for_is_a_failure(bench: Bench) -> None:
    bench.answer = lambda _request: BuildOutcome(BuildStatus.CANCELLED, 1.0)
    outcome = await bench.built(Target.APP)
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
            await bench.built(target)
        assert f"set [{target.value}] image to another name" in caught.value.hint
    assert bench.requests == []


async def test_our_own_image_is_looked_at_once_and_a_base_may_come_from_anywhere(bench: Bench) -> None:
    bench.images["demo:latest"] = {"Config": {"Labels": {"io.splitdeck.project": "demo"}}}
    bench.images["demo-base:latest"] = {"Config": None, "Id": "sha256:base"}
    for target in (Target.APP, Target.APP, Target.LEGACY, Target.LEGACY, Target.BASE):
        assert (await bench.built(target)).status is BuildStatus.OK
    looked_up = [name for name in bench.looked_up if name.startswith(("demo:", "demo-legacy:"))]
    assert looked_up == [
        "demo:latest",
        "demo-legacy:latest",
    ]


def test_what_a_build_with_a_context_above_the_project_reads(bench: Bench) -> None:
    root = bench.config.root / "project"
    root.mkdir()
    text = bench.config.path.read_text().replace('"base.', '"../base.').replace('"Dock', '"../Dock')
    text = text.replace('"app.Dockerfile"', '"../app.Dockerfile"\ncontext = ".."')
    (root / "config.toml").write_text(text)
    config = load_config(root / "config.toml")
    builder = bench.make(config)
    read = {path: builder.reads(Target.APP, path) for path in ("../app.py", "../app.Dockerfile", "../notes", "x")}
    builder.close()
    assert read == {"../app.py": True, "../app.Dockerfile": True, "../notes": False, "x": False}


def with_build(bench: Bench, settings: str, app: str) -> ProjectBuilder:
    """A builder of the project with more in its configuration and another app.Dockerfile."""
    bench.config.path.write_text(bench.config.path.read_text() + settings)
    bench.config.app.dockerfile.write_text(app)
    return bench.make(load_config(bench.config.path))


SECRET = '[build.secrets]\ntoken = { env = "SD_TOKEN" }\nother = { env = "SD_OTHER" }\n'


async def test_a_secret_is_in_nothing_that_people_see(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SD_TOKEN", "hunter2-hunter2")
    monkeypatch.delenv("SD_OTHER", raising=False)
    failure = StepFailure("s", "it is hunter2-hunter2", source=("RUN hunter2-hunter2",))
    bench.answer = lambda _request: BuildOutcome(BuildStatus.FAILED, 1.0, failure=failure)
    builder = with_build(bench, SECRET, "FROM x\nRUN --mount=type=secret,id=token y\n")
    outcome = await builder.build(1, Target.APP)
    builder.close()
    assert bench.requests[0].redact("it is hunter2-hunter2!") == "it is ***!"
    assert "hunter2" not in repr((bench.requests[0], outcome))
    assert list(bench.requests[0].secrets) == ["token"]


async def test_a_secret_that_no_step_mounts_need_not_be_there(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SD_TOKEN", raising=False)
    builder = with_build(bench, SECRET, "FROM x\nRUN y\n")
    assert (await builder.build(1, Target.APP)).status is BuildStatus.OK
    builder.close()
    assert bench.requests[0].secrets == {}


@pytest.mark.parametrize(
    ("mount", "message", "hint"),
    [
        ("type=secret,id=npm", "app.Dockerfile:2: this step needs the build secret npm", "[build.secrets]"),
        ("type=ssh", "app.Dockerfile:2: this step needs the ssh agent default", '[build] ssh = ["default"]'),
    ],
)
async def test_what_a_step_demands_is_missed_before_the_build(
    bench: Bench, mount: str, message: str, hint: str
) -> None:
    builder = with_build(bench, "", f"FROM x\nRUN --mount={mount},required y\n")
    with pytest.raises(BuildError) as caught:
        await builder.build(1, Target.APP)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert bench.requests == []
    bench.config.app.dockerfile.write_text(f"FROM x\nRUN --mount={mount} y\n")
    assert (await builder.build(1, Target.APP)).status is BuildStatus.OK
    builder.close()


async def test_a_defect_in_finding_causes_fails_no_build(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise KeyError("defect")

    monkeypatch.setattr("console.build.builder.explain", fail)
    outcome = await bench.built(Target.APP)
    assert (outcome.status, outcome.causes) == (BuildStatus.OK, ())


FOUNDATION = Foundation("demo-base:latest", "sha256:base", ("a", "b"), {"io.splitdeck.base": "sha256:base"})


async def test_an_app_says_what_it_stands_on(bench: Bench) -> None:
    bench.bases.stands = FOUNDATION
    bench.images["sha256:new"]["RootFS"] = {"Layers": ["a", "b", "c"]}
    assert (await bench.built(Target.APP)).status is BuildStatus.OK
    assert bench.requests[0].labels["io.splitdeck.base"] == "sha256:base"


async def test_an_app_follows_the_version_that_is_pinned(bench: Bench) -> None:
    bench.bases.version = "2026.11.24"
    await bench.built(Target.APP)
    assert bench.requests[0].args["BASE_IMAGE"] == "demo-base:2026.11.24"


async def test_a_base_is_built_beside_the_present_one(bench: Bench) -> None:
    await bench.built(Target.BASE)
    assert bench.requests[0].tag == "demo-base:candidate"


async def test_an_app_on_another_image_than_its_base_is_remarked_on(bench: Bench) -> None:
    bench.bases.stands = FOUNDATION
    bench.images["sha256:new"]["RootFS"] = {"Layers": ["x", "b", "c"]}
    bench.config.app.dockerfile.write_text("FROM python:3 AS one\nFROM one\nCOPY app.py /\n")
    outcome = await bench.built(Target.APP)
    assert outcome.status is BuildStatus.OK
    [warning] = outcome.warnings
    assert warning.message == "the app image stands on python:3, and not on the base image demo-base:latest"
    assert warning.lines == ((1, 1),)
    assert [event.warning for event in bench.heard if isinstance(event, ev.BuildWarned)] == [warning]


async def test_an_app_whose_base_changed_under_it_is_no_app(bench: Bench) -> None:
    bench.bases.stands = FOUNDATION
    bench.images["sha256:new"]["RootFS"] = {"Layers": ["a", "other", "c"]}
    outcome = await bench.built(Target.APP)
    assert outcome.status is BuildStatus.FAILED
    assert outcome.failure is not None
    assert (
        outcome.failure.message == "the app image does not stand on demo-base:latest, which changed while it was built"
    )
