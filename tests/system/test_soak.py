"""Nothing leaks: threads, tasks, open files and memory are after hours what they were after minutes.

An hour in `make test-all`, or as long as `--soak-minutes` says; some seconds of the same in `make test`.
"""

from __future__ import annotations

import concurrent.futures
import random
import re
import time
import urllib.request
import uuid
from pathlib import Path

import grpc
import pytest

from auditd_proto.v1 import audit_log_service_pb2 as pb
from auditd_proto.v1 import audit_log_service_pb2_grpc as stubs

SETTINGS = 'format = 1\norigin = "audit.example.com"\n[http]\nlisten = "127.0.0.1:0"\n'
SHORT_S = 6.0
MEMORY_MB = 300


class Caller:
    """One of the callers, on connections of its own: does whatever callers do, well or badly."""

    def __init__(self, server, token: str, seed: int) -> None:
        self._address = server.address
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._choose = random.Random(seed)

    def run(self, ends_at: float) -> int:
        done = 0
        while time.monotonic() < ends_at:
            # A connection of its own, or clients in one process would share one.
            channel = grpc.insecure_channel(self._address, options=[("grpc.use_local_subchannel_pool", 1)])
            stub = stubs.AuditLogServiceStub(channel)
            for _ in range(self._choose.randrange(1, 30)):
                act = self._choose.choice(
                    [self._append, self._append, self._query, self._get, self._give_up, self._stranger, self._tail]
                )
                act(stub)
                done += 1
            channel.close()
        return done

    def _request(self, count: int) -> pb.AppendRequest:
        request = pb.AppendRequest()
        for _ in range(count):
            event = request.events.add(id=str(uuid.uuid4()), action="user.login", attributes_json='{"a":[1,2,3]}')
            event.time.FromNanoseconds(time.time_ns() // 1_000 * 1_000)
            event.actor.id = f"user{self._choose.randrange(100)}"
        return request

    def _append(self, stub) -> None:
        stub.Append(self._request(self._choose.choice([1, 10, 200])), metadata=self._metadata, timeout=60)

    def _query(self, stub) -> None:
        text = self._choose.choice(['actor.id = "user1*"', "outcome = FAILURE", '"nowhere"', "((", "index = 7"])
        ignoring(lambda: stub.Query(pb.QueryRequest(filter=text), metadata=self._metadata, timeout=60))

    def _get(self, stub) -> None:
        ignoring(lambda: stub.Get(pb.GetRequest(index=self._choose.randrange(50)), metadata=self._metadata, timeout=60))

    def _give_up(self, stub) -> None:
        ignoring(lambda: stub.Append(self._request(5), metadata=self._metadata, timeout=self._choose.random() / 100))

    def _stranger(self, stub) -> None:
        ignoring(lambda: stub.Get(pb.GetRequest(), metadata=(("authorization", "Bearer x.y.z"),), timeout=60))

    def _tail(self, stub) -> None:
        stream = stub.Tail(pb.TailRequest(from_index=0, include_proofs=True), metadata=self._metadata)
        ignoring(lambda: [next(stream) for _ in range(self._choose.randrange(4))])
        stream.cancel()


def ignoring(call) -> None:
    try:
        call()
    except grpc.RpcError as error:
        if error.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS):
            raise


def held(server) -> dict[str, float]:
    """What the server holds once all callers are gone."""
    pid, address = server.process.pid, server.said.partition("metrics and health: http://")[2].split()[0]
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    tasks = re.search(r"^auditd_tasks (\S+)", text, re.MULTILINE)
    status = Path(f"/proc/{pid}/status").read_text()
    return {
        "tasks": float(tasks[1]),
        "files": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        "threads": float(re.search(r"^Threads:\s+(\d+)", status, re.MULTILINE)[1]),
        "megabytes": int(re.search(r"^VmRSS:\s+(\d+)", status, re.MULTILINE)[1]) / 1_000,
    }


def settled(server, most: dict[str, float], timeout_s: float = 30.0) -> dict[str, float]:
    """Return what is held once it is no more than `most`, or when the time is up: connections end behind the calls."""
    ends_at = time.monotonic() + timeout_s
    while True:
        now = held(server)
        if all(now[name] <= value for name, value in most.items()) or time.monotonic() > ends_at:
            return now
        time.sleep(0.2)  # waits for progress, not for a moment


def soak(server, seconds: float) -> int:
    tokens = [server.token("admin", subject=f"svc-{number}", ttl_s=3_600) for number in range(4)]
    ends_at = time.monotonic() + seconds
    with concurrent.futures.ThreadPoolExecutor(len(tokens)) as threads:
        callers = [Caller(server, token, number) for number, token in enumerate(tokens)]
        return sum(threads.map(lambda caller: caller.run(ends_at), callers))


def rounds(minutes: float) -> list[float]:
    """Seconds of the rounds of a soak, none as long as a token lives."""
    seconds = minutes * 60
    count = max(2, int(seconds // 600))
    return [seconds / count] * count


def test_nothing_leaks_in_some_seconds(serve_folder):
    server = serve_folder(SETTINGS)
    require_nothing_leaks(server, [SHORT_S / 2, SHORT_S / 2])


@pytest.mark.soak
def test_nothing_leaks(serve_folder, request):
    server = serve_folder(SETTINGS)
    require_nothing_leaks(server, rounds(request.config.getoption("--soak-minutes")))
    assert server.check("--indexes").returncode == 0


def require_nothing_leaks(server, seconds: list[float]) -> None:
    """After the first round nearly all pools are full; later ones may need a few files more, and never again more."""
    acts = soak(server, seconds[0])
    time.sleep(1.0)  # lets connections end before the first measure, which the later ones are held against
    first = held(server)
    for length in seconds[1:]:
        acts += soak(server, length)
        most = {"tasks": first["tasks"] + 2, "files": first["files"] + 30, "threads": first["threads"] + 8}
        now = settled(server, most | {"megabytes": MEMORY_MB})
        assert all(now[name] <= value for name, value in most.items()), (first, now)
        assert now["megabytes"] < MEMORY_MB, (first, now)
    assert acts > 20
