"""Export: all entries of one tree that a filter selects, as a stream that can be resumed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

from auditd._native import native
from auditd.errors import InvalidRequestError, UnavailableError, Violation
from auditd.filter import Filter, bind, parse
from auditd.log import Log
from auditd.query import EXPORT_PURPOSE, Order, PageTokens, Position, QueryIdentity, Search
from auditd.server._access import AccessRecorder, Reading
from auditd.server._caller import CallContext
from auditd.server._chain import told_apart
from auditd.server._config import LimitSettings
from auditd.server._room import Room
from auditd.server._standing import Standing, written
from auditd.server._tokens import EntryTokens
from auditd_proto.v1 import audit_log_service_pb2 as pb

_MAX_ENTRIES = 15 * 256
_MAX_VERIFIED_ENTRIES = 4 * 256
_MAX_BYTES = 2 * 1024 * 1024
_TURN_S = 0.5
"""A message goes out at least this often while a filter selects little: it says how far the export has come."""
_THREADS = 2

Write: TypeAlias = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class PreparedExport:
    """An export found to be well-formed: what it reads, and where it begins.

    `checkpoint` is the signed note of the tree; empty if the export was resumed.
    """

    log: Log
    tree: Filter
    identity: QueryIdentity
    verify_tokens: bool
    tree_size: int
    start: int
    now_ns: int
    checkpoint: str


@dataclass(frozen=True, slots=True)
class _Part:
    """One message: the indexes of its entries, where the next one begins, and its bytes."""

    indexes: list[int]
    end: int
    message: bytes


class Exporter:
    """Runs exports. Belongs to the event loop's thread."""

    def __init__(
        self,
        searches: Mapping[str, Search],
        page_key: bytes,
        limits: LimitSettings,
        access: AccessRecorder,
        entry_tokens: EntryTokens,
    ) -> None:
        self._searches = searches
        self._entry_tokens = entry_tokens
        self._tokens = PageTokens(page_key, EXPORT_PURPOSE)
        self._limits = limits
        self._access = access
        self._room = Room(
            "exports",
            "TOO_MANY_EXPORTS",
            "max_exports",
            limits.max_exports,
            "max_exports_per_caller",
            limits.max_exports_per_caller,
        )
        self._stopping = False
        # Apart from queries: exports read without end, and must not hold up people who search.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="export")

    def prepare(self, log: Log, caller: CallContext, request: pb.ExportRequest) -> PreparedExport:
        """Check a request; raise InvalidRequestError naming the field at fault."""
        identity = QueryIdentity(
            log.origin,
            request.filter,
            Order.OLDEST_FIRST,
            request.no_index,
            caller.caller.issuer,
            caller.caller.subject,
        )
        tree, verify = parse(request.filter), request.verify_tokens
        head = log.tree_head
        if not request.resume_token:
            now_ns = time.time_ns()
            return PreparedExport(log, bind(tree, now_ns), identity, verify, head.size, 0, now_ns, head.note)
        position = self._tokens.open(identity, request.resume_token, "resume_token")
        if position.tree_size > head.size:
            # The token is ours, so the log was that large once: it has lost entries since.
            log.require_known_size(position.tree_size)
        if position.cursor > position.tree_size:
            problem = "the token does not lie within its tree"
            raise InvalidRequestError(
                "INVALID_PAGE_TOKEN", f"resume_token: {problem}", [Violation("resume_token", problem)]
            )
        tree = bind(tree, position.now_ns)
        return PreparedExport(log, tree, identity, verify, position.tree_size, position.cursor, position.now_ns, "")

    async def run(
        self,
        prepared: PreparedExport,
        caller: CallContext,
        ip: str,
        standing: Standing,
        write: Write,
    ) -> None:
        """Send messages to the end of the tree; raise where the caller may no longer read."""
        if self._stopping:
            raise _stopping()
        with self._room.of(caller):
            reading = await self._access.begin(
                caller,
                "export",
                prepared.log.name,
                ip,
                {"filter": prepared.identity.filter, **told_apart(prepared.log)},
                {"from_index": prepared.start},
            )
            try:
                await self._send(prepared, reading, standing, write)
            finally:
                self._access.end(reading)

    def stop(self) -> None:
        """End all exports, so that their callers resume later."""
        self._stopping = True

    def close(self) -> None:
        """Stop reading."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _send(self, prepared: PreparedExport, reading: Reading, standing: Standing, write: Write) -> None:
        next_part = self._read(prepared, prepared.start)
        try:
            while True:
                part = await next_part
                if part.end < prepared.tree_size:
                    # The next one is read while this one travels: two of them are all that an export ever holds.
                    next_part = self._read(prepared, part.end)
                if self._stopping:
                    raise _stopping()
                if reading.error is not None:
                    raise reading.error
                standing.require()
                reading.add(part.indexes)
                await written(write(part.message), standing)
                if part.end >= prepared.tree_size:
                    return
        finally:
            next_part.cancel()

    def _read(self, prepared: PreparedExport, start: int) -> asyncio.Future[_Part]:
        """Begin to read on from an index."""
        return asyncio.get_running_loop().run_in_executor(self._threads, self._part, prepared, start)

    def _part(self, prepared: PreparedExport, start: int) -> _Part:
        ends_at = time.monotonic() + _TURN_S
        page = self._searches[prepared.log.origin].page(
            prepared.tree,
            order=Order.OLDEST_FIRST,
            page_size=_MAX_VERIFIED_ENTRIES if prepared.verify_tokens else _MAX_ENTRIES,
            tree_size=prepared.tree_size,
            cursor=start,
            max_bytes=_MAX_BYTES,
            stopped=lambda: time.monotonic() > ends_at,
            use_index=not prepared.identity.no_index,
        )
        end = prepared.tree_size if page.next_cursor is None else page.next_cursor
        message = pb.ExportResponse(
            first_index=start,
            next_index=end,
            tree_size=prepared.tree_size,
            resume_token=self._tokens.seal(prepared.identity, Position(prepared.tree_size, end, prepared.now_ns)),
            checkpoint=prepared.checkpoint if start == prepared.start else "",
        )
        indexes = [index for index, _ in page.entries]
        if native is not None and not prepared.verify_tokens:
            # The fields of a message may follow one another.
            entries = native.entry_fields(pb.ExportResponse.ENTRIES_FIELD_NUMBER, page.entries)
            return _Part(indexes, end, message.SerializeToString() + entries)
        add = message.entries.add
        for index, leaf in page.entries:
            add(index=index, leaf=leaf)
        if prepared.verify_tokens:
            self._entry_tokens.judge(prepared.log, message.entries)
        return _Part(indexes, end, message.SerializeToString())


def _stopping() -> UnavailableError:
    return UnavailableError("EXPORT_ENDED", "the server is stopping; resume where the export ended", 0.5)
