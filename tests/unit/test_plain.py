"""The headless front end: a session told as text lines and as JSON lines."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from console import events as ev
from console.base_values import Transfer, TransferStatus
from console.format import clock_time
from console.measurements import Comparison, RaceResult, TrackSummary, Usual, UsualStep
from console.model import (
    BuilderInfo,
    BuildStatus,
    BuildWarning,
    Cause,
    CauseKind,
    ContextSummary,
    Mode,
    Scenario,
    Step,
    StepKind,
    StepStatus,
    Target,
    Track,
)
from console.plain import PlainFrontEnd
from console.state.store import Store
from tests.ui.story import DIFF, HELD, NUMPY, PULL, START, story, until


class Bench:
    """A front end and what it has written."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.store = Store()
        self.out, self.diagnostics = io.StringIO(), io.StringIO()
        self.front_end = PlainFrontEnd(self.store, as_json=as_json, out=self.out, diagnostics=self.diagnostics)

    def tell(self, *events: ev.Event) -> list[str]:
        """The lines that these events lead to, without the time before them."""
        before = len(self.out.getvalue())
        for event in events:
            self.store.dispatch(event, START)
        self.store.drain()
        stamp = f"{clock_time(START)}  "
        return [line.removeprefix(stamp) for line in self.out.getvalue()[before:].split("\n")[:-1]]

    def scene(self, name: str) -> str:
        """What is written during one scene of the story."""
        for scene, events in story():
            before = len(self.out.getvalue())
            for stamped in events:
                self.store.dispatch(stamped.event, stamped.at)
            self.store.drain()
            if scene == name:
                return self.out.getvalue()[before:]
        raise KeyError(name)


def test_the_session_begins_with_what_it_works_on() -> None:
    times = [clock_time(START + after) for after in (0, 0.12, 0.13, 0.17)]
    assert Bench().scene("connected").splitlines() == [
        f"{times[0]}  splitdeck 0.1.0 on codesearch (/home/dev/codesearch/config.toml)",
        f"{times[1]}  engine: docker 28.5.1, buildkit, overlay2, unix:///var/run/docker.sock",
        f"{times[2]}  builder: engine, session: the engine's own BuildKit, over a session",
        f"{times[3]}  watching 214 files in src, pyproject.toml",
    ]


def test_a_save_until_it_is_served() -> None:
    text = Bench().scene("building")
    for expected in (
        "saved src/codesearch/server.py, src/codesearch/index.py (noticed after 31 ms)\n",
        "#42 app codesearch:dev: save #42\n",
        "#42 context: 3 files, 18.2 kB in 4 ms\n",
        "#42 [4/5] COPY src/ src/  ⚡ cached\n",
    ):
        assert expected in text
    assert "internal" not in text, "the builder's own steps are no news"
    text = Bench().scene("served")
    assert "#42 [5/5] RUN python -m compileall -q src  ✔ 61 ms\n" in text
    assert "#42 app ok in 118 ms, 4 of 5 steps cached, image dddddddddddd\n" in text
    assert "      app │ INFO: Application startup complete.\n" in text
    assert "save-to-ready 351 ms (detect 31, wait 2, context 4, build 118, swap 152, ready 44 ms)\n" in text


def test_a_failed_build_shows_its_place_and_its_output_and_the_error_goes_to_diagnostics() -> None:
    bench = Bench()
    text = bench.scene("failed")
    assert "          │ SyntaxError: '(' was never closed\n" in text
    assert "✘ failed 83 ms\n" in text
    assert "       9 │ RUN python -m compileall -q src\n" in text
    assert "docker/app.Dockerfile:9" not in text
    assert bench.diagnostics.getvalue().splitlines() == [
        "splitdeck: build #43 failed in docker/app.Dockerfile:9",
        "    hint: the app still runs your save before",
    ]


def test_every_line_but_foreign_text_has_its_time() -> None:
    bench = Bench()
    bench.scene("rolled_back")
    bare = [line for line in bench.out.getvalue().splitlines() if not line[:8].replace(":", "").isdigit()]
    assert [line for line in bare if " │ " not in line] == []


