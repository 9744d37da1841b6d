"""The command line: commands, options, exit codes. Everything heavy is imported once a command needs it."""

from __future__ import annotations

import io
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from console import __version__, cli_base
from console.cli_common import AsJson, ConfigFile, Directory, finish, loaded_config
from console.cli_compare import compare
from console.cli_history import history
from console.errors import ExitCode, SplitdeckError

app = typer.Typer(
    name="splitdeck",
    help="A terminal console for developing containerised apps on split images.\n\n"
    "Without a command: the console on ./config.toml; without a terminal it runs as `splitdeck run --plain`.\n\n"
    "Exit codes: 0 done, 1 a build or check failed, 2 usage or config error, 3 no engine reachable, 130 interrupted.",
    no_args_is_help=False,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class BuildTarget(str, Enum):
    """What `splitdeck build` builds."""

    APP = "app"
    BASE = "base"
    LEGACY = "legacy"


def _say_version(wanted: bool) -> None:
    if wanted:
        print(f"splitdeck {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def console(
    context: typer.Context,
    directory: Directory = Path(),
    config: ConfigFile = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        run(directory=directory, config=config)
    else:  # before the command they mean the same as after it
        context.default_map = _defaults(context, {"directory": directory, "config": config})


def _defaults(context: typer.Context, options: dict[str, Any]) -> dict[str, Any]:
    """The options as defaults of the command that follows, or of each in its group."""
    name = context.invoked_subcommand or ""
    command = getattr(context.command, "commands", {}).get(name)
    members = getattr(command, "commands", None)
    return {name: options if members is None else dict.fromkeys(members, options)}


@app.command()
def run(
    plain: Annotated[bool, typer.Option("--plain", help="Text lines in place of the full screen.")] = False,
    json: AsJson = False,
    once: Annotated[
        bool, typer.Option("--once", help="End once the first build serves (exit code 0) or has failed (1).")
    ] = False,
    directory: Directory = Path(),
    config: ConfigFile = None,
) -> None:
    """Watch, rebuild and swap at every save.

    The source is watched, the app image rebuilt on the cached base, its container swapped.
    """
    from console import session

    loaded = loaded_config(directory, config)
    # Textual draws on standard error.
    if plain or json or once or not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        finish(session.run_headless(loaded, as_json=json, once=once), loaded)
    else:
        finish(session.run_console(loaded), loaded)


@app.command()
def build(
    target: Annotated[BuildTarget, typer.Argument(help="Which image.", show_default=False)],
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Take nothing from the builder's cache.")] = False,
    json: AsJson = False,
    directory: Directory = Path(),
    config: ConfigFile = None,
) -> None:
    """Build one image and record what it cost. An app build makes the base first if it is missing."""
    from console import session
    from console.model import Target

    loaded = loaded_config(directory, config)
    finish(session.build_once(loaded, Target(target.value), no_cache=no_cache, as_json=json), loaded)


app.command()(compare)
app.command()(history)
app.add_typer(cli_base.app)


@app.command()
def doctor(directory: Directory = Path(), config: ConfigFile = None) -> None:
    """Check what a project needs to be built and served here. Builds nothing.

    ✔ well, ! could be better, ✘ in the way. Exit code 1 if anything is in the way, 3 without an engine.
    """
    from console.doctor import run_doctor

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every terminal has the signs
    try:
        code = run_doctor(lambda: loaded_config(directory, config), lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    raise typer.Exit(code)


def main() -> None:
    """The entry point: errors become one message, one hint and an exit code."""
    try:
        app()
    except SplitdeckError as error:
        print(f"splitdeck: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"    hint: {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; there is nobody to tell
        sys.exit(ExitCode.INTERRUPTED)


if __name__ == "__main__":
    main()
