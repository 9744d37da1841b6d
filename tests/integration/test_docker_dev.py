"""scripts/docker-dev.sh on a real engine: each verb as a user or a workflow calls it, and what it leaves alone."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from console.config import load_config
from console.loop.fingerprint import read_base_inputs
from console.watch.ignore import load_ignore
from tests.engines.engines import docker_config, ensure
from tests.engines.registry import started_registry
from tests.integration.conftest import DEADLINE_S, ROOT_IMAGE, Project, free_port, made_project

pytestmark = [pytest.mark.docker, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "docker-dev.sh"
DOCKER_DEV = "io.splitdeck.role=dev"
LIGHT = "FROM busybox:test\nCOPY base.txt /\n"
"""A base of 2 MB, for what has to travel."""
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


def exists(kind: str, name: str) -> bool:
    command = ["docker", kind, "inspect", name]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def soon(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE_S:g} s"
        time.sleep(0.05)


class Checkout:
    """A project in a folder with spaces, and the script on it; without splitdeck unless told otherwise."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.name = project.name
        self.folder = project.folder
        self.image, self.base, self.container = f"{self.name}:latest", f"{self.name}-base:latest", f"{self.name}-dev"
        self.configure = project.configure
        self.write = project.write
        self.write("base.Dockerfile", f"FROM {ROOT_IMAGE}\nCOPY base.txt /\n")
        self.write("base.txt", self.name)

    def environment(self, **more: str) -> dict[str, str]:
        return {**os.environ, **self.project.environment, **plugins(), "SPLITDECK": "", **more}

    def command(self, *arguments: str) -> list[str]:
        return [str(SCRIPT), "-C", str(self.folder), *arguments]

    def run(self, *arguments: str, text: str = "", **environment: str) -> Finished:
        """As from a workflow: no terminal."""
        return subprocess.run(
            self.command(*arguments),
            input=text,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE_S,
        )

    def done(self, *arguments: str, text: str = "", **environment: str) -> str:
        """What it said to standard error, and it went well."""
        result = self.run(*arguments, text=text, **environment)
        assert result.returncode == 0, result.stderr
        return result.stderr

    @contextmanager
    def started(self, *arguments: str, terminal: bool = False) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        """The script while it runs; with a terminal of its own, or without one. Gives its input, too."""
        mine, its = pty.openpty()
        given: Any = its if terminal else subprocess.DEVNULL
        process = subprocess.Popen(
            ["setsid", "--ctty", *self.command(*arguments)] if terminal else self.command(*arguments),
            env=self.environment(TERM="dumb"),
            stdin=given,
            stdout=given,
            stderr=given,
        )
        os.close(its)
        try:
            yield process, mine
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)
            os.close(mine)

    def served(self, port: int = 0) -> str:
        try:
            with urlopen(f"http://127.0.0.1:{port or self.project.port}/", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def status(self, line: str) -> str:
        """What `status` says of the base, the app, the legacy image or the container."""
        lines = {each.split()[0]: each.partition(": ")[2] for each in self.run("status").stdout.splitlines()}
        return lines[line]

    def light(self, **base: str) -> None:
        """Replaces both images by small ones, for what has to travel; with more keys in [base]."""
        self.write("base.Dockerfile", LIGHT)
        self.write("app.Dockerfile", "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY app.py /app/\n")
        keys = "\n".join(f'{key} = "{value}"' for key, value in base.items())
        config = (self.folder / "config.toml").read_text()
        self.write("config.toml", config.replace("[app]", f"{keys}\n[app]", 1))


@pytest.fixture(scope="module", autouse=True)
def _engines() -> None:
    ensure(["docker28"])  # whose command line brings buildx and Compose, and busybox:test to the machine's own


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    folder = tmp_path / "with two spaces"
    folder.mkdir()
    with made_project(folder) as project:
        made = Checkout(project)
        yield made
        if exists("container", made.container):
            docker("rm", "--force", made.container)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with started_registry(tmp_path_factory.mktemp("registry")) as port:
        yield f"127.0.0.1:{port}"


# --- wrong usage, and no engine -----------------------------------------------------------------------------------


def test_help_needs_neither_a_project_nor_an_engine(tmp_path: Path) -> None:
    for words in (["help"], ["--help"], [], ["-C", str(tmp_path), "run", "--help"]):
        environment = {**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock"}
        result = subprocess.run([SCRIPT, *words], env=environment, capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (0, "")
        assert "Usage: scripts/docker-dev.sh" in result.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nonsense"], "unknown verb: nonsense"),
        (["base", "--nonsense"], "base takes --pull or --build"),
        (["base", "--pull"], "no registry to pull from"),
        (["pin"], "only a registry gives digests"),
        (["push", "name"], "at least one tag"),
        (["push", "name", "--release", "1.2"], "a release looks like v1.2.3"),
        (["stop", "now"], "stop takes no arguments"),
        (["status", "now"], "status takes no arguments"),
        (["clean", "--all"], "clean takes --base"),
    ],
)
def test_wrong_usage_ends_with_2(checkout: Checkout, words: list[str], says: str) -> None:
    result = checkout.run(*words)
    assert (result.returncode, result.stdout) == (2, "")
    assert says in result.stderr


def test_a_wrong_folder_or_config_ends_with_2(checkout: Checkout, tmp_path: Path) -> None:
    for folder, says in ((str(tmp_path), "no config.toml"), ("/nowhere", "-C takes a folder")):
        result = checkout.run("-C", folder, "status")
        assert result.returncode == 2
        assert says in result.stderr
    (checkout.folder / "app.Dockerfile").unlink()
    result = checkout.run("status")
    assert (result.returncode, result.stderr) == (2, "docker-dev: config.toml: [app] dockerfile names no file\n")


def test_no_engine_ends_with_3(checkout: Checkout, tmp_path: Path) -> None:
    result = checkout.run("status", DOCKER_HOST="unix:///nowhere/docker.sock")
    assert result.returncode == 3
    assert "no engine answers" in result.stderr

    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("bash", "env", "awk", "sed", "head", "timeout"):
        (tools / tool).symlink_to(str(shutil.which(tool)))
    result = checkout.run("status", PATH=str(tools))
    assert result.returncode == 3
    assert "there is no docker command" in result.stderr


# --- the base -----------------------------------------------------------------------------------------------------


def test_a_missing_base_is_built_and_is_fresh_then(checkout: Checkout) -> None:
    checkout.light()
    assert checkout.status("base") == "missing"
    assert "is missing, building it" in checkout.done("base")
    assert checkout.status("base").startswith("fresh (built 20")
    before = inspect("image", checkout.base)["Id"]
    assert "is fresh" in checkout.done("base")
    assert inspect("image", checkout.base)["Id"] == before
    checkout.done("base", "--build")
    assert checkout.status("base").startswith("fresh")


def test_what_makes_a_base_stale_and_what_does_not(checkout: Checkout) -> None:
    checkout.light(context=".")
    data = checkout.folder / "data"
    data.mkdir()
    names = ["café.txt", "two words.txt", "plain.txt"]
    for name in names:
        (data / name).write_text(name)
    (data / "link").symlink_to("plain.txt")
    checkout.write("base.Dockerfile", LIGHT + "COPY --chmod=644 data/ \\\n  base.txt /data/\n")
    checkout.done("base")
    os.utime(data / "plain.txt", (0, 0))
    checkout.write("app.py", "another")
    assert checkout.status("base").startswith("fresh"), "neither times nor what it does not copy"

    for name in names:
        (data / name).write_text("changed")
        assert checkout.status("base").startswith(f"stale: data/{name}")
        (data / name).write_text(name)
    (data / "link").unlink()
    (data / "link").symlink_to("two words.txt")
    (data / "added").touch()
    (data / "plain.txt").chmod(0o755)
    checkout.write("base.Dockerfile", (checkout.folder / "base.Dockerfile").read_text() + "ENV NEW=yes\n")
    for name in ("base.Dockerfile", "data/added", "data/link", "data/plain.txt"):
        assert f" {name}" in checkout.status("base")

    assert "stale: base.Dockerfile" in checkout.done("base")
    assert checkout.status("base").startswith("fresh")
    (data / "added").unlink()
    assert checkout.status("base").startswith("stale: data/added")


def test_inputs_of_config_toml_count(checkout: Checkout) -> None:
    checkout.light()
    config = (checkout.folder / "config.toml").read_text()
    checkout.write("config.toml", config.replace("[app]", 'inputs = ["locks/**/*.lock", "none*"]\n[app]', 1))
    (checkout.folder / "locks" / "deep").mkdir(parents=True)
    checkout.write("locks/deep/one.lock", "1")
    checkout.done("base")
    assert checkout.status("base").startswith("fresh")
    checkout.write("locks/deep/one.lock", "2")
    assert checkout.status("base").startswith("stale: locks/deep/one.lock")


def test_a_base_that_splitdeck_built_is_judged_by_what_it_wrote_down(checkout: Checkout) -> None:
    checkout.light()
    (checkout.folder / "data").mkdir()
    for name in ("data/café", "data/tool", "data/left out"):
        checkout.write(name, name)
    (checkout.folder / "data" / "tool").chmod(0o755)
    checkout.write(".dockerignore", "data/left*\n")
    checkout.write("base.Dockerfile", LIGHT + "COPY data /data\n")
    labels = read_base_inputs(load_config(checkout.folder / "config.toml"), load_ignore).labels()
    words = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
    dockerfile = checkout.folder / "base.Dockerfile"
    docker("build", *words, "--tag", checkout.base, "--file", str(dockerfile), str(checkout.folder))
    try:
        assert checkout.status("base").startswith("fresh")
        checkout.write("data/café", "changed")
        assert checkout.status("base").startswith("stale: data/café")
    finally:
        docker("image", "rm", checkout.base)


def test_a_base_of_unknown_origin_is_used_and_not_built_over(checkout: Checkout) -> None:
    checkout.light()
    docker("build", "--tag", checkout.base, "-", text="FROM busybox:test\n")
    try:
        assert checkout.status("base").startswith("what it was built from is not known")
        assert "what it was built from is not known" in checkout.done("base")
        assert "io.splitdeck.inputs" not in inspect("image", checkout.base)["Config"]["Labels"]
    finally:
        docker("image", "rm", checkout.base)


def test_a_base_that_cannot_be_built_ends_with_1_and_the_one_before_stays(checkout: Checkout) -> None:
    checkout.light()
    checkout.done("base")
    before = inspect("image", checkout.base)["Id"]
    checkout.write("base.Dockerfile", LIGHT + "RUN exit 5\n")
    result = checkout.run("base")
    assert result.returncode == 1
    assert "the base cannot be built" in result.stderr
    assert inspect("image", checkout.base)["Id"] == before
    assert "building on it all the same" in checkout.done("build")


def test_a_base_is_pulled_where_a_registry_has_it(checkout: Checkout, registry: str) -> None:
    remote = f"{registry}/{checkout.name}-base"
    checkout.light(repository=remote)
    checkout.done("base", "--build")
    built = inspect("image", checkout.base)["Id"]
    docker("tag", checkout.base, f"{remote}:latest")
    docker("push", f"{remote}:latest")
    docker("image", "rm", "--force", built)

    said = checkout.done("base")
    assert "pulling the base" in said
    assert "building" not in said
    assert inspect("image", checkout.base)["Id"] == built
    assert checkout.status("base").startswith("fresh")
    assert "is fresh" in checkout.done("base")

    docker("image", "rm", "--force", built)
    checkout.write("base.txt", "another")
    said = checkout.done("base")
    assert "pulling the base" in said
    assert "is stale: base.txt, building it" in said
    assert inspect("image", checkout.base)["Id"] != built
    checkout.done("base", "--pull")
    assert inspect("image", checkout.base)["Id"] == built, "--pull takes what the registry has"


def test_a_registry_that_is_away(checkout: Checkout) -> None:
    checkout.light(repository=f"127.0.0.1:{free_port()}/base")
    result = checkout.run("base", "--pull")
    assert result.returncode == 1
    assert "it cannot be pulled" in result.stderr
    said = checkout.done("base")
    assert "it cannot be pulled" in said
    assert "is missing, building it" in said


def test_a_pinned_base_is_pulled_and_never_built(checkout: Checkout, registry: str) -> None:
    remote = f"{registry}/{checkout.name}-pinned"
    checkout.light(repository=remote, version="2026.11.23")
    result = checkout.run("build")
    assert result.returncode == 2
    assert "pinned to 2026.11.23, which no build can make" in result.stderr
    docker("tag", "busybox:test", f"{remote}:2026.11.23")
    docker("push", f"{remote}:2026.11.23")
    docker("image", "rm", f"{remote}:2026.11.23")
    try:
        checkout.done("build")
        assert f"on {checkout.name}-base:2026.11.23" in checkout.done("build")
    finally:
        docker("image", "rm", f"{remote}:2026.11.23", f"{checkout.name}-base:2026.11.23")


def test_pin_prints_what_production_wants(checkout: Checkout, registry: str, tmp_path: Path) -> None:
    remote = f"{registry}/{checkout.name}-base"
    checkout.light(repository=remote)
    assert "is not here" in checkout.run("pin").stderr
    checkout.done("base", "--build")
    result = checkout.run("pin")
    assert (result.returncode, result.stdout) == (1, "")
    assert f"is not known to {remote}" in result.stderr

    docker("tag", checkout.base, f"{remote}:latest")
    docker("push", f"{remote}:latest")
    result = checkout.run("pin")
    assert result.returncode == 1
    assert "has no date" in result.stderr

    docker("tag", checkout.base, f"{checkout.name}-base:2026.11.23.2")
    result = checkout.run("pin")
    assert result.returncode == 0, result.stderr
    digest = inspect("image", checkout.base)["RepoDigests"][0].partition("@")[2]
    assert result.stdout == f"BASE_IMAGE={remote}:2026.11.23.2\nBASE_DIGEST={digest}\n"
    assert checkout.run("pin", "2026.11.23.2").stdout == result.stdout
    assert checkout.run("pin", "2025.01.01").returncode == 1

    pins = tmp_path / ".env"
    pins.write_text(f"APP_IMAGE=app:1\n{result.stdout}")
    files = ("--file", str(ROOT / "docker-compose.yml"), "--file", str(ROOT / "docker-compose.prod.yml"))
    shown = json.loads(docker("compose", *files, "--env-file", str(pins), "config", "--format", "json"))
    assert shown["services"]["app"]["build"]["args"]["BASE_IMAGE"] == f"{remote}:2026.11.23.2@{digest}"


# --- the app image ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("buildkit", ["1", "0"])
def test_build_makes_the_base_first_and_the_app_on_it(checkout: Checkout, buildkit: str) -> None:
    result = checkout.run("build", DOCKER_BUILDKIT=buildkit)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    base, image = inspect("image", checkout.base), inspect("image", checkout.image)
    layers = base["RootFS"]["Layers"]
    assert image["RootFS"]["Layers"][: len(layers)] == layers
    labels = image["Config"]["Labels"]
    assert labels["io.splitdeck.role"] == "app"
    assert labels["io.splitdeck.base"] == base["Id"]
    assert "org.opencontainers.image.base.digest" not in labels
    assert "not on this base" not in checkout.status("app")


def test_build_takes_arguments_of_config_toml_and_of_the_command_line(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout.light()
    checkout.write(
        "app.Dockerfile",
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE} AS wanted\nARG ONE\nARG TWO\nARG THREE\nENV ALL=$ONE-$TWO-$THREE\n"
        "FROM scratch\n",
    )
    config = (checkout.folder / "config.toml").read_text()
    monkeypatch.setenv("SD_TWO", "c")
    for args in (
        "[build]\nargs = { ONE = \"a b\", TWO = 'c' }\n",
        '[build.args]\nONE = "a b" # a remark\nTWO = "c"\n',
        '[build]\nargs = { ONE = "a b", TWO = { env = "SD_TWO" }, NONE = { env = "SD_NONE" } }\n',
        '[build.args]\nONE = "a b"\nTWO = { env = "SD_TWO" } # of this machine\n',
    ):
        checkout.write("config.toml", config + args)
        checkout.done("build", "--build-arg", "THREE=d", "--target", "wanted")
        assert "ALL=a b-c-d" in inspect("image", checkout.image)["Config"]["Env"]


def test_the_target_of_config_toml_is_built(checkout: Checkout) -> None:
    checkout.light()
    text = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE} AS wanted\nENV STAGE=wanted\nFROM wanted\nENV STAGE=last\n"
    checkout.write("app.Dockerfile", text)
    config = (checkout.folder / "config.toml").read_text()
    checkout.write("config.toml", config.replace("[app]", '[app]\ntarget = "wanted"', 1))
    checkout.done("build")
    assert "STAGE=wanted" in inspect("image", checkout.image)["Config"]["Env"]


