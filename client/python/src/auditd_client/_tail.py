"""Tails: the entries of a log as they are recorded, resumed after any disconnect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self

from auditd_client._follower import Follower
from auditd_client._model import Entry
from auditd_client._resumed_stream import ResumedStream
from auditd_proto.v1 import audit_log_service_pb2 as pb


class Tail:
    """The entries that a filter selects, as they are recorded: an iterator that ends only with `close`.

    It connects with the first entry asked for, and again after any disconnect, without gap or repeat. To be used from
    one thread; `close` may be called from any.
    """

    def __init__(
        self, follower: Follower, open_stream: Callable[[pb.TailRequest], Any], sleep: Callable[[float], None]
    ) -> None:
        self._follower = follower
        self._stream = ResumedStream(follower, open_stream, sleep)
        self._batches = self._stream.batches()
        self._entries = self._one_by_one()
        self._next_index = follower.next_index

    def __iter__(self) -> Iterator[Entry]:
        return self

    def __next__(self) -> Entry:
        return next(self._entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def next_index(self) -> int | None:
        """Where a later tail of the same filter goes on: everything before was yielded, or is not selected.

        None as long as a tail from now on has not begun.
        """
        return self._next_index

    @property
    def checkpoint(self) -> str | None:
        """The signed note received last, which covers all that was yielded; verified if the log's key is known."""
        return self._follower.checkpoint

    def batches(self) -> Iterator[list[Entry]]:
        """Yield the entries as they come, several at once; an empty list every few seconds in which none does.

        After each, `next_index` says where to go on: a good moment to write it down.
        """
        for batch in self._batches:
            self._next_index = self._follower.next_index
            yield batch

    def close(self) -> None:
        """End the tail."""
        self._stream.close()

    def _one_by_one(self) -> Iterator[Entry]:
        for batch in self._batches:
            for entry in batch:
                self._next_index = entry.index + 1
                yield entry
            self._next_index = self._follower.next_index
