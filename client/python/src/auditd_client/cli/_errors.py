"""How a command ends: its exit status, and what stands on stderr."""

from __future__ import annotations

from enum import IntEnum
from typing import IO, Any

import click

from auditd_client.cli._escape import shown


class ExitStatus(IntEnum):
    """What a script may rely on."""

    YES = 0
    NO = 1
    """A proof that does not verify, a damaged log."""
    REFUSED = 2
    """Misuse, or input that was refused."""
    UNREACHABLE = 3
    """No server answered, or the caller is not allowed."""
    DEFECT = 70
    """A mistake in auditlog itself."""
    INTERRUPTED = 130
    """Ctrl-C. Other signals that ask to end give 128 and their number: 143 for SIGTERM, 129 for SIGHUP."""
    CLOSED_PIPE = 141
    """Whoever read the output went away."""


class CommandError(click.ClickException):
    """A command ends with `status`; each of `lines` goes to stderr, escaped."""

    def __init__(self, *lines: str, status: ExitStatus = ExitStatus.REFUSED) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.status = status
        self.exit_code = int(status)  # type: ignore[misc]  # click reads it here too

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the lines to stderr, or to `file`."""
        for line in self.lines:
            click.echo(f"auditlog: {shown(line)}", file=file, err=file is None)
