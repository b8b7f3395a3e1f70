"""Each method of the service as a flow: build the requests, read and verify the responses."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal, TypeAlias, TypeVar

from auditd_client._batches import MAX_EVENTS, MAX_REQUEST_BYTES, batches, counted_bytes
from auditd_client._entry_tokens import entry_of
from auditd_client._flow import Deadline, Flow, RetryPolicy, call
from auditd_client._history import History
from auditd_client._model import (
    AppendResult,
    CheckpointResult,
    ConsistencyProof,
    EntriesProof,
    Entry,
    EventName,
    Explanation,
    InclusionProof,
    LogInfo,
)
from auditd_client._receipts import receipts_from, stated_size, verify_receipts
from auditd_client._status import shift_event_paths
from auditd_client._times import timestamp_from
from auditd_client.errors import ClientError, LogBehindCallerError
from auditd_client.verify import Checkpoint, Credential, WrongLogError, open_closing, verify_entry
from auditd_proto.v1 import audit_log_service_pb2 as pb
from auditd_proto.v1.event_pb2 import Event

QueryOrder: TypeAlias = Literal["asc", "desc", "time-asc", "time-desc"]

_T = TypeVar("_T")

_ROOM = {"INVALID_BATCH": "value", "REQUEST_TOO_LARGE": "value", "RESPONSE_TOO_LARGE": "max_events"}
"""Which fact of a refusal says how much a batch may hold; `INVALID_BATCH` has it where there were too many events."""

_ORDERS = {
    "desc": pb.ORDER_NEWEST_FIRST,
    "asc": pb.ORDER_OLDEST_FIRST,
    "time-desc": pb.ORDER_LATEST_EVENT_FIRST,
    "time-asc": pb.ORDER_EARLIEST_EVENT_FIRST,
}


@dataclass(slots=True)
class AppendOptions:
    """What all batches of one call or one stream share.

    `max_events` and `max_bytes` are lowered when the server finds a batch, or the response to it, too large; they
    only ever fall, so flows in several threads may share them.
    """

    log: str
    return_leaves: bool
    include_proofs: bool
    timeout_s: float
    known_size: int | None = None
    max_events: int = field(default=MAX_EVENTS, init=False)
    max_bytes: int = field(default=MAX_REQUEST_BYTES, init=False)


@dataclass(frozen=True, slots=True)
class Flows:
    """The flows of one client; `histories` holds those of the logs whose key is known.

    Where such a log was closed, the history of its successor takes the place of its own, by the key that the closed
    log has signed for.
    """

    histories: MutableMapping[str, History]
    retry: RetryPolicy

    def append(self, events: Sequence[Event], options: AppendOptions, first: int = 0) -> Flow[AppendResult]:
        """Append named `events` in as few batches as fit; `first` is the caller's number of the first."""
        deadline = Deadline.after(options.timeout_s)
        # An empty append is sent as it is: what to say to it is the server's business.
        todo = deque(batches(events, options) if events else [[]])
        results: list[AppendResult] = []
        done = 0
        while todo:
            batch = todo.popleft()
            try:
                results.append((yield from self._append_batch(batch, options, deadline)))
            except ClientError as error:
                if not _shrink(options, error, batch):
                    shift_event_paths(error, first + done)
                    raise
                todo = deque(batches(chain(batch, *todo), options))
            else:
                done += len(batch)
        return AppendResult(
            tuple(chain.from_iterable(result.receipts for result in results)),
            results[-1].checkpoint,
            results[-1].consistency_proof,
        )

    def _append_batch(self, events: Sequence[Event], options: AppendOptions, deadline: Deadline) -> Flow[AppendResult]:
        return self._of_newest(options.log, deadline, lambda: self._append_once(events, options, deadline))

    def _of_newest(self, log: str, deadline: Deadline, attempt: Callable[[], Flow[_T]]) -> Flow[_T]:
        """Run a flow; again, with the successor's history, where the log whose key is known turns out to be closed."""
        while True:
            try:
                return (yield from attempt())
            except (WrongLogError, LogBehindCallerError):
                if not (yield from self._move_on(log, deadline)):
                    raise

    def _of_successor(self, log: str, note: str, deadline: Deadline, error: WrongLogError) -> Flow[Checkpoint]:
        """Verify a checkpoint that is not of the log known, by a successor's key; raise `error` if it is of none."""
        while (yield from self._move_on(log, deadline)):
            try:
                return self.histories[log].extend(None, note, ())
            except WrongLogError as other:
                error = other
        raise error

    def _move_on(self, log: str, deadline: Deadline) -> Flow[bool]:
        history = self.histories.get(log)
        if history is None:
            return False
        response = yield from call("ListLogs", pb.ListLogsRequest(), deadline, self.retry)
        for listed in response.logs:
            if listed.origin == history.key.name and listed.closing:
                closing = open_closing(listed.closing, history.key)
                self.histories[log] = History(closing.successor_key)
                return True
        return False

    def _append_once(self, events: Sequence[Event], options: AppendOptions, deadline: Deadline) -> Flow[AppendResult]:
        history = self.histories.get(options.log)
        with _known(history, options.known_size) as (known, known_size):
            request = pb.AppendRequest(
                log=options.log,
                events=events,
                return_leaves=options.return_leaves,
                include_proofs=options.include_proofs,
                known_size=known_size,
            )
            response: pb.AppendResponse = yield from call("Append", request, deadline, self.retry)
            receipts = receipts_from(response, len(events))
            proof = tuple(response.consistency_proof)
            if history is not None:
                try:
                    checkpoint = _verify(history, known, known_size, response.checkpoint, proof)
                except WrongLogError as error:
                    # What was sent is recorded: sent again it would come back as a duplicate.
                    checkpoint = yield from self._of_successor(options.log, response.checkpoint, deadline, error)
                if options.return_leaves and options.include_proofs:
                    verify_receipts(response, events, checkpoint)
        return AppendResult(receipts, response.checkpoint, proof)

    def get(self, log: str, index: int, verify_tokens: bool, timeout_s: float) -> Flow[Entry]:
        """Read one entry."""
        request = pb.GetRequest(log=log, index=index, verify_tokens=verify_tokens)
        response = yield from call("Get", request, Deadline.after(timeout_s), self.retry)
        return entry_of(response.entry)

    def credential(self, log: str, credential: bytes, timeout_s: float) -> Flow[Credential]:
        """Read one credential."""
        request = pb.GetCredentialRequest(log=log, credential=credential)
        response = yield from call("GetCredential", request, Deadline.after(timeout_s), self.retry)
        found = response.credential
        return Credential(
            credential=found.credential,
            issuer=found.issuer,
            header=found.header,
            payload=found.payload,
            signature_hash=found.signature_hash,
            signature=found.signature or None,
            key_jwk=found.key_jwk or None,
            waits=found.verdict == pb.NOT_YET_RECORDED,
        )

    def page(self, request: pb.QueryRequest, timeout_s: float) -> Flow[tuple[list[Entry], str]]:
        """Read one page; return its entries and the next page's token, empty at the end."""
        response = yield from call("Query", request, Deadline.after(timeout_s), self.retry)
        return [entry_of(entry) for entry in response.entries], response.next_page_token

    def explain(self, request: pb.QueryRequest, timeout_s: float) -> Flow[Explanation]:
        """Read one page; return how it was found."""
        response = yield from call("Query", request, Deadline.after(timeout_s), self.retry)
        found = response.explanation
        return Explanation(
            tuple((_narrowed_by(item.by), item.detail) for item in found.narrowings),
            found.in_range,
            found.examined,
            found.uncovered,
            found.duration_us,
            len(response.entries),
            bool(response.next_page_token),
        )

    def counts(self, request: pb.AggregateRequest, timeout_s: float) -> Flow[pb.AggregateResponse]:
        """Read one part of the counts; that asks for the next one, if there is one."""
        response: pb.AggregateResponse = yield from call("Aggregate", request, Deadline.after(timeout_s), self.retry)
        request.page_token = response.next_page_token
        return response

    def prove_inclusion(
        self,
        log: str,
        index: int | None,
        event_name: EventName | None,
        tree_size: int | None,
        timeout_s: float,
    ) -> Flow[InclusionProof]:
        """Prove the entry at `index`, or the one with `event_name`; exactly one of them is given."""
        request, deadline = _inclusion_request(log, index, event_name, tree_size), Deadline.after(timeout_s)
        return self._of_newest(log, deadline, lambda: self._inclusion(log, request, deadline))

    def _inclusion(self, log: str, request: pb.ProveRequest, deadline: Deadline) -> Flow[InclusionProof]:
        history = self.histories.get(log)
        with _known(history, None) as (known, _):
            response = yield from call("Prove", request, deadline, self.retry)
            proof = InclusionProof(
                response.inclusion.index,
                response.inclusion.tree_size,
                tuple(response.inclusion.hashes),
                response.inclusion.leaf,
                response.checkpoint,
            )
            if history is not None:
                checkpoint = history.check(known, response.checkpoint)
                if checkpoint.size == proof.tree_size:
                    verify_entry(proof.leaf, proof.index, proof.hashes, checkpoint)
        return proof

    def prove_consistency(
        self, log: str, from_size: int, to_size: int | None, timeout_s: float
    ) -> Flow[ConsistencyProof]:
        """Prove that one tree extends another."""
        request = pb.ProveRequest(log=log, consistency=pb.ConsistencyTarget(from_size=from_size, to_size=to_size))
        history = self.histories.get(log)
        with _known(history, None) as (known, _):
            response = yield from call("Prove", request, Deadline.after(timeout_s), self.retry)
            if history is not None:
                history.check(known, response.checkpoint)
        proof = response.consistency
        return ConsistencyProof(proof.from_size, proof.to_size, tuple(proof.hashes), response.checkpoint)

    def prove_entries(self, request: pb.ProveRequest, timeout_s: float) -> Flow[EntriesProof]:
        """Prove what `range_request` or `entries_request` asks for."""
        history = self.histories.get(request.log)
        with _known(history, None) as (known, _):
            response = yield from call("Prove", request, Deadline.after(timeout_s), self.retry)
            if history is not None:
                history.check(known, response.checkpoint)
        return EntriesProof(response.entries.tree_size, tuple(response.entries.hashes), response.checkpoint)

    def leaf_hashes(self, log: str, first: int, last: int, timeout_s: float) -> Flow[tuple[bytes, ...]]:
        """Read the leaf hashes of a range."""
        request = pb.ProveRequest(log=log, leaf_hashes=pb.LeafHashesTarget(first=first, last=last))
        response = yield from call("Prove", request, Deadline.after(timeout_s), self.retry)
        return tuple(response.leaf_hashes.hashes)

    def checkpoint(self, log: str, known_size: int | None, timeout_s: float) -> Flow[CheckpointResult]:
        """Read the current checkpoint."""
        deadline = Deadline.after(timeout_s)
        return self._of_newest(log, deadline, lambda: self._checkpoint(log, known_size, deadline))

    def _checkpoint(self, log: str, known_size: int | None, deadline: Deadline) -> Flow[CheckpointResult]:
        history = self.histories.get(log)
        with _known(history, known_size) as (known, sent_size):
            request = pb.GetCheckpointRequest(log=log, known_size=sent_size)
            response = yield from call("GetCheckpoint", request, deadline, self.retry)
            proof = tuple(response.consistency_proof)
            if history is not None:
                _verify(history, known, sent_size, response.checkpoint, proof)
        return CheckpointResult(response.checkpoint, stated_size(response.checkpoint), proof)

    def logs(self, timeout_s: float) -> Flow[tuple[LogInfo, ...]]:
        """List the logs."""
        deadline = Deadline.after(timeout_s)
        response = yield from call("ListLogs", pb.ListLogsRequest(), deadline, self.retry)
        return tuple(
            LogInfo(log.name, log.origin, log.verifier_key, log.tree_size, log.successor, log.closing)
            for log in response.logs
        )


