from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.config import StageConfig
from console.history.stages import StageRules
from console.history.verdict import MOST_ADVICE, Evidence, _shown, verdict
from console.measurements import Comparison, Sample, StageTime, TrackSummary, Verdict
from console.model import BuildStatus, Cause, CauseKind, Scenario, Step, StepKind, StepStatus, Target

CODE, COLD, DEPS, SAME = Scenario.CODE_CHANGE, Scenario.COLD, Scenario.DEPS_CHANGE, Scenario.NO_CHANGE
LEGACY, APP, BASE = Target.LEGACY, Target.APP, Target.BASE
NAMES = {LEGACY: "Dockerfile.legacy", APP: "docker/app.Dockerfile", BASE: "docker/base.Dockerfile"}
EXPORT = "exporting to image"
START = 1_700_000_000.0

Part = tuple[int, str, "float | None"]
"""Line, instruction, and what it took in milliseconds; None for one from the cache."""


def build(target: Target, scenario: Scenario, total_ms: float, *parts: Part) -> Sample:
    """A successful build whose steps ran one after the other."""
    steps, clock = [], START
    for number, (line, text, took_ms) in enumerate(parts, start=1):
        end = clock + (took_ms or 0.0) / 1000
        exports = text == EXPORT
        steps.append(
            Step(
                id=str(number),
                name=text if exports else f"[{number:2}/{len(parts)}] {text}",
                kind=StepKind.EXPORT if exports else StepKind.INSTRUCTION,
                status=StepStatus.CACHED if took_ms is None else StepStatus.DONE,
                number=number,
                started_at=clock,
                duration_ms=took_ms or 0.0,
                intervals=() if took_ms is None else ((clock, end),),
                line=line,
            )
        )
        clock = end
    return Sample(target, scenario, START, total_ms, BuildStatus.OK, "docker 28 buildkit", "m", steps=tuple(steps))


def because(sample: Sample, *kinds: tuple[int, CauseKind]) -> Sample:
    """The same build with causes: of the steps on these lines the given ones, every other follows the one before it."""
    own, causes, before = dict(kinds), [], ""
    for step in sample.steps:
        if step.kind is StepKind.INSTRUCTION and step.status is StepStatus.DONE:
            kind = own.get(step.line, CauseKind.PARENT)
            names = (before,) if kind is CauseKind.PARENT else ("app.py",)
            causes.append(Cause(step.name, kind, names, step.duration_ms))
            before = step.name
    return replace(sample, causes=tuple(causes))


def side(median_ms: float | None) -> TrackSummary | None:
    return None if median_ms is None else TrackSummary(3, median_ms, median_ms * 0.9, median_ms * 1.1, START)


def judged(  # type: ignore[no-untyped-def]
    legacy: Sample | None, app: Sample | None, *, split_ms=None, interval=None, stages=(), rules=None, **evidence
) -> Verdict:
    """The verdict on two builds, each the only one of its track."""
    scenario = (legacy or app).scenario  # type: ignore[union-attr]
    comparison = Comparison(
        scenario,
        side(legacy and legacy.duration_ms),
        side(split_ms or (app and app.duration_ms)),
        stages=stages,
        interval=interval,
    )
    evidence = {"dockerfiles": NAMES, **evidence}
    found = verdict(comparison, Evidence(legacy, app, **evidence), rules or StageRules())
    assert found is not None
    assert found.scenario is scenario
    assert all(
        len(text) <= 240 and text.endswith(".") and text.isprintable() for text in (found.sentence, *found.advice)
    )
    return found


# the sample of this repository: its Dockerfile.legacy copies the code first
APT = "RUN apt-get update  && apt-get install -y --no-install-recommends g++ gcc git  && rm -rf /var/lib/apt/lists/*"
PIP = "RUN pip install --no-cache-dir -r /app/requirements.txt"
MODEL = "RUN pip install --no-cache-dir --no-deps some-model  && some-model export  && pip uninstall --yes some-model"
COPY_CODE = "COPY sample/codesearch /app/codesearch"