def test_a_failing_build_ends_with_1_and_the_image_before_stays(checkout: Checkout) -> None:
    checkout.light()
    checkout.done("build")
    before = inspect("image", checkout.image)["Id"]
    checkout.write("app.Dockerfile", "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY nothing /\n")
    result = checkout.run("build")
    assert result.returncode == 1
    assert f"{checkout.image} cannot be built" in result.stderr
    assert inspect("image", checkout.image)["Id"] == before


def test_another_base_by_the_environment(checkout: Checkout) -> None:
    checkout.light()
    assert "on busybox:test" in checkout.done("build", BASE_IMAGE="busybox:test")
    assert not exists("image", checkout.base)
    result = checkout.run("base", BASE_IMAGE="busybox:test")
    assert result.returncode == 2
    missing = f"127.0.0.1:{free_port()}/missing:1"
    result = checkout.run("build", BASE_IMAGE=missing)
    assert result.returncode == 1
    assert f"{missing} is not here and cannot be pulled" in result.stderr


def test_an_image_of_somebody_else_is_left_alone(checkout: Checkout) -> None:
    checkout.light()
    docker("tag", "busybox:test", checkout.image)
    before = inspect("image", checkout.image)["Id"]
    try:
        for words in (["build"], ["run", "-d"], ["test", "true"], ["shell", "true"], ["push", "name", "tag"]):
            result = checkout.run(*words)
            assert result.returncode == 1, words
            assert f"{checkout.image} that is not this project's" in result.stderr, words
        assert checkout.status("app") == "not this project's"
        checkout.done("clean", "--base")
        assert inspect("image", checkout.image)["Id"] == before
    finally:
        docker("image", "rm", checkout.image)


