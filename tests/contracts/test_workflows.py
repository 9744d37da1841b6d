"""The workflows: valid, safe, and made of commands that there are.

What a workflow does is a `splitdeck` command or a script, so that it can be run and tested here; this holds each
command line in them against the real command line.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer.core
import typer.main
from ruamel.yaml import YAML

from console.cli import app
from console.config import load_config
from console.history.budget import parse_budget
from console.loop.fingerprint import read_base_inputs
from console.watch.ignore import load_ignore

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())
ACTIONS = sorted((ROOT / ".github" / "actions").glob("*/action.yml"))
NAMES = ["docker-build-base.yml", "docker-build-test.yml", "docker-publish-ghcr.yml", "docker-release.yml"]
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""Typer has parts of click of its own, or click's, depending on its version."""
STRICT_SHELL = "bash --noprofile --norc -euo pipefail {0}"

RIGHTS: dict[str, dict[str, str]] = {
    "docker-build-base.yml base": {"contents": "read", "packages": "write"},
    "docker-build-base.yml issue": {"contents": "read", "issues": "write"},
    "docker-build-base.yml app": {"contents": "read", "packages": "write"},
    "docker-build-test.yml app": {"contents": "read", "packages": "read"},
    "docker-publish-ghcr.yml app": {"contents": "read", "packages": "write"},
    "docker-release.yml app": {"contents": "read", "packages": "write"},
    "docker-release.yml notes": {"contents": "write"},
}
"""What each job may do, and nothing else: whoever widens it says so here."""


def read(path: Path) -> dict[str, Any]:
    """A YAML file as GitHub reads it: by YAML 1.2, in which `on` is a word."""
    loaded: dict[str, Any] = YAML(typ="safe", pure=True).load(path)
    return loaded


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each job of each workflow, as `file job`."""
    for path in WORKFLOWS:
        for name, job in read(path)["jobs"].items():
            yield f"{path.name} {name}", job


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each step of each job and action, with a name to find it by."""
    lists = [(name, job.get("steps", [])) for name, job in jobs()]
    lists += [(path.parent.name, read(path)["runs"]["steps"]) for path in ACTIONS]
    for name, listed in lists:
        for step in listed:
            yield f"{name}: {step.get('name', step.get('uses'))}", step


RUNS = {name: str(step["run"]) for name, step in steps() if "run" in step}


def commands(block: str) -> Iterator[list[str]]:
    """The simple commands of a shell text, each as its words."""
    lexer = shlex.shlex(block.replace("\\\n", " ").replace("\n", ";\n"), posix=True, punctuation_chars=";&|(){}<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word[0] in ";&|(){}":
            if words:
                yield words
            words = []
        elif word[0] in "<>":
            words.append("<>")  # the next one is a file's name
        else:
            words.append(word)


def called(name: str) -> Iterator[tuple[str, list[str]]]:
    """Where a program is called in the steps, and its arguments."""
    for place, block in RUNS.items():
        for words in commands(block):
            if words[0] == name:
                yield place, words[1 : words.index("<>")] if "<>" in words else words[1:]


def parse(arguments: list[str]) -> None:
    """Parses a command line as the real command does, without doing it.

    Raises:
        UsageError: If there is no such command, option or value, or too few or many arguments.
    """
    command: Any = typer.main.get_command(app)
    context = command.make_context("splitdeck", list(arguments))
    while isinstance(command, typer.core.TyperGroup) and (rest := [*context._protected_args, *context.args]):
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)


# --- valid --------------------------------------------------------------------------------------------------------


def test_there_are_the_four_of_the_plan() -> None:
    assert [path.name for path in WORKFLOWS] == NAMES


