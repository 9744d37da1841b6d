"""What is fuzzed: each target takes one input, and fails where the code breaks a promise.

The promises: nothing is raised but the errors that the docstrings name; every input comes to an end; and what comes out
makes sense (`check_steps`, `check_dockerfile`).
"""

from __future__ import annotations

import base64
import itertools
import json
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from console.build.dockerfile import Dockerfile, parse_dockerfile
from console.build.dockerfile.shell_words import ShellLexer, SubstitutionError, UnknownVariableError
from console.build.dockerfile.step_inputs import step_inputs
from console.build.dockerfile.step_names import StepNames
from console.build.steps import StepTracker
from console.build.trace import StatusUpdate, TraceError, decode_rawjson, decode_status, is_trace_line
from console.build.trace.classic import ClassicTrace
from console.build.trace.podman import PodmanTrace
from console.errors import DockerfileError
from tests.fuzz.grammar import dockerfile as drawn_dockerfile
from tests.fuzz.mutations import mutated, rearranged
from tests.recorded import DOCKERFILES, body_of, dockerfile_of, names, timed_lines

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Target:
    """One thing to fuzz."""

    inputs: st.SearchStrategy[Any]
    check: Callable[[Any], None]


# --- promises -------------------------------------------------------------------------------------------------------


def check_steps(tracker: StepTracker, dockerfile: Dockerfile) -> None:
    steps = tracker.steps
    assert len({step.id for step in steps}) == len(steps)
    for step in steps:
        assert step.name
        assert step.duration_ms >= 0
        assert all(start <= end for start, end in step.intervals)
        assert all(end < start for (_, end), (start, _) in itertools.pairwise(step.intervals))
        assert 0 <= step.line <= len(dockerfile.lines)
        json.dumps([step.name, step.error, step.detail, step.stage_label], ensure_ascii=False).encode()
    hash(tracker.warnings)


def check_dockerfile(dockerfile: Dockerfile) -> None:
    count = len(dockerfile.lines)
    ends = [0]
    for instruction in dockerfile.instructions:
        assert ends[-1] < instruction.line <= instruction.end_line <= count
        ends.append(instruction.end_line)
        assert dockerfile.source_of(instruction.line) == dockerfile.lines[instruction.line - 1 : instruction.end_line]
    assert [stage.index for stage in dockerfile.stages] == list(range(len(dockerfile.stages)))
    named = StepNames(dockerfile)
    for stage in dockerfile.stages:
        assert stage.parent_stage is None or stage.parent_stage < stage.index
        assert stage.instructions[0].keyword == "FROM"
        for instruction in dockerfile.numbered(stage):
            assert named.name_of(stage.index, instruction)
        needed = dockerfile.needed_stages(stage.name or None)
        assert {one.parent_stage for one in needed} - {None} <= {one.index for one in needed}
        for path in dockerfile.context_sources(stage.name or None):
            assert path
            assert not path.startswith("/")
            assert ".." not in path.split("/")
        dockerfile.base_images(stage.name or None)
    step_inputs(dockerfile, {})


def _follow(updates: Iterable[StatusUpdate], dockerfile: Dockerfile) -> None:
    tracker = StepTracker(line_of=dockerfile.line_of, dockerfile=dockerfile.path)
    with suppress(TraceError):
        for update in updates:
            tracker.apply(update)
    tracker.finish()
    check_steps(tracker, dockerfile)


# --- traces ---------------------------------------------------------------------------------------------------------


@cache
def _status_messages() -> tuple[tuple[bytes, ...], ...]:
    recorded = [name for name in names("", "bk28", "containerd") if not name.endswith("big_log")]
    builds = [[json.loads(line) for line in body_of(name).splitlines()] for name in recorded]
    return tuple(
        tuple(base64.b64decode(message["aux"]) for message in build if message.get("id") == "moby.buildkit.trace")
        for build in builds
    )


@cache
def _lines(family: str) -> tuple[tuple[str, tuple[bytes, ...]], ...]:
    recorded = [name for name in names(family) if not name.endswith("big_log")]
    return tuple((name, tuple(line for _, line in timed_lines(name))) for name in recorded)


@cache
def _all_lines() -> tuple[bytes, ...]:
    families = ("buildx", "classic", "podman")
    return tuple(line for family in families for _, lines in _lines(family) for line in lines)


def fuzz_status(given: bytes | int) -> None:
    builds = _status_messages()
    if isinstance(given, bytes):
        messages = [given]
    else:
        rng = random.Random(given)
        messages = rearranged(rng.choice(builds), [one for build in builds for one in build], rng)
    _follow((decode_status(message) for message in messages), dockerfile_of("ok"))


def fuzz_rawjson(given: bytes | int) -> None:
    if isinstance(given, bytes):
        lines = [given]
    else:
        rng = random.Random(given)
        lines = rearranged(rng.choice(_lines("buildx"))[1], _all_lines(), rng)
    _follow((decode_rawjson(line) for line in lines if is_trace_line(line)), dockerfile_of("ok"))


def _messages(given: Any, family: str) -> Iterator[dict[str, Any]]:
    if isinstance(given, list):
        yield from given
        return
    rng = random.Random(given)
    for line in rearranged(rng.choice(_lines(family))[1], _all_lines(), rng):
        with suppress(ValueError):
            message = json.loads(line)
            if isinstance(message, dict):
                yield message


