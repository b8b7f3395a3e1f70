"""The closed logs before one in its chain, where names of events are looked up as well (promise 5)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auditd.log._log import Log


class Predecessors:
    """Closed logs, oldest first, whose entries are counted backwards from those of the log that goes on.

    To that log, -1 is the last entry of its predecessor, and so on to the first entry of all. Any thread may use it.
    """

    def __init__(self, logs: Sequence[Log] = ()) -> None:
        self.logs = tuple(logs)
        self.count()

    def count(self) -> None:
        """Learn how many entries each log has; again once that is known to be another number."""
        self.size = sum(log.size for log in self.logs)
        """How many entries they have together."""
        self._starts = [0, *accumulate(log.size for log in self.logs)]
        # Keys begin with the event's time, so soon no new one can be among these.
        self._highest_key = max((log.highest_key for log in self.logs), default=b"")

    def find(self, keys: Sequence[bytes]) -> dict[bytes, int]:
        """Return the place, below 0, of each of `keys` that is recorded in one of the logs."""
        wanted = [key for key in keys if key <= self._highest_key]
        found: dict[bytes, int] = {}
        for log, start in zip(self.logs, self._starts, strict=False):
            if wanted:
                found |= {key: start + index - self.size for key, index in log.find_keys(wanted).items()}
        return found

    def place(self, index: int) -> tuple[Log, int]:
        """Return the log that holds an entry below 0, and the index of the entry there."""
        position = index + self.size
        number = bisect_right(self._starts, position) - 1
        return self.logs[number], position - self._starts[number]

    def leaf(self, index: int) -> bytes:
        """Return the bytes of an entry below 0, verified as `Log.leaf` does."""
        log, own_index = self.place(index)
        return log.leaf(own_index)

    def signature_hash(self, credential: bytes) -> bytes | None:
        """Return the hash of the signature of a token that one of the logs names."""
        for log in self.logs:
            if (found := log.signature_hash(credential)) is not None:
                return found
        return None
