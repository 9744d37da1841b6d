"""The main job on a real engine: save, build, swap, served; and every failure leaves the good container running."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from console.engine import Engine
from console.model import LABEL_PROJECT
from tests.integration.conftest import APP, Live, Project

pytestmark = pytest.mark.docker


@pytest.fixture
def live(project: Project) -> Live:
    """A running session whose first build serves."""
    live = project.run()
    live.wait("container.ready")
    assert live.served() == "one"
    return live


def test_from_nothing_to_served_and_from_save_to_served(project: Project) -> None:
    live = project.run()
    first = live.wait("container.ready")
    assert [event["target"] for event in live.events if event["event"] == "build.started"] == ["base", "app"]
    assert first["save_to_ready_ms"] is None
    assert live.served() == "one"

    project.edit("two")
    ready = live.wait("container.ready")
    assert live.served() == "two"
    phases = ("detect_ms", "wait_ms", "context_ms", "build_ms", "swap_ms", "ready_ms")
    assert ready["save_to_ready_ms"] == pytest.approx(sum(ready[phase] for phase in phases), abs=1)
    changed = next(event for event in live.events if event["event"] == "change.detected")
    assert changed["paths"] == ["app.py"]
    finished = [event for event in live.events if event["event"] == "build.finished"][-1]
    assert (finished["status"], finished["track"]) == ("ok", "split")
    assert any(step["name"].endswith("COPY app.py /app/") and not step["cached"] for step in finished["steps"])
    assert "serving two" in [event["text"] for event in live.events if event["event"] == "container.log"]
    assert live.stop() == 130
    assert live.served() == "two", "quitting leaves the app running"


def test_a_second_session_takes_over_the_container_and_the_history(project: Project, engine: Engine) -> None:
    project.run().wait("container.ready")
    assert project.once("build", "legacy").returncode == 0
    project.close()
    second = project.run()
    assert second.wait("container.ready")["build"] is None
    assert "container.started" in second.told()
    second.wait("build.finished", lambda event: event["target"] == "app")
    second.wait("container.ready", lambda event: event["build"] is not None)
    assert [event["build"] for event in second.events if event["event"] == "container.started"] == [None]
    comparison = next(event for event in second.events if event["event"] == "comparison.updated")["comparison"]
    assert (comparison["legacy"], comparison["split"]) != (None, None)
    label = f"{LABEL_PROJECT}={project.name}"
    rows: list[dict[str, Any]] = engine.client().containers(all=True, filters={"label": label})
    assert [row["Names"] for row in rows] == [[f"/{project.name}"]]


def test_containers_that_the_user_runs_from_the_app_image_are_left_alone(project: Project, engine: Engine) -> None:
    """They inherit the image's labels, but they are not ours."""
    project.run().wait("container.ready")
    client: Any = engine.client()
    mine = client.create_container(project.name, name=f"{project.name}-mine")["Id"]
    client.start(mine)
    project.close()
    live = project.run()
    live.wait("container.ready")
    project.edit("two")
    live.wait("container.ready", lambda event: event["save_to_ready_ms"] is not None)
    live.stop()
    assert client.inspect_container(mine)["State"]["Running"]
    client.close()


def test_a_broken_dockerfile_is_shown_with_its_line_and_the_container_stays(project: Project, live: Live) -> None:
    project.write(
        "app.Dockerfile", "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY app.py /app/\nRUN echo first; \\\n  exit 7\n"
    )
    finished = live.wait("build.finished")
    failure = finished["failure"]
    assert finished["status"] == "failed"
    assert failure["line"] == 4
    assert failure["source"] == ["RUN echo first; \\", "  exit 7"]
    assert failure["output"] == ["first"]
    error = live.wait("error")
    assert "app.Dockerfile:4" in error["message"]
    assert "exit code: 7" in error["message"]
    assert "stays as it is" in error["hint"]
    assert live.served() == "one"


def test_a_dockerfile_that_is_none_is_refused_with_its_line(project: Project, live: Live) -> None:
    project.write("app.Dockerfile", "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPPY app.py /app/\n")
    error = live.wait("error")
    assert re.search(r"app\.Dockerfile.*3|line 3", error["message"])
    assert live.served() == "one"


def test_a_syntax_error_in_the_app_is_rolled_back(project: Project, live: Live) -> None:
    project.write("app.py", "def broken(:\n")
    back = live.wait("container.rolled_back")
    assert any("SyntaxError" in line for line in back["output"])
    error = live.wait("error")
    assert "ended at once" in error["message"]
    assert "last good container serves again" in error["hint"]
    assert live.served() == "one"
    project.edit("three")
    live.wait("container.ready", lambda event: event["save_to_ready_ms"] is not None)
    assert live.served() == "three"


def test_an_app_that_crashes_soon_after_it_answered_is_rolled_back(project: Project, live: Live) -> None:
    project.write(
        "app.py",
        APP.replace("import http", "import threading, os, http").replace(
            "signal.signal(", "threading.Timer(1, os._exit, [7]).start()\nsignal.signal(", 1
        ),
    )
    live.wait("container.ready", lambda event: event["save_to_ready_ms"] is not None)
    live.wait("container.rolled_back")
    assert live.served() == "one"
    project.edit("two")
    live.wait("container.ready", lambda event: event["save_to_ready_ms"] is not None)
    assert live.served() == "two"


