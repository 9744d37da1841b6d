"""What the figures of one scenario mean: a sentence with the instruction behind them, and what would gain more. Pure.

A difference is *little* when it is below a second or below a fifth of the slower side, and none that these builds can
show when the interval of the speedup contains 1. The medians are those of the comparison; what steps cost is measured
on the wall clock of the build in the middle, so that steps which ran at the same time are not counted twice.

Advice says what something costs now. From a second on that is worth a sentence, or from a tenth of its build on where
anybody would feel it; the costliest come first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from console import format as fmt
from console.history.stages import CODE, MODELS, OTHER, OTHER_DEPS, PYTHON, SYSTEM, StageRules, instruction_of
from console.history.usual import unnumbered
from console.measurements import Comparison, Sample, Verdict
from console.model import Cause, CauseKind, Scenario, Step, StepKind, StepStatus, Target

LITTLE_MS, LITTLE_SHARE = 1000.0, 0.2
MOST_ADVICE = 3
_IsInstall = Callable[[Step], bool]
_Advice = tuple[float, str]
"""What something costs, in milliseconds, and the sentence about it."""
_DEPENDENCIES = (SYSTEM, PYTHON, MODELS, OTHER_DEPS)
_WORTH_MS, _WORTH_SHARE, _FELT_MS, _CACHE_MOUNT_MS = 1000.0, 0.1, 100.0, 5000.0
_LONGEST_STEP, _LONGEST_PATH = 38, 30

_NOT_THE_FILES = {
    CauseKind.FIRST: "no earlier build of it is known",
    CauseKind.ARGUMENT: "an argument changed",
    CauseKind.INSTRUCTION: "its instruction changed",
    CauseKind.BASE: "the image below it changed",
    CauseKind.GONE: "the builder's cache had lost it",
}
_LEADING_FLAGS = re.compile(r"^([A-Za-z]+\s+)(?:--[\w-]+(?:=\S+)?\s+)+")
_SWITCHES = re.compile(r"(?<=\s)(?:--no-[\w-]+|--yes|--quiet|-[yq]+)\s+")
"""They say nothing about what an instruction does."""
_CACHE_MOUNT = re.compile(r"--mount=\S*\btype=cache\b")
_OWN_CODE = re.compile(
    r"(?<![\w.-])pip[\d.]*\s+install\b[^;&|]*\s['\"]?(?:-e|--editable|\.(?:\[[^\]]*\])?['\"]?(?=[\s;&|]|$))"
    r"|setup\.py\s+(?:install|develop)"
)
"""An install of the project itself, which can only stand below its code."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a verdict is found from, beside the figures."""

    legacy: Sample | None
    """The build in the middle of the legacy track in the scenario; None where not measured."""
    split: Sample | None
    """The same of app builds."""
    base: Sample | None = None
    """The newest successful base build that is known, with its steps."""
    base_cold_ms: float | None = None
    """Median of cold base builds."""
    pull_ms: float | None = None
    """Median of whole pulls of the base."""
    dockerfiles: Mapping[Target, str] = field(default_factory=dict)
    """What people call the Dockerfiles."""