def sample_legacy(scenario: Scenario, total_ms: float, lists_ms: float | None = None) -> Sample:
    return build(
        *(LEGACY, scenario, total_ms),
        (4, "FROM docker.io/library/python:3.11-slim-bookworm", None),
        (6, "WORKDIR /app", None),
        (7, "COPY sample/requirements.txt /app/requirements.txt", lists_ms),
        (9, COPY_CODE, 23),
        (11, APT, 8_100),
        (17, PIP, 36_200),
        (20, MODEL, 2_600),
        (27, 'RUN python -c "import mcp, uvicorn"', 6_100),
        (0, EXPORT, 2_600),
    )


def sample_app(scenario: Scenario, total_ms: float) -> Sample:
    parts = (4, "FROM docker.io/library/codesearch-base:latest", None), (13, COPY_CODE, 22), (0, EXPORT, 30)
    return build(APP, scenario, total_ms, *parts)


def sample_base(scenario: Scenario, total_ms: float) -> Sample:
    return build(
        *(BASE, scenario, total_ms),
        (6, APT, None),
        (13, MODEL, None),
        (20, "COPY sample/requirements.txt /opt/requirements.txt", 20),
        (21, "RUN pip install --no-cache-dir -r /opt/requirements.txt", 36_000),
        (0, EXPORT, 2_900),
    )


# the project measured by hand: code copied last, and the app image still installs above its base
def ordered_legacy(scenario: Scenario, total_ms: float, install_ms: float | None = None) -> Sample:
    return build(
        *(LEGACY, scenario, total_ms),
        (1, "FROM docker.io/library/python:3.12", None),
        (4, "RUN apt-get update && apt-get install -y curl", install_ms and install_ms / 5),
        (8, "COPY requirements.txt .", install_ms and 20),
        (9, "RUN pip install -r requirements.txt", install_ms and install_ms * 4 / 5),
        (14, "COPY . /app", 60),
        (0, EXPORT, 500),
    )


def heavy_app(scenario: Scenario, total_ms: float, install_ms: float | None = None) -> Sample:
    return build(
        *(APP, scenario, total_ms),
        (2, "FROM docker.io/library/base:latest", None),
        (4, "RUN apt-get update && apt-get install -y curl", install_ms),
        (9, "COPY . /app", 60),
        (0, EXPORT, 300),
    )


# -- a code change ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [False, True], ids=["without causes", "with causes"])
def test_code_copied_early_is_what_the_split_saves_and_not_its_only_cure(told: bool) -> None:
    legacy = sample_legacy(CODE, 56_900)
    found = judged(
        because(legacy, (9, CauseKind.FILES)) if told else legacy, sample_app(CODE, 144), interval=(370, 410)
    )
    assert found.sentence == (
        "A code change takes 144 ms in place of 56.9 s (×395): COPY sample/codesearch /app/codesearch "
        "(Dockerfile.legacy:9) makes 3 install steps after it run again, 46.9 s."
    )
    (advice,) = found.advice
    assert advice == (
        "Dockerfile.legacy:9 copies code above 3 install steps, 46.9 s: copied below line 20, except for what is read "
        "there, it would spare the legacy build that, too."
    )


def test_code_copied_last_leaves_hardly_anything_to_gain() -> None:
    found = judged(ordered_legacy(CODE, 1_100), heavy_app(CODE, 700))
    assert found.sentence == (
        "The split gains little here (700 ms in place of 1.10 s): COPY . /app (Dockerfile.legacy:14) stands below the "
        "installs, so none runs again; the split can pay where no cache is, as in CI."
    )
    assert found.advice == ()


def test_a_little_slower_gains_nothing_and_equal_too() -> None:
    for legacy_ms in (650, 700):
        sentence = judged(ordered_legacy(CODE, legacy_ms), heavy_app(CODE, 700)).sentence
        assert sentence.startswith(f"The split gains nothing here (700 ms in place of {legacy_ms} ms): COPY . /app (")


@pytest.mark.parametrize(
    ("legacy_ms", "split_ms", "little"),
    [(1_800, 801, True), (1_800, 799, False), (50_000, 40_001, True), (50_000, 39_999, False)],
)
def test_little_is_less_than_a_second_or_a_fifth(legacy_ms: float, split_ms: float, little: bool) -> None:
    sentence = judged(ordered_legacy(CODE, legacy_ms), heavy_app(CODE, split_ms)).sentence
    assert sentence.startswith("The split gains little" if little else "A code change takes")