def test_legacy_mode_takes_the_single_image(checkout: Checkout) -> None:
    checkout.configure()
    config = (checkout.folder / "config.toml").read_text()
    checkout.write("config.toml", config.replace("[app]", '[app]\nmode = "legacy"', 1))
    checkout.done("run", "-d")
    assert checkout.served() == "one"
    assert inspect("container", checkout.container)["Config"]["Image"] == f"{checkout.name}-legacy:latest"
    assert not exists("image", checkout.base)
    assert checkout.status("legacy").startswith("built 20")


def test_push_and_the_tags_of_a_release(checkout: Checkout, registry: str) -> None:
    checkout.light()
    repository = f"{registry}/{checkout.name}"
    assert "is not here" in checkout.run("push", repository, "one").stderr
    checkout.done("build")
    wanted = {
        ("sha-1234567", "main"): ["sha-1234567", "main"],
        ("--release", "v1.2.3"): ["1.2.3", "1.2", "1", "latest"],
        ("--release", "v2.0.0-rc.1"): ["2.0.0-rc.1"],
    }
    for words, tags in wanted.items():
        result = checkout.run("push", repository, *words)
        assert result.returncode == 0, result.stderr
        assert result.stdout.split() == [f"{repository}:{tag}" for tag in tags]
    with urlopen(f"http://{registry}/v2/{checkout.name}/tags/list", timeout=5) as answer:
        assert sorted(json.load(answer)["tags"]) == sorted(tag for tags in wanted.values() for tag in tags)
    gone = f"127.0.0.1:{free_port()}/gone"
    result = checkout.run("push", gone, "one")
    assert (result.returncode, result.stdout) == (1, "")
    assert f"{gone}:one cannot be pushed" in result.stderr


