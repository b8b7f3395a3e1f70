"""Tail: from a request to messages, until the caller goes away or may no longer read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from auditd.errors import (
    AuditdError,
    PreconditionError,
    UnavailableError,
)
from auditd.filter import Filter, bind, parse
from auditd.log import Log
from auditd.query import Matcher, Order, Page, Search
from auditd.server._access import AccessRecorder, Reading
from auditd.server._caller import CallContext
from auditd.server._chain import told_apart
from auditd.server._config import LimitSettings
from auditd.server._feed import Feed, Tail
from auditd.server._limits import require_size, violation
from auditd.server._room import Room
from auditd.server._standing import LOOK_S, Standing
from auditd_proto.v1 import audit_log_service_pb2 as pb

DEFAULT_HEARTBEAT_S = 10
MAX_HEARTBEAT_S = 60
_MAX_ENTRIES = 256
_MAX_BYTES = 1024 * 1024
_CATCH_UP_S = 0.2
_THREADS = 2
_WATCHED_A_TURN = 100
# A count of what a tail has shown, by which no tail of `access` may be moved to count once more.
_TAIL_ACTION, _COUNT = b'"action":"log.tail"', b'"count":'

Write: TypeAlias = Callable[[bytes], Awaitable[None]]
Entries: TypeAlias = Sequence[tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class PreparedTail:
    """A tail found to be well-formed, and where it begins."""

    log: Log
    tree: Filter
    filter_text: str
    start: int
    known_size: int | None
    include_proofs: bool
    heartbeat_s: float


@dataclass(slots=True, eq=False)
class _Watched:
    """A tail under way, and what must be looked at from time to time."""

    tail: Tail
    reading: Reading
    messages: _Messages
    standing: Standing

    def look(self, now: float) -> None:
        """End the tail once its caller may no longer read, and wake it for a heartbeat."""
        if self.reading.error is not None:
            self.tail.end(self.reading.error)
        try:
            self.standing.require()
        except AuditdError as error:
            self.tail.end(error)
        if self.messages.heartbeat_due(now) or self.messages.log.successor is not None:
            self.tail.wake()


class _Messages:
    """The messages of one tail, each of which goes on where the one before ended."""

    def __init__(self, prepared: PreparedTail, reading: Reading, write: Write, threads: ThreadPoolExecutor) -> None:
        self._prepared = prepared
        self.log = prepared.log
        self._reading = reading
        self._write = write
        self._threads = threads
        self._next_index = prepared.start
        self._proven_size = prepared.known_size
        self._sent_at = time.monotonic()

    def heartbeat_due(self, now: float) -> bool:
        """Whether a message is to be sent even if it has no entries."""
        return now - self._sent_at >= self._prepared.heartbeat_s

    async def send(self, entries: Entries, next_index: int, *, last: bool = False) -> None:
        """Send what is selected of the entries up to `next_index`; returns when the reader has room for more.

        The `last` message of a closed log says which log goes on.
        """
        if self._proven_size is None and not self._prepared.include_proofs:
            message = self._message(entries, next_index, last=last)
        else:
            # Proofs may have to read tiles, for which no other call should wait.
            loop = asyncio.get_running_loop()
            work = partial(self._message, entries, next_index, last=last)
            message = await loop.run_in_executor(self._threads, work)
        self._next_index = next_index
        self._count(entries)
        await self._write(message)
        self._sent_at = time.monotonic()

    def _message(self, entries: Entries, next_index: int, *, last: bool) -> bytes:
        head = self.log.tree_head
        message = pb.TailResponse(first_index=self._next_index, next_index=next_index, checkpoint=head.note)
        if last:
            message.successor, message.closing = self.log.successor or "", self.log.closing
        add = message.entries.add
        for index, leaf in entries:
            add(index=index, leaf=leaf)
        if self._prepared.include_proofs and entries:
            proofs = self.log.proofs.inclusions([index for index, _ in entries], head.size)
            for entry, proof in zip(message.entries, proofs, strict=True):
                entry.inclusion_proof.extend(proof)
        if self._proven_size is not None:
            message.consistency_proof.extend(self.log.proofs.consistency(self._proven_size, head.size))
            self._proven_size = head.size
        return message.SerializeToString()

    def _count(self, entries: Entries) -> None:
        if self.log.name == "access":
            entries = [entry for entry in entries if not (_TAIL_ACTION in entry[1] and _COUNT in entry[1])]
        self._reading.add([index for index, _ in entries])


class Tailer:
    """Runs tails. Belongs to the event loop's thread."""

    def __init__(self, searches: Mapping[str, Search], limits: LimitSettings, access: AccessRecorder) -> None:
        self._searches = searches
        self._limits = limits
        self._access = access
        self._feeds: dict[str, Feed] = {}
        self._room = Room(
            "tails",
            "TOO_MANY_TAILS",
            "max_tails",
            limits.max_tails,
            "max_tails_per_caller",
            limits.max_tails_per_caller,
        )
        self._watched: set[_Watched] = set()
        self._stopping = False
        self._catching_up = ThreadPoolExecutor(_THREADS, thread_name_prefix="tail")
        # Apart, so that what is recorded reaches those who wait for it, however many others catch up.
        self._feeding = ThreadPoolExecutor(1, thread_name_prefix="feed")

    def prepare(self, log: Log, request: pb.TailRequest) -> PreparedTail:
        """Check a request; raise RequestError naming the field at fault, or that the log has not come so far."""
        if not 0 <= request.heartbeat_s <= MAX_HEARTBEAT_S:
            raise violation("heartbeat_s", f"{request.heartbeat_s}, must be 0 to {MAX_HEARTBEAT_S}")
        known_size: int | None = None
        if request.HasField("known_size"):
            known_size = require_size("known_size", request.known_size)
            log.require_known_size(known_size)
        tree = bind(parse(request.filter), time.time_ns())
        start = log.size
        if request.HasField("from_index"):
            start = _require_reached(log, require_size("from_index", request.from_index))
        return PreparedTail(
            log,
            tree,
            request.filter,
            start,
            known_size,
            request.include_proofs,
            request.heartbeat_s or DEFAULT_HEARTBEAT_S,
        )

    async def run(
        self,
        prepared: PreparedTail,
        caller: CallContext,
        ip: str,
        standing: Standing,
        write: Write,
    ) -> None:
        """Send messages until the tail ends; then raise why. That of a closed log ends when all of it was sent."""
        if self._stopping:
            raise _stopping()
        with self._room.of(caller):
            reading = await self._access.begin(
                caller,
                "tail",
                prepared.log.name,
                ip,
                {"filter": prepared.filter_text, **told_apart(prepared.log)},
                {"from_index": prepared.start},
            )
            try:
                await self._follow(prepared, reading, standing, write)
            finally:
                self._access.end(reading)

    @property
    def open(self) -> int:
        """How many tails there are."""
        return self._room.taken

    def committed(self) -> None:
        """Take notice that logs may have grown."""
        for feed in self._feeds.values():
            feed.committed()

    async def watch(self) -> None:
        """Look after all tails, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            now = time.monotonic()
            for number, watched in enumerate(list(self._watched), 1):
                watched.look(now)
                if number % _WATCHED_A_TURN == 0:
                    await asyncio.sleep(0)

    def stop(self) -> None:
        """End all tails, so that their callers resume elsewhere or later."""
        self._stopping = True
        for watched in self._watched:
            watched.tail.end(_stopping())

    async def close(self) -> None:
        """Stop reading."""
        for feed in self._feeds.values():
            await feed.close()
        for threads in (self._catching_up, self._feeding):
            threads.shutdown(wait=True, cancel_futures=True)

    async def _follow(self, prepared: PreparedTail, reading: Reading, standing: Standing, write: Write) -> None:
        tail = Tail(Matcher(prepared.tree), prepared.start)
        messages = _Messages(prepared, reading, write, self._feeding)
        watched = _Watched(tail, reading, messages, standing)
        if self._stopping:
            raise _stopping()
        self._watched.add(watched)
        feed = self._feeds.get(prepared.log.origin)
        if feed is None:
            feed = self._feeds[prepared.log.origin] = Feed(prepared.log, self._feeding)
        try:
            await messages.send((), prepared.start)
            while prepared.log.successor is None or tail.has_waiting or tail.covered() < prepared.log.size:
                if tail.error is not None:
                    raise tail.error
                await self._step(prepared, tail, feed, messages)
            await messages.send((), tail.covered(), last=True)
        finally:
            feed.leave(tail)
            self._watched.discard(watched)

    async def _step(self, prepared: PreparedTail, tail: Tail, feed: Feed, messages: _Messages) -> None:
        """Send what there is, read what is missing, or wait."""
        if tail.has_waiting:
            await messages.send(*tail.take(_MAX_ENTRIES, _MAX_BYTES))
        elif messages.heartbeat_due(time.monotonic()):
            await messages.send((), tail.covered())
        elif tail.feed is not None:
            await tail.woken()
        elif tail.position < prepared.log.size:
            page = await self._catch_up(prepared, tail)
            if page.entries:
                await messages.send(page.entries, tail.position)
        else:
            feed.join(tail)

    async def _catch_up(self, prepared: PreparedTail, tail: Tail) -> Page:
        """Read on from where a tail stands, and move it."""
        size, ends_at = prepared.log.size, time.monotonic() + _CATCH_UP_S
        page = await asyncio.get_running_loop().run_in_executor(
            self._catching_up,
            lambda: self._searches[prepared.log.origin].page(
                prepared.tree,
                order=Order.OLDEST_FIRST,
                page_size=_MAX_ENTRIES,
                tree_size=size,
                cursor=tail.position,
                max_bytes=_MAX_BYTES,
                stopped=lambda: time.monotonic() > ends_at,
            ),
        )
        tail.position = size if page.next_cursor is None else page.next_cursor
        return page


def _require_reached(log: Log, index: int) -> int:
    size = log.size
    if index > size:
        raise PreconditionError(
            "BEYOND_HEAD",
            f"from_index: {index}, but log {log.name!r} has only {size} entries; if it had more before,"
            " entries are missing, or this is another log",
            {"log": log.name, "from_index": str(index), "tree_size": str(size)},
        )
    return index


def _stopping() -> UnavailableError:
    return UnavailableError("TAIL_ENDED", "the server is stopping; resume where the tail ended", 0.5)
