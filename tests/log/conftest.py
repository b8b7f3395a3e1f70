"""One log in a folder, made, opened, killed and re-opened; and a disk that fails when told to."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw
import pytest

from auditd.entry import EncodedBatch, EncodedEvent, Event, KeyMaker, Time, encode_caller, encode_events
from auditd.errors import AuditdError
from auditd.log import Log, LogSettings, LogSigner, Outcome, Recorded, Submission, create_key_file, load_signer
from auditd.log._database import checksum_vfs
from auditd_client.verify import open_checkpoint, verify_extends

ORIGIN = "audit.example.com/main"
NOW_NS = 1_795_500_000_000_000_000
TIME_NS = NOW_NS - 60_000_000_000


def encoded(count: int, tag: str = "e", **members: Any) -> list[EncodedEvent]:
    """Events `tag-0`, `tag-1` ... with times of their own."""
    events = [Event(id=f"{tag}-{i}", time=Time.from_ns(TIME_NS + i * 1_000), action="user.login") for i in range(count)]
    return encode_events([replace(event, **members) for event in events])


def submission(events: Sequence[EncodedEvent], caller: str = "alice", **members: Any) -> Submission:
    """What a caller sends; the key of each event is made from its name."""
    make_key = KeyMaker("https://idp.example.com", caller)
    return Submission(
        EncodedBatch(events),
        [make_key(event.id, event.time, event.time_ns) for event in events],
        encode_caller("token", "https://idp.example.com", caller),
        **{"done": lambda _: None, **members},
    )


def naive_root(hashes: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, as literal as can be."""
    if len(hashes) < 2:
        return hashes[0] if hashes else sha256(b"").digest()
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    return sha256(b"\x01" + naive_root(hashes[:split]) + naive_root(hashes[split:])).digest()


class OneLog:
    """A log's folder, with the signer, clock and settings that it is opened with.

    Remembers every checkpoint that was returned, so that a test can hold all of them against the last one.
    """

    def __init__(self, folder: Path, signer: LogSigner) -> None:
        self.folder = folder
        self.signer = signer
        self.now_ns = NOW_NS
        self.seconds = 0.0
        self.seen: list[str] = []
        self._open: list[Log] = []

    @property
    def evidence(self) -> Path:
        return self.folder / "evidence.db"

    def open(self, folder: Path | None = None, *, signer: LogSigner | None = None, **settings: Any) -> Log:
        """Open and start the log in `folder`, by default the own one."""
        log = self.open_only(folder, signer=signer, **settings)
        log.start()
        return log

    def open_only(self, folder: Path | None = None, *, signer: LogSigner | None = None, **settings: Any) -> Log:
        defaults: dict[str, Any] = {"clock": lambda: self.now_ns, "monotonic": lambda: self.seconds}
        log = Log("main", folder or self.folder, signer or self.signer, LogSettings(**(defaults | settings)))
        self._open.append(log)
        self.seen.append(log.tree_head.note)
        return log

    def append(self, log: Log, count: int = 1, tag: str = "e", caller: str = "alice", **members: Any) -> Recorded:
        """Record new events, or the same ones again."""
        return self.record(log, submission(encoded(count, tag, **members), caller))

    def record(self, log: Log, sent: Submission) -> Recorded:
        recorded = log.record(sent)
        self.seen.append(recorded.head.note)
        return recorded

    def outcome(self, log: Log, sent: Submission) -> Outcome:
        """Record what was sent; return the error if there is one."""
        try:
            return self.record(log, sent)
        except AuditdError as error:
            return error

    def filled(self, size: int, **settings: Any) -> Log:
        """Open the log and fill it with `size` entries."""
        log = self.open(**settings)
        for start in range(0, size, 1_000):
            self.append(log, min(1_000, size - start), f"fill{start}")
        return log

    def crash_image(self, to: Path) -> Path:
        """Copy what a process killed at this moment leaves on disk."""
        return shutil.copytree(self.folder, to, ignore=shutil.ignore_patterns("*-shm", "lock"))

    def require_image_goes_on(self, to: Path, sent: Submission, size: int) -> None:
        """Open what a kill now would leave; `sent`, behind `size` entries, is there whole or not at all."""
        seen = list(self.seen)
        image = self.open(self.crash_image(to))
        assert image.size in (size, size + len(sent.events))
        recorded = self.record(image, sent)
        assert list(recorded.indexes) == list(range(size, size + len(sent.events)))
        self.require_one_history(image)
        image.close()
        self.seen = seen  # the image is another future of the log

    def require_one_history(self, log: Log) -> None:
        """Hold every checkpoint ever returned against the newest one, as an auditor would (promise 2)."""
        newest = open_checkpoint(log.tree_head.note, str(self.signer.verifier_key))
        for note in dict.fromkeys(self.seen):
            older = open_checkpoint(note, str(self.signer.verifier_key))
            verify_extends(older, newest, log.proofs.consistency(older.size, newest.size))

    def close_all(self) -> None:
        for log in self._open:
            log.close()