def test_the_comparison_is_told_once_both_sides_are_measured_and_when_it_changes() -> None:
    bench = Bench()
    assert "code-change: legacy 2 m 03 s (n=5), split 349 ms (n=12), ×354, 99.7 % saved" in bench.scene("compared")
    one = TrackSummary(1, 1000.0, 1000.0, 1000.0, START)
    assert bench.tell(ev.ComparisonUpdated(Comparison(Scenario.COLD, legacy=one))) == []
    both = ev.ComparisonUpdated(Comparison(Scenario.COLD, legacy=one, split=replace(one, median_ms=500.0)))
    assert bench.tell(both, both) == ["cold: legacy 1.00 s (n=1), split 500 ms (n=1), ×2.0, 50.0 % saved"]


def test_the_last_lines_of_a_failed_container_are_not_told_twice() -> None:
    text = Bench().scene("rolled_back")
    assert text.count("KeyError: 'CODESEARCH_INDEX'") == 1
    assert Bench().tell(ev.ContainerRolledBack("a", "b", "it ended", ("unseen",))) == ["      app │ unseen"]


def test_a_held_base_is_told_with_its_reason_and_the_command_that_helps() -> None:
    held = Bench().tell(ev.BaseHeld(HELD))
    assert held == [
        "! the new base image 2026.11.24 needs approval: numpy 1.26.4 → 2.1.0",
        "splitdeck base build --allow-major approves it; app builds go on with the base before",
    ]
    majors = tuple(replace(NUMPY, name=f"p{number}") for number in range(4))
    told = Bench().tell(ev.BaseHeld(replace(HELD, majors=majors)))
    assert "p0 1.26.4 → 2.1.0, p1 1.26.4 → 2.1.0, p2 1.26.4 → 2.1.0, +1 more" in told[0]
    assert told[1:5] == [f"  pip p{number} 1.26.4 → 2.1.0 (major)" for number in range(4)]


def test_how_a_race_ended() -> None:
    bench = Bench()
    won = RaceResult(56_900.0, 144.0, Scenario.CODE_CHANGE, paths=("app.py",))
    assert bench.tell(ev.RaceFinished(won)) == ["race: split won by 56.8 s (×395), code change"]
    lost = replace(won, legacy_ms=100.0, split_ms=1_100.0)
    assert bench.tell(ev.RaceFinished(lost)) == ["race: legacy won by 1.00 s (×11.0), code change"]
    unlike = replace(won, scenario=None, why_not="legacy was cold")
    assert bench.tell(ev.RaceFinished(unlike)) == ["race: no race: legacy was cold"]
    assert bench.tell(ev.RaceFinished(None)) == []


def test_a_comparison_of_two_bases_is_told_package_by_package() -> None:
    assert Bench().tell(ev.BaseCompared(DIFF)) == [
        "base 2026.11.20 → 2026.11.23: 1 major, 3 changed, 1 added, 1 removed · 1.89 GB → 1.91 GB (+18 MB)",
        "  pip urllib3 1.26.20 → 2.2.3 (major)",
        "  dpkg + libheif1 1.15.1-1",
        "  dpkg libssl3 3.0.14-1 → 3.0.15-1",
        "  pip - six 1.16.0",
        "  pip tokenizers 0.19.1 → 0.20.3",
    ]


