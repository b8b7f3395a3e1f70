"""`auditlog get`: one entry."""

from __future__ import annotations

import click

from auditd_client._entry_tokens import is_invalid, token_verdicts, with_tokens
from auditd_client.cli._connect import MAX_ATTEMPTS, connect
from auditd_client.cli._entry_rows import members, read_leaf
from auditd_client.cli._entry_tokens import verify_tokens_option
from auditd_client.cli._errors import CommandError, ExitStatus
from auditd_client.cli._output import output_option, write_json, write_table
from auditd_client.cli._settings import MAX_NUMBER, ConnectionSettings, connection_options


@click.command("get", short_help="Print one entry.")
@click.argument("index", type=click.IntRange(0, MAX_NUMBER))
@verify_tokens_option
@connection_options()
@output_option("table", "json", "jsonl")
def command(index: int, verify_tokens: bool, settings: ConnectionSettings, output: str) -> None:
    """Print the entry at INDEX, from 0.

    With `--output json` or `jsonl` that is its leaf, the exact bytes that were hashed.

    With `--verify-tokens` the exit status is 1 if a token does not verify (INVALID).
    """
    with connect(settings, max_attempts=MAX_ATTEMPTS) as client:
        entry = client.get(index, verify_tokens=verify_tokens)
    if output == "table":
        rows = members(read_leaf(entry.leaf, index))
        rows += token_verdicts(entry).items()
        write_table(("member", "value"), rows)
    else:
        write_json(with_tokens(entry) if verify_tokens else entry.leaf)
    if is_invalid(entry):
        raise CommandError(f"entry {index}: a token of it does not verify", status=ExitStatus.NO)
