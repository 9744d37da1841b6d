"""Both tracks measured for real: what `splitdeck compare` builds, one after the other, the tracks taking turns."""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from console import __version__
from console.build.dockerfile import read_dockerfile
from console.build.recipe import recipe_for
from console.compare_bench import Bench, Tell, open_bench, to_its_end
from console.config import Config
from console.engine import connect
from console.errors import ConfigError
from console.format import plural
from console.history.budget import Budget, check_measurable, judge
from console.history.compare import compare
from console.history.report import Measured, Report
from console.history.stages import StageRules
from console.measurements import Sample
from console.model import Clock, Scenario, SystemClock, Target
from console.source_copy import SourceCopy, copy_source

BOTH = (Target.LEGACY, Target.APP)
MEASURES: Mapping[Scenario, tuple[Target, ...]] = {
    Scenario.COLD: (*BOTH, Target.BASE),
    Scenario.CODE_CHANGE: BOTH,
    Scenario.NO_CHANGE: BOTH,
}
"""What is built in each scenario that can be measured, in this order, turn by turn."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be measured."""

    scenarios: tuple[Scenario, ...]
    runs: int
    """Builds of each target in each scenario."""
    command: str
    """The command line that asks for it."""
    budgets: tuple[Budget, ...] = ()


def check_wish(config: Config, wish: Wish) -> None:
    """Refuses what can be known to be impossible before anything is built.

    Raises:
        ConfigError: Saying what.
    """
    if config.legacy is None:
        hint = 'add [legacy] dockerfile = "Dockerfile.legacy" to config.toml'
        raise ConfigError("there is no legacy Dockerfile to compare with", hint)
    for scenario in wish.scenarios:
        if scenario not in MEASURES:
            raise ConfigError(
                f"{scenario.value} cannot be measured by this command yet: it takes a base image of its own",
                f"there are {', '.join(each.value for each in MEASURES)}; "
                "what a change of dependencies costs is close to cold: the base, and the app on it",
            )
    check_measurable(wish.budgets, {scenario: MEASURES[scenario] for scenario in wish.scenarios})


async def measure(config: Config, wish: Wish, tell: Tell, clock: Clock | None = None) -> Report:
    """Builds both tracks in every scenario that is wished for, and compares them.

    However it ends, nothing of the user's has been changed, and what was made for it is removed: the copy of the source
    and the images. What the builder's cache has of them stays until the builder tidies up.

    Args:
        config: The project.
        wish: What to measure; checked here, too.
        tell: Hears of each build as it ends, and of what goes wrong.
        clock: The present.

    Raises:
        SplitdeckError: If a build fails, or something is in the way: no engine, no base image, nothing to edit.
    """
    check_wish(config, wish)
    engine = await asyncio.to_thread(connect)
    folder = tempfile.TemporaryDirectory(prefix=f"splitdeck-{config.project.name}-", ignore_cleanup_errors=True)
    try:
        source = await to_its_end(asyncio.to_thread(copy_source, config, Path(folder.name)))
        if Scenario.CODE_CHANGE in wish.scenarios:
            tell(f"the code change is a line in a copy of {source.edited}")
        bench = await open_bench(engine, config, source, Path(folder.name), tell, clock or SystemClock())
        try:
            measured = [await _measured(config, bench, source, scenario, wish.runs) for scenario in wish.scenarios]
        finally:
            folder.cleanup()  # first: an engine that does not answer must not keep it
            await bench.close()
    finally:
        folder.cleanup()
    by_scenario = {each.comparison.scenario: each for each in measured}
    return Report(
        project=config.project.name,
        measured=tuple(measured),
        command=wish.command,
        engine=bench.identity.engine,
        machine=_machine_words(),
        measured_at=bench.clock.now(),
        version=__version__,
        verdicts=tuple(judge(budget, by_scenario[budget.scenario].times_ms) for budget in wish.budgets),
    )


async def _measured(config: Config, bench: Bench, source: SourceCopy, scenario: Scenario, runs: int) -> Measured:
    """All builds of one scenario."""
    targets = MEASURES[scenario]
    samples: dict[Target, list[Sample]] = {target: [] for target in targets}
    source.restore()
    if scenario is not Scenario.COLD:
        for target in targets:
            await bench.build(target, f"{scenario.value}, the build before")
    for run in range(1, runs + 1):
        if scenario is Scenario.CODE_CHANGE:
            source.edit(f"splitdeck compare {secrets.token_hex(4)}")
        for target in targets:
            words = f"{scenario.value}, {run} of {runs}"
            samples[target].append(await bench.build(target, words, no_cache=scenario is Scenario.COLD))
    comparison = compare(
        samples[Target.LEGACY],
        samples[Target.APP],
        scenario,
        targets=config.compare.targets,
        rules=StageRules(config.compare.stage),
        base=bench.last_base(),
    )
    return Measured(
        comparison,
        tuple(sample.duration_ms for sample in samples.get(Target.BASE, ())),
        source.edited if scenario is Scenario.CODE_CHANGE else "",
        (*left_out(samples, scenario), *(cache_mounts(config) if scenario is Scenario.COLD else ())),
    )


def left_out(samples: Mapping[Target, Sequence[Sample]], scenario: Scenario) -> Iterable[str]:
    """Builds that turned out to be something else than they were made for: no figure has them, and that is said."""
    for target, builds in samples.items():
        others = [sample.scenario.value for sample in builds if sample.scenario is not scenario]
        if others:
            kinds = ", ".join(dict.fromkeys(others))
            builds_of_it = plural(len(others), f"{target.value} build")
            yield f"{builds_of_it} turned out to be {kinds}, which no figure here counts."


def cache_mounts(config: Config) -> Iterable[str]:
    """What is to be said of the one kind of cache that a build without cache finds filled all the same."""
    for target in MEASURES[Scenario.COLD]:
        recipe = recipe_for(config, target)
        dockerfile = read_dockerfile(recipe.dockerfile, recipe.args)
        lines = [
            str(instruction.line)
            for stage in dockerfile.needed_stages(recipe.target or None)
            for instruction in stage.instructions
            if any(name == "mount" and "type=cache" in value.split(",") for name, value in instruction.flags)
        ]
        if lines:
            place = f"{os.path.relpath(recipe.dockerfile, config.root)}:{','.join(lines)}"
            yield f"`{place}` mounts a cache that cold builds here find filled; on a fresh machine they take longer."


def _machine_words() -> str:
    """The machine as it may be told to anybody: without its name."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    release = platform.release().partition("-")[0]
    return f"{os.cpu_count()} cores, {memory_gib:.0f} GiB, {platform.system()} {release}, {platform.machine()}"
