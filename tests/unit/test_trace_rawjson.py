"""buildx's trace lines: the same messages as BuildKit's own, in another writing."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.build.trace import (
    StatusUpdate,
    TraceError,
    Vertex,
    VertexLog,
    VertexStatus,
    VertexWarning,
    decode_rawjson,
    is_trace_line,
)
from console.build.trace.updates import ProgressGroup
from tests.recorded import names, timed_lines

AT = 1795490719.0


def decoded(**message: Any) -> StatusUpdate:
    return decode_rawjson(json.dumps(message).encode())


def test_everything_that_a_line_can_say() -> None:
    update = decoded(
        vertexes=[
            {
                "digest": "sha256:1",
                "inputs": ["sha256:0"],
                "name": "[2/3] RUN x",
                "started": "2026-11-24T03:25:19.950122295Z",
                "completed": "2026-11-24T04:25:20+01:00",
                "cached": True,
                "error": "no",
                "progressGroup": {"id": "g", "name": "group", "weak": True},
                "added": "later",
            }
        ],
        statuses=[
            {
                "id": "layer",
                "vertex": "sha256:1",
                "name": "extracting",
                "current": 5,
                "total": 10,
                "timestamp": "2026-11-24T03:25:19Z",
                "started": "2026-11-24T03:25:19.5Z",
            }
        ],
        logs=[{"vertex": "sha256:1", "stream": 2, "data": "b29wcwo=", "timestamp": "0001-01-01T00:00:00Z"}],
        warnings=[
            {
                "vertex": "sha256:1",
                "level": 1,
                "short": "c2hvcnQ=",
                "detail": ["b25l", "dHdv"],
                "url": "https://x",
                "sourceInfo": {"filename": "Dockerfile", "data": "RlJPTQ==", "definition": {}},
                "range": [{"start": {"line": 2, "character": 1}, "end": {"line": 3}}, {"start": {}}],
            }
        ],
    )
    (vertex,) = update.vertexes
    assert vertex.started == pytest.approx(AT + 0.950122295, abs=1e-6)
    assert vertex == Vertex(
        "sha256:1",
        "[2/3] RUN x",
        cached=True,
        started=vertex.started,
        completed=AT + 1,
        error="no",
        inputs=("sha256:0",),
        group=ProgressGroup("g", "group", weak=True),
    )
    assert update.statuses == (VertexStatus("layer", "sha256:1", "extracting", 5, 10, AT + 0.5, None, AT),)
    assert update.logs == (VertexLog("sha256:1", 2, b"oops\n", None),)
    assert update.warnings == (
        VertexWarning("sha256:1", "short", ("one", "two"), "https://x", ((2, 3), (0, 0)), 1, "Dockerfile", b"FROM"),
    )


def test_absent_and_null_are_the_same() -> None:
    assert decoded() == StatusUpdate()
    assert decoded(vertexes=None, new=[1]) == StatusUpdate()
    assert decoded(vertexes=[{}]) == decoded(vertexes=[{"digest": None, "inputs": None, "progressGroup": None}])


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"ERROR: failed to build",
        b"{",
        b"[]",
        b"1",
        b"\xff{}",
        b'{"vertexes": {}}',
        b'{"vertexes": [1]}',
        b'{"vertexes": [{"name": 1}]}',
        b'{"vertexes": [{"cached": "yes"}]}',
        b'{"vertexes": [{"started": "yesterday"}]}',
        b'{"vertexes": [{"started": "2026-13-41T03:25:19Z"}]}',
        b'{"vertexes": [{"started": "2026-11-24T03:25:19+99:00"}]}',
        b'{"vertexes": [{"progressGroup": []}]}',
        b'{"logs": [{"data": "!"}]}',
        b'{"logs": [{"data": "b2"}]}',
        b'{"statuses": [{"current": 9223372036854775808}]}',
        b'{"statuses": [{"current": 1.5}]}',
        b'{"warnings": [{"detail": [5]}]}',
        b'{"warnings": [{"range": [1]}]}',
        b"[" * 100_000,
        b'{"statuses": [{"current": ' + b"9" * 5000 + b"}]}",
    ],
)
def test_nonsense_is_refused(line: bytes) -> None:
    with pytest.raises(TraceError):
        decode_rawjson(line)


def test_half_a_character_does_not_get_any_further() -> None:
    (vertex,) = decode_rawjson(b'{"vertexes": [{"name": "a\\ud800b"}]}').vertexes
    assert vertex.name == "a?b"


@pytest.mark.parametrize("name", names("buildx"))
def test_the_command_s_own_text_is_told_apart(name: str) -> None:
    text = [line for _, line in timed_lines(name) if not is_trace_line(line)]
    for _, line in timed_lines(name):
        if is_trace_line(line):
            decode_rawjson(line)
    assert any(line.startswith(b"ERROR: ") for line in text) is name.endswith("failed")


values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just("2026-11-24T03:25:19Z")
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "vertexes",
                    "statuses",
                    "logs",
                    "warnings",
                    "digest",
                    "name",
                    "started",
                    "data",
                    "progressGroup",
                    "range",
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@given(st.one_of(st.binary(max_size=200), values.map(lambda value: json.dumps(value).encode())))
def test_any_line_decodes_or_is_refused(line: bytes) -> None:
    with suppress(TraceError):
        assert isinstance(decode_rawjson(line), StatusUpdate)
