"""Checks and packages of a base image, on real engines: every way a check can end, and nothing left behind."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from console.base.checks import CANCELLED, LABEL_OWNER, ROLE_CHECK, CheckFailure, run_checks, tidy_checks
from console.base.packages import Package, read_packages
from console.engine import connect
from console.errors import EngineUnreachableError
from console.model import LABEL_PROJECT, LABEL_ROLE
from tests.engines.engines import ENGINES, ensure
from tests.integration.conftest import ROOT_IMAGE, Project
from tests.integration.test_engine_lost import Relay
from tests.unit.test_packages import FILES, FOUND

if TYPE_CHECKING:
    from docker import APIClient

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

Check = str | tuple[str, ...]


class Base:
    """A base image on one engine, and what its checks tell."""

    def __init__(self, client: Any, project: str, image: str = ROOT_IMAGE) -> None:
        self.client = client
        self.project = project
        self.image_id: str = client.inspect_image(image)["Id"]
        self.told: list[tuple[str, str]] = []
        self.heard = threading.Event()

    def check(
        self, *commands: Check, timeout_s: float = 60.0, ended: threading.Event | None = None
    ) -> CheckFailure | None:
        def tell(command: str, lines: tuple[str, ...]) -> None:
            self.told += [(command, line) for line in lines]
            self.heard.set()

        return run_checks(
            self.client, self.image_id, commands, project=self.project, timeout_s=timeout_s, tell=tell, ended=ended
        )

    def packages(self) -> tuple[Package, ...]:
        return read_packages(self.client, self.image_id, project=self.project)

    def containers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.containers(
            all=True, filters={"label": f"{LABEL_PROJECT}={self.project}"}
        )
        return found

    def build(self, dockerfile: str, files: dict[str, str]) -> Base:
        """Another base image."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name, text in {"Dockerfile": dockerfile, **files}.items():
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(text.encode()), 0o755
                archive.addfile(entry, io.BytesIO(text.encode()))
        packed.seek(0)
        tag = f"{self.project}-{time.time_ns()}"
        labels = {LABEL_PROJECT: self.project, LABEL_ROLE: "base"}
        output = list(
            self.client.build(fileobj=packed, custom_context=True, tag=tag, labels=labels, rm=True, decode=True)
        )
        assert not any("error" in line for line in output), output
        return Base(self.client, self.project, tag)


def meanwhile(job: Callable[[], None]) -> None:
    threading.Thread(target=job, daemon=True).start()


@pytest.fixture
def base(project: Project) -> Iterator[Base]:
    """The Python image on the machine's own engine."""
    client = connect().client()
    base = Base(client, project.name)
    yield base
    left = base.containers()
    client.close()
    assert left == []


def test_every_check_is_run_and_its_lines_are_told_as_they_come(base: Base) -> None:
    text = "echo one; echo two >&2; printf three"
    assert base.check(text, ("echo", "$HOME", "a b")) is None
    assert sorted(base.told[:3]) == sorted((text, word) for word in ("one", "two", "three"))
    assert base.told[3:] == [("echo '$HOME' 'a b'", "$HOME a b")]


def test_the_first_check_that_fails_ends_it_with_its_last_lines(base: Base) -> None:
    failure = base.check("true", "for n in $(seq 30); do echo line $n; done; exit 3", "echo never")
    assert failure is not None
    assert failure.reason == "exit code 3"
    assert failure.command.startswith("for n in")
    assert failure.output == tuple(f"line {number}" for number in range(11, 31))
    assert "echo never" not in {command for command, _ in base.told}


def test_a_signal_that_ended_a_check_is_named(base: Base) -> None:
    failure = base.check(("python3", "-c", "import os, subprocess; os._exit(139)"))
    assert failure is not None
    assert failure.reason == "exit code 139 (SIGSEGV)"


@pytest.mark.parametrize(
    ("command", "reason"), [(("nonsense", "-x"), "no such program"), (("/etc/passwd",), "cannot be started")]
)
def test_a_program_that_cannot_be_started_is_told_with_the_engines_words(
    base: Base, command: tuple[str, ...], reason: str
) -> None:
    failure = base.check(command)
    assert failure is not None
    assert failure.reason == reason
    assert command[0] in failure.output[0]


def test_text_that_is_no_utf8_and_endless_output_do_no_harm(base: Base) -> None:
    assert base.check("printf 'a\\377b\\n'") is None
    assert base.told == [("printf 'a\\377b\\n'", "a\ufffdb")]
    base.told.clear()
    failure = base.check("seq 1 300000; head -c 100000 /dev/zero | tr '\\0' x; exit 1")
    assert failure is not None
    assert [line for _, line in base.told[:2]] == ["1", "2"]
    assert len(base.told) == 10_001
    assert "10,000" in base.told[-1][1]
    assert failure.output[:7] == tuple(map(str, range(299_994, 300_001))), "the last ones are not lost"
    assert [len(line) for line in failure.output[7:]] == [8192] * 12 + [100_000 % 8192]