# --- the container ------------------------------------------------------------------------------------------------


def test_run_in_the_background_shows_an_edit_without_a_build(checkout: Checkout) -> None:
    assert f"at http://127.0.0.1:{checkout.project.port}" in checkout.done("run", "-d")
    assert checkout.served() == "one"
    assert checkout.status("container") == "running, answers"
    image = inspect("image", checkout.image)["Id"]
    checkout.project.edit("two")
    docker("restart", "-t", "1", checkout.container)
    soon(lambda: checkout.served() == "two", "the edit")
    assert inspect("image", checkout.image)["Id"] == image
    result = checkout.run("shell", "touch", "/app/app.py")
    assert result.returncode != 0
    assert "Read-only file system" in result.stderr

    checkout.done("run", "-d")
    assert checkout.served() == "two"
    assert "serving two" in checkout.run("logs").stdout
    assert "is gone" in checkout.done("stop")
    assert not exists("container", checkout.container)
    assert "there is no container" in checkout.done("stop")
    assert checkout.run("logs").returncode == 1


def test_run_has_what_config_toml_says(checkout: Checkout) -> None:
    (checkout.folder / "some data").mkdir()
    checkout.write("some data/file", "of the volume")
    checkout.write("variables", "FROM_FILE=yes\nGREETING=from the file\n")
    checkout.write(
        "app.Dockerfile",
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE} AS tools\nCOPY base.Dockerfile /tools/\n"
        "FROM ${BASE_IMAGE}\nWORKDIR /srv\nWORKDIR app\nCOPY app.py ./\nCOPY --from=tools /tools /tools\n",
    )
    checkout.configure(
        run='volumes = ["./some data:/data:ro"]\nenv_file = "variables"\nenvironment = { GREETING = "good day" }\n'
        'command = [\n  "python3", # a remark\n  "-S",\n  "app.py",\n]'
    )
    port = free_port()
    checkout.done("run", "-d", "--env", "MORE=yes", PORT=str(port))
    assert checkout.served(port) == "one"
    script = 'cat /data/file; echo " $FROM_FILE $GREETING $MORE"'
    assert checkout.run("shell", "sh", "-c", script).stdout == "of the volume yes good day yes\n"
    mounted = {mount["Destination"]: mount["RW"] for mount in inspect("container", checkout.container)["Mounts"]}
    assert mounted == {"/srv/app/app.py": False, "/data": False}


