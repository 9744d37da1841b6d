"""Offers the BuildKit inside an engine as a BuildKit daemon of its own: `buildkit_relay.py ENGINE_SOCKET SOCKET`.

Debian has no buildkitd. An engine hands a connection over to its BuildKit's gRPC on `POST /grpc` with an upgrade to
h2c; doing that for each connection is all that buildx's remote driver needs. With the containerd image store that
BuildKit has the exporters of a daemon too, hence `--load` works.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

UPGRADE = b"POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


async def main(engine: str, listen: str) -> None:
    async def relay(from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            from_engine, to_engine = await asyncio.open_unix_connection(engine)
            to_engine.write(UPGRADE)
            head = await from_engine.readuntil(b"\r\n\r\n")
        except (OSError, asyncio.IncompleteReadError) as error:
            print(f"no BuildKit at {engine}: {error}", file=sys.stderr, flush=True)
            to_client.close()
            return
        if b" 101 " not in head.partition(b"\r\n")[0]:
            print(f"{engine} refuses: {head!r}", file=sys.stderr, flush=True)
            to_client.close()
            to_engine.close()
            return
        await asyncio.gather(pump(from_client, to_engine), pump(from_engine, to_client))

    server = await asyncio.start_unix_server(relay, listen)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
