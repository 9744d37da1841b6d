"""One HTTP/2 connection over any byte stream.

h2 keeps the protocol's state (RFC 9113), this module moves the bytes: one thread reads, whoever has something to send
writes it. The choice of h2: docs/adr/0005.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

Headers = list[tuple[str, str]]

_WINDOW_BYTES = 4 * 1024 * 1024
"""How much a peer may send us unread, per stream; the connection as a whole may send four times that."""
_PIECE_BYTES = 256 * 1024
"""How much of one stream is written before another stream has its turn."""
_PING = bytes(8)
_UNANSWERED_PINGS = 2
"""So many, and a peer is taken for gone."""


class ByteStream(Protocol):
    """A connected pair of byte pipes, whatever carries them."""

    def receive(self) -> bytes:
        """Blocks until there is something; empty at the end.

        Raises:
            OSError: If it broke.
        """

    def send(self, data: bytes) -> None:
        """Blocks until all is on its way.

        Raises:
            OSError: If it broke.
        """

    def close(self) -> None:
        """From any thread, any number of times: ends it at once, and a `receive` that is blocked."""


class StreamBrokenError(Exception):
    """An HTTP/2 stream ended before its time: reset by the peer, or its connection is gone."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        """The error code of the peer's RST_STREAM; None where the connection went."""


class StreamListener(Protocol):
    """Hears what comes in on one stream, on the reading thread; must not block."""

    def headers_received(self, headers: Headers) -> None:
        """A request's or a response's headers, or trailers."""

    def data_received(self, data: bytes) -> None: ...

    def ended(self) -> None:
        """The peer has sent all of it."""

    def broken(self, error: StreamBrokenError) -> None:
        """Nothing more will come."""


