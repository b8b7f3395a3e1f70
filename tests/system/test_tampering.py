"""Whatever is done to a server folder, `auditlog check` says what; and where it cannot, what others keep tells.

The table of attacks in docs/threat-model.md is this one.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import pytest
import zstandard
from click.testing import CliRunner

from auditd.cli import check as check_command
from auditd.entry import parse_leaf
from auditd.log import checksum_vfs, plain_vfs
from auditd.query._runs import make_run
from auditd.query._terms import terms_of
from auditd.server import check_folder, load_config
from auditd_client import Client, event_from_dict

ROOT = Path(__file__).resolve().parents[2]
LOGS = ("main", "control", "access")
OUTSIDE = "compare with what others hold: --against"
FIRST, TARGET = 600, 100


@dataclass
class Folders:
    """One log's life: an older copy, the newest one, that after a kill, and a fork, each of the whole folder."""

    older: Path
    newest: Path
    killed: Path
    fork: Path
    kept: Path
    """A checkpoint that somebody kept, newer than all but the fork."""
    size: int


@pytest.fixture(scope="module")
def folders(serve_folder, tmp_path_factory) -> Folders:
    place = tmp_path_factory.mktemp("folders")
    server = serve_folder(SETTINGS)
    copied = {name: place / name for name in ("older", "newest", "killed", "fork")}
    append(server, FIRST, "first")
    server.stop()
    shutil.copytree(server.folder, copied["older"])
    (server.folder / "auditd.toml").write_text(SETTINGS + "# which control records\n")
    server.start()
    append(server, 40, "second")
    # Its checkpoint is stored by the next commit of another second: a range between two that are stored.
    time.sleep(1.1)
    append(server, 40, "third")
    server.stop()
    shutil.copytree(server.folder, copied["newest"])
    server.start()
    size = append(server, 30, "fourth")
    (place / "kept.checkpoint").write_text(note := checkpoint(server))
    server.kill()
    shutil.copytree(server.folder, copied["killed"], ignore=shutil.ignore_patterns("*-shm"))
    shutil.copytree(copied["older"], server.folder, dirs_exist_ok=True)
    for stale in server.folder.rglob("*-wal"):
        stale.unlink()
    server.start()
    append(server, 200, "forked")
    server.stop()
    shutil.copytree(server.folder, copied["fork"])
    assert note.split("\n")[1] == str(size)
    return Folders(*copied.values(), place / "kept.checkpoint", size)


SETTINGS = 'format = 1\norigin = "audit.example.com"\n'


def append(server, count: int, tag: str) -> int:
    with Client(server.address, server.token("writer")) as client:
        sent = [{"id": f"{tag}-{n}", "action": "user.login", "actor": {"id": f"{tag}{n % 7}"}} for n in range(count)]
        for start in range(0, count, 100):
            receipts = client.append([event(members) for members in sent[start : start + 100]])
    return receipts.receipts[-1].index + 1


def event(members: dict[str, Any]) -> Any:
    return event_from_dict(members | {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())})


def checkpoint(server) -> str:
    with Client(server.address, server.token("auditor")) as client:
        return client.checkpoint().checkpoint


# What an attacker does


@contextmanager
def opened(path: Path, *, checksums: bool = True) -> Iterator[apsw.Connection]:
    """Open a database as whoever switches triggers off and, where they know how, makes page checksums anew."""
    db = apsw.Connection(str(path), vfs=checksum_vfs() if checksums else plain_vfs())
    try:
        db.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
        yield db
    finally:
        db.close()


def sql(*statements: str, checksums: bool = True, log: str = "main") -> Callable[[Path, Folders], None]:
    def attack(folder: Path, _folders: Folders) -> None:
        with opened(folder / "logs" / log / "evidence.db", checksums=checksums) as db:
            for statement in statements:
                db.execute(statement)

    return attack


