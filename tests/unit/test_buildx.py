"""The buildx command: what it is asked for, what is made of what it says; a script plays it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from docker.errors import ImageNotFound

from console.build import buildx, probes
from console.build.buildx import BuildxBackend, command_line
from console.build.context.snapshot import Snapshot
from console.build.dockerfile import parse_dockerfile
from console.build.probes import probe_buildx
from console.build.request import BuildRequest, Cancellation, SecretSource
from console.build.steps import StepLog
from console.errors import BuildError
from console.model import BuildOutcome, BuildStatus, BuildWarning, Step

ID = "sha256:" + "1d" * 32
OTHER_ID = "sha256:" + "0c" * 32
METADATA = Path("/tmp/metadata.json")


@dataclass
class Heard:
    steps: list[Step] = field(default_factory=list)
    warnings: list[BuildWarning] = field(default_factory=list)

    def step_updated(self, step: Step) -> None:
        self.steps.append(step)

    def logged(self, log: StepLog) -> None:
        pass

    def warned(self, warning: BuildWarning) -> None:
        self.warnings.append(warning)


class Images:
    """An engine that has some images, by the names they can be asked for."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def inspect_image(self, name: str) -> dict[str, Any]:
        if name not in self._names:
            raise ImageNotFound(name)
        return {"Id": self._names[name]}


@pytest.fixture
def request_() -> BuildRequest:
    place = Path("/project/docker/app.Dockerfile")
    snapshot = Snapshot(Path("/project/src"), {}, place, "app.Dockerfile", 0, 0, "", ())
    dockerfile = parse_dockerfile("FROM scratch\nCOPY . /\nRUN exit 3\n", "app.Dockerfile")
    return BuildRequest("shop:latest", snapshot, dockerfile, lambda name: "")


@pytest.fixture
def docker(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Puts a script in place of the docker command, and gives the environment that has it."""

    def install(script: str) -> dict[str, str]:
        command = tmp_path / "bin" / "docker"
        command.parent.mkdir(exist_ok=True)
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)
        return {"PATH": f"{command.parent}:/usr/bin:/bin", "DOCKER_HOST": "unix:///here.sock"}

    return install


def saying(*lines: str, code: int = 0, metadata: dict[str, Any] | None = None) -> str:
    """A script that says these lines on standard error, writes metadata, and ends."""
    said = "\n".join(lines)
    written = json.dumps(metadata or {})
    return f"""
for each; do case $each in --metadata-file=*) printf '%s' '{written}' > "${{each#*=}}";; esac; done
cat >&2 <<'END'
{said}
END
exit {code}"""


def build(
    environment: dict[str, str], request: BuildRequest, images: dict[str, str] | None = None, heard: Heard | None = None
) -> BuildOutcome:
    client: Any = Images(images if images is not None else {"shop:latest": ID})
    return BuildxBackend(environment).build(client, request, heard or Heard())


def vertex(**fields: object) -> str:
    times = {"started": "2026-11-24T03:25:18.5Z", "completed": "2026-11-24T03:25:19Z"}
    return json.dumps({"vertexes": [{"digest": "sha256:1", "name": "[2/2] RUN exit 3", **times, **fields}]})


# -- what it is asked for ---------------------------------------------------------------------------------------------


def test_the_command_line_has_everything_that_is_asked_for(request_: BuildRequest) -> None:
    request = replace(
        request_,
        args={"GREETING": "good day"},
        labels={"a": "b=c"},
        target="final",
        no_cache=True,
        network="host",
        platform="linux/amd64, linux/arm64",
        ssh={"default": "", "work": "/run/agent"},
        builder="far",
        cache_from=("shop:cache",),
        cache_to=("type=local,dest=/c",),
    )
    line, variables = command_line(request, METADATA, {})
    assert line[:3] == ["docker", "buildx", "build"]
    assert line[line.index("--builder") + 1] == "far"
    assert line[-1] == "/project/src"
    assert {
        "--progress=rawjson",
        "--load",
        "--provenance=false",
        "--metadata-file=/tmp/metadata.json",
        "--tag=shop:latest",
        "--file=/project/docker/app.Dockerfile",
        "--build-arg=GREETING",
        "--label=a=b=c",
        "--target=final",
        "--no-cache",
        "--network=host",
        "--allow=network.host",
        "--platform=linux/amd64,linux/arm64",
        "--ssh=default",
        "--ssh=work=/run/agent",
        "--cache-from=shop:cache",
        "--cache-to=type=local,dest=/c",
    } <= set(line)
    assert variables == {"GREETING": "good day"}


def test_nothing_is_asked_for_that_nobody_wants(request_: BuildRequest) -> None:
    line, variables = command_line(request_, METADATA, {})
    assert line[line.index("--builder") + 1] == "default", "never the one that `docker buildx use` chose"
    options = {part.partition("=")[0] for part in line}
    assert options.isdisjoint({"--target", "--no-cache", "--platform", "--ssh", "--secret", "--allow", "--cache-to"})
    assert variables == {}


@pytest.mark.parametrize("name", ["TAKEN", "HTTP_PROXY", "https_proxy", "DOCKER_HOST", "PATH", "LD_PRELOAD", "a.b"])
def test_an_argument_that_would_change_the_command_itself_is_no_variable(request_: BuildRequest, name: str) -> None:
    line, variables = command_line(replace(request_, args={name: "x"}), METADATA, {"TAKEN": "y"})
    assert f"--build-arg={name}=x" in line
    assert variables == {}


def test_secrets_are_named_and_never_shown(request_: BuildRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter2hunter2")
    secrets = {"token": SecretSource(env="TOKEN"), "file": SecretSource(file='/home/me/a, "b"')}
    line, variables = command_line(replace(request_, secrets=secrets), METADATA, dict(os.environ))
    assert "--secret=id=token,env=TOKEN" in line
    assert '--secret=id=file,"src=/home/me/a, ""b"""' in line
    assert "hunter2hunter2" not in " ".join(line)
    assert variables == {}


