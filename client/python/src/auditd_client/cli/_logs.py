"""`auditlog logs`: the logs that the caller may use."""

from __future__ import annotations

import click

from auditd_client import LogInfo
from auditd_client.cli._connect import MAX_ATTEMPTS, connect
from auditd_client.cli._output import Writer, compact_json, output_option
from auditd_client.cli._settings import ConnectionSettings, connection_options

_COLUMNS = ("name", "origin", "tree_size", "verifier_key")


@click.command("logs", short_help="List the logs that you may use.")
@connection_options()
@output_option("table", "json", "jsonl", "csv")
def command(settings: ConnectionSettings, output: str) -> None:
    """List the logs that you may use.

    Have a verifier key from a place you trust: whoever could rewrite the log could also list another key
    here.
    """
    with connect(settings, max_attempts=MAX_ATTEMPTS) as client:
        logs = client.logs()
    columns = (*_COLUMNS, "successor") if any(log.successor for log in logs) else _COLUMNS
    with Writer(output, columns, lambda log: [getattr(log, column) for column in columns], _json) as writer:
        writer.write(logs)


def _json(log: LogInfo) -> str:
    """Return a log as JSON; of one that was closed also its successor, and the note that says so."""
    closed = ("successor", "closing") if log.successor else ()
    return compact_json({name: getattr(log, name) for name in (*_COLUMNS, *closed)})
