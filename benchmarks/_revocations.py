"""What many revocations cost: a server's start, and appending, each beside a server without any."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from auditd.identity import Revocation, Revoked, RevokedKind
from auditd.log import Answers, Log, Outcome
from auditd.server import load_config
from auditd.server._clock import Clock
from auditd.server._config import Config
from auditd.server._logs import Logs
from auditd.server._own_events import OwnEvents
from benchmarks._append import Subject
from benchmarks._events import small_events
from demo._server import running_server

REVOKED = 100_000
_QUEUED = 8_000


@dataclass(frozen=True, slots=True)
class Pair:
    """Two servers that differ in this alone, and how long they took to start, in seconds."""

    without: Subject
    with_revocations: Subject
    start_without_s: float
    start_s: float


@contextmanager
def running_pair(scratch: Path, origin: str, revoked: int = REVOKED) -> Iterator[Pair]:
    """Run a server whose log `control` holds that many revocations, and one without."""
    with (
        running_server(scratch / "nothing-revoked", origin) as without,
        running_server(scratch / "revoked", origin, configure=lambda folder: fill(folder, revoked)) as filled,
    ):
        starts = []
        for server in (without, filled):
            # The first start has also made the index of what stands in `control`.
            server.stop()
            starts.append(server.start())
        yield Pair(Subject(without, small_events()), Subject(filled, small_events()), *starts)


def fill(folder: Path, revoked: int) -> None:
    """Record revocations in `control` of a folder that is not served, as the server records them."""
    config = load_config(folder)
    logs = Logs(config, _deliver, lambda _name: None, Clock(config.limits.max_idle_s))
    try:
        logs.start()
        _record(config, logs.by_name["control"], revoked)
    finally:
        logs.close()


def _record(config: Config, control: Log, revoked: int) -> None:
    own_events, room = OwnEvents(config.origin), threading.Semaphore(_QUEUED)
    failed: list[Exception] = []

    def done(outcome: Outcome) -> None:
        if isinstance(outcome, Exception):
            failed.append(outcome)
        room.release()

    for number in range(revoked):
        target = Revoked(RevokedKind.JTI, config.local_issuer_name, f"token-{number:08d}")
        submission = own_events.by_server("revocation.add", Revocation(0, target, 0).attributes)
        submission.done = done
        room.acquire()
        control.submit(submission)
    for _ in range(_QUEUED):
        room.acquire()
    if failed:
        raise failed[0]


def _deliver(answers: Answers) -> None:
    for submission, outcome in answers:
        submission.done(outcome)
