"""What leaves say of themselves, against where and under which key they are stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeAlias

import orjson

from auditd._native import native
from auditd.entry import event_key, parse_leaf, parse_time
from auditd.errors import AuditdError
from auditd.log._frames import FrameCodec
from auditd.log.check._findings import Findings
from auditd.merkle import HASH_SIZE, leaf_hash

_ROWS_AT_ONCE = 512
"""At most 32 MiB of frames are in memory."""
UNREADABLE = bytes(HASH_SIZE)
"""Stands for the hash of a leaf that cannot be read."""

Row: TypeAlias = tuple[int, Any, Any]
"""What is stored of an entry: its index, key and frame, bytes unless a page is damaged."""

OnEntry = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class Checked:
    """What came of some consecutive entries, some of which may be missing.

    `hashes` are those of the leaves, concatenated. `first` and `last_recorded_at` are the times of the first and the
    last leaf that is well-formed, `first` with its index. `named` are the credentials that leaves name, and with True
    the certificates, by the first index. `ended_by` says why what follows could not be read.
    """

    hashes: bytearray = field(default_factory=bytearray)
    findings: Findings = field(default_factory=Findings)
    first: tuple[int, str] | None = None
    last_recorded_at: str = ""
    named: dict[tuple[bool, bytes], int] = field(default_factory=dict)
    ended_by: AuditdError | None = None


class LeafChecks:
    """Checks the entries of one log; `on_entry`, where it is given, gets every well-formed one in order."""

    def __init__(self, origin: str, codec: FrameCodec, on_entry: OnEntry | None = None) -> None:
        self._origin = origin
        self._codec = codec
        self._on_entry = on_entry
        self._head = b'{"v":1,"log":' + orjson.dumps(origin) + b',"index":'

    def check(self, read: Callable[[int, int], Sequence[Row]], start: int, end: int) -> Checked:
        """Check the entries `[start, end)`; `read(first, last)` gives what is stored of some, lowest index first."""
        checked = Checked()
        for first in range(start, end, _ROWS_AT_ONCE):
            last = min(first + _ROWS_AT_ONCE, end)
            try:
                rows = read(first, last)
            except AuditdError as error:
                checked.ended_by = error
                break
            self._check_rows(checked, rows, first, last)
        return checked

    def _check_rows(self, checked: Checked, rows: Sequence[Row], start: int, end: int) -> None:
        if len(rows) == end - start:
            self._check_run(checked, rows)
            return
        # Between two gaps, indexes keep pace with positions.
        expected = start
        for _, run in groupby(enumerate(rows), lambda item: item[1][0] - item[0]):
            stored = [row for _, row in run]
            self._miss(checked, expected, stored[0][0])
            self._check_run(checked, stored)
            expected = stored[-1][0] + 1
        self._miss(checked, expected, end)

    def _miss(self, checked: Checked, start: int, end: int) -> None:
        for index in range(start, end):
            checked.findings.add("ENTRY_MISSING", f"entry {index}", "is not there")
            checked.hashes += UNREADABLE

    def _check_run(self, checked: Checked, rows: Sequence[Row]) -> None:
        if native is None or self._codec.native is None or self._on_entry is not None:
            for row in rows:
                checked.hashes += self._check_one(checked, row)
            return
        start = len(checked.hashes)
        hashes, declined, times, named = native.check_leaves(rows, self._head, self._codec.native)
        checked.hashes += hashes
        said: list[tuple[int, Any]] = [(position, None) for position in declined]
        said += times
        said += [(position, (certificate, name)) for position, certificate, name in named]
        for position, what in sorted(said, key=itemgetter(0)):
            index = rows[position][0]
            if what is None:
                at = start + position * HASH_SIZE
                checked.hashes[at : at + HASH_SIZE] = self._check_one(checked, rows[position])
            elif isinstance(what, str):
                self._take_time(checked, index, what)
            else:
                checked.named.setdefault(what, index)

    def _check_one(self, checked: Checked, row: Row) -> bytes:
        """Return a leaf's hash, having taken in what it says; what is wrong goes to the findings."""
        index, key, frame = row
        where = f"entry {index}"
        try:
            leaf = self._codec.decompress(frame, index)
        except AuditdError as error:
            checked.findings.add("FRAME_DAMAGED", where, error.message.removeprefix(f"{where}: "))
            return UNREADABLE
        try:
            self._check_members(checked, index, key, leaf)
        except (AuditdError, ArithmeticError, KeyError, TypeError, ValueError) as error:
            checked.findings.add("LEAF_MALFORMED", where, str(error))
        return leaf_hash(leaf)

    def _check_members(self, checked: Checked, index: int, key: bytes, leaf: bytes) -> None:
        where = f"entry {index}"
        entry = parse_leaf(leaf)
        caller, event = entry["caller"], entry["event"]
        if entry["index"] != index or entry["log"] != self._origin:
            checked.findings.add("ENTRY_MOVED", where, f"says it is entry {entry['index']} of {entry['log']}")
        self._take_time(checked, index, entry["recorded_at"])
        name = (caller.get("iss", ""), caller.get("sub", ""), event["id"], event["time"])
        if event_key(*name, parse_time(event["time"])) != key:
            checked.findings.add("KEY_DAMAGED", where, "its key is not that of its event's name")
        for party in (caller, event.get("actor", {})):
            if "credential" in party:
                # Certificates are kept in `control`, not beside the entries.
                kind = party.get("kind") == "certificate", bytes.fromhex(party["credential"])
                checked.named.setdefault(kind, index)
        if self._on_entry is not None:
            self._on_entry(entry)

    def _take_time(self, checked: Checked, index: int, recorded_at: str) -> None:
        if checked.first is None:
            checked.first = index, recorded_at
        else:
            require_order(checked.findings, index, recorded_at, checked.last_recorded_at)
        checked.last_recorded_at = recorded_at


def require_order(findings: Findings, index: int, recorded_at: str, before: str) -> None:
    """Add a finding if an entry was recorded earlier than the one before it."""
    if recorded_at < before:
        findings.add("TIME_REVERSED", f"entry {index}", f"was recorded at {recorded_at}, before the one before")
