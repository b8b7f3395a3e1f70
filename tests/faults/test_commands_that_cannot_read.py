"""A disk that refuses reads is not damage to a command either: it says what it could not read, and leaves nothing."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.faults.injected import require_strace
from tests.faults.seeds import seeded
from tests.faults.traced import failing
from tests.forked import AUDITLOG
from tests.system.conftest import Server, auditlog
from tests.system.test_observing import flip_a_bit
from tests.system.test_promises import Caller, event

ENTRIES = 600
MANY = 15
REFUSED = re.compile(
    r"cannot be read now: its device refuses byte \d+ of \S+|could not be read for a moment|: Input/output error"
)
_CALL = re.compile(r"^(\d+) +(pread64|read)\(\d+<([^>]*)>", re.MULTILINE)


@dataclass(frozen=True)
class Point:
    """One read of a command, by its number among those of its thread."""

    syscall: str
    number: int
    file: str


@dataclass
class Folders:
    """A server folder that nothing serves, a backup of its first half, and one of what came since."""

    base: Path

    @property
    def server(self) -> Path:
        return self.base / "server"

    @property
    def backup(self) -> Path:
        return self.base / "backup"

    @property
    def increment(self) -> Path:
        return self.base / "increment"

    @property
    def restored(self) -> Path:
        """The backup, restored and with its keys."""
        return self.base / "restored"

    @property
    def short(self) -> Path:
        """The server folder, of whose log `main` the second half is lost."""
        return self.base / "short"

    def before(self, name: str) -> Path | None:
        """Return the folder on a copy of which a command works that has a log go on."""
        return {"resume": self.restored, "succeed": self.short}.get(name)

    @property
    def made(self) -> Path:
        """What a command makes."""
        return self.base / "made"

    def commands(self) -> dict[str, list[str]]:
        server, backup, increment, made = map(str, (self.server, self.backup, self.increment, self.made))
        return {
            "check": ["check", server, "--jobs", "1", "--indexes"],
            "backup": ["backup", server, made],
            "verify": ["backup", "verify", backup],
            "restore": ["backup", "restore", backup, made],
            "increment": ["backup", server, made, "--since", backup],
            "join": ["backup", "join", backup, increment, made],
            "resume": ["log", "resume", made, *self.known()],
            "succeed": ["log", "succeed", made, "main", "--reason", "why"],
        }

    def known(self) -> list[str]:
        return [part for name in ("main", "control", "access") for part in ("--against", str(self.base / name))]

    def run(self, name: str, when: str = "", syscall: str = "pread64") -> tuple[subprocess.CompletedProcess[str], str]:
        """Run a command under strace, and have reads refused; return how it ended, and the trace."""
        trace, before = self.base / "trace", self.before(name)
        if before is not None:
            shutil.copytree(before, self.made)
        command = [require_strace(), "-f", "--seccomp-bpf", "-y", "-o", str(trace)]
        command += ["-e", f"trace={syscall}"] + (["-e", f"inject={syscall}:error=EIO:when={when}"] if when else [])
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [*command, AUDITLOG, *self.commands()[name]],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=environment,
        )
        return done, trace.read_text()

    def points(self, name: str) -> list[Point]:
        """Return every read that a command makes of what it works on."""
        done, trace = self.run(name, syscall="pread64,read")
        assert done.returncode == 0, done.stderr
        self.clear()
        points, each = [], Counter[tuple[str, str]]()
        for thread, syscall, file in _CALL.findall(trace):
            each[thread, syscall] += 1
            if file.startswith(str(self.base)):
                points.append(Point(syscall, each[thread, syscall], file))
        return points

    def clear(self) -> None:
        shutil.rmtree(self.made, ignore_errors=True)

    def hashes(self) -> dict[Path, str]:
        files = [path for path in self.base.rglob("*") if path.is_file() and path != self.base / "trace"]
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two commits of events, as they lie on the disk after a server has stopped."""
    made = Folders(tmp_path_factory.mktemp("commands"))
    server = Server.make(made.server)
    for copy, since in ((made.backup, []), (made.increment, ["--since", str(made.backup)])):
        server.start()
        Caller(server, "admin").Append(pb.AppendRequest(events=[event() for _ in range(ENTRIES // 2)]))
        assert server.stop() == 0
        assert auditlog("backup", str(made.server), str(copy), *since).returncode == 0
    assert auditlog("backup", "restore", str(made.backup), str(made.restored)).returncode == 0
    shutil.copytree(made.server / "keys", made.restored / "keys")
    for name, log in json.loads((made.backup / "manifest.json").read_text())["logs"].items():
        (made.base / name).write_text(log["checkpoint"])
    shutil.copytree(made.server, made.short)
    shutil.copy(made.backup / "logs/main/evidence.db", made.short / "logs/main/evidence.db")
    return made


def is_told(folders: Folders, name: str, when: str, point: Point, before: dict[Path, str]) -> bool:
    """A command whose read is refused succeeds all the same, or says so: nothing is damaged, and nothing is left.

    Return whether it was one of those reads: each thread has its own first one, and libraries are read as well.
    """
    done, trace = folders.run(name, when, point.syscall)
    said = f"{name} {when} {point}\n{done.stdout}\n{done.stderr}"
    refused = [line for line in trace.splitlines() if "(INJECTED)" in line]
    if not any(str(folders.base) in line or "resumed>" in line for line in refused):
        folders.clear()
        return False
    if done.returncode == 0:
        assert "not read" not in done.stdout, said
        folders.clear()
    else:
        assert done.returncode == 2, said
        assert REFUSED.search(done.stderr), said
    for word in ("finding", "damaged", "FILE_", "defect", "Traceback"):
        assert word not in done.stdout + done.stderr, said
    assert folders.hashes() == before, said
    assert not [path for path in folders.base.rglob(".*") if path.is_dir()], said
    return True


@pytest.mark.parametrize("name", ["check", "backup", "verify", "restore"])
def test_some_reads_refused(folders, name):
    points, before = folders.points(name), folders.hashes()
    assert {point.syscall for point in points} == {"pread64", "read"}
    for syscall, more in (("pread64", "+"), ("read", "")):
        some = seeded(name).sample([point for point in points if point.syscall == syscall], 6)
        assert any(is_told(folders, name, f"{point.number}{more}", point, before) for point in some)


@pytest.mark.soak
@pytest.mark.parametrize("name", ["check", "backup", "verify", "restore", "increment", "join"])
def test_many_reads_refused(folders, name):
    points, before = folders.points(name), folders.hashes()
    for point in seeded(f"many of {name}").sample(points, min(MANY, len(points))):
        is_told(folders, name, f"{point.number}", point, before)
        if point.syscall == "pread64":
            is_told(folders, name, f"{point.number}+", point, before)


def goes_on(folders: Folders, name: str, when: str, point: Point) -> bool:
    """Whatever read is refused, the log goes on, or nothing has changed but what the same command completes.

    Return whether it was a read of the folder.
    """
    done, trace = folders.run(name, when, point.syscall)
    said = f"{name} {when} {point}\n{done.stdout}\n{done.stderr}"
    refused = [line for line in trace.splitlines() if "(INJECTED)" in line]
    hit = any(str(folders.base) in line or "resumed>" in line for line in refused)
    if hit and done.returncode != 0:
        assert done.returncode == 2, said
        assert REFUSED.search(done.stderr), said
        for word in ("finding", "damaged", "defect", "Traceback"):
            assert word not in done.stdout + done.stderr, said
        assert not list(folders.made.glob("logs/.check-*")), said
        if name == "resume":
            assert len([*folders.made.glob("logs/*/restored")]) == 3, said
        again = auditlog(*folders.commands()[name])
        assert again.returncode == 0, said + again.stderr
    if hit:
        checked = auditlog("check", str(folders.made))
        assert checked.returncode == 0, said + checked.stdout
        assert len([*folders.made.glob("logs/main*")]) == (2 if name == "succeed" else 1), said
    folders.clear()
    return hit


GOING_ON = ("resume", "succeed")


@pytest.mark.parametrize("name", GOING_ON)
def test_some_reads_refused_to_a_command_by_which_a_log_goes_on(folders, name):
    points = [point for point in folders.points(name) if point.syscall == "pread64"]
    some = seeded(name).sample(points, 6)
    # A sample, in which one is enough: each takes a command or three.
    assert any(goes_on(folders, name, f"{point.number}+", point) for point in some)


@pytest.mark.soak
@pytest.mark.parametrize("name", GOING_ON)
def test_many_reads_refused_to_a_command_by_which_a_log_goes_on(folders, name):
    points = folders.points(name)
    for point in seeded(f"many of {name}").sample(points, min(MANY, len(points))):
        goes_on(folders, name, f"{point.number}", point)
        if point.syscall == "pread64":
            goes_on(folders, name, f"{point.number}+", point)


_WRITE = re.compile(r"^(\d+) +pwrite64\(\d+<([^>]*)>.*= (\d+)$", re.MULTILINE)


def test_a_copy_that_the_disk_did_not_keep_is_no_backup(folders):
    """A page that was written, as the disk says, and is not there: the copy is verified as it lies there."""
    before = folders.hashes()
    command = [require_strace(), "-f", "-y", "-o", str(folders.base / "trace"), "-e", "trace=pwrite64"]
    arguments = [AUDITLOG, "backup", str(folders.server), str(folders.made)]

    def run(*inject: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *inject, *arguments], capture_output=True, text=True, check=False, timeout=120)

    assert run().returncode == 0
    folders.clear()
    writes = [(file, int(size)) for _, file, size in _WRITE.findall((folders.base / "trace").read_text())]
    pages = [number for number, (file, _) in enumerate(writes, 1) if file.endswith("main/evidence.db")]
    at = seeded("a lost page").choice(pages[2:])
    done = run("-e", f"inject=pwrite64:retval={writes[at - 1][1]}:when={at}")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "no backup was made" in done.stderr
    assert folders.hashes() == before


@pytest.fixture
def served(folders, tmp_path):
    server = Server(tmp_path / "served", {})
    shutil.copytree(folders.server, server.folder)
    server.start()
    yield server
    assert server.stop() == 0


def beside(server: Server, file: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command beside a server, to which every read of one file is refused."""
    command = [require_strace(), "-f", "--seccomp-bpf", "-o", os.devnull, "-e", "trace=pread64"]
    command += ["-P", str(server.folder / "logs" / file), "-e", "inject=pread64:error=EIO:when=1+", AUDITLOG]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("file", ["main/evidence.db", "main/pending.db", "main/index.db", "main/head"])
def test_a_check_beside_a_server_says_what_it_could_not_read(served, file):
    done = beside(served, file, "check", str(served.folder), "--indexes", "--keep-outcome")
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"{file} cannot be read now: its device refuses byte 0 of {Path(file).name}" in done.stderr
    assert "copy the folder to another disk" in done.stderr
    assert "finding" not in done.stdout
    assert re.search(r"^control .*sound", done.stdout, re.MULTILINE), "the rest is checked"
    assert not (served.folder / "last-check.json").exists(), "what was not read is neither sound nor damaged"
    assert served.check("--indexes").returncode == 0


def test_damage_beside_what_cannot_be_read_is_damage(served):
    assert served.stop() == 0
    flip_a_bit(served.folder / "logs/main/evidence.db", 5)
    served.start()
    done = beside(served, "control/evidence.db", "check", str(served.folder))
    assert done.returncode == 1
    assert "main: entry 5: " in done.stdout
    assert "log control was not checked to its end: control/evidence.db cannot be read now" in done.stderr
    done = beside(served, "main/evidence.db", "check", str(served.folder))
    assert done.returncode == 2, "what is there was not seen"
    assert served.check().returncode == 1, "and is seen once it can be read"


def test_a_server_that_cannot_read_makes_no_backup_until_it_can(served, tmp_path):
    fetched = tmp_path / "fetched"
    with failing(served, "pread64", "EIO", "evidence.db"):
        done = served.cli("backup", "fetch", str(fetched))
        assert done.returncode == 3, done.stderr
        assert "main/evidence.db cannot be read now: its device refuses byte" in done.stderr
        assert "damaged" not in done.stderr
    assert not [path.name for path in tmp_path.iterdir() if path != served.folder]
    assert not (served.folder / ".backup").exists()
    assert served.cli("backup", "fetch", str(fetched)).returncode == 0