def fuzz_classic(given: Any) -> None:
    dockerfile = dockerfile_of("multistage")
    trace = ClassicTrace(dockerfile)
    messages = _messages(given, "classic")
    _follow((trace.read(message, float(at)) for at, message in enumerate(messages)), dockerfile)


def fuzz_podman(given: Any) -> None:
    dockerfile = dockerfile_of("multistage")
    trace = PodmanTrace(dockerfile)
    messages = _messages(given, "podman")
    _follow((trace.read(message, float(at)) for at, message in enumerate(messages)), dockerfile)


# --- Dockerfiles ----------------------------------------------------------------------------------------------------


@cache
def _dockerfiles() -> tuple[bytes, ...]:
    found = [path for folder in ("docker", "sample") for path in sorted((ROOT / folder).rglob("*ockerfile*"))]
    return (*(path.read_bytes() for path in found), *(text.encode() for text in DOCKERFILES.values()))


def fuzz_dockerfile(given: str | int | tuple[str, int]) -> None:
    if isinstance(given, str):
        text = given
    else:
        files = _dockerfiles()
        rng = random.Random(given if isinstance(given, int) else given[1])
        original = rng.choice(files) if isinstance(given, int) else given[0].encode()
        text = mutated(original, files, rng).decode("utf-8", "replace")
    try:
        dockerfile = parse_dockerfile(text, "Dockerfile", {"B": "a"})
    except DockerfileError as error:
        line = error.line
    else:
        line = 0
        check_dockerfile(dockerfile)
    assert 0 <= line <= text.count("\n") + 1


def fuzz_shell_words(given: str) -> None:
    def unknown(name: str) -> str | None:
        if name == "U":
            raise UnknownVariableError(name)
        return {"X": "aaXX b", "N": ""}.get(name)

    for lexer in (ShellLexer(), ShellLexer("`", raw_quotes=True, raw_escapes=True, skip_unset=True)):
        with suppress(SubstitutionError):
            lexer.split(given, unknown)
        with suppress(SubstitutionError):
            assert isinstance(lexer.expand(given, unknown), str)


# --- targets --------------------------------------------------------------------------------------------------------

seeds = st.integers(0, 2**64)
announcements = st.one_of(
    st.sampled_from(
        [
            *("Step 1/7 : FROM python:3.11-slim-bookworm AS one", "\n", "Step 2/7 : RUN x\n", "Step 3/7 : ENV a=b"),
            *(" ---> Using cache\n", " ---> 8856c01a5141\n", " ---> Running in ab12\n", "# Executing 2 build trigger"),
            *("Removing intermediate container ab12\n", "Successfully built 1\n", "[Warning] x", "\x1b[91mred\x1b[0m"),
            *("STEP 1/2: FROM a", "[2/3] STEP 2/2: RUN b\n", "--> Using cache 12\n", "--> ab\n", "COMMIT x\n", "s"),
        ]
    ),
    st.text(max_size=20),
)
anything: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.integers(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
message = st.one_of(
    st.builds(lambda text: {"stream": text}, announcements),
    st.builds(lambda text: {"stream": text}, announcements),
    st.dictionaries(
        st.sampled_from(["stream", "status", "id", "progressDetail", "aux", "error", "errorDetail"]),
        anything,
        max_size=3,
    ),
    st.builds(lambda code, text: {"errorDetail": {"code": code, "message": text}}, anything, anything),
    st.builds(
        lambda size: {"status": "Downloading", "id": "a", "progressDetail": {"current": size, "total": 9}}, anything
    ),
    st.builds(lambda value: {"aux": {"ID": value}}, anything),
)
messages = st.lists(message, max_size=20)
pieces = st.lists(
    st.sampled_from(
        [
            *("FROM a", "RUN <<E", "E", "COPY --from=", "ARG A", "ONBUILD ", "# escape=`", "--mount=from=a", "ENV "),
            *("\n", "\r\n", " ", "\\", "`", "$", "${A", "}", "'", '"', "[", "]", "=", ",", "\u2028", "\x1c", "\0"),
        ]
    ),
    max_size=25,
).map("".join)

TARGETS: dict[str, Target] = {
    "status": Target(st.one_of(st.binary(max_size=200), seeds), fuzz_status),
    "rawjson": Target(st.one_of(st.binary(max_size=200), seeds), fuzz_rawjson),
    "classic": Target(st.one_of(messages, seeds), fuzz_classic),
    "podman": Target(st.one_of(messages, seeds), fuzz_podman),
    "dockerfile-text": Target(st.one_of(st.text(max_size=120), pieces), fuzz_dockerfile),
    "dockerfile-mutated": Target(st.one_of(seeds, st.tuples(drawn_dockerfile, seeds)), fuzz_dockerfile),
    "dockerfile-drawn": Target(drawn_dockerfile, fuzz_dockerfile),
    "shell-words": Target(
        st.one_of(st.text(max_size=60), st.text("$${{}}:-+?#%/\\'\"`<aXNU *", max_size=60)), fuzz_shell_words
    ),
}
