"""`auditlog export`: all entries that a filter selects, as files for other programs."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import click

from auditd_client._entry_tokens import token_verdicts
from auditd_client.cli._connect import MAX_ATTEMPTS, connect
from auditd_client.cli._entry_rows import CSV_COLUMNS, parse_columns
from auditd_client.cli._entry_tokens import entry_writer, verify_tokens_option
from auditd_client.cli._errors import CommandError, ExitStatus
from auditd_client.cli._evidence import evidence_options, export_evidence
from auditd_client.cli._export_facts import token_counts
from auditd_client.cli._output import note, write_bytes
from auditd_client.cli._progress import ExportBar
from auditd_client.cli._settings import ConnectionSettings, connection_options

_STDOUT = "-"
_MIB = 1024 * 1024


@click.command("export", short_help="Hand entries over: files for programs, or an evidence package.")
@click.argument("filter_text", default="", metavar="[FILTER]")
@click.option(
    "--output",
    type=click.Choice(("jsonl", "csv", "parquet")),
    default="jsonl",
    show_default=True,
    help="Leaves verbatim, chosen columns, or Parquet in the shape of OCSF.",
)
@click.option(
    "-o",
    "--out",
    default=_STDOUT,
    metavar="FOLDER",
    help="Folder to write parts and a manifest to; stdout by default.",
)
@click.option("--compress", type=click.Choice(("zstd",)), help="Compress JSON Lines and CSV; Parquet always is.")
@click.option(
    "--columns",
    callback=lambda _context, _option, value: value and parse_columns(value),
    metavar="NAME,…",
    help="Columns of CSV, such as index,time,actor.id,attributes.amount.",
)
@click.option("--partition", is_flag=True, help="One folder a region, account and day: region=/accountId=/eventDay=.")
@click.option("--region", metavar="TEXT|@COLUMN", help="With --partition: the region, or the column that says it.")
@click.option("--account", metavar="TEXT|@COLUMN", help="With --partition: the account, or the column that says it.")
@click.option(
    "--round-mib",
    type=click.IntRange(1, 1024),
    default=64,
    show_default=True,
    metavar="N",
    help="How much to gather before parts are written: memory, and the largest part.",
)
@click.option("--resume", is_flag=True, help="Go on with an export that was interrupted.")
@click.option("--no-index", is_flag=True, help="Read the evidence itself, past the index, which could hide entries.")
@verify_tokens_option
@evidence_options
@connection_options(60.0)
def command(
    filter_text: str,
    output: str,
    out: str,
    compress: str | None,
    columns: tuple[str, ...] | None,
    partition: bool,
    region: str | None,
    account: str | None,
    round_mib: int,
    resume: bool,
    no_index: bool,
    verify_tokens: bool,
    evidence: str | None,
    list_omitted: bool,
    extends: Sequence[str],
    settings: ConnectionSettings,
) -> None:
    """Write all entries that FILTER selects, without it all, as the log is now; the oldest first.

    Into a folder, an export can be resumed after any interruption, and its manifest holds the SHA-256 of every
    part: `auditlog verify` verifies it. To stdout it is one stream. With --evidence it is one zip: entries, proof,
    signed checkpoints, the callers' tokens, a report to read and print, and a small verifier that needs nothing but
    Python; with --key it is verified before it gets its name.

    With --verify-tokens the verdicts on the tokens behind each entry stand beside it, their numbers on stderr, and
    the exit status is 1 if one does not verify (INVALID).

    \b
    auditlog export --out all
    auditlog export 'tenant = "acme"' --output csv --columns index,time,actor.id,action --out acme
    auditlog export --output parquet --partition --region eu-central-1 --out lake
    auditlog export 'actor.id = "alice"' --evidence alice.zip
    auditlog export 'index >= 1000 AND index < 2000' --evidence range.zip --extends monday.checkpoint
    """  # noqa: D301 - click wants the character
    if evidence is not None:
        if output != "jsonl" or out != _STDOUT or compress or columns or partition or resume:
            raise CommandError("export: --evidence stands alone: no --output, --out, --compress, --partition, --resume")
        if verify_tokens:
            raise CommandError("export: a package says of each token what verifying it gave; leave --verify-tokens out")
        export_evidence(settings, filter_text, evidence, no_index=no_index, list_omitted=list_omitted, extends=extends)
        return
    if list_omitted or extends:
        raise CommandError("export: --list-omitted and --extends go with --evidence FILE.zip")
    if columns and output != "csv":
        raise CommandError("export: --columns are those of --output csv")
    if (region or account) and not partition:
        raise CommandError("export: --region and --account go with --partition")
    if compress and output == "parquet":
        raise CommandError("export: Parquet is compressed with zstd in any case; leave --compress out")
    if out == _STDOUT:
        if output == "parquet" or partition or resume:
            raise CommandError("export: Parquet, --partition and --resume need a folder: --out FOLDER")
        _to_stdout(
            settings,
            filter_text,
            output,
            compress,
            columns or CSV_COLUMNS,
            no_index=no_index,
            verify_tokens=verify_tokens,
        )
        return
    _to_folder(
        settings,
        Path(out),
        {
            "filter": filter_text,
            "no_index": no_index,
            "verify_tokens": verify_tokens,
            "format": output,
            "compression": "zstd" if output == "parquet" else compress,
            "columns": (columns or CSV_COLUMNS) if output == "csv" else None,
        },
        (region, account) if partition else None,
        round_mib * _MIB,
        resume=resume,
    )


def _to_folder(
    settings: ConnectionSettings,
    folder: Path,
    wanted: dict[str, object],
    partition: tuple[str | None, str | None] | None,
    round_bytes: int,
    *,
    resume: bool,
) -> None:
    from auditd_client.exports import (
        DEFAULT_ACCOUNT,
        DEFAULT_REGION,
        MANIFEST_NAME,
        Partitions,
        Request,
        export_to_folder,
    )

    names: dict[str, str] = {}
    if partition is not None:
        names = {"region": partition[0] or DEFAULT_REGION, "account": partition[1] or DEFAULT_ACCOUNT}
        try:
            Partitions(**names)
        except ValueError as error:
            raise CommandError(f"export: --{error}") from error
    request = Request(log=settings.log, **wanted, **names)  # type: ignore[arg-type]  # checked by the options
    with connect(settings, max_attempts=MAX_ATTEMPTS) as client, ExportBar() as bar:
        manifest = export_to_folder(
            client, folder, request, resume=resume, round_bytes=round_bytes, progress=bar.stands_at
        )
    name = folder / MANIFEST_NAME
    digest = sha256(name.read_bytes()).hexdigest()
    rows = "1 row" if manifest.rows == 1 else f"{manifest.rows} rows"
    parts = "1 part" if len(manifest.parts) == 1 else f"{len(manifest.parts)} parts"
    note(f"{name}: {rows} in {parts}, of a tree of {manifest.tree_size}")
    click.echo(digest)
    _report(manifest.tokens)


def _to_stdout(
    settings: ConnectionSettings,
    filter_text: str,
    output: str,
    compress: str | None,
    columns: Sequence[str],
    *,
    no_index: bool,
    verify_tokens: bool,
) -> None:
    from auditd_client.exports import Csv, JsonLines, zstd_to

    terminal = sys.stdout.isatty()
    if terminal and compress:
        raise CommandError("export: compressed bytes are not for a terminal; name a folder with --out, or a pipe")
    form: Csv | JsonLines = JsonLines(verify_tokens=verify_tokens)
    if output == "csv":
        form = Csv(columns, verify_tokens=verify_tokens)
    shown = entry_writer(output, columns, verify_tokens=verify_tokens)
    write, end = zstd_to(write_bytes) if compress else (write_bytes, lambda: None)
    with connect(settings, max_attempts=MAX_ATTEMPTS) as client, ExportBar(hidden=terminal) as bar:
        export = client.export(filter_text, no_index=no_index, verify_tokens=verify_tokens)
        rows, tokens = 0, Counter[str]()
        for number, batch in enumerate(export.batches()):
            if terminal:
                shown.write(batch)
            else:
                write((form.header if number == 0 else b"") + form.render(batch))
            rows += len(batch)
            tokens.update(verdict for entry in batch for verdict in token_verdicts(entry).values())
            bar.stands_at(export.next_index or 0, export.tree_size or 0, rows)
        # Not after a failure: whoever reads must see that the stream is cut.
        end()
    _report(tokens)


def _report(tokens: Mapping[str, int]) -> None:
    """Say how often each verdict on a token was given, and end with status 1 if one does not verify."""
    if tokens:
        note(f"tokens: {token_counts(tokens)}")
    if tokens.get("INVALID"):
        raise CommandError("a token does not verify: see INVALID", status=ExitStatus.NO)
