"""`splitdeck base …`: the base image's life on the command line."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli_common import AsJson, ConfigFile, Directory, finish, loaded_config
from console.errors import ConfigError

if TYPE_CHECKING:
    from console.loop.controller import Controller

app = typer.Typer(
    name="base",
    help="The base image: build, check, versions, pins, rollback, registry.\n\n"
    "A new base is built or fetched beside the present one, must pass [base] check, and only then becomes `latest`.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

AllowMajor = Annotated[bool, typer.Option("--allow-major", help="Take it even if it brings major updates of packages.")]


@app.command()
def status(json: AsJson = False, directory: Directory = Path(), config: ConfigFile = None) -> None:
    """Tell how the base stands.

    Version, age, size, digest; what made it stale, what is held back, where a rollback goes.
    """
    from console import base_commands

    loaded = loaded_config(directory, config)
    finish(base_commands.show_status(loaded, as_json=json), loaded)


@app.command(name="list")
def list_versions(json: AsJson = False, directory: Directory = Path(), config: ConfigFile = None) -> None:
    """List the versions on this engine.

    Newest first, with their tags and the app images that stand on them.
    """
    from console import base_commands

    loaded = loaded_config(directory, config)
    finish(base_commands.show_versions(loaded, as_json=json), loaded)


@app.command()
def build(
    force: Annotated[bool, typer.Option("--force", help="Build it even if it is fresh.")] = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Take nothing from the builder's cache; implies --force.")
    ] = False,
    allow_major: AllowMajor = False,
    publish: Annotated[bool, typer.Option("--publish", help="Then push what is the present base.")] = False,
    json: AsJson = False,
    directory: Directory = Path(),
    config: ConfigFile = None,
) -> None:
    """Build, check and take a new base, if an input changed.

    It is built beside the present one, which app builds go on with meanwhile, must pass [base] check, and then becomes
    `latest`. Exit code 1 if it could not be built, did not pass its check, or waits for --allow-major; the base before
    stays.
    """
    from console import base_commands

    loaded = loaded_config(directory, config)
    if publish and not loaded.base.remote:
        hint = 'set [base] repository = "ghcr.io/me/app-base" in config.toml, or SPLITDECK_BASE_REPOSITORY'
        raise ConfigError("--publish: there is no registry to publish to", hint)
    work = partial(base_commands.build, force=force or no_cache, no_cache=no_cache, allow_major=allow_major)
    finish(base_commands.carry_out(loaded, work, publish=publish, as_json=json), loaded)


@app.command()
def use(
    version: Annotated[
        str,
        typer.Argument(help="A version's tag, digest or ID; `latest` follows the newest again.", show_default=False),
    ],
    json: AsJson = False,
    directory: Directory = Path(),
    config: ConfigFile = None,
) -> None:
    """Pin the version that app builds stand on.

    Written to config.toml, whose comments stay.
    """
    from console import base_commands

    async def work(controller: Controller) -> bool:
        return await controller.wishes.use(version)

    loaded = loaded_config(directory, config)
    finish(base_commands.carry_out(loaded, work, as_json=json), loaded)


@app.command()
def rollback(json: AsJson = False, directory: Directory = Path(), config: ConfigFile = None) -> None:
    """Go back to the version before the present one.

    No other tag than `latest` moves; where a version is pinned, the pin does.
    """
    from console import base_commands

    async def work(controller: Controller) -> bool:
        return await controller.wishes.roll_back()

    loaded = loaded_config(directory, config)
    finish(base_commands.carry_out(loaded, work, as_json=json), loaded)


@app.command()
def pull(
    allow_major: AllowMajor = False, json: AsJson = False, directory: Directory = Path(), config: ConfigFile = None
) -> None:
    """Fetch, check and take the registry's base.

    That is its `latest`. A version that is pinned is fetched as it is: it was checked before it was published.
    """
    from console import base_commands

    work = partial(base_commands.pull, allow_major=allow_major)
    loaded = loaded_config(directory, config)
    finish(base_commands.carry_out(loaded, work, as_json=json), loaded)


@app.command()
def publish(json: AsJson = False, directory: Directory = Path(), config: ConfigFile = None) -> None:
    """Push the present base to its registry.

    To [base] repository: its date, its commit, and `latest` last. Dates never move there.
    """
    from console import base_commands

    async def work(controller: Controller) -> bool:
        return await controller.wishes.publish()

    loaded = loaded_config(directory, config)
    finish(base_commands.carry_out(loaded, work, as_json=json), loaded)


@app.command()
def diff(
    before: Annotated[
        str, typer.Argument(help="The older version; by default the one before the present one.", show_default=False)
    ] = "",
    after: Annotated[
        str,
        typer.Argument(
            help="The newer one; by default the present one, or the new one that is held.", show_default=False
        ),
    ] = "",
    json: AsJson = False,
    directory: Directory = Path(),
    config: ConfigFile = None,
) -> None:
    """Compare the packages of two versions.

    By pip, dpkg, apk and rpm; major updates first.
    """
    from console import base_commands

    loaded = loaded_config(directory, config)
    finish(base_commands.show_difference(loaded, before, after, as_json=json), loaded)


@app.command()
def packages(
    version: Annotated[str, typer.Argument(help="Which version; by default the present one.", show_default=False)] = "",
    json: AsJson = False,
    directory: Directory = Path(),
    config: ConfigFile = None,
) -> None:
    """List the packages in a version.

    Those of pip (in every environment), dpkg, apk and rpm.
    """
    from console import base_commands

    loaded = loaded_config(directory, config)
    finish(base_commands.show_contents(loaded, version, as_json=json), loaded)


@app.command()
def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be removed.")] = False,
    json: AsJson = False,
    directory: Directory = Path(),
    config: ConfigFile = None,
) -> None:
    """Remove versions that nobody needs.

    The newest [base] keep stay, and what is pinned, in use, or where a rollback goes.
    """
    from console import base_commands

    async def work(controller: Controller) -> bool:
        return await controller.wishes.prune()

    loaded = loaded_config(directory, config)
    if dry_run:
        finish(base_commands.show_superfluous(loaded, as_json=json), loaded)
    finish(base_commands.carry_out(loaded, work, as_json=json), loaded)