def verdict(comparison: Comparison, evidence: Evidence, rules: StageRules) -> Verdict | None:
    """What the figures of a scenario mean; None where neither track was measured in it.

    Args:
        comparison: Of one scenario. In deps-change its split side is base and app together.
        evidence: Builds that the figures come from. Without their steps the sentence has figures, and no reason.
        rules: Tell which steps install something.
    """
    scenario, legacy_side, split_side = comparison.scenario, comparison.legacy, comparison.split
    if legacy_side is None or split_side is None:
        missing, there, side = ("legacy build", "split", split_side) if split_side else ("split", "legacy", legacy_side)
        if side is None:
            return None
        figure = f"{there} {fmt.duration(side.median_ms)}"
        return Verdict(scenario, f"No verdict: the {missing} is not measured in {scenario.value} builds ({figure}).")
    figures = _Figures(legacy_side.median_ms, split_side.median_ms, comparison.interval)
    is_install = _install_test(comparison, rules)

    def build(target: Target, sample: Sample | None) -> _Build:
        return _Build(target, sample, evidence.dockerfiles.get(target, ""), is_install)

    legacy, app = build(Target.LEGACY, evidence.legacy), build(Target.APP, evidence.split)
    advice = [] if scenario is Scenario.NO_CHANGE else [*_above_the_base(app)]
    match scenario:
        case Scenario.CODE_CHANGE:
            sentence = _code_change(figures, legacy, app)
            advice += _early_code(legacy)
        case Scenario.COLD:
            sentence = _cold(figures, legacy, app, evidence)
        case Scenario.DEPS_CHANGE:
            changed = evidence.base is not None and evidence.base.scenario is scenario
            base = build(Target.BASE, evidence.base if changed else None)
            sentence = _deps_change(figures, legacy, base, app)
            advice += [*_slow_installs(legacy, rules), *_slow_installs(base, rules)]
        case Scenario.NO_CHANGE:
            sentence = _no_change(figures, legacy, app)
    advice.sort(key=lambda item: -item[0])
    return Verdict(scenario, sentence, tuple(text for _, text in advice[:MOST_ADVICE]))


class _Figures:
    """The medians of both sides, and how far apart they are."""

    def __init__(self, legacy_ms: float, split_ms: float, interval: tuple[float, float] | None = None) -> None:
        self.legacy_ms, self.split_ms, self.interval = legacy_ms, split_ms, interval
        self.legacy, self.split = fmt.duration(legacy_ms), fmt.duration(split_ms)
        self.saved_ms = legacy_ms - split_ms
        self.little = abs(self.saved_ms) < max(LITTLE_MS, LITTLE_SHARE * max(legacy_ms, split_ms))
        self.unclear = interval is not None and interval[0] <= 1 <= interval[1]

    @property
    def gain(self) -> str:
        times = f" ({fmt.speedup(self.legacy_ms / self.split_ms)})" if self.split_ms > 0 else ""
        return f"{self.split} in place of {self.legacy}{times}"

    @property
    def no_gain(self) -> str:
        """What there is to say of a difference that is little or unclear."""
        if self.unclear and self.interval is not None:
            both, (low, high) = f"split {self.split}, legacy {self.legacy}", map(fmt.speedup, self.interval)
            return f"No difference that these builds can show ({both}: {low} to {high})"
        gains = "little" if self.saved_ms > 0 else "nothing"
        return f"The split gains {gains} here ({self.split} in place of {self.legacy})"


@dataclass(frozen=True, slots=True)
class _Break:
    """Where a build leaves the cache."""

    step: Step
    after: tuple[Step, ...] = ()
    """What is run again because of it, in the order of the Dockerfile."""
    other_cause: str = ""
    """Why, where it is known not to be a changed file."""


class _Build:
    """One measured build, as questions are asked of it; without a sample it has no steps."""

    def __init__(self, target: Target, sample: Sample | None, dockerfile: str, is_install: _IsInstall) -> None:
        self.words = f"the {target.value} build"
        self.dockerfile = _cut(fmt.printable(dockerfile)[::-1], _LONGEST_PATH)[::-1] or f"the {target.value} Dockerfile"
        self.total_ms = 0.0 if sample is None else sample.duration_ms
        self.mounts_caches = sample is not None and "classic" not in sample.engine
        self.is_install = is_install
        told = () if sample is None else sample.steps
        self.all_run = [step for step in told if step.status is StepStatus.DONE]
        self.steps = [step for step in told if _is_instruction(step)]
        if all(step.line for step in self.steps):
            self.steps.sort(key=lambda step: step.line)
        self.ran = [step for step in self.steps if step.status is StepStatus.DONE]
        self.broken = _find_break(self, () if sample is None else sample.causes)

    def installs(self, steps: Iterable[Step]) -> list[Step]:
        return [step for step in steps if self.is_install(step)]

    def cost_ms(self, *steps: Step) -> float:
        """What steps took on the wall clock, in milliseconds; no more than the build."""
        longest = max((step.duration_ms for step in steps), default=0.0)
        return min(max(_union_ms(steps), longest), self.total_ms)

    def cost(self, *steps: Step) -> str:
        """The same in words; times that the builder did not tell are marked."""
        return ("" if all(step.exact for step in steps) else "≈ ") + fmt.duration(self.cost_ms(*steps))

    def place(self, step: Step) -> str:
        return f"{self.dockerfile}:{step.line}" if step.line else self.dockerfile

    def named(self, step: Step) -> str:
        """`COPY src /app (Dockerfile:9)`."""
        return f"{_shown(step)} ({self.place(step)})" if _is_instruction(step) else _shown(step)

    def costliest(self, steps: Sequence[Step]) -> Step | None:
        felt = [step for step in steps if self.cost_ms(step) >= _FELT_MS]
        return max(felt, key=self.cost_ms, default=None)

    def is_worth(self, *steps: Step) -> bool:
        return self.cost_ms(*steps) >= min(_WORTH_MS, max(_FELT_MS, _WORTH_SHARE * self.total_ms))


