"""Stdout: verbatim bytes for machines, tables for people, nothing that could act on a terminal."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

from auditd_client.cli._escape import shown, shown_json, shown_lines

_F = TypeVar("_F", bound=Callable[..., Any])

# A table that is not on a terminal is as wide as its contents, for cutting text would lose evidence.
_UNLIMITED_WIDTH = 1_000_000
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def output_option(*formats: str) -> Callable[[_F], _F]:
    """Give a command the option `--output`; it is called with `output`, `table` by default."""
    return click.option(
        "--output",
        type=click.Choice(formats),
        default="table",
        show_default=True,
        help="Tables are for people; scripts should ask for another.",
    )


def is_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def compact_json(value: object) -> str:
    """Return a value as one line of JSON, without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def write_json_lines(lines: Iterable[str | bytes]) -> None:
    """Write each JSON text as a line, verbatim; on a terminal what could act on it becomes a JSON escape."""
    stream = click.get_binary_stream("stdout")
    terminal = is_terminal()
    for line in lines:
        data = line.encode() if isinstance(line, str) else line
        stream.write(_terminal_json(data) if terminal else data)
        stream.write(b"\n")
    stream.flush()


class JsonArray:
    """Writes JSON texts as the elements of one array, verbatim, a line each, as they come."""

    def __init__(self) -> None:
        self._is_empty = True

    def write(self, elements: Iterable[str | bytes]) -> None:
        """Write further elements."""
        stream = click.get_binary_stream("stdout")
        terminal = is_terminal()
        for element in elements:
            data = element.encode() if isinstance(element, str) else element
            stream.write(b"[\n" if self._is_empty else b",\n")
            stream.write(_terminal_json(data) if terminal else data)
            self._is_empty = False
        stream.flush()

    def close(self) -> None:
        """Write the end of the array."""
        stream = click.get_binary_stream("stdout")
        stream.write(b"[]\n" if self._is_empty else b"\n]\n")
        stream.flush()


def write_text(text: str) -> None:
    """Write lines of text verbatim; on a terminal escaped."""
    stream = click.get_binary_stream("stdout")
    stream.write((shown_lines(text) if is_terminal() else text).encode("utf-8", "backslashreplace"))
    stream.flush()


def write_line(text: str) -> None:
    """Write one line for people: always escaped."""
    click.echo(shown(text))


def note(text: str) -> None:
    """Write one line for people to stderr: always escaped."""
    click.echo(shown(text), err=True)


def write_csv_rows(rows: Iterable[Sequence[object]]) -> None:
    """Write CSV (RFC 4180, but with line feeds), text that a spreadsheet would take for a formula quoted by `'`."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    terminal = is_terminal()
    for row in rows:
        cells = [_csv_cell(cell) for cell in row]
        writer.writerow(map(shown, cells) if terminal else cells)
    stream = click.get_binary_stream("stdout")
    stream.write(buffer.getvalue().encode("utf-8", "backslashreplace"))
    stream.flush()


def write_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, header: bool = True) -> None:
    """Write a table, every cell escaped; numbers stand to the right. No cell is cut."""
    # Not at the top: most uses of most commands do not need it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = is_terminal()
    table = Table(box=None, show_header=header, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    cells = [list(row) for row in rows]
    for position, column in enumerate(columns):
        numeric = bool(cells) and all(isinstance(row[position], int) for row in cells)
        table.add_column(Text(shown(column)), justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(shown(cell_text(cell))) for cell in row))
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        force_terminal=terminal,
        width=Console(file=sys.stdout).width if terminal else _UNLIMITED_WIDTH,
        markup=False,
        highlight=False,
        emoji=False,
    )
    console.print(table)
    for line in buffer.getvalue().splitlines():
        click.echo(line.rstrip(), color=terminal)


def cell_text(value: object) -> str:
    """Return a cell as text: truth values as JSON has them, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def time_text(moment: datetime) -> str:
    """Return a UTC time as leaves have it: RFC 3339 with 0, 3 or 6 digits of a second."""
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    if moment.microsecond:
        digits = f"{moment.microsecond:06d}"
        text += "." + (digits[:3] if digits.endswith("000") else digits)
    return text + "Z"


def _terminal_json(data: bytes) -> bytes:
    return shown_json(data.decode("utf-8", "backslashreplace")).encode()


def _csv_cell(value: object) -> str:
    text = cell_text(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA_STARTS) else text