class Answer:
    """Waits for the outcome of a submission that was queued."""

    def __init__(self) -> None:
        from threading import Event as Flag

        self._given = Flag()
        self._outcome: Outcome | None = None

    def __call__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._given.set()

    def outcome(self) -> Outcome:
        assert self._given.wait(30), "no answer"
        assert self._outcome is not None
        return self._outcome

    @property
    def given(self) -> bool:
        return self._given.is_set()


class FaultyDisk(apsw.VFS):
    """The checksum VFS on a disk that can be made to fail.

    `fail` lets the `number`-th next `operation` ("read", "write" or "sync", on the file named `only`, if it is given)
    raise `error`, and with `for_ever` those that follow; with `stored` it is done all the same, as where only the
    answer is lost.
    """

    def __init__(self) -> None:
        self.operations: list[str] = []
        self.heal()
        super().__init__("faulty", checksum_vfs())

    def heal(self) -> None:
        self._operation = ""

    def fail(
        self,
        operation: str,
        error: Callable[[], Exception],
        number: int = 0,
        *,
        stored: bool = False,
        for_ever: bool = False,
        only: str = "",
    ) -> None:
        self._operation, self._error, self._countdown = operation, error, number
        self._stored, self._for_ever, self._only = stored, for_ever, only

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 -- apsw's name
        return FaultyFile(self, name, flags)

    def run(self, operation: str, file: str, do: Callable[[], Any]) -> Any:
        self.operations.append(operation)
        fails = False
        if operation == self._operation and self._only in ("", file):
            fails = self._countdown == 0 or (self._for_ever and self._countdown < 0)
            self._countdown -= 1
        done = None if fails and not self._stored else do()
        if fails:
            raise self._error()
        return done


