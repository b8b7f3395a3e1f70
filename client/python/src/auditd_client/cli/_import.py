"""`auditlog import`: a command for each importer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

from auditd_client.cli._connect import connect
from auditd_client.cli._errors import CommandError
from auditd_client.cli._output import output_option
from auditd_client.cli._progress import progress
from auditd_client.cli._recording import Chunk, write_receipts
from auditd_client.cli._settings import ConnectionSettings, connection_options
from auditd_client.importers import IMPORTERS, Importer, ImportFileError, PlacedEvent, find_files

_CHUNK_EVENTS = 1_000


@click.group("import", short_help="Record events from files of other formats.")
def command() -> None:
    """Record events from files of other formats.

    Events older than the server's `max_event_age` need the role `importer`. Importing the same files again,
    as the same caller, records nothing twice.
    """


def _add(importer: Importer) -> None:
    @command.command(importer.name, short_help=importer.summary, help=importer.summary + _HELP)
    @click.argument("paths", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
    @connection_options(timeout_s=30)
    @output_option("table", "json", "jsonl", "csv")
    def import_files(paths: Sequence[Path], settings: ConnectionSettings, output: str) -> None:
        try:
            files = find_files(importer, paths)
        except ImportFileError as error:
            raise CommandError(str(error)) from error
        with connect(settings) as client, progress(importer.name, len(files)) as advance:
            write_receipts(client, _chunks(importer, files, advance), output, advance)


_HELP = """

FILE… are files, or folders, which are searched for them.

The import stops at the first record that cannot be read or is refused, and names it. What was recorded
before stays: import the same files again once the cause is removed.
"""


def _chunks(importer: Importer, files: Sequence[Path], advance: Callable[[int, int], None]) -> Iterator[Chunk]:
    """Yield the events of all files in order.

    Raises CommandError for a file or record that cannot be read.
    """
    gathered: list[PlacedEvent] = []
    for file in files:
        try:
            for event in importer.read(file):
                gathered.append(event)
                if len(gathered) == _CHUNK_EVENTS:
                    yield Chunk(gathered)
                    gathered = []
        except ImportFileError as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from error
        advance(1, 0)
    yield Chunk(gathered)


for _importer in IMPORTERS.values():
    _add(_importer)
