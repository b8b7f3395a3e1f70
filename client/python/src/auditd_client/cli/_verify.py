"""`auditlog verify`: bundles and checkpoints, offline."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from auditd_client.cli._errors import CommandError, ExitStatus
from auditd_client.cli._key import read_key
from auditd_client.cli._output import Writer, compact_json, note, output_option, write_line
from auditd_client.cli._settings import ConnectionSettings, key_options
from auditd_client.verify import VerificationError, VerifierKey, open_checkpoint, verify_bundle

_MAX_FILE_BYTES = 4 * 1024 * 1024
_BUNDLE_START = b"c2sp.org/tlog-proof@"


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What became of one file: what was verified, or the reason why not."""

    file: str
    status: ExitStatus
    facts: Mapping[str, object]

    def record(self) -> str:
        """Return the verdict as one line of JSON."""
        return compact_json({"file": self.file, "verified": self.status is ExitStatus.YES, **self.facts})


@click.command("verify", short_help="Verify bundles and checkpoints, offline.")
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--origin", metavar="ORIGIN", help="The log's globally unique name; that of the key by default.")
@key_options
@click.option("--json", "as_json", is_flag=True, help="The same as --output json.")
@output_option("table", "json", "jsonl")
def command(files: Sequence[str], origin: str | None, settings: ConnectionSettings, as_json: bool, output: str) -> None:
    """Verify bundles (`.tlog-proof`) and signed checkpoints, with nothing but the log's key; `-` is stdin.

    For a bundle: the key signed the checkpoint, the checkpoint is of the log expected, and the entry in the
    bundle is in its tree. The exit status is 0 if every file verifies, 1 if one does not, 2 if one cannot be
    read.
    """
    if not settings.key:
        raise CommandError("verify: give the log's verifier key with --key or AUDITLOG_KEY")
    key = read_key(settings.key)
    verdicts = [_verdict(file, key, origin) for file in files]
    output = "json" if as_json else output
    if output != "table":
        with Writer(output, (), lambda _verdict: (), _Verdict.record) as writer:
            writer.write(verdicts)
    else:
        for verdict in verdicts:
            _write(verdict)
    # A "no" outweighs a file that could not be read.
    statuses = {verdict.status for verdict in verdicts}
    click.get_current_context().exit(
        next(s for s in (ExitStatus.NO, ExitStatus.REFUSED, ExitStatus.YES) if s in statuses)
    )


def _write(verdict: _Verdict) -> None:
    if verdict.status is ExitStatus.YES:
        facts = ", ".join(f"{name} {value}" for name, value in verdict.facts.items() if name != "kind")
        write_line(f"{verdict.file}: verified {verdict.facts['kind']}: {facts}")
    else:
        answer = "does not verify: " if verdict.status is ExitStatus.NO else ""
        note(f"auditlog: {verdict.file}: {answer}{verdict.facts['reason']}")


def _verdict(file: str, key: VerifierKey, origin: str | None) -> _Verdict:
    try:
        data = _read(file)
    except OSError as error:
        return _Verdict(file, ExitStatus.REFUSED, {"reason": error.strerror or str(error)})
    try:
        facts = _bundle_facts(data, key, origin) if data.startswith(_BUNDLE_START) else _tree_facts(data, key, origin)
    except VerificationError as error:
        return _Verdict(file, ExitStatus.NO, {"reason": str(error)})
    return _Verdict(file, ExitStatus.YES, facts)


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read(_MAX_FILE_BYTES)
    with Path(file).open("rb") as stream:
        return stream.read(_MAX_FILE_BYTES)


def _bundle_facts(data: bytes, key: VerifierKey, origin: str | None) -> dict[str, object]:
    entry = verify_bundle(data, key, origin)
    return {
        "kind": "entry",
        "index": entry.index,
        "origin": entry.checkpoint.origin,
        "tree_size": entry.checkpoint.size,
        "recorded_at": entry.leaf.recorded_at,
        "time": entry.leaf.event.get("time"),
        "action": entry.leaf.event.get("action"),
    }


def _tree_facts(data: bytes, key: VerifierKey, origin: str | None) -> dict[str, object]:
    checkpoint = open_checkpoint(data, key, origin)
    return {
        "kind": "checkpoint",
        "origin": checkpoint.origin,
        "tree_size": checkpoint.size,
        "root": checkpoint.root.hex(),
    }
