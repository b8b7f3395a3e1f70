"""A closed loop of callers: each sends its next request when the last one is answered."""

from __future__ import annotations

import asyncio
import gc
import ssl
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import uvloop

from benchmarks._http2 import OK, RESOURCE_EXHAUSTED, CallError, Connection

CONNECTIONS = 8
"""At most; callers share them evenly."""

_PUSHED_BACK_S = 0.2  # what the server's RetryInfo says
_ANSWER_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a server, the token to call it with, and what TLS is spoken with, if it is."""

    address: str
    path: str
    token: str
    tls: ssl.SSLContext | None = None


@dataclass(slots=True)
class Load:
    """What a load did. `answers` are the messages as received; `waits_s` how long each call took, retries included."""

    callers: int
    elapsed_s: float = 0.0
    answers: list[bytes] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)
    pushed_back: int = 0
    processor_s: float = 0.0

    @property
    def calls_per_s(self) -> float:
        """Calls answered in a second."""
        return len(self.answers) / self.elapsed_s

    def wait_ms(self, share: float) -> float:
        """Return how long a call took at most, in milliseconds, in that share of the cases."""
        return 1_000 * sorted(self.waits_s)[min(int(share * len(self.waits_s)), len(self.waits_s) - 1)]


def run_load(method: Method, requests: Iterable[bytes], callers: int, limit_s: float) -> Load:
    """Send requests until there are no more, or for `limit_s` seconds, and await every answer.

    Raises CallError if a call fails. One that is pushed back is tried again, as clients do.
    """
    ready = list(requests)
    gc.collect()
    gc.disable()
    try:
        return uvloop.run(_Loop(method, iter(ready), callers, limit_s).run())
    finally:
        gc.enable()


class _Loop:
    def __init__(self, method: Method, requests: Iterator[bytes], callers: int, limit_s: float) -> None:
        self._method = method
        self._requests = requests
        self._limit_s = limit_s
        self._load = Load(callers)
        self._under_way: dict[tuple[Connection, int], tuple[bytes, float]] = {}
        self._idle = 0

    async def run(self) -> Load:
        load = self._load
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        connections = [await self._connect() for _ in range(min(load.callers, CONNECTIONS))]
        started, used = time.perf_counter(), time.process_time()
        self._ends_at = started + self._limit_s
        for caller in range(load.callers):
            self._send_next(connections[caller % len(connections)])
        try:
            async with asyncio.timeout(self._limit_s + _ANSWER_LIMIT_S):
                await asyncio.wait(
                    [self._done, *(connection.lost for connection in connections)],
                    return_when=asyncio.FIRST_COMPLETED,
                )
        except TimeoutError:
            raise CallError(f"{self._method.path}: {len(self._under_way)} calls were not answered") from None
        load.elapsed_s, load.processor_s = time.perf_counter() - started, time.process_time() - used
        for connection in connections:
            if connection.lost.done():
                connection.lost.result()
            connection.close()
        self._done.result()
        return load

    async def _connect(self) -> Connection:
        method = self._method
        host, _, port = method.address.rpartition(":")
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(method.address, method.path, method.token, self._answered, tls=method.tls is not None),
            host,
            int(port),
            ssl=method.tls,
        )
        return connection

    def _send_next(self, connection: Connection) -> None:
        now = time.perf_counter()
        request = next(self._requests, None) if now < self._ends_at else None
        if request is None:
            self._idle += 1
            if self._idle == self._load.callers and not self._done.done():
                self._done.set_result(None)
        else:
            self._under_way[connection, connection.call(request)] = request, now

    def _answered(self, connection: Connection, stream: int, status: int, message: bytes) -> None:
        request, sent_at = self._under_way.pop((connection, stream))
        if status == OK:
            self._load.waits_s.append(time.perf_counter() - sent_at)
            self._load.answers.append(message)
            self._send_next(connection)
        elif status == RESOURCE_EXHAUSTED:
            self._load.pushed_back += 1
            again = partial(self._send_again, connection, request, sent_at)
            asyncio.get_running_loop().call_later(_PUSHED_BACK_S, again)
        elif not self._done.done():
            self._done.set_exception(CallError(f"{self._method.path}: status {status}: {message!r}"))

    def _send_again(self, connection: Connection, request: bytes, sent_at: float) -> None:
        self._under_way[connection, connection.call(request)] = request, sent_at
