"""Errors of the client and the verifier as a person reads them: what, why, and what to do."""

from __future__ import annotations

from collections.abc import Callable

from auditd_client import errors
from auditd_client.cli._errors import CommandError, ExitStatus
from auditd_client.verify import VerificationError

_STATUSES: tuple[tuple[type[Exception], ExitStatus], ...] = (
    (errors.RequestError, ExitStatus.REFUSED),
    (errors.SettingsError, ExitStatus.REFUSED),
    (errors.OutputError, ExitStatus.REFUSED),
    (errors.CallerError, ExitStatus.UNREACHABLE),
    (errors.RetryError, ExitStatus.UNREACHABLE),
    (errors.ServerError, ExitStatus.UNREACHABLE),
    (errors.EvidenceError, ExitStatus.NO),
    (VerificationError, ExitStatus.NO),
)

# The first class that fits gives the advice.
_ADVICE: tuple[tuple[type[Exception], str], ...] = (
    (errors.UnauthenticatedError, "get a fresh token and give it as AUDITLOG_TOKEN or --token-file"),
    (errors.PermissionDeniedError, "ask the operator for a role that holds this permission"),
    (errors.UnreachableError, "check --address, --ca and --insecure, and that the server is running"),
    (errors.ConflictError, "give the event another id"),
    (errors.RetryError, "try again later: nothing is recorded twice"),
    (errors.EvidenceError, "keep this output and your checkpoints, and ask the operator"),
    (errors.ServerError, "report it to the operator"),
)


def status_of(error: Exception) -> ExitStatus:
    """Return the exit status that an error ends with; one that nobody foresaw is a defect."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), ExitStatus.DEFECT)


def explain(error: Exception, locate: Callable[[str], str] = str) -> CommandError:
    """Return any error as lines for stderr and an exit status.

    `locate` turns text that names a field by its path in the request, such as `events[3].time`, into text
    that names the place it was read from.
    """
    status = status_of(error)
    if status is ExitStatus.DEFECT:
        return CommandError(f"defect: {type(error).__name__}: {error}; please report it", status=status)
    if not isinstance(error, errors.ClientError):
        return CommandError(str(error), status=status)
    message = error.message
    if isinstance(error, errors.UnreachableError):
        # gRPC names every address it tried, and last what went wrong.
        message = f"no server answers: {message.rpartition('last error: ')[2]}"
    lines = [f"{locate(violation.field)}: {violation.description}" for violation in error.violations]
    if not lines or not any(violation.description in message for violation in error.violations):
        lines.append(locate(message))
    lines[-1] += f" ({error.reason})" if error.reason else ""
    advice = next((text for kind, text in _ADVICE if isinstance(error, kind)), None)
    lines[-1] += f"; {advice}" if advice else ""
    return CommandError(*lines, status=status)
