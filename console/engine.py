"""The door to the container engine: where it is, what it can do, threads that talk to it, its errors in our words.

Everything that speaks to docker-py gets its client here. docker-py promises nothing about threads, so every worker has
a client of its own (docker-py #3229).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from console.errors import ConfigError, EngineError, EngineUnreachableError
from console.model import EngineInfo

if TYPE_CHECKING:
    from docker import APIClient
    from docker.tls import TLSConfig

Result = TypeVar("Result")

_DEFAULT_HOST = "unix:///var/run/docker.sock"
_CONNECT_TIMEOUT_S = 5
"""For each of the first questions; later ones may take docker-py's usual time."""
_CHOICE_OF_ENGINE = frozenset({"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"})
_BUILDKIT_API = (1, 39)
"""Docker 18.09, the first with BuildKit in it."""
_TELLS_BUILDER_API = (1, 42)
"""Docker 23.0, the first whose `Builder-Version` says what is used; before, it only advised the command."""
_START_HINT = (
    "start it (`sudo systemctl start docker`, Docker Desktop, or scripts/ensure-engine.sh), or point DOCKER_HOST at one"
)


class Engine:
    """A container engine that answered once.

    Args:
        info: What it said about itself.
        make_client: Makes another client for it.
        tls: With what it is reached; None where TLS is not used.
    """

    def __init__(self, info: EngineInfo, make_client: Callable[[], APIClient], tls: TLSConfig | None = None) -> None:
        self.info = info
        self._make_client = make_client
        self._tls = tls

    def client(self) -> APIClient:
        """A new client for one thread."""
        return self._make_client()

    @property
    def address(self) -> str:
        """The host name under which published ports are reached."""
        return (urlsplit(self.info.host).hostname or "127.0.0.1") if self.info.remote else "127.0.0.1"

    def command_environment(self) -> dict[str, str]:
        """The environment in which the `docker` command reaches this very engine, whatever the current context is."""
        environment = {name: value for name, value in os.environ.items() if name not in _CHOICE_OF_ENGINE}
        environment["DOCKER_HOST"] = self.info.host
        if self._tls is not None:
            environment["DOCKER_TLS_VERIFY" if self._tls.verify else "DOCKER_TLS"] = "1"
            if certificate := getattr(self._tls, "cert", None):
                # A context keeps its files under the names that the command expects in DOCKER_CERT_PATH.
                environment["DOCKER_CERT_PATH"] = str(Path(certificate[0]).parent)
        return environment


def connect() -> Engine:
    """Finds the engine as the Docker CLI does: DOCKER_HOST, else the current context, else the default socket.

    Every client of the session goes there, whatever `docker context use` does meanwhile.

    Raises:
        EngineUnreachableError: If none answers.
        ConfigError: If the docker command's own settings, which say where it is, make no sense.
    """
    from docker import APIClient
    from docker.errors import DockerException, InvalidConfigFile

    place: dict[str, Any] = {}
    try:
        try:
            place = _place()
            client = APIClient(version="auto", timeout=_CONNECT_TIMEOUT_S, **place)
        except InvalidConfigFile as error:
            raise _wrong_settings(error) from error
        except (DockerException, OSError):
            raise
        except Exception as error:  # docker-py takes the settings as they come, and may stumble in any way
            raise _wrong_settings(error) from error
        version = client.version()
        description = client.info()
        headers = client.get(f"{client.base_url}/_ping", timeout=_CONNECT_TIMEOUT_S).headers
    except (DockerException, OSError) as error:
        raise _unreachable(error, place.get("base_url") or os.environ.get("DOCKER_HOST") or _DEFAULT_HOST) from error
    api_version = client.api_version
    client.close()
    host = str(place.get("base_url") or _DEFAULT_HOST)

    def make_client() -> APIClient:
        return APIClient(version=api_version, **place)

    builder = _builder(headers, version, description)
    snapshotter = any("containerd.snapshotter" in str(row) for row in description.get("DriverStatus") or ())
    info = EngineInfo(
        name="podman" if builder == "buildah" else "docker",
        version=version.get("Version", "?"),
        api_version=api_version,
        builder=builder,
        storage="containerd" if snapshotter else description.get("Driver", "?"),
        host=host,
        remote=not host.startswith(("unix://", "npipe://")),
    )
    return Engine(info, make_client, place.get("tls"))


