"""`auditlog get`: one entry."""

from __future__ import annotations

import click

from auditd_client.cli._connect import MAX_ATTEMPTS, connect
from auditd_client.cli._entry_rows import members, read_leaf
from auditd_client.cli._output import output_option, write_json, write_table
from auditd_client.cli._settings import MAX_NUMBER, ConnectionSettings, connection_options


@click.command("get", short_help="Print one entry.")
@click.argument("index", type=click.IntRange(0, MAX_NUMBER))
@connection_options()
@output_option("table", "json", "jsonl")
def command(index: int, settings: ConnectionSettings, output: str) -> None:
    """Print the entry at INDEX, from 0.

    With `--output json` or `jsonl` that is its leaf, the exact bytes that were hashed.
    """
    with connect(settings, max_attempts=MAX_ATTEMPTS) as client:
        entry = client.get(index)
    if output == "table":
        write_table(("member", "value"), members(read_leaf(entry.leaf, index)))
    else:
        write_json(entry.leaf)
