"""When to ask again for a stream that ended too early; without any I/O."""

from __future__ import annotations

from dataclasses import replace

from auditd_client._flow import Deadline, RetryPolicy
from auditd_client.errors import ClientError, ServerError, UnauthenticatedError, UnreachableError


class Patience:
    """How long one reader goes on asking, through all the streams that it takes.

    - `timeout_s`: how long the first message may take, all tries included; if not `endless`, each later one too.
    - `refreshes_token`: whether another stream may carry another token.
    - `endless`: whether a reader that has begun waits for as long as it takes.
    """

    def __init__(self, retry: RetryPolicy, timeout_s: float, *, refreshes_token: bool, endless: bool) -> None:
        self._retry = retry
        self._timeout_s = timeout_s
        self._deadline = Deadline.after(timeout_s)
        self._refreshes_token = refreshes_token
        self._endless = endless
        self._attempts = 0
        self._messages = 0  # of the present stream
        self.has_begun = False

    def stream_begins(self) -> None:
        """Note that another stream is asked for."""
        self._messages = 0

    def message_came(self, *, has_news: bool) -> None:
        """Note a message that was found good; one without news may be all that a failing server still sends."""
        self.has_begun = True
        self._messages += 1
        self._deadline = Deadline.after(self._timeout_s)
        if has_news or self._messages > 1:
            self._attempts = 0

    def pause_after(self, error: ClientError) -> float:
        """Return the seconds to wait before the next stream; raise the error that ended the last if none would do.

        What may pass by itself is waited for: a server that is away, and with a token that is asked for anew an old
        one.
        """
        self._attempts += 1
        if isinstance(error, UnauthenticatedError) and self._refreshes_token and self._messages:
            return 0.0
        if self.has_begun and isinstance(error, ServerError) and error.code == "CANCELLED":
            # How gRPC on this side names a stream whose connection went away, or that was silent for too long.
            error = UnreachableError(error.message, reason="UNREACHABLE", code=error.code)
        is_endless = self.has_begun and self._endless
        policy = replace(self._retry, max_attempts=None) if is_endless else self._retry
        pause_s = policy.pause_s(error, self._attempts)
        if pause_s is None or (not is_endless and pause_s >= self._deadline.remaining_s()):
            raise error
        if not is_endless:
            policy.waits(error, pause_s)
        return pause_s
