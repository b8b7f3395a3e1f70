"""Closing a log is killed at any step: it is as before, or the same command, or a start, completes it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from auditd.entry import parse_leaf
from auditd.log import Answers
from auditd.server import check_folder, load_config, make_folder, succeed_log
from auditd.server._clock import Clock
from auditd.server._logs import Logs
from auditd.server._own_events import OwnEvents
from tests.faults.injected import require_strace
from tests.faults.seeds import seeded

ORIGIN = "audit.example.com"
SYSCALLS = ("mkdir", "rename", "unlink", "fsync", "fdatasync", "pwrite64", "ftruncate")
_CALL = re.compile(r"^(\d+) +(\w+)\(", re.MULTILINE)
SAMPLE = 2
COMMAND = [str(Path(sys.executable).with_name("auditlog")), "log", "succeed"]


def deliver(answers: Answers) -> None:
    for submission, outcome in answers:
        submission.done(outcome)


def opened(folder: Path) -> Logs:
    return Logs(load_config(folder), deliver, lambda _origin: None, Clock(7 * 86_400))


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A folder with three entries in `main`."""
    folder = tmp_path_factory.mktemp("succession") / "template"
    make_folder(folder, ORIGIN)
    logs, events = opened(folder), OwnEvents(ORIGIN, time.time_ns)
    logs.start()
    for number in range(3):
        logs.by_name["main"].record(events.by_server("test.done", {"number": number}))
    logs.close()
    return folder


def kill_at(template: Path, case: Path, strace: str, flags: list[str]) -> int:
    shutil.copytree(template, case)
    command = [
        strace,
        "-f",
        "-e",
        f"trace={','.join(SYSCALLS)}",
        *flags,
        *COMMAND,
        str(case),
        "main",
        "--reason",
        "why",
    ]
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode


def steps(template: Path, folder: Path, strace: str) -> list[tuple[str, int]]:
    trace = folder / "trace"
    assert kill_at(template, folder / "whole", strace, ["-o", str(trace)]) == 0
    most: dict[str, int] = {}
    for (_, syscall), count in Counter(_CALL.findall(trace.read_text())).items():  # strace counts each thread's alone
        most[syscall] = max(count, most.get(syscall, 0))
    assert {"mkdir", "rename", "fsync", "fdatasync", "pwrite64"} <= most.keys()
    return [(syscall, number) for syscall, count in sorted(most.items()) for number in range(1, count + 1)]


def sound(folder: Path) -> list[str]:
    report = check_folder(load_config(folder), (), {}, lambda *_: None)
    assert report.is_sound, [report.findings, *(log.findings for log in report.logs)]
    return report.not_excluded


def hold(folder: Path, *, started_first: bool) -> None:
    """Whatever was left is sound, goes on, and is completed; never is there a second successor."""
    sound(folder)
    if started_first:
        logs = opened(folder)
        logs.start()
        logs.close()
    succeed_log(load_config(folder), "main", "again", {})
    assert sorted(path.name for path in (folder / "logs").iterdir()) == ["access", "control", "main", "main~2"]
    assert not [line for line in sound(folder) if "does not say so yet" in line]
    logs = opened(folder)
    try:
        control = [
            parse_leaf(leaf)["event"] for leaf in logs.by_name["control"].leaves(0, logs.by_name["control"].size)
        ]
        assert [event["action"] for event in control].count("log.close") == 1
        assert (logs.by_name["main~1"].size, logs.by_name["main"].size) == (3, 1)
    finally:
        logs.close()


def run(template: Path, folder: Path, strace: str, chosen: list[tuple[str, int]]) -> None:
    for number, (syscall, at) in enumerate(chosen):
        case = folder / f"case{number}"
        inject = f"inject={syscall}:signal=SIGKILL:when={at}"
        kill_at(template, case, strace, ["-o", "/dev/null", "-e", inject])
        try:
            hold(case, started_first=number % 2 == 1)
        except Exception as error:
            raise AssertionError(f"{syscall} {at}") from error
        shutil.rmtree(case)


def test_some_steps(template, tmp_path):
    strace = require_strace()
    every = steps(template, tmp_path, strace)
    # The names alone change what a start sees, so both are among them.
    chosen = [step for step in every if step[0] == "rename"]
    others = [step for step in every if step[0] != "rename"]
    run(template, tmp_path, strace, chosen + seeded("succession").sample(others, SAMPLE))


@pytest.mark.soak
def test_every_step(template, tmp_path):
    strace = require_strace()
    run(template, tmp_path, strace, steps(template, tmp_path, strace))
