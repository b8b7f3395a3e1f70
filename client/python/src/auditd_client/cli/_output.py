"""Stdout: verbatim bytes for machines, tables for people, nothing that could act on a terminal."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Generic, Self, TypeVar

import click

from auditd_client._csv import csv_text, plain
from auditd_client.cli._escape import shown, shown_json, shown_lines

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])

# A table that is not on a terminal is as wide as its contents, for cutting text would lose evidence.
_UNLIMITED_WIDTH = 1_000_000


def output_option(*formats: str) -> Callable[[_F], _F]:
    """Give a command the option `--output`; it is called with `output`, `table` by default."""
    return click.option(
        "--output",
        type=click.Choice(formats),
        default="table",
        show_default=True,
        help="Tables are for people; scripts should ask for another.",
    )


class Writer(Generic[_T]):
    """Writes items in the format asked for, as they come.

    A table or CSV has `columns` and the values that `to_row` gives; `json` is one array, `jsonl` a line
    each, of what `to_json` gives, verbatim. As a context manager it writes the end of the array.
    """

    def __init__(
        self,
        output: str,
        columns: Sequence[str],
        to_row: Callable[[_T], Sequence[object]],
        to_json: Callable[[_T], str | bytes],
    ) -> None:
        self._output = output
        self._columns = columns
        self._to_row = to_row
        self._to_json = to_json
        self._is_empty = True
        self._widths: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is not None and self._is_empty:
            return  # nothing was found out: an empty array would say that there is nothing
        if self._output == "json":
            write_bytes(b"[]\n" if self._is_empty else b"\n]\n")
        elif self._output == "csv" and self._is_empty:
            _write_csv([self._columns])

    def write(self, items: Sequence[_T]) -> None:
        """Write further items."""
        if not items:
            return
        if self._output == "table":
            # Later rows stand below the first ones as far as that is possible without knowing them.
            self._widths = write_table(self._columns, map(self._to_row, items), self._widths)
        elif self._output == "csv":
            header = [self._columns] if self._is_empty else []
            _write_csv([*header, *map(self._to_row, items)])
        elif self._output == "jsonl":
            write_bytes(b"".join(_json_bytes(self._to_json(item)) + b"\n" for item in items))
        else:
            separator = b"[\n" if self._is_empty else b",\n"
            write_bytes(separator + b",\n".join(_json_bytes(self._to_json(item)) for item in items))
        self._is_empty = False


def write_bytes(data: bytes) -> None:
    """Write bytes as they are, and let them go at once."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def write_json(text: str | bytes) -> None:
    """Write one JSON text as a line, verbatim; on a terminal what could act on it becomes a JSON escape."""
    write_bytes(_json_bytes(text) + b"\n")


def write_text(text: str) -> None:
    """Write lines of text verbatim; on a terminal escaped."""
    write_bytes((shown_lines(text) if sys.stdout.isatty() else text).encode("utf-8", "backslashreplace"))


def write_line(text: str) -> None:
    """Write one line for people: always escaped."""
    click.echo(shown(text))


def note(text: str) -> None:
    """Write one line for people to stderr: always escaped."""
    click.echo(shown(text), err=True)


def write_table(columns: Sequence[str], rows: Iterable[Sequence[object]], before: Sequence[int] = ()) -> list[int]:
    """Write a table, every cell escaped and none cut; numbers stand to the right. Return the widths of its columns.

    Given those of the part `before`, a table goes on: without a head, columns at least as wide.
    """
    # Not at the top: most uses of most commands do not need it.
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [list(row) for row in rows]
    texts = [[shown(plain(value)) for value in row] for row in cells]
    heads = [shown(column) for column in columns]
    own = [max(map(cell_len, column)) for column in zip(heads, *texts, strict=True)]
    widths = list(map(max, own, before)) if before else own
    terminal = sys.stdout.isatty()
    width = Console(file=sys.stdout).width if terminal else _UNLIMITED_WIDTH
    fits = sum(widths) + 2 * len(widths) <= width
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0), show_header=not before)
    for position, (head, least) in enumerate(zip(heads, widths, strict=True)):
        is_numeric = bool(cells) and all(type(row[position]) is int for row in cells)
        justify: Any = "right" if is_numeric else "left"
        table.add_column(Text(head), justify=justify, overflow="fold", min_width=least if fits else None)
    for row in texts:
        table.add_row(*map(Text, row))
    buffer = io.StringIO()
    Console(file=buffer, force_terminal=terminal, width=width).print(table)
    for line in buffer.getvalue().split("\n")[:-1]:
        click.echo(line.rstrip(), color=terminal)
    return widths


def compact_json(value: object) -> str:
    """Return a value as one line of JSON, without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def time_text(moment: datetime) -> str:
    """Return a UTC time as leaves have it: RFC 3339 with 0, 3 or 6 digits of a second."""
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    if moment.microsecond:
        digits = f"{moment.microsecond:06d}"
        text += f".{digits.removesuffix('000')}"
    return text + "Z"


def _json_bytes(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return shown_json(data.decode("utf-8", "backslashreplace")).encode() if sys.stdout.isatty() else data


def _write_csv(rows: Iterable[Sequence[object]]) -> None:
    """Write CSV as RFC 4180 has it, but with line feeds; a spreadsheet takes no cell of it for a formula."""
    text = csv_text(rows, "\n", shown if sys.stdout.isatty() else str)
    write_bytes(text.encode("utf-8", "backslashreplace"))
