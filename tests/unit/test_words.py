"""The words that both front ends have for builds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.model import BuilderInfo, BuildWarning, Cause, CauseKind, ContextSummary, EngineInfo
from console.state.words import (
    builder_words,
    cause_line,
    cause_words,
    context_words,
    telling_causes,
    took,
    warning_lines,
)

ENGINE = EngineInfo("docker", "28.5.1", "1.51", "buildkit", "overlay2", "unix:///var/run/docker.sock")


@pytest.mark.parametrize(
    ("kind", "names", "words"),
    [
        (CauseKind.CACHE_OFF, (), "the cache was switched off"),
        (CauseKind.FIRST, (), "no earlier build is known here"),
        (CauseKind.FILES, ("src/server.py",), "src/server.py changed"),
        (CauseKind.FILES, tuple("abcdef"), "a, b, c, +3 more changed"),
        (CauseKind.FILES, (), "its files changed"),
        (CauseKind.ARGUMENT, ("VERSION",), "argument VERSION changed"),
        (CauseKind.ARGUMENT, ("A", "B"), "arguments A, B changed"),
        (CauseKind.INSTRUCTION, ("app.Dockerfile:7",), "instruction changed (app.Dockerfile:7)"),
        (CauseKind.INSTRUCTION, (), "instruction changed"),
        (CauseKind.BASE, ("shop-base:latest",), "base image shop-base:latest changed"),
        (CauseKind.BASE, (), "base image changed"),
        (CauseKind.PARENT, ("[build 3/5] COPY src/ /",), "follows [build 3/5]"),
        (CauseKind.PARENT, ("copy /context /",), "follows copy /context /"),
        (CauseKind.PARENT, (), "follows a rebuilt step"),
        (CauseKind.GONE, (), "no longer in the builder's cache"),
    ],
)
def test_causes(kind: CauseKind, names: tuple[str, ...], words: str) -> None:
    cause = Cause("[3/5] COPY src/ /", kind, names, 21.0)
    assert cause_words(cause) == words
    assert cause_line(cause) == f"[3/5] COPY src/ / — {words} · 21 ms"
    assert cause_line(cause, exact=False).endswith(" · ≈ 21 ms")


def test_what_holds_for_the_whole_build_is_told_once() -> None:
    kinds = (CauseKind.FIRST, CauseKind.FIRST, CauseKind.PARENT, CauseKind.PARENT, CauseKind.CACHE_OFF, CauseKind.FIRST)
    causes = [Cause(str(place), kind, (), 1.0) for place, kind in enumerate(kinds)]
    assert [cause.step for cause in telling_causes(causes)] == ["0", "2", "3", "4"]


def test_every_kind_of_cause_has_words_and_foreign_text_stays_on_its_line() -> None:
    for kind in CauseKind:
        assert cause_line(Cause("a\nb", kind, ("c\x1b[2J", "\udcff"), 1.0)).isprintable()


def test_a_time_that_nobody_told_is_marked() -> None:
    assert [took(1200.0), took(1200.0, exact=False), took(None, exact=False)] == ["1.20 s", "≈ 1.20 s", "–"]


@pytest.mark.parametrize(
    ("builder", "words"),
    [
        (None, "buildkit"),
        (BuilderInfo("engine", "session", ""), "buildkit · session"),
        (BuilderInfo("engine", "tar", ""), "buildkit · tar"),
        (BuilderInfo("classic", "tar", ""), "classic · tar"),
        (BuilderInfo("buildx", "command", "", builder="big"), "buildx big"),
        (BuilderInfo("buildx", "command", ""), "buildx"),
        (BuilderInfo("podman", "tar", ""), "podman · tar"),
    ],
)
def test_the_way_of_building(builder: BuilderInfo | None, words: str) -> None:
    assert builder_words(ENGINE, builder) == words


def test_what_travelled() -> None:
    context = ContextSummary(3, 18_000, "d", 4.0)
    assert context_words(context) == "3 files, 18 kB"
    assert context_words(replace(context, sent_bytes=1_200)) == "3 files, 18 kB · 1.2 kB sent"
    assert context_words(replace(context, sent_bytes=0)) == "3 files, 18 kB · 0 B sent"


def test_remarks() -> None:
    whole = BuildWarning("use JSON", ("one", "two"), "https://example.org", "app.Dockerfile", ((6, 7), (9, 9)))
    assert warning_lines(whole) == ("app.Dockerfile:6  use JSON", "  one", "  two", "  https://example.org")
    assert warning_lines(BuildWarning("use JSON", dockerfile="app.Dockerfile")) == ("app.Dockerfile  use JSON",)
    assert warning_lines(BuildWarning("use JSON")) == ("use JSON",)
    placed = BuildWarning("use JSON (line 6)", dockerfile="app.Dockerfile", lines=((6, 6),))
    assert warning_lines(placed) == ("app.Dockerfile:6  use JSON",), "the place is told once"
    assert warning_lines(replace(placed, lines=())) == ("app.Dockerfile  use JSON (line 6)",)
