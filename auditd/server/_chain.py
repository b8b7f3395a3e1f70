"""Chains: what the name of a log points to, and how the first entry of a successor ties it to the log before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from auditd.entry import parse_leaf
from auditd.errors import AuditdError, DamagedError
from auditd.log import Closing, Log, Told, TreeHead, open_closing, verify_ed25519
from auditd.note import Checkpoint, VerifierKey, open_note

SUCCEED, CLOSE = "log.succeed", "log.close"
"""The first entry of a successor; what `control` records of the log that it succeeds."""
_NUMBERED = re.compile(r"([^~]+)~([1-9][0-9]{0,8})")


def place_of(name: str) -> tuple[str, int]:
    """Return the chain that a log belongs to, and its place there from 1: `main` is (main, 1), `main~2` (main, 2)."""
    numbered = _NUMBERED.fullmatch(name)
    return (numbered[1], int(numbered[2])) if numbered else (name, 1)


def chain_of(name: str) -> str:
    """Return the name of the chain that a log belongs to."""
    return place_of(name)[0]


def own_name(chain: str, number: int) -> str:
    """Return the name that a log was made with: that of its folder, its key and the end of its origin."""
    return chain if number == 1 else f"{chain}~{number}"


def chains_of(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the names that logs were made with by chain, the oldest log first."""
    chains: dict[str, list[str]] = {}
    for name in sorted(names, key=place_of):
        chains.setdefault(chain_of(name), []).append(name)
    return chains


@dataclass(slots=True)
class Chain:
    """The logs that a name points to, oldest first: the last one goes on, the others are closed."""

    name: str
    logs: list[Log]
    links: list[Link] = field(default_factory=list)
    """How each log but the first goes on from the one before."""

    @property
    def newest(self) -> Log:
        """The log that goes on."""
        return self.logs[-1]

    def numbered(self, number: int) -> Log | None:
        """Return the log at a place from 1, if there is one."""
        return self.logs[number - 1] if 1 <= number <= len(self.logs) else None


@dataclass(frozen=True, slots=True)
class Extent:
    """What a read is of, asked for by this name: one log, or all of a chain, oldest first.

    Entries are counted through it, so that what was said of a chain holds when it grows.
    """

    name: str
    logs: tuple[Log, ...]

    @property
    def origin(self) -> str:
        """The origin of the first log."""
        return self.logs[0].origin

    @property
    def size(self) -> int:
        """The number of entries of all logs."""
        return sum(log.size for log in self.logs)

    def place(self, index: int) -> tuple[Log, int]:
        """Return the log that holds an entry, and its index there."""
        for log in self.logs[:-1]:
            if index < log.size:
                return log, index
            index -= log.size
        return self.logs[-1], index


def told_apart(log: Log) -> dict[str, str]:
    """Return what the entry of a read says of a log that is one of several in its chain, whose name will pass on."""
    return {"origin": log.origin} if log.predecessors.logs or log.successor else {}