def test_what_the_builds_cannot_show_is_not_claimed() -> None:
    for low, high, unclear in ((0.8, 1.9, True), (1.1, 1.9, False), (0.4, 0.9, False)):
        found = judged(ordered_legacy(CODE, 4_100), heavy_app(CODE, 2_700), interval=(low, high))
        assert found.sentence.startswith("No difference that these builds can show") is unclear
    found = judged(ordered_legacy(CODE, 4_100), heavy_app(CODE, 2_700), interval=(0.8, 1.9))
    assert found.sentence.endswith(
        "(split 2.70 s, legacy 4.10 s: ×0.80 to ×1.90): "
        "COPY . /app (Dockerfile.legacy:14) stands below the installs, so none runs again."
    )


def test_a_slower_split_is_told_with_what_makes_it_slow() -> None:
    app = build(
        *(APP, CODE, 9_000),
        (4, "COPY . /app", 60),
        (6, "RUN apt-get update && apt-get install -y curl", 7_900),
        (0, EXPORT, 300),
    )
    found = judged(ordered_legacy(CODE, 1_100), app)
    assert found.sentence == (
        "The split is slower here, 9.00 s against 1.10 s: the app build's costliest step is "
        "RUN apt-get update && apt-get install… (docker/app.Dockerfile:6), 7.90 s."
    )
    (advice,) = found.advice
    assert advice.startswith(
        "docker/app.Dockerfile:6 installs on top of the base: RUN apt-get update && apt-get install… "
    )
    assert "takes 7.90 s of the app build's 9.00 s" in advice
    exporting = replace(app, steps=(*app.steps[:1], replace(app.steps[2], duration_ms=8_000, intervals=())))
    assert "costliest step is exporting to image, 8.00 s." in judged(ordered_legacy(CODE, 1_100), exporting).sentence


def test_installs_that_both_sides_run_again_are_no_gain_of_the_split() -> None:
    found = judged(sample_legacy(CODE, 56_900), heavy_app(CODE, 50_000, install_ms=49_000))
    assert found.sentence.startswith(
        "The split gains little here (50.0 s in place of 56.9 s): the app build's costliest"
    )
    assert [advice.split()[0] for advice in found.advice] == ["docker/app.Dockerfile:4", "Dockerfile.legacy:9"]


def test_a_cheap_install_is_no_reason() -> None:
    legacy = build(LEGACY, CODE, 1_100, (3, "COPY . .", 40), (4, "RUN apt-get install -y curl", 300))
    found = judged(legacy, sample_app(CODE, 600))
    assert found.sentence.endswith(": what Dockerfile.legacy installs again takes no more than 300 ms.")


@pytest.mark.parametrize(
    ("total_ms", "install_ms", "worth"),
    [(2_000, 210, True), (2_000, 190, False), (90_000, 1_010, True), (90_000, 990, False), (300, 90, False)],
)
def test_what_costs_next_to_nothing_is_no_advice(total_ms: float, install_ms: float, worth: bool) -> None:
    app = heavy_app(CODE, total_ms, install_ms)
    assert bool(judged(ordered_legacy(CODE, total_ms), app).advice) is worth


def test_what_runs_at_the_same_time_is_not_counted_twice() -> None:
    legacy = sample_legacy(CODE, 56_900)
    apt, pip = legacy.steps[4], legacy.steps[5]
    together = replace(pip, intervals=((apt.intervals[0][0], apt.intervals[0][0] + 36.2),))
    found = judged(replace(legacy, steps=(*legacy.steps[:5], together, *legacy.steps[6:])), sample_app(CODE, 144))
    assert "3 install steps after it run again, 38.8 s." in found.sentence, "36.2 s with apt-get in it, and 2.6 s"


def test_no_step_costs_more_than_its_build_and_copying_lists_installs_nothing() -> None:
    parts = (
        (3, "COPY src src", 10),
        (4, "COPY requirements.txt .", 20),
        (5, "RUN pip install -r requirements.txt", 5_000),
    )
    found = judged(build(LEGACY, CODE, 4_900, *parts), sample_app(CODE, 144))
    assert "makes 1 install step after it run again, 4.90 s." in found.sentence


