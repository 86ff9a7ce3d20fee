"""A loopback proxy that adds a bearer token, because the suite cannot send one.

It copies bytes: bodies, streams, header spelling and white space reach the gateway as the suite
sent them. Only the request head is touched: `Authorization` is added, and where Host or Origin name
the proxy they name the gateway instead, so that a foreign Host stays foreign.
"""

import asyncio
import threading
import urllib.parse

LARGEST_HEAD = 64 * 1024
END_LIMIT = 10


class TokenProxy:
    """Listens while its `with` block lasts; `url` answers the proxied form of the target."""

    def __init__(self, target, token):
        parts = urllib.parse.urlsplit(target)
        if parts.scheme != "http":
            raise ValueError(f"the proxy speaks plain http, on loopback: {target}")
        self.target, self.token = parts, token
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.ready.wait()
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.finished.set)
        self.thread.join()

    @property
    def url(self):
        return f"http://{self.authority}{self.target.path}"

    def _serve(self):
        self.loop.run_until_complete(self._listen())
        self.loop.close()

    async def _listen(self):
        self.finished = asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, limit=LARGEST_HEAD)
        self.authority = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self.ready.set()
        await self.finished.wait()
        server.close()
        # Each connection ends by itself now; the loop must not close on one that still ends.
        if connections := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(connections, timeout=END_LIMIT)

    async def _connection(self, reader, writer):
        try:
            upstream = await asyncio.open_connection(self.target.hostname, self.target.port or 80)
        except OSError:
            writer.close()
            return
        ways = [
            asyncio.ensure_future(self._requests(reader, upstream[1])),
            asyncio.ensure_future(_copy(upstream[0], writer)),
            asyncio.ensure_future(self.finished.wait()),
        ]
        try:
            # Either side going away ends both: that is how a client of 2026-07-28 cancels.
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            upstream[1].close()
            writer.close()

    async def _requests(self, reader, writer):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            token = await self.loop.run_in_executor(None, self.token)
            length, lines = self._head(head, token)
            writer.write(b"\r\n".join(lines) + b"\r\n\r\n")
            if length:
                writer.write(await reader.readexactly(length))
            await writer.drain()

    def _head(self, head, token):
        """The length of the body, and the lines of the head as the gateway gets them."""
        first, *fields = head[:-4].split(b"\r\n")
        lines, length = [first], 0
        for field in fields:
            name, _, value = field.partition(b":")
            name = name.strip().lower()
            if name == b"authorization":
                continue
            if name in (b"host", b"origin"):
                field = field.replace(self.authority.encode(), self.target.netloc.encode())
            if name == b"content-length":
                length = int(value)
            if name == b"transfer-encoding":
                raise ValueError("the suite sends bodies with a length")
            lines.append(field)
        lines.append(b"Authorization: Bearer " + token.encode())
        return length, lines


async def _copy(reader, writer):
    while chunk := await reader.read(64 * 1024):
        writer.write(chunk)
        await writer.drain()
