"""The synchronous client."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import Any

from auditd_client._connection import named_events
from auditd_client._events import EventLike
from auditd_client._model import AppendResult, Entry, LogInfo, Receipt
from auditd_client._proving import Proving
from auditd_client._searching import Searching
from auditd_client._stream import Stream
from auditd_client.verify import Credential


class Client(Searching, Proving):
    """Appends to the logs of one server, reads them and has them proven. Safe to use from several threads.

    Every call is retried while its deadline lasts, where that can help and is safe: an event keeps
    the id and time it has or is given before the first try, so it is recorded once.

    With `key` every checkpoint received is verified, and each `append` and `checkpoint` asks for the
    proof that the log still extends what was verified before. Receipts that bring leaf and proof are
    verified against the events sent, inclusion proofs against their checkpoint. What does not hold
    raises `HistoryRewrittenError` or a `VerificationError` of `auditd_client.verify`.

    - `address`: `HOST:PORT`. Plaintext is used on loopback without `ca` and `certificate` only.
    - `token`: the JWT, or a function that returns it, called before each try; it may refresh it.
    - `log`: name of the log that methods use unless told otherwise.
    - `key`: verifier key of `log`, or of several logs by name.
    - `known`: signed note of a checkpoint of `log` verified earlier; see `newest_checkpoint`.
    - `ca`: PEM certificates to trust, as bytes or path of a file; those of the system if absent.
    - `certificate`: PEM certificate chain for mutual TLS, with its `private_key`.
    - `private_key`: PEM private key.
    - `insecure`: whether to send plaintext, the token included, to any address.
    - `timeout_s`: seconds for a call, all its tries included.
    - `retry`: pauses between tries.
    - `sleep`: waits for a number of seconds.

    Raises SettingsError if address, certificates or their combination are unfit.
    Raises VerificationError if `key` or `known` is malformed.
    """

    def append(
        self,
        events: EventLike | Iterable[EventLike],
        *,
        log: str | None = None,
        return_leaves: bool = False,
        include_proofs: bool = False,
        known_size: int | None = None,
        timeout_s: float | None = None,
    ) -> AppendResult:
        """Record one event, or several in order; return when all are durable.

        An event is an `Event` or a mapping, see `event_from_dict`; without id or time it is given
        them, an `Event` in place. Up to 1,000 events and 4 MiB are recorded all or nothing, fewer where
        the server's `max_batch_events`, `max_request_bytes` or `max_response_bytes` say so; more
        are sent one batch after the other, and those before a refused one stay recorded.

        - `events`: what to record.
        - `log`: name of the log; the client's own if absent.
        - `return_leaves`: whether receipts bring the entries' exact bytes.
        - `include_proofs`: whether receipts bring inclusion proofs.
        - `known_size`: size of a tree to prove the log's growth from; needless with `key`.
        - `timeout_s`: seconds for all of it.

        Raises InvalidRequestError with the paths of the fields at fault, such as `events[3].time`.
        Raises ConflictError if an event's name is taken by another event.
        Raises LogBehindCallerError, HistoryRewrittenError if the log lost what it had recorded.
        Raises ClientError as `auditd_client.errors` shows.
        """
        options = self._append_options(log, return_leaves, include_proofs, timeout_s, known_size)
        return self._run(self._flows.append(named_events(events), options))

    def record(self, action: str, **members: Any) -> Receipt:  # noqa: ANN401 - as event_from_dict
        """Record one event from its `action` and the other members of `event_from_dict`.

        Raises ClientError as `append`.
        """
        return self.append({"action": action, **members}).receipts[0]

    def append_stream(
        self,
        events: Iterable[EventLike | None],
        *,
        log: str | None = None,
        return_leaves: bool = False,
        include_proofs: bool = False,
        max_in_flight: int = 4,
        timeout_s: float | None = None,
    ) -> Iterator[Receipt]:
        """Record any number of events and yield their receipts in the same order.

        Nothing is read or sent before the result is iterated. Up to `max_in_flight` full batches
        are under way at once, so events of different batches may be recorded in another order than
        they were given. A None among the events says that the next one may be long in coming: what
        is gathered is sent, and its receipts are yielded before `events` is read further.

        At the first failure the rest is not sent; later batches already under way may be recorded.
        Name the events beforehand (`name_event`, `event_from_dict`), and the same stream can be
        sent again.

        Raises ClientError as `append`; paths count from the first event of the stream.
        """
        options = self._append_options(log, return_leaves, include_proofs, timeout_s)
        stream = Stream(self._flows, options)
        under_way: deque[Future[AppendResult]] = deque()
        with ThreadPoolExecutor(max_in_flight, thread_name_prefix="auditd-append") as threads:
            try:
                for event in chain(events, (None,)):
                    flow = stream.feed(event)
                    if flow is not None:
                        under_way.append(threads.submit(self._run, flow))
                    elif event is not None:
                        continue
                    while under_way and (event is None or len(under_way) >= max_in_flight or under_way[0].done()):
                        yield from under_way.popleft().result().receipts
            finally:
                for future in under_way:
                    future.cancel()

    def get(
        self, index: int, *, log: str | None = None, verify_tokens: bool = False, timeout_s: float | None = None
    ) -> Entry:
        """Return the entry at `index`, from 0; with `verify_tokens`, its tokens are verified again by the server.

        Raises NotFoundError if the log has no such entry.
        Raises ClientError as `auditd_client.errors` shows.
        """
        return self._run(self._flows.get(self._log_name(log), index, verify_tokens, self._timeout(timeout_s)))

    def credential(self, credential: bytes, *, log: str | None = None, timeout_s: float | None = None) -> Credential:
        """Return the evidence of an identity that entries name by its hash of 32 bytes.

        `auditd_client.verify.verify_credential` verifies it offline.

        Raises NotFoundError if the log has no such credential.
        Raises ClientError as `auditd_client.errors` shows.
        """
        return self._run(self._flows.credential(self._log_name(log), credential, self._timeout(timeout_s)))

    def logs(self, *, timeout_s: float | None = None) -> tuple[LogInfo, ...]:
        """Return the logs that the caller may use.

        Raises ClientError as `auditd_client.errors` shows.
        """
        return self._run(self._flows.logs(self._timeout(timeout_s)))
