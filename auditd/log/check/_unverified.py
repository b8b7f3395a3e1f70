"""Leaves as they are stored, for what is compared with a log that was checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from auditd.errors import DamagedError
from auditd.log._frames import FrameCodec
from auditd.log.check._reading import evidence_reader


@contextmanager
def unverified_leaves(folder: Path) -> Iterator[Callable[[int, int], Sequence[bytes]]]:
    """Give what returns the leaves of the entries [start, end) of the log in `folder`, not compared with any tree.

    Raises FolderError as `evidence_reader` does, and then DamagedError for what holds no leaf.
    """
    with evidence_reader(folder) as reader:
        codec = FrameCodec(data for _, data in reader.dictionaries())

        def leaves(start: int, end: int) -> Sequence[bytes]:
            frames = reader.frames(start, end)
            if len(frames) != end - start:
                raise DamagedError("ENTRY_MISSING", f"one of the entries {start} to {end - 1} is missing")
            return [codec.decompress(frame, index) for index, frame in enumerate(frames, start)]

        yield leaves
