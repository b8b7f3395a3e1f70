"""Closing a log is killed at any step: it is as before, or the same command, or a start, completes it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from auditd.entry import parse_leaf
from auditd.errors import FolderError
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
    """A folder with three entries in `main`; beside it `short`, where the disk has lost all of them but the first."""
    base = tmp_path_factory.mktemp("succession")
    folder, evidence = base / "template", base / "template/logs/main/evidence.db"
    make_folder(folder, ORIGIN)
    events = OwnEvents(ORIGIN, time.time_ns)
    for numbers in ((0,), (1, 2)):
        logs = opened(folder)
        logs.start()
        for number in numbers:
            logs.by_name["main"].record(events.by_server("test.done", {"number": number}))
        logs.close()
        if not (base / "evidence.db").exists():
            shutil.copy(evidence, base / "evidence.db")
    shutil.copytree(folder, base / "short")
    shutil.copy(base / "evidence.db", base / "short/logs/main/evidence.db")
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
    complete(folder, started_first=started_first, entries=3)


def hold_in_place(folder: Path, *, started_first: bool) -> None:
    """The same of a log that has lost its end: it is not served before it is closed, and stays as it was found."""
    before = left(folder)
    closed = (folder / "logs/main~2").exists()
    if closed:
        sound(folder)
    else:
        with pytest.raises(FolderError, match="auditlog log succeed DIR main"):
            opened(folder)
    complete(folder, started_first=started_first and closed, entries=1)
    assert left(folder) == before
    assert "the entries 1 to 2 were as they are told: they are lost" in "".join(sound(folder))


def left(folder: Path) -> list[bytes]:
    return [(folder / "logs/main" / name).read_bytes() for name in ("evidence.db", "head")]


def complete(folder: Path, *, started_first: bool, entries: int) -> None:
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
        assert (logs.by_name["main~1"].size, logs.by_name["main"].size) == (entries, 1)
    finally:
        logs.close()


def run(template: Path, folder: Path, strace: str, chosen: list[tuple[str, int]], held: Callable[..., None]) -> None:
    for number, (syscall, at) in enumerate(chosen):
        case = folder / f"case{number}"
        inject = f"inject={syscall}:signal=SIGKILL:when={at}"
        kill_at(template, case, strace, ["-o", "/dev/null", "-e", inject])
        try:
            held(case, started_first=number % 2 == 1)
        except Exception as error:
            raise AssertionError(f"{syscall} {at}") from error
        shutil.rmtree(case)


def some(every: list[tuple[str, int]], label: str) -> list[tuple[str, int]]:
    """The names alone change what a start sees, so all of these are among them."""
    others = [step for step in every if step[0] != "rename"]
    return [step for step in every if step[0] == "rename"] + seeded(label).sample(others, SAMPLE)


def test_some_steps(template, tmp_path):
    strace = require_strace()
    run(template, tmp_path, strace, some(steps(template, tmp_path, strace), "succession"), hold)


def test_some_steps_in_place(template, tmp_path):
    strace, short = require_strace(), template.with_name("short")
    run(short, tmp_path, strace, some(steps(short, tmp_path, strace), "succession in place"), hold_in_place)


@pytest.mark.soak
def test_every_step(template, tmp_path):
    strace, short = require_strace(), template.with_name("short")
    for folder, held in ((template, hold), (short, hold_in_place)):
        base = tmp_path / folder.name
        base.mkdir()
        run(folder, base, strace, steps(folder, base, strace), held)
