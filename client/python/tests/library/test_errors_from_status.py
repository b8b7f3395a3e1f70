"""One error for each status code, with what the server said in its details."""

import re

import grpc
import pytest
from google.rpc import error_details_pb2

from auditd_client import Violation, errors
from auditd_client._status import error_from_rpc
from auditd_client.errors import ClientError

EXPECTED = {
    "INVALID_ARGUMENT": errors.InvalidRequestError,
    "OUT_OF_RANGE": errors.InvalidRequestError,
    "NOT_FOUND": errors.NotFoundError,
    "ALREADY_EXISTS": errors.ConflictError,
    "ABORTED": errors.ConflictError,
    "FAILED_PRECONDITION": errors.PreconditionError,
    "UNAUTHENTICATED": errors.UnauthenticatedError,
    "PERMISSION_DENIED": errors.PermissionDeniedError,
    "RESOURCE_EXHAUSTED": errors.ExhaustedError,
    "UNAVAILABLE": errors.UnavailableError,
    "DEADLINE_EXCEEDED": errors.DeadlineExceededError,
    "DATA_LOSS": errors.DamagedLogError,
    "INTERNAL": errors.ServerError,
    "UNKNOWN": errors.ServerError,
    "UNIMPLEMENTED": errors.ServerError,
    "CANCELLED": errors.ServerError,
}


class FailedCall(grpc.RpcError):
    def __init__(self, code, details="", trailers=()):
        self.code = lambda: code
        self.details = lambda: details
        self.trailing_metadata = lambda: trailers


def failed(failure):
    trailers = [("x", "y"), ("grpc-status-details-bin", failure.status.SerializeToString())]
    return error_from_rpc(FailedCall(failure.code, failure.message, trailers))


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_status_code_has_its_error(service, code):
    error = failed(service.Failure(code, "what happened", "SOME_REASON", {"size": "7"}))
    assert type(error) is EXPECTED[code.name]
    assert (error.code, error.reason, error.message) == (code.name, "SOME_REASON", "what happened")
    assert error.metadata == {"size": "7"}
    assert (error.violations, error.retry_after_s) == ((), None)


def test_a_log_behind_its_caller_is_an_error_of_its_own_that_is_never_tried_again(service):
    error = failed(service.Failure(grpc.StatusCode.FAILED_PRECONDITION, reason="LOG_BEHIND_CALLER"))
    assert type(error) is errors.LogBehindCallerError
    assert not isinstance(error, errors.RetryError)


def test_reads_violations_and_when_to_come_back(service):
    violation = error_details_pb2.BadRequest.FieldViolation(field="events[3].actor.id", description="300 bytes")
    details = [error_details_pb2.BadRequest(field_violations=[violation]), service.retry_info(1.5)]
    error = failed(service.Failure(grpc.StatusCode.INVALID_ARGUMENT, "refused", "INVALID_EVENT", details=details))
    assert error.violations == (Violation("events[3].actor.id", "300 bytes"),)
    assert error.retry_after_s == 1.5
    assert str(error) == "refused; events[3].actor.id: 300 bytes"


def test_an_unavailable_that_no_server_of_ours_gave_means_that_none_was_reached(service):
    for failure in (
        service.Failure(grpc.StatusCode.UNAVAILABLE),
        service.Failure(grpc.StatusCode.UNAVAILABLE, reason="X", domain="proxy.example.com"),
    ):
        assert type(failed(failure)) is errors.UnreachableError


@pytest.mark.parametrize("trailers", [None, [("grpc-status-details-bin", b"\xff\xff")]])
def test_a_status_without_readable_details_still_has_code_and_message(trailers):
    error = error_from_rpc(FailedCall(grpc.StatusCode.INVALID_ARGUMENT, "refused", trailers))
    assert (type(error), error.message, error.reason) == (errors.InvalidRequestError, "refused", "")


def test_a_detail_that_cannot_be_read_is_left_out(service):
    failure = service.Failure(grpc.StatusCode.NOT_FOUND, details=[service.retry_info(1)])
    failure.status.details[0].value = b"\xff"
    assert failed(failure).retry_after_s is None


def test_a_status_without_message_shows_its_code():
    assert str(error_from_rpc(FailedCall(grpc.StatusCode.INTERNAL, None))) == "INTERNAL"


def test_the_tree_drawn_in_the_module_is_the_tree_of_classes():
    drawn = re.findall(r"^([│ ]*[├└]── )(\w+)", errors.__doc__, re.MULTILINE)
    parents = [ClientError]
    for branch, name in drawn:
        depth = len(branch) // 4
        made = getattr(errors, name)
        assert made.__base__ is parents[depth - 1]
        parents[depth:] = [made]
    classes = {name for name, made in vars(errors).items() if isinstance(made, type) and issubclass(made, ClientError)}
    assert {name for _, name in drawn} == classes - {"ClientError"}
