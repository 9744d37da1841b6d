"""gRPC over HTTP/2, both ends ours, over a socket pair."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import SimpleNamespace

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamReset, TrailersReceived
from hypothesis import given
from hypothesis import strategies as st

from console.build.buildkit_session.byte_streams import SocketStream
from console.build.buildkit_session.grpc import Code, GrpcError, MessageReader, Metadata, framed, status_of, trailers
from console.build.buildkit_session.grpc_client import GrpcClient
from console.build.buildkit_session.grpc_server import GrpcServer, Handler, ServerCall, unary
from console.build.buildkit_session.http2 import StreamBrokenError

SOON_S = 5.0


class Ends:
    """A client and a server on one connection."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        ours, theirs = socket.socketpair()
        self.server = GrpcServer(SocketStream(ours), handlers)
        self.serving = threading.Thread(target=self.server.run, daemon=True)
        self.serving.start()
        self.client = GrpcClient(SocketStream(theirs))

    def close(self) -> None:
        self.client.close()
        self.server.close()
        self.serving.join(SOON_S)
        assert not self.serving.is_alive()


@pytest.fixture
def connect() -> Iterator[Callable[..., Ends]]:
    made: list[Ends] = []

    def make(handlers: Mapping[str, Handler]) -> Ends:
        made.append(Ends(handlers))
        return made[-1]

    yield make
    for ends in made:
        ends.close()


def failure_of(action: Callable[[], object]) -> GrpcError:
    with pytest.raises(GrpcError) as raised:
        action()
    return raised.value


def test_one_question_has_one_answer(connect: Callable[..., Ends]) -> None:
    ends = connect({"/s/Turn": unary(lambda request: request[::-1])})
    assert ends.client.call("/s/Turn", b"abc", timeout_s=SOON_S) == [b"cba"]
    assert ends.client.call("/s/Turn", b"", timeout_s=SOON_S) == [b""]
    assert ends.server.failure is None


def test_a_method_that_nobody_serves(connect: Callable[..., Ends]) -> None:
    error = failure_of(lambda: connect({}).client.call("/s/No", b"", timeout_s=SOON_S))
    assert error.code is Code.UNIMPLEMENTED
    assert "/s/No" in error.message


def test_a_handler_that_refuses_is_heard(connect: Callable[..., Ends]) -> None:
    def refuse(request: bytes) -> bytes:
        raise GrpcError(Code.NOT_FOUND, "nö: 100 %\n")

    ends = connect({"/s/Get": unary(refuse)})
    error = failure_of(lambda: ends.client.call("/s/Get", b"", timeout_s=SOON_S))
    assert (error.code, error.message) == (Code.NOT_FOUND, "nö: 100 %\n")
    assert ends.server.failure is None


def test_a_handler_that_breaks_ends_its_call_only_and_tells_no_details(connect: Callable[..., Ends]) -> None:
    def breaks(request: bytes) -> bytes:
        raise LookupError("hush")

    ends = connect({"/s/Break": unary(breaks), "/s/Echo": unary(lambda request: request)})
    error = failure_of(lambda: ends.client.call("/s/Break", b"", timeout_s=SOON_S))
    assert error.code is Code.INTERNAL
    assert "LookupError" in error.message
    assert "hush" not in error.message
    assert isinstance(ends.server.failure, LookupError)
    assert ends.client.call("/s/Echo", b"on", timeout_s=SOON_S) == [b"on"]


def test_a_handler_that_breaks_after_it_has_answered_ends_the_call_with_a_status(connect: Callable[..., Ends]) -> None:
    def handle(call: ServerCall) -> None:
        call.send(b"first")
        raise RuntimeError

    error = failure_of(lambda: connect({"/s/M": handle}).client.call("/s/M", b"", timeout_s=SOON_S))
    assert error.code is Code.INTERNAL


def test_both_directions_carry_more_than_any_window(connect: Callable[..., Ends]) -> None:
    large = bytes(range(256)) * 20_000  # 5 MB, more than a stream's 4 MB
    ends = connect({"/s/Echo": unary(lambda request: request)})
    assert ends.client.call("/s/Echo", large, timeout_s=30) == [large]


