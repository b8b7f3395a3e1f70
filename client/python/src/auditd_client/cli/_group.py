"""The group of all commands: each is imported only when it is used, and none fails with a traceback."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click

from auditd_client.cli._errors import CommandError, ExitStatus
from auditd_client.cli._escape import shown
from auditd_client.cli._signals import ToldToEndError, told_to_end

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINT_GROUP = "auditlog.commands"

# Command, module and summary: the summary stands here, for listing the commands must not import them.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "append": ("auditd_client.cli._append", "Record events: JSON lines, or one event from flags."),
    "import": ("auditd_client.cli._import", "Record events from files of other formats."),
    "query": ("auditd_client.cli._query", "Print the entries that a filter selects."),
    "tail": ("auditd_client.cli._tail", "Print entries as they are recorded."),
    "stats": ("auditd_client.cli._stats", "Count entries: by fields, over time."),
    "get": ("auditd_client.cli._get", "Print one entry."),
    "export": ("auditd_client.cli._export", "Hand entries over: files for programs, or an evidence package."),
    "prove": ("auditd_client.cli._prove", "Get a proof that verifies offline."),
    "credential": ("auditd_client.cli._credential", "Get the token behind an entry, to verify it offline."),
    "verify": ("auditd_client.cli._verify", "Verify bundles, proofs and checkpoints, offline."),
    "checkpoint": ("auditd_client.cli._checkpoint", "Print the current signed checkpoint."),
    "monitor": ("auditd_client.cli._monitor", "Follow a log from elsewhere: every checkpoint must extend the last."),
    "rotate": ("auditd_client.cli._rotate", "Close a log for good and start its successor."),
    "status": ("auditd_client.cli._status", "Show health, queues, latencies and refusals."),
    "logs": ("auditd_client.cli._logs", "List the logs that you may use."),
    "events": ("auditd_client.cli._events", "List what an authentication layer should record."),
    "token": ("auditd_client.cli._token", "Issue tokens, revoke them, list what is revoked."),
    "backup": ("auditd_client.cli._backup", "Fetch backups from elsewhere; make, verify, restore them."),
}

# What the server's distribution plugs in; others are imported to learn their summary.
SERVER_COMMANDS: Mapping[str, str] = {
    "init": "Make a server folder.",
    "serve": "Run a server.",
    "check": "Re-hash and verify all evidence of a server folder.",
    "clock": "Vouch for the clock of a server that does not trust it.",
    "log": "Let a restored log go on, or close one and start its successor.",
}


class CommandGroup(click.Group):
    """Finds commands here and in the entry points `auditlog.commands`, and turns errors into lines."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - of click
        """Return the names of all commands: ours, then those plugged in."""
        return [*COMMANDS, *sorted(_plug_ins().keys() - COMMANDS.keys())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - of click
        """Import and return a command.

        Raises CommandError for a plug-in that cannot be imported, or a server command without a server.
        """
        if cmd_name in COMMANDS:
            command: click.Command = import_module(COMMANDS[cmd_name][0]).command
            return command
        if (plug_in := _plug_ins().get(cmd_name)) is not None:
            return _load(plug_in)
        if cmd_name in SERVER_COMMANDS:
            raise CommandError(f"{cmd_name}: this needs the server; install the package `auditd`")
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - of click
        """Write the commands and their summaries without importing ours or the server's."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])
        plug_ins = {name: entry for name, entry in _plug_ins().items() if name not in COMMANDS}
        if plug_ins:
            with formatter.section("On the server's machine"):
                formatter.write_dl([(name, _summary(name, plug_ins[name])) for name in _server_order(plug_ins)])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002 - of click's interface only
        **extra: Any,  # noqa: ANN401 - as click has it
    ) -> NoReturn:
        """Run a command and exit.

        This stands in for click's own, which ends a closed pipe with 1, here a "no", and a usage error with
        several lines.
        """
        # What gRPC would say is said in our own words, or means nothing to a user; it asks once, when it is imported.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        name = prog_name or "auditlog"
        self._main_shell_completion(extra, name, complete_var)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # What the terminal's encoding lacks is shown as an escape, and stops nobody.
                stream.reconfigure(errors="backslashreplace")
        try:
            with (
                told_to_end(),
                self.make_context(name, list(sys.argv[1:] if args is None else args), **extra) as context,
            ):
                self.invoke(context)
            sys.stdout.flush()
            status: int = ExitStatus.YES
        except ToldToEndError as told:
            status = 128 + told.number
        except KeyboardInterrupt:
            status = ExitStatus.INTERRUPTED
        except Exception as error:  # noqa: BLE001 - a traceback tells a user nothing
            status = _end(error)
        sys.exit(int(status))


def _plug_ins() -> dict[str, EntryPoint]:
    # Not at the top: it takes longer to import than most commands take to run.
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}


def _server_order(plug_ins: Mapping[str, EntryPoint]) -> Iterator[str]:
    yield from (name for name in SERVER_COMMANDS if name in plug_ins)
    yield from sorted(plug_ins.keys() - SERVER_COMMANDS.keys())


def _load(plug_in: EntryPoint) -> click.Command:
    """Import a plug-in's command; whatever goes wrong there is named, and harms no other command."""
    try:
        command = plug_in.load()
    except Exception as error:
        raise CommandError(f"{plug_in.name}: {_broken(plug_in, f'{type(error).__name__}: {error}')}") from error
    if not isinstance(command, click.Command):
        raise CommandError(f"{plug_in.name}: {_broken(plug_in, 'it is no command')}")
    return command


def _broken(plug_in: EntryPoint, why: str) -> str:
    return f"the plug-in {plug_in.value} cannot be loaded: {why}; reinstall or remove its package"


def _summary(name: str, plug_in: EntryPoint) -> str:
    if name in SERVER_COMMANDS:
        return SERVER_COMMANDS[name]
    try:
        return shown(_load(plug_in).get_short_help_str(limit=100))
    except CommandError as error:
        return shown(f"(broken) {error.message}")


def _end(error: Exception) -> int:
    """Say on stderr what ended the command, and return its exit status."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.Abort):
        return ExitStatus.INTERRUPTED
    if isinstance(error, BrokenPipeError):
        _silence_stdout()
        return ExitStatus.CLOSED_PIPE
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return ExitStatus.REFUSED
    if isinstance(error, click.UsageError):
        hint = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
        error = CommandError(error.format_message().rstrip(".") + hint)
    elif isinstance(error, OSError):
        error = CommandError(f"{error.filename or 'output'}: {error.strerror or error}")
    elif not isinstance(error, click.ClickException):
        # Imported only now: it brings the verifier, which no other path through here needs.
        from auditd_client.cli._explain import explain

        error = explain(error)
    error.show()
    return error.exit_code


def _silence_stdout() -> None:
    """Let what is still buffered go nowhere, so that the interpreter's flush at exit stays quiet."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
