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
    with Writer(output, _COLUMNS, _row, _json) as writer:
        writer.write(logs)


def _row(log: LogInfo) -> tuple[object, ...]:
    return log.name, log.origin, log.tree_size, log.verifier_key


def _json(log: LogInfo) -> str:
    return compact_json(dict(zip(_COLUMNS, _row(log), strict=True)))
