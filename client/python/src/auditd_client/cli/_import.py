"""`auditlog import`: a command for each format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import click

from auditd_client.cli._apart import apart
from auditd_client.cli._bad_lines import BadLineFile
from auditd_client.cli._connect import connect
from auditd_client.cli._errors import CommandError
from auditd_client.cli._output import output_option, write_text
from auditd_client.cli._progress import progress
from auditd_client.cli._recording import Chunk, Skip, write_receipts
from auditd_client.cli._settings import ConnectionSettings, connection_options
from auditd_client.importers import (
    FORMATS,
    STDIN,
    BadLine,
    Imported,
    Importer,
    ImportFileError,
    MappingError,
    built_in_text,
    find_files,
    opened,
    parse_mapping,
)

_CHUNK_EVENTS = 1_000
_MAX_MAPPING_BYTES = 1 << 20


@click.group("import", short_help="Record events from files of other formats.")
def command() -> None:
    """Record events from files of other formats.

    Events older than the server's `max_event_age` need the role `importer`. Importing the same files again,
    as the same caller, records nothing twice.
    """


_HELP = """

FILE… are files, folders, which are searched for them, or `-` for stdin; plain, gzip or zstd, as their first
bytes say.

The import stops at the first record that cannot be read or is refused, and names it by file and line. What stands
before it is recorded: import the same files again once the cause is removed.
"""


def _add(name: str, summary: str) -> None:
    mapping_help = (
        "The mapping, a TOML file." if name == "csv" else "Another mapping than the format's own, a TOML file."
    )

    @command.command(name, short_help=summary, help=summary + _HELP)
    @click.argument("paths", nargs=-1, metavar="FILE…|-")
    @click.option("--mapping", "mapping_file", metavar="FILE", type=click.Path(path_type=Path), help=mapping_help)
    @click.option("--print-mapping", is_flag=True, help="Print the format's own mapping, to begin another one with.")
    @click.option(
        "--set",
        "constants",
        multiple=True,
        metavar="FIELD=TEXT",
        help="A field that is the same in every event, such as tenant=acme; may be repeated.",
    )
    @click.option("--strict", is_flag=True, help="Stop at the first bad line; the default.")
    @click.option(
        "--skip-bad",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Leave bad lines out, and write them to a new FILE with their place and the reason.",
    )
    @connection_options(timeout_s=30)
    @output_option("table", "json", "jsonl", "csv")
    def import_files(
        paths: Sequence[str],
        mapping_file: Path | None,
        constants: Sequence[str],
        skip_bad: Path | None,
        settings: ConnectionSettings,
        output: str,
        *,
        print_mapping: bool,
        strict: bool,
    ) -> None:
        if print_mapping:
            _print_mapping(name)
            return
        if strict and skip_bad:
            raise CommandError("import: give --strict or --skip-bad, not both")
        if not paths:
            raise CommandError(f"import {name}: give files, folders, or `-` for stdin")
        importer = _importer(name, mapping_file, constants)
        try:
            files = find_files(importer, paths)
        except ImportFileError as error:
            raise CommandError(str(error)) from error
        in_place = partial(_chunks, importer, files, is_strict=skip_bad is None)
        with (
            # Another process would have no stdin.
            nullcontext(in_place) if STDIN in files else apart(in_place, with_raw=skip_bad is not None) as chunks,
            connect(settings) as client,
            BadLineFile(skip_bad) if skip_bad else nullcontext() as bad,
            progress(f"import {name}", _total_bytes(files)) as advance,
        ):
            skip: Skip | None = bad.write if bad else None
            write_receipts(client, chunks(advance), output, advance, skip)


def _print_mapping(name: str) -> None:
    if name not in FORMATS:
        raise CommandError(f"import {name}: this format has no mapping of its own; see --mapping")
    write_text(built_in_text(name))


def _importer(name: str, mapping_file: Path | None, constants: Sequence[str]) -> Importer:
    """Return the importer for the mapping that the options name.

    Raises CommandError for a mapping that cannot be read, or is of another kind than the format.
    """
    where = str(mapping_file or f"import {name}")
    if mapping_file is None and name not in FORMATS:
        raise CommandError(f"import {name}: give --mapping FILE, which says what the columns mean")
    try:
        text = built_in_text(name) if mapping_file is None else _mapping_text(mapping_file)
        mapping = parse_mapping(text)
        form = "csv" if name == "csv" else parse_mapping(built_in_text(name)).reading.form
        if mapping.reading.form != form:
            raise MappingError(f"read.as: {mapping.reading.form!r}, but `import {name}` reads {form!r}")
        fields = [_constant(text) for text in constants]
        return Importer(mapping.with_constants(fields), name)
    except MappingError as error:
        raise CommandError(f"{where}: {error}") from error


def _mapping_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_MAPPING_BYTES + 1)
        if len(data) > _MAX_MAPPING_BYTES:
            raise MappingError(f"more than {_MAX_MAPPING_BYTES} bytes")
        return data.decode("utf-8")
    except OSError as error:
        raise MappingError(str(error.strerror)) from error
    except UnicodeDecodeError as error:
        raise MappingError(f"no UTF-8 at byte {error.start}") from error


def _constant(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise MappingError(f"--set {text[:80]!r}: expected FIELD=TEXT")
    return name, value


def _total_bytes(names: Sequence[str]) -> int | None:
    """Return the size of all files together, unless one is no regular file."""
    paths = [Path(name) for name in names]
    if all(name != STDIN and path.is_file() for name, path in zip(names, paths, strict=True)):
        return sum(path.stat().st_size for path in paths)
    return None


def _chunks(
    importer: Importer, files: Sequence[str], advance: Callable[[int, int], None], *, is_strict: bool
) -> Iterator[Chunk]:
    """Yield the events of all files in order; what is small is gathered, unless more may be long in coming.

    A file that cannot be read any further is one bad line, unless `is_strict`: then CommandError is raised.
    """
    gathered: list[Imported] = []
    for name in files:
        try:
            with opened(name, advance) as source:
                for batch in importer.read(source):
                    gathered += batch
                    if len(gathered) >= _CHUNK_EVENTS or source.is_live:
                        yield Chunk(gathered, is_last_for_now=source.is_live)
                        gathered = []
        except ImportFileError as error:
            if is_strict:
                yield Chunk(gathered)
                raise CommandError(str(error)) from error
            gathered.append(BadLine(name, error.message, b""))
        except OSError as error:
            yield Chunk(gathered)
            raise CommandError(f"{name}: {error.strerror}") from error
    yield Chunk(gathered)


for _name, _summary in {**FORMATS, "csv": "CSV (RFC 4180), with a mapping file."}.items():
    _add(_name, _summary)
