"""The compose files as they are, brought up on a real engine: plain, for development, for production.

The sample's base takes minutes, so a light one stands in for it, and a few lines for the app; all else is the
repository's: docker/app.Dockerfile and the compose files.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.engines.engines import docker_config, ensure
from tests.engines.registry import started_registry
from tests.integration.conftest import DEADLINE_S, ROOT_IMAGE, free_port

pytestmark = [pytest.mark.docker, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]
BASE = f"FROM {ROOT_IMAGE}\nRUN useradd --create-home app && mkdir /app /workspace\nWORKDIR /app\n"
APP = """
import os, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from codesearch import BANNER


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
        self.wfile.write(BANNER.encode())


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
ThreadingHTTPServer(("", int(os.environ["CODESEARCH_PORT"])), Handler).serve_forever()
"""
DEV, PROD = ("docker-compose.yml", "docker-compose.dev.yml"), ("docker-compose.yml", "docker-compose.prod.yml")
Finished = subprocess.CompletedProcess[str]


@cache
def plugins() -> dict[str, str]:
    """What gives the Docker CLI buildx and Compose."""
    return {"DOCKER_CONFIG": str(docker_config())}


def docker(*arguments: str, text: str | None = None) -> str:
    environment = {**os.environ, **plugins()}
    command = ["docker", *arguments]
    return subprocess.run(command, input=text, env=environment, capture_output=True, text=True, check=True).stdout


def inspect(kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(docker(kind, "inspect", name))[0]
    return found


def soon(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE_S:g} s"
        time.sleep(0.05)


class Stack:
    """A checkout with a stand-in for the sample, and Compose in it."""

    def __init__(self, folder: Path, base: str) -> None:
        self.folder = folder
        self.name = f"sdcompose-{os.getpid()}-{time.time_ns() % 10**9}"
        self.container = f"{self.name}-app-1"
        self.port = free_port()
        self.variables = {"BASE_IMAGE": base, "COMPOSE_PROJECT_NAME": self.name, "PORT": str(self.port)}
        for name in ("docker-compose.yml", *DEV[1:], *PROD[1:], ".dockerignore", "docker/app.Dockerfile"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        self.module = folder / "sample" / "codesearch" / "__init__.py"
        self.module.parent.mkdir(parents=True)
        self.module.with_name("__main__.py").write_text(APP)
        self.edit("one")
        (folder / "sample" / "tests").mkdir()
        (folder / "sample" / "tests" / "test_nothing.py").touch()

    def edit(self, banner: str) -> None:
        self.module.write_text(f'BANNER = "{banner}"\n')

    def command(self, files: tuple[str, ...], *arguments: str) -> list[str]:
        return ["docker", "compose", *(word for file in files for word in ("--file", file)), *arguments]

    def environment(self) -> dict[str, str]:
        return {**os.environ, **plugins(), **self.variables}

    def compose(self, files: tuple[str, ...], *arguments: str) -> Finished:
        return subprocess.run(
            self.command(files, *arguments),
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE_S,
        )

    def served(self) -> str:
        """What the app says on its health check; nothing while it does not answer."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def left(self) -> str:
        """Containers and networks that Compose made for this project."""
        ours = ("--filter", f"label=com.docker.compose.project={self.name}", "--quiet")
        return docker("ps", "--all", *ours) + docker("network", "ls", *ours)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Development as it is begun: Compose builds, starts and then watches, until it is interrupted."""
        log = self.folder / "watch.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                self.command(DEV, "--progress", "plain", "watch"),
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            soon(lambda: "Watch enabled" in log.read_text() or process.poll() is not None, "watching")
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=20)


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """A light base image, to which the sample's Dockerfile adds the code."""
    ensure(["docker28"])  # whose command line brings Compose
    name = f"sdcompose-{os.getpid()}-base"
    docker("build", "--quiet", "--tag", name, "-", text=BASE)
    yield name
    docker("image", "rm", "--force", name)


@pytest.fixture
def stack(tmp_path: Path, base: str) -> Iterator[Stack]:
    """A project of its own, which is taken down again, wholly."""
    folder = tmp_path / "a checkout"
    folder.mkdir()
    made = Stack(folder, base)
    yield made
    made.compose(DEV, "down", "--volumes", "--timeout", "2")
    images = docker("image", "ls", "--quiet", "--filter", f"label=io.splitdeck.project={made.name}").split()
    if images:
        docker("image", "rm", "--force", *set(images))
    assert made.left() == ""


def test_plain_is_built_on_the_base_and_served_on_this_machine_only(stack: Stack, base: str) -> None:
    result = stack.compose(DEV[:1], "up", "--build", "--detach", "--wait")
    assert result.returncode == 0, result.stderr
    assert stack.served() == "one"
    container, image = inspect("container", stack.container), inspect("image", f"{stack.name}:compose")
    assert container["State"]["Health"]["Status"] == "healthy"
    assert container["NetworkSettings"]["Ports"] == {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(stack.port)}]}
    layers = inspect("image", base)["RootFS"]["Layers"]
    assert image["RootFS"]["Layers"][: len(layers)] == layers
    assert image["Config"]["Labels"]["io.splitdeck.role"] == "app"


def test_an_app_that_does_not_answer_is_not_healthy(stack: Stack) -> None:
    (stack.folder / "docker-compose.yml").write_text(
        (ROOT / "docker-compose.yml").read_text().replace("30s", "0s").replace(" 5s", " 1s")
    )
    stack.module.with_name("__main__.py").write_text(APP.replace('"/health"', '"/elsewhere"'))
    result = stack.compose(DEV[:1], "up", "--build", "--detach", "--wait")
    assert result.returncode == 1
    assert "unhealthy" in result.stderr


