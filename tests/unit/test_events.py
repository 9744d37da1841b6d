"""Events as JSON lines: the public contract, and docs/events.md held against the code."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from console import events as ev
from console.base_values import (
    BaseContents,
    BaseDiff,
    BaseStatus,
    BaseVersion,
    HeldBase,
    PackageChange,
    Transfer,
    TransferLayer,
)
from console.event_json import iso_time, to_json
from console.events import Stamped
from console.measurements import (
    BuildQuery,
    Comparison,
    Findings,
    ImageBytes,
    Layer,
    Ledger,
    ListedBuild,
    OtherMeasurement,
    Period,
    PullTime,
    Race,
    RaceResult,
    Sample,
    StageTime,
    TargetCheck,
    TrackSummary,
    Trend,
    Usual,
    UsualStep,
    Verdict,
)
from console.model import (
    BuilderInfo,
    BuildStatus,
    BuildWarning,
    Cause,
    ContainerUsage,
    ContextSummary,
    EngineInfo,
    Scenario,
    Step,
    StepFailure,
    StepKind,
    StepStatus,
    Target,
    Track,
)
from tests.ui.story import until

PAGE = (Path(__file__).parents[2] / "docs/events.md").read_text(encoding="utf-8")
AT = 1_795_442_531.345678

CONTRACT = {
    "change.detected": {"batch", "paths", "saved_at"},
    "plan.made": {"batch", "plan", "hold", "reason"},
    "build.started": {"build", "track", "image", "reason", "batch"},
    "step.updated": {"build", "step"},
    "build.log": {"build", "step", "stream", "text"},
    "build.finished": {
        *("build", "track", "status", "duration_ms", "context_ms", "steps", "cached", "total", "image_id", "size_bytes")
    },
    "container.started": {"container", "image_id", "build"},
    "container.ready": {
        *("build", "batch", "save_to_ready_ms", "detect_ms", "context_ms", "build_ms", "swap_ms", "ready_ms")
    },
    "container.log": {"container", "stream", "text"},
    "container.exited": {"exit_code"},
    "container.rolled_back": {"from", "to", "reason"},
    "base.stale": {"files"},
    "base.promoted": {"version", "fingerprint"},
    "base.held": {"held"},
    "mode.changed": {"mode"},
    "comparison.updated": {"comparison"},
    "error": {"message", "hint"},
}
"""What scripts depend on. Adding is fine; taking something away needs a new major version."""

OBJECTS: dict[str, type] = {
    "engine": EngineInfo,
    "builder": BuilderInfo,
    "usual": Usual,
    "usual step": UsualStep,
    "warning": BuildWarning,
    "cause": Cause,
    "context": ContextSummary,
    "step": Step,
    "failure": StepFailure,
    "usage": ContainerUsage,
    "base": BaseStatus,
    "held": HeldBase,
    "version": BaseVersion,
    "contents": BaseContents,
    "diff": BaseDiff,
    "package": PackageChange,
    "transfer": Transfer,
    "layer": TransferLayer,
    "comparison": Comparison,
    "track": TrackSummary,
    "other measurement": OtherMeasurement,
    "row": StageTime,
    "verdict": Verdict,
    "findings": Findings,
    "target": TargetCheck,
    "ledger": Ledger,
    "period": Period,
    "images": ImageBytes,
    "pull": PullTime,
    "race": Race,
    "result": RaceResult,
    "query": BuildQuery,
    "listed build": ListedBuild,
    "trend": Trend,
    "sample": Sample,
    "image layer": Layer,
}
STEP = Step("sha256:1", "[1/1] RUN x", StepKind.INSTRUCTION, StepStatus.CACHED, 1, 1, started_at=AT, duration_ms=1.5)
FINISHED = ev.BuildFinished(
    42, Target.APP, Track.SPLIT, BuildStatus.OK, 118.2041, 4.0, (STEP,), 1, 1, "sha256:2", 19_000
)


KINDS = [kind for kind in vars(ev).values() if isinstance(kind, type) and issubclass(kind, ev.Event) and kind.name]


def keys_of(kind: type[ev.Event]) -> set[str]:
    """The public names of an event's fields."""
    names = {item.name.rstrip("_") for item in fields(kind)}
    return names - {"lines"} | {"text"} if issubclass(kind, ev.LogEvent) else names


def documented() -> dict[str, dict[str, bool]]:
    """Of the page's tables: event or object → field → whether it is in bold. The event itself stands under ''."""
    found: dict[str, dict[str, bool]] = {}
    current = ""
    for line in PAGE.splitlines():
        if heading := re.fullmatch(r"### (.+)", line):
            current = heading[1]
            found[current] = {}
        elif line.startswith("| ") and not line.startswith("| ---"):
            cells = [re.fullmatch(r"(\*\*)?`([a-z_.]+)`(\*\*)?", cell.strip()) for cell in line.split("|")[1:-1]]
            if len(cells) == 3 and cells[0]:
                current = cells[0][2]
                assert current not in found, f"{current} is there twice"
                found[current] = {"": bool(cells[0][1])}
            field = cells[1] if len(cells) == 3 else cells[0]
            if field:
                found[current][field[2]] = bool(field[1])
    return found


