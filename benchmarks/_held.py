"""How much of a file the system holds in memory, and having it hold all, because reading the rest takes longer."""

from __future__ import annotations

import os
import random
from pathlib import Path

_PAGE_BYTES = 4_096
_SAMPLE = 1_000
_PIECE_BYTES = 1 << 20


def held_in_memory(path: Path) -> float:
    """Return the share of a file that can be read without its disk, of a sample of pages."""
    pages = path.stat().st_size // _PAGE_BYTES
    with path.open("rb") as file:
        return sum(_is_held(file.fileno(), random.randrange(pages)) for _ in range(_SAMPLE)) / _SAMPLE


def _is_held(file: int, page: int) -> bool:
    try:
        os.preadv(file, [bytearray(_PAGE_BYTES)], page * _PAGE_BYTES, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    return True


def read_through(path: Path) -> None:
    """Read a file, so that the system holds as much of it as it wants to."""
    with path.open("rb", buffering=0) as file:
        while file.read(_PIECE_BYTES):
            pass
