"""Memory that the process does not need stays with the system, or goes back to it."""

from __future__ import annotations

import asyncio
import ctypes
import gc

_TRIM_S = 2.0
_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3  # of glibc's malloc.h
_ARENAS = 2
_MAPPED_BYTES = 4 * 1024 * 1024


def share_the_heap() -> None:
    """Let all threads share two heaps, and map what is large apart; before there are threads.

    Otherwise each thread has a heap of its own, with gaps of its own: some tens of megabytes in all, more every hour.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)


def calm_the_collector() -> None:
    """What is alive now stays; batches make many objects and no cycles, so collect seldom.

    Each call leaves some ten objects in cycles, gRPC's own: ten times as many before a collection took 40 MB.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


async def trim() -> None:
    """Hand freed memory back every few seconds, until cancelled.

    The C library keeps what each thread has freed for that thread. Leaves pass through several threads, each of which
    would keep what the largest batches needed. Where the library knows no `malloc_trim`, this ends at once.
    """
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while malloc_trim is not None:
        await asyncio.sleep(_TRIM_S)
        await asyncio.to_thread(malloc_trim, 0)
