"""What is recorded, handed to every tail of a log that has caught up: read once, whatever their number."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from auditd.errors import AuditdError, UnavailableError
from auditd.filter import Filter
from auditd.log import Log
from auditd.query import Matcher, match

MAX_WAITING_BYTES = 512 * 1024
"""Leaves that wait for one reader; what is beyond them it reads from the log, once it gets there."""
_LEAVES_A_ROUND = 256
_ROUND_S = 0.01
_MAX_PAUSE_S = 0.02
_TAILS_A_TURN = 50

_logger = logging.getLogger(__name__)


class Tail:
    """One stream: how far it has come, and what waits to be sent. Belongs to the event loop's thread.

    It is *live* while a feed hands it what is recorded, else it reads from the log at `position`. Everything
    before `position` was sent, waits, or is not selected.
    """

    def __init__(self, matcher: Matcher, position: int) -> None:
        self.matcher = matcher
        self.position = position
        self.feed: Feed | None = None
        self.error: AuditdError | None = None
        self._woken = asyncio.Event()
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._waiting_bytes = 0

    @property
    def has_waiting(self) -> bool:
        """Whether entries wait to be sent."""
        return bool(self._waiting)

    def take(self, max_entries: int, max_bytes: int) -> tuple[list[tuple[int, bytes]], int]:
        """Return the entries that wait, at least one if there is any, and the index that they lead to."""
        taken: list[tuple[int, bytes]] = []
        size = 0
        while self._waiting and len(taken) < max_entries:
            size += len(self._waiting[0][1])
            if taken and size > max_bytes:
                break
            taken.append(self._waiting.popleft())
            self._waiting_bytes -= len(taken[-1][1])
        return taken, taken[-1][0] + 1 if self._waiting else self.covered()

    def covered(self) -> int:
        """Return the index before which everything was handed over or is not selected."""
        return self.position if self.feed is None else max(self.position, self.feed.position)

    def offer(self, entries: list[tuple[int, bytes]]) -> bool:
        """Take what was selected; return False if there was no room for all, and stand where the rest begins."""
        for index, leaf in entries:
            if index < self.position:
                continue
            if self._waiting and self._waiting_bytes + len(leaf) > MAX_WAITING_BYTES:
                self.position = index
                return False
            self._waiting.append((index, leaf))
            self._waiting_bytes += len(leaf)
        return True

    def wake(self) -> None:
        """Have the tail look about itself."""
        self._woken.set()

    def end(self, error: AuditdError) -> None:
        """End the tail with an error before anything more is sent."""
        self.error = self.error or error
        self.wake()

    async def woken(self) -> None:
        """Wait until there is something to do."""
        await self._woken.wait()
        self._woken.clear()


class Feed:
    """Reads a log's new entries once and hands them to its live tails. Belongs to the event loop's thread."""

    def __init__(self, log: Log, threads: ThreadPoolExecutor) -> None:
        self._log = log
        self._threads = threads
        self._groups: dict[Filter, set[Tail]] = {}
        self._matchers: dict[Filter, Matcher] = {}
        self._grown = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        # Everything before `_taken` was read or is being read; before `position` it was handed over.
        self._taken = 0
        self.position = 0

    def join(self, tail: Tail) -> None:
        """Make a tail live that has read up to the log's present size."""
        if not self._groups:
            self._taken = self.position = max(self._taken, tail.position)
        # A round under way may hold what the tail has read already, never what it has not: it stands at the log's size.
        tail.feed = self
        self._matchers.setdefault(tail.matcher.tree, tail.matcher)
        self._groups.setdefault(tail.matcher.tree, set()).add(tail)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        self.committed()

    def leave(self, tail: Tail) -> None:
        """Hand nothing more to a tail."""
        if tail.feed is not self:
            return
        tail.feed = None
        group = self._groups[tail.matcher.tree]
        group.discard(tail)
        if not group:
            del self._groups[tail.matcher.tree], self._matchers[tail.matcher.tree]

    def committed(self) -> None:
        """Take notice that the log may have grown."""
        if self._groups and self._log.size > self._taken:
            self._grown.set()

    async def close(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._grown.wait()
            self._grown.clear()
            while self._groups and self._taken < self._log.size:
                started = time.monotonic()
                await self._round()
                # Reading competes with appends for the interpreter, so it takes at most every other moment.
                await asyncio.sleep(min(_MAX_PAUSE_S, time.monotonic() - started))

    async def _round(self) -> None:
        start, self._taken = self._taken, min(self._log.size, self._taken + _LEAVES_A_ROUND)
        matchers = list(self._matchers.values())
        try:
            selected, end = await asyncio.get_running_loop().run_in_executor(
                self._threads, self._read, start, self._taken, matchers
            )
        except Exception as error:  # noqa: BLE001 -- whatever it was, those who wait must hear of it
            self._end_all(error)
            return
        # Those who joined meanwhile stand at the log's size, so what this round gave up they have.
        self._taken = end
        for matcher, entries in zip(matchers, selected, strict=True):
            if entries:
                await self._hand_over(matcher.tree, entries, end)
        self.position = end

    def _read(self, start: int, end: int, matchers: list[Matcher]) -> tuple[list[list[tuple[int, bytes]]], int]:
        ends_at = time.monotonic() + _ROUND_S
        return match(self._log.leaves(start, end), start, matchers, lambda: time.monotonic() > ends_at)

    async def _hand_over(self, tree: Filter, entries: list[tuple[int, bytes]], end: int) -> None:
        tails = iter(list(self._groups.get(tree, ())))
        while turn := list(islice(tails, _TAILS_A_TURN)):
            for tail in turn:
                if tail.feed is not self:
                    continue
                if tail.offer(entries):
                    tail.position = max(tail.position, end)
                else:
                    self.leave(tail)
                tail.wake()
            # Each of them now writes; appends must not wait for all of them.
            await asyncio.sleep(0)

    def _end_all(self, cause: Exception) -> None:
        error = cause
        if not isinstance(error, AuditdError):
            _logger.exception("%s: its tails end", self._log.name, exc_info=cause)
            error = UnavailableError("TAIL_ENDED", "the log cannot be followed now; resume where the tail ended")
        for tail in [tail for group in self._groups.values() for tail in group]:
            self.leave(tail)
            tail.end(error)
