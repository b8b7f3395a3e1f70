"""Reading is seen (promise 7): reads and refusals as entries of `access`, durable before the answer leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from auditd.errors import AuditdError, UnavailableError
from auditd.log import Recorded, Submission
from auditd.server._caller import CallContext
from auditd.server._own_events import DENIED, OwnEvents, cut

WINDOW_S = 5.0
SWEEP_S = 1.0
MAX_WINDOWS = 10_000

Record = Callable[[Submission], Awaitable[Recorded]]
Span = tuple[int, int]
"""Lowest and highest index of entries."""


@dataclass(slots=True)
class _Window:
    """What is counted together: acts alike, after one whose entry is durable."""

    durable: asyncio.Task[Recorded]
    submit: Callable[[Mapping[str, Any]], Submission]
    opened_at: float
    count: int = 0
    first_index: int | None = None
    last_index: int | None = None

    def failed(self) -> bool:
        """Whether the entry that opened the window could not be written."""
        durable = self.durable
        return durable.done() and (durable.cancelled() or durable.exception() is not None)

    def add(self, entries: Span | None) -> None:
        """Count one more act, on these entries if there are any."""
        self.count += 1
        if entries is not None:
            lowest, highest = entries
            self.first_index = lowest if self.first_index is None else min(self.first_index, lowest)
            self.last_index = highest if self.last_index is None else max(self.last_index, highest)

    def totals(self) -> dict[str, Any]:
        """Return what the entry that closes the window says."""
        totals: dict[str, Any] = {"count": self.count}
        if self.first_index is not None:
            totals |= {"lowest_index": self.first_index, "highest_index": self.last_index}
        return totals


class AccessRecorder:
    """Records reads and refusals. Belongs to the event loop's thread.

    An act alike to one whose entry is durable is counted; the count is an entry itself within ten seconds.
    Recording never causes a further record.
    """

    def __init__(self, own_events: OwnEvents, record: Record) -> None:
        self._own_events = own_events
        self._record = record
        self._windows: dict[tuple[object, ...], _Window] = {}
        self._closing: set[asyncio.Task[Recorded]] = set()

    async def read(
        self,
        caller: CallContext,
        method: str,
        log: str,
        ip: str,
        *,
        filter_text: str | None = None,
        credential: str | None = None,
        entries: Span | None = None,
    ) -> None:
        """Return once a read, of certain entries or not, is recorded.

        Raises UnavailableError `AUDIT_UNRECORDABLE` if it cannot be.
        """
        key = (caller.caller.credential_id, method, log, filter_text, credential)
        about: dict[str, Any] = {} if filter_text is None else {"filter": cut(filter_text)}
        if credential is not None:
            about["credential"] = credential

        def submit(more: Mapping[str, Any]) -> Submission:
            return self._own_events.by_caller(caller, f"log.{method}", {**about, **more}, log=log, ip=ip)

        await self._count(key, submit, _named(entries), entries)

    async def refused(
        self, caller: CallContext | None, method: str, log: str, ip: str, error: AuditdError, claimed: str
    ) -> None:
        """Return once the refusal is recorded; raises as `read` does."""
        subject = caller.caller.credential_id if caller else ip
        key = (subject, method, log, error.reason, caller is None)
        about: dict[str, Any] = {"method": method, "message": cut(error.message)}
        if claimed:
            about["claimed_subject"] = claimed

        def submit(more: Mapping[str, Any]) -> Submission:
            return self._own_events.by_caller(
                caller, "call.refuse", {**about, **more}, log=log, outcome=DENIED, reason=error.reason, ip=ip
            )

        await self._count(key, submit, {}, None)

    async def _count(
        self,
        key: tuple[object, ...],
        submit: Callable[[Mapping[str, Any]], Submission],
        first: Mapping[str, Any],
        entries: Span | None,
    ) -> None:
        window = self._windows.get(key)
        if window is None or window.failed():
            if len(self._windows) >= MAX_WINDOWS:
                self._close_windows(0.0)
            durable = asyncio.ensure_future(self._record(submit(first)))
            window = self._windows[key] = _Window(durable, submit, time.monotonic())
        elif window.durable.done():
            window.add(entries)
            return
        else:
            window.add(entries)
        try:
            # Shielded: a caller that goes away must not take the others' record with it.
            await asyncio.shield(window.durable)
        except AuditdError as error:
            self._windows.pop(key, None)
            raise UnavailableError(
                "AUDIT_UNRECORDABLE", f"the call cannot be recorded, so it is not answered: {error.message}"
            ) from error

    async def run(self) -> None:
        """Write the counts of windows as they end, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self._close_windows(WINDOW_S)

    async def close(self) -> None:
        """Write what is still only counted."""
        self._close_windows(0.0)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _close_windows(self, min_age_s: float) -> None:
        now = time.monotonic()
        ended = [key for key, window in self._windows.items() if now - window.opened_at >= min_age_s]
        for key in ended:
            window = self._windows.pop(key)
            if window.count:
                task = asyncio.ensure_future(self._record(window.submit(window.totals())))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)


def _named(entries: Span | None) -> dict[str, int]:
    """Return which entries were read, as attributes."""
    if entries is None:
        return {}
    lowest, highest = entries
    return {"index": lowest} if lowest == highest else {"lowest_index": lowest, "highest_index": highest}
