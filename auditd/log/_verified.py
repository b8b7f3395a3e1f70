"""Reading entries of a log, each found equal to the tree's hash before anyone has it (promise 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias, TypeVar

from auditd.errors import DamagedError
from auditd.filter import Sieve
from auditd.log._frames import FrameCodec
from auditd.log._leaves import Sifted, read_leaves, sift_leaves
from auditd.log._store import EvidenceStore
from auditd.log._writer import Writer

_T = TypeVar("_T")
_Read: TypeAlias = Callable[[FrameCodec, Sequence[bytes], int, bytes], list[_T]]
"""Reads frames, the first of this index, whose leaves have these hashes, concatenated."""


class VerifiedLeaves:
    """The leaves of a log, by their indexes. Any thread may read them."""

    def __init__(self, log: str, store: EvidenceStore, writer: Writer) -> None:
        self._log = log
        self._store = store
        self._writer = writer

    def read(self, start: int, end: int) -> list[bytes]:
        """Return the leaves of the entries [start, end).

        Raises DamagedError naming the log and the first entry that is missing or differs, ValueError beyond the tree.
        """
        return self._read(start, end, read_leaves)

    def sift(self, start: int, end: int, sieve: Sieve) -> list[Sifted]:
        """Return the entries of [start, end) that a sieve does not exclude, verified and raising as `read` does."""
        return self._read(start, end, partial(sift_leaves, sieve=sieve))

    def _read(self, start: int, end: int, read: _Read[_T]) -> list[_T]:
        size = self._writer.tree_head.size
        if end > size:
            raise ValueError(f"leaves [{start}, {end}): not within a tree of size {size}")
        try:
            return self._read_stored(start, end, read)
        except DamagedError as error:
            self._locate(error, start, end)
            raise

    def _read_stored(self, start: int, end: int, read: _Read[_T]) -> list[_T]:
        frames = self._store.frames(start, end)
        return read(self._writer.codec, frames, start, self._writer.nodes.leaf_hash_row(start, end))

    def _locate(self, error: DamagedError, start: int, end: int) -> None:
        """Have an error about entries [start, end) name the log and the first entry that it concerns."""
        error.facts.setdefault("log", self._log)
        for index in range(start, end) if "index" not in error.facts else ():
            try:
                self._read_stored(index, index + 1, read_leaves)
            except DamagedError:
                error.facts["index"] = str(index)
                error.message = f"entry {index}: {error.message}"
                return