def _narrowed_by(number: int) -> str:
    """Return what narrowed a query, as a word: `fields`, `text` ..."""
    if number not in pb.NarrowedBy.values():
        return str(number)
    return pb.NarrowedBy.Name(number).removeprefix("NARROWED_BY_").lower().replace("_", " ")


def query_request(
    log: str,
    query_filter: str,
    order: QueryOrder,
    limit: int | None,
    page_size: int | None,
    no_index: bool,
    verify_tokens: bool,
    origin: str | None,
) -> pb.QueryRequest:
    """Return the request for the first page.

    Raises ValueError if `order`, `limit` or `page_size` is out of range.
    """
    if order not in _ORDERS:
        raise ValueError(f"order: {order!r}, expected one of {', '.join(_ORDERS)}")
    for name, value in (("limit", limit), ("page_size", page_size)):
        if value is not None and value < 1:
            raise ValueError(f"{name}: {value}, expected at least 1")
    return pb.QueryRequest(
        log=log,
        filter=query_filter,
        page_size=min(page_size or limit or _MAX_PAGE_SIZE, _MAX_PAGE_SIZE),
        order=_ORDERS[order],
        no_index=no_index,
        verify_tokens=verify_tokens,
        max_wait_ms=_MAX_WAIT_MS,
        origin=origin or "",
    )


