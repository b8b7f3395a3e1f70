"""Nothing leaks: threads, tasks, open files and memory are after hours what they were after minutes.

As many seconds as AUDITD_SOAK_SECONDS says, by default a minute, in `make test-all`; some seconds of the same in
`make test`. What was held after each round is printed (`pytest -s`).
"""

from __future__ import annotations

import concurrent.futures
import os
import random
import re
import shutil
import sys
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path

import grpc
import pytest

from auditd_client import AdminClient, ClientError
from auditd_proto.v1 import audit_log_service_pb2 as pb
from auditd_proto.v1 import audit_log_service_pb2_grpc as stubs

SETTINGS = 'format = 1\norigin = "audit.example.com"\n[http]\nlisten = "127.0.0.1:0"\n'
SHORT_S = 6.0
ROUND_S = 300.0
MEMORY_MB = 300
"""At any time."""
SETTLE_S = 1.0
GROWTH_MB = 40
"""What caches may still take after the first round, in which not all of them are full."""


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
                act = self._choose.choices(*zip(*self._acts(), strict=True))[0]
                act(stub)
                done += 1
            channel.close()
        return done

    def _acts(self):
        """What callers do, and how often beside each other."""
        return (
            (self._append, 20),
            (self._query, 10),
            (self._get, 10),
            (self._give_up, 10),
            (self._cancel, 10),
            (self._stranger, 10),
            (self._tail, 10),
            (self._export, 5),
            (self._read_more, 5),
            (self._back_up, 1),
        )

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

    def _cancel(self, stub) -> None:
        call = stub.Append.future(self._request(20), metadata=self._metadata, timeout=60)
        time.sleep(self._choose.random() / 200)  # anywhere on its way
        call.cancel()

    def _export(self, stub) -> None:
        stream = stub.Export(
            pb.ExportRequest(filter=self._choose.choice(["", "outcome = FAILURE"])), metadata=self._metadata
        )
        ignoring(lambda: [next(stream, None) for _ in range(self._choose.randrange(3))])
        stream.cancel()

    def _read_more(self, stub) -> None:
        prove = pb.ProveRequest(inclusion=pb.InclusionTarget(index=self._choose.randrange(50)))
        count = pb.AggregateRequest(by=[pb.Dimension(field="actor.id")])
        ignoring(lambda: stub.Prove(prove, metadata=self._metadata, timeout=60))
        ignoring(lambda: stub.Aggregate(count, metadata=self._metadata, timeout=60))
        ignoring(lambda: stub.GetCheckpoint(pb.GetCheckpointRequest(), metadata=self._metadata, timeout=60))

    def _back_up(self, _stub) -> None:
        """Fetch a backup, or go away while it is made; another caller may be at it."""
        folder = Path(tempfile.mkdtemp())
        try:
            with AdminClient(self._address, self._metadata[0][1].removeprefix("Bearer ")) as client:
                gone_at = time.monotonic() + self._choose.choice([0.3, 60.0])
                client.make_backup(folder / "backup", progress=lambda *_: _leave(gone_at))
        except (ClientError, TimeoutError):
            pass
        finally:
            shutil.rmtree(folder)

    def _stranger(self, stub) -> None:
        ignoring(lambda: stub.Get(pb.GetRequest(), metadata=(("authorization", "Bearer x.y.z"),), timeout=60))

    def _tail(self, stub) -> None:
        stream = stub.Tail(pb.TailRequest(from_index=0, include_proofs=True), metadata=self._metadata)
        ignoring(lambda: [next(stream) for _ in range(self._choose.randrange(4))])
        stream.cancel()


def _leave(gone_at: float) -> None:
    if time.monotonic() > gone_at:
        raise TimeoutError("the caller has waited long enough")


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
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return {
        "tasks": float(tasks[1]),
        "files": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        "threads": float(re.search(r"^Threads:\s+(\d+)", status, re.MULTILINE)[1]),
        "megabytes": server.memory_kb() / 1_000,
    }


def settled(server, most: dict[str, float], timeout_s: float = 30.0) -> dict[str, float]:
    """Return what is held once it is no more than `most`, and the same for a while; or when the time is up.

    Connections end behind their calls, and freed memory goes back every few seconds.
    """
    ends_at, before = time.monotonic() + timeout_s, held(server)
    while True:
        time.sleep(SETTLE_S)  # waits for progress, not for a moment
        now = held(server)
        is_still = all(now[name] >= before[name] for name in ("tasks", "files", "threads"))
        if (is_still and all(now[name] <= value for name, value in most.items())) or time.monotonic() > ends_at:
            return now
        before = now


def soak(server, seconds: float) -> int:
    tokens = [server.token("admin", subject=f"svc-{number}", ttl_s=3_600) for number in range(4)]
    ends_at = time.monotonic() + seconds
    with concurrent.futures.ThreadPoolExecutor(len(tokens)) as threads:
        callers = [Caller(server, token, number) for number, token in enumerate(tokens)]
        return sum(threads.map(lambda caller: caller.run(ends_at), callers))


def rounds(seconds: float) -> list[float]:
    """Seconds of the rounds of a soak, none as long as a token lives."""
    count = max(2, int(seconds // ROUND_S))
    return [seconds / count] * count


def test_nothing_leaks_in_some_seconds(serve_folder):
    require_nothing_leaks(serve_folder(SETTINGS), [SHORT_S / 2, SHORT_S / 2])


@pytest.mark.soak
def test_nothing_leaks(serve_folder):
    server = serve_folder(SETTINGS)
    require_nothing_leaks(server, rounds(float(os.environ.get("AUDITD_SOAK_SECONDS", "60"))))
    assert server.check("--indexes").returncode == 0


def require_nothing_leaks(server, seconds: list[float]) -> None:
    """After the first round nearly all pools are full; later ones may need a few files more, and never again more."""
    acts = soak(server, seconds[0])
    first = settled(server, {})
    say(acts, first)
    for length in seconds[1:]:
        acts += soak(server, length)
        most = {
            "tasks": first["tasks"] + 2,
            "files": first["files"] + 30,
            "threads": first["threads"] + 8,
            "megabytes": min(MEMORY_MB, first["megabytes"] + GROWTH_MB),
        }
        now = settled(server, most)
        say(acts, now)
        assert all(now[name] <= value for name, value in most.items()), (first, now)
    assert acts > 20


def say(acts: int, now: dict[str, float]) -> None:
    sys.stderr.write(f"after {acts} acts: {', '.join(f'{value:.0f} {name}' for name, value in now.items())}\n")
