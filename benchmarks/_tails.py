"""Tails: how soon what was recorded reaches one, and what a thousand of them cost that wait."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import grpc
import grpc.aio

from auditd_proto.v1 import audit_log_service_pb2 as pb
from auditd_proto.v1.audit_log_service_pb2_grpc import AuditLogServiceStub
from auditd_proto.v1.event_pb2 import Event
from benchmarks._append import Subject
from benchmarks._callers import tokens
from benchmarks._process import processor_s, resident_mb

TAILS = 1_000
TAILS_A_CALLER = 100
_NEVER = 'action = "never.recorded"'


@dataclass(frozen=True, slots=True)
class Idle:
    """What tails cost that wait: share of one core, and memory each."""

    processor_share: float
    kilobytes_each: float | None


@contextmanager
def idle_tails(subject: Subject, count: int = TAILS) -> Iterator[None]:
    """Hold tails open that nothing is sent to but heartbeats, which wait in their streams."""
    with ExitStack() as opened:
        streams = []
        for token in tokens(subject, "tail", -(-count // TAILS_A_CALLER), "reader"):
            # A connection of its own, as callers have who know nothing of each other.
            options = [("grpc.use_local_subchannel_pool", 1)]
            channel = opened.enter_context(grpc.insecure_channel(subject.server.address, options))
            stub = AuditLogServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
            metadata = (("authorization", f"Bearer {token}"),)
            streams += [stub.Tail(pb.TailRequest(filter=_NEVER), metadata=metadata) for _ in range(TAILS_A_CALLER)]
        for stream in streams:
            next(stream)
        yield


def idle_cost(subject: Subject, seconds: float) -> Idle:
    """Measure a thousand tails of a log in which nothing happens."""
    before_mb = resident_mb(subject.pid)
    with idle_tails(subject):
        used = processor_s(subject.pid)
        time.sleep(seconds)
        used = processor_s(subject.pid) - used
        after_mb = resident_mb(subject.pid)
    each = None if before_mb is None or after_mb is None else (after_mb - before_mb) * 1_000 / TAILS
    return Idle(used / seconds, each)


def delays_s(subject: Subject, events: int) -> Sequence[float]:
    """Return how long after its receipt each event reached a tail, sorted; 0 where it was there before."""
    return asyncio.run(_delays(subject, events))


async def _delays(subject: Subject, events: int) -> list[float]:
    async with grpc.aio.insecure_channel(subject.server.address) as channel:
        stub = AuditLogServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
        stream = stub.Tail(pb.TailRequest(), metadata=(("authorization", f"Bearer {subject.reader}"),))
        await stream.read()
        reached: dict[int, float] = {}
        reader = asyncio.create_task(_note(stream, reached, events))
        metadata = (("authorization", f"Bearer {subject.writer}"),)
        receipts: dict[int, float] = {}
        for _ in range(events):
            event = Event(id=str(uuid.uuid4()), action="user.login")
            event.time.GetCurrentTime()
            answer = await stub.Append(pb.AppendRequest(events=[event]), metadata=metadata)
            receipts[answer.receipts[0].index] = time.perf_counter()
        await asyncio.wait_for(reader, 30)
        stream.cancel()
    return sorted(max(0.0, reached[index] - receipt) for index, receipt in receipts.items())


async def _note(stream: grpc.aio.UnaryStreamCall, reached: dict[int, float], events: int) -> None:
    while len(reached) < events:
        message = await stream.read()
        now = time.perf_counter()
        reached.update((entry.index, now) for entry in message.entries)
