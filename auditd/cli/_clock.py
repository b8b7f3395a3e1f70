"""`auditlog clock`: what an operator says of the machine's clock."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from auditd.cli._check import OUTPUT
from auditd.cli._errors import folder_errors

WAIT_S = 3.0


@click.group("clock", no_args_is_help=True)
def clock() -> None:
    """Vouch for the clock of a server that does not trust it."""


@clock.command("confirm")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@OUTPUT
def confirm(folder: Path, output: str) -> None:
    """Say that the clock of this machine is right, as it is now, to the server of the folder DIR.

    A server whose clock stepped or stood still for long does not trust it, and records nothing new of callers (reason
    CLOCK_SUSPECT). This needs no token, but the right to write in DIR, and is recorded in `control`. A server that runs
    takes it at once, one that does not at its next start, unless the clock has stepped until then or the machine was
    started again.
    """
    from auditd.server import confirm_clock, load_config

    with folder_errors():
        confirmed = confirm_clock(load_config(folder).folder, WAIT_S)
    if output == "json":
        click.echo(json.dumps(asdict(confirmed), indent=2))
        return
    taken = "the server trusts it" if confirmed.taken else "no server has taken it yet; the next start does"
    click.echo(f"confirmed that it is {confirmed.clock}: {taken}")
