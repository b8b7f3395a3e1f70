"""`Export` for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self

from auditd_client._async_resumed_stream import AsyncResumedStream
from auditd_client._exporting import Exporting
from auditd_client._model import Entry
from auditd_proto.v1 import audit_log_service_pb2 as pb


class AsyncExport:
    """`Export` for asyncio: the same, to be iterated with `async for`; for one task at a time."""

    def __init__(
        self,
        exporting: Exporting,
        open_stream: Callable[[pb.ExportRequest], Awaitable[Any]],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._exporting = exporting
        self._stream = AsyncResumedStream(exporting, open_stream, sleep)
        self._batches = self._stream.batches()
        self._entries = self._one_by_one()

    def __aiter__(self) -> AsyncIterator[Entry]:
        return self

    async def __anext__(self) -> Entry:
        return await anext(self._entries)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def tree_size(self) -> int | None:
        """See `Export.tree_size`."""
        return self._exporting.tree_size

    @property
    def next_index(self) -> int | None:
        """See `Export.next_index`."""
        return self._exporting.next_index

    @property
    def checkpoint(self) -> str:
        """See `Export.checkpoint`."""
        return self._exporting.checkpoint

    @property
    def resume_token(self) -> str:
        """See `Export.resume_token`."""
        return self._exporting.resume_token

    def batches(self) -> AsyncIterator[list[Entry]]:
        """See `Export.batches`."""
        return self._batches

    async def close(self) -> None:
        """End the export."""
        await self._stream.close()

    async def _one_by_one(self) -> AsyncIterator[Entry]:
        async for batch in self._batches:
            for entry in batch:
                yield entry
