"""The index of each log, fed by its writer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import orjson

from auditd._native import available
from auditd.errors import AuditdError, DamagedError
from auditd.log import CommitPlan, Log, Observer, Part
from auditd.query import Entry, Index, Search, Tiles
from auditd.server._chain import chain_of
from auditd.server._config import Config
from auditd.server._damage import DamageRegister
from auditd.server._disk_room import DiskRoom
from auditd.server._meters import Meters


class _Feed:
    """Offers the entries of each commit to an index, once there is one; runs in the writer thread."""

    def __init__(self) -> None:
        self.index: Index | None = None

    def committed(self, plan: CommitPlan) -> None:
        if self.index is not None:
            entries: list[Entry] = []
            for part in plan.parts:
                entries += _entries(part)
            self.index.offer(plan.size, entries)


def _entries(part: Part) -> Sequence[Entry]:
    """Return the entries of a part as the index takes them; what is parsed is parsed in its thread."""
    submission = part.submission
    terms = submission.events.terms(part.positions)
    if terms is not None:
        return terms
    return [_Members(submission.events[position].fields_json, submission.caller_json) for position in part.positions]


@dataclass(frozen=True, slots=True)
class _Members:
    """The members of an entry that have terms, as text."""

    event_json: bytes
    caller_json: bytes

    def __len__(self) -> int:
        return len(self.event_json)

    def __call__(self) -> Mapping[str, Any]:
        return {"event": orjson.loads(self.event_json), "caller": _caller(self.caller_json)}


@lru_cache(maxsize=1_024)
def _caller(caller_json: bytes) -> Mapping[str, Any]:
    caller: Mapping[str, Any] = orjson.loads(caller_json)
    return caller


class Indexes:
    """Opens, feeds and closes the indexes of every log of a folder, which it knows by origin."""

    def __init__(self, config: Config, damage: DamageRegister, meters: Meters) -> None:
        self._config = config
        self._damage = damage
        self._room = DiskRoom(config.folder / "logs", config.limits.min_free_bytes)
        self._meters = meters
        self._feeds: dict[str, _Feed] = {}
        self.fields: dict[str, Index] = {}
        self.tiles: dict[str, Tiles] = {}
        self.searches: dict[str, Search] = {}

    def observer(self, origin: str) -> Observer:
        """Return what a log's writer tells of its commits."""
        return self._feeds.setdefault(origin, _Feed())

    def open(self, logs: Iterable[Log]) -> None:
        """Open the indexes of each log; one that is unfit is built anew in the background."""
        for log in logs:
            on_error = partial(self._note, log)
            index = Index(log.folder / "index.db", log, room=self._room.allows, on_error=on_error)
            self.fields[log.origin] = index
            self._feeds[log.origin].index = index
            # Without native code the text of an event takes some 0.2 ms of Python, which appends would feel.
            text = available() and chain_of(log.folder.name) not in self._config.index.without_text
            tiles = Tiles(
                log.folder / "tiles.db",
                log,
                text=text,
                calls=self._meters.calls,
                room=self._room.allows,
                on_error=on_error,
            )
            self.tiles[log.origin] = tiles
            self.searches[log.origin] = Search(log, index, tiles)
            if log.successor is not None:
                self.seal(log)

    def seal(self, log: Log) -> None:
        """Have the indexes of a closed log hold no thread once they cover all of it."""
        self.fields[log.origin].seal()
        self.tiles[log.origin].seal()

    def _note(self, log: Log, error: AuditdError) -> None:
        if isinstance(error, DamagedError):
            self._damage.found(error, log.name)

    def close(self) -> None:
        """Stop feeding, and close."""
        for feed in self._feeds.values():
            feed.index = None
        for index in self.fields.values():
            index.close()
        for tiles in self.tiles.values():
            tiles.close()