def _is_instruction(step: Step) -> bool:
    return step.kind is StepKind.INSTRUCTION and instruction_of(step.name) != "FROM"


def _copies(step: Step) -> bool:
    return instruction_of(step.name) in ("COPY", "ADD")


def _install_test(comparison: Comparison, rules: StageRules) -> _IsInstall:
    """Tells the steps that install something. Copying lists of dependencies is part of that, but none by itself.

    A row of the project's own is taken for dependencies, unless the split is known to have it in the app.
    """
    in_base = {row.stage: row.in_base for row in comparison.stages}
    own = [row for row in rules.rows if row not in (*_DEPENDENCIES, CODE, OTHER) and in_base.get(row, True)]

    def is_install(step: Step) -> bool:
        row = rules.stage_of(step.name)
        return row in (*_DEPENDENCIES, *own) and not (row in (PYTHON, OTHER_DEPS) and _copies(step))

    return is_install


def _find_break(build: _Build, causes: Sequence[Cause]) -> _Break | None:
    """The step to blame: of those whose files changed the one that costs most installs, else the first that was run."""
    why = {cause.step: cause for cause in causes}
    changed = [step for step in build.ran if step.name in why and why[step.name].kind is CauseKind.FILES]
    found = [_Break(step, _after(build, step, why)) for step in changed or build.ran[:1]]
    worst = max(found, key=lambda each: build.cost_ms(*build.installs(each.after)), default=None)
    if worst is not None and worst.step.name in why:
        return replace(worst, other_cause=_NOT_THE_FILES.get(why[worst.step.name].kind, ""))
    return worst


def _after(build: _Build, first: Step, why: Mapping[str, Cause]) -> tuple[Step, ...]:
    """What is run again because of one step: the rest of its stage, and what builds on any of that."""
    after: list[Step] = []
    names = {first.name}
    for step in build.ran[build.ran.index(first) + 1 :]:
        cause = why.get(step.name)
        follows = cause is None or (cause.kind is CauseKind.PARENT and not names.isdisjoint(cause.names))
        if follows or step.stage_label == first.stage_label:
            after.append(step)
            names.add(step.name)
    return tuple(after)


def _union_ms(steps: Iterable[Step]) -> float:
    covered, reached = 0.0, float("-inf")
    for start, end in sorted(span for step in steps for span in step.intervals):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return covered * 1000


def _code_change(figures: _Figures, legacy: _Build, app: _Build) -> str:
    broken = legacy.broken
    if not figures.unclear and not figures.little:
        if figures.saved_ms < 0:
            return f"The split is slower here, {figures.split} against {figures.legacy}{_slowest(app)}."
        return f"A code change takes {figures.gain}{_again(legacy, figures.saved_ms)}."
    if broken is None or broken.other_cause:
        return f"{figures.no_gain}{_again(legacy)}."
    installs = legacy.installs((broken.step, *broken.after))
    if legacy.cost_ms(*installs) >= LITTLE_MS:
        return f"{figures.no_gain}{_slowest(app) or _again(legacy)}."
    if installs:
        return (
            f"{figures.no_gain}: what {legacy.dockerfile} installs again takes no more than {legacy.cost(*installs)}."
        )
    above, all_of_it = legacy.steps[: legacy.steps.index(broken.step)], legacy.steps
    last = legacy.installs(above) == legacy.installs(all_of_it) != []
    why = "stands below the installs, so none runs again" if last else "makes no install run again"
    elsewhere = "" if figures.unclear else "; the split can pay where no cache is, as in CI"
    return f"{figures.no_gain}: {legacy.named(broken.step)} {why}{elsewhere}."