def test_a_check_that_takes_too_long_is_killed(base: Base) -> None:
    failure = base.check("trap '' TERM; echo begun; sleep 600", timeout_s=1.5)
    assert failure == CheckFailure("trap '' TERM; echo begun; sleep 600", "took longer than 1.5 s", ("begun",))


def test_a_check_that_is_not_wanted_any_more_is_killed(base: Base) -> None:
    ended = threading.Event()

    def end() -> None:
        base.heard.wait()
        ended.set()

    meanwhile(end)
    failure = base.check("trap '' TERM; echo begun; sleep 600", "echo never", ended=ended)
    assert failure is not None
    assert (failure.reason, failure.output) == (CANCELLED, ("begun",))
    nothing: Any = None
    unasked = run_checks(
        nothing, base.image_id, ("true",), project=base.project, timeout_s=1, tell=lambda *_: None, ended=ended
    )
    assert unasked == CheckFailure("true", CANCELLED, ()), "it did not pass, and the engine was not even asked"
    assert [line for _, line in base.told] == ["begun"]


def test_a_check_without_memory_is_told_as_such(base: Base) -> None:
    """The engine gives it less while it runs, as a machine without memory would."""

    def shrink() -> None:
        base.heard.wait()
        client: Any = connect().client()
        client.update_container(base.containers()[0]["Id"], mem_limit="128m", memswap_limit="128m")
        client.close()

    meanwhile(shrink)
    code = (
        "import time; print('begun', flush=True); x = []\nwhile len(x) < 300: x += [bytearray(2**20)]; time.sleep(0.01)"
    )
    failure = base.check(("python3", "-c", code))
    assert failure is not None
    assert failure.reason == "killed (out of memory)"


def test_a_check_has_no_port_and_labels_of_its_own(base: Base) -> None:
    made = base.build(f'FROM {ROOT_IMAGE}\nEXPOSE 8000\nVOLUME /data\nENTRYPOINT ["false"]\nCMD ["x"]\n', {})
    rows: list[dict[str, Any]] = []

    def look() -> None:
        made.heard.wait()
        client: Any = connect().client()
        rows.extend(client.inspect_container(row["Id"]) for row in made.containers())
        client.close()
        ended.set()

    ended = threading.Event()
    meanwhile(look)
    volumes = {volume["Name"] for volume in made.client.volumes()["Volumes"] or ()}
    failure = made.check("echo begun; sleep 600", timeout_s=20, ended=ended)
    assert failure is not None
    assert failure.reason == CANCELLED
    (row,) = rows
    assert row["Config"]["Labels"][LABEL_ROLE] == ROLE_CHECK, "the image's own is `base`"
    assert row["Config"]["StopSignal"] == "SIGKILL", "else Podman takes ten seconds to remove it"
    assert not any((row["NetworkSettings"]["Ports"] or {}).values())
    assert {volume["Name"] for volume in made.client.volumes()["Volumes"] or ()} <= volumes


def test_an_engine_that_goes_away_is_told_as_such_and_what_it_left_is_tidied(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = Relay(tmp_path / "engine.sock")
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", relay.host)
        away = Base(connect().client(), base.project)

    def cut() -> None:
        away.heard.wait()
        in_use.append(tidy_checks(connect().client(), base.project))
        relay.cut()

    in_use: list[int] = []

    meanwhile(cut)
    with pytest.raises(EngineUnreachableError):
        away.check("echo begun; sleep 600")
    assert in_use == [0], "it was not taken away while it ran"
    assert len(base.containers()) == 1
    assert tidy_checks(base.client, base.project) == 1


KILLED = """
import sys, threading
from console.base.checks import run_checks
from console.engine import connect
image, project = sys.argv[1:]
tell = lambda *_: print("begun", flush=True)
run_checks(connect().client(), image, ("echo begun; sleep 600",), project=project, timeout_s=600, tell=tell, ended=None)
"""


def test_what_a_killed_process_left_is_removed_and_nothing_else(base: Base) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, base.image_id, base.project], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "begun\n"
        assert tidy_checks(base.client, base.project) == 0, "it is in use"
        process.send_signal(signal.SIGKILL)
        process.wait()
    owner = f"{os.uname().nodename} {process.pid}"
    others = [
        {LABEL_PROJECT: base.project, LABEL_ROLE: "app", LABEL_OWNER: owner},
        {LABEL_PROJECT: f"{base.project}-other", LABEL_ROLE: ROLE_CHECK, LABEL_OWNER: owner},
        {LABEL_PROJECT: base.project, LABEL_ROLE: ROLE_CHECK, LABEL_OWNER: f"elsewhere {process.pid}"},
    ]
    ids = [
        base.client.create_container_from_config({"Image": base.image_id, "Cmd": ["true"], "Labels": labels})["Id"]
        for labels in others
    ]
    try:
        assert tidy_checks(base.client, base.project) == 1
        for container in ids:
            base.client.inspect_container(container)
    finally:
        for container in ids:
            base.client.remove_container(container)


