"""Promises 1, 2 and 5 through kill -9 at random moments under concurrent load, of a real process."""

from __future__ import annotations

import concurrent.futures
import random
import threading
import time
from dataclasses import dataclass, field

import grpc
import pytest

from auditd.log import load_signer
from auditd_proto.v1 import audit_log_service_pb2 as pb
from auditd_proto.v1 import event_pb2
from tests.faults.seeds import seeded
from tests.faults.told import Told
from tests.forked import Forked
from tests.system.conftest import ORIGIN
from tests.system.test_promises import event

LOGS = ("main", "control", "access")
CALLERS = 4
MAX_LOAD_S = 0.25
MAX_START_S = 1.0


@dataclass
class Load:
    """Callers that append, and send again what was not acknowledged, until their server is gone; one that reads."""

    token: str
    told: dict[str, Told] = field(default_factory=lambda: {name: Told() for name in LOGS})
    pending: list[list[event_pb2.Event]] = field(default_factory=list)
    again: int = 0
    answered: threading.Event = field(default_factory=threading.Event)
    """Set once something was acknowledged in this run."""
    _lock: threading.Lock = field(default_factory=threading.Lock)  # guards all but the event

    def run(self, server, choose: random.Random) -> list[concurrent.futures.Future[None]]:
        """Begin; the futures end when the server does."""
        self.answered.clear()
        stub, seeds = server.stub(), [choose.random() for _ in range(CALLERS)]
        threads = concurrent.futures.ThreadPoolExecutor(CALLERS + 1)
        running = [threads.submit(self._append, stub, random.Random(seed)) for seed in seeds]
        running.append(threads.submit(self._read, stub))
        threads.shutdown(wait=False)
        return running

    def _append(self, stub, choose: random.Random) -> None:
        while True:
            with self._lock:
                sent = self.pending.pop() if self.pending else None
            fresh = sent is None
            sent = sent or [event() for _ in range(choose.choice((1, 1, 3, 20, 200)))]
            try:
                response = stub.Append(pb.AppendRequest(events=sent), metadata=self._metadata(), timeout=30)
            except (grpc.RpcError, ValueError):  # ValueError: the channel was closed under us
                with self._lock:
                    self.pending.append(sent)
                return
            with self._lock:
                self.again += not fresh
                heard = self.told["main"]
                for one, receipt in zip(sent, response.receipts, strict=True):
                    heard.receipt(one.id, (receipt.index, receipt.leaf_hash.hex()))
                heard.notes.add(response.checkpoint)
            self.answered.set()

    def _read(self, stub) -> None:
        while True:
            for name in LOGS:
                request = pb.GetCheckpointRequest(log=name)
                try:
                    note = stub.GetCheckpoint(request, metadata=self._metadata(), timeout=30).checkpoint
                    stub.Query(pb.QueryRequest(log=name, page_size=1), metadata=self._metadata(), timeout=30)
                except (grpc.RpcError, ValueError):
                    return
                with self._lock:
                    self.told[name].notes.add(note)

    def _metadata(self) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self.token}")]


def crash_once(server, load: Load, choose: random.Random, *, answered: bool) -> None:
    """Start the server, and kill it under load once something is answered; or any time, while it starts as well."""
    if not answered and choose.random() < 0.5:
        server.start_and_kill_after(choose.uniform(0, MAX_START_S))
        return
    server.start()
    running = load.run(server, choose)
    assert not answered or load.answered.wait(60)
    time.sleep(choose.uniform(0, MAX_LOAD_S))  # the moment is what is tried
    server.kill()
    for one in running:
        one.result()


def crash_and_hold(server, rounds: int, choose: random.Random) -> None:
    load = Load(server.token("admin"))
    for number in range(rounds):
        crash_once(server, load, choose, answered=number % 2 == 0)
        if number % 50 == 49:
            hold(server, load)
    server.start()
    acknowledged = [*load.told["main"].receipts]
    last = load.run(server, choose)
    while load.pending:  # each is acknowledged now, whatever became of it before
        time.sleep(0.01)
    assert server.stop() == 0
    for one in last:
        one.result()
    hold(server, load)
    assert server.check().returncode == 0
    assert len(acknowledged) >= rounds // 2, "there was load"


def hold(server, load: Load) -> None:
    """Hold all that was told of every log against the folder as it lies there."""
    for name in LOGS:
        signer = load_signer(server.folder / f"keys/{name}.pem", f"{ORIGIN}/{name}")
        load.told[name].hold(server.folder / "logs" / name, signer)


def test_a_server_that_is_killed_again_and_again(make_server):
    server = make_server(start=False)
    server.starts = Forked
    crash_and_hold(server, 20, seeded("crashes"))


@pytest.mark.soak
def test_a_server_that_is_killed_200_times(make_server):
    crash_and_hold(make_server(start=False), 200, seeded("crashes"))
