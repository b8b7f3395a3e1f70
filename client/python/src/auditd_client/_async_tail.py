"""`Tail` for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self

import grpc.aio

from auditd_client._follower import SILENCE_S, Follower, stream_ended
from auditd_client._model import Entry
from auditd_client._status import error_from_rpc
from auditd_client.errors import ClientError, UnreachableError
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
        self._open_stream = open_stream
        self._sleep = sleep
        self._stream: Any = None
        self._closed = False
        self._batches = self._follow()
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
        self._closed = True
        if self._stream is not None:
            self._stream.cancel()

    async def _one_by_one(self) -> AsyncIterator[Entry]:
        async for batch in self._batches:
            for entry in batch:
                self._next_index = entry.index + 1
                yield entry
            self._next_index = self._follower.next_index

    async def _follow(self) -> AsyncIterator[list[Entry]]:
        while not self._closed:
            try:
                stream = self._stream = await self._open_stream(self._follower.request())
                try:
                    while (message := await self._next_message(stream)) is not None:
                        yield self._follower.receive(message)
                finally:
                    stream.cancel()
                error = stream_ended()
            except ClientError as failure:
                error = failure
            if self._closed:
                return
            await self._sleep(self._follower.pause_after(error))

    async def _next_message(self, stream: Any) -> pb.TailResponse | None:  # noqa: ANN401 - grpc has no types
        """Return the next message, None at the end of the stream."""
        try:
            message = await asyncio.wait_for(stream.read(), SILENCE_S)
        except grpc.aio.AioRpcError as failure:
            raise error_from_rpc(failure) from failure
        except TimeoutError as silence:
            raise UnreachableError("the server has fallen silent", reason="UNREACHABLE") from silence
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._closed or (task is not None and task.cancelling()):
                raise
            return None  # it is the stream that was cancelled, by `close`
        return None if message is grpc.aio.EOF else message