# -- what is made of its answer ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "images", "found"),
    [
        ({"containerimage.digest": ID}, {ID: ID}, ID),
        ({"containerimage.digest": OTHER_ID, "containerimage.config.digest": ID}, {ID: ID}, ID),
        ({}, {"shop:latest": ID}, ID),
    ],
)
def test_the_image_is_the_one_that_the_engine_knows(
    request_: BuildRequest,
    docker: Callable[[str], dict[str, str]],
    metadata: dict[str, Any],
    images: dict[str, str],
    found: str,
) -> None:
    heard = Heard()
    outcome = build(docker(saying(vertex(), metadata=metadata)), request_, images, heard)
    assert (outcome.status, outcome.image_id) == (BuildStatus.OK, found)
    assert [(step.name, step.duration_ms) for step in outcome.steps] == [("[2/2] RUN exit 3", pytest.approx(500))]
    assert heard.steps


def test_an_image_that_is_not_on_the_engine_is_an_error(
    request_: BuildRequest, docker: Callable[[str], dict[str, str]]
) -> None:
    with pytest.raises(BuildError, match="buildx built shop:latest, but the engine does not have it"):
        build(docker(saying(metadata={"containerimage.digest": ID})), request_, {})


def test_a_failing_step_is_told_with_its_line(request_: BuildRequest, docker: Callable[[str], dict[str, str]]) -> None:
    error = 'process "/bin/sh -c exit 3" did not complete successfully: exit code: 3'
    script = saying(
        vertex(error=error), "app.Dockerfile:3", f"ERROR: failed to build: failed to solve: {error}", code=1
    )
    outcome = build(docker(script), request_)
    assert outcome.status is BuildStatus.FAILED
    assert outcome.failure is not None
    assert (outcome.failure.line, outcome.failure.message) == (3, "exit code: 3")


def test_what_the_command_says_is_told_without_its_picture(
    request_: BuildRequest, docker: Callable[[str], dict[str, str]]
) -> None:
    script = saying(
        "WARNING: local cache import at /c not found",
        "app.Dockerfile:1",
        "--------------------",
        "   1 | >>> FROM nowhere",
        "--------------------",
        "ERROR: failed to build: Cache export is not supported.",
        "Switch to a different driver.",
        '{"vertexes": "nonsense"}',
        code=1,
    )
    heard = Heard()
    outcome = build(docker(script), request_, heard=heard)
    assert outcome.failure is not None
    first, second, third = outcome.failure.message.split("\n")
    assert (first, second) == ("Cache export is not supported. (app.Dockerfile:1)", "Switch to a different driver.")
    assert third == '{"vertexes": "nonsense"}', "what we cannot read is not lost"
    assert outcome.failure.line == 1
    assert [warning.message for warning in heard.warnings] == ["local cache import at /c not found"]
    assert outcome.warnings == tuple(heard.warnings)


def test_what_is_said_has_no_secrets_in_it(request_: BuildRequest, docker: Callable[[str], dict[str, str]]) -> None:
    request = replace(request_, redact=lambda text: text.replace("hunter2", "***"))
    outcome = build(docker(saying("WARNING: hunter2", "ERROR: no hunter2", code=1)), request)
    assert outcome.failure is not None
    assert (outcome.failure.message, outcome.warnings[0].message) == ("no ***", "***")


def test_an_end_without_a_word_is_told_with_its_exit_code(
    request_: BuildRequest, docker: Callable[[str], dict[str, str]]
) -> None:
    outcome = build(docker("exit 7"), request_)
    assert outcome.failure is not None
    assert "exit code 7" in outcome.failure.message