def test_a_transfer_is_told_where_it_begins_begins_again_and_ends() -> None:
    bench = Bench()
    begun = Transfer("pull", PULL.reference)
    again = replace(PULL, attempt=2, message="connection reset")
    progress = [ev.BaseTransferred(one) for one in (begun, PULL, PULL, again, again)]
    assert bench.tell(*progress) == [
        f"pulling {PULL.reference}",
        f"pulling {PULL.reference} again, attempt 2: connection reset",
    ]
    failed = replace(again, status=TransferStatus.FAILED)
    assert bench.tell(ev.BaseTransferred(failed)) == [f"pulling {PULL.reference} failed: connection reset"]
    assert bench.tell(progress[0]) == [f"pulling {PULL.reference}"], "a new one"
    pushed = ev.BaseTransferred(Transfer("push", "r/base:1", TransferStatus.OK))
    assert bench.tell(pushed) == ["published r/base:1"]


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (ev.WatchPaused(True), "paused"),
        (ev.WatchPaused(False), "watching again"),
        (ev.BaseUsed("2026.11.20", "asked for"), "app builds stand on base 2026.11.20 now: asked for"),
        (ev.BaseUsed("2026.11.20", ""), "app builds stand on base 2026.11.20 now"),
        (ev.BasePruned(("2026.11.01",), 9_000), "1 base version removed, 9 kB freed: 2026.11.01"),
        (ev.ModeChanged(Mode.LEGACY), "legacy mode: saves build and serve the single image of [legacy]"),
        (ev.ModeChanged(Mode.SPLIT), "split mode: saves build and serve the app image on its base"),
        (ev.WatchStarted(("src",), 1, polling=True), "polling 1 file in src"),
        (ev.PlanMade(1, None, "hold", "nothing reads it"), "hold: nothing reads it"),
        (ev.ContainerExited("c", 137), "the container ended with exit code 137"),
        (ev.ContainerReady("c", 1, None, ""), "✔ ready"),
        (ev.BaseStale(("requirements.txt",)), "the base image is stale: requirements.txt"),
        (ev.BasePromoted("2026.11.23", "f"), "the base is 2026.11.23 now"),
        (
            ev.ContextSent(3, ContextSummary(1, 10, "d", 1.0, ("run/a.sock",))),
            "#3 context: 1 file, 10 B in 1 ms; left out run/a.sock",
        ),
        (
            ev.BuildFinished(3, Target.APP, Track.SPLIT, BuildStatus.CANCELLED, 40.0, 1.0, (), 0, 0, "", 0),
            "#3 app cancelled in 40 ms",
        ),
    ],
)
def test_other_news(event: ev.Event, line: str) -> None:
    assert Bench().tell(event) == [line]


def test_what_is_for_the_screen_only_is_not_told() -> None:
    assert Bench().tell(ev.PlanMade(1, "build app", None, "saved a.py")) == []


def test_a_step_is_told_once_per_build_when_it_has_ended() -> None:
    bench = Bench()
    step = Step("s", "[2/2] RUN x", StepKind.INSTRUCTION, StepStatus.RUNNING, 2, 2, duration_ms=5)
    done = replace(step, status=StepStatus.DONE)
    told = bench.tell(*(ev.StepUpdated(build, each) for build in (1, 2) for each in (step, done, done)))
    assert told == ["#1 [2/2] RUN x  ✔ 5 ms", "#2 [2/2] RUN x  ✔ 5 ms"]


def test_a_way_of_building_is_told_with_what_it_cannot_do() -> None:
    builder = BuilderInfo("classic", "tar", "no BuildKit here", ("Secrets cannot be used.",), exact=False)
    assert Bench().tell(ev.BuilderChosen(builder)) == [
        "builder: classic, tar: no BuildKit here",
        "Secrets cannot be used.",
        "≈ as its lines arrived: this builder tells no times",
    ]
    step = Step("s", "[2/2] RUN x", StepKind.INSTRUCTION, StepStatus.DONE, 2, 2, duration_ms=1200, exact=False)
    assert Bench().tell(ev.StepUpdated(1, step)) == ["#1 [2/2] RUN x  ✔ ≈ 1.20 s"]


STARTED = ev.BuildStarted(3, Target.LEGACY, Track.LEGACY, "shop", "raced")
STEPS = tuple(
    Step(name, name, StepKind.INSTRUCTION, StepStatus.DONE, number, 3, duration_ms=ms)
    for number, name, ms in ((2, "[2/3] COPY src/ /", 21.0), (3, "[3/3] RUN make", 3_400.0))
)


def finished(duration_ms: float, *causes: Cause) -> ev.BuildFinished:
    return ev.BuildFinished(
        3, Target.LEGACY, Track.LEGACY, BuildStatus.OK, duration_ms, 4, STEPS, 1, 3, "sha256:d", 1, causes=causes
    )


