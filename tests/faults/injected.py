"""Faults of system calls, injected by strace into driven processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from auditd.log import Log, LogSigner, create_key_file, load_signer
from tests.faults.told import Told, told
from tests.log.conftest import ORIGIN

SYSCALLS = ("openat", "write", "pwrite64", "fsync", "fdatasync", "rename", "ftruncate")
FAULTS = ("error=EIO", "error=ENOSPC", "signal=SIGKILL")
_FILES = ("evidence.db", "head", "lock", "pending.db", "index.db", "tiles.db")
_CALL = re.compile(r"^(\d+) +(\w+)\(", re.MULTILINE)
_LIMIT_S = 120.0


def require_strace() -> str:
    """Return the program; skip the test where it is missing or may not trace, and say so."""
    program = shutil.which("strace")
    why = "strace is not installed"
    if program is not None:
        tried = subprocess.run([program, "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
        if tried.returncode == 0:
            return program
        why = f"strace may not trace here: {tried.stderr.strip()[-200:]}"
    if os.environ.get("REQUIRE_TOOLS"):
        pytest.fail(why)
    pytest.skip(why)


@dataclass(frozen=True, order=True)
class Fault:
    """One fault: what becomes of the `number`-th call, from 1, of a system call on the log's files in a phase."""

    phase: str
    syscall: str
    number: int
    kind: str

    def __str__(self) -> str:
        return f"{self.phase}: {self.syscall} {self.number}: {self.kind}"


@dataclass
class Driver:
    """Drives logs in processes of their own, each case on a fresh copy of one folder."""

    folder: Path
    process: subprocess.Popen[str]
    strace: str
    signer: LogSigner
    _cases: int = 0
    _template: Told = field(default_factory=Told)

    @classmethod
    def begin(cls, folder: Path, strace: str) -> Driver:
        template = folder / "template"
        template.mkdir()
        create_key_file(template / "main.pem")
        signer = load_signer(template / "main.pem", ORIGIN)
        Log.create(template / "main", signer)
        script = str(Path(__file__).with_name("driven.py"))
        root = Path(__file__).resolve().parents[2]
        environment = os.environ | {"PYTHONPATH": str(root)}
        process = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, text=True, env=environment)
        driver = cls(folder, process, strace, signer)
        driver._say("prepare", template)
        driver._until(lambda: len(_lines(template)) == 2, template)
        driver._template = told(_lines(template))
        return driver

    def end(self) -> None:
        self.process.stdin.close()
        assert self.process.wait(60) == 0

    def faults(self, phase: str) -> list[Fault]:
        """Return every fault there is in a phase, counted in one run without any."""
        case, trace = self._case(), self.folder / f"{phase}.trace"
        self._drive(phase, case, ["-o", str(trace)])
        self._hold(case)
        each: Counter[tuple[str, str]] = Counter(_CALL.findall(trace.read_text()))
        most: dict[str, int] = {}
        for (_, syscall), count in each.items():  # strace counts each thread's calls on their own
            most[syscall] = max(count, most.get(syscall, 0))
        return [
            Fault(phase, syscall, number, kind)
            for syscall, count in sorted(most.items())
            for number in range(1, count + 1)
            for kind in FAULTS
        ]

    def run(self, fault: Fault) -> None:
        """Inject one fault, and hold what is left against what callers were told."""
        case = self._case()
        inject = f"inject={fault.syscall}:{fault.kind}:when={fault.number}"
        self._drive(fault.phase, case, ["-o", str(case / "trace"), "-e", inject])
        if "SIGKILL" in fault.kind:
            self._hold(case)
            self._say("retry", case)
            self._until(lambda: _ended(case), case)
        self._hold(case)
        shutil.rmtree(case)

    def _case(self) -> Path:
        self._cases += 1
        case = self.folder / f"case{self._cases}"
        shutil.copytree(self.folder / "template", case, ignore=shutil.ignore_patterns("*-shm", "report", "lock"))
        os.mkfifo(case / "go")
        return case

    def _hold(self, case: Path) -> None:
        heard = told(_lines(case))
        for event_id, receipt in self._template.receipts.items():
            heard.receipt(event_id, receipt)
        heard.notes |= self._template.notes
        heard.hold(case / "main", self.signer)

    def _drive(self, phase: str, case: Path, flags: list[str]) -> None:
        """Have a phase gone through under strace, and then, unless it was killed, what follows without."""
        self._say(phase, case)
        self._until(lambda: "pid" in _said(case), case)
        pid = _said(case)["pid"]
        files = [case / "main" / f"{name}{suffix}" for name in _FILES for suffix in ("", "-wal", "-shm", "-journal")]
        watched = [part for file in (case / "main", *files) for part in ("-P", str(file))]
        command = [self.strace, "-f", "-p", str(pid), "-e", f"trace={','.join(SYSCALLS)}", *watched, *flags]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            line = tracer.stderr.readline()
            assert "attached" in line, line
            with (case / "go").open("wb", buffering=0) as go:
                go.write(b"1")
                self._until(lambda: "did" in _said(case) or _killed(pid), case)
                if _killed(pid):
                    tracer.kill()
                    self._until(lambda: not Path(f"/proc/{pid}").exists(), case)
                    return
                tracer.terminate()  # which has it let go of the process
                tracer.communicate(timeout=60)
                go.write(b"2")
                self._until(lambda: _ended(case), case)
        finally:
            tracer.kill()
            tracer.communicate()

    def _say(self, phase: str, case: Path) -> None:
        self.process.stdin.write(f"{phase} {case}\n")
        self.process.stdin.flush()

    def _until(self, come: Callable[[], bool], case: Path) -> None:
        ends = time.monotonic() + _LIMIT_S
        while not come():
            crash = case / "crash"
            assert not crash.exists(), crash.read_text()
            assert time.monotonic() < ends, f"it hangs, having said {_lines(case)[-3:]}"
            time.sleep(0.002)


def _lines(case: Path) -> list[str]:
    try:
        return (case / "report").read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return []


def _said(case: Path) -> dict[str, object]:
    said: dict[str, object] = {}
    for line in _lines(case):
        if line.endswith("\n"):
            said |= json.loads(line)
    return said


def _ended(case: Path) -> bool:
    return "ended" in _said(case)


def _killed(pid: int) -> bool:
    """Tell whether a process was killed, even if threads of it are still to go."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True
