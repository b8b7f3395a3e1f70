"""What the HTTP listener answers: whether the process lives, whether it is ready, and its metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from auditd.server._http import Answer, HttpListener
from auditd.server._metrics import CONTENT_TYPE, render
from auditd.server._snapshot import ServerStatus, Snapshots

REST = 9
"""After an answer so many times what it took go by before the next: who asks on end takes no more than a tenth."""

T = TypeVar("T")


class Watching:
    """The paths, and the state that they tell of. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._snapshots: Snapshots | None = None
        self._state = "starting"
        self._metrics = _Shared(lambda: render(self._take()))
        self._readiness = _Shared(lambda: self._take().problems)
        self.listener = HttpListener({"/metrics": self._get_metrics, "/healthz": self._alive, "/readyz": self._ready})

    def begin(self, snapshots: Snapshots) -> None:
        """Tell of this server from now on."""
        self._snapshots, self._state = snapshots, ""

    def stopping(self) -> None:
        """Say from now on that the server stops."""
        self._state = "stopping"

    def _take(self) -> ServerStatus:
        assert self._snapshots is not None
        return self._snapshots.take()

    async def _alive(self) -> Answer:
        return Answer(200, b"alive\n")

    async def _ready(self) -> Answer:
        if self._state:
            return Answer(503, f"not ready: {self._state}\n".encode())
        try:
            problems = await self._readiness.get()
        except OSError as error:
            problems = (f"the server folder: {error.strerror}",)
        if problems:
            return Answer(503, "".join(f"not ready: {problem}\n" for problem in problems).encode())
        return Answer(200, b"ready\n")

    async def _get_metrics(self) -> Answer:
        if self._snapshots is None:
            return Answer(503, b"starting\n")
        try:
            return Answer(200, await self._metrics.get(), CONTENT_TYPE)
        except OSError as error:
            return Answer(503, f"the server folder: {error.strerror}\n".encode())


class _Shared(Generic[T]):
    """Something made in a thread for all who asked before it was begun; then that rests, as a share of what it took."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[T] | None = None
        self._rests_until = 0.0

    async def get(self) -> T:
        """Return what was made after this was called."""
        if self._next is None:
            self._next = asyncio.create_task(self._make_next())
        return await asyncio.shield(self._next)

    async def _make_next(self) -> T:
        async with self._turn:
            await asyncio.sleep(max(0.0, self._rests_until - time.monotonic()))
            self._next = None
            began = time.monotonic()
            try:
                return await asyncio.to_thread(self._make)
            finally:
                now = time.monotonic()
                self._rests_until = now + REST * (now - began)
