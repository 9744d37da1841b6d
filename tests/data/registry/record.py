"""Records what engines tell of layers on their way to and from a registry.

`python tests/data/registry/record.py [ENGINE…]` with PYTHONPATH at the top folder brings up what it needs and writes
`ENGINE_CASE.jsonl` for each engine (`docker` is the machine's own, here 20.10): the messages of an answer, one a line,
as they came. Of the image, the first layer has 40 MB, the second 1 MB, the third 16 bytes.

| case         | what                                                                                     |
|--------------|------------------------------------------------------------------------------------------|
| `push`       | to an empty repository                                                                   |
| `push_again` | the same image once more                                                                 |
| `push_other` | the same image to another repository of the same registry                                |
| `pull`       | to an engine that has nothing of it                                                      |
| `pull_again` | once more                                                                                |
| `pull_broken`| to an engine that has nothing of it, with one connection that breaks in the first layer  |
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from docker.errors import APIError

from console.base.registry_line import EngineLine
from console.engine import connect
from tests.engines.engines import ENGINES, ensure
from tests.engines.layered_image import load_image
from tests.engines.registry import Relay, Trouble, layers_in, podman_for_loopback, started_registry

HERE = Path(__file__).parent
NAME = "localhost/recorded:registry"


def main() -> None:
    for engine in sys.argv[1:] or ("docker", *ENGINES):
        with ExitStack() as stack:
            if engine == "podman":
                os.environ["DOCKER_HOST"] = stack.enter_context(podman_for_loopback())
            elif engine != "docker":
                os.environ["DOCKER_HOST"] = ensure([engine])[engine]
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            port = stack.enter_context(started_registry(folder))
            relay = stack.enter_context(Relay(port, "" if engine == "docker" else engine))
            record(engine, connect().client(), relay, port)
        os.environ.pop("DOCKER_HOST", None)


def record(engine: str, client: Any, relay: Relay, port: int) -> None:
    layers = [os.urandom(40_000_000), os.urandom(1_000_000), os.urandom(16)]
    one, other = f"{relay.host}/one", f"{relay.host}/other"

    def clear() -> None:
        for name in (NAME, f"{one}:t", f"{other}:t"):
            with suppress(APIError):
                client.remove_image(name, force=True)

    def keep(case: str, path: str, **params: str) -> None:
        line = EngineLine(client)
        answer = line.request("post", path, params=params, body={})
        told = [json.dumps(message, ensure_ascii=False) for message in line.messages(answer)]
        (HERE / f"{engine}_{case}.jsonl").write_text("\n".join(told) + "\n")

    load_image(client, NAME, layers)
    for case, repository in (("push", one), ("push_again", one), ("push_other", other)):
        client.tag(NAME, repository, "t")
        keep(case, f"/images/{repository}/push", tag="t")
    clear()
    keep("pull", "/images/create", fromImage=one, tag="t")
    keep("pull_again", "/images/create", fromImage=one, tag="t")
    clear()
    relay.troubles.append(Trouble("GET", next(iter(layers_in(port, "one", "t"))), after_bytes=600_000))
    keep("pull_broken", "/images/create", fromImage=one, tag="t")
    clear()


if __name__ == "__main__":
    main()
