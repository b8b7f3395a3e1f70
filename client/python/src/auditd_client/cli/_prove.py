"""`auditlog prove`: proofs that verify offline."""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import click

from auditd_client import Client, ConsistencyProof, EventName, InclusionProof
from auditd_client.cli._connect import MAX_ATTEMPTS, connect
from auditd_client.cli._errors import CommandError
from auditd_client.cli._output import compact_json, note, write_text
from auditd_client.cli._settings import MAX_NUMBER, ConnectionSettings, connection_options
from auditd_client.verify import Bundle, verify_bundle

_STDOUT = "-"


@click.command("prove", short_help="Get a proof that verifies offline.")
@click.argument("numbers", nargs=-1, type=click.IntRange(0, MAX_NUMBER), metavar="[INDEX]")
@click.option("--event-name", nargs=4, metavar="ISSUER SUBJECT ID TIME", help="Prove the entry of this event.")
@click.option("--consistency", is_flag=True, help="Prove that one tree extends another: FROM [TO] instead of INDEX.")
@click.option("-o", "--out", default=_STDOUT, metavar="FILE", help="Where to write it; `-`, the default, is stdout.")
@connection_options()
def command(
    numbers: Sequence[int],
    event_name: tuple[str, str, str, str] | None,
    consistency: bool,
    out: str,
    settings: ConnectionSettings,
) -> None:
    """Get a bundle: the entry at INDEX, the proof that the log holds it, and the log's signature.

    It verifies offline, see `auditlog verify`. With --key it is verified before it is written.

    \b
    auditlog prove 41 -o entry-41.tlog-proof
    auditlog prove --event-name https://idp.example.com svc-billing 01936f5e-7c2a-7 2026-11-24T00:26:13.1Z
    auditlog prove --consistency 1000 2000
    """  # noqa: D301 - click wants the character
    if consistency:
        if event_name or not 1 <= len(numbers) <= 2:
            raise CommandError("prove: --consistency takes FROM [TO], two sizes of the tree, and nothing else")
    elif len(numbers) != (0 if event_name else 1):
        raise CommandError("prove: give either one INDEX, or --event-name")
    with connect(settings, max_attempts=MAX_ATTEMPTS) as client:
        if consistency:
            proof = client.prove_consistency(numbers[0], numbers[1] if len(numbers) == 2 else None)
            _write(out, _consistency_json(proof))
            return
        inclusion = _inclusion(client, numbers, event_name)
    bundle = Bundle(inclusion.leaf, inclusion.index, inclusion.hashes, inclusion.checkpoint).format()
    if settings.key:
        verify_bundle(bundle, settings.key)
    _write(out, bundle)
    if out != _STDOUT:
        how = "verified" if settings.key else "not verified, for want of --key"
        note(f"{out}: entry {inclusion.index} in a tree of {inclusion.tree_size}, {how}")


def _inclusion(client: Client, numbers: Sequence[int], event_name: tuple[str, str, str, str] | None) -> InclusionProof:
    if event_name is None:
        return client.prove(numbers[0])
    try:
        return client.prove(event_name=EventName(*event_name))
    except ValueError as error:
        raise CommandError(f"--event-name: TIME: {error}") from error


def _consistency_json(proof: ConsistencyProof) -> str:
    hashes = [base64.b64encode(value).decode() for value in proof.hashes]
    fields = {"from_size": proof.from_size, "to_size": proof.to_size, "hashes": hashes}
    return compact_json({**fields, "checkpoint": proof.checkpoint}) + "\n"


def _write(out: str, text: str) -> None:
    """Write to a file whole or not at all, so that nobody takes half a proof for a bad one."""
    if out == _STDOUT:
        write_text(text)
        return
    path = Path(out)
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise CommandError(f"{out}: {error.strerror}") from error