def test_packages_are_those_that_the_managers_tell(base: Base) -> None:
    """One Python environment as pip sees it, one more that it does not."""
    made = base.build(
        f"FROM {ROOT_IMAGE}\nRUN python3 -m venv --system-site-packages /opt/venv\n"
        "COPY METADATA /opt/venv/lib/python3.11/site-packages/Foo_Bar-1.5.dist-info/METADATA\n"
        "RUN chmod 700 /opt/venv\nUSER nobody\n",
        {"METADATA": "Metadata-Version: 2.1\nName: Foo.Bar\nVersion: 1.5\n"},
    )
    assert made.check("dpkg-query -W -f '${Package} ${Version}\\n'", "python3 -m pip list --format=freeze") is None
    expected = {Package("pip", "foo-bar", "1.5")}
    for command, line in made.told:
        manager, separator = ("dpkg", " ") if command.startswith("dpkg") else ("pip", "==")
        name, _, version = line.partition(separator)
        if version:
            expected.add(Package(manager, name, version))
    found = made.packages()
    assert {one for one in found if one.manager == "dpkg"} == {one for one in expected if one.manager == "dpkg"}
    assert {one for one in found if one.manager == "pip"} >= {one for one in expected if one.manager == "pip"}
    assert {one.name for one in found if one.manager == "pip"} == {one.name for one in expected if one.manager == "pip"}


def test_an_image_is_read_alike_with_busybox_and_without_any_shell(base: Base) -> None:
    files = {f"root/{name}": text for name, text in FILES.items()}
    assert base.build("FROM busybox:test\nCOPY root /\n", files).packages() == FOUND
    assert base.build("FROM scratch\nCOPY root /\n", files).packages() == FOUND


def test_an_image_without_packages_has_none(base: Base) -> None:
    assert Base(base.client, base.project, "busybox:test").packages() == ()
    assert base.build("FROM scratch\nCOPY it /\n", {"it": "hello"}).packages() == ()


def test_rpm_is_asked_where_it_is(base: Base) -> None:
    """A stand-in, as no engine here has an image of an rpm system; it prints what the real one prints."""
    rpm = "#!/bin/sh\n[ \"$1 $2\" = '-qa --qf' ] && printf 'glibc 2.34-100.el9\\nopenssl 1:3.0.7-27.el9\\n'\n"
    made = base.build(f"FROM {ROOT_IMAGE}\nCOPY rpm /usr/bin/rpm\nRUN mkdir /var/lib/rpm\n", {"rpm": rpm})
    assert tuple(one for one in made.packages() if one.manager == "rpm") == (
        Package("rpm", "glibc", "2.34-100.el9"),
        Package("rpm", "openssl", "1:3.0.7-27.el9"),
    )


@pytest.mark.parametrize("name", ENGINES)
def test_checks_and_packages_are_the_same_on_every_engine(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", ensure([name])[name])
    client: APIClient = connect().client()
    there = Base(client, f"sdtest-{os.getpid()}-{time.time_ns() % 10**9}")
    try:
        assert there.check("echo fine", ("python3", "-c", "print('too')")) is None
        assert [line for _, line in there.told] == ["fine", "too"]
        failure = there.check("seq 1 100000; exit 3")
        assert failure is not None
        assert (failure.reason, failure.output[-1]) == ("exit code 3", "100000")
        failure = there.check(("nonsense",))
        assert failure is not None
        assert failure.reason == "no such program"
        failure = there.check("sleep 600", timeout_s=0.5)
        assert failure is not None
        assert failure.reason == "took longer than 0.5 s"
        found = there.packages()
        assert {"dpkg", "pip"} == {one.manager for one in found}
        assert {"libc6", "pip", "setuptools"} <= {one.name for one in found}
        assert tidy_checks(client, there.project) == 0
        assert there.containers() == []
    finally:
        for row in there.containers():
            client.remove_container(row["Id"], force=True)
        client.close()
