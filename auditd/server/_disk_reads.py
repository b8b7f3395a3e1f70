"""Short reads of the evidence, where a slow disk must not hold up whoever needs none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_THREADS = 4
_QUICK_S = 0.01
_SLOW_FOR_S = 10.0

_T = TypeVar("_T")


class DiskReads:
    """Belongs to the event loop's thread.

    What is in memory is read in less time than another thread takes to be told, so reads are done in the event loop's
    own thread. One that takes more than ten milliseconds says that the disk is slow, or does not answer at all; for ten
    seconds others then do them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="disk-reads")
        self._slow_until = 0.0

    async def read(self, work: Callable[[], _T]) -> _T:
        """Return what `work` returns, which may be called in any thread; raise what it raises."""
        began = self._clock()
        if began < self._slow_until:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._measured, work, began)
        return self._measured(work, began)

    def _measured(self, work: Callable[[], _T], began: float) -> _T:
        try:
            return work()
        finally:
            now = self._clock()
            if now - began > _QUICK_S:
                self._slow_until = now + _SLOW_FOR_S

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()
