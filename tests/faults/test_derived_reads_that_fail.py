"""A disk that refuses reads of what is no evidence: searches stay exact, nothing is lost, and all goes on by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.faults.test_reads_that_fail import UNAVAILABLE, is_indexed
from tests.faults.traced import failing, starting, stop_traced
from tests.system.conftest import Server
from tests.system.test_observing import HTTP, configure, eventually, get, metrics, refusal_of
from tests.system.test_promises import Caller, event

ENTRIES = 4_608
"""A block of text, and two tiles that only event times are known of."""
INDEXES = ("index.db", "index.db-wal", "tiles.db", "tiles.db-wal")
ORDERS = (pb.ORDER_NEWEST_FIRST, pb.ORDER_OLDEST_FIRST, pb.ORDER_LATEST_EVENT_FIRST)
POINTS = range(1, 25)
A_TERM = "7+"
"""From the read on in which a search looks for a term, once it has seen how far the index goes."""
EVENTS = [
    event(action="user.login" if number % 7 else "record.read", attributes_json=f'{{"note": "needle{number:05}"}}')
    for number in range(ENTRIES)
]
QUESTIONS = {
    "a name": f'id = "{EVENTS[7].id}"',
    "a rare field": "action = record.read",
    "a common field": "action = user.login",
    "a text": '"needle00300"',
    "a time": f'time >= "{EVENTS[ENTRIES // 2].time.ToJsonString()}" AND action = record.read',
}


def ask(caller: Caller, text: str, order: int, **members: object) -> pb.QueryResponse:
    return caller.Query(pb.QueryRequest(filter=text, order=order, page_size=20, **members))


class Searched:
    """A server, and what its evidence answers."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._evidence: dict[tuple[str, int], list[pb.Entry]] = {}

    def begin(self) -> None:
        caller = Caller(self.server, "admin")
        for start in range(0, ENTRIES, 512):
            caller.Append(pb.AppendRequest(events=EVENTS[start : start + 512]))
        for text in QUESTIONS.values():
            for order in ORDERS:
                self._evidence[text, order] = list(ask(caller, text, order, no_index=True).entries)

    def require_exact(self) -> None:
        caller = Caller(self.server, "admin")
        for (text, order), entries in self._evidence.items():
            assert list(ask(caller, text, order).entries) == entries, (text, order)

    def require_narrowed(self) -> None:
        """Wait until a search of each index reads little."""

        def narrowed() -> bool:
            caller = Caller(self.server, "admin")
            asked = (ask(caller, QUESTIONS[name], ORDERS[0], explain=True) for name in ("a name", "a text"))
            return all(answer.explanation.examined < ENTRIES // 4 for answer in asked)

        assert eventually(lambda: is_indexed(self.server) and narrowed()), "no search is narrowed any more"


@pytest.fixture(scope="module")
def searched(tmp_path_factory) -> Iterator[Searched]:
    server = Server.make(tmp_path_factory.mktemp("searched") / "server")
    configure(server, HTTP)
    server.start()
    made = Searched(server)
    made.begin()
    made.require_narrowed()
    assert server.stop() == 0
    yield made
    server.stop()
    assert server.check("--indexes").returncode == 0


@contextmanager
def cold(searched: Searched) -> Iterator[Server]:
    """Serve, with nothing in memory; nothing was damaged when it ends."""
    server = searched.server
    server.start()
    try:
        yield server
        assert eventually(lambda: get(server, "/readyz") == (200, "ready\n"))
        assert metrics(server)["auditd_damage_met_total",] == 0
    finally:
        assert server.stop() == 0


def test_searches_are_exact_while_no_index_can_be_read(searched):
    with cold(searched) as server:
        with failing(server, "pread64", "EIO", *INDEXES):
            searched.require_exact()
            Caller(server, "admin").Append(pb.AppendRequest(events=[event(action="user.logout")]))
            assert get(server, "/readyz") == (200, "ready\n"), "nothing that answers need is missing"
        searched.require_exact()
        searched.require_narrowed()
        searched.require_exact()


def fail_at(searched: Searched, when: str) -> None:
    with cold(searched) as server:
        with failing(server, "pread64", "EIO", *INDEXES, when=when):
            searched.require_exact()
        searched.require_narrowed()
        searched.require_exact()


EVERY = [f"{number}{more}" for number in POINTS for more in ("", "+")]


def test_searches_are_exact_while_some_reads_of_indexes_are_refused(searched):
    fail_at(searched, A_TERM)


@pytest.mark.soak
@pytest.mark.parametrize("when", EVERY)
def test_searches_are_exact_whichever_read_of_an_index_is_refused(searched, when):
    fail_at(searched, when)


def test_a_start_that_cannot_read_its_indexes_answers_exactly(searched):
    with starting(searched.server, *INDEXES, when="1+") as process:
        address = next(line for line in process.stderr if "is ready on" in line).split()[-1]
        there = Searched(Server(searched.server.folder, {}, address=address))
        there._evidence = searched._evidence
        there.require_exact()
        there.server.stop()
        stop_traced(searched.server)
        process.stderr.read()
    assert process.returncode == 0


def test_what_needs_pending_signatures_waits_until_they_can_be_read(searched):
    """A disk that refuses to sync them as well: what is opened anew after a failed commit cannot be read either."""
    with cold(searched) as server:
        process = server.process
        known, fresh = Caller(server, "admin"), Caller(server, "writer")
        leaf = json.loads(known.Get(pb.GetRequest(index=5)).entry.leaf)
        credential = pb.GetCredentialRequest(credential=bytes.fromhex(leaf["caller"]["credential"]))
        with failing(server, "pread64,fdatasync", "EIO", "pending.db", "pending.db-wal"):
            code, info = refusal_of(lambda: known.GetCredential(credential))
            assert (code, info.reason) == (UNAVAILABLE, "EVIDENCE_UNAVAILABLE")
            for _ in range(2):
                code, info = refusal_of(lambda: fresh.Append(pb.AppendRequest(events=[event(action="user.logout")])))
                assert (code, info.reason, info.metadata["recorded"]) == (UNAVAILABLE, "NOT_RECORDED", "no")
            searched.require_exact()
            assert "main/pending.db cannot be read now: its device refuses byte" in get(server, "/readyz")[1]
            assert get(server, "/healthz")[0] == 200
        assert eventually(lambda: get(server, "/readyz") == (200, "ready\n")), "nobody has to ask, or to start it anew"
        assert not fresh.Append(pb.AppendRequest(events=[event(action="user.logout")])).receipts[0].duplicate
        assert known.GetCredential(credential).credential.credential == credential.credential
        assert server.process is process


def test_a_start_that_cannot_read_pending_signatures_ends_and_does_not_advise_to_move_them_away(searched):
    pending = searched.server.folder / "logs/main/pending.db"
    before = pending.read_bytes()
    with starting(searched.server, "pending.db", "pending.db-wal", when="1+") as process:
        said = process.stderr.read()
    assert process.returncode == 2
    assert "main/pending.db cannot be read now: its device refuses byte" in said
    assert "Move it away" not in said
    assert pending.read_bytes() == before
    searched.server.start()
    assert searched.server.stop() == 0
