"""The sample as its users meet it: the repository's own config.toml, the real images, the real model.

The base takes minutes to build where nothing is cached, hence the long deadline. Name and port differ from the
demo's, so that a running one is left alone.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from console.engine import Engine, connect
from tests.integration import conftest
from tests.integration.conftest import Project, free_port

ROOT = Path(__file__).parents[2]
NAME = "codesearch-test"

pytestmark = [pytest.mark.docker, pytest.mark.sample, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module", autouse=True)
def _patient() -> Iterator[None]:
    before, conftest.DEADLINE_S = conftest.DEADLINE_S, 1500.0
    yield
    conftest.DEADLINE_S = before


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A copy of the sample under another name; it shares the demo's base image."""
    folder, state = tmp_path_factory.mktemp("sample"), tmp_path_factory.mktemp("state")
    project = Project(folder, NAME, free_port(), state)
    for path in folder.iterdir():
        path.unlink()
    shutil.copytree(ROOT / "sample", folder / "sample", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    shutil.copytree(ROOT / "docker", folder / "docker")
    shutil.copy(ROOT / "Dockerfile.legacy", folder)
    shutil.copy(ROOT / ".dockerignore", folder)
    config = (ROOT / "config.toml").read_text()
    config = config.replace('name = "codesearch"', f'name = "{NAME}"').replace(":8000:8000", f":{project.port}:8000")
    project.write("config.toml", config.replace("[base]", '[base]\nimage = "codesearch-base"', 1))
    yield project
    project.close()
    client: Any = connect().client()
    for row in client.containers(all=True, filters={"label": f"io.splitdeck.project={NAME}"}):
        client.remove_container(row["Id"], force=True)
    client.close()


def health(project: Project) -> dict[str, Any]:
    with urlopen(f"http://127.0.0.1:{project.port}/health", timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def in_image(image: str, *command: str) -> subprocess.CompletedProcess[str]:
    docker = ["docker", "run", "--rm", "--entrypoint", command[0], image, *command[1:]]
    return subprocess.run(docker, capture_output=True, text=True, check=False, timeout=600)


def test_an_edit_of_the_sample_is_served(sample: Project) -> None:
    live = sample.run()
    live.wait("container.ready")
    assert health(sample)["status"] == "ok"
    module = sample.folder / "sample" / "codesearch" / "__init__.py"
    module.write_text(module.read_text().replace("Find code by what it means.", "Edited."))
    ready = live.wait("container.ready")
    assert health(sample)["banner"] == "Edited."
    assert ready["save_to_ready_ms"] > 0
    live.stop()


def test_the_sample_s_own_tests_pass_in_its_image(sample: Project) -> None:
    assert sample.once("build", "app").returncode == 0
    result = in_image(NAME, "python", "-m", "pytest", "-q", "/app/tests")
    assert result.returncode == 0, result.stdout + result.stderr


def test_no_gpu_packages_are_in_the_base(engine: Engine) -> None:
    packages = in_image("codesearch-base", "python", "-m", "pip", "list").stdout.lower()
    assert "torch" in packages
    assert "nvidia" not in packages
    assert "triton" not in packages


def test_the_legacy_image_holds_the_same_app_and_costs_more_after_a_code_change(sample: Project) -> None:
    """The comparison from real builds: not that it is fast, but that it is complete and says which track won."""
    for target in ("app", "legacy"):
        assert sample.once("build", target).returncode == 0
    module = sample.folder / "sample" / "codesearch" / "__init__.py"
    module.write_text(module.read_text() + f"\n# {time.time_ns()}, unlike what an earlier run left in the cache\n")
    for target in ("app", "legacy"):
        result = sample.once("build", target, "--json")
        assert result.returncode == 0, result.stderr
    events = [json.loads(line) for line in result.stdout.splitlines()]
    comparison = [event["comparison"] for event in events if event["event"] == "comparison.updated"][-1]
    assert comparison["scenario"] == "code-change"
    rows = {row["stage"]: row for row in comparison["stages"]}
    assert rows["Python deps"]["legacy_ms"] > 1000
    assert rows["Python deps"]["in_base"]
    assert comparison["legacy"]["median_ms"] > 10 * comparison["split"]["median_ms"]
    total = sum(row["legacy_ms"] or 0 for row in comparison["stages"])
    assert total == pytest.approx(comparison["legacy"]["median_ms"], rel=0.001)
    result = in_image(f"{NAME}-legacy", "python", "-m", "pytest", "-q", "/app/tests")
    assert result.returncode == 0, result.stdout + result.stderr
