"""docs/plan.md: every row of the plan is on it, and each file, command, setting and test that it names is there."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.core
import typer.main
from ruamel.yaml import YAML

from console.cli import app
from console.history.budget import parse_budget

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "plan.md"
PAGES = ("README.md", "docker/README.md", "docker/DEVELOPMENT.md", "docs/plan.md")

PLAN = {
    "File structure": (
        "docker/base.Dockerfile",
        "docker/app.Dockerfile",
        "docker/README.md",
        "docker/DEVELOPMENT.md",
        "docker-build-base.yml",
        "docker-publish-ghcr.yml",
        "docker-release.yml",
        "docker-build-test.yml",
        "scripts/docker-dev.sh",
        "docker-compose.yml",
        "docker-compose.dev.yml",
        "docker-compose.prod.yml",
        "Dockerfile.legacy",
        "main README's Docker section",
    ),
    "Base image contents": (
        "Python slim base",
        "System packages: gcc, g++, git, ripgrep",
        "All requirements.txt dependencies",
        "Pre-download sentence transformer models",
        "Pre-compile tree-sitter languages",
        "Create ragex user and directories",
        "Size ~1.5GB: Python 150MB, system packages 100MB, Python dependencies 1.2GB, models 50MB (estimate)",
        "Python dependencies: PyTorch 800MB, sentence transformers 200MB, other 200MB (estimate)",
        "Published to the registry as its own image",
    ),
    "Application image contents": (
        "FROM base image (with ARG for version)",
        "Copy application code only",
        "Environment variables and entrypoint",
        "Size ~50MB additional: source 5MB, scripts 1MB, configuration 1MB (estimate)",
        "Published to the registry as its own image",
    ),
    "Triggers": (
        "Manual dispatch",
        "Weekly schedule (Sundays at midnight)",
        "Changes to requirements.txt",
        "Changes to base.Dockerfile",
        "App image built on every code change",
    ),
    "Version management": (
        "latest: always latest stable",
        "YYYY.MM.DD: date-based tags",
        "sha-XXXXXXX: Git SHA based",
        "Automated weekly rebuilds",
        "Security patches applied automatically",
        "Major updates require manual approval",
    ),
    "Pinning": (
        "Development: use latest base",
        "Production: pin to specific date tag",
        "Hotfixes: can update app without base",
    ),
    "Rollback": (
        "Keep current Dockerfile as Dockerfile.legacy",
        "Workflows can be reverted via Git",
        "Base image failures don't block app builds",
        "Can quickly switch back to monolithic build",
    ),
    "Success metrics": (
        "Reduce build time to <1 minute for code changes",
        "Maintain all current functionality",
        "No increase in operational complexity",
        "Build time reduction: 80-90% (target)",
        "Developer iteration speed: 5-10x faster (target)",
        "CI/CD pipeline time: 70% reduction (target)",
        "Registry storage: more efficient with layering",
    ),
    "Risks and mitigations": (
        "Base image build failures (weekly, monitored)",
        "Slightly larger total image size",
        "Additional workflow complexity",
        "Fallback to previous base image",
        "Health checks in workflows",
        "Comprehensive testing before migration",
    ),
    "Workflows and tooling": (
        "Workflows: file docker/app.Dockerfile",
        "Workflows: build-args BASE_IMAGE",
        "Pull or build base image",
        "Quick rebuild app image",
        "Run with proper mounts",
        "Reference app.Dockerfile",
        "Add BASE_IMAGE build arg",
        "Add source code volume mounts for dev",
    ),
    "Migration steps": (
        "Merge base image code to main",
        "Build and publish base image",
        "Update all workflows",
        "Test complete pipeline",
        "Archive old Dockerfile",
    ),
    "Build time estimates": (
        "System packages: 30s → 0s (estimate)",
        "Python deps: 4min → 0s (estimate)",
        "Code copy: 10s → 10s (estimate)",
        "Other: 30s → 20s (estimate)",
        "Total: 5-7min → 30-60s (estimate)",
    ),
}
"""The plan's lists, part by part."""

WORDS = {
    "BASE_IMAGE",
    "PIP_EXTRA_INDEX_URL",
    "/app",
    "/workspace",
    "app",
    "latest",
    "m",
    "rg",
    "git",
    'cron: "0 0 * * 0"',
}
"""What stands as code on the page and is neither file, command nor setting."""
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""Typer has parts of click of its own, or click's, depending on its version."""


class Row(NamedTuple):
    """A row of a table on the page."""

    part: str
    plan: str
    delivered: str
    shown: str


def rows() -> Iterator[Row]:
    part = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            part = line[3:]
        elif line.startswith("|") and not line.startswith(("| the plan |", "| --- |")):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            assert len(cells) == 3, line
            yield Row(part, *cells)


