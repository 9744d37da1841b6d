"""The recorded builds of `tests/data/streams`, as the trace messages that they are brought into."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.build.dockerfile import Dockerfile, parse_dockerfile
from console.build.steps import StepLog, StepTracker
from console.build.trace import StatusUpdate, decode_rawjson, decode_status, is_trace_line
from console.build.trace.classic import ClassicTrace
from console.build.trace.podman import PodmanTrace
from console.model import Step

STREAMS = Path(__file__).parent / "data" / "streams"
ROOT = "FROM python:3.11-slim-bookworm"
DOCKERFILES = {
    "ok": f'{ROOT}\nWORKDIR /app\nRUN echo hello; echo oops >&2; printf "no end"\nCOPY app.py .\n',
    "failed": f"{ROOT}\nWORKDIR /app\nRUN echo one; echo two >&2; \\\n    exit 3\nCOPY app.py .\n",
    "multistage": (
        f"{ROOT} AS one\nRUN sleep 0.4; echo > /a\n{ROOT} AS two\nRUN sleep 0.6; echo > /b\n"
        f"{ROOT}\nCOPY --from=one /a /a\nCOPY --from=two /b /b\n"
    ),
    "warnings": (
        f"{ROOT} as one\nENV MODE fast\nRUN echo > /a\n"
        f"{ROOT}\nWORKDIR app\nCOPY --from=one /a /a\nRUN echo $missing\nCMD python3 /a\n"
    ),
    "cancelled": f"{ROOT}\nRUN echo begin; sleep 20\n",
    "big_log": f"{ROOT}\nRUN python3\n",
}
"""What was built, without what differs from recording to recording."""
DOCKERFILES["cached"] = DOCKERFILES["ok"]


@dataclass(frozen=True)
class Recorded:
    """One recorded build."""

    name: str
    updates: tuple[StatusUpdate, ...]
    image_id: str
    """As a builder tells it on the way; empty for those that do not."""
    failure: str


def names(*families: str) -> list[str]:
    """The recorded builds of some families: `classic`, `podman`, `buildx`, `bk28`, `containerd`, the first's `""`."""
    found = sorted(path.name.partition(".")[0] for path in STREAMS.glob("*.jsonl*"))
    known = ("classic", "podman", "buildx", "bk28", "containerd")
    return [name for name in found if next((one for one in known if name.startswith(f"{one}_")), "") in families]


def dockerfile_of(name: str) -> Dockerfile:
    case = name.partition("_")[2]
    return parse_dockerfile(DOCKERFILES.get(name) or DOCKERFILES.get(case) or f"{ROOT}\n", "app.Dockerfile")


def body_of(name: str) -> bytes:
    """The file's content."""
    packed = STREAMS / f"{name}.jsonl.gz"
    return gzip.decompress(packed.read_bytes()) if packed.exists() else (STREAMS / f"{name}.jsonl").read_bytes()


def timed_lines(name: str) -> Iterator[tuple[float, bytes]]:
    """When a line was complete, in seconds, and the line (see `record_others.py`)."""
    for line in body_of(name).splitlines():
        told = json.loads(line)
        data = told["data"]
        yield told["after_ms"] / 1000, base64.b64decode(data) if "encoding" in told else data.encode()


def read(name: str) -> Recorded:
    family = name.partition("_")[0]
    if family == "buildx":
        lines = [line for _, line in timed_lines(name)]
        return Recorded(name, tuple(decode_rawjson(line) for line in lines if is_trace_line(line)), "", "")
    if family in {"classic", "podman"}:
        reader = (ClassicTrace if family == "classic" else PodmanTrace)(dockerfile_of(name))
        updates = tuple(reader.read(json.loads(line), at) for at, line in timed_lines(name))
        return Recorded(name, updates, reader.image_id, reader.failure)
    return Recorded(name, tuple(_traced(body_of(name))), "", "")


def _traced(body: bytes) -> Iterator[StatusUpdate]:
    for line in body.splitlines():
        message: dict[str, Any] = json.loads(line)
        if message.get("id") == "moby.buildkit.trace":
            yield decode_status(base64.b64decode(message["aux"]))


def follow(updates: Iterable[StatusUpdate], tracker: StepTracker) -> tuple[tuple[Step, ...], list[StepLog]]:
    """The steps and the output of a whole build."""
    logs = [log for update in updates for log in tracker.apply(update)[1]]
    return tracker.steps, logs + tracker.finish()


def lines_of(logs: Iterable[StepLog], stream: str) -> list[str]:
    return [line for log in logs if log.stream == stream for line in log.lines]