def leaf_of(db: apsw.Connection, index: int) -> bytes:
    frame = db.execute("SELECT leaf FROM entries WHERE idx = ?", (index,)).get
    dictionaries = [data for (data,) in db.execute("SELECT dictionary FROM dictionaries")]
    wanted = zstandard.get_frame_parameters(frame).dict_id
    known = {zstandard.ZstdCompressionDict(data).dict_id(): data for data in dictionaries}
    dictionary = zstandard.ZstdCompressionDict(known[wanted]) if wanted else None
    return zstandard.ZstdDecompressor(dict_data=dictionary).decompress(frame)


def edit(index: int, *, tile: bool = False, checksums: bool = True) -> Callable[[Path, Folders], None]:
    """Have an entry say another outcome; with `tile` in a way that the stored tile agrees with."""

    def attack(folder: Path, _folders: Folders) -> None:
        with opened(folder / "logs/main/evidence.db", checksums=checksums) as db:
            at = index if index >= 0 else db.execute("SELECT max(idx) FROM entries").get
            leaf = leaf_of(db, at).replace(b"user.login", b"user.LOGIN")
            frame = zstandard.ZstdCompressor().compress(leaf)
            db.execute("UPDATE entries SET leaf = ? WHERE idx = ?", (frame, at))
            if tile:
                hashes = bytearray(
                    db.execute("SELECT hashes FROM tiles WHERE level = 0 AND tile = ?", (at // 256,)).get
                )
                hashes[at % 256 * 32 : at % 256 * 32 + 32] = hashlib.sha256(b"\0" + leaf).digest()
                db.execute("UPDATE tiles SET hashes = ? WHERE level = 0 AND tile = ?", (bytes(hashes), at // 256))

    return attack


def frame(make: Callable[[bytes], bytes]) -> Callable[[Path, Folders], None]:
    def attack(folder: Path, _folders: Folders) -> None:
        with opened(folder / "logs/main/evidence.db") as db:
            made = make(zstandard.ZstdCompressor().compress(leaf_of(db, TARGET)))
            db.execute("UPDATE entries SET leaf = ? WHERE idx = ?", (made, TARGET))

    return attack


def bomb(_frame: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(bytes(100_000_000))


def unstated_bomb(_frame: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3, write_content_size=False).compress(bytes(100_000_000))


def all_of(*attacks: Callable[[Path, Folders], None]) -> Callable[[Path, Folders], None]:
    def attack(folder: Path, folders: Folders) -> None:
        for one in attacks:
            one(folder, folders)

    return attack


def take_back(*names: str) -> Callable[[Path, Folders], None]:
    """Put the older copy of some logs back, each with everything that it had."""

    def attack(folder: Path, folders: Folders) -> None:
        for name in names:
            shutil.rmtree(folder / "logs" / name)
            shutil.copytree(folders.older / "logs" / name, folder / "logs" / name)

    return attack


def older_head(folder: Path, folders: Folders) -> None:
    shutil.copyfile(folders.older / "logs/main/head", folder / "logs/main/head")


def remove_head(folder: Path, _folders: Folders) -> None:
    (folder / "logs/main/head").unlink()


def head_as_a_folder(folder: Path, _folders: Folders) -> None:
    remove_head(folder, _folders)
    (folder / "logs/main/head").mkdir()


def other_dictionary(folder: Path, _folders: Folders) -> None:
    """Put another one in the place of a dictionary, and its file beside it."""
    words = [f'{{"word":"{n * 7919 % 1000}","more":"{n * 104729 % 5000}"}}'.encode() for n in range(4_000)]
    with opened(folder / "logs/main/evidence.db") as db:
        number = db.execute("SELECT id FROM dictionaries").get
        made = zstandard.train_dictionary(4_096, words, dict_id=number).as_bytes()
        db.execute("UPDATE dictionaries SET dictionary = ?", (made,))
    name = f"{hashlib.sha256(made).hexdigest()}.zstd-dictionary"
    (folder / "logs/main/dictionaries" / name).write_bytes(made)


def remove_dictionary_file(folder: Path, _folders: Folders) -> None:
    for file in (folder / "logs/main/dictionaries").iterdir():
        file.unlink()


def delete_posting(folder: Path, _folders: Folders) -> None:
    """Have the index forget who did one entry."""
    with opened(folder / "logs/main/index.db") as index, opened(folder / "logs/main/evidence.db") as evidence:
        newest = "SELECT first, end FROM runs WHERE first <= ? ORDER BY first DESC LIMIT 1"
        run, end = index.execute(newest, (TARGET,)).get
        rows = [terms_of(parse_leaf(leaf_of(evidence, number))) for number in range(run, end)]
        forgotten = "u" + parse_leaf(leaf_of(evidence, TARGET))["event"]["actor"]["id"]
        terms = rows[TARGET - run].split("\n")
        assert forgotten in terms
        rows[TARGET - run] = "\n".join(term for term in terms if term != forgotten)
        index.execute("DELETE FROM blocks WHERE run = ?", (run,))
        index.executemany(
            "INSERT INTO blocks(run, term, block) VALUES (?, ?, ?)", ((run, *block) for block in make_run(rows))
        )


def garble_index(folder: Path, _folders: Folders) -> None:
    for suffix in ("-wal", "-shm"):
        (folder / f"logs/main/index.db{suffix}").unlink(missing_ok=True)
    (folder / "logs/main/index.db").write_bytes(b"no database" * 1_000)


def delete(path: str) -> Callable[[Path, Folders], None]:
    def attack(folder: Path, _folders: Folders) -> None:
        there = folder / path
        shutil.rmtree(there) if there.is_dir() else there.unlink()

    return attack


def copy_log(folder: Path, _folders: Folders) -> None:
    shutil.copytree(folder / "logs/main", folder / "logs/main.old")


def whole(name: str) -> Callable[[Path, Folders], None]:
    def attack(folder: Path, folders: Folders) -> None:
        shutil.rmtree(folder)
        shutil.copytree(getattr(folders, name), folder)

    return attack


@dataclass(frozen=True)
class Row:
    """An attack and what it should come to: kinds of findings, which must name these places and say this, or none."""

    attack: Callable[[Path, Folders], None]
    kinds: frozenset[str]
    where: str = ""
    outside: str = "no"
    on: str = "newest"
    says: str = ""
    what: str = ""
    flags: tuple[str, ...] = ()


def row(attack: Callable[[Path, Folders], None], *kinds: str, **more: Any) -> Row:
    return Row(attack, frozenset(kinds), **more)


SWAP = (
    "CREATE TEMP TABLE pair AS SELECT idx, key, leaf FROM entries WHERE idx IN (100, 101)",
    "UPDATE entries SET key = randomblob(16) WHERE idx IN (100, 101)",
    "UPDATE entries SET key = (SELECT key FROM pair WHERE pair.idx = 201 - entries.idx),"
    " leaf = (SELECT leaf FROM pair WHERE pair.idx = 201 - entries.idx) WHERE idx IN (100, 101)",
)
CUT = (
    "DELETE FROM entries WHERE idx >= 650",
    "DELETE FROM checkpoints WHERE size > 650",
)
PUT_BACK = [combination for count in (1, 2) for combination in itertools.combinations(LOGS, count)]

ROWS = {
    "a leaf is edited": row(edit(TARGET), "LEAF_CHANGED", where="entry 100"),
    "a leaf is edited with triggers switched off, by a program without page checksums": row(
        edit(TARGET, checksums=False), "LEAF_CHANGED", "PAGE_CHECKSUM", where="entry 100"
    ),
    "a leaf is edited, and its tile to match": row(
        edit(TARGET, tile=True), "HISTORY_CHANGED", where=r"entries \d+ to \d+"
    ),
    "two entries are swapped": row(sql(*SWAP), "ENTRY_MOVED", "LEAF_CHANGED", where="entry 100"),
    "a row is deleted": row(sql("DELETE FROM entries WHERE idx = 100"), "ENTRY_MISSING", where="entry 100"),
    "the tail is cut off": row(sql(*CUT[:1]), "TRUNCATED", where=r"entries 650 to \d+"),
    "the tail is cut off, with the checkpoints over it and an older head": row(
        all_of(sql(*CUT), older_head), "LOG_PUT_BACK"
    ),
    "an entry between two stored checkpoints is edited": row(
        edit(645), "HISTORY_CHANGED", where=r"entries 6\d\d to 6\d\d"
    ),
    "the tail behind the last stored checkpoint is edited": row(
        edit(-1), "HISTORY_CHANGED", where=r"entries 6\d\d to 709", on="killed"
    ),
    "that tail is edited, and the head removed": row(
        all_of(edit(-1), remove_head), "HEAD_MISSING", on="killed", says=r"recorded since 20.+Z, from entry 6\d\d on"
    ),
    "that tail is edited, and an older head put back": row(
        all_of(edit(-1), older_head),
        "HISTORY_CHANGED",
        outside="yes",
        on="killed",
        says=r"its last \d+ entries were changed: no signed checkpoint covers what was recorded since 20.+Z",
    ),
    "a frame is a bomb": row(frame(bomb), "FRAME_DAMAGED", where="entry 100"),
    "a frame is a bomb that states no size": row(frame(unstated_bomb), "FRAME_DAMAGED", where="entry 100"),
    "a frame carries trailing bytes": row(frame(lambda made: made + b"more"), "FRAME_DAMAGED", where="entry 100"),
    "a frame is two": row(frame(lambda made: made + made), "FRAME_DAMAGED", where="entry 100"),
    "a key is changed": row(
        sql("UPDATE entries SET key = randomblob(16) WHERE idx = 100"), "KEY_DAMAGED", where="entry 100"
    ),
    "a tile is changed": row(
        sql("UPDATE tiles SET hashes = zeroblob(8192) WHERE level = 0 AND tile = 1"), "TILE_CHANGED", where="tile 1"
    ),
    "a tile is deleted": row(sql("DELETE FROM tiles WHERE tile = 1"), "TILE_MISSING", where="tile 1"),
    "a dictionary is changed": row(
        sql("UPDATE dictionaries SET dictionary = CAST(dictionary || x'00' AS BLOB)"),
        "DICTIONARY_DAMAGED",
        where="dictionary",
    ),
    "a dictionary is missing": row(
        sql("DELETE FROM dictionaries"), "FRAME_DAMAGED", what=r"^frame names dictionary \d+, which"
    ),
    "a dictionary's file is missing": row(
        remove_dictionary_file, "DICTIONARY_DAMAGED", where="dictionary", what="zstd-dictionary is missing"
    ),
    "a dictionary is swapped for another, with its file": row(other_dictionary, "DICTIONARY_UNKNOWN", "FRAME_DAMAGED"),
    "a credential is changed": row(
        sql("UPDATE credentials SET payload = payload || 'x'"), "CREDENTIAL_DAMAGED", where="credential"
    ),
    "a credential is deleted": row(sql("DELETE FROM credentials"), "CREDENTIAL_MISSING", where="entry 0"),
    "a stored checkpoint is edited": row(
        sql("UPDATE checkpoints SET note = replace(note, char(10), char(10) || '9') WHERE id = 1"),
        "CHECKPOINT_DAMAGED",
        where="stored checkpoint 1",
    ),
    "a trigger is dropped": row(sql("DROP TRIGGER entries_update"), "SCHEMA_ALTERED", where="trigger entries_update"),
    "a table is altered": row(sql("ALTER TABLE entries ADD COLUMN more TEXT"), "SCHEMA_ALTERED", where="table entries"),
    "the head is a folder": row(head_as_a_folder, "HEAD_MISSING", where="head", what="is no file"),
    "the head is removed": row(remove_head, "HEAD_MISSING", where="head"),
    "an older head is put back": row(older_head, outside="harmless"),
    "the index lacks a posting": row(delete_posting, "INDEX_FALSE", where="log main, entry 100", flags=("--indexes",)),
    "the index is no database any more": row(garble_index, "INDEX_DAMAGED", where="log main", flags=("--indexes",)),
    **{
        f"older: {' and '.join(names)}, put back without the others": row(take_back(*names), "LOG_PUT_BACK")
        for names in PUT_BACK
    },
    "main is deleted": row(delete("logs/main"), "LOG_MISSING", where="log main"),
    "control is deleted": row(delete("logs/control"), "LOG_MISSING", where="log control"),
    "access is deleted": row(delete("logs/access"), "LOG_MISSING", where="log access"),
    "the evidence of a log is deleted": row(
        delete("logs/main/evidence.db"), "EVIDENCE_MISSING", where="log main", flags=("--indexes",)
    ),
    "a log is copied, under another name": row(copy_log, "WRONG_LOG", where=r"log main\.old"),
    "all logs are put back as they were": row(whole("older"), "TRUNCATED", outside="yes", where=r"entries 600 to 709"),
    "a fork is signed with the real key": row(whole("fork"), "HISTORY_CHANGED", outside="yes", where="entries"),
}


# What check says of it


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@dataclass
class Outcome:
    status: int
    report: dict[str, Any]

    @property
    def kinds(self) -> set[str]:
        return {finding["kind"] for finding in self.report["findings"]}

    @property
    def places(self) -> list[str]:
        return [finding["where"] for finding in self.report["findings"]]

    @property
    def not_excluded(self) -> str:
        return "\n".join(self.report["not_excluded"])


def run_check(folder: Path, *flags: str) -> Outcome:
    """Run the command, which must not change a byte of anything."""
    before = digests(folder)
    result = CliRunner().invoke(check_command, [str(folder), "--output", "json", *flags])
    assert digests(folder) == before
    status = getattr(result.exception, "status", result.exit_code)
    return Outcome(int(status), json.loads(result.stdout))


@pytest.fixture
def attacked(folders, tmp_path) -> Callable[[Row], Path]:
    def make(attack: Row) -> Path:
        folder = tmp_path / "attacked"
        shutil.copytree(getattr(folders, attack.on), folder)
        attack.attack(folder, folders)
        return folder

    return make


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_check_says_what_was_done(folders, attacked, row):
    folder = attacked(row)
    alone = run_check(folder, *row.flags)
    against = ("--against", str(folders.kept))
    if row.outside == "no":
        assert (alone.status, alone.kinds & row.kinds) == (1, row.kinds), alone.report
        assert any(re.search(row.where, place) for place in alone.places), alone.places
        assert any(re.search(row.what, found["what"]) for found in alone.report["findings"]), alone.report
    else:
        assert (alone.status, alone.report["findings"]) == (0, [])
        assert OUTSIDE in alone.not_excluded
    assert re.search(row.says, alone.not_excluded), alone.not_excluded
    if row.outside == "yes":
        with_others = run_check(folder, *against)
        assert (with_others.status, with_others.kinds & row.kinds) == (1, row.kinds), with_others.report
        assert any(re.search(row.where, place) for place in with_others.places), with_others.places


@pytest.mark.parametrize("name", ["older", "newest", "killed", "fork"])
def test_check_finds_nothing_where_nothing_was_done(folders, name):
    outcome = run_check(getattr(folders, name), "--indexes")
    assert (outcome.status, outcome.report["findings"]) == (0, [])


def test_check_says_how_far_it_is(folders):
    seen: dict[str, list[tuple[int, int]]] = {}
    config = load_config(folders.newest)
    check_folder(config, (), {}, lambda name, done, total: seen.setdefault(name, []).append((done, total)))
    assert set(seen) == set(LOGS)
    for steps in seen.values():
        assert steps == sorted(steps)
        assert steps[-1][0] == steps[-1][1]


def test_the_table_of_the_threat_model_is_this_one():
    page = (ROOT / "docs/threat-model.md").read_text(encoding="utf-8")
    section = page.split("\n## Tampering with the evidence\n")[1].split("\n## ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:2] == "| "]
    table = {attack: (set(re.findall(r"`([A-Z_]+)`", finding)), outside) for attack, finding, outside in cells[1:]}
    assert table == {name: (set(row.kinds), row.outside) for name, row in ROWS.items()}