_MAX_PAGE_SIZE = 1_000
_MAX_WAIT_MS = 150
"""What a search that takes long has found is shown at least as often: nobody waits longer for a first page."""


def range_request(log: str, first: int, last: int, tree_size: int | None) -> pb.ProveRequest:
    """Return the request for the proof of all entries of a range."""
    return pb.ProveRequest(log=log, range=pb.RangeTarget(first=first, last=last, tree_size=tree_size))


def entries_request(
    log: str, ranges: Iterable[tuple[int, int]], tree_size: int | None, within: tuple[int, int] | None
) -> pb.ProveRequest:
    """Return the request for the proof of all entries of several ranges."""
    target = pb.EntriesTarget(tree_size=tree_size)
    for first, last in ranges:
        target.ranges.add(first=first, last=last)
    if within is not None:
        target.within.first, target.within.last = within
    return pb.ProveRequest(log=log, entries=target)


def _inclusion_request(
    log: str, index: int | None, event_name: EventName | None, tree_size: int | None
) -> pb.ProveRequest:
    if event_name is None:
        if index is None:
            raise ValueError("prove: give index or event_name")
        return pb.ProveRequest(log=log, inclusion=pb.InclusionTarget(index=index, tree_size=tree_size))
    if index is not None:
        raise ValueError("prove: give index or event_name, not both")
    return pb.ProveRequest(
        log=log,
        event_name=pb.EventNameTarget(
            issuer=event_name.issuer,
            subject=event_name.subject,
            id=event_name.id,
            time=timestamp_from(event_name.time),
            tree_size=tree_size,
        ),
    )