def _builder(headers: Mapping[str, str], version: Mapping[str, Any], description: Mapping[str, Any]) -> str:
    """What builds images there: `buildah`, `classic` or `buildkit`.

    Args:
        headers: Of its answer to `/_ping`.
        version: Its answer to `/version`.
        description: Its answer to `/info`.
    """
    components = {part.get("Name") for part in version.get("Components") or ()}
    if "Podman Engine" in components or any(
        name.lower().startswith("libpod-") or (name.lower() == "server" and value.startswith("Libpod/"))
        for name, value in headers.items()
    ):
        return "buildah"
    api = _numbers(version.get("ApiVersion", ""))
    without = description.get("OSType") == "windows" or version.get("Os") == "windows" or api < _BUILDKIT_API
    switched_off = headers.get("Builder-Version") == "1" and api >= _TELLS_BUILDER_API
    return "classic" if without or switched_off else "buildkit"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _place() -> dict[str, Any]:
    """The engine's address and TLS settings as docker-py's `from_env` finds them; without an address, the default."""
    from docker.context import ContextAPI
    from docker.utils import kwargs_from_env

    place: dict[str, Any] = dict(kwargs_from_env())
    return place if "base_url" in place else {**ContextAPI.kwargs_from_context(), **place}


def _wrong_settings(error: Exception) -> ConfigError:
    from docker.utils.config import find_config_file

    file = find_config_file() or "the docker command's settings"
    return ConfigError(
        f"{file!s}, or the context that it names, is not as the docker command writes it: {error}",
        "mend it (`docker context ls`, `docker login`), or name another folder with DOCKER_CONFIG",
    )


def _unreachable(error: BaseException, host: str) -> EngineUnreachableError:
    text = str(error)
    if "Permission denied" in text or "PermissionError" in text:
        return EngineUnreachableError(
            "the container engine's socket refuses this user",
            "add yourself to its group (`sudo usermod -aG docker $USER`, then log in again), or use sudo",
        )
    if _timed_out(error):
        return EngineUnreachableError(
            f"the container engine at {host} accepts connections but does not answer",
            "restart it (`sudo systemctl restart docker`, Docker Desktop), or point DOCKER_HOST at another",
        )
    return EngineUnreachableError(f"no container engine answers at {host}: {_innermost(error)}", _START_HINT)


def _timed_out(error: BaseException | None) -> bool:
    from requests.exceptions import ReadTimeout

    while error is not None and not isinstance(error, ReadTimeout):
        error = error.__cause__ or error.__context__
    return error is not None


def _innermost(error: BaseException) -> str:
    """The part of a nested connection error that says something."""
    while True:
        deeper = error.__cause__ or error.__context__
        inner = next((arg for arg in error.args if isinstance(arg, BaseException)), None)
        if inner is None and deeper is None:
            return getattr(error, "strerror", None) or str(error)
        error = inner or deeper or error


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Turns docker-py's exceptions within the block into an `EngineError` that says what was being done."""
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except APIError as error:
        raise EngineError(f"{doing}: {error.explanation or error}") from error
    except (RequestException, HTTPError, ConnectionError) as error:  # a stream that breaks off raises urllib3's own
        raise EngineUnreachableError(
            f"{doing}: the container engine went away ({_innermost(error)})", _START_HINT
        ) from error
    except DockerException as error:
        raise EngineError(f"{doing}: {error}") from error


def json_lines(chunks: Iterable[bytes], answer: str = "the engine's answer") -> Iterator[dict[str, Any]]:
    """The JSON objects of an answer, one a line, from chunks that are cut anywhere.

    Args:
        chunks: As they come.
        answer: What it is, for the error.

    Raises:
        EngineError: If something else than JSON objects is among them.
    """
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (_object(line, answer) for line in lines if line.strip())
    if rest.strip():
        yield _object(rest, answer)


def _object(line: bytes, answer: str) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        shown = line[:100].decode("utf-8", "replace")
        raise EngineError(f"{answer} makes no sense: {shown!r}", "is there a proxy between?")
    return message


class EngineWorker:
    """A daemon thread with a client of its own that runs blocking jobs one after the other.

    A daemon, so that a job that hangs on a dead engine never keeps the program from ending.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._jobs: SimpleQueue[Callable[[APIClient], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def call(self, job: Callable[[APIClient], Result]) -> Result:
        """Runs `job(client)` on the thread and gives its result, or raises what it raised."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def settle(result: Result | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]  # a job without an error has a result

        def run(client: APIClient) -> None:
            result, failure = None, None
            try:
                result = job(client)
            except BaseException as error:  # noqa: BLE001 - handed to whoever awaits
                failure = error
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, result, failure)

        self._jobs.put(run)
        return await future

    def close(self) -> None:
        """Lets the thread end after the job it is at."""
        self._jobs.put(None)

    def _work(self) -> None:
        client = self._engine.client()
        while (job := self._jobs.get()) is not None:
            job(client)
        client.close()
