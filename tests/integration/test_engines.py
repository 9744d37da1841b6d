"""The same project on every engine: Docker 20.10 and 28, the containerd image store, Podman; the same steps shown."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines.engines import ENGINES, ensure, in_network
from tests.integration.conftest import Project, made_project

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

OWN = "own"
"""The machine's own engine, Docker 20.10 on Debian bookworm."""
APP = """\
ARG BASE_IMAGE
FROM busybox:test AS assets
WORKDIR /assets
RUN echo made for {name} > style.css
FROM ${{BASE_IMAGE}}
ENV MODE=fast
WORKDIR /app
COPY --from=assets /assets/style.css .
COPY app.py ./
RUN echo checked
CMD ["python3", "-S", "/app/app.py"]
"""
STEPS = [
    "[assets 2/3] WORKDIR /assets",
    "[assets 3/3] RUN echo made for NAME > style.css",
    "[stage-1 2/5] WORKDIR /app",
    "[stage-1 3/5] COPY --from=assets /assets/style.css .",
    "[stage-1 4/5] COPY app.py ./",
    "[stage-1 5/5] RUN echo checked",
]


@pytest.fixture(scope="module")
def endpoints() -> dict[str, str]:
    return {OWN: "", **ensure(ENGINES)}


@pytest.fixture(params=[OWN, *ENGINES])
def there(
    request: pytest.FixtureRequest, endpoints: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    """A project whose engine is one of them, with two stages in its app image."""
    if endpoints[request.param]:
        monkeypatch.setenv("DOCKER_HOST", endpoints[request.param])
    with made_project(tmp_path) as project:
        project.write("app.Dockerfile", APP.format(name=project.name))
        project.engine = request.param
        yield project


def events_of(project: Project, *arguments: str) -> list[dict[str, Any]]:
    result = project.once("build", *arguments, "--json")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def one(events: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return [event for event in events if event["event"] == name][-1]


def shown(project: Project, finished: dict[str, Any]) -> list[str]:
    """The instructions in the order of the file, without FROM, whose image's name each builder words its own way."""
    names = [step["name"] for step in finished["steps"] if re.match(r"\[[^]]*\d/\d\] (?!FROM)", step["name"])]
    return sorted(name.replace(project.name, "NAME") for name in names)


def test_the_same_steps_are_shown(there: Project) -> None:
    first = events_of(there, "app")
    finished = one(first, "build.finished")
    assert shown(there, finished) == sorted(STEPS)
    builder = one(first, "builder.chosen")["builder"]
    exact = {OWN: True, "docker28": True, "containerd": True, "podman": False}[there.engine]
    assert builder["exact"] is exact
    assert {step["exact"] for step in finished["steps"]} == {exact}
    assert finished["size_bytes"] > 100_000_000
    if there.engine == "podman":
        assert any("times" in limit for limit in builder["limits"])
    else:
        assert (builder["backend"], builder["transport"], builder["limits"]) == ("engine", "session", [])

    there.edit(f"two {time.time_ns()}")
    second = one(events_of(there, "app"), "build.finished")
    cached = {step["name"] for step in second["steps"] if step["cached"]}
    assert {name for name in cached if "COPY app.py" in name or "RUN echo checked" in name} == set()
    assert {"[stage-1 2/5] WORKDIR /app", "[assets 2/3] WORKDIR /assets"} <= cached
    causes = {cause["step"]: (cause["kind"], cause["names"]) for cause in second["causes"]}
    assert causes["[stage-1 4/5] COPY app.py ./"] == ("files", ["app.py"])
    assert causes["[stage-1 5/5] RUN echo checked"] == ("parent", ["[stage-1 4/5] COPY app.py ./"])


def test_a_failing_step_has_its_place_and_its_last_words(there: Project) -> None:
    text = APP.format(name=there.name).replace("RUN echo checked", "RUN echo last words >&2; exit 3")
    there.write("app.Dockerfile", text)
    result = there.once("build", "app", "--json")
    assert result.returncode == 1
    failure = one([json.loads(line) for line in result.stdout.splitlines()], "build.finished")["failure"]
    assert (failure["dockerfile"], failure["line"]) == ("app.Dockerfile", 10)
    assert "last words" in failure["output"]
    assert "exit code: 3" in failure["message"] or "exit status 3" in failure["message"]


def test_a_save_is_served(there: Project) -> None:
    """On the engines of their own the app is met in their network, so splitdeck runs there too."""
    live = there.run(prefix=in_network(there.engine) if there.engine != OWN else [])
    live.wait("container.ready")
    version = f"saved {time.time_ns()}"
    there.edit(version)
    ready = live.wait("container.ready", lambda event: event["save_to_ready_ms"] is not None)
    assert ready["build_ms"] > 0
    if not any(version in event.get("text", "") for event in live.events):  # the log may come later
        live.wait("container.log", lambda event: version in event["text"])
    assert live.stop() == 130