def test_what_a_build_usually_takes_and_that_it_took_longer() -> None:
    bench = Bench()
    known = tuple(UsualStep(name, 3_300.0, 3_500.0, 5) for name in ("RUN make", "COPY src/ /"))
    assert bench.tell(STARTED, ev.BuildExpected(3, Target.LEGACY, Usual(5, 57_000.0, known)))[1:] == [
        "#3 legacy: usually 57.0 s (n=5)"
    ]
    assert bench.tell(finished(80_000.0)) == [
        "#3 legacy ok in 80.0 s, 1 of 3 steps cached, image d, slower than usual (usually 57.0 s)"
    ]
    assert bench.tell(ev.BuildExpected(4, Target.APP, Usual(5, 350.0))) == [], "over before anyone has read it"


def test_why_steps_were_run_is_told_in_full_where_it_took_long_and_else_on_one_line() -> None:
    copied = Cause("[2/3] COPY src/ /", CauseKind.FILES, ("src/server.py",), 21.0)
    made = Cause("[3/3] RUN make", CauseKind.PARENT, ("[2/3] COPY src/ /",), 3_400.0)
    assert Bench().tell(STARTED, finished(3_500.0, copied, made))[2:] == [
        "#3 [2/3] COPY src/ / — src/server.py changed · 21 ms",
        "#3 [3/3] RUN make — follows [2/3] · 3.40 s",
    ]
    quick = replace(made, cost_ms=60.0)
    why = "#3 why: COPY src/ / — src/server.py changed; RUN make follows"
    assert Bench().tell(STARTED, finished(90.0, copied, quick))[2:] == [why]
    assert Bench().tell(STARTED, finished(90.0, copied, quick, quick, quick))[2:] == [f"{why}; 2 more"]
    assert len(Bench().tell(STARTED, finished(90.0))) == 2, "nothing was run"


def test_what_travelled_is_told_at_the_end() -> None:
    context = ContextSummary(3, 18_000, "d", 1.0)
    sent = ev.ContextSent(3, replace(context, sent_bytes=1_200))
    told = Bench().tell(STARTED, ev.ContextSent(3, context), sent, finished(90.0))
    assert told[1:] == [
        "#3 context: 3 files, 18 kB in 1 ms",
        "#3 legacy ok in 90 ms, 1 of 3 steps cached, image d, 1.2 kB sent",
    ]


def test_a_remark_on_a_dockerfile_is_told_once_until_it_is_another() -> None:
    warning = BuildWarning("use JSON arguments", ("for CMD",), "https://example.org/r", "app.Dockerfile", ((6, 6),))
    bench = Bench()
    told = bench.tell(*(ev.BuildWarned(build, Target.APP, warning) for build in (1, 2)))
    assert told == [
        "#1 ! app.Dockerfile:6  use JSON arguments",
        "          │ for CMD",
        "          │ https://example.org/r",
    ]
    assert len(bench.tell(ev.BuildWarned(3, Target.APP, replace(warning, lines=((7, 7),))))) == 3
    assert len(bench.tell(ev.BuildWarned(3, Target.BASE, warning))) == 3


HOSTILE = "a\nb\x0bc\x1b[2Jd\x85e\u2028f\udce9g\x00h"


@pytest.mark.parametrize(
    "event",
    [
        ev.ChangeDetected(1, (HOSTILE,), START, 1.0),
        ev.PlanMade(1, None, "hold", HOSTILE),
        ev.BuildStarted(1, Target.APP, Track.SPLIT, "shop", HOSTILE),
        ev.BuildLogged(stream="stdout", lines=(HOSTILE,), build=1, target=Target.APP, step="s"),
        ev.ContainerLogged(stream="stdout", lines=(HOSTILE,), container="c"),
        ev.ContainerRolledBack("a", "", "it ended", (HOSTILE,)),
        ev.BuilderChosen(BuilderInfo("engine", "tar", HOSTILE)),
        ev.BuildWarned(1, Target.APP, BuildWarning(HOSTILE, dockerfile=HOSTILE)),
    ],
    ids=lambda event: event.name,
)
def test_foreign_text_stays_on_its_line_and_cannot_steer_the_terminal(event: ev.Event) -> None:
    bench = Bench()
    (line,) = bench.tell(event)
    assert line.isprintable()
    assert r"a\nb\x0bc\x1b[2Jd\x85e\u2028f\udce9g\x00h" in line
    (line,) = Bench(as_json=True).tell(event)
    assert line.isascii()
    assert line.isprintable()