def test_an_answer_that_does_not_wait_for_the_question_counts(connect: Callable[..., Ends]) -> None:
    ends = connect({"/s/Know": lambda call: call.send(b"whatever it is")})
    for _ in range(5):
        assert ends.client.call("/s/Know", bytes(15_000_000), timeout_s=30) == [b"whatever it is"]


def test_many_messages_stay_in_order(connect: Callable[..., Ends]) -> None:
    def count(call: ServerCall) -> None:
        for number in range(10_000):
            call.send(str(number).encode())

    answers = connect({"/s/Count": count}).client.call("/s/Count", b"", timeout_s=30)
    assert answers == [str(number).encode() for number in range(10_000)]


def test_calls_run_side_by_side_and_are_heard_on_the_thread_that_runs_them(connect: Callable[..., Ends]) -> None:
    release = threading.Event()

    def slow(call: ServerCall) -> None:
        assert release.wait(SOON_S)
        call.send(b"slow")

    def quick(call: ServerCall) -> None:
        call.send(b"quick")

    heard: list[tuple[bytes, threading.Thread]] = []

    def hear(message: bytes) -> None:
        heard.append((message, threading.current_thread()))
        release.set()

    group = connect({"/s/Slow": slow, "/s/Quick": quick}).client.group()
    calls = [group.start(method, b"", hear) for method in ("/s/Slow", "/s/Quick")]
    group.run()
    assert heard == [(b"quick", threading.current_thread()), (b"slow", threading.current_thread())]
    assert [call.error for call in calls] == [None, None]


def test_metadata_goes_with_a_call_and_may_repeat(connect: Callable[..., Ends]) -> None:
    def tell(call: ServerCall) -> None:
        call.send(repr((call.metadata.all("path"), call.metadata.first("none"))).encode())

    group = connect({"/s/Tell": tell}).client.group()
    answers: list[bytes] = []
    group.start("/s/Tell", b"", answers.append, [("path", "a"), ("path", "b ü")])
    group.run()
    assert answers == [repr((["a", "b ü"], "")).encode()]


def test_a_conversation(connect: Callable[..., Ends]) -> None:
    def converse(call: ServerCall) -> None:
        for message in call:
            call.send(message.upper())
        call.send(b"bye")

    answers: list[bytes] = []
    heard, over = threading.Semaphore(0), threading.Event()

    def hear(message: bytes) -> None:
        answers.append(message)
        heard.release()

    call = connect({"/s/Talk": converse}).client.open("/s/Talk", hear, over.set)
    for word in (b"one", b"two"):
        call.send(word)
        assert heard.acquire(timeout=SOON_S)
    assert answers == [b"ONE", b"TWO"]
    call.send_end()
    assert over.wait(SOON_S)
    assert answers[-1] == b"bye"
    assert call.error is None


def test_a_cancelled_call_ends_at_once_at_both_ends(connect: Callable[..., Ends]) -> None:
    began, ended = threading.Event(), threading.Event()
    seen: list[Exception] = []

    def wait(call: ServerCall) -> None:
        began.set()
        try:
            while call.receive() is not None:
                pass
            call.receive_waiting()
            while True:
                call.send(b"x" * 100_000)  # until the window is full, which must not keep it
        except StreamBrokenError as error:
            seen.append(error)
            raise
        finally:
            ended.set()

    ends = connect({"/s/Wait": wait, "/s/Echo": unary(lambda request: request)})
    group = ends.client.group()
    call = group.start("/s/Wait", b"", lambda _: None)
    assert began.wait(SOON_S)
    threading.Timer(0.1, call.cancel).start()
    group.run()
    assert call.error is not None
    assert call.error.code is Code.CANCELLED
    assert ended.wait(SOON_S)
    assert seen
    assert ends.client.call("/s/Echo", b"on", timeout_s=SOON_S) == [b"on"]


def test_an_answer_that_is_late(connect: Callable[..., Ends]) -> None:
    def wait(call: ServerCall) -> None:
        call.receive_waiting()
        while call.receive() is not None:
            pass
        threading.Event().wait(1)

    error = failure_of(lambda: connect({"/s/Wait": wait}).client.call("/s/Wait", b"", timeout_s=0.05))
    assert error.code is Code.DEADLINE_EXCEEDED


