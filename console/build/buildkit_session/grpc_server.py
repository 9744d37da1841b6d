"""The serving end of gRPC: methods by name, a thread for each call.

A call that fails answers with a status, whatever happened in its handler. BuildKit waits 11 s (0.8) to 35 s (0.25) for
a peer that falls silent in the middle of a call, so nothing here may fall silent without closing the connection.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from queue import SimpleQueue

from console.build.buildkit_session.grpc import (
    CONTENT_TYPE,
    Code,
    GrpcError,
    MessageReader,
    Metadata,
    framed,
    trailers,
)
from console.build.buildkit_session.http2 import ByteStream, Headers, Http2Connection, StreamBrokenError

_RESPONSE: Headers = [(":status", "200"), ("content-type", CONTENT_TYPE)]


class ServerCall:
    """One call as its handler sees it: messages come in, messages go out, both as long as the handler wants.

    Everything that talks to the peer raises `StreamBrokenError` once the peer has cancelled or gone; handlers let that
    pass.
    """

    def __init__(self, connection: Http2Connection, number: int, answer: Callable[[ServerCall], None]) -> None:
        self._connection = connection
        self._number = number
        self._answer = answer
        self._reader = MessageReader()
        self._inbox: SimpleQueue[bytes | Exception | None] = SimpleQueue()
        self._began = False
        self._lock = threading.Lock()
        self._broken = False
        self._stops: list[Callable[[], None]] = []
        self.method = ""
        """`/package.Service/Method`."""
        self.metadata = Metadata([])

    def receive(self) -> bytes | None:
        """The next message; None when the peer has sent all.

        Raises:
            StreamBrokenError: If the call is over.
            GrpcError: If what the peer sends is no message.
        """
        item = self._inbox.get()
        if isinstance(item, Exception):
            self._inbox.put(item)
            raise item
        if item is None:
            self._inbox.put(None)
        return item

    def receive_waiting(self) -> list[bytes]:
        """The next message and all that have come with it; empty when the peer has sent all."""
        first = self.receive()
        found = [] if first is None else [first]
        while not self._inbox.empty() and (more := self.receive()) is not None:
            found.append(more)
        return found

    def __iter__(self) -> Iterator[bytes]:
        while (message := self.receive()) is not None:
            yield message

    def send(self, message: bytes) -> None:
        """Blocks while the peer wants no more.

        Raises:
            StreamBrokenError: If the call is over.
        """
        self.send_framed(framed(message))

    def send_framed(self, messages: bytes | bytearray) -> None:
        """Any number of messages that `framed` has already made ready for the stream."""
        if not self._began:
            self._began = True
            self._connection.send_headers(self._number, _RESPONSE)
        self._connection.send_data(self._number, messages)

    def when_broken(self, stop: Callable[[], None]) -> None:
        """Has `stop` called when the peer has cancelled or gone, at once if it has: it ends what the handler waits for.

        It is called on the connection's thread, must not block, and may come when the handler is done.
        """
        with self._lock:
            if not self._broken:
                self._stops.append(stop)
                return
        stop()

    def finish(self, error: GrpcError | None) -> None:
        """Tells the peer how the call ended."""
        headers = trailers(error) if self._began else _RESPONSE + trailers(error)
        self._connection.send_headers(self._number, headers, end=True)

    def headers_received(self, headers: Headers) -> None:
        if self.method:
            return  # trailers, of which a request has none that matter
        self.metadata = Metadata(headers)
        self.method = self.metadata.first(":path")
        threading.Thread(target=self._answer, args=(self,), name=f"serve {self.method}", daemon=True).start()

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._reader.feed(data):
                self._inbox.put(message)
        except GrpcError as error:
            self._inbox.put(error)

    def ended(self) -> None:
        self._inbox.put(None)

    def broken(self, error: StreamBrokenError) -> None:
        self._inbox.put(error)
        with self._lock:
            self._broken = True
            stops, self._stops = self._stops, []
        for stop in stops:
            stop()


Handler = Callable[[ServerCall], None]
"""Serves one call and returns when it is done; a `GrpcError` is told to the peer with its message, anything else only
by the name of its class."""


def unary(function: Callable[[bytes], bytes]) -> Handler:
    """A handler for a method that takes one message and answers with one."""

    def handle(call: ServerCall) -> None:
        request = call.receive()
        if request is None:
            raise GrpcError(Code.INVALID_ARGUMENT, f"{call.method} takes a message")
        call.send(function(request))

    return handle


class GrpcServer:
    """Serves one connection.

    Args:
        stream: The connection.
        handlers: By method, as `/package.Service/Method`.
    """

    def __init__(self, stream: ByteStream, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        self._connection = Http2Connection(stream, client=False, accept=self._accept)
        self._failure: Exception | None = None

    @property
    def failure(self) -> Exception | None:
        """The first thing that went wrong on our side, in a handler or in the protocol; a connection that broke is
        nothing of ours."""
        broken = self._connection.failure
        return self._failure or (None if isinstance(broken, OSError) else broken)

    def run(self) -> None:
        """Serves on this thread until the connection ends."""
        self._connection.run()

    def close(self) -> None:
        """From any thread: ends the connection, and every call, at once."""
        self._connection.close()

    def _accept(self, number: int) -> ServerCall:
        return ServerCall(self._connection, number, self._serve)

    def _serve(self, call: ServerCall) -> None:
        """One call, from its first to its last word, on its own thread."""
        error: GrpcError | None = None
        try:
            handler = self._handlers.get(call.method)
            if handler is None:
                raise GrpcError(Code.UNIMPLEMENTED, f"{call.method} is not served here")  # noqa: TRY301
            handler(call)
        except StreamBrokenError:
            return
        except GrpcError as told:
            error = told
        except Exception as defect:  # noqa: BLE001 - told to the peer and kept
            self._failure = self._failure or defect
            error = GrpcError(Code.INTERNAL, f"the client failed with {type(defect).__name__}")
        try:
            call.finish(error)
        except StreamBrokenError:
            return
        except Exception as defect:  # noqa: BLE001 - a call that cannot be ended would hang the build
            self._connection.close(defect)
