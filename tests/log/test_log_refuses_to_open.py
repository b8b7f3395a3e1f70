"""The threat list of a log's folder: each refuses to open, says what to do, and leaves the evidence as it was."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

import pytest
import zstandard

from auditd.errors import DamagedError, FolderError
from auditd.log import Log, create_key_file, load_signer
from auditd.log._head import SLOT_BYTES
from auditd.note import Checkpoint, sign_note

SIZE = 600


@pytest.fixture
def closed(one_log):
    """A closed log of two full tiles and a ragged edge, with stored checkpoints."""
    log = one_log.open()
    for number in range(6):
        one_log.seconds += 2
        one_log.append(log, 100, f"e{number}")
    log.close()
    return one_log


@pytest.fixture
def killed(one_log, tmp_path):
    """What a killed server left: much of the evidence only in its write-ahead log."""
    log = one_log.filled(SIZE)
    image = one_log.crash_image(tmp_path / "killed")
    log.close()
    assert (image / "evidence.db-wal").stat().st_size > 50_000
    one_log.folder = image
    return one_log


def contents(one_log):
    """What is there; SQLite makes an empty write-ahead log where there is none."""
    paths = [one_log.folder / name for name in ("evidence.db", "evidence.db-wal", "head")]
    return {path.name: data for path in paths if path.exists() and (data := path.read_bytes())}


def refusal(one_log, **options):
    """Open, which must fail, and return why; the evidence must be as before, and the folder free."""
    before = contents(one_log)
    with pytest.raises((FolderError, DamagedError)) as caught:
        one_log.open_only(**options)
    assert contents(one_log) == before
    with pytest.raises((FolderError, DamagedError)) as again:
        one_log.open_only(**options)
    assert (type(again.value), again.value.reason) == (type(caught.value), caught.value.reason)
    return caught.value


def flip(path, position, bit=0):
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


# The write-ahead log and older copies


def test_a_bit_flipped_anywhere_in_the_write_ahead_log(killed):
    wal = killed.folder / "evidence.db-wal"
    length = wal.stat().st_size
    for position in random.Random(3).sample(range(length), 25):
        flip(wal, position, position % 8)
        error = refusal(killed)
        assert (type(error), error.reason) == (FolderError, "EVIDENCE_BEHIND"), f"bit at {position} of {length}"
        assert error.facts["signed_size"] == str(SIZE)
        assert re.search(r"entries \d+ to 599 are missing", error.message)
        assert "put the newest evidence.db and evidence.db-wal back" in error.message
        flip(wal, position, position % 8)
    assert killed.open().size == SIZE


def test_a_truncated_write_ahead_log(killed):
    wal = killed.folder / "evidence.db-wal"
    whole = wal.read_bytes()
    for length in (0, 31, len(whole) // 2, len(whole) - 1):
        wal.write_bytes(whole[:length])
        assert refusal(killed).reason == "EVIDENCE_BEHIND"
    wal.write_bytes(whole)
    assert killed.open().size == SIZE


def test_a_missing_write_ahead_log(killed):
    (killed.folder / "evidence.db-wal").unlink()
    error = refusal(killed)
    assert (error.reason, error.facts["size"]) == ("EVIDENCE_BEHIND", "0")


def test_an_older_copy_of_the_evidence_put_back(one_log, tmp_path):
    log = one_log.filled(300)
    log.close()
    shutil.copyfile(one_log.evidence, tmp_path / "older.db")
    log = one_log.open()
    one_log.append(log, 5, "newer")
    log.close()
    shutil.copyfile(tmp_path / "older.db", one_log.evidence)
    error = refusal(one_log)
    assert (type(error), error.reason) == (FolderError, "EVIDENCE_BEHIND")
    assert error.facts == {"origin": one_log.signer.name, "signed_size": "305", "size": "300"}
    assert "entries 300 to 304 are missing" in error.message


def test_a_whole_other_history_of_the_same_log_and_key(closed, tmp_path, signer, sent):
    Log.create(tmp_path / "fork", signer)
    fork = closed.open(tmp_path / "fork")
    fork.record(sent(700, "forked"))
    fork.close()
    shutil.copyfile(tmp_path / "fork" / "evidence.db", closed.evidence)
    error = refusal(closed)
    assert (type(error), error.reason) == (DamagedError, "EVIDENCE_CONTRADICTS_HEAD")
    assert error.facts["size"] == str(SIZE)
    assert error.facts["expected"] != error.facts["actual"]
    assert "run 'auditlog check'" in error.message


# head


def another_head(one_log, signer, origin):
    note = sign_note(Checkpoint(origin, SIZE, bytes(32)).text(), [signer])
    (one_log.folder / "head").write_bytes(note.encode() + b"\0")


def another_key(one_log, tmp_path):
    create_key_file(tmp_path / "other.pem")
    return load_signer(tmp_path / "other.pem", one_log.signer.name)


HEADS = {
    "removed": lambda one_log, _: (one_log.folder / "head").unlink(),
    "empty": lambda one_log, _: (one_log.folder / "head").write_bytes(b""),
    "both slots garbage": lambda one_log, _: (one_log.folder / "head").write_bytes(random.Random(1).randbytes(8_192)),
    "both slots torn": lambda one_log, _: [flip(one_log.folder / "head", at + 20) for at in (0, SLOT_BYTES)],
    "of another key": lambda one_log, tmp_path: another_head(
        one_log, another_key(one_log, tmp_path), one_log.signer.name
    ),
    "of another log": lambda one_log, _: another_head(one_log, one_log.signer, "audit.example.com/other"),
}


@pytest.mark.parametrize("change", HEADS.values(), ids=HEADS.keys())
def test_a_head_that_is(closed, tmp_path, change):
    change(closed, tmp_path)
    error = refusal(closed)
    assert (type(error), error.reason) == (FolderError, "HEAD_MISSING")
    assert re.search(r"put (it|its file 'head') back", error.message)


def test_a_head_that_cannot_be_opened(closed):
    (closed.folder / "head").unlink()
    (closed.folder / "head").mkdir()
    with pytest.raises(FolderError) as caught:
        closed.open_only()
    assert caught.value.reason == "HEAD_UNREADABLE"


# Files that are missing, of something else, or of another release


@dataclass(frozen=True)
class Case:
    reason: str
    says: str
    kind: type[Exception] = FolderError


def test_a_missing_folder(one_log, tmp_path):
    with pytest.raises(FolderError, match="put its folder back") as caught:
        one_log.open_only(tmp_path / "nowhere")
    assert caught.value.reason == "LOG_MISSING"


def test_missing_evidence(closed):
    closed.evidence.unlink()
    error = refusal(closed)
    assert (error.reason, error.facts) == ("EVIDENCE_MISSING", {"path": str(closed.evidence)})
    assert "restore a backup" in error.message
    assert not closed.evidence.exists()


@pytest.mark.parametrize(
    "data", [b"", b"SQLite", b"not a database" * 1_000, bytes(8_192)], ids=["empty", "short", "text", "zeros"]
)
def test_evidence_that_is_no_database(closed, data):
    closed.evidence.write_bytes(data)
    error = refusal(closed)
    assert (type(error), error.reason) == (FolderError, "NOT_EVIDENCE")
    assert "restore a backup" in error.message


@pytest.mark.parametrize("checksums", [True, False], ids=["checksums made anew", "checksums left as they were"])
@pytest.mark.parametrize(
    ("pragma", "case"),
    [
        pytest.param("user_version = 2", Case("NEWER_FORMAT", "serve it with a newer release"), id="newer format"),
        pytest.param("user_version = 0", Case("NOT_EVIDENCE", "restore a backup"), id="no format"),
        pytest.param("application_id = 1", Case("NOT_EVIDENCE", "restore a backup"), id="another program's"),
    ],
)
def test_evidence_of_a(closed, tamper, stock_sqlite, pragma, case, checksums):
    if checksums:
        tamper(closed.evidence, f"PRAGMA {pragma}")
    else:
        assert stock_sqlite(closed.evidence, f"PRAGMA {pragma}").returncode == 0
    error = refusal(closed)
    assert (type(error), error.reason) == (FolderError, case.reason)
    assert case.says in error.message


def test_the_evidence_of_another_log(closed, tmp_path, key_file):
    other = load_signer(key_file, "audit.example.com/other")
    Log.create(tmp_path / "other", other)
    shutil.copyfile(tmp_path / "other" / "evidence.db", closed.evidence)
    error = refusal(closed)
    assert (type(error), error.reason) == (FolderError, "WRONG_KEY")


def test_another_signing_key(closed, tmp_path):
    error = refusal(closed, signer=another_key(closed, tmp_path))
    assert (type(error), error.reason) == (FolderError, "WRONG_KEY")
    assert str(closed.signer.verifier_key) in error.message
    assert "put the right key back" in error.message


def test_pending_signatures_that_are_no_database(closed):
    (closed.folder / "pending.db").write_bytes(b"garbage" * 1_000)
    error = refusal(closed)
    assert (type(error), error.reason) == (FolderError, "PENDING_UNREADABLE")
    assert "Move it away to go on" in error.message
    (closed.folder / "pending.db").unlink()
    assert closed.open().size == SIZE


def test_a_folder_that_cannot_be_written(closed, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied", str(closed.folder / "lock"))

    monkeypatch.setattr("auditd.log._lock.os.open", refuse)
    with pytest.raises(FolderError, match="the server must be able to write there") as caught:
        closed.open_only()
    assert caught.value.reason == "FOLDER_UNUSABLE"


HOLDER = """
import sys, time
from pathlib import Path
from auditd.log import Log, LogSettings, load_signer
folder, key, origin = sys.argv[1:]
log = Log("main", Path(folder), load_signer(Path(key), origin), LogSettings(clock=time.time_ns))
print("open", flush=True)
sys.stdin.read()
log.close()
"""


def test_a_folder_in_use_by_another_process(closed, key_file):
    command = [sys.executable, "-c", HOLDER, str(closed.folder), str(key_file), closed.signer.name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "open\n"
        error = refusal(closed)
        holder.stdin.close()
        assert holder.wait(30) == 0
    assert (type(error), error.reason) == (FolderError, "IN_USE")
    assert f"in use by process {holder.pid}; stop that server first" in error.message
    assert closed.open().size == SIZE


def test_a_folder_in_use_by_this_process(closed):
    closed.open()
    with pytest.raises(FolderError) as caught:
        closed.open_only()
    assert caught.value.reason == "IN_USE"


# The schema


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        pytest.param("DROP TRIGGER entries_update", "trigger entries_update", id="a trigger was dropped"),
        pytest.param(
            "CREATE TRIGGER sly AFTER INSERT ON entries BEGIN SELECT 1; END", "trigger sly", id="a trigger was added"
        ),
        pytest.param("CREATE INDEX sly ON entries (leaf)", "index sly", id="an index was added"),
        pytest.param("CREATE TABLE sly (x)", "table sly", id="a table was added"),
        pytest.param("CREATE VIEW sly AS SELECT 1", "view sly", id="a view was added"),
        pytest.param("DROP TABLE issuer_keys", "table issuer_keys", id="a table was dropped"),
        pytest.param("ALTER TABLE entries ADD COLUMN sly ANY", "table entries", id="a column was added"),
    ],
)
def test_an_altered_schema(closed, tamper, statement, named):
    tamper(closed.evidence, statement)
    error = refusal(closed)
    assert (type(error), error.reason) == (DamagedError, "SCHEMA_ALTERED")
    assert named in error.facts["objects"].split(", ")
    assert "run 'auditlog check'" in error.message


def test_a_trigger_that_was_weakened(closed, tamper):
    tamper(
        closed.evidence,
        "DROP TRIGGER entries_update",
        "CREATE TRIGGER entries_update BEFORE UPDATE ON entries BEGIN SELECT 1; END",
    )
    assert refusal(closed).facts == {"objects": "trigger entries_update"}


# Rows behind SQLite's back

FRAME = zstandard.ZstdCompressor().compress(b'{"v":1,"log":"audit.example.com/main","index":550}')
ROWS = {
    "a leaf of the ragged edge is garbage": (
        ("UPDATE entries SET leaf = x'00' WHERE idx = 550",),
        Case("LEAF_DAMAGED", "entry 550", DamagedError),
    ),
    "a leaf of the ragged edge is another one": (
        (("UPDATE entries SET leaf = ? WHERE idx = 550", (FRAME,)),),
        Case("EVIDENCE_CONTRADICTS_HEAD", "run 'auditlog check'", DamagedError),
    ),
    "an entry of the ragged edge is gone": (
        ("DELETE FROM entries WHERE idx = 550",),
        Case("ENTRY_MISSING", "entry 550 is missing", DamagedError),
    ),
    "the newest entries are gone": (
        ("DELETE FROM entries WHERE idx >= 590",),
        Case("EVIDENCE_BEHIND", "entries 590 to 599 are missing"),
    ),
    "a leaf of the ragged edge is its neighbour's": (
        ("UPDATE entries SET leaf = (SELECT leaf FROM entries WHERE idx = 551) WHERE idx = 550",),
        Case("EVIDENCE_CONTRADICTS_HEAD", "the first 600 entries are not those", DamagedError),
    ),
    "a tile is gone": (
        ("DELETE FROM tiles WHERE level = 0 AND tile = 1",),
        Case("TILE_MISSING", "tile 1 of level 0 is missing; restore a backup", DamagedError),
    ),
    "a tile is another one": (
        (("UPDATE tiles SET hashes = ? WHERE level = 0 AND tile = 1", (bytes(8_192),)),),
        Case("EVIDENCE_CONTRADICTS_HEAD", "the first 600 entries are not those", DamagedError),
    ),
    "the newest stored checkpoint is forged": (
        ("UPDATE checkpoints SET note = replace(note, '600', '599') WHERE id = (SELECT max(id) FROM checkpoints)",),
        Case("CHECKPOINT_DAMAGED", "run 'auditlog check'", DamagedError),
    ),
    "the newest stored checkpoint has another size": (
        ("UPDATE checkpoints SET size = 601 WHERE id = (SELECT max(id) FROM checkpoints)",),
        Case("CHECKPOINT_DAMAGED", "of size 601, is damaged", DamagedError),
    ),
    "a dictionary is garbage": (
        ("INSERT INTO dictionaries (id, dictionary) VALUES (7, x'37a430ec070000000000')",),
        Case("DICTIONARY_DAMAGED", "compression dictionary 7 is damaged; run 'auditlog check'", DamagedError),
    ),
    "it does not say which log it is": (
        ("DELETE FROM log",),
        Case("IDENTITY_MISSING", "does not say which log it is", DamagedError),
    ),
}


@pytest.mark.parametrize(("statements", "case"), ROWS.values(), ids=ROWS.keys())
def test_evidence_changed_behind_its_triggers(closed, tamper, statements, case):
    tamper(closed.evidence, *statements)
    error = refusal(closed)
    assert (type(error), error.reason) == (case.kind, case.reason)
    assert case.says in error.message


def test_the_newest_leaf_changed_where_all_leaves_are_in_full_tiles(one_log, tamper):
    one_log.filled(512).close()
    later = zstandard.ZstdCompressor().compress(
        b'{"v":1,"log":"x","index":511,"recorded_at":"9999-01-01T00:00:00Z","salt":"","caller":{},"event":{}}'
    )
    tamper(one_log.evidence, ("UPDATE entries SET leaf = ? WHERE idx = 511", (later,)))
    error = refusal(one_log)
    assert (type(error), error.reason, error.facts["index"]) == (DamagedError, "LEAF_DAMAGED", "511")


def test_a_page_of_garbage(closed):
    data = bytearray(closed.evidence.read_bytes())
    data[4_096:8_192] = random.Random(5).randbytes(4_096)
    closed.evidence.write_bytes(data)
    error = refusal(closed)
    assert (type(error), error.reason) == (DamagedError, "EVIDENCE_UNREADABLE")
    assert "restore a backup" in error.message
