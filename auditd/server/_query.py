"""Query: from a request to a page, in threads of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from auditd.filter import Filter, bind, parse
from auditd.log import Log
from auditd.query import By, ChainSearch, Order, Page, PageTokens, Position, QueryIdentity, Search
from auditd.server._aggregate import Aggregates, PreparedAggregate
from auditd.server._caller import CallContext
from auditd.server._chain import Extent
from auditd.server._config import LimitSettings
from auditd.server._limits import violation
from auditd.server._room import Room
from auditd.server._tokens import EntryTokens
from auditd_proto.v1 import audit_log_service_pb2 as pb

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000
MAX_VERIFIED_PAGE_SIZE = 200
VERIFY_S = 0.2
"""Time kept for verifying the tokens of a page's entries, two each: more than 0.1 ms a token."""
PAGE_SHARE = 0.75
"""What of the largest answer a page's leaves may fill: a leaf may pass it, and what is around them counts as well."""
ANSWER_S = 0.1
"""What a page that ends at the deadline leaves for its answer to travel."""

_ORDERS = {
    pb.ORDER_UNSPECIFIED: Order.NEWEST_FIRST,
    pb.ORDER_NEWEST_FIRST: Order.NEWEST_FIRST,
    pb.ORDER_OLDEST_FIRST: Order.OLDEST_FIRST,
    pb.ORDER_LATEST_EVENT_FIRST: Order.LATEST_EVENT_FIRST,
    pb.ORDER_EARLIEST_EVENT_FIRST: Order.EARLIEST_EVENT_FIRST,
}

_NARROWED_BY = {
    By.RANGE: pb.NARROWED_BY_RANGE,
    By.FIELDS: pb.NARROWED_BY_FIELDS,
    By.TEXT: pb.NARROWED_BY_TEXT,
    By.EVENT_TIME: pb.NARROWED_BY_EVENT_TIME,
}


@dataclass(frozen=True, slots=True)
class PreparedQuery:
    """A query found to be well-formed, and where its page begins."""

    tree: Filter
    identity: QueryIdentity
    page_size: int
    position: Position
    begun: bool
    verify_tokens: bool
    explain: bool
    max_wait_s: float


