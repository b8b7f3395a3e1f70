"""What the synchronous client has proven."""

from __future__ import annotations

from collections.abc import Iterable

from auditd_client._calling import Calling
from auditd_client._flows import entries_request, range_request
from auditd_client._model import (
    CheckpointResult,
    ConsistencyProof,
    EntriesProof,
    EventName,
    InclusionProof,
)


class Proving(Calling):
    """Has entries proven to be in the log, and the log to have grown."""

    def prove(
        self,
        index: int | None = None,
        *,
        event_name: EventName | None = None,
        tree_size: int | None = None,
        log: str | None = None,
        timeout_s: float | None = None,
    ) -> InclusionProof:
        """Return the proof that an entry, named by index or by event name, is in the log.

        - `index`: the entry's index.
        - `event_name`: the name of its event, instead of the index.
        - `tree_size`: size of the tree to prove it in; that of the checkpoint returned if absent.
        - `log`: name of the log; the client's own if absent.
        - `timeout_s`: seconds for the call.

        Raises ValueError unless exactly one of `index` and `event_name` is given.
        Raises NotFoundError if the log has no such entry.
        Raises ClientError as `auditd_client.errors` shows.
        """
        return self._run(
            self._flows.prove_inclusion(self._log_name(log), index, event_name, tree_size, self._timeout(timeout_s))
        )

    def prove_range(
        self,
        first: int,
        last: int,
        *,
        tree_size: int | None = None,
        log: str | None = None,
        timeout_s: float | None = None,
    ) -> EntriesProof:
        """Return the proof of all entries from `first` up to, but without, `last`; read them with `query`.

        - `tree_size`: size of the tree to prove them in; that of the checkpoint returned if absent.
        - `log`: name of the log; the client's own if absent.
        - `timeout_s`: seconds for the call.

        Raises InvalidRequestError if the range is empty or not within the tree.
        Raises ClientError as `auditd_client.errors` shows.
        """
        request = range_request(self._log_name(log), first, last, tree_size)
        return self._run(self._flows.prove_entries(request, self._timeout(timeout_s)))

    def prove_entries(
        self,
        ranges: Iterable[tuple[int, int]],
        *,
        tree_size: int | None = None,
        within: tuple[int, int] | None = None,
        log: str | None = None,
        timeout_s: float | None = None,
    ) -> EntriesProof:
        """Return one proof of all entries of several ranges `(first, last)`, without `last`, ascending.

        - `ranges`: the entries, at most 1,000 ranges.
        - `tree_size`: size of the tree to prove them in; that of the checkpoint returned if absent.
        - `within`: entries, `ranges` among them, to stay within. So a proof of more ranges comes in pieces, each cut
          beside a proven entry; their hashes joined are the whole.
        - `log`: name of the log; the client's own if absent.
        - `timeout_s`: seconds for the call.

        Raises InvalidRequestError if a range is empty, out of order or not within the tree.
        Raises ClientError as `auditd_client.errors` shows.
        """
        request = entries_request(self._log_name(log), ranges, tree_size, within)
        return self._run(self._flows.prove_entries(request, self._timeout(timeout_s)))

    def leaf_hashes(
        self, first: int, last: int, *, log: str | None = None, timeout_s: float | None = None
    ) -> tuple[bytes, ...]:
        """Return the leaf hashes of the entries from `first` up to, but without, `last`; at most 65,536.

        Nothing vouches for them; `auditd_client.verify.verify_entries` holds them against a proof that leaves them out.

        Raises InvalidRequestError if the range is empty, too long or not within the tree.
        Raises ClientError as `auditd_client.errors` shows.
        """
        return self._run(self._flows.leaf_hashes(self._log_name(log), first, last, self._timeout(timeout_s)))

    def prove_consistency(
        self,
        from_size: int,
        to_size: int | None = None,
        *,
        log: str | None = None,
        timeout_s: float | None = None,
    ) -> ConsistencyProof:
        """Return the proof that the tree of `to_size`, the current one if absent, extends `from_size`.

        Raises InvalidRequestError if the sizes are out of order or beyond the tree.
        Raises ClientError as `auditd_client.errors` shows.
        """
        return self._run(
            self._flows.prove_consistency(self._log_name(log), from_size, to_size, self._timeout(timeout_s))
        )

    def checkpoint(
        self,
        known_size: int | None = None,
        *,
        log: str | None = None,
        timeout_s: float | None = None,
    ) -> CheckpointResult:
        """Return the log's current signed note, with the proof from `known_size` if that is given.

        Raises LogBehindCallerError, HistoryRewrittenError if the log lost what it had recorded.
        Raises ClientError as `auditd_client.errors` shows.
        """
        return self._run(self._flows.checkpoint(self._log_name(log), known_size, self._timeout(timeout_s)))
