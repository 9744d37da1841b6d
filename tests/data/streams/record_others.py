"""Records the streams that `record.py` does not: other engines, other builders, buildx.

`python tests/data/streams/record_others.py [NAME…]` with PYTHONPATH at the top folder brings up what it needs
(`tests/engines/ensure-engines.sh`) and records all streams, or those whose names begin so.

| files                  | from                                                             | format |
|------------------------|------------------------------------------------------------------|--------|
| `bk28_*.jsonl`         | `/build?version=2`, Docker 28.5, overlay2                        | raw    |
| `containerd_*.jsonl`   | the same on the containerd image store                           | raw    |
| `buildx_*.jsonl`       | `docker buildx build --progress=rawjson` 0.29 on that Docker 28.5 | timed  |
| `classic_*.jsonl`      | `/build?version=1`, Docker 20.10                                 | timed  |
| `podman_*.jsonl`       | `/build` of Podman 5.8's Docker API                              | timed  |
| `*big_log.jsonl.gz`    | a step that writes 10 MB: `big_log` is `version=2` on Docker 20.10 | of its family, gzip |

*raw*: the body as it came, with `\\n` for `\\r\\n`, as `record.py` writes it.

*timed*: one JSON object for each line that came, `{"after_ms": 12.3, "data": "{\\"stream\\":…}\\r\\n"}`: the time from
the start of the request (of the command, for buildx, whose lines are those of its stderr) until the line was complete,
and the line with its end. The concatenated `data` is the body. A line that is not UTF-8 is in base64, and the object
then has `"encoding": "base64"` too. The last line of a cancelled stream may lack its end.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import docker
import urllib3
from record import HERE, ROOT, SALT, make_tar

from console.engine import connect
from tests.engines.engines import docker_config, ensure

SIMPLE = ROOT + b'\nWORKDIR /app\nRUN echo hello; echo oops >&2; printf "no end"\nCOPY app.py .\n'
FAILED = ROOT + b"\nWORKDIR /app\nRUN echo one; echo two >&2; \\\n    exit 3\nCOPY app.py .\n"
MULTISTAGE = (
    ROOT + b" AS one\nRUN sleep 0.4; echo " + SALT + b" > /a\n"
    + ROOT + b" AS two\nRUN sleep 0.6; echo " + SALT + b" > /b\n"
    + ROOT + b"\nCOPY --from=one /a /a\nCOPY --from=two /b /b\n"
)  # fmt: skip
WARNINGS = (
    ROOT + b" as one\nENV MODE fast\nRUN echo " + SALT + b" > /a\n"
    + ROOT + b"\nWORKDIR app\nCOPY --from=one /a /a\nRUN echo $missing\nCMD python3 /a\n"
)  # fmt: skip
CANCELLED = ROOT + b"\nRUN echo begin " + SALT + b"; sleep 20\n"
BIG_LOG = (
    ROOT + b"\nRUN python3 -c \"[print(f'line {n:06} of a long log, with the same text in each ' + 50 * '.')"
    b' for n in range(100_000)]"; echo ' + SALT + b"\n"
)


class Recorder:
    """Builds on one engine, and writes down what it answers."""

    def __init__(self, family: str, client: Any, version: str, *, timed: bool) -> None:
        self.family = family
        self._client = client
        self._version = version
        self._timed = timed
        self._tags: list[str] = []

    def record(
        self, case: str, dockerfile: bytes, *, no_cache: bool = False, cancel_after_s: float | None = None
    ) -> None:
        name = f"{self.family}_{case}".removeprefix("_")
        if not wanted(name):
            return
        tag = f"recorded:{name.replace('_', '-')}"
        self._tags.append(tag)
        parameters = {"version": self._version, "dockerfile": "Dockerfile", "t": tag, "rm": "1", "forcerm": "1"}
        if no_cache:
            parameters["nocache"] = "1"
        tar = make_tar({"Dockerfile": dockerfile, "app.py": SALT})
        started = time.monotonic()
        answer = self._client._post(self._client._url("/build"), params=parameters, data=tar, stream=True, timeout=None)
        if cancel_after_s is not None:
            connection = self._client._get_raw_response_socket(answer)._sock
            threading.Timer(cancel_after_s, connection.shutdown, [socket.SHUT_RDWR]).start()
        lines = timed_lines(body_of(answer), started)
        if self._timed:
            save(name, "".join(timed(*line) for line in lines).encode(), packed=case.endswith("big_log"))
        else:
            body = b"".join(line for _, line in lines).replace(b"\r\n", b"\n")
            save(name, body, packed=case.endswith("big_log"))

    def close(self) -> None:
        for tag in self._tags:
            if self._client.images(tag):
                self._client.remove_image(tag, force=True)
        self._client.close()


def record_buildx(case: str, dockerfile: bytes, *options: str, host: str) -> None:
    name = f"buildx_{case}"
    if not wanted(name):
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Dockerfile").write_bytes(dockerfile)
        Path(folder, "app.py").write_bytes(SALT)
        started = time.monotonic()
        build = subprocess.Popen(
            ["docker", "buildx", "build", "--progress=rawjson", "-t", f"recorded:buildx-{case}", *options, "."],
            cwd=folder,
            env={**os.environ, "DOCKER_HOST": host, "DOCKER_CONFIG": str(docker_config())},
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        assert build.stderr is not None
        chunks = iter(lambda: os.read(build.stderr.fileno(), 65536), b"")
        save(name, "".join(timed(*line) for line in timed_lines(chunks, started)).encode())
        build.stderr.close()
        build.wait()


def body_of(answer: Any) -> Iterator[bytes]:
    """The chunks of an answer as they come, up to where it is cut off if it is."""
    try:
        yield from answer.raw.stream(65536, decode_content=False)
    except urllib3.exceptions.HTTPError:
        return


def timed_lines(chunks: Iterable[bytes], started: float) -> Iterator[tuple[float, bytes]]:
    """Lines with their ends, and when each was complete; a last one without an end as well."""
    rest, after_ms = b"", 0.0
    for chunk in chunks:
        after_ms = (time.monotonic() - started) * 1000
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield after_ms, line + b"\n"
    if rest:
        yield after_ms, rest


def timed(after_ms: float, line: bytes) -> str:
    shown: dict[str, Any] = {"after_ms": round(after_ms, 1)}
    try:
        shown["data"] = line.decode()
    except UnicodeDecodeError:
        shown |= {"data": base64.b64encode(line).decode(), "encoding": "base64"}
    return json.dumps(shown, ensure_ascii=False) + "\n"


def save(name: str, content: bytes, *, packed: bool = False) -> None:
    path = HERE / f"{name}.jsonl{'.gz' if packed else ''}"
    path.write_bytes(gzip.compress(content, mtime=0) if packed else content)
    print(f"{path.name}: {path.stat().st_size} bytes", file=sys.stderr)


def wanted(name: str) -> bool:
    return len(sys.argv) == 1 or name.startswith(tuple(sys.argv[1:]))


def client_of(endpoint: str) -> Any:
    return docker.APIClient(base_url=endpoint, version="auto", timeout=60)


def record_usual(recorder: Recorder) -> None:
    recorder.record("ok", SIMPLE, no_cache=True)
    recorder.record("cached", SIMPLE)
    recorder.record("failed", FAILED, no_cache=True)
    recorder.record("multistage", MULTISTAGE)


def main() -> None:
    at = ensure()

    docker28 = Recorder("bk28", client_of(at["docker28"]), "2", timed=False)
    record_usual(docker28)
    docker28.record("warnings", WARNINGS)
    docker28.record("big_log", BIG_LOG)
    docker28.close()

    containerd = Recorder("containerd", client_of(at["containerd"]), "2", timed=False)
    containerd.record("ok", SIMPLE, no_cache=True)
    containerd.record("cached", SIMPLE)
    containerd.close()

    record_buildx("ok", SIMPLE, "--no-cache", host=at["docker28"])
    record_buildx("cached", SIMPLE, host=at["docker28"])
    record_buildx("failed", FAILED, "--no-cache", host=at["docker28"])
    record_buildx("multistage", MULTISTAGE, "--no-cache", host=at["docker28"])
    record_buildx("warnings", WARNINGS, "--no-cache", host=at["docker28"])

    classic = Recorder("classic", connect().client(), "1", timed=True)
    record_usual(classic)
    classic.record("cancelled", CANCELLED, cancel_after_s=1.5)
    classic.record("big_log", BIG_LOG)
    classic.close()

    buildkit20 = Recorder("", connect().client(), "2", timed=False)
    buildkit20.record("big_log", BIG_LOG)
    buildkit20.close()

    podman = Recorder("podman", client_of(at["podman"]), "1", timed=True)
    record_usual(podman)
    podman.record("cancelled", CANCELLED, cancel_after_s=3.0)
    podman.close()


if __name__ == "__main__":
    main()