def test_the_step_whose_files_changed_is_to_blame_and_not_one_that_ran_before_it() -> None:
    parts = [(2, "COPY --from=tools /bin/x /bin/x", 30), (3, "COPY src src", 20), (4, "RUN npm ci", 9_000)]
    legacy = build(LEGACY, CODE, 9_500, *parts)
    told = because(legacy, (2, CauseKind.BASE), (3, CauseKind.FILES))
    assert "): COPY src src (Dockerfile.legacy:3) makes 1 install step" in judged(told, sample_app(CODE, 144)).sentence


def test_an_install_in_another_stage_counts_where_it_follows() -> None:
    legacy = build(
        LEGACY, CODE, 9_500, (3, "COPY web web", 20), (7, "COPY api api", 20), (8, "RUN pip install x", 9_000)
    )
    web, api, pip = (replace(step, stage_label=label) for step, label in zip(legacy.steps, "abb", strict=True))
    legacy = because(replace(legacy, steps=(web, api, pip)), (3, CauseKind.FILES), (7, CauseKind.FILES))
    found = judged(legacy, sample_app(CODE, 144))
    assert "): COPY api api (Dockerfile.legacy:7) makes 1 install step after it" in found.sentence
    copied = because(replace(legacy, steps=(web, pip)), (3, CauseKind.FILES))
    found = judged(copied, sample_app(CODE, 144))
    assert "): COPY web web (Dockerfile.legacy:3) makes 1 install step after it" in found.sentence
    assert not found.advice, "another stage cannot be stood above"


def test_a_lost_cache_is_not_blamed_on_the_code() -> None:
    legacy = because(build(LEGACY, CODE, 41_000, (2, "RUN npm ci", 40_000), (3, "COPY . .", 60)), (2, CauseKind.GONE))
    found = judged(legacy, sample_app(CODE, 144))
    assert found.sentence.endswith(
        ": RUN npm ci (Dockerfile.legacy:2) ran again because the builder's cache had lost it, "
        "40.1 s with what follows it."
    )
    assert not found.advice


def test_a_gain_without_installs_names_what_runs_again() -> None:
    parts = (2, "RUN npm ci", None), (3, "COPY . .", 60), (4, "RUN npm run build", 40_000)
    found = judged(build(LEGACY, CODE, 41_000, *parts), sample_app(CODE, 144))
    assert found.sentence.endswith(": after COPY . . (Dockerfile.legacy:3) it runs RUN npm run build again, 40.0 s.")
    cheap = build(LEGACY, CODE, 41_000, *parts[1:], (5, "RUN pip install x", 500))
    assert judged(cheap, sample_app(CODE, 144)).sentence.endswith(" it runs RUN npm run build again, 40.0 s.")
    exporting = build(LEGACY, CODE, 9_000, (3, "COPY . .", 60), (0, EXPORT, 8_000))
    sentence = judged(exporting, sample_app(CODE, 144)).sentence
    assert sentence.endswith(": the legacy build's costliest step is exporting to image, 8.00 s.")


@pytest.mark.parametrize("install", ["pip install .", "pip install --upgrade '.[web]'", "pip install -e . --quiet"])
def test_the_project_itself_can_only_be_installed_below_its_code(install: str) -> None:
    legacy = build(LEGACY, CODE, 41_000, (3, "COPY . .", 60), (4, f"RUN {install}", 40_000))
    (advice,) = judged(legacy, sample_app(CODE, 144)).advice
    assert advice.startswith(
        "Dockerfile.legacy:4 installs the code with all it needs, 40.0 s after every code change: "
    )
    app = build(APP, CODE, 3_000, (3, "COPY . .", 60), (4, f"RUN {install}", 2_500))
    assert not judged(ordered_legacy(CODE, 20_000), app).advice


@pytest.mark.parametrize("install", ["pip install -r ./requirements.txt", "pip install x.y -c constraints.txt"])
def test_lists_are_not_the_project_itself(install: str) -> None:
    legacy = build(LEGACY, CODE, 41_000, (3, "COPY . .", 60), (4, f"RUN {install}", 40_000))
    (advice,) = judged(legacy, sample_app(CODE, 144)).advice
    assert advice.startswith("Dockerfile.legacy:3 copies code above RUN pip install ")


