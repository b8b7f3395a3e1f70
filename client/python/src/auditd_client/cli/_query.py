"""`auditlog query`: entries that a filter selects."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import chain

import click

from auditd_client import QueryOrder
from auditd_client._entry_tokens import is_invalid
from auditd_client.cli._connect import MAX_ATTEMPTS, connect
from auditd_client.cli._entry_rows import CSV_COLUMNS, TABLE_COLUMNS, parse_columns
from auditd_client.cli._entry_tokens import entry_writer, verify_tokens_option
from auditd_client.cli._errors import CommandError, ExitStatus
from auditd_client.cli._explanation import write_explanation
from auditd_client.cli._output import note, output_option
from auditd_client.cli._progress import no_progress, progress
from auditd_client.cli._settings import ConnectionSettings, connection_options

# The most that a page of the server holds.
_PAGE = 1_000


@click.command("query", short_help="Print the entries that a filter selects.")
@click.argument("filter_text", default="", metavar="[FILTER]")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    metavar="N",
    help="Most entries to print; 0 for all.",
)
@click.option(
    "--order",
    type=click.Choice(("asc", "desc", "time-asc", "time-desc")),
    default="desc",
    show_default=True,
    help="By index, or by the events' own times.",
)
@click.option("--explain", is_flag=True, help="Say how the entries are found, instead of printing them.")
@click.option(
    "--no-index", is_flag=True, help="Read the evidence itself, past the index, which could hide entries; slow."
)
@click.option(
    "--columns",
    callback=lambda _context, _option, value: value and parse_columns(value),
    metavar="NAME,…",
    help="Columns of a table or CSV, such as index,time,actor.id,attributes.amount.",
)
@verify_tokens_option
@connection_options()
@output_option("table", "json", "jsonl", "csv")
def command(
    filter_text: str,
    limit: int,
    order: QueryOrder,
    explain: bool,
    no_index: bool,
    columns: tuple[str, ...] | None,
    verify_tokens: bool,
    settings: ConnectionSettings,
    output: str,
) -> None:
    """Print the entries that FILTER selects, the newest first; without it all.

    What a search that takes long finds is printed as it is found, but in an order by event time.
    With `--output jsonl` an entry is one line: its leaf, the exact bytes that were hashed.
    With `--explain` the first page is searched, and what narrowed the search is printed.
    With `--verify-tokens` the exit status is 1 if a token of an entry does not verify (INVALID).

    \b
    auditlog query 'action = "user.login" AND outcome = FAILURE'
    auditlog query 'actor.id = "ali*" AND recorded_at >= "2026-11-01T00:00:00Z"' --limit 0 --output jsonl
    """  # noqa: D301 - click wants the character
    if explain:
        with connect(settings, max_attempts=MAX_ATTEMPTS) as client:
            found = client.explain(filter_text, order=order, limit=limit or _PAGE, no_index=no_index)
        write_explanation(found, output, no_index=no_index)
        return
    chosen = columns or (CSV_COLUMNS if output == "csv" else TABLE_COLUMNS)
    if verify_tokens and not columns and output == "table":
        # Beside the verdict on a token, whether it made its actor known: one that had expired verifies and did not.
        chosen = (*chosen, "actor.identity")
    count = invalid = 0
    with connect(settings, max_attempts=MAX_ATTEMPTS) as client, _bar(limit) as advance:
        blocks = client.query(
            filter_text, order=order, limit=limit or None, no_index=no_index, verify_tokens=verify_tokens
        ).batches()
        first = next(filter(None, blocks), [])
        if first and first[0].origin and not columns:
            # Of several logs an index alone says nothing.
            chosen = ("log", *chosen)
        with entry_writer(output, chosen, verify_tokens=verify_tokens) as writer:
            for block in chain([first], blocks):
                writer.write(block)
                count += len(block)
                invalid += sum(map(is_invalid, block))
                advance(0, len(block))
    if output == "table" and sys.stderr.isatty():
        if count == 0:
            note("no entry")
        elif count == limit:
            note(f"there may be more than these {limit}: see --limit")
    if invalid:
        raise CommandError(f"{invalid} entries with a token that does not verify", status=ExitStatus.NO)


def _bar(limit: int) -> AbstractContextManager[Callable[[int, int], None]]:
    """Show progress only where the entries themselves do not: on the way to a file."""
    if limit == 0 and not sys.stdout.isatty():
        return progress("query", unit="entries")
    return nullcontext(no_progress)
