"""What is to be said of a file that someone hands over: what it proves, or the reason why it does not."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from auditd_client.cli._credential_facts import CREDENTIAL_START, Namings, credential_facts
from auditd_client.cli._errors import CommandError, ExitStatus
from auditd_client.cli._evidence import package_facts
from auditd_client.cli._export_facts import MANIFEST_MARK, export_facts
from auditd_client.cli._other_log import other_log_advice
from auditd_client.cli._output import compact_json
from auditd_client.cli._progress import progress
from auditd_client.verify import (
    CLOSING_START,
    RANGE_BUNDLE_START,
    Checkpoint,
    Leaf,
    VerificationError,
    VerifierKey,
    WrongLogError,
    open_checkpoint,
    open_closing,
    verify_bundle,
    verify_consistency_file,
    verify_range_bundle,
)

_MAX_SMALL_BYTES = 4 * 1024 * 1024
_BUNDLE_START = b"c2sp.org/tlog-proof@"
_RANGE_START = RANGE_BUNDLE_START.encode()
_ZIP_START = b"PK"
_JSON_START = b"{"
_MARK_WITHIN = 64
_PROGRESS_STEP = 1_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one file: what was verified, or the reason why not."""

    file: str
    status: ExitStatus
    facts: Mapping[str, object]

    def record(self) -> str:
        """Return the verdict as one line of JSON."""
        return compact_json({"file": self.file, "verified": self.status is ExitStatus.YES, **self.facts})


def judge(
    files: Sequence[str],
    key: VerifierKey | None,
    origin: str | None,
    trusted_keys: Sequence[Mapping[str, Any]] | None = None,
) -> list[Verdict]:
    """Return a verdict on each file, in their order.

    `trusted_keys` are JSON Web Keys for the tokens of credentials. Raises CommandError where there is no `key`, but a
    file of a log.
    """
    judged = _Judge(key, origin, trusted_keys)
    verdicts = {file: judged.verdict(file) for file in dict.fromkeys(files)}
    # A consistency proof may need the checkpoint, and a credential the entries, of any other file.
    verdicts |= {file: judged.verdict(file) for file in judged.put_off}
    return [verdicts[file] for file in files]


@dataclass(slots=True)
class _Judge:
    given_key: VerifierKey | None
    origin: str | None
    trusted_keys: Sequence[Mapping[str, Any]] | None
    put_off: dict[str, bytes] = field(default_factory=dict)
    """Consistency proofs and credentials, read but put off until every checkpoint and entry is known."""
    checkpoints: list[Checkpoint] = field(default_factory=list)
    namings: Namings = field(default_factory=Namings)

    @property
    def key(self) -> VerifierKey:
        if self.given_key is None:
            raise CommandError("verify: give the log's verifier key with --key or AUDITLOG_KEY")
        return self.given_key

    def verdict(self, file: str) -> Verdict:
        try:
            facts = self._facts(file)
        except OSError as error:
            return Verdict(file, ExitStatus.REFUSED, {"reason": error.strerror or str(error)})
        except VerificationError as error:
            advice = other_log_advice(error, asks_server=False) if isinstance(error, WrongLogError) else ""
            return Verdict(file, ExitStatus.NO, {"reason": str(error)} | ({"advice": advice} if advice else {}))
        return Verdict(file, ExitStatus.YES, facts)

    def _facts(self, file: str) -> dict[str, object]:
        if file in self.put_off:
            data = self.put_off[file]
            if data.startswith(CREDENTIAL_START):
                return credential_facts(data, self.namings, self.trusted_keys)
            return self._consistency_facts(data)
        with _opened(file) as stream:
            start = stream.read(len(_BUNDLE_START))
            stream.seek(0)
            if start.startswith(_RANGE_START):
                return self._range_facts(stream)
            if start.startswith(_ZIP_START):
                return self._package_facts(stream)
            data = stream.read(_MAX_SMALL_BYTES)
        if start.startswith(_JSON_START) and MANIFEST_MARK in data[:_MARK_WITHIN]:
            return export_facts(file, self.given_key, self.origin)
        if start.startswith(_JSON_START):
            self.put_off[file] = data
            return {}
        if data.startswith(CLOSING_START.encode()):
            return self._closing_facts(data)
        return self._bundle_facts(data) if start == _BUNDLE_START else self._tree_facts(data)

    def _bundle_facts(self, data: bytes) -> dict[str, object]:
        entry = verify_bundle(data, self.key, self.origin)
        self.checkpoints.append(entry.checkpoint)
        self.namings.add(entry.leaf)
        return {
            "kind": "entry",
            "index": entry.index,
            "origin": entry.checkpoint.origin,
            "tree_size": entry.checkpoint.size,
            "recorded_at": entry.leaf.recorded_at,
            "time": entry.leaf.event.get("time"),
            "action": entry.leaf.event.get("action"),
        }

    def _range_facts(self, stream: BinaryIO) -> dict[str, object]:
        recorded: dict[str, object] = {}
        with progress("verify", unit="entries") as advance:
            count = 0

            def seen(leaf: Leaf) -> None:
                nonlocal count
                recorded.setdefault("recorded_from", leaf.recorded_at)
                recorded["recorded_to"] = leaf.recorded_at
                self.namings.add(leaf)
                count += 1
                if count % _PROGRESS_STEP == 0:
                    advance(0, _PROGRESS_STEP)

            found = verify_range_bundle(stream, self.key, self.origin, seen)
        self.checkpoints.append(found.checkpoint)
        facts = {"kind": "range", "first": found.first, "last": found.last, "origin": found.checkpoint.origin}
        return {**facts, "tree_size": found.checkpoint.size, **recorded}

    def _package_facts(self, stream: BinaryIO) -> dict[str, object]:
        found, facts = package_facts(stream, self.key, self.origin, self.trusted_keys)
        self.checkpoints.extend(found.checkpoints)
        return facts

    def _consistency_facts(self, data: bytes) -> dict[str, object]:
        old, new = verify_consistency_file(data, self.key, self.origin, self.checkpoints)
        facts = {"kind": "consistency", "origin": new.origin, "from_size": old.size, "to_size": new.size}
        return {**facts, "from_root": old.root.hex(), "to_root": new.root.hex()}

    def _closing_facts(self, data: bytes) -> dict[str, object]:
        closing = open_closing(data, self.key, self.origin)
        facts = {"kind": "closing", "origin": closing.origin, "size": closing.size, "root": closing.root.hex()}
        return {**facts, "successor": closing.successor, "successor_key": closing.successor_key}

    def _tree_facts(self, data: bytes) -> dict[str, object]:
        checkpoint = open_checkpoint(data, self.key, self.origin)
        self.checkpoints.append(checkpoint)
        return {
            "kind": "checkpoint",
            "origin": checkpoint.origin,
            "tree_size": checkpoint.size,
            "root": checkpoint.root.hex(),
        }


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    """Open a file for reading from any place in it; what comes through a pipe is copied first."""
    if file == "-":
        with _copied(cast("BinaryIO", sys.stdin.buffer)) as stream:
            yield stream
        return
    with Path(file).open("rb") as stream:
        if stream.seekable():
            yield stream
            return
        with _copied(stream) as copy:
            yield copy


@contextmanager
def _copied(stream: BinaryIO) -> Iterator[BinaryIO]:
    with tempfile.SpooledTemporaryFile(_MAX_SMALL_BYTES) as copy:
        shutil.copyfileobj(stream, copy)
        copy.seek(0)
        yield cast("BinaryIO", copy)