def _cold(figures: _Figures, legacy: _Build, app: _Build, evidence: Evidence) -> str:
    if figures.unclear or figures.little:
        return f"{figures.no_gain}, with the base present{_slowest(app)}."
    if figures.saved_ms < 0:
        slower = "The split is slower even with the base present"
        return f"{slower}, {figures.split} against {figures.legacy}{_slowest(app)}."
    left = [step for step in app.ran if _could_be_in_base(app, step)]
    moved = legacy.installs(legacy.ran)
    why = ""
    if app.is_worth(*left):
        why = f", {app.cost(*left)} of it for installs that the base could hold"
    elif legacy.is_worth(*moved):
        why = f": the base holds what {legacy.dockerfile} installs in {legacy.cost(*moved)}"
    return f"With the base present the split takes {figures.gain}{why}{_having_the_base(figures, evidence)}."


def _having_the_base(figures: _Figures, evidence: Evidence) -> str:
    """What having the base takes, as far as it is measured, and whether that eats the gain."""
    ways = [(verb, ms) for verb, ms in (("pull", evidence.pull_ms), ("build", evidence.base_cold_ms)) if ms]
    for verb, ms in ways[:1]:  # a machine that can pull the base does not build it
        first = _Figures(figures.legacy_ms, figures.split_ms + ms)
        if first.little or first.saved_ms < 0:
            gain = "little" if first.saved_ms > 0 else "nothing"
            return f"; a machine that has to {verb} the base first ({fmt.duration(ms)}) gains {gain}"
    told = ", ".join(f"{fmt.duration(ms)} to {verb}" for verb, ms in ways)
    return f"; the base takes {told}" if told else ""


def _deps_change(figures: _Figures, legacy: _Build, base: _Build, app: _Build) -> str:
    if figures.unclear:
        return f"{figures.no_gain}{_slowest(legacy)}."
    if figures.little:
        both = f"base and app {figures.split}, legacy {figures.legacy}"
        return f"A changed dependency costs about the same either way, {both}{_slowest(legacy)}."
    if figures.saved_ms < 0:
        both = f"{figures.split} for base and app against {figures.legacy}"
        return f"A changed dependency costs the split more, {both}{_slowest(base if base.all_run else app)}."
    return f"A changed dependency takes base and app {figures.gain}{_again(legacy, figures.saved_ms)}."


def _no_change(figures: _Figures, legacy: _Build, app: _Build) -> str:
    told = f"legacy {figures.legacy}, split {figures.split}"
    for build in (legacy, app):
        step = build.costliest(build.ran)
        if step is not None and build.cost_ms(step) >= _WORTH_MS:
            return f"Nothing changed, yet {build.named(step)} runs again, {build.cost(step)}: {told}."
    return f"Nothing changed, so nothing is built on either side: {told}."


def _again(legacy: _Build, saved_ms: float = 0.0) -> str:
    """Why the legacy build takes what it takes, as the end of a sentence; empty where its steps do not tell."""
    broken, costliest = legacy.broken, legacy.costliest(legacy.all_run)
    if broken is None or costliest is None:
        return _slowest(legacy)
    named = legacy.named(broken.step)
    if broken.other_cause:
        cost = legacy.cost(broken.step, *broken.after)
        return f": {named} ran again because {broken.other_cause}, {cost} with what follows it"
    installs = legacy.installs(broken.after)
    if installs and legacy.cost_ms(*installs) >= saved_ms / 2:
        steps = fmt.plural(len(installs), "install step")
        return f": {named} makes {steps} after it run again, {legacy.cost(*installs)}"
    if costliest in broken.after:
        return f": after {named} it runs {_shown(costliest)} again, {legacy.cost(costliest)}"
    return f": {named} runs again, {legacy.cost(costliest)}" if costliest is broken.step else _slowest(legacy)