@dataclass(frozen=True, slots=True)
class Link:
    """What the first entry of a successor says of the log before: its last good tree, and the entries that are lost.

    `lost` are the indexes [first, last) that were signed for and are not there; None where nothing is missing. `found`
    is (size, root) of the tree with the entries behind the last good one that are there, and that nothing proves.
    `closing` is what the log before says itself, by its own key, and `note` the note in which it does; `reason` is why
    it was closed, `checkpoint` the note of its last good tree.
    """

    predecessor: str
    size: int
    root: bytes
    lost: tuple[int, int] | None
    found: tuple[int, bytes] | None
    closing: Closing
    note: str
    reason: str
    checkpoint: str

    @classmethod
    def of(cls, leaf: bytes, predecessor: VerifierKey, successor: VerifierKey) -> Link:
        """Read the first leaf of a successor; raise DamagedError where it ties these two keys together in no way."""
        event = parse_leaf(leaf)["event"]
        try:
            if event["action"] != SUCCEED:
                raise ValueError(f"its first entry is {event['action']}")
            attributes = event["attributes"]
            note = open_note(attributes["predecessor"]["checkpoint"], [predecessor], verify_ed25519)
            checkpoint, closing = Checkpoint.parse(note.text), open_closing(attributes["closing"], predecessor)
            lost, found = attributes.get("lost"), attributes.get("found")
            link = cls(
                attributes["predecessor"]["origin"],
                checkpoint.size,
                checkpoint.root,
                (int(lost["first"]), int(lost["last"])) if lost else None,
                (int(found["size"]), bytes.fromhex(found["root"])) if found else None,
                closing,
                attributes["closing"],
                event.get("reason", ""),
                attributes["predecessor"]["checkpoint"],
            )
            link._require_agreement(checkpoint.origin, predecessor, successor)
        except (AuditdError, KeyError, TypeError, ValueError) as error:
            raise broken(successor.name, f"it does not say how it goes on from {predecessor.name}: {error}") from error
        return link

    def _require_agreement(self, checkpoint_origin: str, predecessor: VerifierKey, successor: VerifierKey) -> None:
        if (self.predecessor, checkpoint_origin) != (predecessor.name, predecessor.name):
            raise ValueError(f"it names {self.predecessor}")
        if (self.closing.size, self.closing.root) != (self.size, self.root):
            raise ValueError(f"its checkpoint is of {self.size} entries, {predecessor.name} ended at others")
        if self.closing.successor_key != str(successor):
            raise ValueError(f"{predecessor.name} named another successor: {self.closing.successor_key}")
        if self.lost and not self.size == self.lost[0] < self.lost[1]:
            raise ValueError(f"the entries {self.lost[0]} to {self.lost[1]} cannot be those lost after {self.size}")
        if self.found and not (self.lost and self.size < self.found[0] < self.lost[1]):
            raise ValueError(f"{self.found[0]} entries cannot be those found, where {self.size} were good")

    def difference(self, size: int, root: bytes | None) -> str:
        """Say what is wrong with the log before: it has `size` entries, and `root` over the first `self.size`.

        Where entries were lost, the lost ones may have been found again, or be there with nothing signed to prove them.
        """
        most = self.lost[1] if self.lost else self.size
        if not self.size <= size <= most:
            return f"it was closed after {self.size} entries and has {size}"
        if root != self.root:
            return f"its first {self.size} entries are not those that it was closed with"
        return ""


def succession(
    predecessor: str, head: TreeHead, closing: str, lost_last: int, against: Sequence[Checkpoint], told: Sequence[Told]
) -> dict[str, Any]:
    """Return the attributes of a successor's first entry; see docs/formats.md.

    Entries [head.size, lost_last) are missing: those that were signed for, by a note at hand or one of `against`, or
    that other logs `told` of.
    """
    size = head.size
    attributes: dict[str, Any] = {
        "predecessor": {"origin": predecessor, "size": size, "checkpoint": head.note},
        "closing": closing,
    }
    if lost_last > size:
        attributes["lost"] = {"first": size, "last": lost_last}
    if against:
        attributes["against"] = [{"size": claim.size, "root": claim.root.hex()} for claim in against]
    if more := [known for known in told if known.size > size]:
        attributes["told"] = [{"by": known.by, "size": known.size, "root": known.root.hex()} for known in more]
    return attributes


def closure(link: Link, successor: VerifierKey) -> dict[str, Any]:
    """Return the attributes of what `control` records of a log that was closed."""
    attributes: dict[str, Any] = {
        "origin": link.predecessor,
        "size": link.size,
        "root": link.root.hex(),
        "successor": {"origin": successor.name, "verifier_key": str(successor)},
    }
    if link.lost:
        attributes["lost"] = {"first": link.lost[0], "last": link.lost[1]}
    return attributes


def closed_by(event: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return (origin, origin of its successor) if an event of `control` says that a log was closed."""
    if event["action"] != CLOSE:
        return None
    attributes = event["attributes"]
    return attributes["origin"], attributes["successor"]["origin"]


def broken(successor: str, why: str) -> DamagedError:
    """Return the error for a chain whose log of this origin does not go on from the one before it."""
    return DamagedError("CHAIN_BROKEN", f"log {successor}: {why}; run 'auditlog check'", {"origin": successor})