@contextmanager
def _known(history: History | None, known_size: int | None) -> Iterator[tuple[Checkpoint | None, int | None]]:
    """Lend the checkpoint that a call has to prove, with the known size to send.

    A caller's own `known_size` goes before that of the history.
    """
    known = history.borrow() if history is not None else None
    size = known_size
    if size is None and known is not None and known.size > 0:
        size = known.size
    try:
        yield known, size
    except LogBehindCallerError as error:
        if known is not None and known.size == size:
            error.known = known.note
        raise
    finally:
        if history is not None:
            history.give_back(known)


def _verify(
    history: History, known: Checkpoint | None, sent_size: int | None, note: str, proof: Sequence[bytes]
) -> Checkpoint:
    if known is None or sent_size in (None, known.size):
        return history.extend(known, note, proof)
    # The proof asked for starts at the caller's own size, so it says nothing about `known`.
    return history.check(known, note)


def _shrink(options: AppendOptions, error: ClientError, sent: Sequence[Event]) -> bool:
    """Lower the batch size to what the server says that there is room for; False if it did not say so."""
    fact = _ROOM.get(error.reason, "")
    fitting = error.metadata.get(fact, "")
    if len(sent) < 2 or not (fitting.isascii() and fitting.isdigit()):
        return False
    # Always less than was sent, so that trying comes to an end.
    if error.reason == "REQUEST_TOO_LARGE":
        options.max_bytes = min(int(fitting), counted_bytes(sent) - 1, options.max_bytes)
    else:
        options.max_events = max(1, min(int(fitting), len(sent) - 1, options.max_events))
    return True