def parsed(event: ev.Event, at: float = AT) -> list[dict[str, Any]]:
    return [json.loads(line) for line in to_json(Stamped(at, event))]


def test_names_are_unique_and_say_where_and_what() -> None:
    names = [kind.name for kind in KINDS]
    assert len(names) > 20
    assert len(names) == len(set(names))
    assert [name for name in names if not re.fullmatch(r"[a-z]+\.[a-z_]+|error", name)] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_event_is_documented_with_exactly_its_fields(kind: type[ev.Event]) -> None:
    assert set(documented().get(kind.name, {})) - {""} == keys_of(kind)


def test_nothing_else_is_documented() -> None:
    assert set(documented()) == {kind.name for kind in KINDS} | set(OBJECTS) | {"finished step"}


@pytest.mark.parametrize(("name", "kind"), OBJECTS.items())
def test_every_object_is_documented_with_exactly_its_fields(name: str, kind: type) -> None:
    assert set(documented()[name]) == {item.name for item in fields(kind)}


def test_a_finished_step_is_documented_with_exactly_its_fields() -> None:
    (event,) = parsed(FINISHED)
    assert set(event["steps"][0]) == set(documented()["finished step"])


def test_the_contract_is_kept_and_in_bold() -> None:
    page = documented()
    bold = {name: {field for field, is_bold in rows.items() if is_bold} for name, rows in page.items()}
    assert {name: rows - {""} for name, rows in bold.items() if "" in rows} == CONTRACT
    for kind in KINDS:
        assert CONTRACT.get(kind.name, set()) <= keys_of(kind)
    assert bold["finished step"] == {"name", "stage", "cached", "started_at", "duration_ms"}


def test_the_examples_have_every_field_of_their_event() -> None:
    examples = [json.loads(text) for text in re.findall(r"```json\n(.+)\n```", PAGE)]
    assert len(examples) >= 4
    keys = {kind.name: keys_of(kind) for kind in KINDS}
    for example in examples:
        assert set(example) == keys[example["event"]] | {"event", "at"}


def test_links_within_the_page_lead_somewhere() -> None:
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= headings


def test_moments_are_utc_with_microseconds() -> None:
    (event,) = parsed(ev.ChangeDetected(42, ("a.py",), saved_at=0.25, detect_ms=31.08512))
    assert event == {
        "event": "change.detected",
        "at": iso_time(AT),
        "batch": 42,
        "paths": ["a.py"],
        "saved_at": "1970-01-01T00:00:00.250000Z",
        "detect_ms": 31.085,
    }
    at = datetime.strptime(event["at"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    assert at.timestamp() == pytest.approx(AT, abs=1e-5)


def test_moments_inside_are_too_and_unknown_ones_are_null() -> None:
    (event,) = parsed(FINISHED)
    assert event["steps"] == [
        {
            "name": "[1/1] RUN x",
            "stage": "",
            "cached": True,
            "status": "cached",
            "started_at": iso_time(AT),
            "duration_ms": 1.5,
            "exact": True,
        }
    ]
    (event,) = parsed(ev.StepUpdated(42, STEP))
    assert (event["step"]["started_at"], event["step"]["status"]) == (iso_time(AT), "cached")
    (event,) = parsed(ev.BaseChecked(BaseStatus("shop-base:latest", present=False)))
    assert event["base"]["created_at"] is None
    track = TrackSummary(1, 2.0, 2.0, 2.0, last_at=AT, recent_ms=(2.0,))
    (event,) = parsed(ev.ComparisonUpdated(Comparison(Scenario.COLD, legacy=track)))
    assert event["comparison"]["legacy"]["last_at"] == iso_time(AT)
    assert event["comparison"]["scenario"] == "cold"
    assert event["comparison"]["split"] is None


def test_a_field_named_like_a_python_keyword_has_its_plain_name() -> None:
    (event,) = parsed(ev.ContainerRolledBack(from_="sha256:1", to="", reason="it ended"))
    assert (event["from"], event["to"], event["output"]) == ("sha256:1", "", [])
    assert "from_" not in event


def test_a_log_event_is_one_object_per_line() -> None:
    log = ev.BuildLogged(stream="stderr", lines=("a", "b"), build=1, target=Target.BASE, step="[1/1] RUN x")
    head = {"event": "build.log", "at": iso_time(AT), "stream": "stderr", "build": 1, "target": "base"}
    assert parsed(log) == [{**head, "step": "[1/1] RUN x", "text": text} for text in "ab"]
    assert to_json(Stamped(AT, ev.ContainerLogged(stream="stdout", lines=(), container="c"))) == []


def test_no_text_breaks_a_line() -> None:
    text = "".join(map(chr, [*range(0xA0), 0x2028, 0x2029, 0xDC80, 0x1F600]))
    (line,) = to_json(Stamped(AT, ev.ContainerLogged(stream="stdout", lines=(text,), container="c")))
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["text"] == text


def test_a_whole_story_is_json_with_documented_keys() -> None:
    keys = {name: set(rows) - {""} | {"event", "at"} for name, rows in documented().items()}
    told = set()
    for stamped in until("legacy_served"):
        for line in to_json(stamped):
            event = json.loads(line)
            told.add(event["event"])
            assert set(event) == keys[event["event"]]
    assert set(CONTRACT) <= told
