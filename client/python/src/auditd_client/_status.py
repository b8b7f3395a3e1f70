"""From a failed gRPC call to the one error that says what to do next."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from auditd_client import errors
from auditd_client.errors import ClientError, Violation

ERROR_DOMAIN = "auditd"

_DETAILS_TRAILER = "grpc-status-details-bin"
_EVENT_PATH = re.compile(r"\bevents\[(\d+)\]", re.ASCII)

_CLASSES: dict[grpc.StatusCode, type[ClientError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidRequestError,
    grpc.StatusCode.OUT_OF_RANGE: errors.InvalidRequestError,
    grpc.StatusCode.NOT_FOUND: errors.NotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: errors.ConflictError,
    grpc.StatusCode.ABORTED: errors.ConflictError,
    grpc.StatusCode.FAILED_PRECONDITION: errors.PreconditionError,
    grpc.StatusCode.UNAUTHENTICATED: errors.UnauthenticatedError,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDeniedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.ExhaustedError,
    grpc.StatusCode.UNAVAILABLE: errors.UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceededError,
    grpc.StatusCode.DATA_LOSS: errors.DamagedLogError,
    grpc.StatusCode.CANCELLED: errors.ServerError,
    grpc.StatusCode.INTERNAL: errors.ServerError,
    grpc.StatusCode.UNIMPLEMENTED: errors.ServerError,
    grpc.StatusCode.UNKNOWN: errors.ServerError,
}

_REASON_CLASSES: dict[str, type[ClientError]] = {"LOG_BEHIND_CALLER": errors.LogBehindCallerError}

_M = TypeVar("_M", bound=Message)


def error_from_rpc(failure: Any) -> ClientError:  # noqa: ANN401 - grpc has no types
    """Return the error for a failed call, `grpc.RpcError` or `grpc.aio.AioRpcError`.

    The class follows the status code, or the reason where that says more. An UNAVAILABLE without
    ErrorInfo was made by gRPC on this side, so it means that no server answered.
    """
    code: grpc.StatusCode = failure.code()
    status = _status_details(failure.trailing_metadata() or ())
    info = _detail(status, error_details_pb2.ErrorInfo)
    bad_request = _detail(status, error_details_pb2.BadRequest)
    retry_info = _detail(status, error_details_pb2.RetryInfo)
    of_server = info is not None and info.domain == ERROR_DOMAIN
    reason = info.reason if info is not None and of_server else ""
    made = _REASON_CLASSES.get(reason) or _CLASSES.get(code, errors.ServerError)
    if made is errors.UnavailableError and not of_server:
        made, reason = errors.UnreachableError, "UNREACHABLE"
    return made(
        failure.details() or code.name,
        reason=reason,
        code=code.name,
        metadata=dict(info.metadata) if info is not None else None,
        violations=[
            Violation(violation.field, violation.description)
            for violation in (bad_request.field_violations if bad_request is not None else ())
        ],
        retry_after_s=None if retry_info is None else retry_info.retry_delay.ToNanoseconds() / 1e9,
    )


def shift_event_paths(error: ClientError, offset: int) -> None:
    """Make each path `events[i]` in `error` count from the caller's first event.

    The server counts within the batch that it was sent, whose first event is the caller's event
    number `offset`.
    """
    if offset == 0:
        return
    shift: Callable[[str], str] = lambda text: _EVENT_PATH.sub(  # noqa: E731 - one expression, used thrice
        lambda match: f"events[{int(match[1]) + offset}]", text
    )
    error.message = shift(error.message)
    error.metadata = {name: shift(value) for name, value in error.metadata.items()}
    error.violations = tuple(Violation(shift(v.field), v.description) for v in error.violations)


def _status_details(trailers: Any) -> status_pb2.Status:  # noqa: ANN401 - grpc has no types
    for name, value in trailers:
        if name == _DETAILS_TRAILER:
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                # The code and message stand without details; a proxy may have cut the trailer.
                break
    return status_pb2.Status()


def _detail(status: status_pb2.Status, kind: type[_M]) -> _M | None:
    found = kind()
    for detail in status.details:
        if detail.Is(kind.DESCRIPTOR):
            try:
                detail.Unpack(found)
            except DecodeError:
                return None
            return found
    return None
