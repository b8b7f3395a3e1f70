"""`auditlog backup`: fetch a backup of a running server; with the server installed, what else can be done with one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from auditd_client.cli._connect import connect
from auditd_client.cli._errors import CommandError
from auditd_client.cli._output import output_option, write_line, write_text
from auditd_client.cli._progress import Bars
from auditd_client.cli._settings import ConnectionSettings, connection_options

if TYPE_CHECKING:
    from auditd_client import Backup

_PLUG_INS = "auditlog.backup"
_OF_THE_SERVER = ("make", "verify", "join", "restore")


class _BackupGroup(click.Group):
    """`backup DIR DEST` makes a backup of a folder; what else can be done is named: `backup fetch`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of our own, then of those that the server's distribution plugs in."""
        return [*super().list_commands(ctx), *sorted(_plugged_in())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one of our own, or of the server's; raise CommandError for one of these without a server."""
        if (own := super().get_command(ctx, cmd_name)) is not None:
            return own
        if (found := _plugged_in().get(cmd_name)) is None and cmd_name in _OF_THE_SERVER:
            raise CommandError(f"backup {cmd_name}: this needs the server; install the package `auditd`")
        return found

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take what names no command, and asks for no help, for the folders of `make`."""
        if args and args[0] not in {*self.commands, *_OF_THE_SERVER, "-h", "--help"}:
            args = ["make", *args]
        return super().parse_args(ctx, args)


def _plugged_in() -> dict[str, click.Command]:
    # Not at the top: it takes longer to import than most commands take to run.
    from importlib.metadata import entry_points

    found: dict[str, click.Command] = {}
    for plug_in in entry_points(group=_PLUG_INS):
        found |= plug_in.load().commands
    return found


@click.group(
    "backup",
    cls=_BackupGroup,
    no_args_is_help=True,
    short_help="Fetch backups from elsewhere; make, verify, restore them.",
)
def command() -> None:
    """Fetch a backup of a running server; copy a server folder, verify copies and restore them.

    `fetch` calls a server; all else works on this machine's files. `auditlog backup DIR DEST` is short for
    `auditlog backup make DIR DEST`.
    """


@command.command("fetch", short_help="Have a server make a backup, and receive it.")
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path))
@click.option(
    "--since",
    metavar="BACKUP",
    type=click.Path(path_type=Path, file_okay=False),
    help="Fetch only what came after this backup, which may itself be made with --since.",
)
@connection_options(60.0)
@output_option("table", "json")
def fetch(destination: Path, since: Path | None, settings: ConnectionSettings, output: str) -> None:
    """Have the server make a verified backup of all its logs, and write it into the new folder DEST.

    Needs the role `backup` or `admin`, and a token that lasts until the end. Private keys do not come. Every file is
    held against the server's manifest, and its checkpoints against --key. DEST appears once it is whole and on disk;
    whatever goes wrong leaves nothing behind. --timeout says how long the server may be silent.

    \b
    auditlog backup fetch monday
    auditlog backup fetch tuesday --since monday
    """  # noqa: D301 - click wants the character
    with connect(settings) as client, Bars() as bars:
        made = client.make_backup(destination, since=since, progress=bars.update)
    if output == "json":
        write_text((destination / "manifest.json").read_text(encoding="utf-8"))
    else:
        _print(made)


def _print(made: Backup) -> None:
    for name, log in made.logs.items():
        write_line(f"{name}: {log.entries:,} entries")
    what = "only what came since the backup before, " if made.since else ""
    next_step = "join" if made.since else "verify"
    write_line(f"{made.folder}: {what}{made.files} files, {made.bytes:,} bytes, as the server's manifest says")
    write_line(f"verify all of it, with the server installed: auditlog backup {next_step}")