class FaultyFile(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._name = Path(name.filename() if isinstance(name, apsw.URIFilename) else name or "").name
        super().__init__(checksum_vfs(), name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 -- apsw's name
        return self._disk.run("read", self._name, lambda: super(FaultyFile, self).xRead(amount, offset))

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 -- apsw's name
        held = bytes(data)
        self._disk.run("write", self._name, lambda: super(FaultyFile, self).xWrite(held, offset))

    def xSync(self, flags: int) -> None:  # noqa: N802 -- apsw's name
        self._disk.run("sync", self._name, lambda: super(FaultyFile, self).xSync(flags))


@pytest.fixture(autouse=True)
def _no_chores(monkeypatch: pytest.MonkeyPatch) -> None:
    """The housekeeper works when a test tells it to, not when time has passed."""
    monkeypatch.setattr("auditd.log._housekeeper.INTERVAL_S", 3_600.0)


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "main.pem"
    create_key_file(path)
    return path


@pytest.fixture(scope="session")
def signer(key_file: Path) -> LogSigner:
    return load_signer(key_file, ORIGIN)


@pytest.fixture(scope="session")
def make_log() -> Callable[[Path, LogSigner], OneLog]:
    """Make an empty log in a folder that does not exist."""

    def make(folder: Path, signer: LogSigner) -> OneLog:
        Log.create(folder, signer)
        return OneLog(folder, signer)

    return make


@pytest.fixture
def one_log(tmp_path: Path, signer: LogSigner, make_log: Callable[[Path, LogSigner], OneLog]) -> Iterator[OneLog]:
    made = make_log(tmp_path / "main", signer)
    yield made
    made.close_all()


@pytest.fixture(scope="session")
def large(
    tmp_path_factory: pytest.TempPathFactory, make_log: Callable[[Path, LogSigner], OneLog], signer: LogSigner
) -> OneLog:
    """A closed log of 65,535 entries: one more, and its first tile of level 1 is full."""
    made = make_log(tmp_path_factory.mktemp("large") / "main", signer)
    made.filled(65_535).close()
    return made


@pytest.fixture
def copy_of_large(large: OneLog, one_log: OneLog) -> OneLog:
    shutil.rmtree(one_log.folder)
    shutil.copytree(large.folder, one_log.folder)
    one_log.seen = list(large.seen)
    return one_log


@pytest.fixture
def faulty_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyDisk]:
    disk = FaultyDisk()
    for module in ("_database", "_second_look"):
        monkeypatch.setattr(f"auditd.log.{module}.checksum_vfs", lambda: "faulty")
    yield disk
    disk.heal()
    disk.unregister()


@pytest.fixture(scope="session")
def sent() -> Callable[..., Submission]:
    """Make a submission: `sent(count, tag, caller, done=..., **members of each event)`."""

    def make(count: int = 1, tag: str = "e", caller: str = "alice", /, **members: Any) -> Submission:
        names = ("done", "credential", "keep_leaves", "refused_if_new", "event_bytes")
        own = {name: members.pop(name) for name in names if name in members}
        return submission(encoded(count, tag, **members), caller, **own)

    return make


@pytest.fixture(scope="session")
def make_submission() -> Callable[..., Submission]:
    return submission


@pytest.fixture(scope="session")
def make_events() -> Callable[..., list[EncodedEvent]]:
    return encoded


@pytest.fixture
def answer() -> type[Answer]:
    return Answer


@pytest.fixture(scope="session")
def mth() -> Callable[[Sequence[bytes]], bytes]:
    return naive_root


@pytest.fixture(scope="session")
def stock_sqlite() -> Callable[[Path, str], subprocess.CompletedProcess[str]]:
    """Run the stock `sqlite3` command line on a file."""
    program = shutil.which("sqlite3")
    if program is None:
        pytest.skip("the sqlite3 command line is not installed")

    def run(path: Path, sql: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, str(path), sql], capture_output=True, text=True, check=False, timeout=30)

    return run


@pytest.fixture(scope="session")
def rows() -> Callable[..., list[tuple[Any, ...]]]:
    """Ask an evidence file, open or not.

    Not with the `sqlite3` module: a second SQLite in one process does not know of the locks of the first.
    """

    def ask(path: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            return db.execute(sql, values).fetchall()
        finally:
            db.close()

    return ask


@pytest.fixture(scope="session")
def tamper() -> Callable[..., None]:
    """Change evidence behind SQLite's back: no triggers, and page checksums made anew."""

    def run(path: Path, *statements: tuple[str, Sequence[Any]] | str) -> None:
        db = apsw.Connection(str(path), vfs=checksum_vfs())
        try:
            db.set_busy_timeout(5_000)
            db.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
            for statement in statements:
                sql, values = (statement, ()) if isinstance(statement, str) else statement
                db.execute(sql, values)
        finally:
            db.close()

    return run
