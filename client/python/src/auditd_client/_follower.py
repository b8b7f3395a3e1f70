"""Following a log: what to ask for, what must hold of each message, and when to ask again; without any I/O."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NoReturn

from auditd_client._flow import RetryPolicy
from auditd_client._history import History
from auditd_client._model import Entry
from auditd_client._patience import Patience
from auditd_client._receipts import stated_size
from auditd_client.errors import (
    ClientError,
    LogBehindCallerError,
    PreconditionError,
    ServerError,
)
from auditd_client.verify import Checkpoint, open_closing, verify_entry
from auditd_proto.v1 import audit_log_service_pb2 as pb

HEARTBEAT_S = 5


class Follower:
    """Where a tail stands, through all the streams that it takes.

    With `history` every checkpoint must extend the one before, across streams too, and every entry be in the tree of
    the checkpoint that came with it. Without it the messages must still follow one another without gap or repeat.

    - `refreshes_token`: whether another stream may carry another token.
    - `timeout_s`: how long the first message may take, all tries included.
    """

    silence_s = 3.0 * HEARTBEAT_S
    is_complete = False

    def __init__(
        self,
        log: str,
        query_filter: str,
        from_index: int | None,
        *,
        history: History | None,
        retry: RetryPolicy,
        timeout_s: float,
        refreshes_token: bool,
    ) -> None:
        self._log = log
        self._filter = query_filter
        self._history = history
        self._known: Checkpoint | None = None
        self._origin = ""
        self._has_moved = self._moves_on = False
        self._patience = Patience(retry, timeout_s, refreshes_token=refreshes_token, endless=True)
        self.next_index = from_index
        self.checkpoint: str | None = None

    def request(self) -> pb.TailRequest:
        """Return what the next stream asks for."""
        self._patience.stream_begins()
        if self._history is not None and self._known is None:
            self._known = self._history.borrow()
            self._history.give_back(self._known)
        known_size = None if self._history is None else 0 if self._known is None else self._known.size
        return pb.TailRequest(
            log=self._log,
            filter=self._filter,
            from_index=self.next_index,
            known_size=known_size,
            include_proofs=self._history is not None,
            heartbeat_s=HEARTBEAT_S,
            origin=self._origin,
        )

    def receive(self, message: pb.TailResponse) -> list[Entry]:
        """Return the entries of a message that was found to follow the one before.

        Raises ServerError if it does not.
        Raises HistoryRewrittenError, VerificationError if its checkpoint or an entry does not verify.
        """
        self._require_continuous(message)
        if self._history is not None:
            checkpoint = self._history.extend(self._known, message.checkpoint, message.consistency_proof)
            for entry in message.entries:
                verify_entry(entry.leaf, entry.index, entry.inclusion_proof, checkpoint)
            self._known = checkpoint
        self.next_index, self.checkpoint = message.next_index, message.checkpoint
        self._origin = message.checkpoint.partition("\n")[0]
        self._patience.message_came(has_news=bool(message.entries))
        origin = self._origin if self._has_moved else ""
        entries = [Entry(entry.index, entry.leaf, origin=origin) for entry in message.entries]
        if message.successor:
            self._move_on(message.successor, message.closing)
        return entries

    def _move_on(self, successor: str, note: str) -> None:
        """Go on with the log that succeeds the one followed, which was closed; that it does, the closed log signed."""
        if self._history is not None:
            closing = open_closing(note, self._history.key)
            if closing.successor != successor:
                _malformed(f"the tail goes on with {successor!r}, the closed log signed for {closing.successor!r}")
            self._history = History(closing.successor_key)
        self._log = self._log.partition("~")[0]
        self._origin, self.next_index, self._known = successor, 0, None
        self._has_moved = self._moves_on = True

    def _require_continuous(self, message: pb.TailResponse) -> None:
        first, end = message.first_index, message.next_index
        if self.next_index is not None and first != self.next_index:
            _malformed(f"the tail goes on at {first}, where {self.next_index} was to come")
        indexes = [entry.index for entry in message.entries]
        if not ascend(indexes, first, end):
            _malformed(f"the tail's entries do not ascend from {first} to {end}")
        if not self._filter and len(indexes) != end - first:
            _malformed(f"the tail leaves out entries between {first} and {end}")
        if self._origin and not message.checkpoint.startswith(f"{self._origin}\n"):
            _malformed(f"the tail's checkpoint is not of {self._origin!r}")
        if stated_size(message.checkpoint) < end:
            _malformed(f"the tail's checkpoint does not reach to {end}")

    def pause_after(self, error: ClientError) -> float:
        """Return the seconds to wait before the next stream; raise the error that ended the last if none would do."""
        if self._moves_on:
            self._moves_on = False
            return 0.0
        if isinstance(error, PreconditionError) and error.reason == "BEYOND_HEAD" and self._patience.has_begun:
            raise LogBehindCallerError(
                error.message, reason=error.reason, code=error.code, metadata=error.metadata
            ) from error
        if isinstance(error, LogBehindCallerError) and self._known is not None:
            error.known = self._known.note
        return self._patience.pause_after(error)


def ascend(indexes: Sequence[int], first: int, end: int) -> bool:
    """Whether all of them lie in `[first, end)`, each above the one before."""
    bounds = [first - 1, *indexes, end]
    return first <= end and all(low < high for low, high in pairwise(bounds))


def _malformed(message: str) -> NoReturn:
    raise ServerError(message, reason="MALFORMED_RESPONSE")