@pytest.mark.parametrize(
    ("schema", "paths"),
    [
        ("github-workflows", WORKFLOWS),
        ("github-actions", ACTIONS),
        ("dependabot", [ROOT / ".github" / "dependabot.yml"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_they_are_valid_by_their_public_schemas(schema: str, paths: list[Path]) -> None:
    command = [BIN / "check-jsonschema", "--builtin-schema", f"vendor.{schema}", *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_when_they_run_is_what_the_plan_says() -> None:
    base, test, publish, release = (read(path)["on"] for path in WORKFLOWS)
    assert base["schedule"] == [{"cron": "0 0 * * 0"}], "Sundays at midnight"
    assert base["workflow_dispatch"]["inputs"].keys() == {"force", "allow_major"}
    assert base["push"]["branches"] == publish["push"]["branches"] == ["main"]
    assert release["push"] == {"tags": ["v*"]}
    assert test.keys() == {"pull_request"}


def test_every_input_of_the_base_starts_its_workflow() -> None:
    paths = set(read(ROOT / ".github" / "workflows" / "docker-build-base.yml")["on"]["push"]["paths"])
    inputs = read_base_inputs(load_config(ROOT / "config.toml"), load_ignore).files
    assert inputs
    assert set(inputs) <= paths
    assert all((ROOT / path).exists() for path in paths)
    assert "config.toml" in paths, "build arguments and checks stand there"


def test_what_expressions_refer_to_is_there() -> None:
    for path in WORKFLOWS:
        workflow = read(path)
        inputs = ((workflow["on"].get("workflow_dispatch") or {}).get("inputs") or {}).keys()
        for name, job in workflow["jobs"].items():
            text, needs = str(job), {job["needs"]} if isinstance(job.get("needs"), str) else set(job.get("needs", ()))
            ids = {step["id"] for step in job.get("steps", ()) if "id" in step}
            assert set(re.findall(r"\bsteps\.([\w-]+)", text)) <= ids, f"{path.name} {name}"
            assert set(re.findall(r"\bneeds\.([\w-]+)", text)) <= needs <= workflow["jobs"].keys(), (
                f"{path.name} {name}"
            )
            for needed, output in re.findall(r"\bneeds\.([\w-]+)\.outputs\.([\w-]+)", text):
                assert output in workflow["jobs"][needed]["outputs"], f"{path.name} {name}"
            assert set(re.findall(r"\binputs\.([\w-]+)", text)) <= inputs, f"{path.name} {name}"


# --- safe ---------------------------------------------------------------------------------------------------------


def test_an_audit_for_workflows_finds_nothing() -> None:
    command = [BIN / "zizmor", "--offline", "--no-progress", "--min-severity", "medium", ROOT / ".github"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_jobs_may_do_what_they_need_and_nothing_else() -> None:
    assert all(read(path)["permissions"] == {} for path in WORKFLOWS)
    assert {name: job["permissions"] for name, job in jobs()} == RIGHTS


def test_what_strangers_propose_never_gets_a_right_to_write() -> None:
    for path in WORKFLOWS:
        triggers = set(read(path)["on"])
        assert not triggers & {"pull_request_target", "workflow_run", "issue_comment", "issues"}, path.name
        if "pull_request" in triggers:
            rights = [right for name, job in RIGHTS.items() if name.startswith(path.name) for right in job.values()]
            assert set(rights) == {"read"}, path.name


def test_only_main_is_published() -> None:
    for name in ("docker-build-base.yml base", "docker-publish-ghcr.yml app"):
        assert dict(jobs())[name]["if"] == "github.ref == 'refs/heads/main'", name


def test_actions_of_others_are_pinned_to_a_commit_with_its_version_beside_it() -> None:
    pins: dict[str, set[str]] = {}
    for path in [*WORKFLOWS, *ACTIONS]:
        for used in re.findall(r"^\s*(?:- )?uses: *(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE):
            if used.startswith("./"):
                target = ROOT / used
                assert target.is_file() or (target / "action.yml").is_file(), f"{path.name}: {used}"
                continue
            pinned = re.fullmatch(r"([\w-]+/[\w/-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)", used)
            assert pinned, f"{path.name}: {used}"
            pins.setdefault(pinned[1], set()).add(pinned[2])
    assert "actions/checkout" in pins
    assert all(len(commits) == 1 for commits in pins.values()), pins


def test_no_checkout_leaves_the_token_behind() -> None:
    checkouts = [step for _, step in steps() if str(step.get("uses")).startswith("actions/checkout@")]
    assert len(checkouts) == 6
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_every_job_ends_in_time() -> None:
    for name, job in jobs():
        if "uses" not in job:
            assert 0 < job["timeout-minutes"] <= 60, name


def test_two_runs_that_publish_never_race() -> None:
    groups = {path.name: read(path).get("concurrency") for path in WORKFLOWS}
    assert groups["docker-build-base.yml"] == "docker-build-base", "a running one is never cancelled"
    assert groups["docker-release.yml"] == "docker-release-${{ github.ref }}"
    assert dict(jobs())["docker-publish-ghcr.yml app"]["concurrency"] == "docker-publish-ghcr", (
        "also where it is called"
    )


# --- made of commands that can be run here ------------------------------------------------------------------------


@pytest.mark.parametrize("name", RUNS)
def test_nothing_is_written_into_a_shell_text(name: str) -> None:
    assert "${{" not in RUNS[name], "it goes through env"


def test_every_shell_ends_at_the_first_error() -> None:
    for path in WORKFLOWS:
        assert read(path)["defaults"]["run"]["shell"] == STRICT_SHELL, path.name
    for name, step in steps():
        assert step.get("shell", STRICT_SHELL) == STRICT_SHELL, name


@pytest.mark.parametrize("name", RUNS)
def test_the_shell_has_no_fault(name: str) -> None:
    text = f"#!/usr/bin/env bash\nset -euo pipefail\n{RUNS[name]}\n"
    for command in (["bash", "-n"], [str(BIN / "shellcheck"), "-"]):
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", RUNS)
def test_steps_are_thin(name: str) -> None:
    assert len(RUNS[name].strip().splitlines()) <= 5
    assert not re.search(r"\b(if|for|while|case)\b", RUNS[name]), "what has logic is a script with a test"


def test_every_splitdeck_command_is_one() -> None:
    found = list(called("splitdeck"))
    assert {name.partition(" ")[0] for name, _ in found} == set(NAMES) - {"docker-build-base.yml"}
    for place, arguments in found:
        try:
            parse(arguments)
        except UsageError as error:
            pytest.fail(f"{place}: splitdeck {shlex.join(arguments)}: {error}")


def test_what_is_no_splitdeck_command_is_found() -> None:
    for wrong in ("nonsense", "run --nonsense", "build", "build nonsense", "run too many", "base", "base nonsense"):
        with pytest.raises(UsageError):
            parse(wrong.split())


def test_the_budget_is_one() -> None:
    (arguments,) = [words for _, words in called("splitdeck") if words[0] == "compare"]
    budget = parse_budget(arguments[arguments.index("--budget") + 1])
    assert budget.text == "app.code-change.p50<60s", "what the plan asked for"


def test_every_script_is_there_and_knows_what_it_is_asked_for() -> None:
    scripts = {words[0] for block in RUNS.values() for words in commands(block) if words[0].startswith("scripts/")}
    assert scripts == {"scripts/base-issue.sh", "scripts/docker-dev.sh", "scripts/release-notes.sh"}
    helps = {}
    for script in scripts:
        done = subprocess.run([ROOT / script, "--help"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, script
        helps[script] = done.stdout
    for script in scripts:
        for place, arguments in called(script):
            options = [word for word in arguments if word.startswith("-")]
            assert all(option in helps[script] for option in options), f"{place}: {arguments}"
    for place, (verb, *_) in called("scripts/docker-dev.sh"):
        assert re.search(rf"^  {verb}\b", helps["scripts/docker-dev.sh"], re.MULTILINE), f"{place}: {verb}"
    assert {words[0] for _, words in called("python3")} == {"scripts/publish_base.py"}
    assert (ROOT / "scripts" / "publish_base.py").is_file()


def test_variables_that_steps_read_are_set_somewhere() -> None:
    """By the runner, the job, the step, or the action that comes before them."""
    given = set(
        re.findall(r'"?([A-Z][A-Z_]+)=', "".join(block for name, block in RUNS.items() if "splitdeck:" in name))
    )
    for name, step in steps():
        env: Mapping[str, Any] = step.get("env") or {}
        read_here = set(re.findall(r"\$\{?([A-Z][A-Z_]+)", str(step.get("run", ""))))
        missing = {one for one in read_here - set(env) - given if not one.startswith(("GITHUB_", "RUNNER_"))}
        assert not missing, f"{name}: {missing}"
