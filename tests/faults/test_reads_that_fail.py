"""A device that refuses reads is told from damage: answers say so, and go on by themselves once it gives them."""

from __future__ import annotations

import os
from collections.abc import Callable

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo

from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.faults.seeds import seeded
from tests.faults.traced import failing, starting, stop_traced, traced
from tests.system.conftest import Server, detail_of
from tests.system.test_observing import HTTP, configure, eventually, flip_a_bit, get, metrics, refusal_of
from tests.system.test_promises import Caller, event

ENTRIES = 600
LAG_OF_TIMES = ("auditd_index_lag_entries", "times", "main")
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
POINTS = range(1, 17)
"""Reads of a thread, beyond the last that one call makes of a file."""


def events(count: int = 20):
    return [event(attributes_json=f'{{"blob": "{os.urandom(100).hex()}"}}') for _ in range(count)]


FIRST = events(ENTRIES)


def inclusion(index: int) -> pb.ProveRequest:
    return pb.ProveRequest(inclusion=pb.InclusionTarget(index=index))


def oldest(**members: object) -> pb.QueryRequest:
    return pb.QueryRequest(filter='action = "user.login"', order=pb.ORDER_OLDEST_FIRST, page_size=50, **members)


CALLS: dict[str, Callable[[Caller], bool]] = {
    "get": lambda caller: caller.Get(pb.GetRequest(index=100)).entry.index == 100,
    "query": lambda caller: len(caller.Query(oldest()).entries) == 50,
    "query without index": lambda caller: len(caller.Query(oldest(no_index=True)).entries) == 50,
    "prove": lambda caller: caller.Prove(inclusion(200)).inclusion.index == 200,
    "append": lambda caller: len(caller.Append(pb.AppendRequest(events=events())).receipts) == 20,
    "the same again": lambda caller: all(
        receipt.duplicate for receipt in caller.Append(pb.AppendRequest(events=FIRST[:200])).receipts
    ),
}


