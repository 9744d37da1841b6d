"""Which row of the comparison a build step counts under, and how a build's wall clock is shared among the rows.

Rows go by the instruction that ran. Asked in this order, the first match wins:

1. the project's own rules (`[[compare.stage]]`), over the step's whole name, in the order of config.toml;
2. `COPY` and `ADD` from the build context: "Code copy", or the row of the dependencies when nothing but their lists is
   copied (`requirements.txt`, `package.json`, lock files): those belong to the install that follows;
3. `RUN` and remote `ADD`: "Python deps", "Other deps", "Models", "System packages". A RUN that does several things has
   only one time, so it goes to what usually takes longest of them (in the plan: Python deps 4 min, system 30 s);
   only a pip install that the same RUN undoes does not count;
4. "Other": `FROM`, `WORKDIR`, `COPY --from`, compiling the app's own code, the builder's internal steps, the export.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from console.config import StageConfig
from console.model import Interval, Step

SYSTEM, PYTHON, MODELS, CODE, OTHER = PLAN_ROWS = ("System packages", "Python deps", "Models", "Code copy", "Other")
"""The rows of the plan, in its order; always shown."""
OTHER_DEPS = "Other deps"
"""npm, cargo, go and their like; shown only where a build has it."""

_PREFIX = re.compile(r"(?:\[[^\]]*\d+/\d+\]|step \d+/\d+ ?:)\s*", re.IGNORECASE)
_INSTRUCTION = re.compile(r"([A-Za-z]+)\s+((?:--[\w-]+(?:=\S+)?\s+)*)(.*)", re.DOTALL)


def _command(tools: str, verbs: str) -> str:
    """A pattern for `tool … verb` within one shell command; `apt-get install python3-pip` does not run pip."""
    return rf"(?<![\w.-])(?:{tools})\s(?:[^;&|]*\s)?(?:{verbs})(?![\w-])"


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_RUN_RULES: tuple[tuple[str, re.Pattern[str]], ...] = (
    # a package that is installed, asked for its model and uninstalled again is but the model's carrier
    (MODELS, _any(r"(?<![\w.-])pip[\d.]*\s+install\b[\s\S]*model[\s\S]*\bpip[\d.]*\s+uninstall\b")),
    (
        PYTHON,
        _any(
            _command(r"pip[\d.]*|pipx", "install|sync|wheel|download"),
            _command("uv", "sync|add|install"),
            _command("poetry|pipenv|pdm|rye", "install|sync|add|update"),
            _command("conda|mamba|micromamba|pixi", "install|create|update"),
            _command(r"python[\d.]*", r"setup\.py (?:install|develop)"),
            r"(?<![\w.-])(?:pip-sync|easy_install)(?![\w-])",
        ),
    ),
    (
        OTHER_DEPS,
        _any(
            _command("npm|pnpm|bun", "ci|install|i|add"),
            r"(?<![\w.-])yarn(?=\s*(?:$|[;&|]|-|install|add))",
            _command("cargo", "fetch|vendor|install|chef"),
            _command("go", "mod|get|install"),
            _command("bundle|gem|composer|dotnet", "install|restore|require"),
            _command("mvn|mvnw|gradle|gradlew", r"dependency:\S+|dependencies"),
        ),
    ),
    (
        MODELS,
        _any(
            _command("huggingface-cli|hf|spacy", "download"),
            _command("ollama", "pull"),
            r"huggingface\.co|\.(?:safetensors|gguf|onnx)(?!\w)",
            r"SentenceTransformer\b|CrossEncoder\b|from_pretrained|snapshot_download|hf_hub_download|nltk\.download",
            r"(?:download|fetch|bake|pull|preload|warm)\w*[-_/. ]+(?:the[-_ ])?models?",
            r"models?[-_/. ]+(?:download|fetch|bake|pull|preload|warm)",
            r"(?<![\w.-])python[\d.]*\s[^&|]*model",
        ),
    ),
    (
        SYSTEM,
        _any(
            _command("apt|apt-get|aptitude", "update|upgrade|dist-upgrade|full-upgrade|install|build-dep"),
            _command("apk", "add|update|upgrade"),
            _command("dnf|microdnf|tdnf|yum|zypper", "install|in|update|upgrade|groupinstall|makecache|builddep"),
            _command("pacman", r"-S\w*"),
            _command("dpkg", "-i|--install"),
        ),
    ),
)
_LISTS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        PYTHON,
        _any(
            r"(?:[\w*?-]*requirements|constraints)[\w.*?-]*",
            r"pyproject\.toml|(?:poetry|uv|pdm)\.lock|pylock[\w.*-]*\.toml|Pipfile(?:\.lock|\*)?",
            r"setup\.(?:py|cfg)|(?:environment|conda-lock)[\w.*?-]*\.ya?ml|\.python-version",
        ),
    ),
    (
        OTHER_DEPS,
        _any(
            r"package[\w*?-]*\.json|npm-shrinkwrap\.json|\.npmrc|yarn\.lock|\.yarnrc(?:\.yml)?|bun\.lockb?",
            r"pnpm-[\w-]+\.yaml|Cargo\.(?:toml|lock|\*)|go\.(?:mod|sum|work|\*)|Gemfile(?:\.lock|\*)?",
            r"composer\.(?:json|lock|\*)",
            r"pom\.xml|[\w.*-]+\.(?:csproj|sln|gradle|gradle\.kts)",
        ),
    ),
)
_COMPANION = _any(r"(?:README|LICENSE)[\w.*-]*")
"""Copied beside the lists because a package's metadata names them; says nothing by itself."""


