"""Two builds step by step: which steps belong together, what got slower, and why; what makes totals incomparable."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.measurements import Sample
from console.model import BuildStatus, Cause, CauseKind, Scenario, Step, StepKind, StepStatus, Target
from console.state.build_difference import SAME, difference, signed

DIGEST = "@sha256:" + "a" * 64


def step(name: str, ms: float = 0.0, status: StepStatus | None = None, *, stage: str = "") -> Step:
    status = status or (StepStatus.DONE if ms else StepStatus.CACHED)
    return Step(name, name, StepKind.INSTRUCTION, status, 1, 9, stage, duration_ms=ms)


def sample(number: int, *steps: Step, **more: object) -> Sample:
    made = Sample(Target.APP, Scenario.CODE_CHANGE, 0.0, 100.0, BuildStatus.OK, "docker 28", "here", steps=steps)
    return replace(made, number=number, **more)  # type: ignore[arg-type]


def found(before: Sample, after: Sample) -> list[tuple[str, float, str]]:
    return [(each.name, each.slower_ms, each.why) for each in difference(before, after).steps]


def test_slower_steps_come_first_with_what_led_to_them() -> None:
    before = sample(
        1, step("[1/4] FROM base"), step("[2/4] COPY a a", 50), step("[3/4] RUN x", 900), step("[4/4] RUN y")
    )
    after = sample(
        2,
        step("[1/4] FROM base"),
        step("[2/4] COPY a a", 60),
        step("[3/4] RUN x"),
        step("[4/4] RUN y", 3000),
        causes=(
            Cause("[2/4] COPY a a", CauseKind.FILES, ("a/b.py",), 60),
            Cause("[4/4] RUN y", CauseKind.ARGUMENT, ("VERSION",), 3000),
        ),
    )
    assert found(before, after) == [
        ("RUN y", 3000.0, "cached in #1; argument VERSION changed"),
        ("COPY a a", 10.0, "a/b.py changed"),
        ("FROM base", 0.0, ""),
        ("RUN x", -900.0, "cached in #2"),
    ]


def test_why_a_step_ran_that_is_cached_now_is_told_of_the_other_build() -> None:
    before = sample(7, step("[2/2] RUN x", 900), causes=(Cause("[2/2] RUN x", CauseKind.GONE, (), 900),))
    after = sample(8, step("[2/2] RUN x"))
    assert found(before, after) == [("RUN x", -900.0, "cached in #8; in #7 no longer in the builder's cache")]


def test_steps_belong_together_whatever_their_numbers() -> None:
    before = sample(1, step("[2/3] RUN x", 10), step("[3/3] RUN old", 5))
    after = sample(2, step("[2/5] RUN new", 7), step("[4/5] RUN x", 30))
    assert found(before, after) == [
        ("RUN x", 20.0, ""),
        ("RUN new", 7.0, "only in #2"),
        ("RUN old", -5.0, "only in #1"),
    ]


def test_equal_steps_of_several_stages_belong_to_their_stages() -> None:
    one = (
        step("[a 2/3] RUN x", 10, stage="a"),
        step("[b 2/3] RUN x", 1000, stage="b"),
        step("[b 3/3] RUN x", 5, stage="b"),
    )
    other = (
        step("[b 2/3] RUN x", 1000, stage="b"),
        step("[a 2/3] RUN x", 10, stage="a"),
        step("[b 3/3] RUN x", 5, stage="b"),
    )
    assert {slower for _, slower, _ in found(sample(1, *one), sample(2, *other))} == {0.0}
    renamed = (step("[c 2/3] RUN x", 10, stage="c"), step("[b 2/3] RUN x", 1000, stage="b"))
    assert [slower for _, slower, _ in found(sample(1, *one[:2]), sample(2, *renamed))] == [0.0, 0.0]


def test_another_image_to_start_from_is_one_step() -> None:
    before = sample(1, step(f"[1/2] FROM base:1{DIGEST}"))
    after = sample(2, step("[1/2] FROM base:2", 40))
    assert found(before, after) == [("FROM base:2", 40.0, "cached in #1")]


@pytest.mark.parametrize(
    ("status", "said"), [(StepStatus.FAILED, "failed in #2"), (StepStatus.CANCELLED, "cancelled in #2")]
)
def test_a_step_that_did_not_end_is_no_measure(status: StepStatus, said: str) -> None:
    before, after = sample(1, step("[1/1] RUN x", 10)), sample(2, step("[1/1] RUN x", 5, status))
    assert found(before, after) == [("RUN x", -5.0, said)]


def test_builds_without_steps() -> None:
    assert difference(sample(1), sample(2)).steps == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"scenario": Scenario.COLD}, "#1 is code-change; #2 is cold."),
        ({"engine": "podman 5"}, "#1 is on docker 28; #2 is on podman 5."),
        ({"machine": "there"}, "#1 is on here; #2 is on there."),
        ({"target": Target.BASE}, "#1 is the app image; #2 is the base image."),
        (
            {"scenario": Scenario.COLD, "machine": "there"},
            "#1 is code-change, on here; #2 is cold, on there.",
        ),
    ],
)
def test_totals_of_different_circumstances_say_nothing(change: dict[str, object], reason: str) -> None:
    apart = difference(sample(1), sample(2, **change)).apart
    assert apart == f"Their totals say nothing about each other: {reason}"


def test_the_two_tracks_of_one_scenario_can_be_compared() -> None:
    found = difference(sample(1, target=Target.LEGACY), sample(2))
    assert found.apart == ""
    assert "few of their steps belong together" in found.remarks[0]


def test_what_else_to_know_before_comparing() -> None:
    assert difference(sample(1), sample(2)).remarks == ()
    after = sample(2, status=BuildStatus.FAILED, disturbed="another build ran at the same time")
    assert difference(sample(1), after).remarks == (
        "#2 was not finished (failed), so its total is too short.",
        "#2 did not run alone: another build ran at the same time.",
    )


def test_facts_of_both() -> None:
    before = sample(
        1,
        context_digest="a",
        context_files=3,
        context_bytes=18_000,
        image_bytes=1_000_000,
        base_id="sha256:" + "b" * 64,
    )
    after = replace(
        before,
        number=2,
        duration_ms=1300.0,
        save_to_ready_ms=900.0,
        context_digest="z",
        context_files=4,
        image_bytes=1_500_000,
        recipe="r2",
    )
    facts = {fact.name: (fact.before, fact.after, fact.change) for fact in difference(before, after).facts}
    assert facts == {
        "took": ("100 ms", "1.30 s", "+1.20 s"),
        "save-to-ready": ("–", "900 ms", ""),
        "context": ("0 ms", "0 ms", "="),
        "files": ("3 files, 18 kB", "4 files, 18 kB", "other"),
        "image": ("1 MB", "1.5 MB", "+500 kB"),
        "base": ("b" * 12, "b" * 12, SAME),
    }
    other = difference(replace(before, recipe="r1", revision="1" * 40), replace(after, revision="2" * 40)).facts
    assert [(fact.name, fact.change) for fact in other][-2:] == [("instructions", "other"), ("commit", "another")]


def test_signed_times() -> None:
    assert [signed(ms) for ms in (1200, -349, 0.2, -0.4)] == ["+1.20 s", "−349 ms", "=", "="]
