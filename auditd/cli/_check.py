"""`auditlog check`: re-verify a server folder."""

from __future__ import annotations

import click


@click.command("check")
def check() -> None:
    """Check."""