def test_a_row_of_the_projects_own_is_a_dependency_unless_the_app_has_it() -> None:
    rules = StageRules((StageConfig(name="Grammars", match="grammars"),))
    legacy = build(LEGACY, CODE, 9_000, (3, "COPY . .", 60), (4, "RUN ./grammars", 8_000))
    for in_base in (True, False):
        stages = (StageTime("Grammars", 8_000, 0, in_base=in_base),)
        found = judged(legacy, sample_app(CODE, 144), stages=stages, rules=rules)
        assert ("makes 1 install step after it run again" in found.sentence) is bool(found.advice) is in_base


def test_times_that_a_builder_does_not_tell_are_marked() -> None:
    legacy = sample_legacy(CODE, 56_900)
    legacy = replace(legacy, steps=tuple(replace(step, exact=False) for step in legacy.steps))
    found = judged(legacy, sample_app(CODE, 144))
    assert "run again, ≈ 46.9 s." in found.sentence
    assert "3 install steps, ≈ 46.9 s:" in found.advice[0]


# -- cold -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pull_ms", "build_ms", "base"),
    [
        (None, None, ""),
        (None, 20_000, "; the base takes 20.0 s to build"),
        (None, 56_300, "; a machine that has to build the base first (56.3 s) gains little"),
        (12_000, 56_300, "; the base takes 12.0 s to pull, 56.3 s to build"),
        (
            70_000,
            56_300,
            "; a machine that has to pull the base first (70.0 s) gains nothing",
        ),
    ],
)
def test_cold_counts_the_base_as_present_and_tells_what_it_takes_to_have_it(
    pull_ms: float | None, build_ms: float | None, base: str
) -> None:
    found = judged(sample_legacy(COLD, 57_800), sample_app(COLD, 125), pull_ms=pull_ms, base_cold_ms=build_ms)
    assert found.sentence == (
        "With the base present the split takes 125 ms in place of 57.8 s (×462): "
        f"the base holds what Dockerfile.legacy installs in 46.9 s{base}."
    )
    assert found.advice == (), "a fresh machine has no cache mount, and the order of steps is all the same to it"


def test_an_app_that_still_installs_above_its_base() -> None:
    found = judged(ordered_legacy(COLD, 110_800, 100_000), heavy_app(COLD, 8_100, 6_900), base_cold_ms=102_900)
    assert found.sentence == (
        "With the base present the split takes 8.10 s in place of 1 m 51 s (×13.7), 6.90 s of it for installs that the "
        "base could hold; a machine that has to build the base first (1 m 43 s) gains nothing."
    )
    (advice,) = found.advice
    assert advice == (
        "docker/app.Dockerfile:4 installs on top of the base: RUN apt-get update && apt-get install… takes 6.90 s of "
        "the app build's 8.10 s; in the base it would run only when that is built."
    )


def test_cold_without_a_gain() -> None:
    slow = heavy_app(COLD, 8_100, 6_900)
    why = (
        ": the app build's costliest step is RUN apt-get update && apt-get install… (docker/app.Dockerfile:4), 6.90 s."
    )
    little = judged(ordered_legacy(COLD, 8_900, 8_000), slow).sentence
    assert little == f"The split gains little here (8.10 s in place of 8.90 s), with the base present{why}"
    slower = judged(ordered_legacy(COLD, 5_000, 4_000), slow).sentence
    assert slower == f"The split is slower even with the base present, 8.10 s against 5.00 s{why}"


# -- a change of dependencies -----------------------------------------------------------------------------------------


def test_a_changed_dependency_costs_about_the_same_and_a_cache_mount_is_what_would_help() -> None:
    legacy, base = sample_legacy(DEPS, 56_900, lists_ms=25), sample_base(DEPS, 56_250)
    found = judged(legacy, sample_app(DEPS, 150), split_ms=56_400, base=base)
    assert found.sentence == (
        "A changed dependency costs about the same either way, base and app 56.4 s, legacy 56.9 s: "
        "the legacy build's costliest step is RUN pip install -r /app/requirements… (Dockerfile.legacy:17), 36.2 s."
    )
    pip, in_base, order = found.advice
    assert pip == (
        "Dockerfile.legacy:17 installs without a cache mount, 36.2 s after a change of dependencies: "
        "with --mount=type=cache and no --no-cache-dir it would not fetch again what it had."
    )
    assert in_base.startswith("docker/base.Dockerfile:21 installs without a cache mount, 36.0 s after a change ")
    assert order == (
        "Dockerfile.legacy:7 copies lists of dependencies above RUN apt-get update && apt-get install…, 8.10 s: "
        "copied below line 11, except for what is read there, it would spare the legacy build that."
    )


