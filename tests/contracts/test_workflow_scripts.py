"""The scripts that the workflows run, with a `splitdeck` and a `gh` that write down what they are asked for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from console import events as ev
from console.base_values import BaseStatus, BaseVersion, HeldBase, HeldBecause, PackageChange
from console.event_json import to_json
from console.events import Stamped
from tests.contracts.test_workflows import parse

ROOT = Path(__file__).parents[2]
OLD = BaseVersion("sha256:old", ("2026.11.22", "latest"), 1.0, 1, version="2026.11.22")
NEW = BaseVersion("sha256:new", ("2026.11.29", "latest"), 2.0, 1, version="2026.11.29")
RUN_URL = "https://github.com/Us/App/actions/runs/7"
STAND_IN = """#!{python}
import json, pathlib, sys
here = pathlib.Path(__file__)
asked = {{"arguments": sys.argv[1:], "stdin": sys.stdin.read()}}
with here.with_suffix(".calls").open("a") as calls:
    calls.write(json.dumps(asked) + "\\n")
answers = json.loads(here.with_suffix(".answers").read_text())
told = answers.get(" ".join(sys.argv[1:3]), [])
code, text = told.pop(0) if told else (0, "")
here.with_suffix(".answers").write_text(json.dumps(answers))
sys.stdout.write(text)
sys.exit(code)
"""


class Program:
    """A stand-in for a program.

    Args:
        folder: Where to put it; to be on the PATH.
        name: The program's.
        answers: Its first two arguments → exit code and output of the first call, the second, …; later ones and all
            others go well without a word.
    """

    def __init__(self, folder: Path, name: str, answers: Mapping[str, Sequence[tuple[int, str]]]) -> None:
        self._file = folder / name
        self._file.write_text(STAND_IN.format(python=sys.executable))
        self._file.chmod(0o755)
        self._file.with_suffix(".answers").write_text(json.dumps(dict(answers)))

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of each call."""
        return [asked["arguments"] for asked in self._asked()]

    @property
    def heard(self) -> str:
        """What the last call read."""
        return str(self._asked()[-1]["stdin"])

    def _asked(self) -> list[dict[str, Any]]:
        kept = self._file.with_suffix(".calls")
        return [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []


def run(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PATH": path, "GITHUB_REPOSITORY": "Us/App", "RUN_URL": RUN_URL, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def told(event: ev.Event) -> str:
    """As `--json` tells it."""
    return "".join(f"{line}\n" for line in to_json(Stamped(1.0, event)))


def listed(*versions: BaseVersion) -> tuple[int, str]:
    return 0, told(ev.BaseVersionsListed(versions))


def held(because: HeldBecause, *majors: PackageChange) -> tuple[int, str]:
    kept = HeldBase(because, "as it was told", "2026.11.29", majors)
    return 0, told(ev.BaseChecked(BaseStatus("app-base:latest", present=True, held=kept)))


class Renewal:
    """A run of scripts/publish_base.py."""

    def __init__(
        self,
        folder: Path,
        answers: Mapping[str, Sequence[tuple[int, str]]],
        *,
        force: bool = False,
        major: bool = False,
    ) -> None:
        splitdeck = Program(folder, "splitdeck", answers)
        files = {name: str(folder / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        wishes = {"FORCE": str(force).lower(), "ALLOW_MAJOR": str(major).lower()}
        self.done = run(folder, sys.executable, "scripts/publish_base.py", **files, **wishes)
        self.calls = [call[1:] for call in splitdeck.calls]
        self.all_calls = splitdeck.calls
        written = (folder / "GITHUB_OUTPUT").read_text()
        found = re.fullmatch(r"outcome=(\w+)\nreport<<(\S+)\n(.*)\n\2\n", written, re.DOTALL)
        assert found, written
        self.outcome, self.report = found[1], found[3]
        assert (folder / "GITHUB_STEP_SUMMARY").read_text() == f"{self.report}\n"


def test_a_new_base_is_held_against_the_published_one_and_told_with_what_it_changes(tmp_path: Path) -> None:
    diff = "base 2026.11.22 → 2026.11.29: 1 changed\n  pip numpy 2.1.0 → 2.1.1\n"
    answers = {"base list": [listed(OLD), listed(NEW)], "base diff": [(0, diff)]}
    renewal = Renewal(tmp_path, answers)
    assert renewal.done.returncode == 0
    assert renewal.calls == [
        ["pull"],
        ["list", "--json"],
        ["build", "--publish"],
        ["list", "--json"],
        ["diff", "2026.11.22", "2026.11.29"],
    ]
    assert renewal.outcome == "published"
    assert renewal.report.startswith("The base is `2026.11.29` now, after `2026.11.22`.\n\n")
    assert "\n      pip numpy 2.1.0 → 2.1.1" in renewal.report


@pytest.mark.parametrize(
    ("force", "major", "options"),
    [
        (True, False, ["--force", "--no-cache"]),
        (False, True, ["--allow-major"]),
        (True, True, ["--force", "--no-cache", "--allow-major"]),
    ],
)
def test_what_is_wished_for_becomes_options(tmp_path: Path, force: bool, major: bool, options: list[str]) -> None:
    renewal = Renewal(tmp_path, {"base list": [listed(OLD), listed(NEW)]}, force=force, major=major)
    assert ["build", "--publish", *options] in renewal.calls


def test_every_command_of_a_renewal_is_one(tmp_path: Path) -> None:
    answers = {"base list": [listed(OLD), listed(NEW)]}
    for number, name in enumerate(("published", "failed")):
        folder = tmp_path / name
        folder.mkdir()
        for call in Renewal(folder, {**answers, "base build": [(number, "")]}, force=True, major=True).all_calls:
            parse(call)


def test_where_nothing_had_to_be_built_that_is_said(tmp_path: Path) -> None:
    renewal = Renewal(tmp_path, {"base list": [listed(OLD), listed(OLD)]})
    assert (renewal.outcome, renewal.done.returncode) == ("fresh", 0)
    assert "`2026.11.22`" in renewal.report


def test_a_held_base_names_its_majors_and_how_to_approve_them(tmp_path: Path) -> None:
    majors = PackageChange("pip", "numpy", "1.26.4", "2.1.0", True), PackageChange("dpkg", "gcc", "12.2", "14.1", True)
    answers = {"base list": [listed(OLD)], "base build": [(1, "")], "base status": [held(HeldBecause.MAJOR, *majors)]}
    renewal = Renewal(tmp_path, answers)
    assert (renewal.outcome, renewal.done.returncode) == ("held", 1)
    assert "| `pip` | `numpy` | `1.26.4` | `2.1.0` |\n| `dpkg` | `gcc` | `12.2` | `14.1` |" in renewal.report
    assert "gh workflow run docker-build-base.yml -f force=true -f allow_major=true" in renewal.report


def test_what_images_hold_cannot_write_markdown(tmp_path: Path) -> None:
    major = PackageChange("pip", "evil`|\n\n# @everyone", "1", "2", True)
    answers = {"base list": [listed(OLD)], "base build": [(1, "")], "base status": [held(HeldBecause.MAJOR, major)]}
    assert "| `pip` | `evil # @everyone` | `1` | `2` |" in Renewal(tmp_path, answers).report


@pytest.mark.parametrize("because", [HeldBecause.BUILD, HeldBecause.CHECK, None])
def test_a_failure_is_told_with_its_last_lines(tmp_path: Path, because: HeldBecause | None) -> None:
    said = "".join(f"\x1b[31mline {number}\x1b[0m {'x' * 500}\n" for number in range(100)) + "~~~ ``` </pre>\n"
    state = (0, told(ev.BaseChecked(BaseStatus("app-base:latest", present=True))))
    answers = {
        "base list": [listed(OLD)],
        "base build": [(1, said)],
        "base status": [held(because) if because else state],
    }
    renewal = Renewal(tmp_path, answers)
    assert (renewal.outcome, renewal.done.returncode) == ("failed", 1)
    quoted = renewal.report.partition("The last lines:\n\n")[2].splitlines()
    assert [line.split()[1] for line in quoted[:-1]] == [str(number) for number in range(61, 100)]
    assert all(line.startswith("    ") and "\x1b" not in line and len(line) <= 304 for line in quoted)
    assert quoted[-1] == "    ~~~ ``` </pre>"
    assert said in renewal.done.stdout, "all of it is in the run's own log"


def test_without_the_published_base_nothing_is_built(tmp_path: Path) -> None:
    renewal = Renewal(tmp_path, {"base pull": [(1, "splitdeck: the registry is away\n")]}, force=True)
    assert (renewal.outcome, renewal.done.returncode) == ("failed", 1)
    assert renewal.calls == [["pull"]], "what it would change could not be told, so a major update would slip through"
    assert "-f allow_major=true" in renewal.report
    assert "    splitdeck: the registry is away" in renewal.report


def test_the_first_base_is_made_on_purpose(tmp_path: Path) -> None:
    answers = {"base pull": [(1, "no such image\n")], "base list": [listed(), listed(NEW)]}
    renewal = Renewal(tmp_path, answers, major=True)
    assert (renewal.outcome, renewal.done.returncode) == ("published", 0)
    assert renewal.report == "The base is `2026.11.29` now."


def test_the_exit_code_is_that_of_the_command(tmp_path: Path) -> None:
    assert Renewal(tmp_path, {"base pull": [(3, "no engine\n")]}).done.returncode == 3


# --- the issue ----------------------------------------------------------------------------------------------------


def tell(folder: Path, outcome: str, report: str, open_issue: str = "") -> Program:
    gh = Program(folder, "gh", {"issue list": [(0, f"{open_issue}\n" if open_issue else "")]})
    done = run(folder, "scripts/base-issue.sh", OUTCOME=outcome, REPORT=report)
    assert done.returncode == 0, done.stderr
    return gh


@pytest.mark.parametrize(
    ("outcome", "title"),
    [("held", "A new base image waits for approval"), ("failed", "The base image could not be renewed")],
)
def test_what_did_not_go_well_opens_an_issue(tmp_path: Path, outcome: str, title: str) -> None:
    gh = tell(tmp_path, outcome, "two\n\n    $(lines) `of` it")
    assert [call[:2] for call in gh.calls] == [["issue", "list"], ["label", "create"], ["issue", "create"]]
    assert gh.calls[-1] == ["issue", "create", "--title", title, "--label", "base-image", "--body-file", "-"]
    assert gh.heard == f"two\n\n    $(lines) `of` it\n\n[The run]({RUN_URL})\n"


def test_one_that_is_open_gets_a_comment(tmp_path: Path) -> None:
    gh = tell(tmp_path, "failed", "again", open_issue="12")
    asked = ["--label", "base-image", "--state", "open", "--limit", "1", "--json", "number", "--jq", ".[].number"]
    assert gh.calls[0] == ["issue", "list", *asked]
    assert gh.calls[1:] == [["issue", "comment", "12", "--body-file", "-"]]
    assert gh.heard.startswith("again\n")


def test_a_run_that_ended_without_a_word_is_told_too(tmp_path: Path) -> None:
    gh = tell(tmp_path, "", "")
    assert gh.calls[-1][:4] == ["issue", "create", "--title", "The base image could not be renewed"]
    assert RUN_URL in gh.heard


def test_a_published_base_closes_it(tmp_path: Path) -> None:
    gh = tell(tmp_path, "published", "The base is `2026.11.29` now.\n\n    diff", open_issue="12")
    comment = f"The base is `2026.11.29` now. ([run]({RUN_URL}))"
    assert gh.calls[1:] == [["issue", "close", "12", "--comment", comment]]


def test_where_there_is_nothing_to_close_or_to_tell_nothing_is_done(tmp_path: Path) -> None:
    assert [call[:2] for call in tell(tmp_path, "published", "fine").calls] == [["issue", "list"]]
    assert [call[:2] for call in tell(tmp_path, "fresh", "fine", open_issue="12").calls] == [["issue", "list"]]


def test_where_github_refuses_the_step_fails(tmp_path: Path) -> None:
    for refused in ("issue list", "issue create"):
        Program(tmp_path, "gh", {refused: [(1, "")]})
        assert run(tmp_path, "scripts/base-issue.sh", OUTCOME="failed", REPORT="it").returncode == 1, refused


def test_an_unknown_outcome_is_no_reason_to_keep_quiet(tmp_path: Path) -> None:
    Program(tmp_path, "gh", {})
    assert run(tmp_path, "scripts/base-issue.sh", OUTCOME="nonsense").returncode == 2
    assert run(tmp_path, "scripts/base-issue.sh", "nonsense").returncode == 2


# --- the release --------------------------------------------------------------------------------------------------

BASE = {"BASE_IMAGE": "ghcr.io/us/app-base:2026.11.22", "BASE_DIGEST": f"sha256:{'a' * 64}"}
NAMED = f"Base image: `{BASE['BASE_IMAGE']}@{BASE['BASE_DIGEST']}`"


@pytest.mark.parametrize(("tag", "options"), [("v1.2.3", []), ("v1.3.0-rc.1", ["--prerelease"])])
def test_a_releases_notes_name_its_base(tmp_path: Path, tag: str, options: list[str]) -> None:
    gh = Program(tmp_path, "gh", {"release view": [(1, "")]})
    assert run(tmp_path, "scripts/release-notes.sh", tag, **BASE).returncode == 0
    assert gh.calls[1:] == [
        ["release", "create", tag, "--verify-tag", "--generate-notes", "--notes", NAMED, *options],
    ]


def test_a_release_that_is_there_keeps_its_notes(tmp_path: Path) -> None:
    notes = "What is new.\n\nBase image: `ghcr.io/us/app-base:2026.11.15@sha256:0`\n"
    gh = Program(tmp_path, "gh", {"release view": [(0, notes)]})
    assert run(tmp_path, "scripts/release-notes.sh", "v1.2.3", **BASE).returncode == 0
    assert gh.calls[1:] == [["release", "edit", "v1.2.3", "--notes-file", "-"]]
    assert gh.heard == f"What is new.\n\n{NAMED}\n"


def test_a_release_without_a_base_is_not_made(tmp_path: Path) -> None:
    gh = Program(tmp_path, "gh", {})
    assert run(tmp_path, "scripts/release-notes.sh", "v1.2.3", BASE_IMAGE="", BASE_DIGEST="").returncode == 2
    assert run(tmp_path, "scripts/release-notes.sh", **BASE).returncode == 2
    assert gh.calls == []
