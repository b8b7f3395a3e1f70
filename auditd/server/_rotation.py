"""Closing a log and starting its successor while the server runs."""

from __future__ import annotations

import asyncio
import time

from auditd.errors import PreconditionError, UnavailableError
from auditd.identity import is_system
from auditd.log import Log
from auditd.server._chain import Chain, Link
from auditd.server._clock import Clock
from auditd.server._config import Config
from auditd.server._indexes import Indexes
from auditd.server._logs import Logs
from auditd.server._succeed import chain_to_succeed, require_reason, succeed

DRAIN_S = 10.0
_POLL_S = 0.002


class Rotation:
    """Rotates logs, one at a time. Belongs to the event loop's thread."""

    def __init__(self, config: Config, logs: Logs, indexes: Indexes, clock: Clock) -> None:
        self._config = config
        self._logs = logs
        self._indexes = indexes
        self._clock = clock
        self._one = asyncio.Lock()

    async def rotate(self, name: str, reason: str) -> Chain:
        """Have a successor go on for the log of a name; return the chain, whose newest log that is.

        One that holds nothing but its first entry is not succeeded: so the same call again makes no second successor.
        Appends wait meanwhile, as `LOG_ROTATING` has callers try again. What began is brought to its end, also where
        the caller goes away. Raises InvalidRequestError, NotFoundError, PreconditionError for what is asked wrongly.
        """
        require_reason(reason)
        # By the event loop, not by the caller: a log must not be left half way.
        return await asyncio.shield(asyncio.ensure_future(self._rotate(name, reason)))

    async def _rotate(self, name: str, reason: str) -> Chain:
        async with self._one:
            chain = chain_to_succeed(self._logs, name)
            before = chain.newest
            if is_system(chain.name):
                raise PreconditionError(
                    "NEEDS_STOP",
                    f"log {chain.name!r} records what the server does, so it is closed while none runs: stop the"
                    f" server, run auditlog log succeed DIR {chain.name} --reason TEXT, and start it again",
                    {"log": chain.name},
                )
            before.require_open()
            if len(chain.logs) > 1 and before.size == 1:
                return chain
            before.pause(lambda: _rotating(chain, "is being closed; try again", 0.2))
            try:
                after, link = await asyncio.to_thread(self._succeed, chain, before, reason)
            except BaseException:
                # Once the successor has its name the log is closed, whatever this process knows of it.
                if not self._logs.has_successor_folder(chain):
                    before.pause(None)
                raise
            self._logs.publish(chain, after, link)
            await asyncio.to_thread(self._retire, before)
            return chain

    def _retire(self, before: Log) -> None:
        self._logs.retire(before)
        self._indexes.seal(before)

    def _succeed(self, chain: Chain, before: Log, reason: str) -> tuple[Log, Link]:
        ends_at = time.monotonic() + DRAIN_S
        while any(before.waiting):
            if time.monotonic() > ends_at:
                raise _rotating(chain, "has too much to record; try later", 5.0)
            time.sleep(_POLL_S)
        if before.problem:
            # After a failed commit nobody knows what reached the disk, so nobody knows where the log would end.
            raise _rotating(chain, f"cannot be closed now: {before.problem}; try later", 5.0)
        succeed(self._config, self._logs, chain, reason, (), self._clock)
        after, link = self._logs.open_successor(chain)
        try:
            after.start()
        except BaseException:
            after.close()
            raise
        self._indexes.open([after])
        return after, link


def _rotating(chain: Chain, what: str, retry_after_s: float) -> UnavailableError:
    return UnavailableError("LOG_ROTATING", f"log {chain.name!r} {what}", retry_after_s, {"recorded": "no"})
