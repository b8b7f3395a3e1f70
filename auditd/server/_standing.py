"""Whether the caller of an open stream may still read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

AUTHORIZE_S = 3.0
"""A caller is asked for again at least this often: its token expires, its certificate too."""
LOOK_S = 0.5
"""Who has a stream open looks at least this often, also while its reader takes nothing."""


class Standing:
    """What a stream's caller may do, as it changes: asked again when anything that decides changed, else in time.

    `authorize` MUST raise once the caller may no longer read. `version` MUST change with the issuers' keys and the
    revocations. Belongs to the event loop's thread.
    """

    def __init__(
        self,
        authorize: Callable[[], object],
        version: Callable[[], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._authorize = authorize
        self._version_now = version
        self._clock = clock
        self._version = version()
        self._asked_at = clock()

    def require(self) -> None:
        """Raise what `authorize` raises, if it is to be asked again."""
        version, now = self._version_now(), self._clock()
        if version == self._version and now - self._asked_at < AUTHORIZE_S:
            return
        self._version, self._asked_at = version, now
        self._authorize()


async def written(writing: Awaitable[None], standing: Standing) -> None:
    """Wait until a message was taken, or the caller may read no longer: it may be slow to take what was sent."""
    task = asyncio.ensure_future(writing)
    try:
        while not (await asyncio.wait({task}, timeout=LOOK_S))[0]:
            standing.require()
    except BaseException:
        task.cancel()
        raise
    await task