@pytest.mark.parametrize("ready", ['http = "/"', ""])
def test_a_container_that_ends_or_does_not_answer_ends_with_1(checkout: Checkout, ready: str) -> None:
    checkout.configure(ready=f"{ready}\ntimeout_s = 1")
    checkout.write("app.py", "import sys\nprint('last words', flush=True)\nsys.exit(4)\n")
    result = checkout.run("run", "-d")
    assert result.returncode == 1
    assert "last words" in result.stderr
    assert "the container has ended" in result.stderr
    checkout.write("app.py", "import time\nprint('not yet', flush=True)\ntime.sleep(600)\n")
    result = checkout.run("run", "-d")
    assert result.returncode == 1
    assert "not yet" in result.stderr
    assert "does not answer after 1 s" in result.stderr
    assert checkout.status("container") == "running, does not answer"


def test_a_port_that_is_taken_leaves_no_container(checkout: Checkout) -> None:
    checkout.configure()
    checkout.done("run", "-d")
    other = f"{checkout.container}-other"
    docker("rename", checkout.container, other)
    try:
        result = checkout.run("run", "-d")
        assert result.returncode == 1
        assert "PORT=8001 names another" in result.stderr
        assert not exists("container", checkout.container)
    finally:
        docker("rm", "--force", other)


