"""`auditlog token`: tokens from the folder's own issuer."""

from __future__ import annotations

import re
import time
from pathlib import Path

import click

from auditd.cli._errors import folder_errors

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


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


@click.group("token")
def token() -> None:
    """Issue tokens from a server folder's own keys.

    For trying out, and for small installations; a real identity provider is configured in auditd.toml.
    """


@token.command("issue")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--sub", "subject", required=True, metavar="S", help="Who the token is for, such as svc-billing.")
@click.option(
    "--role",
    "roles",
    required=True,
    multiple=True,
    metavar="R",
    help="writer, importer, reader, auditor or admin; may be given several times.",
)
@click.option("--ttl", "ttl_s", type=_Duration(), default="15m", show_default=True, help="How long it is good for.")
def issue(folder: Path, subject: str, roles: tuple[str, ...], ttl_s: int) -> None:
    """Print a token, and nothing else.

    Roles: writer appends; importer appends also old events; reader gets and queries; auditor also proves, and reads
    the logs `control` and `access`; admin may do all of it.
    """
    from auditd.server import load_config, local_issuer

    with folder_errors():
        config = load_config(folder)
        click.echo(local_issuer(config).issue(subject, roles, ttl_s, config.audience, time.time()))