def is_indexed(server: Server) -> bool:
    told = metrics(server)
    return not told["auditd_index_lag_entries", "fields", "main"] and told[LAG_OF_TIMES] < 256


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A server with some entries, which each test starts, so that nothing is in its memory."""
    server = Server.make(tmp_path_factory.mktemp("reads") / "server")
    configure(server, HTTP)
    server.start()
    Caller(server, "admin").Append(pb.AppendRequest(events=FIRST))
    assert eventually(lambda: is_indexed(server)), "which a start would else make good, by reading everything"
    assert server.stop() == 0
    yield server
    server.stop()
    assert server.check().returncode == 0


@pytest.fixture
def cold(folder):
    folder.start()
    yield folder
    assert folder.stop() == 0


def retry_after_s(call: Callable[[], object]) -> float:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return detail_of(caught.value, RetryInfo).retry_delay.ToMilliseconds() / 1_000


def test_a_device_that_refuses_all_reads_is_answered_unavailable_until_it_gives_them(cold):
    caller, process = Caller(cold, "admin"), cold.process
    with failing(cold, "pread64", "EIO", "evidence.db"):
        for name, call in CALLS.items():
            code, info = refusal_of(lambda call=call: call(caller))
            appends = name in ("append", "the same again")
            assert (code, info.reason) == (UNAVAILABLE, "NOT_RECORDED" if appends else "EVIDENCE_UNAVAILABLE"), name
            assert info.metadata.get("recorded", "") == ("no" if appends else "")
        assert retry_after_s(lambda: CALLS["get"](caller)) > 0
        assert caller.Query(pb.QueryRequest(log="access", page_size=1)).entries, "the rest goes on"
        status, body = get(cold, "/readyz")
        assert status == 503
        assert "log main cannot be read everywhere: main/evidence.db cannot be read now: its device refuses" in body
        assert get(cold, "/healthz")[0] == 200
        told = metrics(cold)
        assert told["auditd_read_failures_total", "main"] >= len(CALLS)
    assert eventually(lambda: get(cold, "/readyz") == (200, "ready\n")), "nobody has to ask, or to start it anew"
    for name, call in CALLS.items():
        assert call(caller), name
    told = metrics(cold)
    assert (told["auditd_damage_met_total",], told["auditd_ready",]) == (0, 1)
    assert cold.process is process
    assert process.poll() is None


@pytest.mark.parametrize("name", ["get", "query", "query without index", "prove"])
def test_a_read_that_is_refused_once_is_made_again(cold, name):
    with failing(cold, "pread64", "EIO", "evidence.db", "evidence.db-wal", when="1"):
        assert CALLS[name](Caller(cold, "admin"))
    assert metrics(cold)["auditd_read_failures_total", "main"] == 0


@pytest.mark.parametrize("name", ["get", "prove"])
def test_a_device_that_takes_seconds_for_a_read_holds_up_who_reads_and_nobody_else(cold, name):
    """The first such read says that it does; from then on another thread waits for it."""
    caller = Caller(cold, "admin")
    token = (("authorization", f"Bearer {cold.token('admin')}"),)
    asked = {"get": pb.GetRequest(index=300), "prove": inclusion(300)}[name]
    with (
        cold.channel() as channel,
        traced(cold, "pread64", [cold.folder / "logs/main/evidence.db"], "pread64:delay_enter=1000000"),
    ):
        assert caller.Get(pb.GetRequest(index=100)).entry.leaf
        waiting = getattr(cold.stub(), asked.DESCRIPTOR.name.removesuffix("Request")).future(asked, metadata=token)
        health = channel.unary_unary("/grpc.health.v1.Health/Check")
        for _ in range(20):
            assert health(b"", timeout=60) == b"\x08\x01"
        assert not waiting.done()
        assert waiting.result(timeout=60)


def outcome(call: Callable[[], bool]) -> object:
    try:
        return call()
    except grpc.RpcError as error:
        return error.code()


def fail_at(server: Server, name: str, when: str) -> None:
    """Have reads of a call refused: it is right or UNAVAILABLE, and goes on once nothing is refused."""
    server.start()
    try:
        caller = Caller(server, "admin")
        with failing(server, "pread64", "EIO", "evidence.db", "evidence.db-wal", when=when):
            assert outcome(lambda: CALLS[name](caller)) in (True, UNAVAILABLE)
        assert CALLS[name](caller)
        assert eventually(lambda: get(server, "/readyz") == (200, "ready\n"))
        assert metrics(server)["auditd_damage_met_total",] == 0
    finally:
        assert server.stop() == 0


EVERY = [(name, f"{number}{more}") for name in CALLS for number in POINTS for more in ("", "+")]


def test_some_reads_of_a_call_refused(folder):
    for name, when in seeded("reads").sample(EVERY, 3):
        fail_at(folder, name, when)


@pytest.mark.soak
@pytest.mark.parametrize(("name", "when"), EVERY)
def test_each_read_of_a_call_refused(folder, name, when):
    fail_at(folder, name, when)


def start_under(server: Server, when: str) -> tuple[int, str]:
    """Start a server whose reads of evidence are refused, and stop it if it starts; return status and what it said."""
    said = []
    with starting(server, "evidence.db", "evidence.db-wal", when=when) as process:
        for line in process.stderr:
            said.append(line)
            if "is ready on" in line:
                stop_traced(server)
    return process.returncode, "".join(said)


def test_a_start_whose_reads_are_refused_ends_and_says_so(folder):
    evidence = folder.folder / "logs/main/evidence.db"
    before = evidence.read_bytes()
    status, said = start_under(folder, "1+")
    assert (status, said.count("\n")) == (2, 2)
    assert "main/evidence.db cannot be read now: its device refuses byte 0 of evidence.db" in said
    assert "copy the folder to another disk" in said
    assert evidence.read_bytes() == before


@pytest.mark.soak
@pytest.mark.parametrize("number", range(1, 40))
@pytest.mark.parametrize("more", ["", "+"])
def test_each_read_of_a_start_refused(folder, number, more):
    status, said = start_under(folder, f"{number}{more}")
    assert status in (0, 2), said
    assert "damaged" not in said
    folder.start()
    assert CALLS["get"](Caller(folder, "admin"))
    assert folder.stop() == 0


def test_damage_stays_damage_though_the_device_refuses_reads_as_well(tmp_path):
    server = Server.make(tmp_path / "server")
    configure(server, HTTP)
    server.start()
    Caller(server, "admin").Append(pb.AppendRequest(events=FIRST))
    assert server.stop() == 0
    flip_a_bit(server.folder / "logs/main/evidence.db", 5)
    server.start()
    caller = Caller(server, "admin")
    with failing(server, "pread64", "EIO", "evidence.db", when="1"):
        code, info = refusal_of(lambda: caller.Get(pb.GetRequest(index=5)))
    assert (code, info.metadata["index"]) == (grpc.StatusCode.DATA_LOSS, "5")
    assert CALLS["get"](caller), "the rest goes on"
    assert "damage in log main at entry 5: " in get(server, "/readyz")[1]
    assert metrics(server)["auditd_damage_met_total",] >= 1
    assert server.stop() == 0
