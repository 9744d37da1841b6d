"""`splitdeck compare`: its options, and where its report goes."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli_common import ConfigFile, Directory, ScenarioName, finish, loaded_config
from console.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from console.comparing import Wish
    from console.config import Config
    from console.history.report import Report


class Format(str, Enum):
    """How a report is written."""

    MARKDOWN = "md"
    JSON = "json"
    SVG = "svg"


_DEFAULT = (ScenarioName.COLD, ScenarioName.CODE_CHANGE)
_RUNS = 3

Scenarios = Annotated[
    list[ScenarioName] | None,
    typer.Option(
        "--scenario",
        metavar="SCENARIO",
        help="May be given again. cold: nothing from a cache, the base present, as in CI; code-change: a line more in "
        "a source file; deps-change: a line more in a list of dependencies, so legacy against base and app; no-change: "
        "built again as it is. Default: cold and code-change.",
    ),
]
Runs = Annotated[
    int, typer.Option("--runs", min=1, max=100, metavar="N", help="Builds of each image in each scenario.")
]
ReportFormat = Annotated[Format, typer.Option("--format", help="How the report is written.")]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FILE", help="Where to; default: standard output.", show_default=False),
]
Budgets = Annotated[
    list[str] | None,
    typer.Option(
        "--budget",
        metavar="EXPRESSION",
        help="Exit code 1 if this does not hold, such as 'app.code-change.p50<60s' or 'speedup.code-change.p50>5'; "
        "may be given again. FIGURE.SCENARIO.STATISTIC. Figures: legacy, app, base (cold, deps-change), split (the "
        "app; in deps-change base and app together), speedup (legacy ÷ split). Statistics: p50, min, max, mean.",
    ),
]


def compare(
    scenario: Scenarios = None,
    runs: Runs = _RUNS,
    format: ReportFormat = Format.MARKDOWN,  # noqa: A002 - the option's name
    output: Output = None,
    budget: Budgets = None,
    directory: Directory = Path(),
    config: ConfigFile = None,
) -> None:
    """Measure legacy against split builds.

    Both are built for real, taking turns. Your files are only read: builds are made from a copy, and changes are made
    in that copy; images have names of their own, and are removed. Every build is kept in the history. Exit code 1 if a
    build fails or a budget is missed.
    """
    from console.comparing import check_wish

    wish = _wish(tuple(dict.fromkeys(scenario or _DEFAULT)), runs, budget or ())
    _check_output(output)
    loaded = loaded_config(directory, config)
    check_wish(loaded, wish)
    finish(_compare(loaded, wish, format, output), loaded)


async def _compare(config: Config, wish: Wish, format: Format, output: Path | None) -> ExitCode:  # noqa: A002
    from console.comparing import measure

    report = await measure(config, wish, _say)
    _write(_written(report, format), output)
    return _judged(report)


def _written(report: Report, format: Format) -> str:  # noqa: A002
    if format is Format.SVG:
        from console.history.picture import to_svg

        return to_svg(report)
    from console.history.report import to_json, to_markdown

    return to_json(report) if format is Format.JSON else to_markdown(report)


def _wish(scenarios: Sequence[ScenarioName], runs: int, budgets: Sequence[str]) -> Wish:
    """What the options ask for, and the command line that asks for it anywhere.

    Raises:
        ConfigError: If a budget makes no sense.
    """
    from console.comparing import Wish
    from console.history.budget import parse_budget
    from console.model import Scenario

    words = ["splitdeck", "compare"]
    for scenario in scenarios:
        words += ["--scenario", scenario.value]
    words += ["--runs", str(runs)]
    for budget in budgets:
        words += ["--budget", budget]
    return Wish(
        tuple(Scenario(scenario.value) for scenario in scenarios),
        runs,
        shlex.join(words),
        tuple(map(parse_budget, budgets)),
    )


def _check_output(output: Path | None) -> None:
    """Refuses what would only be found out after all the builds.

    Raises:
        ConfigError: Saying what.
    """
    if output is None:
        return
    if output.is_dir():
        raise ConfigError(f"-o {output}: that is a folder", "name a file in it")
    if not output.parent.is_dir():
        raise ConfigError(f"-o {output}: there is no folder {output.parent}", "make it first, or name another file")
    if not os.access(output if output.exists() else output.parent, os.W_OK):
        raise ConfigError(f"-o {output}: it cannot be written", "check its permissions, or name another file")


def _write(text: str, output: Path | None) -> None:
    """Writes the report; where the file fails after all, what took minutes to measure goes to standard output."""
    if output is not None:
        try:
            output.write_text(text, encoding="utf-8")
            return
        except OSError as error:
            _say(f"{output} cannot be written: {error.strerror}")
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def _judged(report: Report) -> ExitCode:
    """Names the budgets that are missed."""
    missed = [one for one in report.judged if not one.met]
    for judged in missed:
        _say(f"splitdeck: budget missed: {judged.budget.text}: it is {judged.figure}")
    return ExitCode.FAILED if missed else ExitCode.OK


def _say(line: str) -> None:
    encoding = sys.stderr.encoding or "utf-8"
    sys.stderr.write(f"{line}\n".encode(encoding, "replace").decode(encoding))
    sys.stderr.flush()
