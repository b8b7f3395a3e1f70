"""Every error that this library raises on purpose, by what the caller should do next.

ClientError
├── RequestError                 fix the request
│   ├── InvalidRequestError      a field is wrong: `violations` name it
│   ├── NotFoundError            no such log or entry
│   ├── ConflictError            the event name is taken by another event
│   └── PreconditionError        the log's state does not allow it
├── CallerError                  get another token, or another permission
│   ├── UnauthenticatedError
│   └── PermissionDeniedError
├── RetryError                   the same call may succeed later; these have been retried already
│   ├── ExhaustedError           slow down
│   ├── UnavailableError         the server cannot answer now
│   │   └── UnreachableError     no server answered at all
│   └── DeadlineExceededError    no answer in time; an append may have been recorded
├── EvidenceError                stop, keep what the error holds, and ask the operator
│   ├── DamagedLogError          the server found its own evidence damaged
│   ├── LogBehindCallerError     the log is shorter than what the caller has seen of it
│   └── HistoryRewrittenError    a checkpoint contradicts one that was verified before
├── ServerError                  the server failed in an unforeseen way: report it
├── OutputError                  what was received cannot be written: make room, or name another place
└── SettingsError                address, token or certificates are unfit: fix the settings
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """A field that breaks a rule.

    `field` is a path such as `events[3].actor.id`; `description` gives rule and value.
    """

    field: str
    description: str


class ClientError(Exception):
    """What went wrong, for people (`message`) and for programs (all else).

    - `message`: text for people.
    - `reason`: stable and machine-readable, such as `EVENT_CONFLICT`; empty if the server gave
      none.
    - `code`: name of the gRPC status code, such as `INVALID_ARGUMENT`; empty if no call was made.
    - `metadata`: facts that belong to `reason`.
    - `violations`: fields that break rules.
    - `retry_after_s`: seconds after which the server asks to be called again, if it said so.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        code: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.code = code
        self.metadata: dict[str, str] = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        details = [f"{violation.field}: {violation.description}" for violation in self.violations]
        return "; ".join([self.message, *(detail for detail in details if detail not in self.message)])


class RequestError(ClientError):
    """The request must change."""


class InvalidRequestError(RequestError):
    """Fields of the request break rules; nothing was recorded."""


class NotFoundError(RequestError):
    """What the request names does not exist."""


class ConflictError(RequestError):
    """The event name (issuer, subject, id, time) is taken by another event."""


class PreconditionError(RequestError):
    """The log's state does not allow the request."""


class CallerError(ClientError):
    """The caller is not known, or not allowed."""


class UnauthenticatedError(CallerError):
    """The token is missing or does not verify."""


class PermissionDeniedError(CallerError):
    """The token verifies, but grants no permission for this."""


class RetryError(ClientError):
    """The same call, with the same events under the same names, may succeed later."""


class ExhaustedError(RetryError):
    """A queue or a limit is full."""


class UnavailableError(RetryError):
    """The server cannot answer now; `metadata["recorded"]` is `no` or `unknown` for an append."""


class UnreachableError(UnavailableError):
    """No server answered: wrong address, no network, or no common TLS."""


class DeadlineExceededError(RetryError):
    """No answer came in time; whether an append was recorded is not known."""


class EvidenceError(ClientError):
    """The log contradicts itself, or what it signed."""


class DamagedLogError(EvidenceError):
    """The server found its evidence damaged."""


class LogBehindCallerError(EvidenceError):
    """The log is shorter than the tree that the caller holds a checkpoint of.

    `known` is that checkpoint's note if this client had verified it, else empty.
    """

    known: str = ""


class HistoryRewrittenError(EvidenceError):
    """A checkpoint that the log signed does not extend one that it had signed before.

    Both notes together prove it to anyone who has the log's key.

    - `known`: the note verified before.
    - `offered`: the note that contradicts it.
    - `proof`: the consistency proof that came with `offered`, which does not hold.
    """

    def __init__(self, message: str, *, known: str, offered: str, proof: Sequence[bytes] = ()) -> None:
        super().__init__(message, reason="HISTORY_REWRITTEN")
        self.known = known
        self.offered = offered
        self.proof = tuple(proof)


class ServerError(ClientError):
    """The server failed in a way that it did not foresee."""


class OutputError(ClientError):
    """A file or folder cannot be written: the disk is full, or it holds something else."""


class SettingsError(ClientError):
    """Address, token, certificates or key are unfit; no call was made."""
