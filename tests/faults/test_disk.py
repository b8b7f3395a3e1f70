"""A disk that is full, read-only or fails: what can be recorded is, the process stays up, and all resumes by itself."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from auditd.log import load_signer
from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.faults.told import Told
from tests.faults.traced import failing
from tests.system.conftest import ORIGIN, Server
from tests.system.test_observing import refusal_of
from tests.system.test_promises import Caller, event

MIB = 1 << 20
PAGE_BYTES = 4_096
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


class SmallDisk:
    """A file system of its own, with a server on it."""

    def __init__(self, folder: Path, limits: str) -> None:
        self._folder = folder
        self._ballast = folder / "ballast"
        self.server = Server.make(folder / "server")
        with (self.server.folder / "auditd.toml").open("a") as config:
            config.write(f"\n[limits]\n{limits}\n")
        self.server.start()
        self.told = Told()
        self.caller = Caller(self.server, "admin")

    def leave(self, free_bytes: int) -> None:
        """Fill the disk but for so much."""
        with self._ballast.open("ab") as file:
            for _ in range(50):
                more = self.free() - free_bytes
                if more <= 0:
                    return
                with suppress(OSError):  # the server took some meanwhile
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), more // PAGE_BYTES * PAGE_BYTES)
        pytest.fail(f"{self.free()} bytes are free and cannot be taken")

    def free(self) -> int:
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize

    def clear(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def append(self, events) -> pb.AppendResponse:
        response = self.caller.Append(pb.AppendRequest(events=events))
        for sent, receipt in zip(events, response.receipts, strict=True):
            self.told.receipt(sent.id, (receipt.index, receipt.leaf_hash.hex()))
        self.told.notes.add(response.checkpoint)
        return response

    def hold(self) -> None:
        """Stop, and hold what callers were told; the process that was begun is still the one."""
        assert self.server.process.poll() is None
        assert self.server.stop() == 0
        assert self.server.check().returncode == 0
        signer = load_signer(self.server.folder / "keys/main.pem", f"{ORIGIN}/main")
        self.told.hold(self.server.folder / "logs/main", signer)


@pytest.fixture
def small_disk(tmp_path):
    """Return a function that makes a small file system with a server."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    disks: list[SmallDisk] = []
    try:
        yield lambda limits: disks.append(SmallDisk(folder, limits)) or disks[-1]
    finally:
        for disk in disks:
            disk.server.stop()
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def events(count: int = 20):
    return [event(attributes_json=f'{{"blob": "{os.urandom(100).hex()}"}}') for _ in range(count)]


def test_room_is_kept_for_the_record_of_reads(small_disk):
    disk = small_disk(f"min_free_bytes = {2 * MIB}")
    sent = events()
    first = disk.append(sent)
    disk.leave(2 * MIB - PAGE_BYTES)
    code, info = refusal_of(lambda: disk.append(events()))
    assert (code, info.reason) == (UNAVAILABLE, "DISK_LOW")
    assert (info.metadata["recorded"], info.metadata["limit"]) == ("no", "min_free_bytes")
    assert info.metadata["value"] == str(2 * MIB)
    assert [one.index for one in disk.append(sent).receipts] == [one.index for one in first.receipts]
    assert disk.caller.Get(pb.GetRequest(index=3)).entry.index == 3
    seen = disk.caller.Query(pb.QueryRequest(log="access", filter='action = "log.get"')).entries
    assert len(seen) == 1, "reads go on, and are recorded"

    disk.leave(0)

    def read_on() -> None:
        for number in range(1_000):  # what was allocated already takes some
            disk.caller.Query(pb.QueryRequest(filter=f'actor.id = "{number}"'))

    code, info = refusal_of(read_on)
    assert (code, info.reason) == (UNAVAILABLE, "AUDIT_UNRECORDABLE")

    disk.clear()
    assert disk.caller.Get(pb.GetRequest(index=3)).entry.index == 3
    assert disk.append(events()).receipts[0].index == 20, "appends resume by themselves"
    disk.hold()


def test_full_at_every_point_of_a_commit(small_disk):
    disk = small_disk("min_free_bytes = 1")
    disk.append(events())
    said = set()
    free_pages = fitted = 0
    while fitted < 3:
        sent = events()
        disk.leave(free_pages * PAGE_BYTES)
        try:
            disk.append(sent)
            fitted += 1
        except grpc.RpcError:
            code, info = refusal_of(lambda sent=sent: disk.append(sent))
            assert code is UNAVAILABLE
            said.add((info.reason, info.metadata["recorded"]))
            disk.clear()
            receipts = disk.append(sent).receipts
            assert len({one.duplicate for one in receipts}) == 1, "all or nothing"
            fitted = 0
        disk.clear()
        free_pages += 1
    assert free_pages > 4, "the disk was full at several points"
    assert said <= {("DISK_LOW", "no"), ("NOT_RECORDED", "no"), ("COMMIT_FAILED", "unknown")}
    disk.hold()


def test_a_server_stops_on_a_full_disk(small_disk):
    disk = small_disk("min_free_bytes = 1")
    disk.append(events())
    disk.leave(0)
    process = disk.server.process
    process.terminate()
    said = process.stderr.read()
    assert process.wait(60) in (0, 2)
    assert "Traceback" not in said
    disk.server.process = None
    process.stderr.close()
    disk.clear()
    disk.server.start()
    disk.caller = Caller(disk.server, "admin")
    disk.append(events())
    disk.hold()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    server = Server.make(tmp_path_factory.mktemp("failing") / "server")
    server.start()
    Caller(server, "admin").Append(pb.AppendRequest(events=events(600)))
    server.stop()
    server.start()  # so that nothing of it is in memory
    yield server
    assert server.stop() == 0
    assert server.check().returncode == 0


@pytest.mark.parametrize("error", ["EROFS", "EIO", "ENOSPC", "EDQUOT"])
def test_appends_fail_while_nothing_can_be_written_and_resume(running, error):
    caller = Caller(running, "admin")
    sent = events()
    with failing(running, "pwrite64", error, "evidence.db-wal"):
        code, info = refusal_of(lambda: caller.Append(pb.AppendRequest(events=sent)))
        assert (code, info.reason, info.metadata["recorded"]) == (UNAVAILABLE, "COMMIT_FAILED", "unknown")
        assert caller.Get(pb.GetRequest(index=590)).entry.index == 590, "reads go on"
    assert len(caller.Append(pb.AppendRequest(events=sent)).receipts) == 20


def test_a_file_that_cannot_be_read_now_is_refused_and_harms_nothing_else(running):
    caller = Caller(running, "admin")
    with failing(running, "pread64", "EACCES", "evidence.db"):
        code, info = refusal_of(lambda: caller.Get(pb.GetRequest(index=100)))
        assert (code, info.reason) == (UNAVAILABLE, "EVIDENCE_UNAVAILABLE")
        assert caller.Query(pb.QueryRequest(log="access", page_size=1)).entries
    assert caller.Get(pb.GetRequest(index=100)).entry.index == 100
