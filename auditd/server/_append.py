"""Append: from the bytes of a request to receipts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp

from auditd._native import native
from auditd.entry import (
    EncodedBatch,
    EventBatch,
    LeafTemplate,
    Limits,
    NativeBatch,
    time_violations,
)
from auditd.identity import Permission
from auditd.log import Log, Recorded, Submission
from auditd.merkle import split_hashes
from auditd.server._actors import NO_ACTORS, ActedEvents, ActorTokens
from auditd.server._caller import CallContext
from auditd.server._judging import EventJudge, Unjudged, read_envelope
from auditd.server._limits import require_response_fits, require_size
from auditd_proto.v1 import audit_log_service_pb2 as pb

SLICE = 100
"""Receipts made before other calls have their turn: about a millisecond."""
Record = Callable[[Log, Submission], Awaitable[Recorded]]


@dataclass(frozen=True, slots=True)
class AppendCall:
    """A request to append: well-formed and encoded already, or as it came and yet to be judged."""

    log: str
    return_leaves: bool
    include_proofs: bool
    known_size: int | None
    content: tuple[NativeBatch, Sequence[bytes]] | Unjudged
    """The events encoded, and their keys; or each as it came."""


class Appender:
    """Validates, submits, and answers. Belongs to the event loop's thread."""

    def __init__(
        self,
        limits: Limits,
        max_response_bytes: int,
        record: Record,
        actors: ActorTokens,
        now_ns: Callable[[], int],
    ) -> None:
        self._limits = limits
        self._max_response_bytes = max_response_bytes
        self._record = record
        self._actors = actors
        self._now_ns = now_ns
        self._templates: dict[str, LeafTemplate] = {}
        self._judge = EventJudge(limits)

    def read(self, caller: CallContext, data: bytes) -> AppendCall:
        """Return what `data` asks for. Raises InvalidRequestError `MALFORMED_REQUEST`."""
        good = 0
        if native is not None:
            known = caller.caller
            batch = native.read_append(data, known.issuer, known.subject, caller.terms, self._limits.max_batch_events)
            if not isinstance(batch, int):
                encoded = NativeBatch(batch), batch.keys()
                return AppendCall(batch.log, batch.return_leaves, batch.include_proofs, batch.known_size, encoded)
            good = batch
        request = read_envelope(data)
        known_size = request.known_size if request.HasField("known_size") else None
        content = Unjudged(request.events, good)
        return AppendCall(request.log, request.return_leaves, request.include_proofs, known_size, content)

    async def append(self, log: Log, caller: CallContext, call: AppendCall) -> bytes:
        """Record the events of a call that is allowed; return the response."""
        if call.known_size is not None:
            log.require_known_size(require_size("known_size", call.known_size))
        content = call.content
        acted = NO_ACTORS
        if isinstance(content, tuple):
            batch, keys = content
            events: EventBatch = batch
            if batch.actor_tokens:
                events, acted = await self._act(batch)
        else:
            judged = await self._judge.judge(content)
            acted = await self._actors.take(judged.tokens, judged.events)
            events, keys = EncodedBatch(acted.events), [caller.keys(e.id, e.time, e.time_ns) for e in acted.events]
        template = self._templates.get(log.origin)
        if template is None:
            template = self._templates[log.origin] = LeafTemplate(log.origin)
        if call.return_leaves or call.include_proofs:
            require_response_fits(
                events.lengths(),
                len(caller.json),
                template,
                [log.size, *(before.size for before in log.predecessors.logs)],
                self._max_response_bytes,
                leaves=call.return_leaves,
                proofs=call.include_proofs,
            )
        recorded = await self._record(
            log,
            Submission(
                events,
                keys,
                caller.json,
                done=lambda _: None,
                credential=caller.credential,
                actor_credentials=acted.credentials,
                keep_leaves=call.return_leaves,
                refused_if_new=acted.refused_if_new
                | time_violations(
                    events,
                    self._limits,
                    now_ns=self._now_ns(),
                    may_import=caller.caller.may(Permission.IMPORT, log.name),
                ),
            ),
        )
        return await _response(log, call, recorded)

    async def _act(self, batch: NativeBatch) -> tuple[EventBatch, ActedEvents]:
        """Have the tokens that came along judged, and put what they say into the events."""
        known = self._actors.take_known(batch)
        if known is not None:
            return known
        acted = await self._actors.take(dict(batch.actor_tokens), [batch[position] for position in range(len(batch))])
        return EncodedBatch(acted.events), acted


async def _response(log: Log, call: AppendCall, recorded: Recorded) -> bytes:
    head = recorded.head
    consistency = [] if call.known_size is None else log.proofs.consistency(call.known_size, head.size)
    paths = await _paths(log, recorded) if call.include_proofs else None
    if native is not None and not recorded.duplicates:
        return native.append_response(
            head.note,
            consistency,
            recorded.indexes[0],
            recorded.recorded_at_us[0],
            recorded.leaf_hashes,
            recorded.leaves if call.return_leaves else None,
            paths,
        )
    response = pb.AppendResponse(checkpoint=head.note, consistency_proof=consistency)
    await _add_receipts(log, recorded, response)
    if call.return_leaves:
        for receipt, leaf in zip(response.receipts, recorded.leaves, strict=True):
            receipt.leaf = leaf
    if paths is not None:
        for receipt, path in zip(response.receipts, paths, strict=True):
            receipt.inclusion_proof.extend(split_hashes(path))
    return response.SerializeToString()


async def _add_receipts(log: Log, recorded: Recorded, response: pb.AppendResponse) -> None:
    moments: dict[int, Timestamp] = {}
    earlier: dict[Log, int] = {}
    add = response.receipts.add
    for start in range(0, len(recorded.indexes), SLICE):
        for position in range(start, min(start + SLICE, len(recorded.indexes))):
            time_us = recorded.recorded_at_us[position]
            moment = moments.get(time_us)
            if moment is None:
                moment = moments[time_us] = Timestamp(seconds=time_us // 1_000_000, nanos=time_us % 1_000_000 * 1_000)
            holder, index = _place(log, recorded.indexes[position])
            add(
                index=index,
                recorded_at=moment,
                leaf_hash=recorded.leaf_hashes[position],
                duplicate=position in recorded.duplicates,
                earlier=0 if holder is log else earlier.setdefault(holder, len(earlier) + 1),
            )
        await _yield_between(start, len(recorded.indexes))
    response.earlier_checkpoints.extend(holder.tree_head.note for holder in earlier)


def _place(log: Log, index: int) -> tuple[Log, int]:
    """Return the log that holds an entry, and its index there."""
    return (log, index) if index >= 0 else log.predecessors.place(index)


async def _paths(log: Log, recorded: Recorded) -> list[bytes]:
    """Return the inclusion proof of each entry, its hashes concatenated."""
    paths: list[bytes] = []
    for start in range(0, len(recorded.indexes), SLICE):
        indexes = recorded.indexes[start : start + SLICE]
        if min(indexes) >= 0:
            paths += log.proofs.inclusion_paths(indexes, recorded.head.size)
        else:
            paths += [_path(*_place(log, index), log, recorded.head.size) for index in indexes]
        await _yield_between(start, len(recorded.indexes))
    return paths


def _path(holder: Log, index: int, log: Log, size: int) -> bytes:
    return holder.proofs.inclusion_paths([index], size if holder is log else holder.size)[0]


async def _yield_between(start: int, count: int) -> None:
    if start + SLICE < count:
        await asyncio.sleep(0)
