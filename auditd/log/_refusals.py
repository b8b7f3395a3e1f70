"""What callers are told whose events could not be recorded."""

from __future__ import annotations

from auditd.errors import AuditdError, DamagedError, UnavailableError


def not_recorded(message: str, cause: Exception | None = None) -> UnavailableError:
    """Return the error of events that are certainly not recorded."""
    error = UnavailableError("NOT_RECORDED", message, 1.0, {"recorded": "no"})
    error.__cause__ = cause
    return error


def refusal(cause: Exception, *, in_doubt: bool) -> AuditdError:
    """Return the error of events that a commit failed with; `in_doubt` tells that they may be recorded."""
    recorded = "unknown" if in_doubt else "no"
    if isinstance(cause, DamagedError):
        cause.facts["recorded"] = recorded
        return cause
    if not in_doubt:
        return not_recorded(f"the log cannot be written: {cause}", cause)
    error = UnavailableError("COMMIT_FAILED", f"the commit failed: {cause}", 1.0, {"recorded": recorded})
    error.__cause__ = cause
    return error
