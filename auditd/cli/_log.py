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
    """Let restored logs of a server folder go on, close logs and start their successors."""


@log.command("resume", short_help="Let restored logs go on.")
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


@log.command("succeed", short_help="Close a log and start its successor.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("name", metavar="NAME")
@click.option("--reason", required=True, metavar="TEXT", help="Why, for the first entry of the successor.")
@click.option(
    "--against",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The newest checkpoint, or bundle, that anyone has kept of the log: what it covers and is not there is lost.",
)
@OUTPUT
def succeed(folder: Path, name: str, reason: str, against: tuple[Path, ...], output: str) -> None:
    """Close the log NAME of the folder DIR, for good, and start its successor with a key of its own.

    Rotates a log on purpose, or goes on where a restored log has lost entries: the successor's first entry says how the
    log before ended, what is missing and why. NAME then stands for both. Ends with 1 if the log contradicts a
    checkpoint. No server may run on the folder.
    """
    from auditd.server import load_config, succeed_log

    with folder_errors():
        done = succeed_log(load_config(folder), name, reason, {str(file): note_of(file) for file in against})
    if output == "json":
        click.echo(json.dumps(asdict(done), indent=2))
        return
    before = "was closed before" if done.completed else "is closed"
    click.echo(shown(f"{done.origin} {before}, after {done.size:,} entries; {done.successor} goes on as {done.name}"))
    if done.lost is not None:
        first, last = done.lost
        click.echo(shown(f"lost: entries {first:,} to {last - 1:,}, as the first entry of {done.successor} says"))
    click.echo(shown(f"its verifier key: {done.verifier_key}"))
