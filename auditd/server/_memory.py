"""Memory that the process no longer needs goes back to the system."""

from __future__ import annotations

import asyncio
import ctypes
import gc

_TRIM_S = 2.0


def calm_the_collector() -> None:
    """What is alive now stays; batches make many objects and no cycles, so collect seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)


async def trim() -> None:
    """Hand freed memory back every few seconds, until cancelled.

    The C library keeps what each thread has freed for that thread. Leaves pass through several threads, each of which
    would keep what the largest batches needed. Where the library knows no `malloc_trim`, this ends at once.
    """
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while malloc_trim is not None:
        await asyncio.sleep(_TRIM_S)
        await asyncio.to_thread(malloc_trim, 0)
