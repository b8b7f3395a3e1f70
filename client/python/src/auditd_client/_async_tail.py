"""`Tail` for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self

from auditd_client._async_resumed_stream import AsyncResumedStream
from auditd_client._follower import Follower
from auditd_client._model import Entry
from auditd_proto.v1 import audit_log_service_pb2 as pb


class AsyncTail:
    """`Tail` for asyncio: the same, to be iterated with `async for`; for one task at a time."""

    def __init__(
        self,
        follower: Follower,
        open_stream: Callable[[pb.TailRequest], Awaitable[Any]],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._follower = follower
        self._stream = AsyncResumedStream(follower, open_stream, sleep)
        self._batches = self._stream.batches()
        self._entries = self._one_by_one()
        self._next_index = follower.next_index

    def __aiter__(self) -> AsyncIterator[Entry]:
        return self

    async def __anext__(self) -> Entry:
        return await anext(self._entries)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def next_index(self) -> int | None:
        """See `Tail.next_index`."""
        return self._next_index

    @property
    def checkpoint(self) -> str | None:
        """See `Tail.checkpoint`."""
        return self._follower.checkpoint

    async def batches(self) -> AsyncIterator[list[Entry]]:
        """See `Tail.batches`."""
        async for batch in self._batches:
            self._next_index = self._follower.next_index
            yield batch

    async def close(self) -> None:
        """End the tail."""
        await self._stream.close()

    async def _one_by_one(self) -> AsyncIterator[Entry]:
        async for batch in self._batches:
            for entry in batch:
                self._next_index = entry.index + 1
                yield entry
            self._next_index = self._follower.next_index
