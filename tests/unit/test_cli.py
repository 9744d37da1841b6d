"""The command line without an engine: commands, exit codes, which stream says what."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from console import __version__
from console.cli import main
from console.errors import EngineUnreachableError, ExitCode
from tests.fakes import make_project


def splitdeck(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs the command where no engine is."""
    environment = {**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock", "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "console", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.DEVNULL,
        timeout=30,
        check=False,
    )


def test_help_lists_commands_and_exit_codes(tmp_path: Path) -> None:
    result = splitdeck("--help", cwd=tmp_path)
    assert result.returncode == ExitCode.OK
    for expected in ("run", "build", "compare", "doctor", "base", "-C, --directory DIR", "--config FILE"):
        assert expected in result.stdout
    told = " ".join(result.stdout.split())
    assert "0 done, 1 a build or check failed, 2 usage or config error, 3 no engine reachable, 130 interrupted" in told
    assert [int(code) for code in ExitCode] == [0, 1, 2, 3, 130]


@pytest.mark.parametrize("command", ["run", "build"])
def test_every_command_has_its_help(tmp_path: Path, command: str) -> None:
    result = splitdeck(command, "-h", cwd=tmp_path)
    assert result.returncode == 0
    assert "--json" in result.stdout


@pytest.mark.parametrize("place", [("-C", "project", "base", "list"), ("base", "list", "-C", "project")])
def test_an_option_means_the_same_before_a_group_and_after_its_command(tmp_path: Path, place: tuple[str, ...]) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "config.toml").write_text("[base]\n")
    result = splitdeck(*place, cwd=tmp_path)
    assert result.returncode == ExitCode.USAGE
    assert "project/config.toml" in result.stderr


def test_the_doctors_help_says_what_its_exit_codes_mean(tmp_path: Path) -> None:
    result = splitdeck("doctor", "-h", cwd=tmp_path)
    assert result.returncode == 0
    assert "Exit code 1 if anything is in the way, 3 without an engine" in " ".join(result.stdout.split())


@pytest.mark.parametrize("with_config", [True, False])
def test_the_doctor_goes_on_without_an_engine_or_a_config(tmp_path: Path, with_config: bool) -> None:
    if with_config:
        make_project(tmp_path)
    result = splitdeck("doctor", cwd=tmp_path)
    assert result.returncode == ExitCode.NO_ENGINE
    assert result.stderr == "", "what it finds is its result"
    assert ("✔ config" in result.stdout) is with_config
    assert ("✔ app" in result.stdout) is with_config
    assert "✘ engine            no container engine answers at unix:///nowhere/docker.sock" in result.stdout
    assert "hint: start it" in result.stdout


def test_the_doctor_speaks_to_terminals_without_its_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    make_project(tmp_path)
    result = splitdeck("doctor", cwd=tmp_path)
    assert result.returncode == ExitCode.NO_ENGINE
    assert "? config" in result.stdout


def test_the_version(tmp_path: Path) -> None:
    result = splitdeck("--version", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, f"splitdeck {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--nonsense",), "--nonsense"),
        (("run", "--nonsense"), "--nonsense"),
        (("frobnicate",), "frobnicate"),
        (("build",), "Missing argument 'target'"),
        (("build", "everything"), "'everything' is not one of 'app', 'base', 'legacy'"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    result = splitdeck(*arguments, cwd=tmp_path)
    assert result.returncode == ExitCode.USAGE
    assert told in result.stderr
    assert result.stdout == ""


def test_a_folder_that_is_not_there_is_not_taken_for_the_project_above_it(tmp_path: Path) -> None:
    make_project(tmp_path)
    result = splitdeck("run", "-C", "typo", cwd=tmp_path)
    assert result.returncode == ExitCode.USAGE
    assert "'typo' does not exist" in result.stderr


@pytest.mark.parametrize("arguments", [(), ("run",), ("run", "--json"), ("build", "app")])
def test_no_config_ends_with_2_and_a_hint(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = splitdeck(*arguments, cwd=tmp_path)
    assert result.returncode == ExitCode.USAGE
    assert f"splitdeck: no config.toml in {tmp_path} or above it\n    hint: " in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--plain", "-C", "{project}"),
        ("-C", "{project}", "run", "--plain"),
        ("-C", "{project}"),
        ("-C", "{project}/sub", "build", "app"),
        ("build", "base", "--config", "{project}/config.toml"),
        ("--config", "{project}/config.toml", "build", "base"),
        ("-C", "/", "run", "-C", "{project}"),
    ],
)
def test_the_project_may_be_named_before_and_after_the_command(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Without an engine the end is 3: then the config has been found."""
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    (project / "sub").mkdir(parents=True)
    elsewhere.mkdir()
    make_project(project)
    result = splitdeck(*(each.format(project=project) for each in arguments), cwd=elsewhere)
    assert result.returncode == ExitCode.NO_ENGINE, result.stderr
    assert "no container engine answers at unix:///nowhere/docker.sock" in result.stderr
    assert "hint: start it" in result.stderr
    assert f"on demo ({project / 'config.toml'})" in result.stdout


def test_an_error_is_one_message_and_one_hint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise EngineUnreachableError("nobody there", "start it")

    monkeypatch.setattr("console.cli.app", fail)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == ExitCode.NO_ENGINE
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "splitdeck: nobody there\n    hint: start it\n")


HUNG = """
import asyncio, queue, types
from console import cli_common, session
session.STOP_DEADLINE_S, cli_common._GRACE_S = 0.1, 0.1
async def hang():
    await asyncio.sleep(0)
    print("hangs", flush=True)
    queue.SimpleQueue().get()  # the event loop waits for what never comes
cli_common.finish(hang(), types.SimpleNamespace(run=types.SimpleNamespace(stop_grace_s=0.1)))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_program_even_if_the_event_loop_hangs(number: int) -> None:
    with subprocess.Popen([sys.executable, "-c", HUNG], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "hangs\n"
            process.send_signal(number)
            assert process.wait(20) == ExitCode.INTERRUPTED
        finally:
            process.kill()