class Querier:
    """Answers queries, a few at a time; the others wait their turn."""

    def __init__(
        self, searches: Mapping[str, Search], page_key: bytes, limits: LimitSettings, entry_tokens: EntryTokens
    ) -> None:
        self._searches = searches
        self._tokens = PageTokens(page_key)
        self._entry_tokens = entry_tokens
        self.aggregates = Aggregates(page_key)
        self._max_query_s = limits.max_query_s
        self._max_page_bytes = int(limits.max_response_bytes * PAGE_SHARE)
        self._room = Room(
            "queries",
            "TOO_MANY_QUERIES",
            "max_queued_queries",
            limits.max_queued_queries,
            "max_queries_per_caller",
            limits.max_queries_per_caller,
            retry_after_s=1.0,
        )
        self._threads = ThreadPoolExecutor(limits.max_queries_at_once, thread_name_prefix="query")

    def prepare(self, extent: Extent, caller: CallContext, request: pb.QueryRequest) -> PreparedQuery:
        """Check a request; raise InvalidRequestError naming the field at fault."""
        if request.page_size < 0:
            raise violation("page_size", f"{request.page_size}, must not be negative")
        if request.max_wait_ms < 0:
            raise violation("max_wait_ms", f"{request.max_wait_ms}, must not be negative")
        order = _ORDERS.get(request.order)
        if order is None:
            raise violation("order", f"{request.order} is no order")
        identity = QueryIdentity(
            extent.origin, request.filter, order, request.no_index, caller.caller.issuer, caller.caller.subject
        )
        size = extent.size
        position = Position(size, 0, time.time_ns())
        if request.page_token:
            position = self._tokens.open(identity, request.page_token)
            position = replace(position, tree_size=min(position.tree_size, size))
        most = MAX_VERIFIED_PAGE_SIZE if request.verify_tokens else MAX_PAGE_SIZE
        page_size = min(request.page_size or DEFAULT_PAGE_SIZE, most)
        tree = bind(parse(request.filter), position.now_ns)
        # In an order by event time nothing is known to come first before all that could was read.
        waits = request.max_wait_ms and not order.by_event_time
        return PreparedQuery(
            tree,
            identity,
            page_size,
            position,
            begun=bool(request.page_token),
            verify_tokens=request.verify_tokens,
            explain=request.explain,
            max_wait_s=request.max_wait_ms / 1_000 if waits else self._max_query_s,
        )

    async def page(
        self, caller: CallContext, extent: Extent, query: PreparedQuery, deadline: float, cancelled: Callable[[], bool]
    ) -> pb.QueryResponse:
        """Return the page; what is found when the deadline (monotonic seconds) nears is a page as well.

        Raises ExhaustedError where too many wait already.
        """
        stopped = self._stopped(deadline - VERIFY_S if query.verify_tokens else deadline, cancelled)
        with self._room.of(caller):
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._page, extent, query, stopped)

    async def count(
        self,
        caller: CallContext,
        extent: Extent,
        prepared: PreparedAggregate,
        deadline: float,
        cancelled: Callable[[], bool],
    ) -> pb.AggregateResponse:
        """Return counts; those reached when the deadline (monotonic seconds) nears are an answer as well.

        Raises ExhaustedError where too many wait already.
        """
        with self._room.of(caller):
            return await asyncio.get_running_loop().run_in_executor(
                self._threads,
                self.aggregates.answer,
                self._search(extent),
                prepared,
                self._stopped(deadline, cancelled),
            )

    def _stopped(self, deadline: float, cancelled: Callable[[], bool]) -> Callable[[], bool]:
        ends_at = min(deadline - ANSWER_S, time.monotonic() + self._max_query_s)
        return lambda: time.monotonic() > ends_at or cancelled()

    def _page(self, extent: Extent, query: PreparedQuery, stopped: Callable[[], bool]) -> pb.QueryResponse:
        started = time.monotonic()
        # Of what the caller would wait, nothing is spent in the queue before this.
        ends_at = started + query.max_wait_s
        position = query.position
        page = self._search(extent).page(
            query.tree,
            order=query.identity.order,
            page_size=query.page_size,
            tree_size=position.tree_size,
            cursor=position.cursor if query.begun else None,
            cursor_time_ns=position.time_ns,
            max_bytes=self._max_page_bytes,
            stopped=lambda: stopped() or time.monotonic() > ends_at,
            use_index=not query.identity.no_index,
        )
        response = pb.QueryResponse(tree_size=position.tree_size)
        if query.explain:
            response.explanation.CopyFrom(_explanation(page, time.monotonic() - started))
        self._add_entries(extent, page, response, verify_tokens=query.verify_tokens)
        if page.next_cursor is not None:
            following = replace(position, cursor=page.next_cursor, time_ns=page.next_time_ns)
            response.next_page_token = self._tokens.seal(query.identity, following)
        return response

    def _search(self, extent: Extent) -> Search | ChainSearch:
        searches = [self._searches[log.origin] for log in extent.logs]
        return searches[0] if len(searches) == 1 else ChainSearch(searches)

    def _add_entries(self, extent: Extent, page: Page, response: pb.QueryResponse, *, verify_tokens: bool) -> None:
        of_log: dict[Log, list[pb.Entry]] = {}
        several = len(extent.logs) > 1
        for index, leaf in page.entries:
            log, own_index = extent.place(index)
            entry = response.entries.add(index=own_index, leaf=leaf, origin=log.origin if several else "")
            if verify_tokens:
                of_log.setdefault(log, []).append(entry)
        for log, entries in of_log.items():
            self._entry_tokens.judge(log, entries)

    def close(self) -> None:
        """Let running queries end."""
        self._threads.shutdown(wait=True, cancel_futures=True)


def _explanation(page: Page, duration_s: float) -> pb.Explanation:
    return pb.Explanation(
        narrowings=[pb.Narrowing(by=_NARROWED_BY[by], detail=detail) for by, detail in page.narrowed_by],
        in_range=page.in_range,
        examined=page.examined,
        uncovered=page.uncovered,
        duration_us=round(duration_s * 1_000_000),
    )
