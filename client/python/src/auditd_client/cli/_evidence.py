"""Evidence packages on the command line."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click

from auditd_client.cli._errors import CommandError
from auditd_client.cli._output import note
from auditd_client.cli._progress import ExportBar, progress
from auditd_client.cli._settings import ConnectionSettings
from auditd_client.cli._whole_file import new_file, require_new
from auditd_client.evidence import (
    NothingToProveError,
    Selection,
    VerifiedPackage,
    verify_package,
    write_package,
)
from auditd_client.verify import VerificationError, VerifierKey, unverified_checkpoint

_F = TypeVar("_F", bound=Callable[..., Any])
_MAX_NOTE_BYTES = 1 << 20
_OPTIONS = (
    click.option("--evidence", metavar="FILE.zip", help="Write an evidence package, which verifies offline."),
    click.option(
        "--list-omitted", is_flag=True, help="With --evidence: list the leaf hash of every entry that is left out."
    ),
    click.option(
        "--extends",
        multiple=True,
        metavar="FILE",
        help="With --evidence: prove that the log still extends this checkpoint that you kept; repeatable.",
    ),
)


def evidence_options(function: _F) -> _F:
    """Give a command the options of an evidence package: `evidence`, `list_omitted`, `extends`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def export_evidence(
    settings: ConnectionSettings,
    filter_text: str,
    evidence: str,
    *,
    no_index: bool,
    list_omitted: bool,
    extends: Sequence[str],
) -> None:
    """Write the package whole or not at all, verified first if there is a key."""
    # Not at the top: it needs gRPC, which verifying does without.
    from auditd_client.cli._connect import MAX_ATTEMPTS, connect

    require_new(Path(evidence))
    known = [_read_note(name) for name in extends]
    selection = Selection(filter_text, known, list_omitted, _who(settings.token), no_index)
    how = "not verified, for want of --key"
    with connect(settings, max_attempts=MAX_ATTEMPTS) as client, new_file(Path(evidence)) as file:
        try:
            with ExportBar() as bar:
                manifest = write_package(client, file, selection, bar.stands_at)
        except NothingToProveError as error:
            raise CommandError(f"export: {error}") from error
        if settings.key:
            file.seek(0)
            with progress("verify", manifest.entries, unit="entries") as advance:
                verify_package(file, settings.key, advance=lambda count: advance(count, count))
            how = "verified"
    noun = "entry" if manifest.entries == 1 else "entries"
    note(f"{evidence}: {manifest.entries} {noun} in a tree of {manifest.tree_size}, {how}")


def package_facts(
    stream: BinaryIO, key: VerifierKey, origin: str | None, trusted_keys: Sequence[Mapping[str, Any]] | None
) -> tuple[VerifiedPackage, dict[str, object]]:
    """Verify a package; return it, and what is to be said of it."""
    with progress("verify", unit="entries") as advance:
        found = verify_package(stream, key, origin, partial(advance, 0), trusted_keys=trusted_keys)
    facts: dict[str, object] = {
        "kind": "evidence",
        "entries": found.count,
        "first": found.first,
        "last": found.last,
        "left_out": found.left_out,
        "origin": found.checkpoint.origin,
        "tree_size": found.checkpoint.size,
        "checkpoints": len(found.checkpoints),
        "credentials": found.credentials,
        "filter": found.manifest.filter,
        "report": "verified" if found.is_rendering_verified else f"not compared, made by {found.manifest.made_by}",
    }
    return found, facts


def _read_note(name: str) -> str:
    try:
        with Path(name).open("rb") as file:
            note_text = file.read(_MAX_NOTE_BYTES).decode()
        unverified_checkpoint(note_text)
    except OSError as error:
        raise CommandError(f"--extends: {name}: {error.strerror}") from error
    except (UnicodeDecodeError, VerificationError) as error:
        raise CommandError(f"--extends: {name}: no signed checkpoint") from error
    return note_text


def _who(token: str) -> str:
    """Return whom the caller's own token names; nothing if it is none."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, IndexError, RecursionError):
        return ""
    if not isinstance(claims, Mapping):
        return ""
    subject, issuer = (str(claims.get(name, "")) for name in ("sub", "iss"))
    return f"{subject} ({issuer})" if subject and issuer else subject
