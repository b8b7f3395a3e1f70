"""An export: what to ask for, what must hold of each message, and when to ask again; without any I/O."""

from __future__ import annotations

from typing import NoReturn

from auditd_client._entry_tokens import entry_of
from auditd_client._flow import RetryPolicy
from auditd_client._follower import ascend
from auditd_client._history import History
from auditd_client._model import Entry
from auditd_client._patience import Patience
from auditd_client._receipts import stated_size
from auditd_client.errors import ClientError, ServerError
from auditd_proto.v1 import audit_log_service_pb2 as pb


class Exporting:
    """Where an export stands, through all the streams that it takes.

    Messages must follow one another without gap or repeat, all in one tree; with `history` the checkpoint of that
    tree is verified. `resume_token` goes on with an export that an earlier reader began.
    """

    silence_s = 60.0

    def __init__(
        self,
        log: str,
        query_filter: str,
        *,
        no_index: bool,
        resume_token: str,
        history: History | None,
        retry: RetryPolicy,
        timeout_s: float,
        refreshes_token: bool,
        verify_tokens: bool,
    ) -> None:
        self._request = pb.ExportRequest(
            log=log, filter=query_filter, no_index=no_index, resume_token=resume_token, verify_tokens=verify_tokens
        )
        self._history = history
        self._patience = Patience(retry, timeout_s, refreshes_token=refreshes_token, endless=False)
        self.next_index: int | None = None if resume_token else 0
        self.tree_size: int | None = None
        self.checkpoint = ""

    @property
    def resume_token(self) -> str:
        """From where to go on after the messages received so far; empty before the first."""
        return self._request.resume_token

    @property
    def is_complete(self) -> bool:
        """Whether everything was received."""
        return self.tree_size is not None and self.next_index == self.tree_size

    def request(self) -> pb.ExportRequest:
        """Return what the next stream asks for."""
        self._patience.stream_begins()
        return self._request

    def receive(self, message: pb.ExportResponse) -> list[Entry]:
        """Return the entries of a message that was found to follow the one before.

        Raises ServerError if it does not.
        Raises HistoryRewrittenError, VerificationError if the checkpoint does not verify.
        """
        self._require_continuous(message)
        if message.checkpoint:
            self._take_checkpoint(message)
        self.next_index, self.tree_size = message.next_index, message.tree_size
        self._request.resume_token = message.resume_token
        self._patience.message_came(has_news=True)
        return [entry_of(entry) for entry in message.entries]

    def pause_after(self, error: ClientError) -> float:
        """Return the seconds to wait before the next stream; raise the error that ended the last if none would do."""
        return self._patience.pause_after(error)

    def _require_continuous(self, message: pb.ExportResponse) -> None:
        first, end = message.first_index, message.next_index
        if self.next_index is not None and first != self.next_index:
            _malformed(f"the export goes on at {first}, where {self.next_index} was to come")
        if self.tree_size is not None and message.tree_size != self.tree_size:
            _malformed(f"the export changes from a tree of {self.tree_size} to one of {message.tree_size}")
        indexes = [entry.index for entry in message.entries]
        if not ascend(indexes, first, end) or end > message.tree_size:
            _malformed(f"the export's entries do not ascend from {first} to {end} of {message.tree_size}")
        if not self._request.filter and len(indexes) != end - first:
            _malformed(f"the export leaves out entries between {first} and {end}")
        if not message.resume_token:
            _malformed("the export says not from where to go on")

    def _take_checkpoint(self, message: pb.ExportResponse) -> None:
        if stated_size(message.checkpoint) != message.tree_size:
            _malformed(f"the export's checkpoint is not of its tree of {message.tree_size}")
        if self._history is not None:
            known = self._history.borrow()
            try:
                self._history.check(known, message.checkpoint)
            finally:
                self._history.give_back(known)
        self.checkpoint = message.checkpoint


def _malformed(message: str) -> NoReturn:
    raise ServerError(message, reason="MALFORMED_RESPONSE")
