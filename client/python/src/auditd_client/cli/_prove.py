"""`auditlog prove`: proofs that verify offline."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

import click

from auditd_client import Client, EventName, InclusionProof
from auditd_client.cli._connect import MAX_ATTEMPTS, connect
from auditd_client.cli._errors import CommandError, ExitStatus
from auditd_client.cli._other_log import other_origin_advice
from auditd_client.cli._output import note, write_text
from auditd_client.cli._progress import progress
from auditd_client.cli._settings import MAX_NUMBER, ConnectionSettings, connection_options
from auditd_client.cli._whole_file import new_file, require_new
from auditd_client.verify import (
    Bundle,
    consistency_json,
    range_bundle_head,
    verify_bundle,
    verify_consistency_file,
    verify_range_bundle,
)

_STDOUT = "-"
_MAX_NOTE_BYTES = 1 << 20
_STEP = 1_000
_VERIFIED, _NO_KEY = "verified", "not verified, for want of --key"


@click.command("prove", short_help="Get a proof that verifies offline.")
@click.argument("targets", nargs=-1, metavar="[INDEX|FIRST..LAST]")
@click.option("--event-name", nargs=4, metavar="ISSUER SUBJECT ID TIME", help="Prove the entry of this event.")
@click.option(
    "--consistency",
    is_flag=True,
    help="Prove that one tree extends another: FROM [TO] instead of INDEX, sizes or files with a checkpoint.",
)
@click.option("-o", "--out", default=_STDOUT, metavar="FILE", help="Where to write it; `-`, the default, is stdout.")
@connection_options()
def command(
    targets: Sequence[str],
    event_name: tuple[str, str, str, str] | None,
    consistency: bool,
    out: str,
    settings: ConnectionSettings,
) -> None:
    """Get a bundle: the entry at INDEX, the proof that the log holds it, and the log's signature.

    FIRST..LAST gives all entries from FIRST up to, but without, LAST, and the proof that none is missing.
    Every file verifies offline, see `auditlog verify`. With --key it is verified before it is written.

    \b
    auditlog prove 41 -o entry-41.tlog-proof
    auditlog prove 1000..2000 -o entries.range
    auditlog prove --event-name https://idp.example.com svc-billing 01936f5e-7c2a-7 2026-11-24T00:26:13.1Z
    auditlog prove --consistency monday.checkpoint -o since-monday.consistency
    """  # noqa: D301 - click wants the character
    if consistency:
        if event_name or not 1 <= len(targets) <= 2:
            raise CommandError("prove: --consistency takes FROM [TO], two trees, and nothing else")
    elif len(targets) != (0 if event_name else 1):
        raise CommandError("prove: give either one INDEX, one range FIRST..LAST, or --event-name")
    bounds = None if consistency or event_name else _bounds(targets[0])
    if out != _STDOUT:
        require_new(Path(out))
    with connect(settings, max_attempts=MAX_ATTEMPTS) as client:
        if consistency:
            said = _write_consistency(client, targets, out, settings.key)
        elif bounds is not None and bounds[1] is not None:
            said = _write_range(client, bounds[0], bounds[1], out, settings.key)
        else:
            inclusion = _inclusion(client, None if bounds is None else bounds[0], event_name)
            said = _write_bundle(inclusion, out, settings.key)
    if out != _STDOUT:
        note(f"{out}: {said}")


def _bounds(target: str) -> tuple[int, int | None]:
    """Return the index, or the ends of the range, that an argument names."""
    found = re.fullmatch(r"([0-9]{1,19})(?:\.\.([0-9]{1,19}))?", target, re.ASCII)
    if found is None or max(map(int, found.group(1, 2)[: found.lastindex])) > MAX_NUMBER:
        raise CommandError(f"prove: {target!r} is no index and no range FIRST..LAST, such as 41 or 1000..2000")
    first, last = int(found[1]), None if found[2] is None else int(found[2])
    if last is not None and first >= last:
        raise CommandError(f"prove: {target}: no entry is in this range; it goes up to, but without, LAST")
    return first, last


def _write_bundle(inclusion: InclusionProof, out: str, key: str) -> str:
    bundle = Bundle(inclusion.leaf, inclusion.index, inclusion.hashes, inclusion.checkpoint).format()
    if key:
        verify_bundle(bundle, key)
    _write(out, bundle)
    return f"entry {inclusion.index} in a tree of {inclusion.tree_size}, {_VERIFIED if key else _NO_KEY}"


def _inclusion(client: Client, index: int | None, event_name: tuple[str, str, str, str] | None) -> InclusionProof:
    if event_name is None:
        return client.prove(index)
    try:
        return client.prove(event_name=EventName(*event_name))
    except ValueError as error:
        raise CommandError(f"--event-name: TIME: {error}") from error


def _write_range(client: Client, first: int, last: int, out: str, key: str) -> str:
    proof = client.prove_range(first, last)
    with new_file(Path(out)) if out != _STDOUT else tempfile.TemporaryFile() as file:
        file.write(range_bundle_head(first, last, proof.hashes, proof.checkpoint).encode())
        _write_leaves(client, first, last, _origin_of(proof.checkpoint), file)
        if key:
            file.seek(0)
            verify_range_bundle(file, key)
        if out == _STDOUT:
            file.seek(0)
            for line in file:
                write_text(line.decode())
    return f"entries {first} up to {last} in a tree of {proof.tree_size}, {_VERIFIED if key else _NO_KEY}"


def _write_leaves(client: Client, first: int, last: int, origin: str, file: IO[bytes]) -> None:
    """Write the leaves of a range of the log of this origin; raise CommandError unless the server gives every one."""
    index = first
    with progress("prove", last - first, unit="entries") as advance:
        for entry in client.query(f"index >= {first} AND index < {last}", order="asc", origin=origin):
            if entry.index != index:
                break
            file.write(entry.leaf + b"\n")
            index += 1
            if not (index - first) % _STEP:
                advance(_STEP, _STEP)
    if index != last:
        raise CommandError(f"prove: the server left out entry {index} of the range", status=ExitStatus.NO)


def _write_consistency(client: Client, targets: Sequence[str], out: str, key: str) -> str:
    sizes: list[int | None] = [None, None]
    notes: dict[str, str] = {}
    for position, target in enumerate(targets):
        if re.fullmatch(r"[0-9]{1,19}", target, re.ASCII):
            sizes[position] = int(target)
        else:
            text, sizes[position] = _checkpoint_file(target)
            notes[("from_checkpoint", "to_checkpoint")[position]] = text
    _require_one_log(client, notes.values())
    proof = client.prove_consistency(sizes[0] or 0, sizes[1])
    notes["checkpoint"] = proof.checkpoint
    text = consistency_json(proof.from_size, proof.to_size, proof.hashes, notes)
    missing = {proof.from_size, proof.to_size} - {_stated_size(note) for note in notes.values()}
    how = _VERIFIED if key else _NO_KEY
    if key and missing:
        how = f"not verified, for want of the checkpoint of size {min(missing)}"
    elif key:
        verify_consistency_file(text, key)
    _write(out, text)
    return f"the tree of {proof.to_size} extends that of {proof.from_size}, {how}"


def _require_one_log(client: Client, notes: Iterable[str]) -> None:
    """Raise CommandError where checkpoints are given that are not of the log asked for: no proof leads from them."""
    given = {_origin_of(note) for note in notes}
    if not given:
        return
    asked = _origin_of(client.checkpoint().checkpoint)
    for origin in given - {asked}:
        advice = other_origin_advice(origin, asked)
        said = f"prove: the checkpoint given is of {origin}, the log asked for is {asked}"
        raise CommandError(f"{said}; {advice}" if advice else said)


def _origin_of(note: str) -> str:
    return note.partition("\n")[0]


def _checkpoint_file(name: str) -> tuple[str, int]:
    """Return the note in a file, and the size that it states."""
    try:
        with Path(name).open("rb") as file:
            text = file.read(_MAX_NOTE_BYTES).decode()
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror}; FROM and TO are sizes, or files with a checkpoint") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{name}: no signed checkpoint") from error
    size = _stated_size(text)
    if size is None:
        raise CommandError(f"{name}: no signed checkpoint")
    return text, size


def _stated_size(text: str) -> int | None:
    found = re.match(r"[^\n]+\n([0-9]{1,19})\n", text, re.ASCII)
    return int(found[1]) if found else None


def _write(out: str, text: str) -> None:
    if out == _STDOUT:
        write_text(text)
        return
    with new_file(Path(out)) as file:
        file.write(text.encode())