def test_a_server_that_goes_away_ends_every_call(connect: Callable[..., Ends]) -> None:
    began = threading.Event()

    def wait(call: ServerCall) -> None:
        began.set()
        threading.Event().wait(1)

    ends = connect({"/s/Wait": wait})
    group = ends.client.group()
    calls = [group.start("/s/Wait", b"", lambda _: None) for _ in range(2)]
    assert began.wait(SOON_S)
    ends.server.close()
    group.run()
    assert [call.error and call.error.code for call in calls] == [Code.UNAVAILABLE] * 2
    assert failure_of(lambda: ends.client.call("/s/Wait", b"", timeout_s=SOON_S)).code is Code.UNAVAILABLE


def test_a_client_that_goes_away_frees_a_handler_that_waits_for_it(connect: Callable[..., Ends]) -> None:
    began, ended = threading.Event(), threading.Event()

    def flood(call: ServerCall) -> None:
        try:
            while True:
                call.send(b"x" * 1_000_000)
                began.set()
        finally:
            ended.set()

    ours, theirs = socket.socketpair()
    server = GrpcServer(SocketStream(ours), {"/s/Flood": flood})
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    peer = RawPeer(theirs)
    peer.ask("/s/Flood", b"")
    peer.read_until(lambda _: True)
    theirs.close()
    assert ended.wait(SOON_S)
    thread.join(SOON_S)
    assert not thread.is_alive()


