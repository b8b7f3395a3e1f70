"""`auditlog credential`: the evidence of an identity, for verifying it offline."""

from __future__ import annotations

import re
from pathlib import Path

import click

from auditd_client.cli._connect import MAX_ATTEMPTS, connect
from auditd_client.cli._errors import CommandError, ExitStatus
from auditd_client.cli._output import note, write_text
from auditd_client.cli._settings import ConnectionSettings, connection_options
from auditd_client.cli._whole_file import new_file, require_new
from auditd_client.verify import TokenVerdict, verify_credential

_STDOUT = "-"
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)


@click.command("credential", short_help="Get the token behind an entry, to verify it offline.")
@click.argument("credential", metavar="HASH")
@click.option("-o", "--out", default=_STDOUT, metavar="FILE", help="Where to write it; `-`, the default, is stdout.")
@connection_options()
def command(credential: str, out: str, settings: ConnectionSettings) -> None:
    """Get the credential that entries name by HASH, 64 hex digits: `caller.credential` or `actor.credential`.

    It holds the token's header and payload, its signature once the token has expired, and the issuer's key.
    It is verified on the way, and again, offline, by `auditlog verify FILE`.
    """
    if not _HASH.fullmatch(credential):
        raise CommandError("credential: HASH must be 64 hex digits, as an entry has them")
    if out != _STDOUT:
        require_new(Path(out))
    with connect(settings, max_attempts=MAX_ATTEMPTS) as client:
        found = client.credential(bytes.fromhex(credential))
    if found.credential.hex() != credential:
        raise CommandError("credential: the server answered with another one", status=ExitStatus.NO)
    verdict = verify_credential(found).verdict
    if out == _STDOUT:
        write_text(found.format())
    else:
        with new_file(Path(out)) as file:
            file.write(found.format().encode())
        note(f"{out}: token of {found.issuer}, {verdict}")
    if verdict is TokenVerdict.INVALID:
        raise CommandError("credential: its token does not verify", status=ExitStatus.NO)