def test_an_install_below_lists_that_it_does_not_need_is_advised_once() -> None:
    legacy = build(LEGACY, DEPS, 21_000, (3, "COPY requirements.txt .", 10), (4, APT, 20_000))
    (advice,) = judged(legacy, sample_app(DEPS, 150), split_ms=20_500).advice
    assert advice.startswith("Dockerfile.legacy:3 copies lists of dependencies above RUN apt-get update && ")


def test_a_cache_mount_that_is_there_or_impossible_is_not_advised() -> None:
    mounted = "RUN --mount=type=secret,id=x --mount=type=cache,target=/root/.cache pip install -r requirements.txt"
    for engine, install, advised in (
        ("docker 28 buildkit", mounted, False),
        ("docker 28 buildkit", mounted.replace("cache,", "bind,"), True),
        ("docker 20 classic", "RUN pip install x", False),
    ):
        legacy = build(LEGACY, DEPS, 21_000, (3, "COPY requirements.txt .", 10), (4, install, 20_000))
        found = judged(replace(legacy, engine=engine), sample_app(DEPS, 150), split_ms=20_500)
        assert bool(found.advice) is advised


def test_a_base_that_was_not_built_for_this_change_says_nothing_about_it() -> None:
    legacy = ordered_legacy(DEPS, 21_000, 4_000)
    found = judged(legacy, sample_app(DEPS, 150), split_ms=56_400, base=sample_base(COLD, 56_250))
    assert found.sentence == "A changed dependency costs the split more, 56.4 s for base and app against 21.0 s."
    assert not found.advice
    found = judged(legacy, sample_app(DEPS, 150), split_ms=56_400, base=sample_base(DEPS, 56_250))
    why = (
        "the base build's costliest step is RUN pip install -r /opt/requirements… (docker/base.Dockerfile:21), 36.0 s."
    )
    assert found.sentence.endswith(why)


def test_a_base_that_takes_a_change_of_dependencies_better() -> None:
    legacy = sample_legacy(DEPS, 56_900, lists_ms=25)
    found = judged(legacy, sample_app(DEPS, 150), split_ms=20_000)
    assert found.sentence == (
        "A changed dependency takes base and app 20.0 s in place of 56.9 s (×2.8): COPY sample/requirements.txt "
        "/app/req… (Dockerfile.legacy:7) makes 3 install steps after it run again, 46.9 s."
    )


# -- the rest ---------------------------------------------------------------------------------------------------------


def test_no_change_builds_nothing() -> None:
    legacy, app = build(LEGACY, SAME, 320, (3, "COPY . .", None)), build(APP, SAME, 98, (3, "COPY . .", None))
    sentence = "Nothing changed, so nothing is built on either side: legacy 320 ms, split 98 ms."
    assert judged(legacy, app) == Verdict(SAME, sentence)
    again = build(LEGACY, SAME, 4_320, (3, "RUN make", 4_000))
    assert judged(again, app).sentence == (
        "Nothing changed, yet RUN make (Dockerfile.legacy:3) runs again, 4.00 s: legacy 4.32 s, split 98 ms."
    )


def test_a_side_that_is_not_measured() -> None:
    assert judged(None, sample_app(CODE, 144)) == Verdict(
        CODE, "No verdict: the legacy build is not measured in code-change builds (split 144 ms)."
    )
    assert judged(sample_legacy(COLD, 57_800), None) == Verdict(
        COLD, "No verdict: the split is not measured in cold builds (legacy 57.8 s)."
    )
    assert verdict(Comparison(COLD), Evidence(None, None), StageRules()) is None


def test_without_steps_there_are_figures_and_no_reason() -> None:
    found = judged(build(LEGACY, CODE, 41_000), build(APP, CODE, 144))
    assert found == Verdict(CODE, "A code change takes 144 ms in place of 41.0 s (×285).")


