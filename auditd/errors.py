"""Every error that auditd raises on purpose, by what the caller should do next.

AuditdError
├── RequestError                 fix the request
│   ├── InvalidRequestError      a field is wrong: `violations` names it
│   │   └── ConflictError        the event name is taken by another event
│   ├── NotFoundError            no such log or entry
│   ├── PreconditionError        the log's state does not allow it
│   └── UnsupportedError         the server has no such method, or does not take what is sent in such a form
├── CallerError                  get another token, or another permission
│   ├── UnauthenticatedError
│   └── PermissionDeniedError
├── RetryError                   the same call may succeed later
│   ├── ExhaustedError           slow down; `retry_after_s` says how long
│   └── UnavailableError         `recorded` says what became of an append
├── DamagedError                 stop: the evidence contradicts itself; `facts` hold both sides
└── FolderError                  the operator must act: a server folder or its configuration is unfit
    └── ConfigError              settings break rules: `violations` names each
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_POSITIONS = re.compile(r"\[\d+\]")
_LIMIT = re.compile(r", limit (\d[\d^-]*)\Z")


@dataclass(frozen=True, slots=True)
class Violation:
    """A field that breaks a rule.

    `field` is a path such as `events[3].actor.id`; `description` gives rule and value. One that is a limit comes last,
    as in `300 bytes, limit 256`.
    """

    field: str
    description: str

    @property
    def limit(self) -> dict[str, str]:
        """What the limit is called and its value, as facts of an error; empty if the rule is none."""
        found = _LIMIT.search(self.description)
        return {"limit": _POSITIONS.sub("", self.field), "value": found[1]} if found else {}


class AuditdError(Exception):
    """An error with a stable machine-readable `reason` (`[A-Z][A-Z0-9_]+`) and string `facts`."""

    def __init__(self, reason: str, message: str, facts: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.facts: dict[str, str] = dict(facts or {})

    def __reduce__(self) -> tuple[object, ...]:
        """Pass from one process to another as it is, whatever a class was given to be made of."""
        return _made_again, (type(self), self.message, vars(self))


def _made_again(kind: type[AuditdError], message: str, state: Mapping[str, object]) -> AuditdError:
    error = kind.__new__(kind, message)
    vars(error).update(state)
    return error


class RequestError(AuditdError):
    """The request must change."""


class InvalidRequestError(RequestError):
    """Fields of the request break rules."""

    def __init__(
        self,
        reason: str,
        message: str,
        violations: Sequence[Violation] = (),
        facts: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(reason, message, facts)
        self.violations = tuple(violations)


class NotFoundError(RequestError):
    """What the request names does not exist."""


class ConflictError(InvalidRequestError):
    """The event name is taken by another event; `facts["index"]` is where that one stands."""


class PreconditionError(RequestError):
    """The log's state does not allow the request."""


class UnsupportedError(RequestError):
    """The server has no such method, or takes nothing in the form in which the request was sent."""


class CallerError(AuditdError):
    """The caller is not known, or not allowed."""


class UnauthenticatedError(CallerError):
    """The token is missing or does not verify."""


class PermissionDeniedError(CallerError):
    """The token verifies, but grants no permission for this."""


class RetryError(AuditdError):
    """The same call may succeed later, after `retry_after_s` seconds."""

    def __init__(
        self,
        reason: str,
        message: str,
        retry_after_s: float = 1.0,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(reason, message, facts)
        self.retry_after_s = retry_after_s


class ExhaustedError(RetryError):
    """A queue or a limit is full."""


class UnavailableError(RetryError):
    """The service cannot answer now; `facts["recorded"]` is `no` or `unknown` for an append."""


class DamagedError(AuditdError):
    """The evidence contradicts itself or what was signed."""


class FolderError(AuditdError):
    """A server folder, its keys or its configuration are unfit; the message says what to do."""


class ConfigError(FolderError):
    """Settings break rules. `lines` describe every mistake, a line each; `violations` name the settings."""

    def __init__(self, reason: str, lines: Sequence[str], violations: Sequence[Violation] = ()) -> None:
        super().__init__(reason, "\n".join(lines))
        self.lines = tuple(lines)
        self.violations = tuple(violations)
