"""A server whose clock jumps: promise 6 would be worth little if entries told another time than it was."""

from __future__ import annotations

import json
import sys
import time

import grpc
import pytest

from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.faults import jumping_clock
from tests.faults.jumping_clock import JumpingClock
from tests.providers import until
from tests.system.conftest import auditlog
from tests.system.test_observing import HTTP, configure, get, metrics, refusal_of
from tests.system.test_promises import Caller, event

DAY_S = 86_400
MONTH_S = 30 * DAY_S


@pytest.fixture
def jumping(make_server, tmp_path):
    """A server that runs, and its clock."""
    server = make_server(start=False)
    configure(server, HTTP)
    clock = JumpingClock(tmp_path / "clock")
    server.clock = lambda: time.time() + clock.off_s
    server.command = (sys.executable, jumping_clock.__file__, str(tmp_path / "clock"))
    server.start()
    return server, clock


def append(caller: Caller, sent=None) -> pb.Receipt:
    return caller.Append(pb.AppendRequest(events=[sent or event()])).receipts[0]


def entries(caller: Caller, log: str, filter_text: str) -> list[dict]:
    request = pb.QueryRequest(log=log, filter=filter_text, order=pb.ORDER_OLDEST_FIRST)
    return [json.loads(entry.leaf) for entry in caller.Query(request).entries]


def confirm(server, *flags: str):
    """Confirm the clock on the machine that has it."""
    return auditlog("clock", "confirm", str(server.folder), *flags, command=server.command)


def clock_entries(caller: Caller) -> list[str]:
    return [entry["event"]["action"] for entry in entries(caller, "control", 'action = "clock.*"')]


def test_a_suspect_clock_stops_callers_appends_alone(jumping):
    server, clock = jumping
    token = server.token("admin")
    caller = Caller(server, "admin")
    sent = event()
    first = append(caller, sent)
    clock.set(-MONTH_S, synchronized=True)
    code, info = refusal_of(lambda: append(caller))
    assert (code, info.reason, info.metadata["recorded"]) == (grpc.StatusCode.UNAVAILABLE, "CLOCK_SUSPECT", "no")
    again = append(caller, sent)
    assert (again.duplicate, again.index, again.leaf_hash) == (True, first.index, first.leaf_hash), "its first receipt"
    until(lambda: clock_entries(caller) == ["clock.suspect"])
    marked = entries(caller, "access", 'action = "log.query" AND clock = SUSPECT')
    assert marked, "reads go on, and their entries are marked"
    year_month_day = time.strftime("%Y-%m-%dT", time.gmtime())
    assert all(entry["recorded_at"] >= year_month_day for entry in marked), "with the time that is known"
    status, body = get(server, "/readyz")
    assert (status, body.startswith("not ready: the clock is not trusted: it says ")) == (503, True)
    assert metrics(server)["auditd_clock_trusted",] == 0
    shown = auditlog("status", env={"AUDITLOG_ADDRESS": server.address, "AUDITLOG_TOKEN": token})
    assert (shown.returncode, "clock: not trusted, synchronized" in shown.stdout) == (1, True)

    clock.set(0, synchronized=True)
    until(lambda: get(server, "/readyz")[0] == 200)
    assert append(caller).index == first.index + 1, "appends resume by themselves"
    until(lambda: clock_entries(caller) == ["clock.suspect", "clock.trust"])
    assert metrics(server)["auditd_clock_trusted",] == 1
    assert server.stop() == 0
    assert server.check().returncode == 0


def test_a_machine_without_a_battery_is_not_believed_until_someone_confirms_its_clock(jumping):
    server, clock = jumping
    append(Caller(server, "writer"))
    server.stop()
    clock.set(MONTH_S, synchronized=False)
    server.start()
    caller = Caller(server, "admin")
    code, info = refusal_of(lambda: append(caller))
    assert (code, info.reason) == (grpc.StatusCode.UNAVAILABLE, "CLOCK_SUSPECT")
    server.stop()
    done = confirm(server, "--output", "json")
    assert (done.returncode, json.loads(done.stdout)["taken"]) == (0, False), done.stderr
    server.start()
    assert not (server.folder / "clock-confirmed.json").exists()
    caller = Caller(server, "admin")
    sent = event()
    sent.time.FromSeconds(int(time.time() + MONTH_S))
    receipt = append(caller, sent)
    assert abs(receipt.recorded_at.seconds - (time.time() + MONTH_S)) < 300
    until(lambda: "clock.confirm" in clock_entries(caller))


def test_times_that_an_operator_overruled_do_not_make_the_next_start_suspect(jumping):
    """Entries that a wrong clock, for which the kernel vouched, dated ahead stay; nothing is recorded before them."""
    server, clock = jumping
    append(Caller(server, "writer"))
    clock.set(DAY_S, synchronized=True)
    caller = Caller(server, "admin")
    ahead = append(caller).recorded_at
    clock.set(0, synchronized=True)
    refusal_of(lambda: append(caller))
    done = confirm(server)
    assert (done.returncode, "the server trusts it" in done.stdout) == (0, True), done.stderr
    caller = Caller(server, "admin")
    after = append(caller)
    assert after.recorded_at.ToNanoseconds() == ahead.ToNanoseconds(), "never earlier than the entry before it"
    until(lambda: "clock.confirm" in clock_entries(caller))
    server.stop()
    server.start()
    assert append(Caller(server, "writer")).recorded_at.ToNanoseconds() == ahead.ToNanoseconds()
    assert server.stop() == 0
    assert server.check().returncode == 0


def test_expired_tokens_stay_expired_when_the_clock_goes_back(jumping):
    server, clock = jumping
    token = server.token("writer", ttl_s=2)
    stub = server.stub()

    def call() -> object:
        return stub.Append(pb.AppendRequest(events=[event()]), metadata=[("authorization", f"Bearer {token}")])

    call()
    clock.set(40, synchronized=True)  # a leeway of 30 s
    assert refusal_of(call)[1].reason == "TOKEN_EXPIRED"
    clock.set(-MONTH_S, synchronized=True)
    assert refusal_of(call)[1].reason in {"TOKEN_EXPIRED", "CLOCK_SUSPECT"}
