"""Both tracks measured for real: what `splitdeck compare` builds, one after the other, the tracks taking turns."""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from console import __version__
from console.build.dockerfile import read_dockerfile
from console.build.recipe import recipe_for
from console.compare_bench import Bench, Tell, open_bench
from console.config import Config
from console.engine import connect
from console.errors import ConfigError
from console.format import plural
from console.history.budget import Budget, check_measurable, judge
from console.history.compare import compare
from console.history.findings import evidence_of, made_anew, median, weight
from console.history.plan_targets import checks
from console.history.report import Measured, Report
from console.history.stages import StageRules
from console.history.verdict import verdict
from console.loop.endings import to_its_end
from console.measurements import ImageBytes, PullTime, Sample
from console.model import Clock, Scenario, SystemClock, Target
from console.source_copy import SourceCopy, copy_source

BOTH = (Target.LEGACY, Target.APP)
MEASURES: Mapping[Scenario, tuple[Target, ...]] = {
    Scenario.COLD: (*BOTH, Target.BASE),
    Scenario.CODE_CHANGE: BOTH,
    Scenario.DEPS_CHANGE: (Target.LEGACY, Target.BASE, Target.APP),
    Scenario.NO_CHANGE: BOTH,
}
"""What is built in each scenario, in this order, turn by turn."""


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
        for scenario in wish.scenarios:
            if edited := source.edited(scenario):
                tell(f"{scenario.value}: a line more in a copy of {edited}")
        bench = await open_bench(engine, config, source, Path(folder.name), tell, clock or SystemClock())
        try:
            runs = [await _run(bench, source, scenario, wish.runs) for scenario in wish.scenarios]
            pull, no_pull = bench.pull()
            base = bench.last_base()
        finally:
            folder.cleanup()  # first: an engine that does not answer must not keep it
            await bench.close()
    finally:
        folder.cleanup()
    now = bench.clock.now()
    surroundings = Surroundings(base, pull, bench.place.dockerfiles)
    measured = tuple(judged(run, config, surroundings, now) for run in runs)
    by_scenario = {each.comparison.scenario: each for each in measured}
    return Report(
        project=config.project.name,
        measured=measured,
        command=wish.command,
        engine=bench.identity.engine,
        machine=_machine_words(),
        measured_at=now,
        version=__version__,
        judged=tuple(judge(budget, by_scenario[budget.scenario].times_ms) for budget in wish.budgets),
        targets=checks([each.comparison for each in measured], config.compare.targets, pull),
        images=weighed(runs),
        pull=pull,
        no_pull=no_pull,
    )


@dataclass(frozen=True, slots=True)
class ScenarioRun:
    """All builds of one scenario, in their order."""

    scenario: Scenario
    samples: Mapping[Target, Sequence[Sample]]
    before: Mapping[Target, Sample] = field(default_factory=dict)
    """The builds before them, which are in no figure."""
    edited: str = ""
    """The file that was edited; empty where none was."""


async def _run(bench: Bench, source: SourceCopy, scenario: Scenario, runs: int) -> ScenarioRun:
    targets = MEASURES[scenario]
    samples: dict[Target, list[Sample]] = {target: [] for target in targets}
    before: dict[Target, Sample] = {}
    cold, own_base = scenario is Scenario.COLD, scenario is Scenario.DEPS_CHANGE
    source.restore()
    if not cold:
        for target in targets:
            before[target] = await bench.build(target, f"{scenario.value}, the build before", own_base=own_base)
    edited = source.edited(scenario)
    for run in range(1, runs + 1):
        if edited:
            source.edit(scenario, f"splitdeck compare {secrets.token_hex(4)}")
        for target in targets:
            words = f"{scenario.value}, {run} of {runs}"
            samples[target].append(await bench.build(target, words, no_cache=cold, own_base=own_base))
    return ScenarioRun(scenario, samples, before, edited)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a verdict takes beside a scenario's own builds."""

    base: Sample | None
    """The newest base build that is known."""
    pull: PullTime | None
    dockerfiles: Mapping[Target, str]
    """What people call them."""


def judged(run: ScenarioRun, config: Config, surroundings: Surroundings, now: float) -> Measured:
    """The comparison of one scenario, and what it means."""
    rules = StageRules(config.compare.stage)
    builds = {target: run.samples.get(target, ()) for target in Target}
    compared = compare(
        builds[Target.LEGACY],
        builds[Target.APP],
        run.scenario,
        rules=rules,
        now=now,
        base=surroundings.base,
        bases={sample.image_id: sample for sample in builds[Target.BASE]},
    )
    base_ms, app_ms = (
        tuple(sample.duration_ms for sample in builds[target] if _counts(sample, run.scenario))
        for target in (Target.BASE, Target.APP)
    )
    evidence = evidence_of(
        compared,
        surroundings.dockerfiles,
        base=surroundings.base,
        base_cold_ms=median(base_ms) if run.scenario is Scenario.COLD else None,
        pull=surroundings.pull,
    )
    return Measured(
        replace(compared.comparison, verdict=verdict(compared.comparison, evidence, rules)),
        base_ms,
        app_ms if run.scenario is Scenario.DEPS_CHANGE else (),
        run.edited,
        (*left_out(run.samples, run.scenario), *(cache_mounts(config) if run.scenario is Scenario.COLD else ())),
    )


def weighed(runs: Sequence[ScenarioRun]) -> ImageBytes:
    """What the images weigh that were built, and what of them a code change makes anew."""
    changed = [run for run in runs if run.scenario is Scenario.CODE_CHANGE]
    run = (changed or [run for run in runs if run.scenario is not Scenario.DEPS_CHANGE] or list(runs))[-1]
    app, legacy = run.samples[Target.APP][-1], run.samples[Target.LEGACY][-1]
    known = 0 < app.base_layers <= len(app.layers)
    app_pull, legacy_pull = (
        made_anew(*[run.before[target], *run.samples[target]][-2:]) if changed else None
        for target in (Target.APP, Target.LEGACY)
    )
    return ImageBytes(
        base=sum(layer.size_bytes for layer in app.layers[: app.base_layers]) if known else None,
        app=weight(app),
        legacy=weight(legacy),
        app_pull=app_pull,
        legacy_pull=legacy_pull,
    )


def _counts(sample: Sample, scenario: Scenario) -> bool:
    return sample.scenario is scenario and not sample.disturbed


def left_out(samples: Mapping[Target, Sequence[Sample]], scenario: Scenario) -> Iterable[str]:
    """Builds that turned out to be something else than they were made for: no figure has them, and that is said."""
    for target, builds in samples.items():
        others = [sample.scenario.value for sample in builds if sample.scenario is not scenario]
        if others:
            kinds = ", ".join(dict.fromkeys(others))
            builds_of_it = plural(len(others), f"{target.value} build")
            yield f"{builds_of_it} turned out to be {kinds}, which no figure here counts."
        disturbed = [sample.disturbed for sample in builds if sample.scenario is scenario and sample.disturbed]
        if disturbed:
            builds_of_it = plural(len(disturbed), f"{target.value} build")
            yield f"{builds_of_it} says nothing about itself alone ({disturbed[0]}), which no figure here counts."


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
            yield f"{place} mounts a cache that cold builds here find filled; on a fresh machine they take longer."


def _machine_words() -> str:
    """The machine as it may be told to anybody: without its name."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    release = platform.release().partition("-")[0]
    return f"{os.cpu_count()} cores, {memory_gib:.0f} GiB, {platform.system()} {release}, {platform.machine()}"
