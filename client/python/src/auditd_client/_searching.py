"""What the synchronous client reads many entries with."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from auditd_client._calling import Calling
from auditd_client._counts import By, PartialCounts, aggregate_request
from auditd_client._export import Export
from auditd_client._flows import QueryOrder, query_request
from auditd_client._model import (
    Counts,
    Entry,
    Explanation,
)
from auditd_client._query import Query
from auditd_client._tail import Tail
from auditd_proto.v1 import audit_log_service_pb2 as pb


class Searching(Calling):
    """Finds entries by filters: a page or all of them, as they come, or counted."""

    def query(
        self,
        filter: str = "",  # noqa: A002 - the word of the API
        *,
        log: str | None = None,
        order: QueryOrder = "desc",
        limit: int | None = None,
        page_size: int | None = None,
        no_index: bool = False,
        verify_tokens: bool = False,
        origin: str | None = None,
        timeout_s: float | None = None,
    ) -> Query:
        """Return the entries that a filter selects, newest first or (`asc`) oldest first: an iterator.

        Pages are read as they are needed, all at the tree size of the first. A search that takes long gives what it
        finds as it goes, but in an order by event time.

        - `filter`: in the AIP-160 grammar; empty selects everything.
        - `log`: name of the log; the client's own if absent.
        - `order`: `asc` or `desc` of the entries' indexes, `time-asc` or `time-desc` of their events' times.
        - `limit`: most entries to yield; all if absent.
        - `page_size`: most entries in a page, up to 1,000.
        - `no_index`: whether to read the evidence alone, without the index.
        - `verify_tokens`: whether the server verifies the tokens of each entry again.
        - `origin`: of a chain of logs, only the one with this origin; all of them, one after the other, if absent.
        - `timeout_s`: seconds for each page.

        Raises ValueError if order, limit or page size is out of range.
        Iterating raises InvalidRequestError if the filter is malformed.
        Iterating raises ClientError as `auditd_client.errors` shows.
        """
        request = query_request(self._log_name(log), filter, order, limit, page_size, no_index, verify_tokens, origin)
        return Query(self._pages(request, limit, self._timeout(timeout_s)))

    def explain(
        self,
        filter: str = "",  # noqa: A002 - the word of the API
        *,
        log: str | None = None,
        order: QueryOrder = "desc",
        limit: int = 100,
        no_index: bool = False,
        timeout_s: float | None = None,
    ) -> Explanation:
        """Return how the first page of a query is found, of at most `limit` entries; see `query`."""
        request = query_request(self._log_name(log), filter, order, limit, None, no_index, False, None)
        request.explain, request.max_wait_ms = True, 0
        return self._run(self._flows.explain(request, self._timeout(timeout_s)))

    def _pages(self, request: pb.QueryRequest, limit: int | None, timeout_s: float) -> Iterator[list[Entry]]:
        left = limit
        while True:
            entries, request.page_token = self._run(self._flows.page(request, timeout_s))
            yield entries[:left]
            left = None if left is None else left - len(entries)
            if not request.page_token or (left is not None and left <= 0):
                return

    def tail(
        self,
        filter: str = "",  # noqa: A002 - the word of the API
        *,
        from_index: int | None = None,
        log: str | None = None,
        timeout_s: float | None = None,
    ) -> Tail:
        """Return the entries that a filter selects, as they are recorded: an iterator without end.

        It resumes after any disconnect, a restart of the server included, where it stood: without gap or repeat. With
        the log's key each entry is verified, and each checkpoint must extend the one before. Where the log was closed,
        it goes on with its successor's first entry, verified by the key that the closed log has signed for.

        - `filter`: in the AIP-160 grammar; empty selects everything.
        - `from_index`: the first entry to consider; if absent the next one to be recorded.
        - `log`: name of the log; the client's own if absent.
        - `timeout_s`: seconds until the server's first word, all tries included; later it may be away for long.

        Iterating raises InvalidRequestError if the filter is malformed.
        Iterating raises PreconditionError `BEYOND_HEAD` if the log has not come to `from_index`.
        Iterating raises LogBehindCallerError, HistoryRewrittenError if the log lost what it had recorded.
        Iterating raises UnauthenticatedError once the token has expired, unless `token` is a function.
        Iterating raises ClientError as `auditd_client.errors` shows.
        """
        name = self._log_name(log)
        follower = self._follower(name, filter, from_index, self._timeout(timeout_s), callable(self._token))
        return Tail(follower, self._open_tail, self._sleep)

    def _open_tail(self, request: pb.TailRequest) -> Any:  # noqa: ANN401 - grpc has no types
        return self._streams.begin("Tail", request, self._metadata())

    def export(
        self,
        filter: str = "",  # noqa: A002 - the word of the API
        *,
        no_index: bool = False,
        verify_tokens: bool = False,
        resume_token: str = "",
        log: str | None = None,
        timeout_s: float | None = None,
    ) -> Export:
        """Return all entries that a filter selects, lowest index first, of the tree as it is now: an iterator.

        Entries recorded meanwhile are not in it. It is made for large numbers: many entries travel in a message, and
        it resumes after a disconnect where it stood, without gap or repeat.

        - `filter`: in the AIP-160 grammar; empty selects everything.
        - `no_index`: whether to read the evidence alone, without the index.
        - `verify_tokens`: whether the server verifies the tokens of each entry again.
        - `resume_token`: goes on with an export of the same filter by the same caller; see `Export.resume_token`.
        - `log`: name of the log; the client's own if absent.
        - `timeout_s`: seconds that each message may take, all tries included.

        Iterating raises InvalidRequestError if the filter is malformed, or the token of another export.
        Iterating raises HistoryRewrittenError, VerificationError if the tree's checkpoint does not verify.
        Iterating raises UnauthenticatedError once the token has expired, unless `token` is a function.
        Iterating raises ClientError as `auditd_client.errors` shows.
        """
        exporting = self._exporting(
            self._log_name(log),
            filter,
            no_index,
            verify_tokens,
            resume_token,
            self._timeout(timeout_s),
            callable(self._token),
        )
        return Export(exporting, self._open_export, self._sleep)

    def _open_export(self, request: pb.ExportRequest) -> Any:  # noqa: ANN401 - grpc has no types
        return self._streams.begin("Export", request, self._metadata())

    def aggregate(
        self,
        filter: str = "",  # noqa: A002 - the word of the API
        by: Sequence[By] = (),
        *,
        max_groups: int = 100,
        log: str | None = None,
        no_index: bool = False,
        timeout_s: float | None = None,
    ) -> Counts:
        """Count what a filter selects: all, by one field or two, over time.

        - `filter`: in the AIP-160 grammar; empty selects everything.
        - `by`: up to two fields as filters name them; one that holds a time (`recorded_at`, `time`) as a pair with the
          width of its buckets in seconds.
        - `max_groups`: most groups to return, those with the highest counts.
        - `log`: name of the log; the client's own if absent.
        - `no_index`: whether to read the evidence alone, without the index.
        - `timeout_s`: seconds for each call; what one has not reached the next goes on with.

        Raises ValueError if `by` or `max_groups` is out of range.
        Raises InvalidRequestError if the filter or a field is wrong.
        Raises ClientError as `auditd_client.errors` shows.
        """
        steps = self.aggregate_steps(filter, by, max_groups=max_groups, log=log, no_index=no_index, timeout_s=timeout_s)
        return deque(steps, maxlen=1)[0]

    def aggregate_steps(
        self,
        filter: str = "",  # noqa: A002 - the word of the API
        by: Sequence[By] = (),
        *,
        max_groups: int = 100,
        log: str | None = None,
        no_index: bool = False,
        timeout_s: float | None = None,
    ) -> Iterator[Counts]:
        """Yield the counts of `aggregate` as far as they have come, several times where counting takes long.

        Only the last one is complete; whoever stops before has counts of the entries up to its `next_index`.
        Raises as `aggregate`.
        """
        request = aggregate_request(self._log_name(log), filter, by, no_index)
        counts = PartialCounts(max_groups, request)
        return self._count(request, counts, self._timeout(timeout_s))

    def _count(self, request: pb.AggregateRequest, counts: PartialCounts, timeout_s: float) -> Iterator[Counts]:
        while True:
            so_far = counts.add(self._run(self._flows.counts(request, timeout_s)))
            yield so_far
            if so_far.is_complete or not request.page_token:
                return
