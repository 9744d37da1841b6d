"""Requests to an engine that another thread can end: with docker-py, against a server on this machine's loopback."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from docker import APIClient

from console.base.registry_line import EngineLine, HungUpError, auth_header
from console.credentials import Credentials
from console.errors import EngineError, EngineUnreachableError

SOON_S = 20.0


class Server:
    """An engine that answers as it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str, Any]] = []
        self.reached = threading.Event()
        """The last request has come."""
        self.go_on = threading.Event()
        self.left = threading.Event()
        """Whoever asked has ended the connection."""
        self.answer: Callable[[Any], None] = lambda handler: handler.tell(b"{}")
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                auth = self.headers.get("X-Registry-Auth", "")
                server.asked.append((self.command, self.path, auth, json.loads(body) if body else None))
                server.reached.set()
                server.answer(self)

            do_GET = do_POST = do_PUT = do_DELETE = _pass  # noqa: N815 - the names that the server calls

            def log_message(self, *_: Any) -> None:
                pass

            def tell(self, *chunks: bytes, status: int = 200, end: bool = True) -> None:
                self.send_response(status)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for chunk in chunks:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                if end:
                    self.wfile.write(b"0\r\n\r\n")

            def await_end(self) -> None:
                """Waits until the other side ends the connection."""
                self.rfile.read(1)
                self.close_connection = True
                server.left.set()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.client = APIClient(base_url=f"tcp://127.0.0.1:{self._server.server_port}", version="1.41")

    def close(self) -> None:
        self.go_on.set()
        self.client.close()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def meanwhile(job: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=job, daemon=True)
    thread.start()
    return thread


def messages(line: EngineLine) -> list[dict[str, Any]]:
    return list(line.messages(line.request("post", "/images/create")))


def test_a_request_is_made_as_engines_take_it(server: Server) -> None:
    line = EngineLine(server.client)
    answer = line.request("post", "/images/x/push", params={"tag": "a b"}, body={}, auth="secret")
    assert line.text(answer) == "{}"
    line.text(line.request("get", "/v5.0.0/libpod/info"))
    assert server.asked == [
        ("POST", "/v1.41/images/x/push?tag=a+b", "secret", {}),
        ("GET", "/v5.0.0/libpod/info", "", None),
    ]


def test_a_refusal_is_an_answer_too(server: Server) -> None:
    server.answer = lambda handler: handler.tell(b"no", status=403)
    line = EngineLine(server.client)
    answer = line.request("delete", "/x")
    assert (answer.status_code, line.text(answer)) == (403, "no")


def test_messages_may_be_cut_anywhere(server: Server) -> None:
    server.answer = lambda handler: handler.tell(b'{"a"', b": 1}\r\n\r", b'\n{"b": "\xc3', b'\xa4"}\n{"c"', b": 3}")
    assert messages(EngineLine(server.client)) == [{"a": 1}, {"b": "ä"}, {"c": 3}]


@pytest.mark.parametrize("text", [b"<html>\xff\n", b"[1]\n", b'{"a": 1}\nno'])
def test_what_is_no_message_is_told_as_such(server: Server, text: bytes) -> None:
    server.answer = lambda handler: handler.tell(text)
    with pytest.raises(EngineError, match="makes no sense"):
        messages(EngineLine(server.client))


def test_an_answer_that_breaks_off_is_the_engines_fault(server: Server) -> None:
    def breaks(handler: Any) -> None:
        handler.tell(b'{"a": 1}\n', end=False)
        handler.close_connection = True

    server.answer = breaks
    line, heard = EngineLine(server.client), []
    with pytest.raises(EngineUnreachableError, match="in the middle of its answer"):
        heard.extend(line.messages(line.request("post", "/x")))


def test_an_engine_that_is_not_there(server: Server) -> None:
    away = Server()
    away.close()
    with pytest.raises(EngineUnreachableError, match="went away"):
        EngineLine(away.client).request("get", "/x")


def test_hanging_up_ends_an_answer_in_the_middle(server: Server) -> None:
    def endless(handler: Any) -> None:
        handler.tell(b'{"a": 1}\n', end=False)
        handler.await_end()

    server.answer = endless
    line = EngineLine(server.client)
    told = line.messages(line.request("post", "/x"))
    assert next(told) == {"a": 1}
    ending = meanwhile(line.hang_up)
    with pytest.raises(HungUpError):
        next(told)
    ending.join(SOON_S)
    assert server.left.wait(SOON_S), "the engine learns of it"


def test_hanging_up_does_not_wait_for_an_engine_that_has_not_answered_yet(server: Server) -> None:
    def late(handler: Any) -> None:
        server.go_on.wait(SOON_S)
        handler.tell(b"{}\n", end=False)
        handler.await_end()

    def end() -> None:
        server.reached.wait(SOON_S)
        line.hang_up()

    server.answer = late
    line = EngineLine(server.client)
    meanwhile(end)
    with pytest.raises(HungUpError):
        line.request("post", "/x")
    assert not server.left.is_set()
    server.go_on.set()
    assert server.left.wait(SOON_S), "an answer that comes later is not left open"


def test_nothing_is_asked_after_hanging_up(server: Server) -> None:
    line = EngineLine(server.client)
    line.check()
    line.hang_up()
    for after in (line.check, lambda: line.request("get", "/x")):
        with pytest.raises(HungUpError):
            after()
    line.pause(SOON_S * 1000)
    ended: list[str] = []
    line.ended_by(lambda: ended.append("at once"))
    assert ended == ["at once"]
    assert server.asked == []


def test_hanging_up_ends_what_is_under_way_even_if_that_is_no_request(server: Server) -> None:
    line, ended = EngineLine(server.client), []
    line.ended_by(lambda: ended.append(1))
    line.hang_up()
    assert ended == [1]


def test_hanging_up_after_the_end_of_an_answer_does_no_harm(server: Server) -> None:
    line = EngineLine(server.client)
    assert line.text(line.request("get", "/x")) == "{}"
    line.hang_up()
    assert EngineLine(server.client).text(EngineLine(server.client).request("get", "/x")) == "{}"


@pytest.mark.parametrize(
    ("credentials", "host", "values"),
    [
        (Credentials("me", "söme"), "r:5", {"username": "me", "password": "söme", "serveraddress": "r:5"}),
        (Credentials("", "token"), "r", {"identitytoken": "token", "serveraddress": "r"}),
        (
            Credentials("me", "x"),
            "docker.io",
            {"username": "me", "password": "x", "serveraddress": "https://index.docker.io/v1/"},
        ),
    ],
)
def test_credentials_as_engines_take_them(credentials: Credentials, host: str, values: dict[str, str]) -> None:
    assert json.loads(base64.urlsafe_b64decode(auth_header(credentials, host))) == values
    assert credentials.secret not in repr(credentials)


def test_nobody_in_particular() -> None:
    assert auth_header(None, "r") == ""
