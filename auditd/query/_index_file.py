"""The file of an index of fields: its schema, and writing it."""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from auditd.query._derived_file import Form, record_covered
from auditd.query._terms import TOKEN_CHARACTERS

# Any change of terms, tokenizer or tables is another version: the index is then built anew.
VERSION = 3
_ROWS_PER_STATEMENT = 100
_INSERT = "INSERT INTO terms(rowid, text) VALUES "


def _sql_text(text: str) -> str:
    return text.replace("'", "''").replace('"', '""')


_TOKENIZER = f"ascii tokenchars '{_sql_text(TOKEN_CHARACTERS)}'"
# Each commit of the index is a segment: fewer and larger ones, merged sixteen at a time, in pages of 8 KiB, cost some
# 30 % less than FTS5's defaults. Terms wait in memory for their commit, some megabytes of them. With
# pages of FTS5 that are as large as SQLite's, a row would not quite fit beside a page's checksum, and spill.
_PAGE_BYTES = 8_192
_TABLE = (
    f"""CREATE VIRTUAL TABLE terms USING fts5(text, content='', detail=none, columnsize=0, tokenize="{_TOKENIZER}");"""
)
_SETTINGS = "INSERT INTO terms(terms, rank) VALUES ('automerge', 16), ('hashsize', 16777216), ('pgsz', 8136);"
FORM = Form(
    _TABLE + _SETTINGS,
    VERSION,
    # Reads the index's structure and its newest segments, where a torn file shows first.
    "SELECT count(*) FROM terms WHERE terms MATCH '\"o\"'",
    _PAGE_BYTES,
)


def write(connection: apsw.Connection, first: int, rows: Sequence[str], root: bytes) -> None:
    """Add the entries from `first` on, one text of terms each, and record what is then covered.

    All or nothing. `root` is that of the tree that ends with the last of them.
    """
    with connection:
        for start in range(0, len(rows), _ROWS_PER_STATEMENT):
            part = rows[start : start + _ROWS_PER_STATEMENT]
            # One statement for many rows keeps the interpreter's lock released; one a row fights for it.
            bindings = [value for number, text in enumerate(part, first + start) for value in (number, text)]
            connection.execute(_INSERT + ",".join(["(?,?)"] * len(part)), bindings)
        record_covered(connection, first + len(rows), root)
