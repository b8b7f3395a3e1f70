"""What a leaf says of itself, against where and under which key it is stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from auditd.entry import event_key, parse_leaf, parse_time
from auditd.errors import AuditdError
from auditd.log._frames import FrameCodec
from auditd.log.check._findings import Findings
from auditd.merkle import leaf_hash

_MAX_CREDENTIALS = 100_000

OnEntry = Callable[[dict[str, Any]], None]


class LeafChecks:
    """Checks leaves in the order of their indexes; keeps the credentials and certificates they name, by first index."""

    def __init__(self, origin: str, codec: FrameCodec, findings: Findings, on_entry: OnEntry) -> None:
        self._origin = origin
        self._codec = codec
        self._findings = findings
        self._on_entry = on_entry
        self._recorded_at = ""
        self.named_credentials: dict[bytes, int] = {}
        self.named_certificates: dict[bytes, int] = {}

    def check(self, index: int, key: bytes, frame: bytes) -> bytes:
        """Return the leaf's hash; `b""` where the frame holds no leaf. What is wrong goes to the findings."""
        where = f"entry {index}"
        try:
            leaf = self._codec.decompress(frame, index)
        except AuditdError as error:
            self._findings.add("FRAME_DAMAGED", where, error.message)
            return b""
        try:
            self._check_members(where, index, key, leaf)
        except (AuditdError, KeyError, TypeError, ValueError) as error:
            self._findings.add("LEAF_MALFORMED", where, str(error))
        return leaf_hash(leaf)

    def _check_members(self, where: str, index: int, key: bytes, leaf: bytes) -> None:
        entry = parse_leaf(leaf)
        caller, event = entry["caller"], entry["event"]
        if entry["index"] != index or entry["log"] != self._origin:
            self._findings.add("ENTRY_MOVED", where, f"says it is entry {entry['index']} of {entry['log']}")
        if entry["recorded_at"] < self._recorded_at:
            self._findings.add("TIME_REVERSED", where, f"was recorded at {entry['recorded_at']}, before the one before")
        self._recorded_at = entry["recorded_at"]
        name = (caller.get("iss", ""), caller.get("sub", ""), event["id"], event["time"])
        if event_key(*name, parse_time(event["time"])) != key:
            self._findings.add("KEY_DAMAGED", where, "its key is not that of its event's name")
        for party in (caller, event.get("actor", {})):
            if "credential" not in party:
                continue
            # Certificates are kept in `control`, not beside the entries.
            named = self.named_certificates if party.get("kind") == "certificate" else self.named_credentials
            if len(named) < _MAX_CREDENTIALS:
                named.setdefault(bytes.fromhex(party["credential"]), index)
        self._on_entry(entry)
