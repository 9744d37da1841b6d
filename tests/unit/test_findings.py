"""What a history says beside the comparison itself: pairs of builds, image sizes, trends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from console.config import CompareConfig
from console.history.findings import Finder, Place
from console.history.listing import listed, trends
from console.history.records import History
from console.measurements import BuildQuery, Layer, Mark, Sample
from console.model import BuildStatus, Scenario, Target, Track

PLACE = Place("docker 28", "laptop", {})
DEPS, CHANGE = Scenario.DEPS_CHANGE, Scenario.CODE_CHANGE
BASE_LAYERS = (Layer("b1", 1_000), Layer("b2", 500))


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with closing(History.open(tmp_path / "history.db")) as history:
        yield history


def sample(target: Target, at: float, ms: float, scenario: Scenario = CHANGE, **other: object) -> Sample:
    made = Sample(target, scenario, at, ms, BuildStatus.OK, *PLACE.key, image_id=f"{target.value} {at}")
    return replace(made, **other)  # type: ignore[arg-type]


def find(history: History):  # type: ignore[no-untyped-def]
    return Finder(history, PLACE, CompareConfig()).find(1_000.0)


def test_a_base_that_was_built_elsewhere_is_no_half_of_a_measurement(history: History) -> None:
    history.add(sample(Target.BASE, 1.0, 60_000, DEPS, image_id="base 2", engine="another engine"))
    history.add(sample(Target.APP, 2.0, 300, DEPS, base_id="base 2"))
    _, findings = find(history)
    assert findings.scenarios == ()
    history.add(sample(Target.BASE, 3.0, 50_000, DEPS, image_id="base 3"))
    history.add(sample(Target.APP, 4.0, 300, DEPS, base_id="base 3"))
    _, findings = find(history)
    (deps,) = findings.scenarios
    assert deps.split is not None
    assert deps.split.recent_ms == (50_300,)
    legacy, split = trends(history, PLACE.key, DEPS)
    assert (legacy.track, split.track, split.points) == (Track.LEGACY, Track.SPLIT, ((4.0, 50_300),))
    assert trends(history, PLACE.key, CHANGE)[1].points == ()


def test_what_a_teammate_pulls_is_what_a_code_change_made_and_not_what_a_cold_build_did(history: History) -> None:
    def app(at: float, last: Layer, **other: object) -> Sample:
        made = sample(Target.APP, at, 300, layers=(*BASE_LAYERS, last), base_layers=2, base_id="base")
        return replace(made, **other)  # type: ignore[arg-type]

    history.add(app(1.0, Layer("c1", 70)))
    history.add(app(2.0, Layer("c2", 80)))
    _, findings = find(history)
    images = findings.images
    assert (images.base, images.app, images.app_pull) == (1_500, 1_580, 80)

    cold = replace(app(3.0, Layer("c3", 90)), scenario=Scenario.COLD, no_cache=True)
    history.add(replace(cold, layers=(Layer("x1", 1_000), Layer("x2", 500), Layer("c3", 90))))
    history.add(app(4.0, Layer("c4", 60), scenario=Scenario.NO_CHANGE))
    _, findings = find(history)
    assert findings.images.app_pull == 80

    history.add(app(5.0, Layer("c5", 10), base_id="another base"))
    _, findings = find(history)
    assert findings.images.app_pull is None, "there is no build on the same base to hold it against"


def test_marks_of_builds_in_a_list(history: History) -> None:
    month = 31 * 86_400.0
    for at in range(8):
        history.add(sample(Target.APP, month + at, 100 + at))
    history.add(sample(Target.APP, 1.0, 104))
    history.add(sample(Target.APP, month + 20, 9_000))
    history.add(sample(Target.APP, month + 30, 9_000, disturbed="another build ran"))
    total, builds = listed(history, BuildQuery(descending=False), now=month + 40)
    assert total == 11
    marks = [build.marks for build in builds]
    assert marks == [(Mark.OLD,), *[()] * 8, (Mark.OUTLIER,), ()], "what is compared with nothing has no mark"
