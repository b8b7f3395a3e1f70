"""`auditlog verify`: bundles, proofs and checkpoints, offline."""

from __future__ import annotations

from collections.abc import Sequence

import click

from auditd_client.cli._credential_facts import read_jwks
from auditd_client.cli._errors import ExitStatus
from auditd_client.cli._key import read_key
from auditd_client.cli._output import Writer, note, output_option, write_line
from auditd_client.cli._settings import ConnectionSettings, key_options
from auditd_client.cli._verdict import Verdict, judge


@click.command("verify", short_help="Verify bundles, proofs and checkpoints, offline.")
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option(
    "--jwks",
    metavar="FILE",
    help="The issuer's JSON Web Key Set: tokens are verified by these keys alone, not by those in the credentials.",
)
@click.option("--origin", metavar="ORIGIN", help="The log's globally unique name; that of the key by default.")
@key_options
@click.option("--json", "as_json", is_flag=True, help="The same as --output json.")
@output_option("table", "json", "jsonl")
def command(
    files: Sequence[str],
    jwks: str | None,
    origin: str | None,
    settings: ConnectionSettings,
    as_json: bool,
    output: str,
) -> None:
    """Verify what `auditlog prove` and `auditlog checkpoint` write, with nothing but the log's key; `-` is stdin.

    For a bundle: the key signed the checkpoint, the checkpoint is of the log expected, and the entry in the
    bundle is in its tree; of a range, all its entries. For a consistency proof: one signed tree extends the
    other; name the files of their checkpoints too where it does not hold them. For what `auditlog credential` wrote,
    which needs no key of a log: the issuer's key signed the token, and if bundles are given too, one of their entries
    names it. For the manifest of an export: every part is as it was written; a key adds the signed checkpoint. The
    exit status is 0 if every file verifies, 1 if one does not, 2 if one cannot be read.
    """
    key = read_key(settings.key) if settings.key else None
    verdicts = judge(files, key, origin, read_jwks(jwks) if jwks else None)
    output = "json" if as_json else output
    if output != "table":
        with Writer(output, (), lambda _verdict: (), Verdict.record) as writer:
            writer.write(verdicts)
    else:
        for verdict in verdicts:
            _write(verdict)
    # A "no" outweighs a file that could not be read.
    statuses = {verdict.status for verdict in verdicts}
    click.get_current_context().exit(
        next(s for s in (ExitStatus.NO, ExitStatus.REFUSED, ExitStatus.YES) if s in statuses)
    )


def _write(verdict: Verdict) -> None:
    if verdict.status is ExitStatus.YES:
        facts = ", ".join(f"{name} {value}" for name, value in verdict.facts.items() if name != "kind" and value != "")
        write_line(f"{verdict.file}: verified {verdict.facts['kind']}: {facts}")
    else:
        answer = "does not verify: " if verdict.status is ExitStatus.NO else ""
        advice = f"; {verdict.facts['advice']}" if "advice" in verdict.facts else ""
        note(f"auditlog: {verdict.file}: {answer}{verdict.facts['reason']}{advice}")
