"""A server is killed at any step of an online rotation while callers append and one follows: it happened or did not."""

from __future__ import annotations

import re
import shutil
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from auditd.entry import parse_leaf
from auditd.merkle import leaf_hash
from auditd.server import check_folder, load_config
from auditd_proto.v1 import admin_service_pb2 as admin_pb
from auditd_proto.v1 import admin_service_pb2_grpc as admin_stubs
from auditd_proto.v1 import audit_log_service_pb2 as pb
from auditd_proto.v1 import event_pb2
from tests.faults.seeds import seeded
from tests.faults.traced import traced
from tests.system.conftest import ORIGIN, Server, detail_of
from tests.system.succession import pages
from tests.system.test_promises import event

SYSCALLS = "mkdir,rename,unlink,fsync,fdatasync,pwrite64,ftruncate"
CALLERS = 2
WARM = 30
"""Events that are acknowledged before the rotation begins."""
MAIN, NEXT = f"{ORIGIN}/main", f"{ORIGIN}/main~2"
_CALL = re.compile(r"^(\d+) +(\w+)\(", re.MULTILINE)


@dataclass
class Callers:
    """Some append, and send again what was not acknowledged; one follows. All end with their server."""

    server: Server
    receipts: dict[str, tuple[str, int, bytes]] = field(default_factory=dict)
    """Origin, index and leaf hash by the id of the event: the same for ever."""
    notes: set[str] = field(default_factory=set)
    pending: list[list[event_pb2.Event]] = field(default_factory=list)
    followed: list[tuple[str, int, bytes]] = field(default_factory=list)
    """Origin, index and leaf of each entry, in the order in which they came."""
    warm: threading.Event = field(default_factory=threading.Event)
    _next: tuple[str, int] = (MAIN, 0)
    _lock: threading.Lock = field(default_factory=threading.Lock)  # guards receipts, notes and pending
    _running: list[Future[None]] = field(default_factory=list)

    @property
    def metadata(self) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self.server.token('admin')}")]

    def begin(self) -> None:
        threads = ThreadPoolExecutor(CALLERS + 1)
        self._running = [threads.submit(self._append_on, self.server.stub(), self.metadata) for _ in range(CALLERS)]
        self._running.append(threads.submit(self._follow_on, self.server.stub(), self.metadata))
        threads.shutdown(wait=False)
        assert self.warm.wait(30)

    def end(self) -> None:
        """Wait until all have found that their server is gone."""
        for one in self._running:
            one.result(60)

    def append(self, sent: Sequence[event_pb2.Event], stub, metadata) -> bool:
        """Return whether events were acknowledged; False, if the server is gone."""
        try:
            response = stub.Append(pb.AppendRequest(events=sent), metadata=metadata, timeout=30)
        except (grpc.RpcError, ValueError) as error:  # ValueError: the channel was closed under us
            if (reason := reason_of(error)) == "LOG_ROTATING":
                return self.append(sent, stub, metadata)
            assert not reason, f"{reason}: nothing but a rotation refuses an append"
            return False
        with self._lock:
            self.notes |= {response.checkpoint, *response.earlier_checkpoints}
            for one, receipt in zip(sent, response.receipts, strict=True):
                note = response.earlier_checkpoints[receipt.earlier - 1] if receipt.earlier else response.checkpoint
                told = (note.partition("\n")[0], receipt.index, receipt.leaf_hash)
                assert self.receipts.setdefault(one.id, told) == told, f"{one.id} has another receipt than before"
            if len(self.receipts) >= WARM:
                self.warm.set()
        return True

    def _append_on(self, stub, metadata) -> None:
        while self.append(sent := [event() for _ in range(3)], stub, metadata):
            pass
        with self._lock:
            self.pending.append(sent)

    def append_pending(self) -> None:
        """Send again what was not acknowledged, and something new."""
        for sent in (*self.pending, [event()]):
            assert self.append(sent, self.server.stub(), self.metadata)
        self.pending.clear()

    def follow(self, stub, metadata, until: tuple[str, int] | None = None) -> None:
        """Go on where the last message ended, from log to log."""
        while self._next != until:
            origin, index = self._next
            for message in stub.Tail(pb.TailRequest(origin=origin, from_index=index), metadata=metadata):
                assert message.first_index == self._next[1], "there is a gap, or something comes twice"
                self.followed += [(origin, entry.index, entry.leaf) for entry in message.entries]
                with self._lock:
                    self.notes.add(message.checkpoint)
                self._next = (message.successor, 0) if message.successor else (origin, message.next_index)
                if self._next == until:
                    return

    def _follow_on(self, stub, metadata) -> None:
        try:
            self.follow(stub, metadata)
        except (grpc.RpcError, ValueError) as error:
            if reason_of(error) not in ("", "TAIL_ENDED"):
                raise


