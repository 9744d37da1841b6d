"""The whole loop and whole builds: a one-file app against `docker restart`, the sample, both tracks of the sample."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from console.model import LABEL_PROJECT
from tests.perf.measure import ROOT, Console, Row, app_source, free_port, project, served, table


def bench_one_file(rounds: int) -> str:
    name, port, floor_port = f"bench-{os.getpid()}", free_port(), free_port()
    files = {
        "app.py": app_source("0"),
        "base.Dockerfile": "FROM python:3.11-slim-bookworm\n",
        "app.Dockerfile": 'ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY app.py /app.py\nCMD ["python3", "-S", "/app.py"]\n',
        "config.toml": (
            f'[project]\nname = "{name}"\n[base]\ndockerfile = "base.Dockerfile"\n'
            f'[app]\ndockerfile = "app.Dockerfile"\n[run]\nports = ["127.0.0.1:{port}:8000"]\n[run.ready]\nhttp = "/"\n'
        ),
    }
    whole, own, floor = Row("splitdeck, save → served"), Row("splitdeck, its own save-to-ready"), Row("docker restart")
    with project(name, files) as (folder, state), tempfile.TemporaryDirectory() as mounted:
        source = Path(mounted, "app.py")
        source.write_text(app_source("0"))
        console = Console(folder, state)
        console.wait("container.ready")
        command = ["docker", "run", "--detach", "--init", "--label", f"{LABEL_PROJECT}={name}"]
        command += ["--publish", f"127.0.0.1:{floor_port}:8000", "--volume", f"{source}:/app.py:ro"]
        command += [f"{name}-base:latest", "python3", "-S", "/app.py"]
        container = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        served(floor_port, "0")
        for turn in range(1, rounds + 2):
            time.sleep(0.5)
            began = time.monotonic()
            (folder / "app.py").write_text(app_source(str(turn)))
            ready = console.wait("container.ready", lambda event: event["save_to_ready_ms"] is not None)
            served(port, str(turn))
            ours = (time.monotonic() - began) * 1000
            time.sleep(0.5)
            began = time.monotonic()
            source.write_text(app_source(str(turn)))
            subprocess.run(["docker", "restart", "--time", "2", container], capture_output=True, check=True)
            served(floor_port, str(turn))
            theirs = (time.monotonic() - began) * 1000
            if turn > 1:  # the first of each warms caches
                whole.samples_ms.append(ours)
                own.samples_ms.append(ready["save_to_ready_ms"])
                floor.samples_ms.append(theirs)
        console.stop()
        subprocess.run(["docker", "rm", "--force", container], capture_output=True, check=True)
    note = (
        "A one-file HTTP app on a published port. splitdeck notices the save, builds an image and swaps the container; "
        "`docker restart` restarts a container that has the file bind-mounted, without noticing anything by itself."
    )
    return table("One-file app", note, [floor, whole, own], floor)


def bench_sample(rounds: int) -> str:
    port = free_port()
    name = f"bench-sample-{os.getpid()}"
    row, own = Row("save → served"), Row("its own save-to-ready")
    with project(name, {}) as (folder, state):
        copy_sample(folder, name, port)
        console = Console(folder, state)
        console.wait("container.ready")
        module = folder / "sample" / "codesearch" / "__init__.py"
        text = module.read_text()
        for turn in range(1, rounds + 2):
            time.sleep(1)
            began = time.monotonic()
            module.write_text(with_banner(text, f"bench turn {turn}."))
            ready = console.wait("container.ready", lambda event: event["save_to_ready_ms"] is not None)
            served(port, f"bench turn {turn}.", "/health")
            if turn > 1:
                row.samples_ms.append((time.monotonic() - began) * 1000)
                own.samples_ms.append(ready["save_to_ready_ms"])
        console.stop()
    note = "An edit of the sample's code until `/health` of the new container shows it. The plan asked for 30–60 s."
    return table("Sample: save to served", note, [row, own])


COMPARE = ("compare", "--scenario", "cold", "--scenario", "code-change")
PLAN = """What the plan estimated, before anything was built, for another project on another machine:

| stage | single image (estimate) | with the split (estimate) |
| --- | --: | --: |
| System packages | 30 s | 0 s (in base) |
| Python deps | 4 min | 0 s (in base) |
| Code copy | 10 s | 10 s |
| Other | 30 s | 20 s |
| **Total** | **5–7 min** | **30–60 s** |
"""


def bench_compare(rounds: int) -> str:
    """Both tracks of the sample, by the command that users have, in this repository; the plan's table beside it."""
    with tempfile.TemporaryDirectory() as state:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "SPLITDECK_STATE_DIR": state}

        def splitdeck(*arguments: str) -> str:
            command = [sys.executable, "-m", "console", *arguments]
            done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            return done.stdout

        splitdeck("build", "base")
        return f"{splitdeck(*COMPARE, '--runs', str(rounds))}\n{PLAN}"


def copy_sample(folder: Path, name: str, port: int) -> None:
    """The sample under another name and port, so that a running demo is left alone."""
    shutil.copytree(ROOT / "sample", folder / "sample", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    shutil.copytree(ROOT / "docker", folder / "docker")
    for path in ("Dockerfile.legacy", ".dockerignore"):
        shutil.copy(ROOT / path, folder / path)
    (folder / "config.toml").write_text(
        f'[project]\nname = "{name}"\n[base]\nimage = "codesearch-base"\ndockerfile = "docker/base.Dockerfile"\n'
        '[app]\ndockerfile = "docker/app.Dockerfile"\n[legacy]\ndockerfile = "Dockerfile.legacy"\n'
        f'[run]\nports = ["127.0.0.1:{port}:8000"]\n[run.ready]\nhttp = "/health"\n[watch]\npaths = ["sample"]\n'
    )


def with_banner(text: str, banner: str) -> str:
    lines = [f'BANNER = "{banner}"' if line.startswith("BANNER") else line for line in text.splitlines()]
    return "\n".join(lines) + "\n"
