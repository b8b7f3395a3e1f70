"""`auditlog token`: issue tokens, revoke them, and list what is revoked."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from auditd_client.cli._certificates import certificate_sha256
from auditd_client.cli._connect import MAX_ATTEMPTS, connect
from auditd_client.cli._errors import CommandError
from auditd_client.cli._output import Writer, compact_json, output_option, time_text, write_line
from auditd_client.cli._settings import MAX_NUMBER, ConnectionSettings, connection_options
from auditd_client.cli._token_text import read_token_names

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_PLUG_INS = "auditlog.token"
_COLUMNS = ("index", "revoked_at", "issuer", "revoked", "value", "issued_before", "reason")
_REASON = click.option("--reason", default="", metavar="TEXT", help="Why, for the record.")


class _Duration(click.ParamType[int]):
    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return seconds for a text such as 90s, 15m, 1h or 2d."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"([0-9]{1,9})([smhd])", str(value), re.ASCII)
        if match is None:
            self.fail(f"{value!r} is no duration such as 90s, 15m or 1h", param, ctx)
        return int(match[1]) * _UNITS[match[2]]


@click.group("token", short_help="Issue tokens, revoke them, list what is revoked.")
def command() -> None:
    """Issue tokens of a server's own issuer, revoke tokens of any issuer, and list what is revoked.

    All but `issue DIR` call the server and need the role `admin`.
    """


@command.command("issue", short_help="Print a new token.")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--sub", "subject", required=True, metavar="S", help="Who the token is for, such as svc-billing.")
@click.option(
    "--role",
    "roles",
    required=True,
    multiple=True,
    metavar="R",
    help="writer, importer, reader, auditor, backup or admin; may be given several times.",
)
@click.option("--ttl", "ttl_s", type=_Duration(), default="15m", show_default=True, help="How long it is good for.")
@click.option(
    "--bind",
    "bound_to",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The client certificate (PEM) without which the token is refused.",
)
@connection_options()
def issue(
    folder: Path | None,
    subject: str,
    roles: Sequence[str],
    ttl_s: int,
    bound_to: Path | None,
    settings: ConnectionSettings,
) -> None:
    """Print a token, and nothing else.

    With DIR it is made from that server folder's own keys, on the server's machine; without, the server issues it
    and records that.

    Roles: writer appends; importer appends also old events; reader gets and queries; auditor also proves, and reads
    the logs `control` and `access`; backup fetches backups; admin may do all of it, issue tokens, and revoke.
    """
    certificate = certificate_sha256(bound_to) if bound_to is not None else b""
    if folder is not None:
        click.echo(_from_folder()(folder, subject, roles, ttl_s, certificate))
        return
    with connect(settings, max_attempts=MAX_ATTEMPTS) as client:
        click.echo(client.issue_token(subject, roles, ttl_s=ttl_s, certificate_sha256=certificate).token)


def _from_folder() -> Callable[[Path, str, Sequence[str], int, bytes], str]:
    # Not at the top: it takes longer to import than most commands take to run.
    from importlib.metadata import entry_points

    found = next(iter(entry_points(group=_PLUG_INS, name="issue")), None)
    if found is None:
        raise CommandError("token issue DIR: this needs the server; install the package `auditd`, or leave DIR out")
    function: Callable[[Path, str, Sequence[str], int, bytes], str] = found.load()
    return function


@command.command("revoke", short_help="Have tokens refused from now on.")
@click.option("--issuer", metavar="ISS", help="Whose tokens: exactly the claim `iss`.")
@click.option("--jti", metavar="ID", help="The one token with this claim `jti`.")
@click.option("--sub", "subject", metavar="S", help="All tokens of this subject.")
@click.option("--signing-key", metavar="THUMBPRINT", help="All tokens of this key of the issuer (RFC 7638).")
@click.option("--everything", is_flag=True, help="All tokens of the issuer.")
@click.option(
    "--jwt-file",
    metavar="FILE",
    type=click.Path(path_type=Path, allow_dash=True),
    help="The token in this file; it is not sent. Stands for --issuer and --jti.",
)
@click.option("--issued-before", metavar="TIME", help="Only tokens issued before this time (RFC 3339).")
@_REASON
@click.option("--include-caller", is_flag=True, help="Go on even if your own token is among them.")
@connection_options()
@output_option("table", "json", "jsonl")
def revoke(
    issuer: str | None,
    jti: str | None,
    subject: str | None,
    signing_key: str | None,
    everything: bool,
    jwt_file: Path | None,
    issued_before: str | None,
    reason: str,
    include_caller: bool,
    settings: ConnectionSettings,
    output: str,
) -> None:
    """Have tokens refused from now on; on open streams within a second.

    Without --issued-before also tokens that are issued later are refused, until `token restore`.
    """
    if jwt_file is not None:
        if issuer or jti:
            raise CommandError("--jwt-file stands for --issuer and --jti; give one or the other")
        issuer, jti = read_token_names(jwt_file)
    if not issuer:
        raise CommandError("--issuer: say whose tokens, or give the token by --jwt-file")
    with connect(settings, max_attempts=MAX_ATTEMPTS) as client:
        revocation = client.revoke(
            issuer,
            jti=jti,
            subject=subject,
            key=signing_key,
            everything=everything,
            issued_before=issued_before,
            reason=reason,
            include_caller=include_caller,
        )
    _write([revocation], output)


@command.command("restore", short_help="End a revocation.")
@click.argument("index", type=click.IntRange(0, MAX_NUMBER))
@_REASON
@connection_options()
def restore(index: int, reason: str, settings: ConnectionSettings) -> None:
    """End the revocation recorded at INDEX of the log `control`, as `token revocations` lists it."""
    with connect(settings, max_attempts=MAX_ATTEMPTS) as client:
        ended = client.withdraw_revocation(index, reason=reason)
    write_line(f"ended: {ended.revoked} {ended.value} of {ended.issuer}")


@command.command("revocations", short_help="List what is revoked.")
@connection_options()
@output_option("table", "json", "jsonl", "csv")
def revocations(settings: ConnectionSettings, output: str) -> None:
    """List the revocations in force, oldest first."""
    with connect(settings, max_attempts=MAX_ATTEMPTS) as client:
        _write(list(client.revocations()), output)


def _write(found: Sequence[Any], output: str) -> None:
    with Writer(output, _COLUMNS, _row, _json) as writer:
        writer.write(found)


def _row(one: Any) -> tuple[object, ...]:  # noqa: ANN401 - a Revocation, whose module brings gRPC
    before = time_text(one.issued_before) if one.issued_before else None
    return one.index, time_text(one.revoked_at), one.issuer, one.revoked, one.value, before, one.reason


def _json(one: Any) -> str:  # noqa: ANN401 - as above
    return compact_json(dict(zip(_COLUMNS, _row(one), strict=True)))
