"""The asking end of gRPC: calls that run side by side on one connection, and can be cancelled from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue

from console.build.buildkit_session.grpc import (
    CONTENT_TYPE,
    Code,
    GrpcError,
    MessageReader,
    Metadata,
    PeerGoneError,
    framed,
    status_of,
)
from console.build.buildkit_session.http2 import ByteStream, Headers, Http2Connection, StreamBrokenError

_RESET_CODES = {8: Code.CANCELLED, 11: Code.RESOURCE_EXHAUSTED, 12: Code.PERMISSION_DENIED, 7: Code.UNAVAILABLE}
"""What an HTTP/2 error code means for a call (PROTOCOL-HTTP2.md, Errors); the others mean INTERNAL."""

PING_INTERVAL_S = 10.0
"""How often a peer is asked whether it is there; two questions without an answer end the connection at the third."""

OnMessage = Callable[[bytes], None]


class ClientCall:
    """A call that was begun. It is over when the peer says so, at an error, or when it is cancelled.

    Args:
        connection: Where it runs.
        on_message: Hears each message of the answer.
        on_end: Hears of the end, once.
    """

    def __init__(self, connection: Http2Connection, on_message: OnMessage, on_end: Callable[[], None]) -> None:
        self._connection = connection
        self._on_message = on_message
        self._on_end = on_end
        self._number = 0
        self._reader = MessageReader()
        self._trailers = Metadata([])
        self._lock = threading.Lock()
        self._over = False
        self.error: GrpcError | None = None
        """Why it failed; None while it runs, and after an end in good order."""

    def begin(self, method: str, metadata: Headers) -> None:
        """Opens the stream.

        Raises:
            GrpcError: If the connection is gone.
        """
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", method),
            (":authority", "localhost"),
            ("te", "trailers"),
            ("content-type", CONTENT_TYPE),
            ("user-agent", "splitdeck"),
            *metadata,
        ]
        try:
            self._number = self._connection.open_stream(headers, self)
        except StreamBrokenError as error:
            raise PeerGoneError(str(error)) from error

    def send(self, message: bytes) -> None:
        """Blocks while the peer wants no more.

        Raises:
            GrpcError: If the call is over.
        """
        self._send(framed(message), end=False)

    def send_end(self, message: bytes | None = None) -> None:
        """The last message, if any, and that there will be no more.

        Raises:
            GrpcError: If the call is over.
        """
        self._send(b"" if message is None else framed(message), end=True)

    def cancel(self, why: GrpcError | None = None) -> None:
        """Ends it at once, from any thread; the peer is told by RST_STREAM, and not waited for."""
        self._connection.reset(self._number)
        self._end(why or GrpcError(Code.CANCELLED, "cancelled by the client"))

    def headers_received(self, headers: Headers) -> None:
        found = Metadata(headers)
        if found.first("grpc-status") or not found.first(":status"):
            self._trailers = found
        elif found.first(":status") != "200" or not found.first("content-type").startswith(CONTENT_TYPE):
            self.cancel(GrpcError(Code.UNKNOWN, f"the answer is not gRPC (HTTP {found.first(':status')})"))

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._reader.feed(data):
                if not self._over:
                    self._on_message(message)
        except GrpcError as error:
            self.cancel(error)

    def ended(self) -> None:
        error = status_of(self._trailers)
        if error is None and not self._reader.complete:
            error = GrpcError(Code.INTERNAL, "the answer ends in the middle of a message")
        self._end(error)

    def broken(self, error: StreamBrokenError) -> None:
        if error.code is None:
            self._end(PeerGoneError(str(error)))
        else:
            self._end(GrpcError(_RESET_CODES.get(error.code, Code.INTERNAL), str(error)))

    def _send(self, data: bytes, *, end: bool) -> None:
        try:
            self._connection.send_data(self._number, data, end=end)
        except StreamBrokenError as error:
            raise self.error or PeerGoneError(str(error)) from error

    def _end(self, error: GrpcError | None) -> None:
        with self._lock:
            if self._over:
                return
            self._over, self.error = True, error
        self._on_end()


class CallGroup:
    """Calls whose answers are heard on one thread, in the order in which they arrive: the thread that calls `run`."""

    def __init__(self, connection: Http2Connection) -> None:
        self._connection = connection
        self._heard: SimpleQueue[tuple[OnMessage, bytes] | None] = SimpleQueue()
        self._running = 0

    def start(self, method: str, request: bytes, on_message: OnMessage, metadata: Headers | None = None) -> ClientCall:
        """Begins a call that takes one message.

        Args:
            method: `/package.Service/Method`.
            request: The message.
            on_message: Hears each message of the answer, within `run`.
            metadata: Goes with the call; a key may come several times.

        Raises:
            GrpcError: If the connection is gone.
        """
        heard = self._heard
        call = ClientCall(self._connection, lambda message: heard.put((on_message, message)), lambda: heard.put(None))
        call.begin(method, metadata or [])
        self._running += 1
        with suppress(GrpcError):  # over before it was asked in full: why, its end tells
            call.send_end(request)
        return call

    def run(self) -> None:
        """Passes on what comes in, until all calls are over, which is told by each call's `error`."""
        while self._running:
            item = self._heard.get()
            if item is None:
                self._running -= 1
                continue
            on_message, message = item
            on_message(message)


class GrpcClient:
    """One connection to a gRPC server; its reading thread ends with it.

    Args:
        stream: The connection.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._connection = Http2Connection(stream, client=True)
        self._thread = threading.Thread(target=self._connection.run, name="grpc client", daemon=True)
        self._thread.start()

    def group(self) -> CallGroup:
        """For calls that run side by side."""
        return CallGroup(self._connection)

    def call(self, method: str, request: bytes, *, timeout_s: float) -> list[bytes]:
        """One call, and what it answers.

        Raises:
            GrpcError: If it fails, or takes too long.
        """
        answer: list[bytes] = []
        group = self.group()
        call = group.start(method, request, answer.append)
        too_late = GrpcError(Code.DEADLINE_EXCEEDED, f"no answer within {timeout_s:g} s")
        timer = threading.Timer(timeout_s, call.cancel, args=(too_late,))
        timer.daemon = True
        timer.start()
        group.run()
        timer.cancel()
        if call.error is not None:
            raise call.error
        return answer

    def open(
        self, method: str, on_message: OnMessage, on_end: Callable[[], None], metadata: Headers | None = None
    ) -> ClientCall:
        """Begins a call in which both ends talk as they like.

        Args:
            method: `/package.Service/Method`.
            on_message: Hears each message on the connection's thread; must not block.
            on_end: Hears of the end there, or on the thread that cancels.
            metadata: Goes with the call.

        Raises:
            GrpcError: If the connection is gone.
        """
        call = ClientCall(self._connection, on_message, on_end)
        call.begin(method, metadata or [])
        return call

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While the block runs, a peer that falls silent without a word, as a stopped or cut off one does, is noticed.

        The connection is closed then, which ends every call with UNAVAILABLE.
        """
        over = threading.Event()

        def watch() -> None:
            while not over.wait(PING_INTERVAL_S):
                self._connection.ping()

        threading.Thread(target=watch, name="grpc watch", daemon=True).start()
        try:
            yield
        finally:
            over.set()

    def close(self) -> None:
        """From any thread: ends the connection, and every call, at once."""
        self._connection.close()
