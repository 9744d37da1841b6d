"""`splitdeck history`: what was measured, for people and for scripts. It needs no engine."""

from __future__ import annotations

import difflib
import io
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli_common import ConfigFile, Directory, ScenarioName, loaded_config
from console.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from console.config import Config
    from console.history.export import Summary
    from console.history.records import History
    from console.measurements import BuildQuery, ListedBuild


class TargetName(str, Enum):
    """Whose builds can be asked for."""

    APP = "app"
    BASE = "base"
    LEGACY = "legacy"


class StatusName(str, Enum):
    """How they ended."""

    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled"


_SHOWN = 20
"""Builds in a table, unless told otherwise."""


def history(
    limit: Annotated[
        int | None,
        typer.Option(
            *("-n", "--limit"),
            metavar="N",
            min=0,
            help="Most builds to tell of, 0 for all. Default: 20 in the table, else all.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        TargetName | None, typer.Option("--target", help="Only builds of this image.", show_default=False)
    ] = None,
    scenario: Annotated[
        ScenarioName | None, typer.Option("--scenario", help="Only of this scenario.", show_default=False)
    ] = None,
    status: Annotated[
        StatusName | None, typer.Option("--status", help="Only those that ended so.", show_default=False)
    ] = None,
    sort: Annotated[
        str, typer.Option("--sort", metavar="FIELD", help="A field of docs/history.md, such as duration_ms.")
    ] = "started_at",
    reverse: Annotated[
        bool, typer.Option("--reverse", help="The oldest, shortest or smallest first, not the newest or largest.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object with builds and summary.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="A header and one line per build.")] = False,
    steps: Annotated[
        bool, typer.Option("--steps", help="With --json: steps, causes and layers of each build, too.")
    ] = False,
    directory: Directory = Path(),
    config: ConfigFile = None,
) -> None:
    """Show what was measured: the builds, and what they say.

    Below the builds stands what both tracks take on the engine and machine of the newest build, whichever builds are
    shown. No engine is needed.
    """
    from console.measurements import BuildQuery
    from console.model import BuildStatus, Scenario, Target

    if json and csv:
        raise ConfigError("--json and --csv: only one of them", "leave one out")
    if steps and not json:
        raise ConfigError("--steps goes with --json", "add --json")
    _check_sort(sort)
    query = BuildQuery(
        sort=sort,
        descending=not reverse,
        target=None if target is None else Target(target.value),
        scenario=None if scenario is None else Scenario(scenario.value),
        status=None if status is None else BuildStatus(status.value),
        limit=limit if limit is not None else 0 if json or csv else _SHOWN,
    )
    loaded = loaded_config(directory, config)
    try:
        _write(_pieces(loaded, query, as_json=json, as_csv=csv, steps=steps), exact=json or csv)
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _check_sort(field: str) -> None:
    """Refuses what builds cannot be sorted by.

    Raises:
        ConfigError: With what they can be.
    """
    from console.history.records import SORTABLE

    if field not in SORTABLE:
        near = difflib.get_close_matches(field, SORTABLE, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(SORTABLE))}"
        raise ConfigError(f"--sort {field}: builds cannot be sorted by that", hint)


def _pieces(config: Config, query: BuildQuery, *, as_json: bool, as_csv: bool, steps: bool) -> Iterator[str]:
    """What to write, in pieces.

    Raises:
        HistoryError: If the history cannot be read.
    """
    from console.history import export
    from console.history.listing import listed
    from console.history.records import History, history_path
    from console.model import SystemClock

    now = SystemClock().now()
    with closing(History.open(history_path(config.project.name, config.path))) as history:
        if history.notice:
            sys.stderr.write(f"splitdeck: {history.notice}\n")
        total, builds = listed(history, query, now)
        if as_csv:
            yield from export.to_csv(builds)
            return
        summary = _summary(history, config, now)
        if as_json:
            yield from export.to_json(_whole(history, builds) if steps else builds, total, summary, details=steps)
            return
        if summary is None:
            yield "nothing was measured yet; `splitdeck build app` and every save add to the history\n"
            return
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        lines = export.table_lines(builds, total, width) if builds else ["there are no such builds"]
        yield "".join(f"{line}\n" for line in (*lines, "", *export.summary_lines(summary)))


def _whole(history: History, builds: Iterable[ListedBuild]) -> Iterator[ListedBuild]:
    """The builds with their steps, causes and layers, one after the other."""
    return (replace(build, sample=history.whole(build.sample)) for build in builds)


def _summary(history: History, config: Config, now: float) -> Summary | None:
    """What the history says where its newest build was made; None where there is none."""
    from console.history.export import Summary
    from console.history.findings import Finder, Place
    from console.measurements import BuildQuery

    _, newest = history.listed(BuildQuery(limit=1))
    if not newest:
        return None
    _, findings = Finder(history, Place(*newest[0].place, config.dockerfiles), config.compare).find(now)
    return Summary(newest[0].engine, newest[0].machine, findings)


def _write(pieces: Iterable[str], *, exact: bool) -> None:
    """Writes to standard output as it comes; ends the command where nobody reads it any more.

    Args:
        pieces: What to write.
        exact: Whether a script reads it: then in UTF-8, whatever the terminal speaks.
    """
    out: Any = sys.stdout
    if isinstance(out, io.TextIOWrapper):
        if exact:
            out.reconfigure(encoding="utf-8", errors="backslashreplace", newline="")
        else:
            out.reconfigure(errors="replace")  # not every terminal has the signs
    try:
        out.writelines(pieces)
        out.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, out.fileno())  # what is still held back is written when the process ends
        os.close(nowhere)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