def named(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


DELIVERED = sorted({name for row in rows() for name in named(row.delivered)})
TESTS = sorted({name for row in rows() for name in named(row.shown)})


def test_every_row_of_the_plan_is_there_in_its_order() -> None:
    found: dict[str, tuple[str, ...]] = {}
    for row in rows():
        found[row.part] = (*found.get(row.part, ()), row.plan)
    assert found == PLAN


def test_each_row_names_what_delivers_it_and_a_test() -> None:
    for row in rows():
        assert named(row.delivered), row.plan
        assert named(row.shown), row.plan


@cache
def names_of_tests(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in tree.body if isinstance(node, functions) and node.name.startswith("test_"))


@pytest.mark.parametrize("name", TESTS)
def test_each_test_on_the_page_exists(name: str) -> None:
    path, _, function = name.partition("::")
    assert function in names_of_tests(path)


@pytest.mark.parametrize("name", DELIVERED)
def test_what_delivers_a_row_exists(name: str) -> None:
    program, *arguments = shlex.split(name)
    if program == "splitdeck":
        parse(arguments)
    elif program == "gh":
        check_dispatch(arguments)
    elif program == "scripts/docker-dev.sh" and arguments:
        assert re.search(rf"^verb_{arguments[0]}\(\)", (ROOT / program).read_text(), re.MULTILINE)
    elif setting := re.fullmatch(r"\[([\w.]+)\] (\w+)", name):
        assert setting[2] in settings()[setting[1]]
    elif program == "python":
        assert (ROOT / arguments[0]).is_file()
    elif name not in WORDS and program != "docker":
        assert (ROOT / name).exists()


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
    for budget in context.params.get("budget") or ():
        parse_budget(budget)


@pytest.mark.parametrize(
    "wrong", ["nonsense", "base nonsense", "base use", "base build --nonsense", "compare --runs x"]
)
def test_a_command_that_is_none_is_found(wrong: str) -> None:
    with pytest.raises(UsageError):
        parse(wrong.split())


def check_dispatch(arguments: list[str]) -> None:
    """Holds `gh workflow run FILE -f NAME=VALUE …` against the workflow."""
    verb, workflow, options = arguments[:2], arguments[2], arguments[3:]
    assert verb == ["workflow", "run"]
    triggers = YAML(typ="safe", pure=True).load(ROOT / ".github" / "workflows" / workflow)["on"]
    wanted = [value.partition("=")[0] for value in options if value != "-f"]
    assert set(wanted) <= triggers["workflow_dispatch"]["inputs"].keys()


@cache
def settings() -> dict[str, set[str]]:
    """Table of config.toml → its keys, by the page that is written from the code."""
    found: dict[str, set[str]] = {}
    table = ""
    for line in (ROOT / "docs" / "config.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## ["):
            table = line.strip("# []")
        elif key := re.match(r"\| `(\w+)` \|", line):
            found.setdefault(table, set()).add(key[1])
    return found


def test_estimates_are_called_that_and_measured_figures_stand_elsewhere() -> None:
    figure = re.compile(r"\d ?(s|min|ms|MB|GB|%|x|×)(?![\w.-])")
    for row in rows():
        if figure.search(row.plan):
            assert row.plan.endswith(("(estimate)", "(target)")), row.plan
        assert not figure.search(row.delivered.replace("<60s'", "")), row.plan
    text = PAGE.read_text(encoding="utf-8")
    benchmarks = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    for section in set(re.findall(r"\[benchmarks\.md\]\(benchmarks\.md\),\s+\*([^*]+)\*", text)):
        assert f"## {section}\n" in benchmarks
    assert "*codesearch: legacy against split*" in text


def anchors(page: Path) -> set[str]:
    """Where links into a page can lead, as GitHub makes them of its headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_pages_and_sections_that_there_are(page: str) -> None:
    here = ROOT / page
    for path, section in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", here.read_text(encoding="utf-8")):
        target = here.parent / path if path else here
        assert target.exists(), path
        if section:
            assert section in anchors(target), f"{path}#{section}"


def test_the_base_installs_what_the_plan_lists() -> None:
    dockerfile = (ROOT / "docker" / "base.Dockerfile").read_text()
    (installed,) = re.findall(r"apt-get install -y --no-install-recommends (.*) \\", dockerfile)
    assert set(installed.split()) == {"gcc", "g++", "git", "ripgrep"}
    assert "pip install --no-cache-dir -r /opt/requirements.txt" in dockerfile
    grammars = re.findall(r"^(tree-sitter-\w+)", (ROOT / "sample" / "requirements.txt").read_text(), re.MULTILINE)
    assert grammars
    for grammar in grammars:
        assert f"{grammar.replace('-', '_')} as " in dockerfile, f"{grammar} is not loaded"
    assert "useradd --create-home app" in dockerfile
    assert "/workspace" in dockerfile


def test_the_app_s_dockerfile_installs_nothing() -> None:
    lines = (ROOT / "docker" / "app.Dockerfile").read_text().splitlines()
    instructions = [line.split()[0] for line in lines if re.match(r"[A-Z]+ ", line)]
    assert set(instructions) == {"ARG", "FROM", "ENV", "EXPOSE", "USER", "ENTRYPOINT", "COPY"}
    assert instructions[-1] == "COPY", "so that a save makes one layer"
