"""What both clients know: target, log, remembered histories, deadlines and retries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

from auditd_client._channel import make_target
from auditd_client._events import EventLike, event_from
from auditd_client._exporting import Exporting
from auditd_client._flow import Deadline, Flow, RetryPolicy, call
from auditd_client._flows import AppendOptions, Flows
from auditd_client._follower import Follower
from auditd_client._history import History
from auditd_client.errors import ClientError, InvalidRequestError, SettingsError, UnreachableError, Violation
from auditd_proto.v1.event_pb2 import Event

DEFAULT_TIMEOUT_S = 30.0

Pem: TypeAlias = bytes | str | Path


class Connection:
    """The part of a client that does not depend on how calls are made."""

    def __init__(
        self,
        address: str,
        *,
        log: str = "main",
        key: str | Mapping[str, str] | None = None,
        known: str | None = None,
        ca: Pem | None = None,
        certificate: Pem | None = None,
        private_key: Pem | None = None,
        insecure: bool = False,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._target = make_target(address, ca=ca, certificate=certificate, private_key=private_key, insecure=insecure)
        self._looked = False
        self._log = log
        self._timeout_s = timeout_s
        keys = {log: key} if isinstance(key, str) else dict(key or {})
        if known is not None and log not in keys:
            raise SettingsError("known: a checkpoint needs the log's key to be verified")
        self._histories = {name: History(vkey, known if name == log else None) for name, vkey in keys.items()}
        self._flows = Flows(self._histories, retry or RetryPolicy())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._target.address!r}, log={self._log!r})"

    def newest_checkpoint(self, log: str | None = None) -> str | None:
        """Return the signed note of the largest checkpoint verified so far, None if there is none.

        Kept, and given as `known` to the next client, it lets that one notice a history that was
        rewritten in between.
        """
        history = self._histories.get(self._log_name(log))
        newest = history.newest if history is not None else None
        return newest.note if newest is not None else None

    def _may_misfit(self, error: ClientError) -> TypeGuard[UnreachableError]:
        """Whether to look if the settings are why no server was reached, for trying again is then no use."""
        looked, self._looked = self._looked, self._looked or isinstance(error, UnreachableError)
        return isinstance(error, UnreachableError) and not looked

    def _log_name(self, log: str | None) -> str:
        return self._log if log is None else log

    def _timeout(self, timeout_s: float | None) -> float:
        return self._timeout_s if timeout_s is None else timeout_s

    def _call_once(self, method: str, request: Any, timeout_s: float | None) -> Flow[Any]:  # noqa: ANN401 - any message
        return call(method, request, Deadline.after(self._timeout(timeout_s)), self._flows.retry)

    def _follower(
        self, log: str, query_filter: str, from_index: int | None, timeout_s: float, refreshes_token: bool
    ) -> Follower:
        return Follower(
            log,
            query_filter,
            from_index,
            history=self._histories.get(log),
            retry=self._flows.retry,
            timeout_s=timeout_s,
            refreshes_token=refreshes_token,
        )

    def _exporting(
        self,
        log: str,
        query_filter: str,
        no_index: bool,
        verify_tokens: bool,
        resume_token: str,
        timeout_s: float,
        refreshes_token: bool,
    ) -> Exporting:
        return Exporting(
            log,
            query_filter,
            no_index=no_index,
            verify_tokens=verify_tokens,
            resume_token=resume_token,
            history=self._histories.get(log),
            retry=self._flows.retry,
            timeout_s=timeout_s,
            refreshes_token=refreshes_token,
        )

    def _append_options(
        self,
        log: str | None,
        return_leaves: bool,
        include_proofs: bool,
        timeout_s: float | None,
        known_size: int | None = None,
    ) -> AppendOptions:
        return AppendOptions(self._log_name(log), return_leaves, include_proofs, self._timeout(timeout_s), known_size)


def named_events(events: EventLike | Iterable[EventLike]) -> list[Event]:
    """Return one event, or several, as named messages.

    Raises InvalidRequestError with the path of the field, such as `events[3].actor.id`.
    """
    if isinstance(events, Event | Mapping):
        events = (events,)
    return [named_event(event, position) for position, event in enumerate(events)]


def named_event(event: EventLike, position: int) -> Event:
    """Return the event at `position` of the caller's events as a named message.

    Raises InvalidRequestError with the path of the field, such as `events[3].actor.id`.
    """
    try:
        return event_from(event)
    except InvalidRequestError as error:
        prefix = f"events[{position}]"
        raise InvalidRequestError(
            f"{prefix}.{error.message}",
            reason=error.reason,
            violations=[Violation(f"{prefix}.{v.field}", v.description) for v in error.violations],
        ) from None
