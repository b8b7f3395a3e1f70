"""Appending under load, and the proof that what was acknowledged was recorded, each event once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from auditd_client import Client
from auditd_proto.v1 import audit_log_service_pb2 as pb
from benchmarks._events import Kind
from benchmarks._frames import EventMaker, SkewedMaker
from benchmarks._load import Load, Method, run_load
from benchmarks._process import processor_s
from demo._server import Server

SERVICE = "/auditd.v1.AuditLogService/"

_MOST_CALLS_PER_S = 15_000
_MOST_EVENTS_PER_S = 200_000


class WrongCountError(Exception):
    """What the server acknowledged is not what it recorded."""


@dataclass(frozen=True, slots=True)
class Appended:
    """One measurement of appending."""

    batch: int
    events: int
    load: Load
    commits: int
    server_us: float
    """Processor time of the server for an event, in microseconds, all threads."""

    @property
    def events_per_s(self) -> float:
        """Events acknowledged in a second."""
        return self.events / self.load.elapsed_s

    @property
    def client_us(self) -> float:
        """Processor time of the load generator for an event, in microseconds."""
        return 1e6 * self.load.processor_s / self.events

    def note(self) -> str:
        """Say how long callers waited, and what it cost."""
        load = self.load
        pushed = f", pushed back {load.pushed_back:,} times" if load.pushed_back else ""
        waits = f"wait p50 {load.wait_ms(0.5):.1f} p99 {load.wait_ms(0.99):.1f} ms"
        processor = f"processor us an event: server {self.server_us:.1f}, load {self.client_us:.1f}"
        return f"{self.events / self.commits:,.0f} events a commit; {waits}; {processor}{pushed}"


class Subject:
    """A server under load with events of one kind, and the tokens to call it."""

    def __init__(self, server: Server, kind: Kind, maker: EventMaker | SkewedMaker | None = None) -> None:
        self.server = server
        self.kind = kind
        self.reader = server.token("auditor", "auditor")
        self.writer = server.token("svc-bench", "writer")
        self.maker = EventMaker(kind.templates, time.time_ns()) if maker is None else maker

    @property
    def pid(self) -> int:
        """The server's process."""
        return self.server.process.pid

    def method(self, name: str, token: str | None = None) -> Method:
        """Return a method to call, as the auditor if nothing else is said."""
        return Method(self.server.address, SERVICE + name, token or self.reader)

    def size(self) -> int:
        """Return the size of the log's tree."""
        with Client(self.server.address, self.reader) as client:
            return client.checkpoint().tree_size

    def requests(self, batch: int, count: int) -> list[bytes]:
        """Return that many requests to append, of new events."""
        return list(self.maker.requests(batch, count, proofs=False))

    def append(
        self, batch: int, callers: int, limit_s: float, *, proofs: bool = False, most_events: int | None = None
    ) -> Appended:
        """Append batches for about `limit_s` seconds, or until there are `most_events`.

        Raises WrongCountError unless the tree grew by exactly the events acknowledged, none of them a duplicate.
        """
        most = int(min(_MOST_CALLS_PER_S, _MOST_EVENTS_PER_S // batch) * limit_s)
        number = max(callers, most) if most_events is None else most_events // batch
        requests = list(self.maker.requests(batch, number, proofs=proofs))
        size, used = self.size(), processor_s(self.pid)
        load = run_load(self.method("Append", self.writer), requests, callers, limit_s)
        used = processor_s(self.pid) - used
        recorded = count_recorded(load.answers, batch, size, self.size())
        return Appended(batch, recorded.events, load, recorded.commits, 1e6 * used / recorded.events)


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many events were recorded, in how many commits."""

    events: int
    commits: int


def count_recorded(answers: Sequence[bytes], batch: int, size_before: int, size_after: int) -> Recorded:
    """Return what was acknowledged, each event recorded once and at a place of its own.

    Raises WrongCountError for a missing receipt, a duplicate, an index given twice or beyond the tree, and
    unless the tree grew by exactly that number.
    """
    indexes: set[int] = set()
    # All entries of a commit have its time, and no two commits the same microsecond.
    times: set[tuple[int, int]] = set()
    for answer in answers:
        receipts = pb.AppendResponse.FromString(answer).receipts
        if len(receipts) != batch:
            raise WrongCountError(f"{len(receipts)} receipts for a batch of {batch}")
        if any(receipt.duplicate for receipt in receipts):
            raise WrongCountError("an event that was sent once is called a duplicate")
        indexes.update(receipt.index for receipt in receipts)
        times.update((receipt.recorded_at.seconds, receipt.recorded_at.nanos) for receipt in receipts)
    acknowledged = len(answers) * batch
    if len(indexes) != acknowledged:
        raise WrongCountError(f"{acknowledged} events acknowledged at {len(indexes)} places")
    if size_after - size_before != acknowledged:
        raise WrongCountError(f"{acknowledged} events acknowledged, the tree grew by {size_after - size_before}")
    if indexes and not size_before <= min(indexes) <= max(indexes) < size_after:
        raise WrongCountError(
            f"indexes {min(indexes)} to {max(indexes)}, the tree grew from {size_before} to {size_after}"
        )
    return Recorded(acknowledged, len(times))
