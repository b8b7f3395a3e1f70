"""Room for what takes a while: so many at a time, and so many of one caller."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from auditd.errors import ExhaustedError
from auditd.server._caller import CallContext


@dataclass(slots=True)
class Room:
    """Belongs to the event loop's thread.

    `what` names them in messages, `limit` and `limit_per_caller` are the settings that hold `most` and
    `most_per_caller`.
    """

    what: str
    reason: str
    limit: str
    most: int
    limit_per_caller: str
    most_per_caller: int
    retry_after_s: float = 5.0
    _taken: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def taken(self) -> int:
        """How many there are."""
        return self._taken.total()

    @contextmanager
    def of(self, caller: CallContext) -> Iterator[None]:
        """Take room for one; raise ExhaustedError where there is none."""
        name = (caller.caller.issuer, caller.caller.subject)
        self._require(self.limit, self.most, self._taken.total())
        self._require(self.limit_per_caller, self.most_per_caller, self._taken[name])
        self._taken[name] += 1
        try:
            yield
        finally:
            self._taken[name] -= 1
            if not self._taken[name]:
                del self._taken[name]

    def _require(self, limit: str, most: int, taken: int) -> None:
        if taken >= most:
            message = f"{taken} {self.what} are under way, {limit} is {most}; try again when one has ended"
            raise ExhaustedError(self.reason, message, self.retry_after_s, {"limit": limit, "value": str(most)})