def test_without_a_docker_command_there_is_a_hint(request_: BuildRequest, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="cannot start `docker buildx`") as caught:
        build({"PATH": str(tmp_path)}, request_)
    assert caught.value.hint


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_cancel_ends_the_command_and_what_it_started(
    request_: BuildRequest,
    docker: Callable[[str], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    stubborn: bool,
) -> None:
    monkeypatch.setattr(buildx, "_CANCEL_GRACE_S", 0.2 if stubborn else 30)
    deaf = "trap '' INT" if stubborn else ""
    environment = docker(f"{deaf}\nsh -c 'echo $$ > {tmp_path}/child; exec sleep 4000'\nexit 1")
    cancellation = Cancellation()
    outcomes: list[BuildOutcome] = []
    building = threading.Thread(
        target=lambda: outcomes.append(build(environment, replace(request_, cancellation=cancellation)))
    )
    building.start()
    child = read_when_there(tmp_path / "child")
    cancellation.cancel()
    building.join(20)
    assert not building.is_alive()
    assert (outcomes[0].status, outcomes[0].failure) == (BuildStatus.CANCELLED, None)
    for _ in range(500):  # one that was killed is there until somebody asks for its exit code
        if not runs(child):
            return
        time.sleep(0.01)
    raise AssertionError("what the command started goes on")


def runs(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def read_when_there(path: Path) -> str:
    for _ in range(1000):
        if path.exists() and (text := path.read_text().strip()):
            return text
        time.sleep(0.01)
    raise AssertionError(f"nobody wrote {path}")


def test_a_defect_in_reading_leaves_no_command_behind(
    request_: BuildRequest, docker: Callable[[str], dict[str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fall_over(line: bytes) -> None:
        raise RuntimeError("a defect of ours")

    monkeypatch.setattr(buildx, "decode_rawjson", fall_over)
    environment = docker(f"echo $$ > {tmp_path}/command\necho '{{}}' >&2\nexec sleep 4000")
    with pytest.raises(RuntimeError, match="a defect of ours"):
        build(environment, request_)
    with pytest.raises(ProcessLookupError):
        os.kill(int(read_when_there(tmp_path / "command")), signal.SIGKILL)


# -- what it is -------------------------------------------------------------------------------------------------------


LISTING = """\
{"Name": "far", "Driver": "docker-container", "Nodes": [\
{"Endpoint": "unix:///far.sock", "Platforms": ["linux/arm64"]},\
{"Endpoint": "unix:///b.sock", "Platforms": ["linux/amd64", "linux/arm64"]}]}
{"Name": "default", "Driver": "docker", "Nodes": [{"Endpoint": "default", "Platforms": ["linux/amd64"]}]}
{"Name": "lost", "Driver": "docker", "Nodes": [{"Endpoint": "lost"}]}
{"Name": "broken", "Driver": "", "Err": "Cannot connect\\nat all", "Nodes": [{"Endpoint": ""}]}
not JSON
["neither"]"""


def test_the_probe_reads_version_and_builders(docker: Callable[[str], dict[str, str]]) -> None:
    environment = docker(
        f"case $2 in version) echo github.com/docker/buildx v0.30.1 abc;; ls) cat <<'END'\n{LISTING}\nEND\n;; esac"
    )
    probe = probe_buildx(environment)
    assert probe.version == "0.30.1"
    assert set(probe.builders) == {"far", "default", "lost", "broken"}
    far = probe.builders["far"]
    assert (far.driver, far.platforms, far.endpoint) == (
        "docker-container",
        ("linux/arm64", "linux/amd64"),
        "unix:///far.sock",
    )
    assert probe.builders["default"].endpoint == "unix:///here.sock", "the engine that the command was pointed at"
    assert probe.builders["lost"].endpoint == "", "a context that is gone"
    assert probe.builders["broken"].problem == "Cannot connect"


def test_a_context_that_makes_no_sense_leads_nowhere(
    docker: Callable[[str], dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "contexts/meta" / hashlib.sha256(b"lost").hexdigest()
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text("[]")
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    environment = docker(f"case $2 in version) echo v0.30.1;; ls) cat <<'END'\n{LISTING}\nEND\n;; esac")
    assert probe_buildx(environment).builders["lost"].endpoint == ""


def test_the_probe_says_why_there_is_none(docker: Callable[[str], dict[str, str]], tmp_path: Path) -> None:
    assert probe_buildx(docker("echo ' docker: unknown command: docker buildx' >&2; exit 1")).reason == (
        "docker: unknown command: docker buildx"
    )
    assert probe_buildx({"PATH": str(tmp_path)}).reason == "there is no docker command"


def test_a_probe_that_hangs_is_given_up(
    docker: Callable[[str], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "_PROBE_TIMEOUT_S", 0.1)
    probe = probe_buildx(docker("exec sleep 4000"))
    assert probe.version is None
    assert "does not answer" in probe.reason
    assert subprocess.run(["pgrep", "-f", "^sleep 4000$"], capture_output=True, check=False).returncode == 1
