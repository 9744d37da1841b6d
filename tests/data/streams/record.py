"""Records the streams beside this file from real builds: `python tests/data/streams/record.py`.

Needs an engine and the root image. Recorded on Docker 20.10.24, BuildKit 0.8.
"""

from __future__ import annotations

import io
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

from console.build.api import cancel_build
from console.engine import connect

HERE = Path(__file__).parent
ROOT = b"FROM python:3.11-slim-bookworm"


def make_tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(content), 1
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def record(name: str, dockerfile: bytes, *, no_cache: bool = False, cancel_after_s: float | None = None) -> None:
    engine = connect()
    client: Any = engine.client()
    parameters = {
        "version": "2",
        "dockerfile": "Dockerfile",
        "t": f"recorded:{name.replace('_', '-')}",
        "buildid": name,
    }
    if no_cache:
        parameters["nocache"] = "1"
    if cancel_after_s is not None:
        threading.Timer(cancel_after_s, lambda: cancel_build(engine.client(), name)).start()
    tar = make_tar({"Dockerfile": dockerfile, "app.py": SALT})
    answer = client._post(client._url("/build"), params=parameters, data=tar, stream=True, timeout=None)
    body = b"".join(answer.raw.stream(65536, decode_content=False))
    (HERE / f"{name}.jsonl").write_bytes(body.replace(b"\r\n", b"\n"))


SALT = str(time.time()).encode()
"""Differs from run to run, so that nothing comes from an earlier run's cache."""

if __name__ == "__main__":
    simple = ROOT + b'\nWORKDIR /app\nRUN echo hello; echo oops >&2; printf "no end"\nCOPY app.py .\n'
    record("ok", simple, no_cache=True)
    record("cached", simple)
    record("failed", ROOT + b"\nWORKDIR /app\nRUN echo one; echo two >&2; \\\n    exit 3\nCOPY app.py .\n")
    record("cancelled", ROOT + b"\nRUN echo begin " + SALT + b"; sleep 20\n", cancel_after_s=1.0)
    record(
        "multistage",
        ROOT + b" AS one\nRUN sleep 0.4; echo " + SALT + b" > /a\n"
        + ROOT + b" AS two\nRUN sleep 0.6; echo " + SALT + b" > /b\n"
        + ROOT + b"\nCOPY --from=one /a /a\nCOPY --from=two /b /b\n",
    )  # fmt: skip
    record("parse_error", ROOT + b"\nRUNN echo\n")
    record(
        "invalid_utf8", ROOT + b'\nRUN printf "\\303\\050 caf\\303\\251 \\377\\n"; echo ' + SALT + b"\n", no_cache=True
    )
    record("missing_file", ROOT + b"\nCOPY nothere /\n")
