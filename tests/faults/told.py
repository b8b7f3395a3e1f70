"""What callers were told, to be held against the evidence that a fault has left."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from auditd.log import Log, LogSettings, LogSigner, verify_ed25519
from auditd.log.check import check_log
from auditd.merkle import leaf_hash
from auditd.note import Checkpoint, open_note

Receipt = tuple[int, str]
"""An entry's index, and its leaf hash in hex."""


@dataclass
class Told:
    """Receipts by the id of the event, and every signed note that ever left the process."""

    receipts: dict[str, Receipt] = field(default_factory=dict)
    notes: set[str] = field(default_factory=set)
    announced: set[str] = field(default_factory=set)
    """SHA-256 of dictionaries, in hex."""

    def receipt(self, event_id: str, receipt: Receipt) -> None:
        """Take a receipt; the same event has the same one for ever (promise 5)."""
        assert self.receipts.setdefault(event_id, receipt) == receipt, f"{event_id} has another receipt than before"

    def hold(self, folder: Path, signer: LogSigner) -> list[str]:
        """Hold all of it against a log that nobody serves, as it lies there; return the ids of its events.

        The log passes `check`, extends every checkpoint, opens, and holds every event acknowledged, and none twice.
        """
        key = signer.verifier_key
        claims = [Checkpoint.parse(open_note(note, [key], verify_ed25519).text) for note in self.notes]
        report = check_log(folder.name, folder, key, against=claims)
        assert report.findings == []
        log = Log(folder.name, folder, signer, LogSettings(clock=time.time_ns))
        try:
            leaves = log.leaves(0, log.size)
        finally:
            log.close()
        ids = [json.loads(leaf)["event"]["id"] for leaf in leaves]
        assert [event_id for event_id, count in Counter(ids).items() if count > 1] == []
        for event_id, (index, expected) in self.receipts.items():
            assert index < len(leaves), f"{event_id} was acknowledged as entry {index}, which is missing"
            assert (ids[index], leaf_hash(leaves[index]).hex()) == (event_id, expected)
        return ids


def told(lines: Iterable[str]) -> Told:
    """Return what a driven process reported; a line that it was killed in is none."""
    heard = Told()
    for line in lines:
        if line.endswith("\n"):
            said = json.loads(line)
            for event_id, index, digest in said.get("receipts", ()):
                heard.receipt(event_id, (index, digest))
            heard.notes.update(said.get("notes", ()))
            heard.announced.update(said.get("announced", ()))
    return heard
