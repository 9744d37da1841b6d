"""Files and text, through ripgrep: it is fast and leaves out what the project ignores."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_RG = ("rg", "--no-require-git", "--max-filesize", "1M")


class InvalidSearchError(ValueError):
    """What was asked for cannot be searched; the message says why."""


@dataclass(frozen=True)
class Match:
    """A line that matches; `line` counts from 1."""

    path: str
    line: int
    text: str


def list_files(root: Path, extensions: Iterable[str]) -> list[Path]:
    """The files under `root` that have one of the extensions and are neither hidden, ignored nor huge."""
    globs = [f"--glob=*{extension}" for extension in extensions]
    result = subprocess.run([*_RG, "--files", *globs], cwd=root, capture_output=True, text=True)
    _check(result.returncode, result.stderr)
    return sorted(root / line for line in result.stdout.splitlines())


def search(root: Path, pattern: str, path: str = ".", limit: int = 100) -> list[Match]:
    """The first `limit` lines under `root / path` that match a regular expression; or InvalidSearchError."""
    inside(root, path)
    matches: list[Match] = []
    command = [*_RG, "--json", "--sort=path", "--regexp", pattern, "--", path]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        for line in process.stdout:
            event = json.loads(line)
            if event["type"] != "match":
                continue
            data = event["data"]
            matches.append(Match(_decode(data["path"]).removeprefix("./"), data["line_number"], _decode(data["lines"])))
            if len(matches) == limit:
                process.terminate()
                return matches
        error = process.stderr.read().decode(errors="replace")
    _check(process.returncode, error)
    return matches


def inside(root: Path, path: str) -> Path:
    """`path` under `root`; InvalidSearchError if it leads out of it or does not exist."""
    full = (root / path).resolve()
    if not full.is_relative_to(root.resolve()) or not full.exists():
        raise InvalidSearchError(f"no such file or folder: {path}")
    return full


def _check(code: int, error: str) -> None:
    if code > 1:  # 1 is ripgrep's way to say that nothing matched
        raise InvalidSearchError(error.strip())


def _decode(field: dict[str, str]) -> str:
    return field.get("text", "(not UTF-8)").rstrip("\n")