def test_a_container_of_somebody_else_is_left_alone(checkout: Checkout) -> None:
    docker("run", "--detach", "--name", checkout.container, "busybox:test", "sleep", "600")
    for words in (["run", "-d"], ["run"], ["stop"], ["logs"]):
        result = checkout.run(*words)
        assert result.returncode == 1, words
        assert f"{checkout.container} that is not this project's" in result.stderr
    assert checkout.status("container") == "not this project's"
    checkout.done("clean", "--base")
    assert inspect("container", checkout.container)["State"]["Running"]


@pytest.mark.parametrize("terminal", [False, True])
def test_run_in_the_foreground_ends_with_ctrl_c(checkout: Checkout, terminal: bool) -> None:
    checkout.done("build")
    with checkout.started("run", terminal=terminal) as (process, keys):
        soon(lambda: checkout.served() == "one", "the app")
        assert inspect("container", checkout.container)["Config"]["Tty"] is terminal
        if terminal:
            os.write(keys, b"\x03")
        else:
            process.send_signal(signal.SIGINT)
        process.wait(timeout=DEADLINE_S)
    soon(lambda: not exists("container", checkout.container), "the container's end")


def test_shell_without_a_terminal_reads_its_commands(checkout: Checkout) -> None:
    checkout.done("build")
    result = checkout.run("shell", text="echo in $(hostname); exit 7\n")
    assert result.returncode == 7, "that of the shell"
    assert result.stdout.startswith("in ")
    checkout.done("run", "-d")
    hostname = inspect("container", checkout.container)["Config"]["Hostname"]
    assert checkout.run("shell", "hostname").stdout.strip() == hostname


