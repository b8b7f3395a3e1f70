"""`auditlog init`: make a server folder."""

from __future__ import annotations

import json
from pathlib import Path

import click

from auditd.cli._errors import folder_errors
from auditd_client.cli import shown


@click.command("init")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--origin",
    metavar="NAME",
    default="localhost",
    show_default=True,
    help="The server's globally unique name, such as audit.example.com. Every proof is bound to it; it never changes.",
)
@click.option(
    "--tls", is_flag=True, help="Serve with TLS: make a certificate, and an authority for it that clients then trust."
)
@click.option(
    "--tls-host",
    "tls_hosts",
    multiple=True,
    metavar="NAME",
    help="A further host name or address of the certificate; may be given several times. Implies --tls.",
)
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Form of the answer.",
)
def init(folder: Path, origin: str, tls: bool, tls_hosts: tuple[str, ...], output: str) -> None:
    """Make a server folder with safe defaults and new keys.

    Prints the verifier key of each log: hand it to whoever is to verify, by a way that you trust.
    """
    from auditd.server import make_folder

    with folder_errors():
        made = make_folder(folder, origin, tls_hosts if tls or tls_hosts else None)
    if output == "json":
        click.echo(
            json.dumps(
                {
                    "dir": str(made.folder),
                    "origin": made.origin,
                    "vkey": made.verifier_keys["main"],
                    "vkeys": made.verifier_keys,
                    **({"ca": str(made.ca)} if made.ca else {}),
                }
            )
        )
        return
    click.echo(f"Made {shown(str(made.folder))} for {made.origin}. Verifier keys, one a log:")
    for vkey in made.verifier_keys.values():
        click.echo(f"  {vkey}")
    if made.ca is not None:
        click.echo(f"Clients trust {shown(str(made.ca))}: hand it to them, and have them say --ca FILE or AUDITLOG_CA.")
    click.echo(f"Next: auditlog serve {shown(str(made.folder))}")
