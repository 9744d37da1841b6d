"""Requests to an engine about a registry, which another thread can end at any time.

docker-py's own `pull` and `push` would look up credentials themselves, give up on a quiet engine, and cannot be ended,
so the requests are made here on its session.
"""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from console.credentials import Credentials
from console.engine import engine_errors, json_lines
from console.errors import EngineUnreachableError

if TYPE_CHECKING:
    from docker import APIClient

_CHUNK_BYTES = 64 * 1024


class HungUpError(Exception):
    """Another thread has ended what was under way."""


class EngineLine:
    """One thread's requests to an engine.

    Args:
        client: docker-py's, of the thread that asks.
    """

    def __init__(self, client: APIClient) -> None:
        self._client: Any = client
        self._lock = threading.Lock()
        self._hung_up = threading.Event()
        self._end: Callable[[], None] | None = None

    def hang_up(self) -> None:
        """Ends what is under way, and whatever is asked for later; for other threads."""
        with self._lock:
            self._hung_up.set()
            end = self._end
        if end is not None:
            end()

    def check(self) -> None:
        """Goes on.

        Raises:
            HungUpError: If not.
        """
        if self._hung_up.is_set():
            raise HungUpError

    def pause(self, seconds: float) -> None:
        """Waits, or ends at once."""
        self._hung_up.wait(seconds)

    def ended_by(self, end: Callable[[], None]) -> None:
        """From now on, `end` is what ends the thing under way; called at once if that was asked for before."""
        with self._lock:
            self._end = end
            hung_up = self._hung_up.is_set()
        if hung_up:
            end()

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        auth: str = "",
    ) -> Any:
        """The engine's answer, whose body has not been read yet.

        It is waited for on a thread of its own: an engine that tries to reach a registry says nothing for a while,
        and until it does there is no connection that one could end.

        Args:
            method: `get`, `post`, `put` or `delete`.
            path: Without the version of the engine's API, but for `/v5.0.0/libpod`.
            body: Sent as JSON.
            auth: As `auth_header` makes it.

        Raises:
            HungUpError: If another thread ended it.
            EngineUnreachableError: If the engine went away.
        """
        client, answers = self._client, SimpleQueue[Any]()
        version = "" if path.startswith("/v") else f"/v{client.api_version}"

        def ask() -> None:
            try:
                response = getattr(client, f"_{method}")(
                    f"{client.base_url}{version}{path}",
                    params=params,
                    headers={"X-Registry-Auth": auth} if auth else {},
                    json=body,
                    stream=True,
                    timeout=None,  # an engine may be quiet for as long as a registry is
                )
            except BaseException as error:  # noqa: BLE001 - handed to whoever waits
                answers.put(error)
                return
            answers.put(response)
            if self._hung_up.is_set():  # nobody waits any more
                self._shut(response)

        self.ended_by(lambda: answers.put(HungUpError()))
        self.check()
        threading.Thread(target=ask, name="registry request", daemon=True).start()
        answer = answers.get()
        if isinstance(answer, BaseException):
            with engine_errors("speaking with a registry"):
                raise answer
        self.ended_by(lambda: self._shut(answer))
        return answer

    def messages(self, response: Any) -> Iterator[dict[str, Any]]:
        """The JSON objects of an engine's answer, one per line.

        Raises:
            HungUpError: If another thread ended it.
            EngineUnreachableError: If it breaks off.
            EngineError: If something else than JSON is among them.
        """
        yield from json_lines(self._chunks(response))

    def text(self, response: Any) -> str:
        """The answer's body.

        Raises:
            HungUpError: If another thread ended it.
            EngineUnreachableError: If it breaks off.
        """
        return b"".join(self._chunks(response)).decode("utf-8", "replace")

    def _chunks(self, response: Any) -> Iterator[bytes]:
        from urllib3.exceptions import HTTPError

        try:
            yield from response.raw.stream(_CHUNK_BYTES, decode_content=False)
        except (HTTPError, OSError) as error:
            self.check()
            message = "the container engine ended the connection in the middle of its answer"
            raise EngineUnreachableError(message, "see whether it is still running, and try again") from error
        finally:
            response.close()
        self.check()

    def _shut(self, response: Any) -> None:
        """Ends the connection of an answer; `response.close()` from another thread would wait for the answer's end."""
        with suppress(Exception):  # an answer that is over has no socket any more
            found = self._client._get_raw_response_socket(response)  # noqa: SLF001 - as docker-py does for `attach`
            getattr(found, "_sock", found).shutdown(socket.SHUT_RDWR)


def auth_header(credentials: Credentials | None, host: str) -> str:
    """What an engine takes credentials in; empty where there are none.

    Args:
        host: The registry's.
    """
    if credentials is None:
        return ""
    if credentials.user:
        values = {"username": credentials.user, "password": credentials.secret}
    else:
        values = {"identitytoken": credentials.secret}
    values["serveraddress"] = "https://index.docker.io/v1/" if host == "docker.io" else host
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()
