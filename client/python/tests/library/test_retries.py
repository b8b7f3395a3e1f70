"""When a call is made again, without any call being made."""

import pytest

from auditd_client import RetryPolicy, errors
from auditd_client._flow import Call, Deadline, Pause, call
from auditd_proto.v1.audit_log_service_pb2 import ListLogsRequest


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def flow(clock):
    return call("ListLogs", ListLogsRequest(), Deadline.after(10, clock), RetryPolicy(random=lambda: 1.0))


def test_returns_the_response_of_the_first_try(flow):
    assert next(flow) == Call("ListLogs", ListLogsRequest(), 10)
    with pytest.raises(StopIteration) as end:
        flow.send("response")
    assert end.value.value == "response"


def test_every_try_has_only_the_time_that_is_left(flow, clock):
    next(flow)
    clock.now_s += 4
    assert flow.throw(errors.UnavailableError("busy")) == Pause(0.1)
    clock.now_s += 0.5
    assert flow.send(None).timeout_s == pytest.approx(5.5)


def test_no_try_begins_after_the_deadline(flow, clock):
    next(flow)
    clock.now_s += 9.9
    with pytest.raises(errors.UnavailableError):
        flow.throw(errors.UnavailableError("busy"))


def test_a_deadline_that_has_passed_leaves_no_time_at_all(clock):
    deadline = Deadline.after(1, clock)
    clock.now_s += 5
    assert deadline.remaining_s() == 0


@pytest.mark.parametrize(
    ("error", "pause_s"),
    [
        pytest.param(errors.UnavailableError("x"), 0.8, id="unavailable"),
        pytest.param(errors.UnreachableError("x"), 0.8, id="unreachable"),
        pytest.param(errors.DeadlineExceededError("x"), 0.8, id="deadline of the server"),
        pytest.param(errors.UnavailableError("x", retry_after_s=3), 3.6, id="unavailable for a time"),
        pytest.param(errors.ExhaustedError("x", retry_after_s=0), 0, id="exhausted for no time"),
        pytest.param(errors.ExhaustedError("x"), None, id="exhausted for good"),
        pytest.param(errors.InvalidRequestError("x", retry_after_s=1), None, id="invalid"),
        pytest.param(errors.ConflictError("x"), None, id="conflict"),
        pytest.param(errors.UnauthenticatedError("x"), None, id="unauthenticated"),
        pytest.param(errors.LogBehindCallerError("x"), None, id="log behind caller"),
        pytest.param(errors.DamagedLogError("x"), None, id="damaged log"),
        pytest.param(errors.ServerError("x"), None, id="failed server"),
    ],
)
def test_only_what_may_pass_by_itself_is_tried_again(error, pause_s):
    assert RetryPolicy(random=lambda: 1.0).pause_s(error, 4) == (None if pause_s is None else pytest.approx(pause_s))


@pytest.mark.parametrize(("random", "shares"), [(0.0, [0, 0]), (0.5, [0.05, 2.5]), (1.0, [0.1, 5])])
def test_pauses_are_spread_at_random(random, shares):
    policy = RetryPolicy(random=lambda: random)
    assert [policy.pause_s(errors.UnavailableError("x"), n) for n in (1, 10_000)] == pytest.approx(shares)
