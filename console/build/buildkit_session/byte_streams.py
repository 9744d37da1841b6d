"""Byte streams for HTTP/2, over what docker-py connects with: sockets, TLS, and SSH in two forms.

Each is read by one thread and written by others, and ended by any.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
from contextlib import suppress
from io import BufferedReader
from typing import Any, Protocol

_READ_BYTES = 256 * 1024


class Owner(Protocol):
    """What a connection was made by: it has to be kept as long, because it ends the connection when it is collected,
    and to be closed with it, because until then it keeps the socket open."""

    def close(self) -> object: ...


class SocketStream:
    """Bytes over a socket.

    Args:
        connected: Blocking, without a timeout.
        first: What was read from it already.
        owner: If it has one.
    """

    def __init__(self, connected: socket.socket, first: bytes = b"", owner: Owner | None = None) -> None:
        self._socket = connected
        self._first = first
        self._owner = owner

    def receive(self) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        return self._socket.recv(_READ_BYTES)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def close(self) -> None:
        with suppress(OSError):  # so that a thread blocked on it notices, which closing alone does not do
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        if self._owner is not None:
            self._owner.close()


class TlsStream:
    """Bytes over TLS.

    OpenSSL does not let two threads into one connection, and a thread that waits in it keeps the others out; so the
    socket does not block, and waiting happens outside.
    """

    def __init__(self, connected: ssl.SSLSocket, first: bytes = b"", owner: Owner | None = None) -> None:
        connected.setblocking(False)
        self._socket = connected
        self._first = first
        self._owner = owner
        self._lock = threading.Lock()
        self._closed = False

    def receive(self) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        while True:
            with self._lock:
                try:
                    return b"" if self._closed else self._socket.recv(_READ_BYTES)
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLWantWriteError:
                    self._wait_to_write()
                    continue
                except ssl.SSLEOFError:
                    return b""
            self._wait_to_read()

    def send(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            with self._lock:
                if self._closed:
                    raise BrokenPipeError("the connection was closed")
                try:
                    left = left[self._socket.send(left) :]
                    continue
                except ssl.SSLWantWriteError:
                    pass
                except ssl.SSLWantReadError:
                    continue  # the reading thread takes what has come, and this tries again
            self._wait_to_write()

    def close(self) -> None:
        with suppress(OSError):  # under the TLS layer, which another thread may be in
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        with self._lock:
            if not self._closed:
                self._closed = True
                self._socket.close()
                if self._owner is not None:
                    self._owner.close()

    def _wait_to_read(self) -> None:
        with suppress(ValueError):  # closed meanwhile
            select.select([self._socket], [], [])

    def _wait_to_write(self) -> None:
        with suppress(ValueError):
            select.select([], [self._socket], [])


class SshProcess(Protocol):
    """docker-py's SSHSocket: a socket in name only, in truth an `ssh` process."""

    @property
    def proc(self) -> Any:
        """A subprocess.Popen."""

    def sendall(self, data: bytes) -> object: ...


class SshProcessStream:
    """Bytes over an `ssh` process.

    Args:
        connected: Where to write.
        reader: The process's output, of which the answer was read.
        owner: Kept as long.
    """

    def __init__(self, connected: SshProcess, reader: BufferedReader, owner: object) -> None:
        self._process = connected
        self._reader = reader
        self._owner = owner

    def receive(self) -> bytes:
        return self._reader.read1(_READ_BYTES)

    def send(self, data: bytes) -> None:
        self._process.sendall(data)

    def close(self) -> None:
        self._process.proc.kill()
        self._process.proc.wait()


class SshChannelStream:
    """Bytes over a channel of paramiko's, which is a socket in almost everything.

    Args:
        channel: A paramiko.Channel.
        first: What was read from it already.
        owner: Kept as long.
    """

    def __init__(self, channel: Any, first: bytes, owner: object) -> None:
        channel.settimeout(None)
        self._channel = channel
        self._first = first
        self._owner = owner

    def receive(self) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        received: bytes = self._channel.recv(_READ_BYTES)
        return received

    def send(self, data: bytes) -> None:
        self._channel.sendall(data)

    def close(self) -> None:
        self._channel.close()
