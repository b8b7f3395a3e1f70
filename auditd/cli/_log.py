"""`auditlog log`: the life of a log."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from auditd.cli._check import OUTPUT, note_of
from auditd.cli._errors import folder_errors
from auditd_client.cli import shown


@click.group("log", no_args_is_help=True)
def log() -> None:
    """Let restored logs of a server folder go on."""


@log.command("resume")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--against",
    multiple=True,
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The newest checkpoint, or bundle, that anyone has kept of a log; give one for each restored log.",
)
@OUTPUT
def resume(folder: Path, against: tuple[Path, ...], output: str) -> None:
    """Let restored logs of the folder DIR go on, each held against the newest checkpoint known of it.

    Ends with 0 if nothing is missing, which is recorded in `control`; with 1 if entries are missing or others than
    those that were signed for. No server may run on the folder.
    """
    from auditd.server import load_config, resume_logs

    with folder_errors():
        notes = {str(file): note_of(file) for file in against}
        resumed = resume_logs(load_config(folder), notes)
    if output == "json":
        click.echo(json.dumps([asdict(one) for one in resumed], indent=2))
        return
    for one in resumed:
        click.echo(shown(f"{one.name}: {one.entries:,} entries, nothing missing up to {one.proven_size:,}; it goes on"))
