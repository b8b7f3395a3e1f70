"""The one table from errors to gRPC status, with the details that AIP-193 asks for."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from auditd.errors import (
    AuditdError,
    CallerError,
    ConflictError,
    DamagedError,
    ExhaustedError,
    FolderError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    RequestError,
    RetryError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedError,
)

DOMAIN = "auditd"
_DETAILS_KEY = "grpc-status-details-bin"
_MAX_TEXT_BYTES = 1_024
_MAX_DETAILS_BYTES = 6_000

# Most specific first: the first class that fits gives the code.
CODES: tuple[tuple[type[AuditdError], grpc.StatusCode], ...] = (
    (ConflictError, grpc.StatusCode.ALREADY_EXISTS),
    (InvalidRequestError, grpc.StatusCode.INVALID_ARGUMENT),
    (NotFoundError, grpc.StatusCode.NOT_FOUND),
    (PreconditionError, grpc.StatusCode.FAILED_PRECONDITION),
    (UnsupportedError, grpc.StatusCode.UNIMPLEMENTED),
    (RequestError, grpc.StatusCode.INVALID_ARGUMENT),
    (UnauthenticatedError, grpc.StatusCode.UNAUTHENTICATED),
    (PermissionDeniedError, grpc.StatusCode.PERMISSION_DENIED),
    (CallerError, grpc.StatusCode.PERMISSION_DENIED),
    (ExhaustedError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (UnavailableError, grpc.StatusCode.UNAVAILABLE),
    (RetryError, grpc.StatusCode.UNAVAILABLE),
    (DamagedError, grpc.StatusCode.DATA_LOSS),
    (FolderError, grpc.StatusCode.FAILED_PRECONDITION),
)


def code_of(error: AuditdError) -> grpc.StatusCode:
    """Return the gRPC code for an error; INTERNAL for a class that the table does not know."""
    return next((code for kind, code in CODES if isinstance(error, kind)), grpc.StatusCode.INTERNAL)


def status_of(error: AuditdError) -> tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]]:
    """Return code, message and trailing metadata for an error."""
    code = code_of(error)
    message = _cut(error.message)
    facts = error.facts
    if isinstance(error, InvalidRequestError) and "limit" not in facts:
        limits = (violation.limit for violation in error.violations)
        facts = {**next(filter(None, limits), {}), **facts}
    metadata = {key: _cut(value) for key, value in facts.items()}
    details: list[Any] = [ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)]
    if isinstance(error, InvalidRequestError) and error.violations:
        details.append(_bad_request(error))
    if isinstance(error, RetryError):
        delay = Duration()
        delay.FromMilliseconds(int(error.retry_after_s * 1_000))
        details.append(RetryInfo(retry_delay=delay))
    status = Status(code=code.value[0], message=message, details=[_packed(detail) for detail in details])
    return code, message, ((_DETAILS_KEY, status.SerializeToString()),)


def _bad_request(error: InvalidRequestError) -> BadRequest:
    """List violations until the trailer would grow beyond what HTTP/2 peers accept."""
    detail = BadRequest()
    for violation in error.violations:
        detail.field_violations.add(
            field=_cut(violation.field), description=_cut(violation.description), reason=error.reason
        )
        if detail.ByteSize() > _MAX_DETAILS_BYTES:
            del detail.field_violations[-1]
            break
    return detail


def _packed(detail: Any) -> AnyMessage:  # noqa: ANN401 -- one of three message classes
    packed = AnyMessage()
    packed.Pack(detail)
    return packed


def _cut(text: str) -> str:
    data = text.encode(errors="backslashreplace")
    return text if len(data) <= _MAX_TEXT_BYTES else data[:_MAX_TEXT_BYTES].decode(errors="ignore") + "…"
