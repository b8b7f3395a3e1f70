"""`python -m benchmarks.hostile`: how long appends of one caller take while others attack, beside the limit."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from benchmarks._append import Subject
from benchmarks._attacks import ATTACKS, CROWD, forged
from benchmarks._callers import tokens
from benchmarks._events import small_events
from benchmarks._load import Load, run_load
from benchmarks._process import resident_mb
from demo._server import running_server

LIMIT_MS = 200.0
_ORIGIN = "audit.example.com"
_CALLERS = 4


def main() -> None:
    """Measure each attack in turn."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each attack is measured")
    parser.add_argument("--only", action="append", help="an attack, by name; may be given several times")
    parser.add_argument("--scratch", type=Path, help="where to put the server's folder")
    options = parser.parse_args()
    table = Table("others' appends while", "p50", "p99", "limit", "", "answered", "server MB")
    wanted = options.only or ["nothing", "forged", *ATTACKS]
    with TemporaryDirectory(prefix="auditlog-hostile-", dir=options.scratch) as scratch:
        for number, attack in enumerate(wanted):
            with running_server(Path(scratch) / str(number), _ORIGIN) as server:
                subject = Subject(server, small_events())
                subject.append(100, _CALLERS, 1.0)
                with _attack(attack, subject) as answered:
                    load = _others(subject, options.seconds)
                    told = answered()
                memory = resident_mb(subject.pid, "VmHWM")
                table.add_row(*_row(attack, load), told, f"{memory or 0:,.0f}")
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _others(subject: Subject, seconds: float) -> Load:
    """Have a few callers append one event at a time, each as soon as the last was recorded."""
    requests = subject.requests(1, int(3_000 * seconds))
    return run_load(subject.method("Append", subject.writer), requests, _CALLERS, seconds)


def _row(attack: str, load: Load) -> tuple[str, ...]:
    p99 = load.wait_ms(0.99)
    bound = f"at most {LIMIT_MS:,.0f} ms"
    return attack, f"{load.wait_ms(0.5):,.1f} ms", f"{p99:,.1f} ms", bound, "" if p99 <= LIMIT_MS else "missed"


@contextmanager
def _attack(name: str, subject: Subject) -> Iterator[Callable[[], str]]:
    if name == "nothing":
        yield lambda: ""
        return
    count = CROWD if name in ("crowd", "unfinished") else 1
    token = ("none" if name in ("no_token", "fickle_strangers") else "") or ",".join(
        tokens(subject, "svc-hostile", count, "admin")
    )
    kind, token = ("no_token", forged(token)) if name == "forged" else (name, token)
    command = [sys.executable, "-m", "benchmarks._attacks", kind, subject.server.address, token]
    attacker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert attacker.stdout is not None
    try:
        attacker.stdout.readline()
        time.sleep(1.0)
        yield lambda: _told(attacker)
    finally:
        attacker.kill()
        attacker.wait()
        attacker.stdout.close()


def _told(attacker: subprocess.Popen[str]) -> str:
    """Return how many calls the attacker had answered by now."""
    ended = attacker.poll()
    attacker.kill()
    assert attacker.stdout is not None
    lines = attacker.stdout.read().split()
    return f"{int(lines[-1]):,}" if lines and ended is None else f"ended: {ended}"


if __name__ == "__main__":
    main()
