"""What `auditlog backup` can do with a server folder: copies of it are made, verified, restored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from auditd.cli._check import AGAINST, KEYS, OUTPUT, note_of, print_report, report_as_json, require_sound
from auditd.cli._errors import folder_errors
from auditd_client.cli import Bars, shown

if TYPE_CHECKING:
    from auditd.server import Manifest


@click.group("backup")
def backup() -> None:
    """Copy a server folder while it is served or not, verify copies and restore them."""


@backup.command("make")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path))
@click.option("--with-keys", is_flag=True, help="Copy the private keys, too: who has them can sign another history.")
@click.option(
    "--since",
    metavar="BACKUP",
    type=click.Path(path_type=Path, file_okay=False),
    help="Copy only what came after this backup, which may itself be made with --since.",
)
@OUTPUT
def make(folder: Path, destination: Path, *, with_keys: bool, since: Path | None, output: str) -> None:
    """Copy all evidence of the server folder DIR into the new folder DEST, and verify the copy.

    Works beside a running server or a stopped one. DEST appears once it is whole, verified and on disk.
    """
    from auditd.server import Manifest, load_config, make_backup

    with folder_errors(), Bars() as bars:
        config, before = load_config(folder), Manifest.read(since) if since is not None else None
        manifest = make_backup(config, destination, with_keys=with_keys, progress=bars.update, since=before)
    _print_made(destination, manifest, output)


@backup.command("join")
@click.argument("paths", metavar="BACKUP INCREMENT…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path))
@KEYS
@OUTPUT
def join(paths: tuple[Path, ...], destination: Path, vkeys: tuple[str, ...], output: str) -> None:
    """Put a whole BACKUP and the INCREMENTs made after it, oldest first, together as the new backup DEST.

    DEST appears once it is whole, verified and on disk; it can then be verified and restored as any other.
    """
    from auditd.server import join_backups

    with folder_errors(), Bars() as bars:
        manifest = join_backups(paths, destination, vkeys, bars.update)
    _print_made(destination, manifest, output)


def _print_made(destination: Path, manifest: Manifest, output: str) -> None:
    if output == "json":
        click.echo(manifest.text(), nl=False)
        return
    for name, log in manifest.logs.items():
        click.echo(shown(f"{name}: {log.entries:,} entries, checkpoint of {log.size:,}"))
    total = sum(file.bytes for file in manifest.files.values())
    kept = "with private keys" if manifest.with_keys else "without keys: keep a copy of them elsewhere"
    what = f"what came since {manifest.since.made_at}, " if manifest.since else ""
    click.echo(shown(f"{destination}: {what}{len(manifest.files)} files, {total:,} bytes, verified; {kept}"))


@backup.command("verify")
@click.argument("path", metavar="PATH", type=click.Path(path_type=Path))
@AGAINST
@KEYS
@OUTPUT
def verify(path: Path, against: tuple[Path, ...], vkeys: tuple[str, ...], output: str) -> None:
    """Verify the backup PATH: each file's hash, then every entry, tile, checkpoint and token.

    Ends with 0 if it is sound, 1 if not, 2 if the disk refuses to give all of it. Only what others hold shows that
    entries are missing at the end, or that someone with the signing key has made another history: give their
    checkpoints with --against.
    """
    from auditd.server import verify_backup

    with folder_errors():
        notes = {str(file): note_of(file) for file in against}
        with Bars() as bars:
            _, report = verify_backup(path, vkeys, notes, bars.update)
    if output == "json":
        click.echo(json.dumps(report_as_json(report), indent=2))
    else:
        print_report(report)
    require_sound(report, "the backup is damaged")


@backup.command("restore")
@click.argument("path", metavar="PATH", type=click.Path(path_type=Path))
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@KEYS
def restore(path: Path, folder: Path, vkeys: tuple[str, ...]) -> None:
    """Make the new server folder DIR from the backup PATH, which is verified first.

    Its logs can be read, but nothing is recorded in them until `auditlog log resume` has proven that nothing is
    missing.
    """
    from auditd.server import restore_backup

    with folder_errors(), Bars() as bars:
        manifest = restore_backup(path, folder, vkeys, bars.update)
    for name, log in manifest.logs.items():
        click.echo(shown(f"{name}: {log.entries:,} entries, as of {manifest.made_at}"))
    keys = "" if manifest.with_keys else "put its keys back, then "
    click.echo(shown(f"{folder}: read-only; {keys}run: auditlog log resume {folder} --against NEWEST_KNOWN_CHECKPOINT"))
