"""`auditlog checkpoint`: the current signed checkpoint."""

from __future__ import annotations

import click

from auditd_client.cli._connect import MAX_ATTEMPTS, connect
from auditd_client.cli._output import compact_json, output_option, write_json, write_text
from auditd_client.cli._settings import ConnectionSettings, connection_options


@click.command("checkpoint", short_help="Print the current signed checkpoint.")
@connection_options()
@output_option("table", "json", "jsonl")
def command(settings: ConnectionSettings, output: str) -> None:
    """Print the log's current signed checkpoint, the signed note verbatim.

    With --key its signature and origin are verified first.
    """
    with connect(settings, max_attempts=MAX_ATTEMPTS) as client:
        result = client.checkpoint()
    if output == "table":
        write_text(result.checkpoint)
        return
    origin, size, root, *_ = result.checkpoint.split("\n")
    write_json(compact_json({"origin": origin, "size": int(size), "root": root, "note": result.checkpoint}))
