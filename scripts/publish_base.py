"""Renews the base image and publishes it, for the workflow docker-build-base: fetches the published one, so that the
new one can be held against it, builds, checks, publishes, and writes down how it went.

    python3 scripts/publish_base.py

Environment:
    FORCE                `true`: build with the newest packages even where no input of the base has changed
    ALLOW_MAJOR          `true`: take major updates; also needed for the very first base
    GITHUB_OUTPUT        a file that gets `outcome` (published, fresh, held, failed) and `report` (Markdown)
    GITHUB_STEP_SUMMARY  a file that gets the report, too

Its exit code is that of the `splitdeck base` command that ended it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

_KEPT_LINES = 40
_LINE_LENGTH = 300
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


class Outcome(NamedTuple):
    """How it went."""

    name: str
    report: str
    exit_code: int


class Told:
    """Runs `splitdeck base …`, shows what it says, and keeps the last lines of it."""

    def __init__(self) -> None:
        self.last_lines: deque[str] = deque(maxlen=_KEPT_LINES)

    def run(self, *arguments: str) -> int:
        """The exit code."""
        command = ["splitdeck", "base", *arguments]
        _say(f"$ {' '.join(command)}\n")
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace"
        ) as process:
            for line in process.stdout or ():
                _say(line)
                self.last_lines.append(_ESCAPES.sub("", line)[:_LINE_LENGTH].rstrip())
        return process.returncode


def renew(*, force: bool, allow_major: bool) -> Outcome:
    """Does all of it.

    Args:
        force: Build although nothing changed, and take nothing from a cache.
        allow_major: Take major updates, or the very first base.
    """
    told = Told()
    code = told.run("pull")
    if code and not allow_major:
        return Outcome("failed", f"{_UNKNOWN_BEFORE}\n\n{_quoted(told.last_lines)}", code)
    before = _latest()
    options = ["--publish", *(["--force", "--no-cache"] if force else []), *(["--allow-major"] if allow_major else [])]
    code = told.run("build", *options)
    if code:
        held: dict[str, Any] = (_event("base.checked", "status").get("base") or {}).get("held") or {}
        if held.get("because") == "needs-approval":
            return Outcome("held", _held(held), code)
        return Outcome("failed", f"{_FAILED}\n\n{_quoted(told.last_lines)}", code)
    after = _latest()
    if before.get("image_id") == after.get("image_id"):
        return Outcome("fresh", f"The base {_code(after.get('version'))} is fresh: no input of it has changed.", 0)
    return Outcome("published", _published(before, after), 0)


_FAILED = (
    "The base image could not be renewed. The published one is as it was, and app images go on being built on it.\n\n"
    "The last lines:"
)
_UNKNOWN_BEFORE = (
    "The published base could not be fetched, so nobody can tell which updates a new one would bring, "
    "and none was built.\n\n"
    "If there is none yet, make the first one: run the workflow by hand with `allow_major` "
    "(`gh workflow run docker-build-base.yml -f allow_major=true`).\n\n"
    "The last lines:"
)
_APPROVAL = """\
To approve, run the workflow by hand with `allow_major`:

    gh workflow run docker-build-base.yml -f force=true -f allow_major=true

To stay with what there is, name an upper bound in the requirements."""


def _held(held: dict[str, Any]) -> str:
    rows = [
        f"| {_code(one['manager'])} | {_code(one['name'])} | {_code(one['before'])} | {_code(one['after'])} |"
        for one in held["majors"]
    ]
    return (
        f"The new base {_code(held['version'])} brings major updates, so it waits to be approved. "
        "App images go on being built on the published one.\n\n"
        "| | package | before | after |\n| --- | --- | --- | --- |\n" + "\n".join(rows) + f"\n\n{_APPROVAL}"
    )


def _published(before: dict[str, Any], after: dict[str, Any]) -> str:
    head = f"The base is {_code(after.get('version'))} now."
    if not before:
        return head
    command = ["splitdeck", "base", "diff", *(one["version"] or one["image_id"] for one in (before, after))]
    diff = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return f"{head[:-1]}, after {_code(before['version'])}.\n\n{_quoted(diff.stdout.splitlines())}"


def _latest() -> dict[str, Any]:
    """The version that is `latest` here; empty where there is none."""
    versions: list[dict[str, Any]] = _event("base.versions", "list").get("versions") or []
    return next((one for one in versions if "latest" in one["tags"]), {})


def _event(name: str, *arguments: str) -> dict[str, Any]:
    """The last event of a name that a command tells; empty where it tells none."""
    command = ["splitdeck", "base", *arguments, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    events: Iterable[dict[str, Any]] = map(json.loads, done.stdout.splitlines())
    return next((event for event in reversed(list(events)) if event["event"] == name), {})


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _code(text: Any) -> str:
    """Foreign text as Markdown's code, which it cannot leave."""
    plain = re.sub(r"[`|\s]+", " ", str(text or "")).strip()
    return f"`{plain}`" if plain else "–"


def _quoted(lines: Iterable[str]) -> str:
    """Foreign lines as a block of code, which they cannot leave."""
    return "\n".join(f"    {line}" for line in lines)


def _write_down(outcome: Outcome) -> None:
    if path := os.environ.get("GITHUB_OUTPUT"):
        end = f"end-{secrets.token_hex(16)}"
        with Path(path).open("a", encoding="utf-8") as output:
            output.write(f"outcome={outcome.name}\nreport<<{end}\n{outcome.report}\n{end}\n")
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(path).open("a", encoding="utf-8") as summary:
            summary.write(f"{outcome.report}\n")


def main() -> int:
    wanted = {name: os.environ.get(name) == "true" for name in ("FORCE", "ALLOW_MAJOR")}
    outcome = renew(force=wanted["FORCE"], allow_major=wanted["ALLOW_MAJOR"])
    _write_down(outcome)
    _say(f"\n{outcome.name}: {outcome.report}\n")
    return outcome.exit_code


if __name__ == "__main__":
    sys.exit(main())