class RawPeer:
    """A client that may break every rule."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.socket.settimeout(SOON_S)
        config = H2Configuration(client_side=True, header_encoding="utf-8", validate_outbound_headers=False)
        self.h2 = H2Connection(config)
        self.h2.initiate_connection()
        self.events: list[object] = []

    def ask(self, method: str, data: bytes, *, end: bool = False) -> int:
        number = self.h2.get_next_available_stream_id()
        headers = [(":method", "POST"), (":scheme", "http"), (":path", method), (":authority", "x")]
        self.h2.send_headers(number, headers)
        for position in range(0, len(data), 16_000):
            self.h2.send_data(number, data[position : position + 16_000])
        if end:
            self.h2.end_stream(number)
        self.socket.sendall(self.h2.data_to_send())
        return number

    def read_until(self, wanted: Callable[[object], bool]) -> object:
        while True:
            while self.events:
                if wanted(event := self.events.pop(0)):
                    return event
            self.events += self.h2.receive_data(self.socket.recv(65536))

    def read_data(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            event = self.read_until(lambda event: isinstance(event, DataReceived))
            data += getattr(event, "data", b"")
        return data

    def status_of_next(self) -> GrpcError | None:
        ended = self.read_until(lambda event: "grpc-status" in dict(getattr(event, "headers", [])))
        return status_of(Metadata(getattr(ended, "headers", [])))


def test_a_peer_gets_no_more_than_it_has_room_for_and_the_rest_when_it_has(raw: SimpleNamespace) -> None:
    large = bytes(range(256)) * 1000
    raw.peer.ask("/s/Echo", framed(large[:60_000]), end=True)
    answer = raw.peer.read_data(60_005)
    assert answer == framed(large[:60_000])
    raw.peer.ask("/s/Large", framed(b""), end=True)
    room = 65_535 - 60_005  # of the connection; nothing was given back
    answer = raw.peer.read_data(room)
    assert len(answer) == room
    raw.peer.h2.increment_flow_control_window(1_000_000)
    raw.peer.h2.increment_flow_control_window(1_000_000, stream_id=3)
    raw.peer.socket.sendall(raw.peer.h2.data_to_send())
    assert answer + raw.peer.read_data(256_005 - room) == framed(large)
    assert raw.peer.status_of_next() is None


@pytest.fixture
def raw() -> Iterator[SimpleNamespace]:
    ours, theirs = socket.socketpair()
    handlers = {
        "/s/Echo": unary(lambda request: request),
        "/s/Large": unary(lambda _: bytes(range(256)) * 1000),
    }
    server = GrpcServer(SocketStream(ours), handlers)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield SimpleNamespace(peer=RawPeer(theirs), server=server, thread=thread)
    server.close()
    theirs.close()
    thread.join(SOON_S)


def test_a_peer_that_ends_its_half_without_a_message(raw: SimpleNamespace) -> None:
    raw.peer.ask("/s/Echo", b"", end=True)
    error = raw.peer.status_of_next()
    assert error is not None
    assert error.code is Code.INVALID_ARGUMENT


def test_a_peer_that_does_not_end_its_half_gets_its_answer(raw: SimpleNamespace) -> None:
    raw.peer.ask("/s/Echo", framed(b"open"))
    event = raw.peer.read_until(lambda event: isinstance(event, DataReceived))
    assert event.data == framed(b"open")  # type: ignore[attr-defined]
    assert raw.peer.status_of_next() is None


def test_a_compressed_message_is_refused(raw: SimpleNamespace) -> None:
    raw.peer.ask("/s/Echo", b"\1\0\0\0\1x", end=True)
    error = raw.peer.status_of_next()
    assert error is not None
    assert error.code is Code.UNIMPLEMENTED


def test_a_message_larger_than_any_is_refused_before_it_has_come(raw: SimpleNamespace) -> None:
    raw.peer.ask("/s/Echo", b"\0\xff\xff\xff\xff")
    error = raw.peer.status_of_next()
    assert error is not None
    assert error.code is Code.RESOURCE_EXHAUSTED


def test_bytes_that_are_no_http2_end_the_connection(raw: SimpleNamespace) -> None:
    raw.peer.socket.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
    while raw.peer.socket.recv(65536):
        pass
    raw.thread.join(SOON_S)
    assert not raw.thread.is_alive()
    assert raw.server.failure is not None


def test_an_engine_that_speaks_only_http1_is_noticed() -> None:
    ours, theirs = socket.socketpair()
    client = GrpcClient(SocketStream(ours))
    theirs.recv(65536)
    theirs.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    assert failure_of(lambda: client.call("/s/M", b"", timeout_s=SOON_S)).code is Code.UNAVAILABLE
    theirs.close()


def test_a_stream_reset_by_the_server(connect: Callable[..., Ends]) -> None:
    ours, theirs = socket.socketpair()
    client = GrpcClient(SocketStream(ours))
    server = H2Connection(H2Configuration(client_side=False))
    server.initiate_connection()
    group = client.group()
    call = group.start("/s/M", b"", lambda _: None)
    theirs.settimeout(SOON_S)
    with suppress(TimeoutError):
        while not server.highest_inbound_stream_id:
            server.receive_data(theirs.recv(65536))
    server.reset_stream(1, 8)
    theirs.sendall(server.data_to_send())
    group.run()
    assert call.error is not None
    assert call.error.code is Code.CANCELLED
    client.close()
    theirs.close()


def test_a_cancelled_call_is_reset_on_the_wire() -> None:
    ours, theirs = socket.socketpair()
    client = GrpcClient(SocketStream(ours))
    theirs.settimeout(SOON_S)
    server = H2Connection(H2Configuration(client_side=False))
    server.initiate_connection()
    call = client.group().start("/s/M", b"", lambda _: None)
    began = time.monotonic()
    call.cancel()
    assert time.monotonic() - began < 1
    events: list[object] = []
    while not any(isinstance(event, StreamReset) for event in events):
        events += server.receive_data(theirs.recv(65536))
    assert not any(isinstance(event, TrailersReceived) for event in events)
    client.close()
    theirs.close()


@given(st.lists(st.binary(max_size=300)), st.lists(st.integers(1, 40), min_size=1))
def test_messages_come_out_whole_however_they_are_cut(messages: list[bytes], cuts: list[int]) -> None:
    stream, reader, found, position = b"".join(map(framed, messages)), MessageReader(), [], 0
    while position < len(stream):
        for cut in cuts:
            found += reader.feed(stream[position : position + cut])
            position += cut
    assert found == messages
    assert reader.complete


@given(st.binary(max_size=200))
def test_any_bytes_are_messages_or_refused(data: bytes) -> None:
    with suppress(GrpcError):
        MessageReader().feed(data)


@given(st.sampled_from(list(Code)[1:]), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_status_arrives_as_it_was_told(code: Code, message: str) -> None:
    error = status_of(Metadata(trailers(GrpcError(code, message))))
    assert error is not None
    assert (error.code, error.message) == (code, message)


def test_typed_details_of_a_status() -> None:
    error = status_of(Metadata([("grpc-status", "2"), ("grpc-status-details-bin", "aGk")]))
    assert error is not None
    assert error.details == b"hi"
    assert status_of(Metadata([])) is not None