def test_an_error_of_several_lines_is_one() -> None:
    bench = Bench()
    bench.tell(ev.ErrorOccurred("first\nsecond"))
    assert bench.diagnostics.getvalue() == "splitdeck: first\\nsecond\n"


def test_colours_and_tabs_stay_and_progress_bars_show_their_last_state() -> None:
    (line,) = Bench().tell(
        ev.ContainerLogged(stream="stdout", lines=("10 %\r\x1b[32m100 %\x1b[0m\tdone\r",), container="c")
    )
    assert line == "      app │ \x1b[32m100 %\x1b[0m\tdone"


def test_what_the_output_cannot_encode_is_replaced() -> None:
    raw = io.BytesIO()
    store = Store()
    out = io.TextIOWrapper(raw, encoding="ascii")
    PlainFrontEnd(store, as_json=False, out=out)
    store.dispatch(ev.ContainerReady("c", 1, None, "http://here"), START)
    store.drain()
    assert raw.getvalue().endswith(b"? ready at http://here\n"), "and it is flushed"
    out.detach()


def test_json_is_one_object_per_event_and_log_line_and_errors_are_among_them() -> None:
    bench = Bench(as_json=True)
    told = until("rolled_back")
    for stamped in told:
        bench.store.dispatch(stamped.event, stamped.at)
    bench.store.drain()
    names = [json.loads(line)["event"] for line in bench.out.getvalue().splitlines()]
    expected = [
        stamped.event.name
        for stamped in told
        for _ in (stamped.event.lines if isinstance(stamped.event, ev.LogEvent) else "1")
    ]
    assert names == expected
    assert names.count("error") == 2
    assert bench.diagnostics.getvalue() == ""


def test_after_close_nothing_more_is_written() -> None:
    bench = Bench()
    bench.front_end.close()
    assert bench.tell(ev.WatchPaused(True)) == []


class Full(io.StringIO):
    """An output whose disk is full."""

    def flush(self) -> None:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("as_json", [True, False])
def test_an_output_that_takes_no_more_ends_the_telling_and_is_told_once(*, as_json: bool) -> None:
    store, out, broken = Store(), Full(), []
    front_end = PlainFrontEnd(store, as_json=as_json, out=out, on_broken=lambda: broken.append(out.getvalue()))
    for _ in range(2):
        store.dispatch(ev.WatchPaused(True))
        store.drain()
    assert broken == [out.getvalue()]
    assert out.getvalue().count("\n") == 1, "nothing after it"
    front_end.close()


def test_without_anyone_to_tell_a_broken_output_is_no_trouble() -> None:
    store = Store()
    PlainFrontEnd(store, as_json=True, out=Full())
    store.dispatch(ev.WatchPaused(True))
    store.drain()


READER_GONE = """
import sys
from console import events as ev
from console.plain import PlainFrontEnd
from console.state.store import Store
sys.stdin.readline()
store = Store()
PlainFrontEnd(store, as_json=True, on_broken=lambda: sys.stderr.write("told"))
for _ in range(3):
    store.dispatch(ev.WatchPaused(True))
    store.drain()
    sys.stdout.write("some more that stays in the buffer")
"""


def test_a_reader_that_goes_away_leaves_no_traceback_not_even_at_the_end() -> None:
    command = [sys.executable, "-c", READER_GONE]
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, errors = process.communicate("go\n", timeout=30)
    assert (process.returncode, errors) == (0, "told")


def test_by_default_results_and_diagnostics_go_their_own_ways(capsys: pytest.CaptureFixture[str]) -> None:
    store = Store()
    PlainFrontEnd(store, as_json=False)
    store.dispatch(ev.WatchPaused(True))
    store.dispatch(ev.ErrorOccurred("no", "yes"))
    store.drain()
    captured = capsys.readouterr()
    assert captured.out.endswith("  paused\n")
    assert captured.err == "splitdeck: no\n    hint: yes\n"
