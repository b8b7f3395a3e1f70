"""CSV (RFC 4180): a record a row, its columns named by the first row or by the mapping."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

from auditd_client.importers._errors import RecordError
from auditd_client.importers._lines import Line, lines
from auditd_client.importers._mapping import Reading
from auditd_client.importers._records import BadRecord, Found, Record, members_of

_LIST_LENGTH = 256
_MAX_LINES_OF_ROW = 100


class _Rows:
    """Rows of a file, one after the other; remembers which lines the last one took."""

    def __init__(self, pieces: Iterator[bytes], delimiter: str) -> None:
        self._lines: Iterator[Line | BadRecord] = (line for batch in lines(pieces, blank=True) for line in batch)
        self._delimiter = delimiter
        self.taken: list[Line | BadRecord] = []

    def __iter__(self) -> Iterator[list[str] | RecordError]:
        """Yield each row, or why there is none; after a bad one goes on with the next line."""
        while True:
            self.taken = []
            try:
                row = next(csv.reader(self._texts(), delimiter=self._delimiter, strict=True), None)
            except (csv.Error, RecordError) as error:
                # Only the first line is at fault: a quote without its other half must not take others along.
                self._lines = chain(self.taken[1:], self._lines)
                del self.taken[1:]
                yield error if isinstance(error, RecordError) else RecordError(f"no CSV: {error}")
                continue
            if row is None:
                return
            if row:
                yield row

    @property
    def raw(self) -> bytes:
        """The bytes of the lines that the last row took."""
        return b"\n".join(line.raw for line in self.taken)

    def _texts(self) -> Iterator[str]:
        for line in self._lines:
            self.taken.append(line)
            if isinstance(line, BadRecord):
                raise RecordError(line.reason)
            if len(self.taken) > _MAX_LINES_OF_ROW:
                raise RecordError(f"a quoted text goes on for more than {_MAX_LINES_OF_ROW} lines")
            yield line.text + "\n"


def read_csv(pieces: Iterator[bytes], reading: Reading) -> Iterator[list[Found]]:
    """Yield the rows of a file behind the first, which names the columns if the mapping does not."""
    rows = _Rows(pieces, reading.delimiter)
    columns: Sequence[str] = reading.columns
    batch: list[Found] = []
    for row in rows:
        line = rows.taken[0].number if isinstance(rows.taken[0], Line) else rows.taken[0].line
        if isinstance(row, RecordError):
            batch.append(BadRecord(line, rows.raw, str(row)))
        elif not columns:
            columns = row
            if problem := _unfit(columns):
                batch.append(BadRecord(line, rows.raw, f"{problem}; the rest of the file cannot be read"))
                break
        elif len(row) != len(columns):
            batch.append(BadRecord(line, rows.raw, f"{len(row)} columns, expected {len(columns)}"))
        else:
            values = dict(zip(columns, row, strict=True))
            batch.append(Record(line, rows.raw, members_of(values, values)))
        if len(batch) >= _LIST_LENGTH:
            yield batch
            batch = []
    yield batch


def _unfit(columns: Sequence[str]) -> str:
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        return f"the column {twice[0]!r:.80} stands twice"
    return "" if all(columns) else "a column without a name"
