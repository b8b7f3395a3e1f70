"""Entries made by the server's own functions, for the limits and stages that run without a server."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from auditd.entry import SALT_BYTES, KeyMaker, LeafTemplate, encode_caller, encode_events, recorded_at_text
from auditd_proto.v1 import audit_log_service_pb2 as pb
from benchmarks._events import Kind
from benchmarks._frames import EventMaker

ORIGIN = "audit.example.com/main"
ISSUER = "https://audit.example.com/local"
SUBJECT = "svc-bench"
CALLER = encode_caller("token", ISSUER, SUBJECT, "01a20b9a-daf4-7965-88be-ab134da98f1d", bytes(range(32)))


@dataclass(frozen=True, slots=True)
class Entries:
    """Keys and leaves of consecutive entries, from index 0."""

    keys: list[bytes]
    leaves: list[bytes]

    @property
    def leaf_bytes(self) -> float:
        """Mean length of a leaf."""
        return sum(map(len, self.leaves)) / len(self.leaves)


def make_entries(kind: Kind, number: int) -> Entries:
    """Return `number` entries of events of that kind, as a server would have recorded them just now."""
    keys_of = KeyMaker(ISSUER, SUBJECT)
    template = LeafTemplate(ORIGIN)
    recorded_at = recorded_at_text(time.time_ns() // 1_000)
    keys: list[bytes] = []
    leaves: list[bytes] = []
    for request in EventMaker(kind.templates, time.time_ns()).requests(1_000, -(-number // 1_000)):
        for event in encode_events(pb.AppendRequest.FromString(request).events):
            keys.append(keys_of(event.id, event.time, event.time_ns))
            salt = os.urandom(SALT_BYTES)
            leaves.append(template.leaf(len(leaves), recorded_at, salt, CALLER, event.json))
    return Entries(keys[:number], leaves[:number])