def reason_of(error: Exception) -> str:
    """Return the reason that a server gives for a refusal; empty if it is no server that refuses."""
    return detail_of(error, ErrorInfo).reason if isinstance(error, grpc.RpcError) else ""


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A folder with some entries in `main`."""
    server = Server.make(tmp_path_factory.mktemp("rotation") / "template")
    server.start()
    callers = Callers(server)
    assert callers.append([event() for _ in range(3)], server.stub(), callers.metadata)
    assert server.stop() == 0
    return server


def files_of(server: Server) -> list[Path]:
    """What a rotation makes or writes, and no other thread of a server does."""
    folder = server.folder
    made = [folder / "keys" / name for name in (".main~2.pem.new", "main~2.pem")]
    for log in (".main~2.new", "main~2"):
        made += [folder / "logs" / log / name for name in ("", "evidence.db", "evidence.db-wal", "head", "pending.db")]
    return [folder / "keys", folder / "logs", *made, *(folder / "logs/control").glob("*")]


def rotate(server: Server) -> admin_pb.RotateLogResponse | None:
    """Ask for a rotation; None where the server is gone before it answers."""
    stub = admin_stubs.AdminServiceStub(server.channel())
    metadata = (("authorization", f"Bearer {server.token('admin')}"),)
    try:
        return stub.RotateLog(admin_pb.RotateLogRequest(log="main", reason="a new year"), metadata=metadata, timeout=30)
    except grpc.RpcError as error:
        if reason_of(error):
            raise
        return None


def copied(template: Server, folder: Path) -> Server:
    shutil.copytree(template.folder, folder)
    return Server(folder, template.vkeys)


def steps(template: Server, folder: Path) -> list[tuple[str, int]]:
    """Return each step of a rotation while nobody appends; strace counts each thread's calls on their own."""
    server, trace = copied(template, folder / "whole"), folder / "trace"
    server.start()
    with traced(server, SYSCALLS, files_of(server), trace=str(trace)):
        assert rotate(server) is not None
    assert server.stop() == 0
    most: dict[str, int] = {}
    for (_, syscall), count in Counter(_CALL.findall(trace.read_text())).items():
        most[syscall] = max(count, most.get(syscall, 0))
    assert {"mkdir", "rename", "fsync", "fdatasync", "pwrite64"} <= most.keys()
    return [(syscall, number) for syscall, count in sorted(most.items()) for number in range(1, count + 1)]


def kill_at(callers: Callers, syscall: str, number: int) -> bool:
    """Kill the server at a step of a rotation, or after it; return whether that was acknowledged."""
    callers.server.start()
    callers.begin()
    kill = f"{syscall}:signal=SIGKILL:when={number}"
    with traced(callers.server, SYSCALLS, files_of(callers.server), kill) as tracer:
        try:
            answer = rotate(callers.server)
        finally:
            tracer.kill()  # for it may wait for ever for a thread of a process that was killed
    callers.server.kill()
    callers.end()
    return answer is not None


def sound(callers: Callers) -> None:
    """The folder passes `check`, and extends every checkpoint that anyone was ever given."""
    notes = {str(number): note for number, note in enumerate(sorted(callers.notes))}
    report = check_folder(load_config(callers.server.folder), (), notes, lambda *_: None)
    assert report.is_sound, [report.findings, *(log.findings for log in report.logs)]


def hold(callers: Callers, *, acknowledged: bool) -> None:
    """What is left goes on: with the successor, or with a rotation that is asked for again."""
    sound(callers)
    server = callers.server
    server.start()
    if not (server.folder / "logs/main~2").exists():
        assert not acknowledged
        answer = rotate(server)
        assert (answer.closed, answer.successor) == (MAIN, NEXT)
    assert sorted(path.name for path in (server.folder / "logs").iterdir()) == ["access", "control", "main", "main~2"]
    callers.append_pending()
    chain = [
        (entry.origin, entry.index, entry.leaf)
        for page in pages(server, page_size=1_000, order="ORDER_OLDEST_FIRST")
        for entry in page.entries
    ]
    callers.follow(server.stub(), callers.metadata, until=(NEXT, chain[-1][1] + 1))
    assert callers.followed == chain
    recorded = {parse_leaf(leaf)["event"]["id"]: (origin, index, leaf_hash(leaf)) for origin, index, leaf in chain}
    assert len(recorded) == len(chain), "an event is there twice"
    assert {event_id: recorded.get(event_id) for event_id in callers.receipts} == callers.receipts
    closed = [page for page in pages(server, log="control", filter="action = log.close") if page.entries]
    assert [len(page.entries) for page in closed] == [1]
    assert server.stop() == 0
    sound(callers)


def run(template: Server, folder: Path, chosen: list[tuple[str, int]]) -> None:
    for syscall, number in chosen:
        callers = Callers(copied(template, folder / f"{syscall}{number}"))
        try:
            hold(callers, acknowledged=kill_at(callers, syscall, number))
        except Exception as error:
            raise AssertionError(f"{syscall} {number}") from error
        finally:
            callers.server.kill()
        shutil.rmtree(callers.server.folder)


def test_some_steps(template, tmp_path):
    every = steps(template, tmp_path)
    # The last name that is given closes the log, so it is always among them.
    closes = max(step for step in every if step[0] == "rename")
    others = [step for step in every if step != closes]
    run(template, tmp_path, [closes, *seeded("rotation").sample(others, 1)])


@pytest.mark.soak
def test_every_step(template, tmp_path):
    run(template, tmp_path, steps(template, tmp_path))