class Http2Connection:
    """One end of a connection. Everything but `run` may be called from any thread.

    Two ends that are both of this class, each with more to send than their pipes hold, could block each other; BuildKit
    always reads.

    Args:
        stream: What carries it; closed with the connection.
        client: Whether this end opens the streams.
        accept: For the other end: gives a listener for a stream that the peer opened, by its number.
    """

    def __init__(
        self, stream: ByteStream, *, client: bool, accept: Callable[[int], StreamListener] | None = None
    ) -> None:
        self._pipe = stream
        self._accept = accept
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        """A window opened, a stream broke, or the connection closed."""
        self._writing = threading.Lock()
        self._unsent = True
        self._closed = False
        self._pings = 0
        self._listeners: dict[int, StreamListener] = {}
        self.failure: Exception | None = None
        """Why it ended, if not because one of both closed it."""
        self._h2 = H2Connection(
            H2Configuration(
                client_side=client,
                header_encoding=None,  # metadata need not be text, and is no reason to end a connection
                validate_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_inbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self._h2.local_settings = Settings(
            client=client,
            initial_values={
                SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW_BYTES,
                SettingCodes.MAX_CONCURRENT_STREAMS: 1000,
                SettingCodes.ENABLE_PUSH: 0,
            },
        )
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(4 * _WINDOW_BYTES)

    def run(self) -> None:
        """Reads until the connection ends, which it then is for everyone."""
        failure: Exception | None = None
        try:
            self._flush(wait=True)
            data = self._pipe.receive()
            if data.startswith(b"HTTP/"):  # to h2 the beginning of a frame of 4.7 MB, which it would wait for
                raise ConnectionError("the peer speaks HTTP/1")  # noqa: TRY301
            while not self._closed and data:
                self._take(data)
                data = self._pipe.receive()
        except Exception as error:  # noqa: BLE001 - kept as the failure; a dead reader must never look alive
            failure = error
        self.close(failure)

    def open_stream(self, headers: Headers, listener: StreamListener) -> int:
        """Begins a stream with a request's headers; gives its number.

        Raises:
            StreamBrokenError: If the connection is gone.
        """
        with self._lock:
            if self._closed:
                raise self._gone()
            with _stream_errors():
                number = self._h2.get_next_available_stream_id()
                self._h2.send_headers(number, _raw(headers))
            self._listeners[number] = listener
            self._unsent = True
        self._flush(wait=True)
        return number

    def send_headers(self, number: int, headers: Headers, *, end: bool = False) -> None:
        """A response's headers, or, with `end`, its trailers or all of it.

        Raises:
            StreamBrokenError: If the stream is over.
        """
        with self._lock:
            self._check(number)
            with _stream_errors():
                self._h2.send_headers(number, _raw(headers), end_stream=end)
            self._unsent = True
            if end and not self._h2.config.client_side:
                del self._listeners[number]  # what else a client says after the answer is nobody's concern
        self._flush(wait=True)

    def send_data(self, number: int, data: bytes | bytearray, *, end: bool = False) -> None:
        """Blocks while the peer wants no more.

        Raises:
            StreamBrokenError: If the stream is over, or is while this waits.
        """
        position, left = 0, len(data)
        while left or end:
            with self._lock, _stream_errors():
                self._check(number)
                while left and self._h2.local_flow_control_window(number) <= 0:
                    self._changed.wait()
                    self._check(number)
                size = min(left, _PIECE_BYTES, max(self._h2.local_flow_control_window(number), 0))
                left -= size
                self._send_frames(number, bytes(data[position : position + size]), end=end and not left)
                position += size
            self._flush(wait=True)
            if not left:
                return

    def reset(self, number: int, code: ErrorCodes = ErrorCodes.CANCEL) -> None:
        """Ends a stream at once, in both directions; its listener hears nothing more. Does not wait for the peer."""
        with self._lock:
            if self._closed or self._listeners.pop(number, None) is None:
                return
            with _stream_errors():
                self._h2.reset_stream(number, code)
            self._unsent = True
            self._changed.notify_all()
        self._flush(wait=False)

    def ping(self) -> None:
        """Asks whether the peer is there; a peer that has left earlier questions without an answer is given up."""
        with self._lock:
            if self._closed:
                return
            silent = self._pings >= _UNANSWERED_PINGS
            if not silent:
                self._pings += 1
                with suppress(H2Error):  # the peer has just said goodbye, which the reading thread takes up
                    self._h2.ping(_PING)
                self._unsent = True
        if silent:
            self.close(TimeoutError("the peer does not answer"))
        else:
            self._flush(wait=False)

    def close(self, failure: Exception | None = None) -> None:
        """Ends the connection at once; every listener hears of it. The first reason counts."""
        with self._lock:
            if self._closed:
                return
            self._closed, self.failure = True, failure
            listeners, self._listeners = self._listeners, {}
            self._changed.notify_all()
        try:
            self._pipe.close()
        finally:
            for listener in listeners.values():
                listener.broken(self._gone())

    def _take(self, data: bytes) -> None:
        """Lets h2 read, tells the listeners, and answers what HTTP/2 itself asks for."""
        try:
            with self._lock:
                events = self._h2.receive_data(data)
                for event in events:
                    if isinstance(event, DataReceived):
                        self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self._unsent = True
                self._changed.notify_all()
        except H2Error:
            self._flush(wait=False)  # h2 has a GOAWAY ready
            raise
        for event in events:
            self._tell(event)
        self._flush(wait=False)

    def _tell(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            if (listener := self._listeners.get(event.stream_id)) is not None:
                listener.data_received(event.data)
        elif isinstance(event, RequestReceived):
            if self._accept is not None:
                with self._lock:
                    if self._closed:
                        return  # nobody would tell the listener
                    listener = self._listeners[event.stream_id] = self._accept(event.stream_id)
                listener.headers_received(_text(event.headers))
        elif isinstance(event, (ResponseReceived, TrailersReceived)):
            if (listener := self._listeners.get(event.stream_id)) is not None:
                listener.headers_received(_text(event.headers))
        elif isinstance(event, StreamEnded):
            if (listener := self._listeners.get(event.stream_id)) is not None:
                if self._h2.config.client_side:
                    self._drop(event.stream_id)
                listener.ended()
        elif isinstance(event, PingAckReceived):
            self._pings = 0
        elif isinstance(event, StreamReset):
            if (listener := self._drop(event.stream_id)) is not None:
                listener.broken(StreamBrokenError(f"the peer reset the stream ({event.error_code})", event.error_code))
        elif isinstance(event, ConnectionTerminated):
            failed = event.error_code != ErrorCodes.NO_ERROR
            self.close(ConnectionError(f"the peer ended the connection ({event.error_code})") if failed else None)

    def _drop(self, number: int) -> StreamListener | None:
        with self._lock:
            self._changed.notify_all()
            return self._listeners.pop(number, None)

    def _flush(self, *, wait: bool) -> None:
        """Writes what h2 has ready.

        Args:
            wait: Whether to wait for another thread that writes, so as not to run ahead of the connection. Who does not
                wait is served as well: the other looks again after it has let go.
        """
        while self._unsent and self._writing.acquire(blocking=wait):
            try:
                with self._lock:
                    data, self._unsent = self._h2.data_to_send(), False
                if data:
                    self._pipe.send(data)
            except OSError as error:
                self.close(error)
                return
            finally:
                self._writing.release()

    def _send_frames(self, number: int, data: bytes, *, end: bool) -> None:
        largest, length = self._h2.max_outbound_frame_size, len(data)
        for position in range(0, length, largest) if data else (0,):
            last = end and position + largest >= length
            self._h2.send_data(number, data[position : position + largest], end_stream=last)
        self._unsent = True

    def _check(self, number: int) -> None:
        if self._closed:
            raise self._gone()
        if number not in self._listeners:
            raise StreamBrokenError("the stream is over")

    def _gone(self) -> StreamBrokenError:
        why = f": {self.failure}" if self.failure is not None else ""
        return StreamBrokenError(f"the connection was closed{why}")


@contextmanager
def _stream_errors() -> Iterator[None]:
    """What h2 refuses to do on a stream, because it is over."""
    try:
        yield
    except H2Error as error:
        raise StreamBrokenError(f"the stream is over: {error}") from error


def _raw(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in headers]


def _text(headers: Iterable[tuple[bytes | str, bytes | str]]) -> Headers:
    return [(_as_text(header[0]), _as_text(header[1])) for header in headers]


def _as_text(raw: bytes | str) -> str:
    return raw if isinstance(raw, str) else raw.decode("utf-8", "surrogateescape")