def test_places_without_line_or_name() -> None:
    legacy = sample_legacy(CODE, 56_900)
    legacy = replace(legacy, steps=tuple(replace(step, line=0) for step in legacy.steps))
    found = judged(legacy, sample_app(CODE, 144), dockerfiles={})
    assert "(the legacy Dockerfile) makes 3 install steps after it" in found.sentence
    assert found.advice[0].startswith("the legacy Dockerfile copies code above 3 install steps, 46.9 s: copied below, ")


def test_only_the_instructions_own_flags_are_left_out() -> None:
    step = Step("1", "[2/3] RUN --mount=type=cache,target=/c pip --version", StepKind.INSTRUCTION, StepStatus.DONE)
    assert _shown(step) == "RUN pip --version"


def test_foreign_names_are_short_and_printable() -> None:
    step = "RUN --mount=type=cache,target=/root/.cache \\\n  pip  install\x1b[31m " + "x" * 500
    legacy = build(LEGACY, CODE, 41_000, (3, "COPY \udcff .", 60), (4, step, 40_000))
    found = judged(legacy, sample_app(CODE, 144), dockerfiles={LEGACY: "very/" * 30 + "Dockerfile\n"})
    assert r"): COPY \udcff . (…y/very/very/very/Dockerfile\n:3) makes" in found.sentence


INSTRUCTIONS = st.sampled_from(
    [
        "FROM x",
        APT,
        PIP,
        MODEL,
        COPY_CODE,
        "RUN pip install .",
        "COPY requirements.txt .",
        "ADD a b",
        "RUN make",
        "",
        "?",
    ]
)
MS = st.just(0.0) | st.floats(1e-3, 1e7)
SPANS = st.lists(st.tuples(st.floats(-5, 100), st.floats(-5, 100)), max_size=2)


@st.composite
def steps(draw: st.DrawFn) -> tuple[Step, ...]:
    found = []
    for number, text in enumerate(draw(st.lists(INSTRUCTIONS, max_size=6)), start=1):
        found.append(
            Step(
                id=str(number),
                name=draw(st.sampled_from([f"[{number}/6] {text}", text])),
                kind=draw(st.sampled_from(StepKind)),
                status=draw(st.sampled_from(StepStatus)),
                duration_ms=draw(MS),
                intervals=tuple((START + start, START + end) for start, end in draw(SPANS)),
                line=draw(st.integers(0, 9)),
                stage_label=draw(st.sampled_from(["", "a"])),
                exact=draw(st.booleans()),
            )
        )
    return tuple(found)


@st.composite
def samples(draw: st.DrawFn, target: Target) -> Sample | None:
    if draw(st.integers(0, 9)) == 0:
        return None
    ran = draw(steps())
    names = [step.name for step in ran]
    causes = tuple(
        Cause(name, draw(st.sampled_from(CauseKind)), tuple(draw(st.lists(st.sampled_from(names), max_size=2))), 1.0)
        for name in names
        if draw(st.booleans())
    )
    scenario, engine = draw(st.sampled_from(Scenario)), draw(st.sampled_from(["docker 28 buildkit", "docker classic"]))
    return Sample(target, scenario, START, draw(MS), BuildStatus.OK, engine, "m", causes=causes, steps=ran)


@given(
    *(samples(LEGACY), samples(APP), samples(BASE), st.sampled_from(Scenario)),
    *(st.none() | MS, st.none() | MS, st.none() | MS, st.none() | MS),
    st.none() | st.tuples(st.floats(0.01, 2), st.floats(0.5, 999)),
    st.sampled_from([NAMES, {}]),
)
def test_any_mix_of_steps_has_a_sentence(  # type: ignore[no-untyped-def]
    legacy, app, base, scenario, legacy_ms, split_ms, cold_ms, pull_ms, interval, names
) -> None:
    comparison = Comparison(scenario, side(legacy_ms), side(split_ms), interval=interval)
    found = verdict(comparison, Evidence(legacy, app, base, cold_ms, pull_ms, names), StageRules())
    if found is None:
        assert legacy_ms is None
        assert split_ms is None
        return
    assert len(found.advice) <= MOST_ADVICE
    for text in (found.sentence, *found.advice):
        assert text.isprintable()
        assert text.endswith(".")
        assert 20 < len(text) <= 240
        assert "  " not in text
    assert not any(re.search(r"(?<![\d.])0 ms", advice) for advice in found.advice)
    if None in (legacy_ms, split_ms):
        assert not found.advice
