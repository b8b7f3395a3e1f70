"""Errors of the client and the verifier as a person reads them: what, why, and what to do."""

from __future__ import annotations

from collections.abc import Callable

from auditd_client import errors
from auditd_client.cli._errors import CommandError, ExitStatus
from auditd_client.cli._other_log import other_log_advice
from auditd_client.cli._output import note
from auditd_client.verify import VerificationError, WrongLogError

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

_FRESH = "get a fresh one, and give it as AUDITLOG_TOKEN or --token-file"
_WHOLE = "look whether all of the token is there, and nothing else"
_AS_EXPECTED = "ask the operator what tokens this server expects"
_ADVICE_BY_REASON = {
    "TOKEN_MISSING": "give a token as AUDITLOG_TOKEN or --token-file",
    "TOKEN_EXPIRED": _FRESH,
    "TOKEN_REPLAYED": _FRESH,
    "TOKEN_UNKNOWN_KEY": f"{_FRESH}: its issuer may have changed its keys",
    "TOKEN_MALFORMED": _WHOLE,
    "TOKEN_BAD_SIGNATURE": _WHOLE,
    "TOKEN_NOT_YET_VALID": "compare the clocks of its issuer and the server",
    "TOKEN_SENDER_CONSTRAINED": "call with the certificate that it is bound to: --certificate and --private-key",
    "TOKEN_REVOKED": "ask the operator, who can read that entry",
    "REVOKES_CALLER": "if that is meant, add --include-caller",
} | dict.fromkeys(
    (
        "TOKEN_ALGORITHM",
        "TOKEN_TYPE",
        "TOKEN_UNKNOWN_ISSUER",
        "TOKEN_WRONG_AUDIENCE",
        "TOKEN_LIFETIME",
        "TOKEN_CLAIMS",
    ),
    _AS_EXPECTED,
)

# Where the reason gives none, the first class that fits gives the advice.
_ADVICE: tuple[tuple[type[Exception], str], ...] = (
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
        remedy = other_log_advice(error, asks_server=True) if isinstance(error, WrongLogError) else ""
        return CommandError(f"{error}; {remedy}" if remedy else str(error), status=status)
    message = _message(error)
    # A refused filter is shown with a caret below the place, both behind what begins every line.
    place = message.split("\n")[1:3] if error.reason == "INVALID_FILTER" else []
    message = message.partition("\n")[0] if place else message
    lines = [f"{locate(violation.field)}: {violation.description}" for violation in error.violations]
    if not lines or not any(violation.description in message for violation in error.violations):
        lines.append(locate(message))
    lines[-1] += f" ({error.reason})" if error.reason else ""
    advice = _ADVICE_BY_REASON.get(error.reason)
    advice = advice or next((text for kind, text in _ADVICE if isinstance(error, kind)), None)
    lines[-1] += f"; {advice}" if advice else ""
    return CommandError(*lines, *place, status=status)


class Waiting:
    """Says once of each problem that a call waits for it to pass, so that nobody wonders at the silence.

    To be told of each; `patience_s` is how long calls go on trying. Pauses of less than a second are only told of
    where the call goes on for long.
    """

    def __init__(self, patience_s: float, *, is_long: bool) -> None:
        self._patience_s = patience_s
        self._is_long = is_long
        self._said: set[str] = set()

    def __call__(self, error: errors.ClientError, pause_s: float) -> None:
        """Note that a call failed and is to be tried again after `pause_s` seconds."""
        reason = f" ({error.reason})" if error.reason else ""
        problem = f"{_message(error)}{reason}"
        if problem in self._said or not (self._is_long or pause_s >= 1):
            return
        self._said.add(problem)
        note(f"auditlog: {problem}; trying again for up to {self._patience_s:g} s")


def _message(error: errors.ClientError) -> str:
    if isinstance(error, errors.UnreachableError):
        # gRPC names every address it tried, and last what went wrong.
        return f"no server answers: {error.message.rpartition('last error: ')[2]}"
    return error.message
