"""Prove: from a request to a proof; what may take long is put together in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from auditd.entry import event_key, time_text
from auditd.errors import NotFoundError
from auditd.log import Log
from auditd.server._access import Span
from auditd.server._disk_reads import DiskReads
from auditd.server._limits import require_size, violation
from auditd_proto.v1 import audit_log_service_pb2 as pb

MAX_RANGES = 1_000
"""Of one request: each adds two hashes a level of the tree at most, so that the answer stays below 4 MiB."""

MAX_LEAF_HASHES = 65_536

_T = TypeVar("_T")


class Prover:
    """Answers `Prove`. Belongs to the event loop's thread."""

    def __init__(self, reads: DiskReads) -> None:
        self._reads = reads
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="prove")

    async def holder(self, log: Log, name: pb.EventNameTarget) -> Log:
        """Return the log that holds the event of a name, in the chain that ends with `log`; else `log` itself."""
        if not log.predecessors.logs:
            return log
        key, _ = _key_of(name)
        logs = log, *reversed(log.predecessors.logs)
        return await self._reads.read(lambda: next((one for one in logs if one.find(key) is not None), log))

    async def prove(self, log: Log, request: pb.ProveRequest) -> tuple[pb.ProveResponse, Span | None]:
        """Return the answer, and the lowest and highest index of the entries that it is about.

        Raises InvalidRequestError naming the field at fault, NotFoundError where there is no such entry.
        """
        head = log.tree_head
        response, size = pb.ProveResponse(checkpoint=head.note), head.size
        match request.WhichOneof("target"):
            case "consistency":
                await self._reads.read(lambda: _prove_consistency(log, request.consistency, size, response.consistency))
                return response, None
            case "inclusion":
                index = require_size("inclusion.index", request.inclusion.index)
                wanted = _tree_size("inclusion", request.inclusion, size)
                entries = await self._reads.read(lambda: _prove_inclusion(log, index, wanted, response))
            case "event_name":
                name, wanted = request.event_name, _tree_size("event_name", request.event_name, size)
                entries = await self._reads.read(
                    lambda: _prove_inclusion(log, _named_index(log, name), wanted, response)
                )
            case "range":
                wanted = _tree_size("range", request.range, size)
                entries = first, last = _span("range", request.range, wanted)
                response.entries.tree_size = wanted
                hashes = await self._reads.read(lambda: log.proofs.entries([(first, last + 1)], wanted))
                response.entries.hashes.extend(hashes)
            case "entries":
                entries = await self._prove_entries(log, request.entries, size, response.entries)
            case "leaf_hashes":
                entries = await self._leaf_hashes(log, request.leaf_hashes, response.leaf_hashes)
            case _:
                names = "inclusion, event_name, consistency, range, entries or leaf_hashes"
                raise violation("target", f"is missing: {names}")
        return response, entries

    async def _prove_entries(self, log: Log, target: pb.EntriesTarget, current: int, proof: pb.EntriesProof) -> Span:
        if not 1 <= len(target.ranges) <= MAX_RANGES:
            raise violation("entries.ranges", f"{len(target.ranges)} ranges, must be 1 to {MAX_RANGES}")
        proof.tree_size = _tree_size("entries", target, current)
        begin, limit = 0, proof.tree_size
        if target.HasField("within"):
            begin, highest = _span("entries.within", target.within, proof.tree_size)
            limit = highest + 1
        ranges: list[tuple[int, int]] = []
        end = begin
        for position, wanted in enumerate(target.ranges):
            field = f"entries.ranges[{position}]"
            lowest, highest = _span(field, wanted, limit)
            if lowest < end:
                before = "the end of the range before it" if position else "the first of within"
                raise violation(f"{field}.first", f"{lowest}, must not be before {before}, {end}")
            end = highest + 1
            ranges.append((lowest, end))
        hashes = await self._in_thread(lambda: log.proofs.entries(ranges, proof.tree_size, (begin, limit)))
        proof.hashes.extend(hashes)
        return ranges[0][0], end - 1

    async def _leaf_hashes(self, log: Log, target: pb.LeafHashesTarget, found: pb.LeafHashes) -> Span:
        lowest, highest = _span("leaf_hashes", target, log.size)
        if highest - lowest >= MAX_LEAF_HASHES:
            raise violation("leaf_hashes.last", f"{highest + 1}, must be at most {MAX_LEAF_HASHES} above first")
        found.first = lowest
        found.hashes.extend(await self._in_thread(lambda: log.proofs.leaf_hashes(lowest, highest + 1)))
        return lowest, highest

    async def _in_thread(self, work: Callable[[], Sequence[_T]]) -> Sequence[_T]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """End the thread."""
        self._threads.shutdown()


def _prove_inclusion(log: Log, index: int, size: int, response: pb.ProveResponse) -> Span:
    if index >= log.size:
        log.leaf(index)  # says that there is no such entry, whatever the size
    proof = response.inclusion
    proof.index, proof.tree_size = index, size
    proof.hashes.extend(log.proofs.inclusion(index, size))
    proof.leaf = log.leaf(index)
    return index, index


def _prove_consistency(log: Log, target: pb.ConsistencyTarget, current: int, proof: pb.ConsistencyProof) -> None:
    proof.from_size = require_size("consistency.from_size", target.from_size)
    proof.to_size = require_size("consistency.to_size", target.to_size) if target.HasField("to_size") else current
    if target.from_size == 0:
        raise violation("consistency.from_size", "0, must be at least 1: every tree extends the empty one")
    proof.hashes.extend(log.proofs.consistency(proof.from_size, proof.to_size))


def _key_of(name: pb.EventNameTarget) -> tuple[bytes, str]:
    """Return the key of an event's name, and the event's time."""
    moment = name.time
    if not (0 <= moment.seconds <= 253_402_300_799 and 0 <= moment.nanos < 1_000_000_000):
        raise violation("event_name.time", "is not within 1970 to 9999")
    text = time_text(moment.seconds, moment.nanos)
    return event_key(name.issuer, name.subject, name.id, text, moment.seconds * 1_000_000_000 + moment.nanos), text


def _named_index(log: Log, name: pb.EventNameTarget) -> int:
    key, text = _key_of(name)
    index = log.find(key)
    if index is None:
        raise NotFoundError(
            "EVENT_NOT_FOUND",
            f"event_name: log {log.name!r} has no event {name.id[:128]!r} at {text} by {name.subject[:128]!r}",
            {"log": log.name},
        )
    return index


def _tree_size(
    field: str, target: pb.InclusionTarget | pb.EventNameTarget | pb.RangeTarget | pb.EntriesTarget, current: int
) -> int:
    return require_size(f"{field}.tree_size", target.tree_size) if target.HasField("tree_size") else current


def _span(field: str, wanted: pb.IndexRange | pb.RangeTarget | pb.LeafHashesTarget, limit: int) -> Span:
    """Return the lowest and the highest index of a range that is not empty and ends at `limit` or before."""
    first, last = require_size(f"{field}.first", wanted.first), require_size(f"{field}.last", wanted.last)
    if first >= last:
        raise violation(f"{field}.last", f"{last}, must be above first, {first}")
    if last > limit:
        raise violation(f"{field}.last", f"{last}, must be at most {limit}", "OUT_OF_RANGE")
    return first, last - 1
