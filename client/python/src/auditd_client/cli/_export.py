"""`auditlog export`: entries that a filter selects, into files for others."""

from __future__ import annotations

from collections.abc import Sequence

import click

from auditd_client.cli._errors import CommandError
from auditd_client.cli._evidence import evidence_options, export_evidence
from auditd_client.cli._settings import ConnectionSettings, connection_options


@click.command("export", short_help="Hand entries over: an evidence package that verifies offline.")
@click.argument("filter_text", default="", metavar="[FILTER]")
@evidence_options
@connection_options(60.0)
def command(
    filter_text: str,
    evidence: str | None,
    list_omitted: bool,
    extends: Sequence[str],
    settings: ConnectionSettings,
) -> None:
    """Write the entries that FILTER selects, without it all, with the proof that they are genuine.

    The package is one zip: entries, proof, signed checkpoints, the callers' tokens, a report to read and print, and a
    small verifier that needs nothing but Python. With --key it is verified before it gets its name.

    \b
    auditlog export 'actor.id = "alice"' --evidence alice.zip
    auditlog export 'index >= 1000 AND index < 2000' --evidence range.zip --extends monday.checkpoint
    """  # noqa: D301 - click wants the character
    if evidence is None:
        raise CommandError("export: give --evidence FILE.zip")
    export_evidence(settings, filter_text, evidence, list_omitted=list_omitted, extends=extends)
