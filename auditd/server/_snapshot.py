"""The state of a server as one value: what metrics, readiness and `auditlog status` are rendered from."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from auditd.log import Log
from auditd.measures import Distribution
from auditd.query import BLOCK_ENTRIES, TILE_ENTRIES
from auditd.server._clock import Clock, ClockState
from auditd.server._config import Config
from auditd.server._damage import Damage, DamageRegister
from auditd.server._disk_room import DiskRoom
from auditd.server._indexes import Indexes
from auditd.server._last_check import LastCheck, last_check
from auditd.server._meters import Meters, MethodMeter

_FILES = ("evidence.db", "evidence.db-wal", "index.db", "index.db-wal", "tiles.db", "tiles.db-wal", "pending.db")


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """An index of a log: `CURRENT`, `BEHIND`, `UNUSABLE` or `OFF`, and how many entries it covers, and how many not."""

    state: str
    covered: int
    lag: int


@dataclass(frozen=True, slots=True)
class LogStatus:
    """A log: its size, its writer since the start, its indexes and its files. `problem` is empty where it can record.

    `unreadable` says what its device refuses to read, and is empty where it refuses nothing; `read_failures` how often.
    `indexes` has those of `fields`, `text` and event `times`; `successor` is an origin once the log is closed.
    """

    name: str
    origin: str
    size: int
    problem: str
    waiting_events: int
    waiting_bytes: int
    commits: int
    failed_commits: int
    entries: int
    duplicates: int
    stages: Mapping[str, Distribution]
    indexes: Mapping[str, IndexStatus]
    files: Mapping[str, int]
    successor: str = ""
    unreadable: str = ""
    read_failures: int = 0


@dataclass(frozen=True, slots=True)
class MethodStatus:
    """The calls of one method since the start."""

    name: str
    begun: int
    ended: int
    answered: int
    broken_off: int
    refused: Mapping[tuple[str, str], int]
    stages: Mapping[str, Distribution]

    @property
    def under_way(self) -> int:
        """How many calls have not ended yet."""
        return max(0, self.begun - self.ended)


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """A server as a whole. `problems` say why it is not ready; empty where it is."""

    origin: str
    version: str
    started_at: float
    logs: tuple[LogStatus, ...]
    methods: tuple[MethodStatus, ...]
    tails: int
    tasks: int
    disk_free_bytes: int
    disk_total_bytes: int
    clock: ClockState
    last_check: LastCheck | None
    damage: tuple[Damage, ...]
    damage_met: int
    problems: tuple[str, ...]


class Snapshots:
    """Takes the state of a server. Any thread may ask, and it reads files: not for the event loop."""

    def __init__(
        self,
        config: Config,
        logs: Mapping[str, Log],
        room: DiskRoom,
        indexes: Indexes,
        meters: Meters,
        damage: DamageRegister,
        tails: Callable[[], int],
        tasks: Callable[[], int],
        clock: Clock,
    ) -> None:
        self._config = config
        self._logs = logs
        self._room = room
        self._indexes = indexes
        self._meters = meters
        self._damage = damage
        self._tails = tails
        self._tasks = tasks
        self._clock = clock
        self._version = version("auditd")
        self._started_at = time.time()

    def take(self) -> ServerStatus:
        """Return the state now; a log whose last commit failed is asked to verify itself again meanwhile."""
        logs = tuple(self._log(name) for name in sorted(self._logs))
        for log in logs:
            if log.problem:
                self._logs[log.name].recover_soon()
        disk = shutil.disk_usage(self._config.folder)
        damage = tuple(self._damage.list())
        clock = self._clock.state()
        return ServerStatus(
            self._config.origin,
            self._version,
            self._started_at,
            logs,
            tuple(_method(name, meter) for name, meter in sorted(self._meters.methods.items())),
            self._tails(),
            self._tasks(),
            disk.free,
            disk.total,
            clock,
            last_check(self._config.folder),
            damage,
            self._damage.met,
            tuple(_problems(logs, clock, self._room.problem, damage)),
        )

    def _log(self, name: str) -> LogStatus:
        log = self._logs[name]
        indexes = self._index_status(name)
        measures, folder = log.measures, log.folder
        waiting_events, waiting_bytes = log.waiting
        stages = {
            "record": self._meters.recording(name).read(),
            "prepare": measures.prepare.read(),
            "store": measures.store.read(),
            "sign": measures.sign.read(),
        }
        return LogStatus(
            name,
            log.origin,
            log.size,
            log.problem,
            waiting_events,
            waiting_bytes,
            measures.commits,
            measures.failures,
            measures.entries,
            measures.duplicates,
            stages,
            indexes,
            {file: _bytes(folder / file) for file in _FILES},
            log.successor or "",
            log.unreadable,
            log.read_failures,
        )

    def _index_status(self, name: str) -> Mapping[str, IndexStatus]:
        log = self._logs[name]
        size, fields, tiles = log.size, self._indexes.fields[log.origin], self._indexes.tiles[log.origin]
        text = _index(size, tiles.text_covered, BLOCK_ENTRIES, usable=tiles.usable)
        return {
            "fields": _index(size, fields.covered, 1, usable=fields.usable),
            "text": text if tiles.with_text else IndexStatus("OFF", 0, 0),
            "times": _index(size, tiles.covered, TILE_ENTRIES, usable=tiles.usable),
        }


def _index(size: int, covered: int, at_once: int, *, usable: bool) -> IndexStatus:
    """Return the status of an index that takes up entries so many at once."""
    state = "UNUSABLE" if not usable else "BEHIND" if size - covered >= at_once else "CURRENT"
    return IndexStatus(state, covered, max(0, size - covered))


def _method(name: str, meter: MethodMeter) -> MethodStatus:
    stages = {"authenticate": meter.authenticate, "decode": meter.decode, "work": meter.work}
    return MethodStatus(
        name,
        meter.begun,
        meter.ended,
        meter.answered,
        meter.broken_off,
        dict(list(meter.refused.items())),
        {stage: histogram.read() for stage, histogram in stages.items()},
    )


def _problems(logs: tuple[LogStatus, ...], clock: ClockState, no_room: str, damage: tuple[Damage, ...]) -> list[str]:
    found = [f"log {log.name} cannot be written: {log.problem}" for log in logs if log.problem]
    found += [f"log {log.name} cannot be read everywhere: {log.unreadable}" for log in logs if log.unreadable]
    if clock.suspect:
        found.append(f"the clock is not trusted: {clock.suspect}")
    if no_room:
        found.append(f"the {no_room}")
    for one in damage[:10]:
        where = "" if one.index is None else f" at entry {one.index}"
        found.append(f"damage in log {one.log or '?'}{where}: {one.message} [{one.reason}]")
    if len(damage) > 10:
        found.append(f"and {len(damage) - 10} more damaged places")
    return found


def _bytes(path: Path) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 -- of files that come and go
    except OSError:
        return 0
