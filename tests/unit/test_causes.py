"""Why a step was not cached: two builds' inputs held against each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.build.causes import BuildInputs, borrowed, explain
from console.build.dockerfile import parse_dockerfile
from console.build.dockerfile.step_inputs import step_inputs
from console.build.last_inputs import LastInputs
from console.history.usual import unnumbered
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


STAGED = "FROM x AS one\nUSER me\nRUN fetch\nFROM one AS two\nRUN prepare\nFROM two\nCOPY f /f\nRUN finish\n"


@pytest.mark.parametrize(
    ("name", "line"), [("USER", "USER me"), ("SHELL", 'SHELL ["/bin/bash", "-c"]'), ("USER", "USER other")]
)
def test_a_setting_above_a_run_is_named(name: str, line: str) -> None:
    text = f"FROM x\n{line}\nRUN make\n"
    before = "FROM x\nUSER who\nRUN make\n" if name == "USER" else "FROM x\nENV A=1\nRUN make\n"
    now = inputs(text.replace("\nRUN", "\nENV A=1\nRUN") if name == "SHELL" else text, {}, {})
    line_of_run = 4 if name == "SHELL" else 3
    shown = text.replace("\nRUN", "\nENV A=1\nRUN") if name == "SHELL" else text
    assert why(inputs(before, {}, {}), now, line_of_run, text=shown) == [("argument", name)]


def test_a_setting_of_a_parent_stage_is_named_and_its_steps_are_blamed() -> None:
    text = STAGED.replace("USER me", "USER you")
    assert why(inputs(STAGED, {}, {}), inputs(text, {}, {}), 5, text=text) == [("argument", "USER")]
    assert why(inputs(STAGED, {}, {}), inputs(text, {}, {}), 3, 5, text=text)[1] == ("parent", "[2/9] RUN fetch")
    assert why(inputs(STAGED, {}, {}), inputs(text, {}, {}), 3, 8, text=text)[1] == ("parent", "[2/9] RUN fetch")


def test_a_workdir_of_the_root_is_no_step_but_a_setting() -> None:
    text = "FROM x\nWORKDIR /\nRUN make\n"
    before = "FROM x\nENV A=1\nRUN make\n"
    now = inputs(text.replace("RUN", "ENV A=1\nRUN"), {}, {})
    assert why(inputs(before, {}, {}), now, 4, text=text.replace("RUN", "ENV A=1\nRUN")) == [("argument", "WORKDIR")]


def test_network_and_platform_are_named() -> None:
    other = replace(inputs(), network="host", platform="linux/arm64")
    assert why(inputs(), other, 7) == [("argument", "[build] network, [build] platform")]
    assert why(inputs(), replace(inputs(), network="host"), 6) == [("gone", "")]


def test_a_stage_that_is_built_on_another_one_now() -> None:
    text = "ARG P=one\nFROM x AS one\nFROM x AS two\nFROM ${P}\nRUN make\n"
    dockerfile = parse_dockerfile(text, "app.Dockerfile", {"P": "two"})
    now = BuildInputs(step_inputs(dockerfile, {"P": "two"}), {}, {}, "app.Dockerfile")
    assert why(inputs(text, {}, {}), now, 5, text=text) == [("base", "two")]


def test_a_stage_inserted_above_changes_no_instruction() -> None:
    text = "FROM y AS new\nRUN other\n" + STAGED.replace("COPY f", "COPY --from=new /a /a\nCOPY f")
    found = why(inputs(STAGED, {}, {}), inputs(text, {}, {}), 2, 5, 9, 11, text=text)
    assert [kind for kind, _ in found] == ["instruction", "gone", "instruction", "parent"]


def test_files_behind_a_link_are_named() -> None:
    text = "FROM x\nCOPY l/ /x\nCOPY */g /y\n"
    links = {"l": "deep/real", "deep/real": "../real"}
    before = replace(inputs(text, {"real/f": "644 a", "real/g": "644 a"}, {}), links=links)
    now = replace(inputs(text, {"real/f": "644 b", "real/g": "644 a"}, {}), links=links)
    assert why(before, now, 2, text=text) == [("files", "real/f")]
    looped = replace(now, links={"l": "m", "m": "l"})
    assert why(before, looped, 2, text=text) == [("gone", "")]


def test_an_empty_image_sets_no_variable() -> None:
    text = "FROM scratch\nCOPY f$A /\n"
    assert why(inputs(text, {"f": "644 a"}, {}), inputs(text, {"f": "644 a", "g": "644 b"}, {}), 2, text=text) == [
        ("gone", "")
    ]
    dockerfile = parse_dockerfile(text, "app.Dockerfile")
    assert step_inputs(dockerfile, {})[0].sources == dockerfile.context_sources()


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


def test_what_the_cache_has_from_elsewhere() -> None:
    everything = ("COPY requirements.txt .", "RUN pip install -r requirements.txt", "COPY src/ src/", "RUN make")

    def unpaid(previous: BuildInputs | None, current: BuildInputs, *lines: int) -> list[str]:
        return [unnumbered(name) for name in borrowed(previous, current, ran(*lines))]

    assert unpaid(inputs(), inputs()) == [], "the last build left it there"
    assert unpaid(None, inputs()) == list(everything), "no build of the target did"
    assert unpaid(None, inputs(), 6, 7, 8, 9) == []
    deps = inputs(files={**FILES, "requirements.txt": "644 X"})
    assert unpaid(inputs(), deps, 6, 7, 8, 9) == []
    assert unpaid(inputs(), deps, 7, 8, 9) == ["COPY requirements.txt ."]
    assert unpaid(inputs(), deps) == ["COPY requirements.txt ."], "undone, or built by another target"
    code = inputs(files={**FILES, "src/a.py": "644 X"})
    assert unpaid(inputs(), code, 8, 9) == [], "what comes before the change is rightly cached"
    assert unpaid(inputs(), inputs(images={"base:latest": "sha256:2"})) == list(everything), "on another base"
