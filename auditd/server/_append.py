"""Append: from the events of a request to receipts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from auditd.entry import EncodedEvent, LeafTemplate, Limits, encode_events, time_violations
from auditd.errors import InvalidRequestError
from auditd.identity import Permission
from auditd.log import Log, Recorded, Submission
from auditd.server._caller import CallContext
from auditd.server._limits import require_response_fits
from auditd_proto.v1 import audit_log_service_pb2 as pb

SLICE = 100
"""Events handled before other calls have their turn: about a millisecond."""
Record = Callable[[Log, Submission], Awaitable[Recorded]]


class Appender:
    """Validates, submits, and answers. Belongs to the event loop's thread."""

    def __init__(self, limits: Limits, record: Record) -> None:
        self._limits = limits
        self._record = record
        self._templates: dict[str, LeafTemplate] = {}

    async def append(self, log: Log, caller: CallContext, request: pb.AppendRequest) -> pb.AppendResponse:
        """Record the events of a request that is allowed; return its receipts."""
        events = await self._encode(request.events)
        template = self._templates.get(log.name)
        if template is None:
            template = self._templates[log.name] = LeafTemplate(log.origin)
        template.check_sizes(caller.json, events)
        lengths = [len(event.json) for event in events]
        require_response_fits(
            lengths,
            len(caller.json),
            template,
            log.size,
            leaves=request.return_leaves,
            proofs=request.include_proofs,
        )
        keys = caller.keys
        recorded = await self._record(
            log,
            Submission(
                events,
                [keys(event.id, event.time, event.time_ns) for event in events],
                caller.json,
                done=lambda _: None,
                credential=caller.credential,
                keep_leaves=request.return_leaves,
                event_bytes=sum(lengths),
                refused_if_new=time_violations(
                    events,
                    self._limits,
                    now_ns=time.time_ns(),
                    may_import=caller.caller.may(Permission.IMPORT, log.name),
                ),
            ),
        )
        return await _response(log, request, recorded)

    async def _encode(self, events: Sequence[Any]) -> list[EncodedEvent]:
        if len(events) <= SLICE:
            return encode_events(events, self._limits)
        if len(events) > self._limits.max_batch_events:
            encode_events(events, self._limits)
        encoded: list[EncodedEvent] = []
        for start in range(0, len(events), SLICE):
            try:
                encoded += encode_events(events[start : start + SLICE], self._limits)
            except InvalidRequestError:
                # Told again of the whole batch, so that the paths are those of the request.
                encode_events(events, self._limits)
                raise
            await asyncio.sleep(0)
        return encoded


async def _response(log: Log, request: pb.AppendRequest, recorded: Recorded) -> pb.AppendResponse:
    head = recorded.head
    response = pb.AppendResponse(checkpoint=head.note)
    if request.HasField("known_size"):
        response.consistency_proof.extend(log.consistency_proof(request.known_size, head.size))
    moments: dict[int, Timestamp] = {}
    add = response.receipts.add
    for start in range(0, len(recorded.indexes), SLICE):
        for position in range(start, min(start + SLICE, len(recorded.indexes))):
            time_us = recorded.recorded_at_us[position]
            moment = moments.get(time_us)
            if moment is None:
                moment = moments[time_us] = Timestamp(seconds=time_us // 1_000_000, nanos=time_us % 1_000_000 * 1_000)
            add(
                index=recorded.indexes[position],
                recorded_at=moment,
                leaf_hash=recorded.leaf_hashes[position],
                duplicate=position in recorded.duplicates,
            )
        await _yield_between(start, len(recorded.indexes))
    if request.return_leaves:
        for receipt, leaf in zip(response.receipts, recorded.leaves, strict=True):
            receipt.leaf = leaf
    if request.include_proofs:
        await _add_proofs(log, recorded, response)
    return response


async def _add_proofs(log: Log, recorded: Recorded, response: pb.AppendResponse) -> None:
    for start in range(0, len(recorded.indexes), SLICE):
        proofs = log.inclusion_proofs(recorded.indexes[start : start + SLICE], recorded.head.size)
        for position, proof in enumerate(proofs, start):
            response.receipts[position].inclusion_proof.extend(proof)
        await _yield_between(start, len(recorded.indexes))


async def _yield_between(start: int, count: int) -> None:
    if start + SLICE < count:
        await asyncio.sleep(0)
