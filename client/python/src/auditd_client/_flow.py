"""Calls as plain generators: what to send, when to wait, when to try again, without any I/O.

Both clients run the same flows; they differ only in how they make a call and how they wait.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from google.protobuf.message import Message

from auditd_client.errors import ClientError, DeadlineExceededError, ExhaustedError, UnavailableError

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Call:
    """Make this unary call within `timeout_s`; send the response in, or throw a `ClientError` in."""

    method: str
    request: Message
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for `seconds`; send None in."""

    seconds: float


Flow: TypeAlias = Generator[Call | Pause, Any, _T]


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on `clock`, in seconds, by which everything must be done."""

    at_s: float
    clock: Callable[[], float]

    @classmethod
    def after(cls, timeout_s: float, clock: Callable[[], float] = time.monotonic) -> Deadline:
        """Return the deadline `timeout_s` seconds from now."""
        return cls(clock() + timeout_s, clock)

    def remaining_s(self) -> float:
        """Return the seconds left, never less than 0."""
        return max(0.0, self.at_s - self.clock())


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and after which pause a call is made again.

    The pause before try n+1 is random between 0 and `min(max_s, initial_s * multiplier ** (n-1))`,
    or what the server asked for, plus up to a fifth, so that callers sent away together do not come
    back together. Trying ends with the call's deadline, or after `max_attempts` tries.

    `waits` is told of each error that is waited out, and of the seconds; it is called in any thread.
    """

    initial_s: float = 0.1
    multiplier: float = 2.0
    max_s: float = 5.0
    max_attempts: int | None = None
    random: Callable[[], float] = random.random
    waits: Callable[[ClientError, float], None] = lambda _error, _pause_s: None

    def pause_s(self, error: ClientError, attempts: int) -> float | None:
        """Return the seconds to wait after `attempts` tries, or None if another would be no use.

        Only what may pass by itself is tried again: an unavailable server, a deadline that the
        server kept shorter than ours, and an exhausted one if it said when to come back.
        """
        may_pass = isinstance(error, UnavailableError | DeadlineExceededError) or (
            isinstance(error, ExhaustedError) and error.retry_after_s is not None
        )
        if not may_pass or (self.max_attempts is not None and attempts >= self.max_attempts):
            return None
        if error.retry_after_s is not None:
            return error.retry_after_s * (1 + self.random() / 5)
        # The exponent is capped because a float overflows long before a patient caller gives up.
        ceiling_s = min(self.max_s, self.initial_s * self.multiplier ** min(attempts - 1, 64))
        return self.random() * ceiling_s


def call(method: str, request: Message, deadline: Deadline, policy: RetryPolicy) -> Flow[Any]:
    """Make one call, again where `policy` says so, and return its response.

    Raises ClientError the last try's error, as soon as no further try can end before `deadline`.
    """
    attempts = 0
    while True:
        try:
            return (yield Call(method, request, deadline.remaining_s()))
        except ClientError as error:
            attempts += 1
            pause_s = policy.pause_s(error, attempts)
            if pause_s is None or pause_s >= deadline.remaining_s():
                raise
            policy.waits(error, pause_s)
        yield Pause(pause_s)
