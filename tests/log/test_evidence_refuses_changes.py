"""Promise 3, with the stock `sqlite3` command line: the file itself refuses every change of what is recorded."""

from __future__ import annotations

import hashlib
import shutil

import apsw
import pytest

from auditd.log import Credential
from auditd.log._database import plain_vfs, schema_text

MADE = apsw.Connection(":memory:")
MADE.execute(schema_text())
TABLES = [name for (name,) in MADE.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]


def columns(table):
    """(name, type) of each column."""
    return [(name, kind) for _, name, kind, *_ in MADE.execute(f"PRAGMA table_info({table})")]


def row_id(table):
    """The name of the column that is the rowid; `rowid` where none is."""
    keys = [row for row in MADE.execute(f"PRAGMA table_info({table})") if row[5]]
    return keys[0][1] if len(keys) == 1 and keys[0][2] == "INTEGER" else "rowid"


def unique_keys(table):
    """The column sets that are unique, the rowid among them."""
    indexes = [name for _, name, unique, *_ in MADE.execute(f"PRAGMA index_list({table})") if unique]
    keys = [tuple(name for *_, name in MADE.execute(f"PRAGMA index_info({index})")) for index in indexes]
    return [(row_id(table),), *keys]


def other(name, kind):
    """An expression for another value of the same type and length."""
    return {"INTEGER": f"{name} + 1000", "TEXT": f"{name} || 'x'", "BLOB": f"randomblob(length({name}))"}[kind]


def fitting(table, name, kind):
    """An expression for a value that the next row could have, so that nothing but a shared key is wrong with it."""
    if kind != "INTEGER":
        return other(name, kind)
    return name if name in ("level", "size") else f"(SELECT max({name}) + 1 FROM {table})"


def row_with(table, key):
    """SQL for a row that would be the next one, did it not share `key` with the first one."""
    named = columns(table)
    if row_id(table) == "rowid":
        named = [("rowid", "INTEGER"), *named]
    names = ", ".join(name for name, _ in named)
    values = ", ".join(name if name in key else fitting(table, name, kind) for name, kind in named)
    return names, f"SELECT {values} FROM {table} ORDER BY {row_id(table)} LIMIT 1"


def changes(table):
    first, last = columns(table)[0][0], columns(table)[-1][0]
    for name, kind in [(row_id(table), "INTEGER"), *columns(table)]:
        yield f"UPDATE {table} SET {name} = {other(name, kind)}"
    for how in ("ABORT", "FAIL", "IGNORE", "REPLACE", "ROLLBACK"):
        yield f"UPDATE OR {how} {table} SET {first} = {first}"
    yield f"DELETE FROM {table}"
    yield f"DELETE FROM {table} WHERE {row_id(table)} = (SELECT max({row_id(table)}) FROM {table})"
    for key in unique_keys(table):
        names, row = row_with(table, key)
        for verb in ("INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE", "INSERT OR FAIL", "REPLACE"):
            yield f"{verb} INTO {table} ({names}) {row}"
        upsert = f"INSERT INTO {table} ({names}) SELECT * FROM ({row}) WHERE true"
        yield f"{upsert} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {last} = excluded.{last}"
        yield f"{upsert} ON CONFLICT DO NOTHING"


CHANGES = list(dict.fromkeys(sql for table in TABLES for sql in changes(table)))

