"""How errors of the server folder end a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from auditd.errors import AuditdError, ConfigError, DamagedError, InvalidRequestError
from auditd_client.cli import CommandError, ExitStatus


@contextmanager
def folder_errors() -> Iterator[None]:
    """Turn errors about a server folder into one clear line and the exit status that scripts rely on."""
    try:
        yield
    except DamagedError as error:
        facts = [f"  {name}: {value}" for name, value in error.facts.items()]
        raise CommandError(error.message, *facts, status=ExitStatus.NO) from error
    except ConfigError as error:
        raise CommandError(*error.lines) from error
    except InvalidRequestError as error:
        raise CommandError(error.message) from error
    except AuditdError as error:
        raise (unfinished if error.reason == "EVIDENCE_UNAVAILABLE" else CommandError)(error.message) from error
    except PermissionError as error:
        raise CommandError(f"{error.filename}: {error.strerror}; run it as the user that owns the folder") from error


def unfinished(*lines: str) -> CommandError:
    """Return the error of a command that could not read all that it had to; what it read is not wrong by that."""
    return CommandError(*lines, "  run it again; if it stays, copy the folder to another disk, or restore a backup")