def test_a_newer_save_cancels_the_running_build(project: Project, live: Live) -> None:
    slow = (
        'ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY app.py /app/\nRUN sleep 7.25\nCMD ["python3", "-S", "/app/app.py"]\n'
    )
    project.write("app.Dockerfile", slow)
    live.wait(
        "step.updated", lambda event: "sleep 7.25" in event["step"]["name"] and event["step"]["status"] == "running"
    )
    project.write("app.Dockerfile", slow.replace("sleep 7.25", "true"))
    cancelled = live.wait("build.finished")
    assert cancelled["status"] == "cancelled"
    assert not _processes_with("sleep 7.25"), "the superseded step's process is gone"
    project.edit("two")
    batch = live.wait("change.detected", lambda event: "app.py" in event["paths"])["batch"]
    live.wait("container.ready", lambda event: event["batch"] == batch)
    assert live.served() == "two"


def _processes_with(text: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            if text in command and "pytest" not in command:
                found.append(command)
    return found


def test_a_taken_port_is_told_and_served_once_it_is_free(project: Project) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", project.port))
        other.listen()
        live = project.run()
        error = live.wait("error")
        assert f":{project.port}" in error["message"]
        assert "already taken" in error["message"]
        assert "ss -ltnp" in error["hint"]
    project.edit("two")
    live.wait("container.ready")
    assert live.served() == "two"


def test_files_with_strange_names_are_built_and_told(project: Project, live: Live) -> None:
    project.write(
        "app.Dockerfile", 'ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY . /app\nCMD ["python3", "-S", "/app/app.py"]\n'
    )
    names = ["ü ö.py", "-rf.py", "new\nline.py", "[markup].py", "x" * 200 + ".py", os.fsdecode(b"not-utf8-\xff.py")]
    for name in names:
        project.write(name, "strange = True\n")
    project.edit("two")
    while live.served() != "two":
        live.wait("container.ready")
    assert "error" not in live.told()


def test_a_file_that_cannot_be_read_is_named(project: Project) -> None:
    live = project.run(unprivileged=True)
    live.wait("container.ready")
    project.write("secret.py", "")
    (project.folder / "secret.py").chmod(0)
    project.write(
        "app.Dockerfile", 'ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY . /app\nCMD ["python3", "-S", "/app/app.py"]\n'
    )
    error = live.wait("error")
    assert "secret.py" in error["message"]
    assert ".dockerignore" in error["hint"]
    assert live.served() == "one"


def test_a_container_that_dies_later_is_reported(project: Project, live: Live, engine: Engine) -> None:
    container = next(event for event in live.events if event["event"] == "container.ready")["container"]
    engine.client().kill(container)
    assert live.wait("container.exited")["exit_code"] == 137
    project.edit("two")
    live.wait("container.ready")
    assert live.served() == "two"


def test_a_file_that_no_image_reads_costs_nothing(project: Project, live: Live) -> None:
    project.write("notes.md", "nothing")
    assert live.wait("plan.made")["hold"] == "hold"
    project.write("base.Dockerfile", (project.folder / "base.Dockerfile").read_text() + "RUN true\n")
    assert live.wait("base.stale")["files"] == ["base.Dockerfile"]


def test_once_ends_with_what_became_of_the_first_build(project: Project) -> None:
    assert project.once("run", "--once").returncode == 0
    project.write("app.py", APP + "\nraise SystemExit(5)\n")
    project.write("app.py", "raise SystemExit(5)\n")
    failed = project.once("run", "--once")
    assert failed.returncode == 1
    assert "exit code 5" in failed.stderr


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGHUP, 130)])
def test_signals_end_it_at_once_and_leave_the_app(project: Project, live: Live, sent: int, code: int) -> None:
    began = time.monotonic()
    assert live.stop(sent) == code
    assert time.monotonic() - began < 5
    assert live.served() == "one"


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_in_the_middle_of_a_swap_leaves_the_app_running(project: Project, sent: int) -> None:
    """The old container takes two seconds to stop, and the signal comes meanwhile."""
    slow = APP.replace("sys.exit(0)", "(__import__('time').sleep(2), sys.exit(0))")
    project.write("app.py", slow)
    project.configure(run="stop_grace_s = 9")
    live = project.run()
    live.wait("container.ready")
    project.write("app.py", slow.replace('"one"', '"two"'))
    live.wait("build.finished")
    time.sleep(0.4)
    assert live.stop(sent) == 130
    assert live.served() in {"one", "two"}
    again = project.run()
    again.wait("container.ready", lambda event: event["build"] is not None)
    assert again.served() == "two"


def test_a_restart_by_the_user_is_no_crash(project: Project, live: Live, engine: Engine) -> None:
    container = next(event for event in live.events if event["event"] == "container.ready")["container"]
    engine.client().restart(container, timeout=2)
    time.sleep(2.5)  # longer than the time in which an end may turn out to be a restart
    assert live.served() == "one"
    project.edit("two")
    live.wait("container.ready")
    assert "container.exited" not in live.told()


def test_a_base_that_somebody_removed_is_built_again(project: Project, live: Live, engine: Engine) -> None:
    engine.client().remove_image(f"{project.name}-base:latest", force=True)
    project.edit("two")
    ready = live.wait("container.ready", lambda event: event["build"] is not None)
    assert live.served() == "two"
    assert ready["batch"] == 1