GAPS = {
    "an entry beyond the next one": "INSERT INTO entries SELECT max(idx) + 2, randomblob(16), leaf FROM entries",
    "an entry before the first": "INSERT INTO entries SELECT -1, randomblob(16), leaf FROM entries LIMIT 1",
    "an entry without an index": "INSERT INTO entries (key, leaf) SELECT randomblob(16), leaf FROM entries LIMIT 1",
    "an entry at the end of all numbers": "INSERT INTO entries SELECT 9223372036854775807, randomblob(16), x''",
    "two entries, one of them next, then a gap": (
        "INSERT INTO entries SELECT 301 + column1, randomblob(16), x'' FROM (VALUES (0), (2))"
    ),
    "an entry with a short key": "INSERT INTO entries SELECT max(idx) + 1, x'00', leaf FROM entries",
    "an entry without a leaf": "INSERT INTO entries SELECT max(idx) + 1, randomblob(16), NULL FROM entries",
    "a tile beyond the next one": "INSERT INTO tiles SELECT 0, max(tile) + 2, hashes FROM tiles",
    "a first tile that is not the first": "INSERT INTO tiles SELECT 5, 1, hashes FROM tiles LIMIT 1",
    "half a tile": "INSERT INTO tiles SELECT 0, max(tile) + 1, zeroblob(4096) FROM tiles",
    "a checkpoint beyond the next one": "INSERT INTO checkpoints SELECT max(id) + 2, size, note, NULL FROM checkpoints",
    "a checkpoint of a smaller tree": "INSERT INTO checkpoints SELECT max(id) + 1, 1, note, NULL FROM checkpoints",
    "a second identity": "INSERT INTO log VALUES ('elsewhere.example.com/main', 'key')",
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory, make_log, signer, sent, tamper):
    """Evidence with rows in every table."""
    one_log = make_log(tmp_path_factory.mktemp("refuses") / "main", signer)
    signed, signature = hashlib.sha256(b"h.p").digest(), hashlib.sha256(b"s").digest()
    credential = Credential(hashlib.sha256(signed + signature).digest(), "iss", "h", "p", "s", signature, 1, "t", "{}")
    log = one_log.open()
    one_log.record(log, sent(301, credential=credential))
    log.close()
    tamper(
        one_log.evidence,
        "INSERT INTO credential_signatures SELECT credential, 's' FROM credentials",
        "INSERT INTO dictionaries VALUES (1, x'00')",
    )
    return one_log.evidence


def rows(path):
    # What a stranger writes has no page checksums.
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=plain_vfs())
    try:
        return {table: db.execute(f"SELECT rowid, * FROM {table} ORDER BY rowid").fetchall() for table in TABLES}
    finally:
        db.close()


@pytest.fixture(scope="module")
def recorded(filled):
    found = rows(filled)
    assert [table for table, held in found.items() if not held] == [], "the fixture must fill every table"
    return found


@pytest.mark.parametrize("sql", CHANGES, ids=str)
def test_refuses(filled, recorded, stock_sqlite, sql):
    done = stock_sqlite(filled, sql)
    assert done.returncode != 0
    assert "are never" in done.stderr or "not the next one" in done.stderr or "recorded already" in done.stderr
    assert rows(filled) == recorded


@pytest.mark.parametrize("sql", GAPS.values(), ids=GAPS.keys())
def test_refuses_to_add(filled, recorded, stock_sqlite, sql):
    assert stock_sqlite(filled, sql).returncode != 0
    assert rows(filled) == recorded


def test_takes_the_next_entry_so_that_the_refusals_mean_something(filled, tmp_path, stock_sqlite):
    copy = shutil.copyfile(filled, tmp_path / "copy.db")
    sql = "INSERT INTO entries SELECT max(idx) + 1, randomblob(16), leaf FROM entries"
    assert stock_sqlite(copy, sql).returncode == 0
    assert len(rows(copy)["entries"]) == 302


def test_a_transaction_with_one_change_leaves_nothing_behind(filled, recorded, stock_sqlite):
    sql = "BEGIN; INSERT INTO entries SELECT 301, randomblob(16), x'00'; DELETE FROM entries WHERE idx = 0; COMMIT"
    assert stock_sqlite(filled, sql).returncode != 0
    assert rows(filled) == recorded


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_strict_and_guarded(table):
    (strict,) = MADE.execute("SELECT strict FROM pragma_table_list WHERE name = ?", (table,)).fetchone()
    triggers = "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?"
    guarded = {sql.split(f" ON {table}")[0].split()[-1] for (sql,) in MADE.execute(triggers, (table,))}
    assert (strict, guarded) == (1, {"UPDATE", "DELETE", "INSERT"})
