from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.config import StageConfig
from console.history.stages import PLAN_ROWS, StageRules, instruction_of, stage_times
from console.model import Step, StepKind, StepStatus

SYSTEM, PYTHON, MODELS, CODE, OTHER = PLAN_ROWS


@pytest.mark.parametrize(
    ("row", "instruction"),
    [
        (SYSTEM, "RUN apt-get update && apt-get install -y --no-install-recommends gcc g++ python3-pip"),
        (SYSTEM, "RUN apk add --no-cache git"),
        (SYSTEM, "RUN microdnf -y install ripgrep && microdnf clean all"),
        (SYSTEM, "RUN set -eux; yum install -y gcc"),
        (PYTHON, "RUN pip install --no-cache-dir -r requirements.txt"),
        (PYTHON, "RUN --mount=type=cache,target=/root/.cache/huggingface /opt/venv/bin/pip3.11 install torch"),
        (PYTHON, 'RUN ["python", "-m", "pip", "install", "sentence-transformers"]'),
        (PYTHON, "RUN uv sync --frozen --no-dev"),
        (PYTHON, "RUN uv pip install --system -r requirements.txt"),
        (PYTHON, "RUN poetry install --only main"),
        (PYTHON, "RUN conda env create -f environment.yml"),
        (PYTHON, "RUN pipenv sync"),
        (PYTHON, "RUN apt-get install -y gcc && pip install -r requirements.txt && apt-get purge -y gcc"),
        (PYTHON, "RUN pip install -r requirements.txt && python -m spacy download en_core_web_sm"),
        (PYTHON, "COPY requirements.txt ."),
        (PYTHON, "COPY --link requirements*.txt deps/constraints.txt ./"),
        (PYTHON, 'COPY ["pyproject.toml", "uv.lock", "README.md", "./"]'),
        ("Other deps", "RUN npm ci --omit=dev"),
        ("Other deps", "RUN yarn --frozen-lockfile"),
        ("Other deps", "RUN go mod download"),
        ("Other deps", "RUN cargo fetch --locked"),
        ("Other deps", "COPY package*.json ./"),
        (MODELS, "RUN huggingface-cli download BAAI/bge-small-en"),
        (MODELS, "RUN python -c \"from sentence_transformers import SentenceTransformer; SentenceTransformer('x')\""),
        (MODELS, "RUN python scripts/bake_model.py --to /opt/models"),
        (MODELS, "RUN ./download-models.sh"),
        (MODELS, "RUN apt-get install -y curl && curl -LO https://huggingface.co/x/y/resolve/main/w.bin"),
        (MODELS, 'RUN pip install some-model && some-model export "$MODEL" && pip uninstall --yes some-model'),
        (MODELS, "ADD https://example.org/weights.safetensors /models/"),
        (CODE, "COPY sample/codesearch ./codesearch"),
        (CODE, "COPY . ."),
        (CODE, "ADD --chown=app:app src/ /app/src/"),
        (CODE, "COPY requirements.txt src ./"),
        (CODE, "COPY README.md ./"),
        (OTHER, "COPY --from=builder /opt/venv /opt/venv"),
        (OTHER, "ADD https://example.org/tool.tar.gz /tmp/"),
        (OTHER, "FROM docker.io/library/python:3.11-slim-bookworm"),
        (OTHER, "WORKDIR /app"),
        (OTHER, "RUN useradd --create-home app && mkdir -p /app/models"),
        (OTHER, "RUN python -c 'import tree_sitter, sentence_transformers'"),
        (OTHER, "RUN npm run build"),
        (OTHER, "RUN echo apt-get-like"),
    ],
)
def test_a_step_counts_under_the_row_of_what_it_runs(row: str, instruction: str) -> None:
    rules = StageRules()
    assert rules.stage_of(f"[2/5] {instruction}") == row
    assert rules.stage_of(f"[linux/amd64 builder 3/12] {instruction}") == row
    assert row in rules.rows


@pytest.mark.parametrize(
    "name", ["[internal] load build definition from pip install", "exporting to image", "[auth] x:pull", "", "RUN pip"]
)
def test_the_builders_own_steps_are_other(name: str) -> None:
    assert StageRules().stage_of(name) == OTHER
    assert instruction_of(name) == ""