def test_dev_shows_an_edit_without_a_build(stack: Stack) -> None:
    with stack.watched():
        soon(lambda: stack.served() == "one", "the app as it was")
        before = inspect("container", stack.container)
        stack.edit("two")
        soon(lambda: stack.served() == "two", "the edit")
        stack.module.write_text("BANNER = no such name\n")
        soon(lambda: stack.served() == "", "an edit that cannot work")
        stack.edit("three")
        soon(lambda: stack.served() == "three", "its repair")
        after = inspect("container", stack.container)
        assert (after["Id"], after["Image"]) == (before["Id"], before["Image"])

        with (stack.folder / "docker" / "app.Dockerfile").open("a") as file:
            file.write("ENV ADDED=yes\n")
        printed = ("exec", "-T", "app", "printenv", "ADDED")
        soon(lambda: stack.compose(DEV, *printed).stdout == "yes\n", "the Dockerfile's edit")
        soon(lambda: stack.served() == "three", "the app of the new image")


def test_in_dev_the_app_cannot_change_what_is_being_edited(stack: Stack) -> None:
    assert stack.compose(DEV, "up", "--build", "--detach", "--wait").returncode == 0
    for place in ("/app/codesearch", "/app/tests", "/workspace"):
        result = stack.compose(DEV, "exec", "--user", "root", "-T", "app", "touch", f"{place}/new")
        assert "Read-only file system" in result.stderr, place


class Released:
    """A base and an app in a registry, and what production is told of them."""

    def __init__(self, stack: Stack, base: str, registry: str) -> None:
        self.base, self.app = f"{registry}/{stack.name}-base:2026.11.23", f"{registry}/{stack.name}:1.2.3"
        docker("tag", base, self.base)
        docker("push", "--quiet", self.base)
        digests = inspect("image", self.base)["RepoDigests"]
        self.digest = next(found.partition("@")[2] for found in digests if found.startswith(registry))
        self.pin = {"APP_IMAGE": self.app, "BASE_IMAGE": self.base, "BASE_DIGEST": self.digest}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One for all, so that the base's layers travel once."""
    with started_registry(tmp_path_factory.mktemp("registry")) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture
def released(stack: Stack, base: str, registry: str) -> Iterator[Released]:
    made = Released(stack, base, registry)
    yield made
    docker("image", "rm", "--force", made.base)
    repository = made.base.rpartition(":")[0]
    if docker("image", "ls", "--quiet", repository):  # the pinned base keeps its digest where its tag has moved
        docker("image", "rm", f"{repository}@{made.digest}")


@pytest.mark.parametrize("missing", ["APP_IMAGE", "BASE_IMAGE", "BASE_DIGEST"])
def test_prod_does_not_start_without_the_pin(stack: Stack, missing: str) -> None:
    pin = {"APP_IMAGE": "app:1", "BASE_IMAGE": "base:2026.11.23", "BASE_DIGEST": "sha256:" + "0" * 64}
    stack.variables |= pin | {missing: ""}
    result = stack.compose(PROD, "up", "--detach")
    assert result.returncode != 0
    assert f"{missing} is missing a value: the " in result.stderr
    assert stack.left() == ""


def test_prod_pulls_the_release_and_holds_it_tight(stack: Stack, released: Released) -> None:
    stack.variables |= released.pin
    for step in ("build", "push"):
        result = stack.compose(PROD, step)
        assert result.returncode == 0, result.stderr
    docker("image", "rm", released.app)
    stack.edit("not released")
    result = stack.compose(PROD, "up", "--no-build", "--detach", "--wait")
    assert result.returncode == 0, result.stderr
    assert stack.served() == "one"

    made = inspect("container", stack.container)["HostConfig"]
    assert made["ReadonlyRootfs"]
    assert made["CapDrop"] == ["ALL"]
    assert made["SecurityOpt"] == ["no-new-privileges:true"]
    assert (made["NanoCpus"], made["Memory"], made["PidsLimit"]) == (10**9, 2 * 2**30, 256)
    for place, works in (("/app/new", False), ("/tmp/new", True)):
        assert (stack.compose(PROD, "exec", "-T", "app", "touch", place).returncode == 0) is works, place

    kill_all = "import os, signal; os.kill(-1, signal.SIGKILL)"
    stack.compose(PROD, "exec", "-T", "app", "python", "-c", kill_all)
    soon(lambda: inspect("container", stack.container)["RestartCount"] == 1, "a restart after a crash")
    soon(lambda: stack.served() == "one", "the app after a crash")


def test_a_hotfix_stands_on_the_pinned_base_though_its_tag_has_moved(stack: Stack, released: Released) -> None:
    pinned = inspect("image", released.base)["RootFS"]["Layers"]
    docker("build", "--quiet", "--tag", released.base, "-", text=f"{BASE}RUN echo another > /another\n")
    docker("push", "--quiet", released.base)
    stack.variables |= released.pin
    result = stack.compose(PROD, "build")
    assert result.returncode == 0, result.stderr
    image = inspect("image", released.app)
    assert len(image["RootFS"]["Layers"]) == len(pinned) + 2
    assert image["RootFS"]["Layers"][: len(pinned)] == pinned
    labels = image["Config"]["Labels"]
    assert labels["org.opencontainers.image.base.name"] == released.base
    assert labels["org.opencontainers.image.base.digest"] == released.digest


def test_a_release_that_is_not_in_the_registry_is_not_built_in_its_place(stack: Stack, released: Released) -> None:
    stack.variables |= released.pin
    result = stack.compose(PROD, "up", "--no-build", "--detach", "--wait")
    assert result.returncode != 0
    assert "manifest unknown" in result.stderr
    assert docker("ps", "--all", "--quiet", "--filter", f"name={stack.name}") == ""
