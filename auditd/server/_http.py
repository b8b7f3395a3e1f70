"""A small HTTP/1.1 listener for who watches the server: bounded in time, size and number, whatever is sent."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

import h11

from auditd.errors import FolderError

MAX_HEADER_BYTES = 8 * 1024
MAX_CONNECTIONS = 32
REQUEST_S = 10.0
"""For a request to arrive whole, and for its answer to be taken."""
_READ_BYTES = 4 * 1024
_METHODS = (b"GET", b"HEAD")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a path answers."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


Path = Callable[[], Awaitable[Answer]]
"""Makes the answer of a path. MUST NOT raise."""


class HttpListener:
    """Answers GET and HEAD of a few paths. Belongs to the event loop's thread."""

    def __init__(self, paths: Mapping[str, Path], request_s: float = REQUEST_S) -> None:
        self._paths = paths
        self._request_s = request_s
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self, listen: str) -> str:
        """Listen on `HOST:PORT`, answer from now on, and return the address; raise FolderError `PORT_TAKEN`."""
        host, _, port = listen.rpartition(":")
        try:
            self._server = await asyncio.start_server(self._connected, host.strip("[]"), int(port), limit=_READ_BYTES)
        except OSError as error:
            why = "; is the port in use?" if error.errno == errno.EADDRINUSE else f": {error.strerror or error}"
            raise FolderError("PORT_TAKEN", f"http: cannot listen on {listen}{why}") from error
        return f"{host}:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Stop listening and drop what is connected."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        crowded = len(self._connections) >= MAX_CONNECTIONS
        self._connections.add(task)
        try:
            with suppress(OSError, TimeoutError, h11.LocalProtocolError):
                if not crowded:
                    await self._converse(reader, writer)
        finally:
            self._connections.discard(task)
            # Not close(): what a peer does not take must not keep the connection.
            with suppress(OSError, TimeoutError):
                writer.close()
                async with asyncio.timeout(1.0):
                    await writer.wait_closed()
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEADER_BYTES)
        while True:
            async with asyncio.timeout(self._request_s):
                try:
                    request = await _request(connection, reader)
                    if request is None:
                        return
                    answer = await self._answer(request)
                except h11.RemoteProtocolError as error:
                    request, answer = None, Answer(error.error_status_hint, f"{error}\n".encode())
                if connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
                    return
                _write(connection, writer, request, answer)
                await writer.drain()
            if {connection.our_state, connection.their_state} != {h11.DONE}:
                return
            connection.start_next_cycle()

    async def _answer(self, request: h11.Request) -> Answer:
        path = request.target.partition(b"?")[0].decode("ascii", "replace")
        make = self._paths.get(path)
        if make is None:
            return Answer(404, f"no such path; there are {', '.join(self._paths)}\n".encode())
        if request.method not in _METHODS:
            return Answer(405, b"GET or HEAD\n")
        return await make()


async def _request(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
    """Return the next request, None once the peer is gone."""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Request):
            # Its end comes at once where it has no body; a body is not read, and ends the connection.
            connection.next_event()
            return event
        else:
            return None


def _write(
    connection: h11.Connection, writer: asyncio.StreamWriter, request: h11.Request | None, answer: Answer
) -> None:
    headers = [
        ("Content-Type", answer.content_type),
        ("Content-Length", str(len(answer.body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    if answer.status == 405:
        headers.append(("Allow", "GET, HEAD"))
    if connection.their_state is not h11.DONE:
        headers.append(("Connection", "close"))
    data = (
        connection.send(
            h11.Response(status_code=answer.status, reason=HTTPStatus(answer.status).phrase, headers=headers)
        )
        or b""
    )
    if request is None or request.method != b"HEAD":
        data += connection.send(h11.Data(data=answer.body)) or b""
    writer.write(data + (connection.send(h11.EndOfMessage()) or b""))