def test_shell_in_a_terminal(checkout: Checkout) -> None:
    checkout.done("build")
    with checkout.started("shell", terminal=True) as (process, keys):
        os.write(keys, b"tty; exit\n")
        shown = b""
        with suppress(OSError):  # the end
            while more := os.read(keys, 4096):
                shown += more
        assert process.wait(timeout=DEADLINE_S) == 0
    assert b"/dev/pts/0" in shown


def test_the_tests_are_run_in_the_image_as_the_source_is_now(checkout: Checkout) -> None:
    """By pytest itself, which the image gets from this environment."""
    found = Path(pytest.__file__).parents[1]
    for package in ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments"):
        shutil.copytree(found / package, checkout.folder / "tools" / package)
    shutil.copy(found / "py.py", checkout.folder / "tools")
    tests = checkout.folder / "tests"
    tests.mkdir()
    text = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nENV PYTHONPATH=/tools\nCOPY tools /tools\nCOPY tests /app/tests\n"
    checkout.write("app.Dockerfile", text)
    checkout.write("tests/test_one.py", "def test_one():\n    pass\n")
    result = checkout.run("test")
    assert (result.returncode, "1 passed" in result.stdout) == (0, True), result.stdout + result.stderr
    checkout.write("tests/test_one.py", "def test_one():\n    assert False\n")
    result = checkout.run("test")
    assert (result.returncode, "1 failed" in result.stdout) == (1, True)
    assert "the tests failed" in result.stderr
    assert checkout.run("test", "sh", "-c", "exit 3").returncode == 1
    assert checkout.run("test", "echo", "two words").stdout == "two words\n"


