"""A log in a process of its own, into which a test injects faults: `python driven.py` forks one for each line it reads.

A line is `PHASE CASE`. The folder CASE holds the log `main`, its key, and a pipe `go`. The process reports in the file
`report` what its callers were told. It waits twice for a byte in the pipe: before the phase in which faults are
injected, and after it, when the disk is well again. Then everything MUST succeed.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from auditd.errors import AuditdError
from auditd.filter import parse
from auditd.log import Credential, Log, LogSettings, LogSigner, Recorded, _housekeeper, load_signer
from auditd.merkle import TILE_WIDTH
from auditd.query import Index, Order, Search, Tiles
from auditd.server._indexes import _Feed
from tests.log.conftest import ORIGIN, TIME_NS, encoded, submission

NOW_NS = TIME_NS + 60_000_000_000
WARM = 254
"""Entries before the fault: one more than the two of each process, and the first tile is full."""
BATCHES = (3, 10, 20)
TRIES = 3
_PR_SET_PTRACER = 0x59616D61


def token(name: str) -> Credential:
    """Return the evidence of a token that has not expired."""
    signature = f"SIGNATURE-OF-{name}"
    signed, signature_hash = (hashlib.sha256(text.encode()).digest() for text in (f"{name}.payload", signature))
    return Credential(
        credential=hashlib.sha256(signed + signature_hash).digest(),
        issuer="https://idp.example.com",
        header=name,
        payload="payload",
        signature=signature,
        signature_hash=signature_hash,
        expires_at=NOW_NS // 1_000_000_000 + 3_600,
        key_thumbprint="key-1",
        key_jwk='{"kid":"key-1"}',
    )


class DrivenLog:
    """The log of a case, as its server has it."""

    def __init__(self, case: Path) -> None:
        self._case = case
        self._report = os.open(case / "report", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._go: int | None = None
        self._seconds = 0.0
        self._feed = _Feed()
        self._log: Log | None = None
        self._refused: list[tuple[int, str, str]] = []

    @property
    def log(self) -> Log:
        assert self._log is not None
        return self._log

    def say(self, **said: object) -> None:
        os.write(self._report, json.dumps(said).encode() + b"\n")

    def wait(self) -> None:
        """Wait for a byte in the pipe."""
        if self._go is None:
            self._go = os.open(self._case / "go", os.O_RDONLY)
        assert os.read(self._go, 1), "nobody drives any more"

    def open(self) -> None:
        log = Log("main", self._case / "main", self._signer(), self._settings())
        try:
            log.start()
        except BaseException:
            log.close()
            raise
        self._log = log
        self.say(notes=[log.tree_head.note])

    def _signer(self) -> LogSigner:
        origin = self._case / "origin"
        return load_signer(self._case / "main.pem", origin.read_text() if origin.exists() else ORIGIN)

    def _settings(self) -> LogSettings:
        return LogSettings(clock=lambda: NOW_NS, monotonic=self._next_second, observer=self._feed)

    def _next_second(self) -> float:
        """So that every commit stores a checkpoint."""
        self._seconds += 1
        return self._seconds

    def append(self, count: int, tag: str) -> frozenset[int]:
        """Record events, each batch with a token of its own; what is refused is sent again by
        `make_good`. Returns which were recorded before."""
        try:
            recorded = self.log.record(submission(encoded(count, tag), credential=token(tag)))
        except AuditdError as error:
            self.say(refused=tag, reason=error.reason)
            self._refused.append((count, tag, error.facts["recorded"]))
            return frozenset()
        self._tell(tag, recorded)
        return recorded.duplicates

    def _tell(self, tag: str, recorded: Recorded) -> None:
        ids = [f"{tag}-{number}" for number in range(len(recorded.indexes))]
        rows = zip(ids, recorded.indexes, (digest.hex() for digest in recorded.leaf_hashes), strict=True)
        self.say(receipts=list(rows), notes=[recorded.head.note])

    def make_good(self, fresh: str = "after") -> None:
        """Send again what was refused, and something new, as clients do: what fails now was opened while it failed."""
        again, self._refused = self._refused, []
        for count, tag, recorded in (*again, (1, fresh, "no")):
            for _ in range(TRIES):
                before = self.append(count, tag)
                if not self._refused:
                    break
                said = self._refused.pop()[2]
                recorded = said if recorded == "no" else recorded
            else:
                raise AssertionError(f"{tag} is still refused")
            assert recorded == "unknown" or not before, f"{tag} was recorded, though the answer had said no"

    def copy_wal_back(self) -> None:
        self.log._store.wal_pages = 1 << 20
        self.log._housekeeper.work()

    def close(self) -> None:
        log, self._log = self._log, None
        if log is not None:
            log.close()

    def index(self) -> None:
        """Build both indexes, and search by them once they are built."""
        folder = self._case / "main"
        self._feed.index = Index(folder / "index.db", self.log, retry_s=0.02)
        self._tiles = Tiles(folder / "tiles.db", self.log, retry_s=0.02)
        self._wait_indexed(0.3)

    def _wait_indexed(self, timeout_s: float) -> bool:
        """Wait for an index of all entries and one of all full tiles; return whether they came."""
        size = self.log.size
        built = self._feed.index.wait_covered(size, timeout_s)
        return self._tiles.wait_covered(size - size % TILE_WIDTH, timeout_s) and built

    def require_indexed(self) -> None:
        """Searches are exact while the indexes are built, and these are built in the end."""
        self._search()
        assert self._wait_indexed(60), "an index was not built"
        self._search()
        self._tiles.close()
        self._feed.index.close()

    def _search(self) -> None:
        size, tree = self.log.size, parse('action = "user.login"')
        search = Search(self.log, self._feed.index, self._tiles)
        page = search.page(tree, order=Order.OLDEST_FIRST, page_size=1_000, tree_size=size)
        assert [index for index, _ in page.entries] == list(range(size))


def _append(driven: DrivenLog) -> None:
    for number, count in enumerate(BATCHES):
        driven.append(count, f"batch{number}")


def _start(driven: DrivenLog) -> None:
    try:
        driven.open()
    except AuditdError as error:
        driven.say(start_refused=error.reason)


def _checkpoint(driven: DrivenLog) -> None:
    driven.copy_wal_back()
    driven.append(3, "between")
    driven.copy_wal_back()
    try:
        driven.close()
    except (AuditdError, OSError) as error:
        driven.say(close_failed=str(error))


PHASES: dict[str, Callable[[DrivenLog], None]] = {
    "append": _append,
    "start": _start,
    "checkpoint": _checkpoint,
    "index": DrivenLog.index,
}


def prepare(case: Path) -> None:
    """Record what is there before the fault, and end as if killed."""
    driven = DrivenLog(case)
    driven.open()
    driven.append(WARM, "warm")
    os._exit(0)


def drive(phase: str, case: Path) -> None:
    """Go through one phase, and make good what failed in it."""
    driven = DrivenLog(case)
    if phase != "start":
        driven.open()
        driven.append(2, "first")
    # Where a tracer may otherwise be an ancestor alone.
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1 & (1 << 64) - 1), 0, 0, 0)
    driven.say(pid=os.getpid())
    driven.wait()
    PHASES[phase](driven)
    driven.say(did=phase)
    driven.wait()
    if driven._log is None:
        driven.open()
    driven.make_good()
    if phase == "index":
        driven.require_indexed()
    driven.close()
    driven.say(ended=True)


def retry(case: Path) -> None:
    """Send everything again, after a process was killed."""
    driven = DrivenLog(case)
    driven.open()
    driven.append(2, "first")
    _append(driven)
    driven.append(3, "between")
    driven.make_good()
    driven.close()
    driven.say(ended=True)


def _fork(line: str) -> None:
    phase, _, case = line.strip().partition(" ")
    if os.fork():
        return
    try:
        OTHERS[phase](Path(case)) if phase in OTHERS else drive(phase, Path(case))
    except BaseException:  # noqa: BLE001 -- told to the test
        Path(case, "crash").write_text(traceback.format_exc())
        os._exit(1)
    os._exit(0)


OTHERS = {"prepare": prepare, "retry": retry}


def _run() -> None:

    # The housekeeper works when it is told to: its work is a phase.
    _housekeeper.INTERVAL_S = 3_600.0
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        _fork(line)


if __name__ == "__main__":
    _run()