def test_custom_rules_come_first_and_bring_their_rows() -> None:
    rules = StageRules(
        (
            StageConfig(name="Grammars", match="tree_sitter"),
            StageConfig(name=MODELS, match="warm-up"),
            StageConfig(name=OTHER, match="pip install build"),
        )
    )
    assert rules.stage_of("[4/9] RUN pip install tree_sitter") == "Grammars"
    assert rules.stage_of("[4/9] RUN ./warm-up") == MODELS
    assert rules.stage_of("[4/9] RUN pip install build") == OTHER
    assert rules.rows == (SYSTEM, PYTHON, MODELS, CODE, "Other deps", "Grammars", OTHER)


def step(stage: str, *spans_ms: tuple[float, float], origin: float = 0.0) -> Step:
    intervals = tuple((origin + start / 1000, origin + end / 1000) for start, end in spans_ms)
    return Step(stage, stage, StepKind.INSTRUCTION, StepStatus.DONE, intervals=intervals, stage=stage)


@pytest.mark.parametrize(
    ("steps", "shares"),
    [
        ([], {OTHER: 100}),
        ([step("a", (10, 40))], {"a": 30, OTHER: 70}),
        ([step("a", (0, 100)), step("b", (50, 100))], {"a": 75, "b": 25, OTHER: 0}),
        ([step("a", (0, 60)), step("a", (0, 60)), step("b", (0, 60))], {"a": 40, "b": 20, OTHER: 40}),
        ([step("a", (0, 30), (10, 50), (60, 70))], {"a": 60, OTHER: 40}),
        ([step("a", (20, 20))], {"a": 0, OTHER: 100}),
        ([step("", (0, 50)), step("a", (0, 50))], {"a": 25, OTHER: 75}),
        ([step("a", (-5, 35))], {"a": 40, OTHER: 60}),  # the builder's clock is 5 ms behind
        ([step("a", (80, 120))], {"a": 40, OTHER: 60}),  # … or ahead
        ([step("a", (-50, 250))], {"a": 100, OTHER: 0}),
    ],
)
def test_the_wall_clock_is_shared(steps: list[Step], shares: dict[str, float]) -> None:
    assert stage_times(steps, 0.0, 100.0) == pytest.approx(shares)


def test_a_step_without_intervals_counts_by_its_start_and_duration() -> None:
    lone = Step("x", "x", StepKind.INSTRUCTION, StepStatus.DONE, started_at=7.01, duration_ms=20, stage="a")
    assert stage_times([lone], 7.0, 100.0) == pytest.approx({"a": 20, OTHER: 80}, abs=1e-6)


SPAN = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: (min(pair), max(pair)))
STEPS = st.lists(
    st.builds(lambda stage, spans: step(stage, *spans), st.sampled_from("abc"), st.lists(SPAN, max_size=3))
)


@given(STEPS)
def test_shares_equal_a_count_by_the_millisecond(steps: list[Step]) -> None:
    expected = {item.stage: 0.0 for item in steps if any(item.intervals)} | {OTHER: 0.0}
    for tick in range(60):
        now = [s for s in steps if any(a * 1000 <= tick + 0.5 <= b * 1000 for a, b in s.intervals)]
        for running in now:
            expected[running.stage] += 1 / len(now)
        expected[OTHER] += not now
    assert stage_times(steps, 0.0, 60.0) == pytest.approx(expected, abs=1e-6)


FLOAT_SPAN = st.tuples(st.floats(-1e4, 1e6), st.floats(-1e4, 1e6)).map(lambda pair: (min(pair), max(pair)))


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", OTHER]), st.lists(FLOAT_SPAN, max_size=4)), max_size=8),
    st.floats(0, 1e6),
    st.floats(0, 2e9),
    st.randoms(use_true_random=False),
)
def test_shares_add_up_to_the_wall_clock(steps_ms, duration_ms, origin, random) -> None:  # type: ignore[no-untyped-def]
    steps = [step(stage, *spans, origin=origin) for stage, spans in steps_ms]
    times = stage_times(steps, origin, duration_ms)
    assert sum(times.values()) == pytest.approx(duration_ms, rel=1e-12, abs=1e-6)
    assert all(share >= 0 for share in times.values())
    random.shuffle(steps)
    assert stage_times(steps, origin, duration_ms) == pytest.approx(times, abs=1e-6)