# --- clean, and splitdeck -----------------------------------------------------------------------------------------


def test_clean_takes_this_project_s_own_and_nothing_else(checkout: Checkout) -> None:
    """What somebody built on our image inherits our labels, and is not ours."""
    checkout.done("run", "-d")
    child, other = f"{checkout.name}-child:1", f"{checkout.name}-dev-of-another"
    docker("build", "--tag", child, "-", text=f"FROM {checkout.image}\nENV CHILD=yes\n")
    docker("run", "--detach", "--name", other, "--label", DOCKER_DEV, "busybox:test", "sleep", "600")
    try:
        said = checkout.done("clean")
        assert not exists("container", checkout.container)
        assert not exists("image", checkout.image)
        assert f"removed {checkout.image}" in said
        assert exists("image", checkout.base)
        checkout.done("clean", "--base")
        assert not exists("image", checkout.base)
        assert exists("image", child)
        assert inspect("container", other)["State"]["Running"]
    finally:
        docker("rm", "--force", other)
        docker("image", "rm", child)
    assert checkout.done("clean", "--base") == "", "there is nothing left"


def test_clean_leaves_what_is_in_use(checkout: Checkout) -> None:
    checkout.done("build")
    docker("run", "--detach", "--name", f"{checkout.name}-user", checkout.image)
    try:
        assert f"left {checkout.image}: it is in use" in checkout.done("clean")
        assert exists("image", checkout.image)
    finally:
        docker("rm", "--force", f"{checkout.name}-user")


@pytest.fixture
def splitdeck(tmp_path: Path) -> str:
    """The command of this checkout."""
    command = tmp_path / "splitdeck"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m console "$@"\n')
    command.chmod(0o755)
    return str(command)


def test_where_splitdeck_is_installed_it_builds(checkout: Checkout, splitdeck: str) -> None:
    checkout.done("run", "-d", SPLITDECK=splitdeck)
    assert checkout.served() == "one"
    labels = inspect("image", checkout.base)["Config"]["Labels"]
    assert labels["io.splitdeck.fingerprint"]
    assert labels["org.opencontainers.image.version"].startswith("20")
    assert checkout.status("base").startswith("fresh")
    assert "not on this base" not in checkout.status("app")
    before = inspect("image", checkout.base)["Id"]
    checkout.done("base", SPLITDECK=splitdeck)
    assert inspect("image", checkout.base)["Id"] == before
    checkout.write("base.Dockerfile", (checkout.folder / "base.Dockerfile").read_text() + "ENV NEW=yes\n")
    checkout.done("base", SPLITDECK=splitdeck)
    assert "NEW=yes" in inspect("image", checkout.base)["Config"]["Env"]


def test_what_splitdeck_refuses_is_told(checkout: Checkout, splitdeck: str) -> None:
    checkout.light()
    config = (checkout.folder / "config.toml").read_text()
    checkout.write("config.toml", config.replace("[app]", 'check = ["false"]\n[app]', 1))
    assert checkout.run("base", SPLITDECK=splitdeck).returncode == 1
    assert not exists("image", checkout.base)
    checkout.write("config.toml", f"{config}nonsense = 1\n")
    assert checkout.run("base", SPLITDECK=splitdeck).returncode == 2
    result = checkout.run("base", "--pull", SPLITDECK=splitdeck)
    assert result.returncode == 2
