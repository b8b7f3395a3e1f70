"""`ResumedStream` for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Generic, TypeVar

import grpc.aio

from auditd_client._model import Entry
from auditd_client._resumed_stream import Reader, stream_ended
from auditd_client._status import error_from_rpc
from auditd_client.errors import ClientError, UnreachableError

_R = TypeVar("_R")
_M = TypeVar("_M")


class AsyncResumedStream(Generic[_R, _M]):
    """Batches of entries from as many calls as it takes; for one task at a time."""

    def __init__(
        self,
        reader: Reader[_R, _M],
        call: Callable[[_R], Awaitable[Any]],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._reader = reader
        self._call = call
        self._sleep = sleep
        self._stream: Any = None
        self._closed = False

    async def batches(self) -> AsyncIterator[list[Entry]]:
        """Yield the entries of each message."""
        while not self._closed:
            try:
                stream = self._stream = await self._call(self._reader.request())
                try:
                    while (message := await self._next_message(stream)) is not None:
                        yield self._reader.receive(message)
                finally:
                    stream.cancel()
                if self._reader.is_complete:
                    return
                error = stream_ended()
            except ClientError as failure:
                error = failure
            if self._closed:
                return
            await self._sleep(self._reader.pause_after(error))

    async def close(self) -> None:
        """End the stream."""
        self._closed = True
        if self._stream is not None:
            self._stream.cancel()

    async def _next_message(self, stream: Any) -> _M | None:  # noqa: ANN401 - grpc has no types
        """Return the next message, None at the end of the stream."""
        try:
            message = await asyncio.wait_for(stream.read(), self._reader.silence_s)
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
