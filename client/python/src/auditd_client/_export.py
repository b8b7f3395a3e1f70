"""Exports: all entries of one tree that a filter selects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Self

from auditd_client._exporting import Exporting
from auditd_client._model import Entry
from auditd_client._resumed_stream import ResumedStream
from auditd_proto.v1 import audit_log_service_pb2 as pb


class Export:
    """The entries of one tree that a filter selects, lowest index first: an iterator.

    It connects with the first entry asked for, and again after a disconnect, without gap or repeat. To be used from
    one thread; `close` may be called from any.
    """

    def __init__(
        self, exporting: Exporting, open_stream: Callable[[pb.ExportRequest], Any], sleep: Callable[[float], None]
    ) -> None:
        self._exporting = exporting
        self._stream = ResumedStream(exporting, open_stream, sleep)
        self._batches = self._stream.batches()
        self._entries = chain.from_iterable(self._batches)

    def __iter__(self) -> Iterator[Entry]:
        return self

    def __next__(self) -> Entry:
        return next(self._entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def tree_size(self) -> int | None:
        """The size of the tree that is exported, also when others append meanwhile; None before the first entry."""
        return self._exporting.tree_size

    @property
    def next_index(self) -> int | None:
        """How far the batches yielded have come: `tree_size` at the end; None if not known yet."""
        return self._exporting.next_index

    @property
    def checkpoint(self) -> str:
        """The signed note of that tree, verified if the log's key is known; empty if the export was resumed."""
        return self._exporting.checkpoint

    @property
    def resume_token(self) -> str:
        """What `Client.export` goes on with after the batches yielded so far, for the same caller; empty before."""
        return self._exporting.resume_token

    def batches(self) -> Iterator[list[Entry]]:
        """Yield the entries as they come, some hundred at once, or none if the filter selects little.

        After each, `resume_token` says where to go on: a good moment to write it down.
        """
        return self._batches

    def close(self) -> None:
        """End the export."""
        self._stream.close()
