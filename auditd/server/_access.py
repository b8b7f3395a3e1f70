"""Reading is seen (promise 7): reads and refusals as entries of `access`, durable before the answer leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from auditd.errors import AuditdError, UnavailableError
from auditd.log import Recorded, Submission
from auditd.server._caller import CallContext
from auditd.server._own_events import DENIED, OwnEvents, cut
from auditd.server._strangers import Strangers, StrangersByKey

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


class Reading:
    """A read that goes on: what it shows is counted, and the counts are entries. Belongs to the event loop's thread."""

    def __init__(self, submit: Callable[[Mapping[str, Any]], Submission]) -> None:
        self._submit = submit
        self._count = 0
        self._lowest: int | None = None
        self._highest = 0
        self.counted_since = time.monotonic()
        self.error: AuditdError | None = None
        """Why a count could not be recorded: nothing more may then be shown."""

    def add(self, indexes: Sequence[int]) -> None:
        """Count entries shown, in ascending order."""
        if indexes:
            self._count += len(indexes)
            self._lowest = indexes[0] if self._lowest is None else min(self._lowest, indexes[0])
            self._highest = max(self._highest, indexes[-1])

    async def record(self, record: Record) -> None:
        """Write what was counted since the last time, if anything was; what could not be written stays counted."""
        self.counted_since = time.monotonic()
        if self._lowest is None:
            return
        count, lowest, highest = self._count, self._lowest, self._highest
        self._count, self._lowest, self._highest = 0, None, 0
        try:
            await record(self._submit({"count": count, "lowest_index": lowest, "highest_index": highest}))
        except AuditdError as error:
            self._count += count
            self._lowest = lowest if self._lowest is None else min(self._lowest, lowest)
            self._highest = max(self._highest, highest)
            self.error = _unrecordable(error)


class AccessRecorder:
    """Records reads and refusals. Belongs to the event loop's thread.

    An act alike to one whose entry is durable is counted; the count is an entry itself within ten seconds.
    Recording never causes a further record.
    """

    def __init__(self, own_events: OwnEvents, record: Record) -> None:
        self._own_events = own_events
        self._record = record
        self._windows: dict[tuple[object, ...], _Window] = {}
        self._strangers = StrangersByKey()
        self._readings: set[Reading] = set()
        self._closing: set[asyncio.Task[Any]] = set()

    async def read(
        self,
        caller: CallContext,
        method: str,
        log: str,
        ip: str,
        about: Mapping[str, Any] | None = None,
        entries: Span | None = None,
    ) -> None:
        """Return once a read, of certain entries or not, is recorded; `about` says what was asked for, as JSON can.

        Raises UnavailableError `AUDIT_UNRECORDABLE` if it cannot be.
        """
        key, submit = self._alike(caller, method, log, ip, about or {})
        await self._count(key, submit, _named(entries), entries)

    async def begin(
        self, caller: CallContext, method: str, log: str, ip: str, about: Mapping[str, Any], first: Mapping[str, Any]
    ) -> Reading:
        """Return a read that goes on, once its start, which alone says `first`, is recorded; `end` it in any case.

        Raises as `read` does.
        """
        key, submit = self._alike(caller, method, log, ip, about)
        await self._count(key, submit, first, None)
        reading = Reading(submit)
        self._readings.add(reading)
        return reading

    def end(self, reading: Reading) -> None:
        """Record what a read has shown and was not recorded yet."""
        self._readings.discard(reading)
        self._later(reading.record(self._record))

    def _alike(
        self, caller: CallContext, method: str, log: str, ip: str, about: Mapping[str, Any]
    ) -> tuple[tuple[object, ...], Callable[[Mapping[str, Any]], Submission]]:
        """Return what makes reads alike, and what makes their entries."""

        def submit(more: Mapping[str, Any]) -> Submission:
            return self._own_events.by_caller(caller, f"log.{method}", {**about, **more}, log=log, ip=ip)

        return (caller.caller.credential_id, method, log, orjson.dumps(about)), submit

    async def refused(
        self, caller: CallContext | None, method: str, log: str, ip: str, error: AuditdError, claimed: str
    ) -> None:
        """Return once the refusal is recorded; raises as `read` does.

        `claimed` is the subject that a refused token claims. Refusals without a caller are counted by address and
        reason, and the count names the subjects that were claimed.
        """
        about: dict[str, Any] = {"method": method, "message": cut(error.message)}
        strangers: Strangers | None = None
        if caller is None:
            key, strangers = self._strangers.find(ip, error.reason)
            strangers.add(ip, claimed, method)
            if claimed:
                about["claimed_subject"] = claimed
        else:
            key = (caller.caller.credential_id, method, log, error.reason)

        def submit(more: Mapping[str, Any]) -> Submission:
            if more and strangers is not None:
                said = {**strangers.totals(), **more}
                return self._refusal(None, said, error, "", "" if strangers.together else ip)
            return self._refusal(caller, {**about, **more}, error, log, ip)

        await self._count(key, submit, {}, None)

    def _refusal(
        self, caller: CallContext | None, attributes: Mapping[str, Any], error: AuditdError, log: str, ip: str
    ) -> Submission:
        return self._own_events.by_caller(
            caller, "call.refuse", attributes, log=log, outcome=DENIED, reason=error.reason, ip=ip
        )

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
            raise _unrecordable(error) from error

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
            self._strangers.end(key)
            if window.count:
                self._later(self._record(window.submit(window.totals())))
        for reading in self._readings:
            if now - reading.counted_since >= min_age_s:
                self._later(reading.record(self._record))

    def _later(self, work: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _named(entries: Span | None) -> dict[str, int]:
    """Return which entries were read, as attributes."""
    if entries is None:
        return {}
    lowest, highest = entries
    return {"index": lowest} if lowest == highest else {"lowest_index": lowest, "highest_index": highest}


def _unrecordable(error: AuditdError) -> UnavailableError:
    return UnavailableError(
        "AUDIT_UNRECORDABLE", f"the call cannot be recorded, so it is not answered: {error.message}"
    )
