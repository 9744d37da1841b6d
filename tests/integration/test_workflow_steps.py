"""The workflows' own steps, run one after the other as a runner does, on a small project and a registry on loopback."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from console.engine import Engine, connect
from console.model import LABEL_PROJECT
from tests.engines.registry import started_registry
from tests.integration.conftest import ROOT_IMAGE, Project

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
SITE = "/usr/local/lib/python3.11/site-packages"
MANIFESTS = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
RUNNERS_OWN = {"Install", "Log in"}
"""Steps that set up the runner itself: the command is here, and this registry asks for no password."""


def read(*parts: str) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT.joinpath(".github", *parts))
    return loaded


class Registry:
    """What is in the registry."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.host = f"127.0.0.1:{port}"

    def tags(self, repository: str) -> set[str]:
        return set(json.loads(self._get(f"/v2/{repository}/tags/list")[1]).get("tags") or ())

    def digest(self, repository: str, tag: str) -> str:
        return self._get(f"/v2/{repository}/manifests/{tag}")[0]

    def _get(self, path: str) -> tuple[str, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", path, headers={"Accept": MANIFESTS})
            answer = connection.getresponse()
            return answer.getheader("Docker-Content-Digest", ""), answer.read()
        finally:
            connection.close()


class Runner:
    """A fresh machine for one job: no image and no history of the project, only its source.

    Args:
        project: The project's folder and name.
        registry: In place of GitHub's.
        folder: For the runner's own files; an empty one.
    """

    def __init__(self, project: Project, registry: Registry, folder: Path) -> None:
        self._project, self._registry, self._folder = project, registry, folder
        self.outputs: dict[str, dict[str, str]] = {}
        """Step's id → name → value."""
        self.said = ""
        forget_images(project.name)
        self._files = {name: folder / name for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STEP_SUMMARY")}
        for path in self._files.values():
            path.touch()
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "SPLITDECK_STATE_DIR": str(folder / "state"),
            "GITHUB_REPOSITORY": "Us/App",
            "GITHUB_REF_NAME": "v1.2.3",
            **{name: str(path) for name, path in self._files.items()},
        }

    @property
    def summary(self) -> str:
        return self._files["GITHUB_STEP_SUMMARY"].read_text()

    def run(self, workflow: str, job: str, **expressions: str) -> str:
        """Runs the steps of a job; gives the name of the one that failed, or nothing.

        Args:
            workflow: Its file.
            job: Of that workflow.
            expressions: What the words `inputs.…` stand for.
        """
        for step in self._steps(read("workflows", workflow)["jobs"][job]["steps"]):
            environment = {name: self._value(str(text), expressions) for name, text in step.get("env", {}).items()}
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-euo", "pipefail", "-c", step["run"]],
                cwd=self._project.folder,
                env={**self._environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            self.said += f"## {step['name']}\n{done.stdout}"
            self._take(step.get("id", ""))
            if done.returncode:
                return str(step["name"])
        return ""

    def _steps(self, listed: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for step in listed:
            if "run" in step:
                yield step
            elif step["uses"].startswith("./"):
                action = read(*Path(step["uses"]).parts[1:], "action.yml")
                yield from (one for one in action["runs"]["steps"] if one["name"] not in RUNNERS_OWN)

    def _value(self, text: str, expressions: dict[str, str]) -> str:
        def put(found: re.Match[str]) -> str:
            if output := re.fullmatch(r"steps\.([\w-]+)\.outputs\.([\w-]+)", found[1]):
                return self.outputs[output[1]][output[2]]
            wish = re.match(r"inputs\.(\w+)", found[1])
            assert wish, f"what is {found[1]}?"
            return expressions.get(wish[1], "false")

        return re.sub(r"\$\{\{\s*(.*?)\s*\}\}", put, text)

    def _take(self, step: str) -> None:
        """What the step left for those after it."""
        given = self._files["GITHUB_ENV"].read_text().replace("ghcr.io", self._registry.host)
        self._environment |= dict(line.split("=", 1) for line in given.splitlines())
        written = self._files["GITHUB_OUTPUT"].read_text()
        self._files["GITHUB_OUTPUT"].write_text("")
        long = re.findall(r"^(\w+)<<(\S+)\n(.*?)\n\2$", written, re.DOTALL | re.MULTILINE)
        short = re.findall(r"^(\w+)=(.*)$", written, re.MULTILINE)
        self.outputs[step] = {**dict(short), **{name: text for name, _, text in long}}


def forget_images(name: str) -> None:
    client: Any = connect().client()
    for row in client.containers(all=True, filters={"label": f"{LABEL_PROJECT}={name}"}):
        client.remove_container(row["Id"], force=True)
    for row in client.images(all=False, filters={"label": f"{LABEL_PROJECT}={name}"}):
        client.remove_image(row["Id"], force=True)
    client.close()


def labels_of(image: str) -> dict[str, str]:
    client: Any = connect().client()
    found: dict[str, str] = client.inspect_image(image)["Config"]["Labels"]
    client.close()
    return found


@pytest.fixture
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with started_registry(tmp_path_factory.mktemp("registry")) as port:
        yield Registry(port)


@pytest.fixture
def checkout(project: Project) -> Project:
    """The project as a repository, with what the workflows call. Its base holds one package, of the version in a file.
    Its image's own tests are a module that stands in for pytest, which the root image lacks."""
    shutil.copytree(ROOT / "scripts", project.folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    project.write("version", "1.0")
    project.write(
        "base.Dockerfile",
        f"FROM {ROOT_IMAGE}\nCOPY version /\n"
        f'RUN to="{SITE}/thing-$(cat /version).dist-info" && mkdir "$to" \\\n'
        ' && printf "Metadata-Version: 2.1\\nName: thing\\nVersion: %s\\n" "$(cat /version)" >"$to/METADATA" \\\n'
        f" && echo {project.name}\n",
    )
    project.write(
        "app.Dockerfile",
        "ARG BASE_IMAGE=none\nFROM ${BASE_IMAGE}\nWORKDIR /app\nCOPY pytest.py app.py /app/\n"
        'CMD ["python3", "-S", "/app/app.py"]\n',
    )
    project.write("pytest.py", "import sys\nsys.exit(sys.argv[1:] != ['-q', '/app/tests'])\n")
    commit(project)
    return project


def commit(project: Project) -> str:
    """Commits everything; the beginning of its ID."""
    git = ["git", "-c", "user.name=tester", "-c", "user.email=tester@localhost"]
    for words in (["init", "-q"], ["add", "--all"], ["commit", "-q", "--allow-empty", "-m", "as it is"]):
        subprocess.run([*git, *words], cwd=project.folder, check=True)
    done = subprocess.run([*git, "rev-parse", "HEAD"], cwd=project.folder, check=True, capture_output=True, text=True)
    return done.stdout[:7]


def test_a_base_goes_from_its_first_build_to_a_release_and_a_held_update_changes_nothing(
    checkout: Project, registry: Registry, engine: Engine, tmp_path: Path
) -> None:
    machines = iter(range(9))

    def machine() -> Runner:
        folder = tmp_path / f"runner-{next(machines)}"
        folder.mkdir()
        return Runner(checkout, registry, folder)

    # The first one is made on purpose.
    runner = machine()
    assert runner.run("docker-build-base.yml", "base") == "Build, check, publish"
    assert runner.outputs["publish"]["outcome"] == "failed", runner.said
    runner = machine()
    assert runner.run("docker-build-base.yml", "base", allow_major="true") == "", runner.said
    assert runner.outputs["publish"]["outcome"] == "published"
    (date,) = {tag for tag in registry.tags("us/app-base") if re.fullmatch(r"\d{4}\.\d\d\.\d\d", tag)}
    assert date in runner.summary
    base = registry.digest("us/app-base", "latest")
    assert registry.digest("us/app-base", date) == base

    # The app of a commit, on that base.
    revision = commit(checkout)
    runner = machine()
    assert runner.run("docker-publish-ghcr.yml", "app") == "", runner.said
    assert registry.tags("us/app") == {f"sha-{revision}", "latest"}

    # A proposal is tried on a base of its own, and publishes nothing.
    checkout.write("version", "2.0")
    commit(checkout)
    runner = machine()
    assert runner.run("docker-build-test.yml", "app") == "", runner.said
    assert "version changed" in runner.said
    assert "app.code-change.p50<60s" in runner.summary, "the budget, in the job's summary"

    # Merged, its major update waits. Whoever pulls gets what there was.
    runner = machine()
    assert runner.run("docker-build-base.yml", "base") == "Build, check, publish"
    assert runner.outputs["publish"]["outcome"] == "held", runner.said
    assert "| `pip` | `thing` | `1.0` | `2.0` |" in runner.outputs["publish"]["report"]
    assert registry.digest("us/app-base", "latest") == base

    # A release stands on the published base, by date and digest.
    runner = machine()
    assert runner.run("docker-release.yml", "app") == "", runner.said
    assert runner.outputs["pin"] == {"BASE_IMAGE": f"{registry.host}/us/app-base:{date}", "BASE_DIGEST": base}
    assert {"1.2.3", "1.2", "1", "latest"} <= registry.tags("us/app")
    labels = labels_of(f"{registry.host}/us/app:1.2.3")
    assert labels["org.opencontainers.image.base.digest"] == base
    assert labels["org.opencontainers.image.base.name"].startswith(f"{registry.host}/us/app-base:{date}")
