"""Builds on real engines: both transports make the same image, secrets stay secret, nothing overlaps."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.engine import Engine, connect
from tests.engines.engines import ensure, in_network
from tests.integration.conftest import Project

pytestmark = [pytest.mark.docker, pytest.mark.timeout(120)]

DOCKERFILE = 'ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY . /data\nCMD ["sh", "-c", "echo serving; exec sleep 10000"]\n'


@pytest.fixture
def client(engine: Engine) -> Iterator[Any]:
    client = engine.client()
    yield client
    client.close()


def thin(project: Project, dockerfile: str = DOCKERFILE, build: str = "") -> None:
    """Puts the project on a small base, so that a test takes no time but its own."""
    project.write("base.Dockerfile", "FROM busybox:test\n")
    project.write("app.Dockerfile", dockerfile)
    project.write(".dockerignore", "*.Dockerfile\nconfig.toml\nDockerfile.legacy\n.dockerignore\n")
    project.write(
        "config.toml",
        f'[project]\nname = "{project.name}"\n[build]\n{build}\n[base]\ndockerfile = "base.Dockerfile"\n'
        '[app]\ndockerfile = "app.Dockerfile"\n[run]\nnetwork = "none"\n[run.ready]\nlog = "serving"\n',
    )


def built(project: Project, target: str = "app") -> dict[str, Any]:
    result = project.once("build", target, "--json")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    return [event for event in map(json.loads, result.stdout.splitlines()) if event["event"] == "build.finished"][-1]


def content(client: Any, image: str, folder: str = "/data") -> dict[str, tuple[Any, ...]]:
    """What an image holds in a folder: kind, mode, owner, target, whole seconds of the time, content."""
    container = client.create_container(image)["Id"]
    try:
        stream, _ = client.get_archive(container, folder)
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream)), errors="surrogateescape") as tar:
            found = {}
            for member in tar.getmembers():
                file = tar.extractfile(member) if member.isfile() else None
                about = (member.type, oct(member.mode), member.uid, member.gid, member.linkname)
                at = int(member.mtime) if member.isfile() else None
                found[member.name] = (*about, at, file.read() if file else None)
            return found
    finally:
        client.remove_container(container)


def test_both_transports_make_the_same_image(project: Project, client: Any) -> None:
    (project.folder / "deep" / "er").mkdir(parents=True)
    (project.folder / "empty").mkdir(mode=0o700)
    (project.folder / "deep" / "er" / "run.sh").write_text("#!/bin/sh\n")
    (project.folder / "deep" / "er" / "run.sh").chmod(0o700)
    (project.folder / "deep.txt").write_text(str(time.time_ns()))
    (project.folder / "link").symlink_to("deep/er/run.sh")
    (project.folder / "broken").symlink_to("/nowhere")
    (project.folder / "naïve name\n").write_text("odd")
    os.mkfifo(project.folder / "fifo")
    os.utime(project.folder / "app.py", (1_600_000_000, 1_600_000_000))
    seen = {}
    for transport in ("session", "tar"):
        thin(project, build=f'transport = "{transport}"')
        seen[transport] = content(client, built(project)["image_id"])
    del seen["tar"]["data/.splitdeck.dockerfile"]  # a Dockerfile that is left out has no other way to the engine
    assert seen["session"] == seen["tar"]
    assert seen["tar"]["data/deep/er/run.sh"][1:4] == ("0o100755", 0, 0)
    assert seen["tar"]["data/app.py"][5] == 1_600_000_000
    assert {"data/link", "data/empty", "data/naïve name\n"} <= seen["tar"].keys()
    assert "data/fifo" not in seen["tar"]


@pytest.mark.parametrize("where", ["own", "docker28"])
def test_a_name_that_is_no_utf8_is_in_the_image(
    project: Project, client: Any, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    if where != "own":
        monkeypatch.setenv("DOCKER_HOST", ensure([where])[where])
        client = connect().client()
    thin(project)
    Path(os.fsdecode(os.fsencode(project.folder) + b"/not-utf8-\xff")).write_text("odd")
    assert content(client, built(project)["image_id"])["data/not-utf8-\udcff"][-1] == b"odd"


def test_whatever_is_saved_is_in_the_next_image(project: Project, client: Any) -> None:
    """Builds look at nothing but what the watcher told; the image must hold what a look at everything would find."""
    thin(project)
    for number in range(20):
        project.write(f"file{number}.txt", str(number))
    live = project.run()
    live.wait("container.ready")

    def rename() -> None:
        (project.folder / "file2.txt").rename(project.folder / "moved.txt")

    def new_folder() -> None:
        (project.folder / "new" / "folder").mkdir(parents=True)
        (project.folder / "new" / "folder" / "in.txt").write_text("in")

    changes = [
        lambda: project.write("file0.txt", "edited"),
        lambda: (project.folder / "file1.txt").unlink(),
        rename,
        new_folder,
        lambda: (project.folder / "file3.txt").chmod(0o755),
        lambda: (project.folder / "to-file").symlink_to("file4.txt"),
        lambda: (project.folder / "new").rename(project.folder / "newer"),
    ]
    for change in changes:
        change()
        served = live.wait("container.ready", lambda event: event["save_to_ready_ms"] is not None)
        image = [event for event in live.events if event["event"] == "build.finished"][-1]["image_id"]
        assert served["build"] == [event for event in live.events if event["event"] == "build.finished"][-1]["build"]
    held = content(client, image)
    live.stop()
    assert held == content(client, built(project)["image_id"])
    assert held["data/file0.txt"][-1] == b"edited"
    assert held["data/newer/folder/in.txt"][-1] == b"in"
    assert "data/file1.txt" not in held


def test_an_edit_that_keeps_size_and_time_is_in_the_next_image(project: Project, client: Any) -> None:
    thin(project)
    file = project.folder / "data.txt"
    for text in ("first", "other"):
        file.write_text(text)
        os.utime(file, (1_700_000_000, 1_700_000_000))
        assert content(client, built(project)["image_id"])["data/data.txt"][-1] == text.encode()


def test_a_secret_reaches_the_build_and_nothing_else(project: Project, client: Any, tmp_path: Path) -> None:
    secret = f"s3cret-{time.time_ns()}"
    thin(
        project,
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY app.py /\n"
        "RUN --mount=type=secret,id=token sh -c 'cat /run/secrets/token; base64 /run/secrets/token; "
        'wc -c < /run/secrets/token > /length; sh -c "$(cat /run/secrets/token)"; true\'\n',
        build='[build.secrets]\ntoken = { env = "SD_TOKEN" }',
    )
    project.write("app.py", secret[:0] + str(time.time_ns()))
    result = project.once("build", "app", "--json", SD_TOKEN=secret)
    assert result.returncode == 0, result.stdout[-2000:]
    lines = [event["text"] for event in map(json.loads, result.stdout.splitlines()) if event["event"] == "build.log"]
    assert any(line.startswith("***") for line in lines)
    assert secret not in result.stdout + result.stderr
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes(), file
    image = json.loads([line for line in result.stdout.splitlines() if '"build.finished"' in line][-1])["image_id"]
    assert content(client, image, "/length")["length"][-1].strip() == str(len(secret)).encode()
    assert secret not in json.dumps([client.inspect_image(image), client.history(image)])


def test_a_secret_that_is_not_set_is_said(project: Project) -> None:
    dockerfile = "FROM busybox:test\nRUN --mount=type=secret,id=token true\n"
    thin(project, dockerfile, build='[build.secrets]\ntoken = { env = "SD_NOT_SET" }')
    result = project.once("build", "app")
    assert result.returncode == 1
    assert "build secret token: the variable SD_NOT_SET is not set" in result.stdout + result.stderr


@pytest.mark.parametrize("transport", ["session", "tar"])
def test_a_superseded_build_ends_with_its_process_and_what_it_finished_stays_cached(
    project: Project, transport: str
) -> None:
    seconds = str(200_000 + time.time_ns() % 99_999)
    thin(
        project,
        f"ARG BASE_IMAGE\nFROM ${{BASE_IMAGE}}\nRUN echo {seconds} > /early\nCOPY app.py /\n"
        f"RUN grep -q slow /app.py && exec sleep {seconds} || true\n"
        'CMD ["sh", "-c", "echo serving; exec sleep 10000"]\n',
        build=f'transport = "{transport}"',
    )
    project.write("app.py", "slow")
    live = project.run()
    live.wait("step.updated", lambda event: "exec sleep" in event["step"]["name"])
    deadline = time.monotonic() + 20
    while not running(seconds):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    project.write("app.py", f"fast {seconds}")
    first = live.wait("build.finished", lambda event: event["target"] == "app")
    assert first["status"] == "cancelled"
    assert not running(seconds)
    started = live.wait("build.started")
    assert started["at"] >= first["at"]
    second = live.wait("build.finished")
    assert second["status"] == "ok"
    assert [step["cached"] for step in second["steps"] if "RUN echo" in step["name"]] == [True]
    live.wait("container.ready")


def running(seconds: str) -> bool:
    wanted = b"sleep\0" + seconds.encode() + b"\0"
    for place in Path("/proc").iterdir():
        try:
            if place.name.isdecimal() and (place / "cmdline").read_bytes() == wanted:
                return True
        except OSError:
            continue
    return False


_REGISTRY = """
import socket, sys
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
while True:
    listening.accept()[0].close()
    print("asked", flush=True)
"""


@pytest.mark.parametrize(("transport", "asked"), [("session", False), ("tar", True)])
def test_a_base_that_is_here_is_not_asked_for_at_its_registry(
    project: Project, monkeypatch: pytest.MonkeyPatch, transport: str, asked: bool
) -> None:
    """The containerd store asks at every build unless it is told not to: with a slow registry that takes seconds."""
    monkeypatch.setenv("DOCKER_HOST", ensure(["containerd"])["containerd"])
    thin(project, build=f'transport = "{transport}"')
    text = (project.folder / "config.toml").read_text()
    project.write("config.toml", text.replace("[base]\n", f'[base]\nimage = "127.0.0.1:{project.port}/base"\n'))
    command = [*in_network("containerd"), sys.executable, "-c", _REGISTRY, str(project.port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as registry:
        try:
            assert registry.stdout is not None
            assert registry.stdout.readline() == "listening\n"
            built(project, "base")
            built(project)
        finally:
            registry.kill()
        assert ("asked" in registry.stdout.read()) is asked
