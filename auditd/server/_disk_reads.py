"""Short reads of the evidence, where a slow disk must not hold up whoever needs none."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_THREADS = 4
_SLOW_S = 0.05
_SLOW_DEVICE_S = 0.005
_SLOW_FOR_S = 10.0
_OF_THREAD = getattr(resource, "RUSAGE_THREAD", None)  # Linux alone has it

_T = TypeVar("_T")


class DiskReads:
    """Belongs to the event loop's thread.

    What is in memory is read in less time than another thread takes to be told, so reads are done in the event loop's
    own thread. One that had the device read, and took more than five milliseconds, says that the disk is slow; so does
    one of more than fifty, whatever it waited for. For ten seconds other threads then do them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="disk-reads")
        self._slow_until = 0.0

    async def read(self, work: Callable[[], _T]) -> _T:
        """Return what `work` returns, which may be called in any thread; raise what it raises."""
        if self._clock() < self._slow_until:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._measured, work)
        return self._measured(work)

    def _measured(self, work: Callable[[], _T]) -> _T:
        began, blocks = self._clock(), _blocks_read()
        try:
            return work()
        finally:
            now = self._clock()
            if now - began > (_SLOW_DEVICE_S if _blocks_read() > blocks else _SLOW_S):
                self._slow_until = now + _SLOW_FOR_S

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()


def _blocks_read() -> int:
    """Return how many blocks the device has read for this thread, 0 where the system does not tell."""
    return 0 if _OF_THREAD is None else resource.getrusage(_OF_THREAD).ru_inblock
