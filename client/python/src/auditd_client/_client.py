"""The synchronous client."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import chain
from typing import Any, Self, TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message

from auditd_client._channel import bearer
from auditd_client._connection import DEFAULT_TIMEOUT_S, Connection, Pem, named_events
from auditd_client._counts import By, PartialCounts, aggregate_request
from auditd_client._events import EventLike
from auditd_client._export import Export
from auditd_client._flow import Call, Flow, Pause, RetryPolicy
from auditd_client._flows import QueryOrder, entries_request, query_request, range_request
from auditd_client._model import (
    AppendResult,
    CheckpointResult,
    ConsistencyProof,
    Counts,
    EntriesProof,
    Entry,
    EventName,
    Explanation,
    InclusionProof,
    LogInfo,
    Receipt,
)
from auditd_client._query import Query
from auditd_client._settings import Settings
from auditd_client._status import error_from_rpc
from auditd_client._stream import Stream
from auditd_client._stream_connections import StreamConnections
from auditd_client._tail import Tail
from auditd_client.errors import ClientError
from auditd_client.verify import Credential
from auditd_proto.v1 import audit_log_service_pb2 as pb
from auditd_proto.v1.audit_log_service_pb2_grpc import AuditLogServiceStub

Token: TypeAlias = str | Callable[[], str] | None

_T = TypeVar("_T")


class Client(Connection):
    """Appends to the logs of one server, reads them and has them proven. Safe to use from several threads.

    Every call is retried while its deadline lasts, where that can help and is safe: an event keeps
    the id and time it has or is given before the first try, so it is recorded once.

    With `key` every checkpoint received is verified, and each `append` and `checkpoint` asks for the
    proof that the log still extends what was verified before. Receipts that bring leaf and proof are
    verified against the events sent, inclusion proofs against their checkpoint. What does not hold
    raises `HistoryRewrittenError` or a `VerificationError` of `auditd_client.verify`.

    - `address`: `HOST:PORT`. Plaintext is used on loopback without `ca` and `certificate` only.
    - `token`: the JWT, or a function that returns it, called before each try; it may refresh it.
    - `log`: name of the log that methods use unless told otherwise.
    - `key`: verifier key of `log`, or of several logs by name.
    - `known`: signed note of a checkpoint of `log` verified earlier; see `newest_checkpoint`.
    - `ca`: PEM certificates to trust, as bytes or path of a file; those of the system if absent.
    - `certificate`: PEM certificate chain for mutual TLS, with its `private_key`.
    - `private_key`: PEM private key.
    - `insecure`: whether to send plaintext, the token included, to any address.
    - `timeout_s`: seconds for a call, all its tries included.
    - `retry`: pauses between tries.
    - `sleep`: waits for a number of seconds.

    Raises SettingsError if address, certificates or their combination are unfit.
    Raises VerificationError if `key` or `known` is malformed.
    """

    def __init__(
        self,
        address: str,
        token: Token = None,
        *,
        log: str = "main",
        key: str | Mapping[str, str] | None = None,
        known: str | None = None,
        ca: Pem | None = None,
        certificate: Pem | None = None,
        private_key: Pem | None = None,
        insecure: bool = False,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retry: RetryPolicy | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(
            address,
            log=log,
            key=key,
            known=known,
            ca=ca,
            certificate=certificate,
            private_key=private_key,
            insecure=insecure,
            timeout_s=timeout_s,
            retry=retry,
        )
        self._token = token
        self._sleep = sleep
        self._channel = self._target.open()
        self._stub = AuditLogServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        self._streams = StreamConnections(self._target.open)

    @classmethod
    def from_settings(cls, settings: Settings, **options: Any) -> Self:  # noqa: ANN401 - as __init__
        """Return a client for `settings`; `options` are further arguments of the class.

        Raises SettingsError also if the settings hold no address.
        """
        return cls(settings.required_address(), settings.token, **{**settings.client_options(), **options})

    def close(self) -> None:
        """Close all connections; calls under way are cancelled."""
        self._channel.close()
        for channel in self._streams.take_channels():
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(
        self,
        events: EventLike | Iterable[EventLike],
        *,
        log: str | None = None,
        return_leaves: bool = False,
        include_proofs: bool = False,
        known_size: int | None = None,
        timeout_s: float | None = None,
    ) -> AppendResult:
        """Record one event, or several in order; return when all are durable.

        An event is an `Event` or a mapping, see `event_from_dict`; without id or time it is given
        them, an `Event` in place. Up to 1,000 events and 4 MiB are recorded all or nothing, fewer where
        the server's `max_batch_events`, `max_request_bytes` or `max_response_bytes` say so; more
        are sent one batch after the other, and those before a refused one stay recorded.

        - `events`: what to record.
        - `log`: name of the log; the client's own if absent.
        - `return_leaves`: whether receipts bring the entries' exact bytes.
        - `include_proofs`: whether receipts bring inclusion proofs.
        - `known_size`: size of a tree to prove the log's growth from; needless with `key`.
        - `timeout_s`: seconds for all of it.

        Raises InvalidRequestError with the paths of the fields at fault, such as `events[3].time`.
        Raises ConflictError if an event's name is taken by another event.
        Raises LogBehindCallerError, HistoryRewrittenError if the log lost what it had recorded.
        Raises ClientError as `auditd_client.errors` shows.
        """
        options = self._append_options(log, return_leaves, include_proofs, timeout_s, known_size)
        return self._run(self._flows.append(named_events(events), options))

    def record(self, action: str, **members: Any) -> Receipt:  # noqa: ANN401 - as event_from_dict
        """Record one event from its `action` and the other members of `event_from_dict`.

        Raises ClientError as `append`.
        """
        return self.append({"action": action, **members}).receipts[0]

    def append_stream(
        self,
        events: Iterable[EventLike | None],
        *,
        log: str | None = None,
        return_leaves: bool = False,
        include_proofs: bool = False,
        max_in_flight: int = 4,
        timeout_s: float | None = None,
    ) -> Iterator[Receipt]:
        """Record any number of events and yield their receipts in the same order.

        Nothing is read or sent before the result is iterated. Up to `max_in_flight` full batches
        are under way at once, so events of different batches may be recorded in another order than
        they were given. A None among the events says that the next one may be long in coming: what
        is gathered is sent, and its receipts are yielded before `events` is read further.

        At the first failure the rest is not sent; later batches already under way may be recorded.
        Name the events beforehand (`name_event`, `event_from_dict`), and the same stream can be
        sent again.

        Raises ClientError as `append`; paths count from the first event of the stream.
        """
        options = self._append_options(log, return_leaves, include_proofs, timeout_s)
        stream = Stream(self._flows, options)
        under_way: deque[Future[AppendResult]] = deque()
        with ThreadPoolExecutor(max_in_flight, thread_name_prefix="auditd-append") as threads:
            try:
                for event in chain(events, (None,)):
                    flow = stream.feed(event)
                    if flow is not None:
                        under_way.append(threads.submit(self._run, flow))
                    elif event is not None:
                        continue
                    while under_way and (event is None or len(under_way) >= max_in_flight or under_way[0].done()):
                        yield from under_way.popleft().result().receipts
            finally:
                for future in under_way:
                    future.cancel()

    def get(
        self, index: int, *, log: str | None = None, verify_tokens: bool = False, timeout_s: float | None = None
    ) -> Entry:
        """Return the entry at `index`, from 0; with `verify_tokens`, its tokens are verified again by the server.

        Raises NotFoundError if the log has no such entry.
        Raises ClientError as `auditd_client.errors` shows.
        """
        return self._run(self._flows.get(self._log_name(log), index, verify_tokens, self._timeout(timeout_s)))

    def credential(self, credential: bytes, *, log: str | None = None, timeout_s: float | None = None) -> Credential:
        """Return the evidence of an identity that entries name by its hash of 32 bytes.

        `auditd_client.verify.verify_credential` verifies it offline.

        Raises NotFoundError if the log has no such credential.
        Raises ClientError as `auditd_client.errors` shows.
        """
        return self._run(self._flows.credential(self._log_name(log), credential, self._timeout(timeout_s)))

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

    def prove(
        self,
        index: int | None = None,
        *,
        event_name: EventName | None = None,
        tree_size: int | None = None,
        log: str | None = None,
        timeout_s: float | None = None,
    ) -> InclusionProof:
        """Return the proof that an entry, named by index or by event name, is in the log.

        - `index`: the entry's index.
        - `event_name`: the name of its event, instead of the index.
        - `tree_size`: size of the tree to prove it in; that of the checkpoint returned if absent.
        - `log`: name of the log; the client's own if absent.
        - `timeout_s`: seconds for the call.

        Raises ValueError unless exactly one of `index` and `event_name` is given.
        Raises NotFoundError if the log has no such entry.
        Raises ClientError as `auditd_client.errors` shows.
        """
        return self._run(
            self._flows.prove_inclusion(self._log_name(log), index, event_name, tree_size, self._timeout(timeout_s))
        )

    def prove_range(
        self,
        first: int,
        last: int,
        *,
        tree_size: int | None = None,
        log: str | None = None,
        timeout_s: float | None = None,
    ) -> EntriesProof:
        """Return the proof of all entries from `first` up to, but without, `last`; read them with `query`.

        - `tree_size`: size of the tree to prove them in; that of the checkpoint returned if absent.
        - `log`: name of the log; the client's own if absent.
        - `timeout_s`: seconds for the call.

        Raises InvalidRequestError if the range is empty or not within the tree.
        Raises ClientError as `auditd_client.errors` shows.
        """
        request = range_request(self._log_name(log), first, last, tree_size)
        return self._run(self._flows.prove_entries(request, self._timeout(timeout_s)))

    def prove_entries(
        self,
        ranges: Iterable[tuple[int, int]],
        *,
        tree_size: int | None = None,
        within: tuple[int, int] | None = None,
        log: str | None = None,
        timeout_s: float | None = None,
    ) -> EntriesProof:
        """Return one proof of all entries of several ranges `(first, last)`, without `last`, ascending.

        - `ranges`: the entries, at most 1,000 ranges.
        - `tree_size`: size of the tree to prove them in; that of the checkpoint returned if absent.
        - `within`: entries, `ranges` among them, to stay within. So a proof of more ranges comes in pieces, each cut
          beside a proven entry; their hashes joined are the whole.
        - `log`: name of the log; the client's own if absent.
        - `timeout_s`: seconds for the call.

        Raises InvalidRequestError if a range is empty, out of order or not within the tree.
        Raises ClientError as `auditd_client.errors` shows.
        """
        request = entries_request(self._log_name(log), ranges, tree_size, within)
        return self._run(self._flows.prove_entries(request, self._timeout(timeout_s)))

    def leaf_hashes(
        self, first: int, last: int, *, log: str | None = None, timeout_s: float | None = None
    ) -> tuple[bytes, ...]:
        """Return the leaf hashes of the entries from `first` up to, but without, `last`; at most 65,536.

        Nothing vouches for them; `auditd_client.verify.verify_entries` holds them against a proof that leaves them out.

        Raises InvalidRequestError if the range is empty, too long or not within the tree.
        Raises ClientError as `auditd_client.errors` shows.
        """
        return self._run(self._flows.leaf_hashes(self._log_name(log), first, last, self._timeout(timeout_s)))

    def prove_consistency(
        self,
        from_size: int,
        to_size: int | None = None,
        *,
        log: str | None = None,
        timeout_s: float | None = None,
    ) -> ConsistencyProof:
        """Return the proof that the tree of `to_size`, the current one if absent, extends `from_size`.

        Raises InvalidRequestError if the sizes are out of order or beyond the tree.
        Raises ClientError as `auditd_client.errors` shows.
        """
        return self._run(
            self._flows.prove_consistency(self._log_name(log), from_size, to_size, self._timeout(timeout_s))
        )

    def checkpoint(
        self,
        known_size: int | None = None,
        *,
        log: str | None = None,
        timeout_s: float | None = None,
    ) -> CheckpointResult:
        """Return the log's current signed note, with the proof from `known_size` if that is given.

        Raises LogBehindCallerError, HistoryRewrittenError if the log lost what it had recorded.
        Raises ClientError as `auditd_client.errors` shows.
        """
        return self._run(self._flows.checkpoint(self._log_name(log), known_size, self._timeout(timeout_s)))

    def logs(self, *, timeout_s: float | None = None) -> tuple[LogInfo, ...]:
        """Return the logs that the caller may use.

        Raises ClientError as `auditd_client.errors` shows.
        """
        return self._run(self._flows.logs(self._timeout(timeout_s)))

    def _run(self, flow: Flow[_T]) -> _T:
        with closing(flow):
            try:
                step = next(flow)
                while True:
                    if isinstance(step, Pause):
                        self._sleep(step.seconds)
                        step = flow.send(None)
                        continue
                    try:
                        response = self._call(step)
                    except ClientError as error:
                        step = flow.throw(error)
                    else:
                        step = flow.send(response)
            except StopIteration as end:
                result: _T = end.value
                return result

    def _call(self, call: Call) -> Message:
        metadata = self._metadata()
        try:
            response: Message = self._method(call.method)(call.request, timeout=call.timeout_s, metadata=metadata)
        except grpc.RpcError as failure:
            error = error_from_rpc(failure)
            misfit = self._target.misfit(error) if self._may_misfit(error) else None
            raise misfit or error from failure
        return response

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return bearer(self._token() if callable(self._token) else self._token)

    def _method(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._stub, name)
        return method
