"""The keys of one issuer as they change: asked for in time, once at a time, and never believed for too long."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from auditd.errors import AuditdError, UnavailableError
from auditd.identity._http import FetchError
from auditd.identity._issuer import Issuer, IssuerConfig
from auditd.identity._jwks import KeySet
from auditd.identity._key_sources import KeySource
from auditd.identity._strict import shown

FIRST_RETRY_S = 5
LAST_RETRY_S = 300
MISSING_FACTOR = 5
"""An unknown `kid` is not asked for again for this many times the source's `min_age_s`."""
MAX_MISSING = 1_000
MAX_WAITING = 1_000
CLOCK_TOLERANCE_S = 60

_logger = logging.getLogger(__name__)

Apply = Callable[[Issuer], Awaitable[None]]
"""Trusts an issuer with the keys it has now. It MUST return only when what it records of them is durable, and leave
everything as it was where it raises AuditdError."""


class KeyRotation:
    """Keeps the keys of one issuer fresh. Belongs to the event loop's thread.

    - A set is asked for again when its source says so.
    - A token by an unknown key has it asked for at once, at most once in `source.min_age_s` for all such tokens, and
      those that come meanwhile wait for that one attempt. A name that was not found is not asked for again for a while.
    - Keys that are absent from a fresh set are trusted no longer.
    - Through failures the last good set is used, for `config.jwks_max_stale_s`; then none.

    `clock` gives seconds that never go back.
    """

    def __init__(
        self,
        issuer: Issuer,
        source: KeySource,
        apply: Apply,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config: IssuerConfig = issuer.config
        self._source = source
        self._apply = apply
        self._clock = clock
        self._key_set: KeySet | None = issuer.key_set  # what is trusted
        self._last_set = issuer.key_set  # what was good last, be it too old by now
        self._good_at = clock()
        self._due_at = clock()
        self._asked_at = float("-inf")  # for an unknown key, the last time
        self._missing: OrderedDict[str, float] = OrderedDict()
        self._attempt: asyncio.Task[bool] | None = None
        self._waiting = 0
        self._failures = 0
        self._told = ""
        self._clocks_differ = False

    async def run(self) -> None:
        """Keep the keys fresh until cancelled."""
        while True:
            await asyncio.sleep(max(0.0, self.next_step_at - self._clock()))
            try:
                await self.step()
            except Exception:
                # A defect must not end this: the keys would be trusted for ever.
                _logger.exception("issuer %s: its keys could not be kept fresh", shown(self._config.issuer))
                await asyncio.sleep(FIRST_RETRY_S)

    @property
    def next_step_at(self) -> float:
        """When, by the clock, `step` has something to do."""
        if self._key_set is None:
            return self._due_at
        return min(self._due_at, self._stale_at)

    async def step(self) -> None:
        """Ask for the keys if that is due; let go of those that are too old."""
        try:
            if self._clock() >= self._due_at:
                await self._ask()
        finally:
            if self._key_set is not None and self._clock() >= self._stale_at:
                self._warn(f"no good keys for {self._config.jwks_max_stale_s} s, so its tokens are refused")
                await self._trust(None)

    async def learn(self, kid: str | None) -> bool:
        """Return whether a token by an unknown key may be tried again, having asked for newer keys if that is allowed.

        Raises UnavailableError: `ISSUER_UNAVAILABLE`, when they could not be had just now, or too many wait for them.
        """
        name, now = kid or "", self._clock()
        if self._missing.get(name, now) > now:
            return False
        if self._attempt is None:
            if now < self._asked_at + self._source.min_age_s:
                return False
            self._asked_at = now
        if self._waiting >= MAX_WAITING:
            raise self._unavailable("too many wait for its keys")
        before = self._key_set
        self._waiting += 1
        try:
            good = await self._ask()
        finally:
            self._waiting -= 1
        if not good:
            raise self._unavailable("its keys could not be had")
        if self._key_set is not None and kid is not None and self._key_set.names(kid):
            return True
        self._remember_missing(name)
        return self._key_set is not before

    def close(self) -> None:
        """Give up an attempt under way."""
        if self._attempt is not None:
            self._attempt.cancel()

    @property
    def _stale_at(self) -> float:
        return self._good_at + self._config.jwks_max_stale_s

    async def _ask(self) -> bool:
        """Return whether the keys are fresh now, after one attempt that all who ask at the same time share."""
        if self._attempt is None:
            self._attempt = asyncio.ensure_future(self._attempt_once())
            self._attempt.add_done_callback(self._attempt_ended)
        # Shielded: a caller that goes away must not end what the others wait for.
        return await asyncio.shield(self._attempt)

    def _attempt_ended(self, _: asyncio.Task[bool]) -> None:
        self._attempt = None

    async def _attempt_once(self) -> bool:
        try:
            fetched = await self._source.fetch()
            key_set = fetched.key_set or self._last_set
            if key_set != self._key_set:
                await self._trust(key_set)
            self._last_set = key_set
        except (FetchError, AuditdError) as error:
            retry_s = min(FIRST_RETRY_S << min(self._failures, 8), LAST_RETRY_S, self._config.jwks_max_age_s)
            self._failures += 1
            self._due_at = self._clock() + retry_s
            self._warn(str(error))
            return False
        self._failures, self._told = 0, ""
        self._good_at = self._clock()
        self._due_at = self._good_at + fetched.next_in_s
        self._compare_clocks(fetched.clock_ahead_s)
        return True

    async def _trust(self, key_set: KeySet | None) -> None:
        issuer = Issuer(self._config, key_set)
        await self._apply(issuer)
        self._key_set = key_set
        self._missing.clear()
        tell_unused_keys(issuer)

    def _remember_missing(self, name: str) -> None:
        self._missing[name] = self._clock() + MISSING_FACTOR * self._source.min_age_s
        if len(self._missing) > MAX_MISSING:
            self._missing.popitem(last=False)

    def _compare_clocks(self, ahead_s: float | None) -> None:
        differ = ahead_s is not None and abs(ahead_s) > CLOCK_TOLERANCE_S
        if ahead_s is not None and differ and not self._clocks_differ:
            side = "ahead of" if ahead_s > 0 else "behind"
            self._warn(f"its clock is {abs(ahead_s):.0f} s {side} ours, so tokens may be refused; set the wrong one")
        self._clocks_differ = differ

    def _warn(self, problem: str) -> None:
        """Tell the operator, once for the same problem in a row."""
        if problem != self._told:
            self._told = problem
            _logger.warning("issuer %s: %s: %s", shown(self._config.issuer), self._config.key_source, problem)

    def _unavailable(self, problem: str) -> UnavailableError:
        message = f"issuer {shown(self._config.issuer)}: {problem}, so this token cannot be judged now"
        return UnavailableError("ISSUER_UNAVAILABLE", message, FIRST_RETRY_S)


def tell_unused_keys(issuer: Issuer) -> None:
    """Warn of every key of an issuer that will verify no token, and why."""
    for problem in issuer.ignored_keys:
        _logger.warning("issuer %s: key not used: %s", shown(issuer.config.issuer), problem)
