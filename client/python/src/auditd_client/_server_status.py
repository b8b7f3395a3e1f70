"""How a server is, as it tells an administrator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isfinite

from auditd_client._times import datetime_from
from auditd_proto.v1 import admin_service_pb2 as pb


@dataclass(frozen=True, slots=True)
class Durations:
    """How long something took, in seconds.

    `p50_s` and `p99_s` are the lowest of a few bounds that half, and 99 of 100, did not pass; None above the last.
    """

    count: int
    mean_s: float
    p50_s: float | None
    p99_s: float | None


@dataclass(frozen=True, slots=True)
class LogStatus:
    """A log: its size, what waits for its writer and what that did since the start, its index and its files.

    - `problem`: why it cannot record; empty where it can.
    - `successor`: once it is closed, the origin of the log that goes on for it.
    - `duplicates`: events that were recorded already.
    - `record`: how long callers' events took to be durable; `store` the part of a commit that waits for the disk.
    - `index`, `text_index`, `time_index`: of fields, of text, of event times: `CURRENT`, `BEHIND` (searches read what
      it lacks from the evidence), `UNUSABLE` (all of it) or `OFF`; each with the number of entries that it covers.
    - `file_bytes`: size of its files, by name.
    """

    name: str
    origin: str
    tree_size: int
    problem: str
    queued_events: int
    queued_bytes: int
    commits: int
    failed_commits: int
    entries: int
    duplicates: int
    record: Durations
    store: Durations
    index: str
    index_covered: int
    file_bytes: Mapping[str, int]
    text_index: str
    text_index_covered: int
    time_index: str
    time_index_covered: int
    successor: str = ""


@dataclass(frozen=True, slots=True)
class MethodStatus:
    """The calls of a method since the start; `refused` counts errors by reason, `work` is without authentication."""

    name: str
    under_way: int
    answered: int
    broken_off: int
    refused: Mapping[str, int]
    work: Durations


@dataclass(frozen=True, slots=True)
class LastCheck:
    """The outcome of the last `auditlog check` on the server's folder."""

    ended_at: datetime
    sound: bool
    findings: int
    entries: int


@dataclass(frozen=True, slots=True)
class DamagedPlace:
    """Evidence that contradicts itself; `index` is None where it is no single entry."""

    log: str
    index: int | None
    reason: str
    message: str
    first_met_at: datetime


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """How a server is, and what it did since its start.

    - `problems`: why it is not ready, a sentence each.
    - `clock_synchronized`: the kernel's word, None where it gives none.
    - `clock_stepped_s`: how far the clock went ahead of the time elapsed since the start.
    - `clock_suspect`: why the server does not trust it, empty where it does.
    """

    origin: str
    version: str
    started_at: datetime
    ready: bool
    problems: tuple[str, ...]
    logs: tuple[LogStatus, ...]
    methods: tuple[MethodStatus, ...]
    tails: int
    disk_free_bytes: int
    disk_size_bytes: int
    clock_synchronized: bool | None
    clock_stepped_s: float
    clock_suspect: str
    last_check: LastCheck | None
    damage: tuple[DamagedPlace, ...]
    damage_met: int


def server_status(message: pb.GetStatusResponse) -> ServerStatus:
    """Return what a message says."""
    clock, check = message.clock, message.last_check
    return ServerStatus(
        message.origin,
        message.version,
        datetime_from(message.started_at),
        not message.problems,
        tuple(message.problems),
        tuple(map(_log, message.logs)),
        tuple(map(_method, message.methods)),
        message.tails,
        message.disk_free_bytes,
        message.disk_size_bytes,
        clock.synchronized if clock.HasField("synchronized") else None,
        clock.stepped_s,
        clock.suspect,
        LastCheck(datetime_from(check.ended_at), check.sound, check.findings, check.entries)
        if message.HasField("last_check")
        else None,
        tuple(map(_damaged, message.damage)),
        message.damage_met,
    )


def _log(log: pb.LogStatus) -> LogStatus:
    return LogStatus(
        log.name,
        log.origin,
        log.tree_size,
        log.problem,
        log.queued_events,
        log.queued_bytes,
        log.commits,
        log.failed_commits,
        log.entries,
        log.duplicates,
        _durations(log.record),
        _durations(log.store),
        _index(log.index),
        log.index_covered,
        dict(sorted(log.file_bytes.items())),
        _index(log.text_index),
        log.text_index_covered,
        _index(log.time_index),
        log.time_index_covered,
        log.successor,
    )


def _index(state: int) -> str:
    known = state in pb.LogStatus.Index.values()
    return pb.LogStatus.Index.Name(state).removeprefix("INDEX_") if known else str(state)


def _method(method: pb.MethodStatus) -> MethodStatus:
    refused = dict(sorted(method.refused.items()))
    work = _durations(method.work)
    return MethodStatus(method.name, method.under_way, method.answered, method.broken_off, refused, work)


def _damaged(place: pb.DamagedPlace) -> DamagedPlace:
    index = place.index if place.HasField("index") else None
    return DamagedPlace(place.log, index, place.reason, place.message, datetime_from(place.first_met_at))


def _durations(times: pb.Durations) -> Durations:
    return Durations(times.count, times.mean_s, _bound(times.p50_s), _bound(times.p99_s))


def _bound(seconds: float) -> float | None:
    return seconds if isfinite(seconds) else None
