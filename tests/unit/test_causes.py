"""Why a step was not cached: two builds' inputs held against each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.build.causes import BuildInputs, explain
from console.build.dockerfile import parse_dockerfile
from console.build.dockerfile.step_inputs import step_inputs
from console.build.last_inputs import LastInputs
from console.model import Cause, CauseKind, Step, StepKind, StepStatus, Target

TEXT = """\
ARG BASE_IMAGE=base:latest
FROM ${BASE_IMAGE}
ARG VERSION=1
ENV MODE=fast
WORKDIR /app
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY src/ src/
RUN make
"""
FILES = {"requirements.txt": "644 a", "src/a.py": "644 b", "src/b.py": "644 c", "notes.md": "644 d"}
IMAGES = {"base:latest": "sha256:1"}


def inputs(
    text: str = TEXT, files: dict[str, str] = FILES, images: dict[str, str] = IMAGES, **args: str
) -> BuildInputs:
    dockerfile = parse_dockerfile(text, "app.Dockerfile", args)
    return BuildInputs(step_inputs(dockerfile, args), files, images, "app.Dockerfile")


def ran(*lines: int, text: str = TEXT) -> list[Step]:
    """A build's steps, of which those at the given lines were run."""
    dockerfile = parse_dockerfile(text, "app.Dockerfile")
    found = []
    for number, each in enumerate(step_inputs(dockerfile, {}), 1):
        status = StepStatus.DONE if each.line in lines else StepStatus.CACHED
        name = f"[{number}/9] {each.text}"
        found.append(Step(str(number), name, StepKind.INSTRUCTION, status, number, line=each.line, duration_ms=10.0))
    return found


def why(previous: BuildInputs | None, current: BuildInputs, *lines: int, text: str = TEXT) -> list[tuple[str, str]]:
    causes = explain(previous, current, ran(*lines, text=text))
    return [(cause.kind.value, ", ".join(cause.names)) for cause in causes]


def test_a_changed_file_is_named_and_what_follows_is_blamed_on_the_step() -> None:
    now = inputs(files={**FILES, "src/b.py": "644 X", "notes.md": "644 X"})
    assert why(inputs(), now, 8, 9) == [("files", "src/b.py"), ("parent", "[5/9] COPY src/ src/")]


def test_added_removed_and_made_executable_count_as_changed() -> None:
    now = inputs(files={"requirements.txt": "755 a", "src/a.py": "644 b", "src/new.py": "644 n"})
    assert why(inputs(), now, 6, 8) == [("files", "requirements.txt"), ("files", "src/b.py, src/new.py")]


def test_an_argument_is_blamed_on_the_first_run_that_sees_it() -> None:
    assert why(inputs(), inputs(VERSION="2"), 7, 8, 9)[0] == ("argument", "VERSION")


def test_an_environment_variable_too() -> None:
    now = inputs(TEXT.replace("MODE=fast", "MODE=slow"))
    assert why(inputs(), now, 7)[0] == ("argument", "MODE")


def test_a_changed_instruction_has_its_place() -> None:
    text = TEXT.replace("RUN make", "RUN make all")
    assert why(inputs(), inputs(text), 9, text=text) == [("instruction", "app.Dockerfile:9")]


def test_an_instruction_that_only_moved_down_is_not_to_blame() -> None:
    text = TEXT.replace("WORKDIR /app\n", "# a remark\n\nWORKDIR /app\n")
    assert why(inputs(), inputs(text), 11, text=text) == [("gone", "")]


def test_another_base_image() -> None:
    now = inputs(images={"base:latest": "sha256:2"})
    assert why(inputs(), now, 5, 6)[0] == ("base", "base:latest")
    assert why(inputs(), inputs(BASE_IMAGE="other:1", images={"other:1": "sha256:1"}), 5)[0] == ("base", "other:1")


def test_a_stage_that_was_rebuilt() -> None:
    text = "FROM x AS one\nRUN fetch\nFROM x\nRUN prepare\nCOPY --from=one /a /a\n"
    before = inputs(text, {}, {})
    assert why(before, inputs(text, {}, {}), 2, 5, text=text) == [("gone", ""), ("parent", "[2/9] RUN fetch")]


def test_nothing_changed_or_nothing_known() -> None:
    assert why(inputs(), inputs(), 7) == [("gone", "")]
    assert why(None, inputs(), 6, 7) == [("first", ""), ("first", "")]
    off = explain(inputs(), inputs(), ran(7), no_cache=True)
    assert off == (Cause("[4/9] RUN pip install -r requirements.txt", CauseKind.CACHE_OFF, (), 10.0),)


def test_cached_steps_need_no_reason() -> None:
    assert why(inputs(), inputs(files={}), 2) == []


@pytest.fixture
def memory(tmp_path: Path) -> LastInputs:
    return LastInputs(tmp_path / "inputs", "docker 28 buildkit")


def test_inputs_are_kept_between_sessions(memory: LastInputs, tmp_path: Path) -> None:
    kept = inputs(VERSION="2")
    assert memory.get(Target.APP) is None
    memory.keep(Target.APP, kept)
    again = LastInputs(tmp_path / "inputs", "docker 28 buildkit")
    assert again.get(Target.APP) == kept
    assert again.get(Target.BASE) is None
    assert LastInputs(tmp_path / "inputs", "another engine").get(Target.APP) is None


@given(garbage=st.binary(max_size=200))
def test_a_damaged_file_is_as_good_as_none(tmp_path_factory: pytest.TempPathFactory, garbage: bytes) -> None:
    folder = tmp_path_factory.mktemp("inputs")
    LastInputs(folder, "x").keep(Target.APP, inputs())
    (file,) = folder.iterdir()
    file.write_bytes(garbage)
    assert LastInputs(folder, "x").get(Target.APP) is None
