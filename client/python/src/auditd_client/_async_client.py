"""The client for asyncio."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any, Self, TypeAlias, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from auditd_client._async_export import AsyncExport
from auditd_client._async_tail import AsyncTail
from auditd_client._channel import bearer
from auditd_client._connection import DEFAULT_TIMEOUT_S, Connection, Pem, named_events
from auditd_client._counts import By, PartialCounts, aggregate_request
from auditd_client._events import EventLike
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
from auditd_client._settings import Settings
from auditd_client._status import error_from_rpc
from auditd_client._stream import Stream
from auditd_client._stream_connections import StreamConnections
from auditd_client.errors import ClientError
from auditd_client.verify import Credential
from auditd_proto.v1 import audit_log_service_pb2 as pb
from auditd_proto.v1.audit_log_service_pb2_grpc import AuditLogServiceStub

AsyncToken: TypeAlias = str | Callable[[], str | Awaitable[str]] | None

_T = TypeVar("_T")


class AsyncClient(Connection):
    """`Client` for asyncio: the same arguments and methods, to be awaited; for one event loop.

    `token` may be a coroutine function, and `sleep` is one.
    """

    def __init__(
        self,
        address: str,
        token: AsyncToken = None,
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
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
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
        # Opened by the first call, because a channel belongs to the event loop that is running.
        self._channel: Any = None
        self._stub: AuditLogServiceStub | None = None
        self._streams = StreamConnections(self._target.open_async)

    @classmethod
    def from_settings(cls, settings: Settings, **options: Any) -> Self:  # noqa: ANN401 - as __init__
        """See `Client.from_settings`."""
        return cls(settings.required_address(), settings.token, **{**settings.client_options(), **options})

    async def close(self) -> None:
        """Close all connections; calls under way are cancelled."""
        for channel in (self._channel, *self._streams.take_channels()):
            if channel is not None:
                await channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def append(
        self,
        events: EventLike | Iterable[EventLike],
        *,
        log: str | None = None,
        return_leaves: bool = False,
        include_proofs: bool = False,
        known_size: int | None = None,
        timeout_s: float | None = None,
    ) -> AppendResult:
        """See `Client.append`."""
        options = self._append_options(log, return_leaves, include_proofs, timeout_s, known_size)
        return await self._run(self._flows.append(named_events(events), options))

    async def record(self, action: str, **members: Any) -> Receipt:  # noqa: ANN401 - as event_from_dict
        """See `Client.record`."""
        return (await self.append({"action": action, **members})).receipts[0]

    async def append_stream(
        self,
        events: Iterable[EventLike | None] | AsyncIterable[EventLike | None],
        *,
        log: str | None = None,
        return_leaves: bool = False,
        include_proofs: bool = False,
        max_in_flight: int = 4,
        timeout_s: float | None = None,
    ) -> AsyncIterator[Receipt]:
        """See `Client.append_stream`; `events` may be asynchronous."""
        options = self._append_options(log, return_leaves, include_proofs, timeout_s)
        stream = Stream(self._flows, options)
        under_way: deque[asyncio.Task[AppendResult]] = deque()
        try:
            async for event in _ending_with_none(events):
                flow = stream.feed(event)
                if flow is not None:
                    under_way.append(asyncio.create_task(self._run(flow)))
                elif event is not None:
                    continue
                while under_way and (event is None or len(under_way) >= max_in_flight or under_way[0].done()):
                    for receipt in (await under_way.popleft()).receipts:
                        yield receipt
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def get(
        self, index: int, *, log: str | None = None, verify_tokens: bool = False, timeout_s: float | None = None
    ) -> Entry:
        """See `Client.get`."""
        return await self._run(self._flows.get(self._log_name(log), index, verify_tokens, self._timeout(timeout_s)))

    async def credential(
        self, credential: bytes, *, log: str | None = None, timeout_s: float | None = None
    ) -> Credential:
        """As `Client.credential`."""
        return await self._run(self._flows.credential(self._log_name(log), credential, self._timeout(timeout_s)))

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
    ) -> AsyncIterator[Entry]:
        """See `Client.query`."""
        request = query_request(self._log_name(log), filter, order, limit, page_size, no_index, verify_tokens, origin)
        return self._pages(request, limit, self._timeout(timeout_s))

    async def explain(
        self,
        filter: str = "",  # noqa: A002 - the word of the API
        *,
        log: str | None = None,
        order: QueryOrder = "desc",
        limit: int = 100,
        no_index: bool = False,
        timeout_s: float | None = None,
    ) -> Explanation:
        """See `Client.explain`."""
        request = query_request(self._log_name(log), filter, order, limit, None, no_index, False, None)
        request.explain, request.max_wait_ms = True, 0
        return await self._run(self._flows.explain(request, self._timeout(timeout_s)))

    async def _pages(self, request: pb.QueryRequest, limit: int | None, timeout_s: float) -> AsyncIterator[Entry]:
        left = limit
        while True:
            entries, request.page_token = await self._run(self._flows.page(request, timeout_s))
            for entry in entries[:left]:
                yield entry
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
    ) -> AsyncTail:
        """See `Client.tail`."""
        name = self._log_name(log)
        follower = self._follower(name, filter, from_index, self._timeout(timeout_s), callable(self._token))
        return AsyncTail(follower, self._open_tail, self._sleep)

    def export(
        self,
        filter: str = "",  # noqa: A002 - the word of the API
        *,
        no_index: bool = False,
        verify_tokens: bool = False,
        resume_token: str = "",
        log: str | None = None,
        timeout_s: float | None = None,
    ) -> AsyncExport:
        """See `Client.export`."""
        exporting = self._exporting(
            self._log_name(log),
            filter,
            no_index,
            verify_tokens,
            resume_token,
            self._timeout(timeout_s),
            callable(self._token),
        )
        return AsyncExport(exporting, self._open_export, self._sleep)

    async def _open_export(self, request: pb.ExportRequest) -> Any:  # noqa: ANN401 - grpc has no types
        return self._streams.begin("Export", request, await self._metadata())

    async def _open_tail(self, request: pb.TailRequest) -> Any:  # noqa: ANN401 - grpc has no types
        return self._streams.begin("Tail", request, await self._metadata())

    async def aggregate(
        self,
        filter: str = "",  # noqa: A002 - the word of the API
        by: Sequence[By] = (),
        *,
        max_groups: int = 100,
        log: str | None = None,
        no_index: bool = False,
        timeout_s: float | None = None,
    ) -> Counts:
        """See `Client.aggregate`."""
        steps = self.aggregate_steps(filter, by, max_groups=max_groups, log=log, no_index=no_index, timeout_s=timeout_s)
        return [counts async for counts in steps][-1]

    def aggregate_steps(
        self,
        filter: str = "",  # noqa: A002 - the word of the API
        by: Sequence[By] = (),
        *,
        max_groups: int = 100,
        log: str | None = None,
        no_index: bool = False,
        timeout_s: float | None = None,
    ) -> AsyncIterator[Counts]:
        """See `Client.aggregate_steps`."""
        request = aggregate_request(self._log_name(log), filter, by, no_index)
        counts = PartialCounts(max_groups, request)
        return self._count(request, counts, self._timeout(timeout_s))

    async def _count(
        self, request: pb.AggregateRequest, counts: PartialCounts, timeout_s: float
    ) -> AsyncIterator[Counts]:
        while True:
            so_far = counts.add(await self._run(self._flows.counts(request, timeout_s)))
            yield so_far
            if so_far.is_complete or not request.page_token:
                return

    async def prove(
        self,
        index: int | None = None,
        *,
        event_name: EventName | None = None,
        tree_size: int | None = None,
        log: str | None = None,
        timeout_s: float | None = None,
    ) -> InclusionProof:
        """See `Client.prove`."""
        return await self._run(
            self._flows.prove_inclusion(self._log_name(log), index, event_name, tree_size, self._timeout(timeout_s))
        )

    async def prove_range(
        self,
        first: int,
        last: int,
        *,
        tree_size: int | None = None,
        log: str | None = None,
        timeout_s: float | None = None,
    ) -> EntriesProof:
        """See `Client.prove_range`."""
        request = range_request(self._log_name(log), first, last, tree_size)
        return await self._run(self._flows.prove_entries(request, self._timeout(timeout_s)))

    async def prove_entries(
        self,
        ranges: Iterable[tuple[int, int]],
        *,
        tree_size: int | None = None,
        within: tuple[int, int] | None = None,
        log: str | None = None,
        timeout_s: float | None = None,
    ) -> EntriesProof:
        """See `Client.prove_entries`."""
        request = entries_request(self._log_name(log), ranges, tree_size, within)
        return await self._run(self._flows.prove_entries(request, self._timeout(timeout_s)))

    async def leaf_hashes(
        self, first: int, last: int, *, log: str | None = None, timeout_s: float | None = None
    ) -> tuple[bytes, ...]:
        """See `Client.leaf_hashes`."""
        return await self._run(self._flows.leaf_hashes(self._log_name(log), first, last, self._timeout(timeout_s)))

    async def prove_consistency(
        self,
        from_size: int,
        to_size: int | None = None,
        *,
        log: str | None = None,
        timeout_s: float | None = None,
    ) -> ConsistencyProof:
        """See `Client.prove_consistency`."""
        return await self._run(
            self._flows.prove_consistency(self._log_name(log), from_size, to_size, self._timeout(timeout_s))
        )

    async def checkpoint(
        self,
        known_size: int | None = None,
        *,
        log: str | None = None,
        timeout_s: float | None = None,
    ) -> CheckpointResult:
        """See `Client.checkpoint`."""
        return await self._run(self._flows.checkpoint(self._log_name(log), known_size, self._timeout(timeout_s)))

    async def logs(self, *, timeout_s: float | None = None) -> tuple[LogInfo, ...]:
        """See `Client.logs`."""
        return await self._run(self._flows.logs(self._timeout(timeout_s)))

    async def _run(self, flow: Flow[_T]) -> _T:
        with closing(flow):
            try:
                step = next(flow)
                while True:
                    if isinstance(step, Pause):
                        await self._sleep(step.seconds)
                        step = flow.send(None)
                        continue
                    try:
                        response = await self._call(step)
                    except ClientError as error:
                        step = flow.throw(error)
                    else:
                        step = flow.send(response)
            except StopIteration as end:
                result: _T = end.value
                return result

    async def _call(self, call: Call) -> Message:
        metadata = await self._metadata()
        try:
            response: Message = await self._method(call.method)(call.request, timeout=call.timeout_s, metadata=metadata)
        except grpc.aio.AioRpcError as failure:
            error = error_from_rpc(failure)
            misfit = await asyncio.to_thread(self._target.misfit, error) if self._may_misfit(error) else None
            raise misfit or error from failure
        return response

    async def _metadata(self) -> tuple[tuple[str, str], ...]:
        token = self._token() if callable(self._token) else self._token
        return bearer(await token if inspect.isawaitable(token) else token)

    def _method(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._connected(), name)
        return method

    def _connected(self) -> AuditLogServiceStub:
        if self._stub is None:
            self._channel = self._target.open_async()
            self._stub = AuditLogServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        return self._stub


async def _ending_with_none(
    events: Iterable[EventLike | None] | AsyncIterable[EventLike | None],
) -> AsyncIterator[EventLike | None]:
    if isinstance(events, AsyncIterable):
        async for event in events:
            yield event
    else:
        for event in events:
            yield event
    yield None