def _slowest(build: _Build) -> str:
    """What makes a build slow, as the end of a sentence; empty where its steps do not tell."""
    step = build.costliest(build.all_run)
    return f": {build.words}'s costliest step is {build.named(step)}, {build.cost(step)}" if step else ""


def _above_the_base(app: _Build) -> Iterable[_Advice]:
    for step in app.ran:
        if _could_be_in_base(app, step) and app.is_worth(step):
            takes = f"{_shown(step)} takes {app.cost(step)} of the app build's {fmt.duration(app.total_ms)}"
            rest = f"{takes}; in the base it would run only when that is built."
            yield app.cost_ms(step), f"{app.place(step)} installs on top of the base: {rest}"


def _could_be_in_base(app: _Build, step: Step) -> bool:
    return app.is_install(step) and not _OWN_CODE.search(step.name)


def _early_code(legacy: _Build) -> Iterable[_Advice]:
    """Code that is copied above what is installed: the split is not the only cure of that."""
    broken = legacy.broken
    if broken is None or broken.other_cause:
        return
    installs = legacy.installs(broken.after)
    yield from _too_early(legacy, broken.step, "code", [s for s in installs if not _OWN_CODE.search(s.name)])
    for step in installs:
        if _OWN_CODE.search(step.name) and "--no-deps" not in step.name and legacy.is_worth(step):
            now = f"installs the code with all it needs, {legacy.cost(step)} after every code change"
            rest = "from a list above the code, what it needs would be installed once."
            yield legacy.cost_ms(step), f"{legacy.place(step)} {now}: {rest}"


def _too_early(build: _Build, first: Step, what: str, installs: Sequence[Step]) -> Iterable[_Advice]:
    """Installs that would not run again if they stood above what changed, within its stage."""
    spared = [step for step in installs if step.stage_label == first.stage_label]
    if _copies(first) and build.is_worth(*spared):
        steps = _shown(spared[0]) if len(spared) == 1 else fmt.plural(len(spared), "install step")
        now = f"{build.place(first)} copies {what} above {steps}, {build.cost(*spared)}"
        below = f"below line {max(step.line for step in spared)}" if first.line else "below"
        too = ", too" if what == "code" else ""
        rest = f"copied {below}, except for what is read there, it would spare {build.words} that"
        yield build.cost_ms(*spared), f"{now}: {rest}{too}."


def _slow_installs(build: _Build, rules: StageRules) -> Iterable[_Advice]:
    """What makes a change of dependencies dear: lists above installs that need none of them, and fetching all again."""
    system: list[Step] = []
    if build.broken is not None and not build.broken.other_cause:
        system = [step for step in build.broken.after if rules.stage_of(step.name) == SYSTEM]
        yield from _too_early(build, build.broken.step, "lists of dependencies", system)
    for step in build.installs(build.ran):
        fetches = build.mounts_caches and step not in system and not _CACHE_MOUNT.search(step.name)
        if fetches and build.cost_ms(step) >= _CACHE_MOUNT_MS:
            switch = " and no --no-cache-dir" if "--no-cache-dir" in step.name else ""
            now = f"installs without a cache mount, {build.cost(step)} after a change of dependencies"
            rest = f"with --mount=type=cache{switch} it would not fetch again what it had."
            yield build.cost_ms(step), f"{build.place(step)} {now}: {rest}"


def _shown(step: Step) -> str:
    """A step as a sentence can name it: its first words, without stage, number and flags."""
    name = " ".join(unnumbered(step.name).removeprefix("[internal] ").split())
    name = _SWITCHES.sub("", _LEADING_FLAGS.sub(r"\1", name, count=1))
    return _cut(fmt.printable(name), _LONGEST_STEP) or "a step"


def _cut(name: str, longest: int) -> str:
    return f"{name[: longest - 1].rstrip(' .')}…" if len(name) > longest else name
