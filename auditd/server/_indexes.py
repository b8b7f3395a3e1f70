"""The index of each log, fed by its writer."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, overload

import orjson

from auditd.entry import EncodedEvent
from auditd.log import CommitPlan, Log, Observer
from auditd.query import Index, Search
from auditd.server._config import Config


class _Feed:
    """Offers the entries of each commit to an index, once there is one; runs in the writer thread."""

    def __init__(self) -> None:
        self.index: Index | None = None

    def committed(self, plan: CommitPlan) -> None:
        if self.index is not None:
            self.index.offer(plan.size, _Entries(plan.events, plan.callers))


class _Entries(Sequence[Mapping[str, Any]]):
    """The entries of a commit as the index takes them: parsed in its thread, not in the writer's."""

    def __init__(self, events: Sequence[EncodedEvent], callers: Sequence[bytes]) -> None:
        self._events = events
        self._callers = callers

    def __len__(self) -> int:
        return len(self._events)

    @overload
    def __getitem__(self, at: int) -> Mapping[str, Any]: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Mapping[str, Any]]: ...

    def __getitem__(self, at: int | slice) -> Mapping[str, Any] | Sequence[Mapping[str, Any]]:
        if isinstance(at, slice):
            return [self[position] for position in range(*at.indices(len(self)))]
        return {"event": self._events[at].fields, "caller": _caller(self._callers[at])}


@functools.lru_cache(maxsize=1_024)
def _caller(caller_json: bytes) -> Mapping[str, Any]:
    caller: Mapping[str, Any] = orjson.loads(caller_json)
    return caller


class Indexes:
    """Opens, feeds and closes the index of every log of a folder."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._feeds: dict[str, _Feed] = {}
        self._indexes: list[Index] = []
        self.searches: dict[str, Search] = {}

    def observer(self, name: str) -> Observer:
        """Return what a log's writer tells of its commits."""
        return self._feeds.setdefault(name, _Feed())

    def open(self, logs: Mapping[str, Log]) -> None:
        """Open the index of each log; one that is unfit is built anew in the background."""
        for name, log in logs.items():
            index = Index(self._config.log_folder(name) / "index.db", log)
            self._indexes.append(index)
            self._feeds[name].index = index
            self.searches[name] = Search(log, index)

    def close(self) -> None:
        """Stop feeding, and close."""
        for feed in self._feeds.values():
            feed.index = None
        for index in self._indexes:
            index.close()
