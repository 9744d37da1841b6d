"""Records what engines say when a registry refuses something or cannot be reached.

`python tests/data/registry/record_errors.py [ENGINE…]` with PYTHONPATH at the top folder brings up what it needs and
writes `errors_ENGINE.jsonl` (`docker` is the machine's own, here 20.10), a line for each message as it came:
`{"case": "offline", "doing": "pull", "status": 500, "text": "…"}`. `status` is the engine's own; 0 where it said 200
before it knew. Engines try again for up to a minute before they say something, so that it takes a while.

The cases are named after what is wrong: see `record`. 172.17.0.1 is an address of the engine's own network to which
Docker does not speak plain HTTP unless told to; Podman speaks it to none.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

from docker.errors import APIError

from console.base import registry
from console.base.registry_errors import RegistryError, explain
from console.credentials import Credentials
from console.engine import connect
from tests.engines.engines import ENGINES, ensure
from tests.engines.layered_image import load_image
from tests.engines.registry import USER, Relay, Trouble, free_port, layers_in, podman_for_loopback, started_registry

HERE = Path(__file__).parent
NAME = "localhost/recorded:errors"
DOCKER_BRIDGE = "172.17.0.1"
ALWAYS = 10**6
REFUSALS = {
    "denied": (403, "DENIED", "requested access to the resource is denied"),
    "unauthorised": (401, "UNAUTHORIZED", "access to the requested resource is not authorized"),
    "too many": (429, "TOOMANYREQUESTS", "too many requests"),
    "in trouble": (500, "UNKNOWN", "unknown error"),
}
"""What the relay answers: status, and code and text as registries write them."""


class Recorder:
    """Asks one engine for what cannot be, and writes down what it says."""

    def __init__(self, engine: str, client: Any) -> None:
        self.client = client
        self.image_id = load_image(client, NAME, [os.urandom(3_000_000), os.urandom(1000)])
        self._rows: list[dict[str, Any]] = []
        self._repositories: set[str] = set()
        self._file = HERE / f"errors_{engine}.jsonl"

    def ask(
        self, case: str, repository: str, *, tag: str = "t", only: str = "", credentials: Credentials | None = None
    ) -> None:
        """All three questions about a tag, or only the one."""
        self._repositories.add(repository)
        for doing in ("digest_of", "pull", "push"):
            if only in ("", doing):
                asked = registry.Registry(
                    self.client, repository, lambda _: None, credentials=lambda *_: credentials, pause=lambda _: None
                )
                registry.explain = partial(self._note, case, doing)
                with suppress(RegistryError):
                    asked.push(self.image_id, tag) if doing == "push" else getattr(asked, doing)(tag)

    def _note(self, case: str, question: str, text: str, **known: Any) -> RegistryError:
        self._rows.append({"case": case, "doing": question, "status": known["status"], "text": text})
        lines = [json.dumps(row, ensure_ascii=False) for row in self._rows]
        self._file.write_text("\n".join(lines) + "\n")
        return explain(text, **known)

    def forget(self) -> None:
        """Removes what the engine has of all this."""
        for row in self.client.images():
            for name in (*(row["RepoTags"] or ()), *(row["RepoDigests"] or ())):
                if name == NAME or name.partition("@")[0].removesuffix(":t") in self._repositories:
                    with suppress(APIError):
                        self.client.remove_image(name, force=True)


def record(engine: str, recorder: Recorder, folder: Path, stack: ExitStack) -> None:
    network = "" if engine == "docker" else engine
    (folder / "open").mkdir()
    (folder / "locked").mkdir()
    port = stack.enter_context(started_registry(folder / "open"))
    locked = stack.enter_context(started_registry(folder / "locked", password=True))
    relay, guarded = stack.enter_context(Relay(port, network)), stack.enter_context(Relay(locked, network))
    base = f"{relay.host}/base"

    recorder.ask("nobody logged in", f"{guarded.host}/base")
    recorder.ask("wrong password", f"{guarded.host}/base", credentials=Credentials(USER, "wrong"))
    for only in ("digest_of", "pull"):
        recorder.ask("no such repository", base, only=only)
    recorder.ask("", base, only="push")
    for only in ("digest_of", "pull"):
        recorder.ask("no such tag", base, tag="none", only=only)
    recorder.ask("no such tag", base, tag=f"sha256:{64 * '0'}", only="pull")
    recorder.ask("offline", f"127.0.0.1:{free_port()}/base")
    if network:  # the machine's own would ask the machine's name server
        recorder.ask("no such host", "registry.invalid/base")

    relay.troubles[:] = [Trouble("GET", next(iter(layers_in(port, "base", "t"))), ALWAYS, after_bytes=300_000)]
    recorder.forget()
    recorder.ask("broken in a layer", base, only="pull")
    recorder.image_id = load_image(recorder.client, NAME, [os.urandom(3_000_000), os.urandom(1000)])
    relay.troubles[:] = [Trouble(method, "/uploads/", ALWAYS, after_bytes=300_000) for method in ("PATCH", "PUT")]
    recorder.ask("broken in a layer", base, only="push")

    relay.troubles[:] = [Trouble("*", "/base", ALWAYS)]
    recorder.ask("broken", base)
    for case, (status, code, text) in REFUSALS.items():
        body = json.dumps({"errors": [{"code": code, "message": text}]})
        relay.troubles[:] = [Trouble("*", "/base", ALWAYS, status, body)]
        recorder.ask(case, base)
    page = "<html><head><title>502 Bad Gateway</title></head></html>"
    relay.troubles[:] = [Trouble("*", "/base", ALWAYS, 502, page, {"Content-Type": "text/html"})]
    recorder.ask("a proxy in trouble", base)

    address = "127.0.0.1" if engine == "podman" else DOCKER_BRIDGE
    if engine == "podman":
        os.environ["DOCKER_HOST"] = ensure([engine])[engine]
        recorder.client = connect().client()
    with Relay(port, network, address) as plain:
        recorder.ask("plain HTTP", f"{plain.host}/base")
    with Relay(port, network, address, tls=self_signed(folder, address).wrap) as secure:
        recorder.ask("certificate not trusted", f"{secure.host}/base")


class Certificate:
    """A server's, which nobody has signed but itself."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)

    def wrap(self, listener: Any) -> Any:
        return self._context.wrap_socket(listener, server_side=True)


def self_signed(folder: Path, address: str) -> Certificate:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=registry"]
    names = ["-addext", f"subjectAltName=IP:{address}"]
    subprocess.run([*command, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return Certificate(certificate, key)


def main() -> None:
    registry._PAUSES_S = ()
    for engine in sys.argv[1:] or ("docker", *ENGINES):
        with ExitStack() as stack:
            if engine == "podman":
                os.environ["DOCKER_HOST"] = stack.enter_context(podman_for_loopback())
            elif engine != "docker":
                os.environ["DOCKER_HOST"] = ensure([engine])[engine]
            recorder = Recorder(engine, connect().client())
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            try:
                record(engine, recorder, folder, stack)
            finally:
                recorder.forget()
        os.environ.pop("DOCKER_HOST", None)


if __name__ == "__main__":
    main()