def instruction_of(step_name: str) -> str:
    """The Dockerfile instruction of a step's name in upper case (`RUN`); empty for the builder's own steps."""
    return _parse(step_name)[0]


class StageRules:
    """The rules of one project.

    Args:
        custom: The project's own, asked before the built-in ones. A name of a built-in row adds to that row.
    """

    def __init__(self, custom: tuple[StageConfig, ...] = ()) -> None:
        self._custom = tuple((rule.name, re.compile(rule.match)) for rule in custom)
        self._known: dict[str, str] = {}
        own = [name for name, _ in self._custom if name != OTHER]
        self.rows: tuple[str, ...] = tuple(dict.fromkeys([*PLAN_ROWS[:-1], OTHER_DEPS, *own, OTHER]))
        """Every row that a step can get, in the order of the screen: the plan's, with further ones before "Other"."""

    def stage_of(self, step_name: str) -> str:
        """The row that a step counts under, by its name as the builder words it (`[2/5] RUN pip install …`)."""
        if step_name not in self._known:
            self._known[step_name] = self._find(step_name)
        return self._known[step_name]

    def label(self, steps: Iterable[Step]) -> tuple[Step, ...]:
        """The same steps with `stage` set by these rules."""
        return tuple(replace(step, stage=self.stage_of(step.name)) for step in steps)

    def _find(self, step_name: str) -> str:
        for row, pattern in self._custom:
            if pattern.search(step_name):
                return row
        instruction, flags, arguments = _parse(step_name)
        if arguments.startswith("["):  # the exec form: ["pip", "install", "-r", "requirements.txt"]
            arguments = re.sub(r'[\[\]",\s]+', " ", arguments).strip()
        remote = instruction == "ADD" and re.match(r"(?:https?|git|ssh)://|git@", arguments)
        if instruction in ("COPY", "ADD") and not remote:
            return OTHER if "--from" in flags else _copied(arguments)
        if instruction == "RUN" or remote:
            return next((row for row, pattern in _RUN_RULES if pattern.search(arguments)), OTHER)
        return OTHER


def stage_times(steps: Iterable[Step], started_at: float, duration_ms: float) -> dict[str, float]:
    """Shares a build's wall clock among the rows, in milliseconds, so that parallel steps are not counted twice.

    The build's time is cut at every start and end of a step. A slice in which k steps run goes to each of them in equal
    parts; a slice in which none runs goes to "Other". So no step is given more than it took, and the values add up to
    `duration_ms` (to the rounding of floats). A builder's clock that is off by a little, as a remote one's is, is moved
    by the least that brings the steps within the build; what still sticks out is cut off.

    Args:
        steps: With `stage` set (see `StageRules.label`); without one they count as "Other".
        started_at: When the build began, seconds since 1970.
        duration_ms: The build's wall clock.
    """
    spans = [(step.stage or OTHER, start, end) for step in steps for start, end in _spans(step, started_at)]
    first = min((start for _, start, _ in spans), default=0.0)
    last = max((end for _, _, end in spans), default=0.0)
    shift = max(min(0.0, duration_ms - last), -first)
    edges = sorted(
        edge
        for stage, start, end in spans
        for edge in ((_clip(start + shift, duration_ms), 1, stage), (_clip(end + shift, duration_ms), -1, stage))
    )
    shares: dict[str, list[float]] = {stage: [] for stage, _, _ in spans}
    running: Counter[str] = Counter()
    before = 0.0
    for at, change, stage in edges:
        width, steps_now = at - before, running.total()
        if width > 0 and steps_now:
            for row, count in running.items():
                shares[row].append(width * count / steps_now)
        running[stage] += change
        before = at
    times = {stage: math.fsum(parts) for stage, parts in shares.items() if stage != OTHER}
    times[OTHER] = max(0.0, duration_ms - math.fsum(times.values()))
    return times


def _spans(step: Step, origin: float) -> Sequence[Interval]:
    """A step's intervals in milliseconds after `origin`, those that overlap made one."""
    intervals = step.intervals
    if not intervals and step.started_at is not None:
        intervals = ((step.started_at, step.started_at + step.duration_ms / 1000),)
    merged: list[Interval] = []
    for start, end in sorted(intervals):
        span = ((start - origin) * 1000, (max(start, end) - origin) * 1000)
        if merged and span[0] <= merged[-1][1]:
            span = (merged[-1][0], max(merged.pop()[1], span[1]))
        merged.append(span)
    return merged


def _clip(at: float, limit: float) -> float:
    return min(max(at, 0.0), limit)


def _parse(step_name: str) -> tuple[str, str, str]:
    """Instruction in upper case, its flags and its arguments; three empty texts where there is none."""
    prefix = _PREFIX.match(step_name)
    match = prefix and _INSTRUCTION.match(step_name, prefix.end())
    return (match[1].upper(), match[2], match[3].strip()) if match else ("", "", "")


def _copied(arguments: str) -> str:
    """The row of a COPY from the context, by its sources."""
    names = [source.rstrip("/").rpartition("/")[2] for source in arguments.split()[:-1]]
    telling = [name for name in names if not _COMPANION.fullmatch(name)]
    for row, pattern in _LISTS:
        if telling and all(pattern.fullmatch(name) for name in telling):
            return row
    return CODE
