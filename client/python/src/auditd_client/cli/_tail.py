"""`auditlog tail`: entries as they are recorded."""

from __future__ import annotations

import os
import sys
import time

import click

from auditd_client import Entry
from auditd_client.cli._connect import MAX_ATTEMPTS, connect
from auditd_client.cli._entry_rows import read_leaf, row
from auditd_client.cli._escape import shown
from auditd_client.cli._output import Writer, note, output_option, write_bytes
from auditd_client.cli._settings import MAX_NUMBER, ConnectionSettings, connection_options

_COLUMNS = ("index", "time", "outcome", "actor", "action", "resources", "origin.ip", "reason")
_WIDTHS = (8, 27, 7, 16, 24, 24, 15, 0)
_COLOURS = {"SUCCESS": "green", "FAILURE": "yellow", "DENIED": "red"}


def _start(_context: click.Context, _option: click.Parameter, value: str) -> int | None:
    """Return an index; None for `now`. Raises click.BadParameter for anything else."""
    if value == "now":
        return None
    if not (value.isascii() and value.isdigit() and int(value) <= MAX_NUMBER):
        raise click.BadParameter(f"{value!r} is neither an index nor 'now'")
    return int(value)


@click.command("tail", short_help="Print entries as they are recorded.")
@click.argument("filter_text", default="", metavar="[FILTER]")
@click.option(
    "--from",
    "start",
    callback=_start,
    default="now",
    show_default=True,
    metavar="N|now",
    help="Index of the first entry to consider, or what is recorded from now on.",
)
@connection_options()
@output_option("table", "jsonl")
def command(filter_text: str, start: int | None, settings: ConnectionSettings, output: str) -> None:
    """Print the entries that FILTER selects as they are recorded, until Ctrl-C; without it all.

    A server that goes away is waited for, and the tail goes on where it stood. With `--output jsonl` an entry
    is one line: its leaf, the exact bytes that were hashed.

    \b
    auditlog tail 'outcome = DENIED'
    auditlog tail --from 0 --output jsonl
    """  # noqa: D301 - click wants the character
    writer: Writer[Entry] = Writer(output, _COLUMNS, lambda _: (), lambda entry: entry.leaf)
    waiting = _Waiting()
    with connect(settings, max_attempts=MAX_ATTEMPTS, sleep=waiting.sleep) as client:
        tail = client.tail(filter_text, from_index=start)
        try:
            for entries in tail.batches():
                waiting.over(tail.next_index)
                if output == "jsonl":
                    writer.write(entries)
                else:
                    write_bytes("".join(map(_line, entries)).encode("utf-8", "backslashreplace"))
        except KeyboardInterrupt:
            if tail.next_index is not None:
                note(f"to go on from here: --from {tail.next_index}")
            raise


class _Waiting:
    """Tells people once that the server is away, and once that it is back."""

    def __init__(self) -> None:
        self._told = False
        self._begun = False

    def sleep(self, seconds: float) -> None:
        """Wait for the server."""
        if self._begun and seconds and not self._told:
            note("auditlog: the server is away; waiting for it")
            self._told = True
        time.sleep(seconds)

    def over(self, next_index: int | None) -> None:
        """The server has spoken."""
        if self._told:
            note(f"auditlog: the server is back; nothing was missed up to {next_index}")
        self._told, self._begun = False, True


def _line(entry: Entry) -> str:
    """Return an entry as one line, every value escaped; coloured on a terminal."""
    values = row(read_leaf(entry.leaf, entry.index), _COLUMNS)
    texts = [shown("" if value is None else str(value)) for value in values]
    cells = [text.rjust(width) if not position else text.ljust(width)
             for position, (text, width) in enumerate(zip(texts, _WIDTHS, strict=True))]  # fmt: skip
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        cells[0] = click.style(cells[0], dim=True)
        cells[2] = click.style(cells[2], fg=_COLOURS.get(texts[2]))
        cells[4] = click.style(cells[4], bold=True)
    return "  ".join(cells).rstrip() + "\n"
