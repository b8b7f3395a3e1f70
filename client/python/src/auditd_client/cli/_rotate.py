"""`auditlog rotate`: close a log of a running server and start its successor."""

from __future__ import annotations

from dataclasses import asdict

import click

from auditd_client.cli._connect import MAX_ATTEMPTS, connect
from auditd_client.cli._output import compact_json, output_option, write_json, write_line
from auditd_client.cli._settings import ConnectionSettings, connection_options


@click.command("rotate", short_help="Close a log for good and start its successor.")
@click.option("--reason", required=True, metavar="TEXT", help="Why, for the first entry of the successor.")
@connection_options()
@output_option("table", "json")
def command(reason: str, settings: ConnectionSettings, output: str) -> None:
    """Close the log that --log names for good, and have a successor go on under its name, with a key of its own.

    Needs the role `admin`. The log can still be read, as `main~1`, and names of its events are still known. Of a
    server that does not run, and for `control` and `access`: `auditlog log succeed`.
    """
    with connect(settings, max_attempts=MAX_ATTEMPTS) as client:
        done = client.rotate_log(settings.log, reason)
    if output == "json":
        write_json(compact_json(asdict(done)))
        return
    write_line(f"{done.closed} is closed, after {done.size:,} entries; {done.successor} goes on")
    write_line(f"its verifier key: {done.verifier_key}")
