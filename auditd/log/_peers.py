"""What a log's stored checkpoints say of the folder's other logs, so that no log can be put back alone."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Protocol

from auditd.errors import AuditdError, DamagedError, FolderError
from auditd.log._closing import how_to_succeed
from auditd.log._keys import LogSigner, verify_ed25519
from auditd.log._submission import TreeHead
from auditd.note import VerifierKey, open_note, sign_note

# A checkpoint has its size on the second line; here stands an origin, so that neither passes for the other.
_TITLE = "auditd.v1/peers"


class Peer(Protocol):
    """Another log of the folder."""

    origin: str
    successor: str | None

    @property
    def size(self) -> int:
        """Its number of entries."""

    @property
    def accounted_size(self) -> int:
        """Its number of entries with those that are known to be lost."""

    def root_at(self, size: int) -> bytes:
        """The root of its first `size` entries."""


def sign_peers(signer: LogSigner, heads: Iterable[tuple[str, TreeHead]]) -> str:
    """Return a signed note with a line `<origin> <size> <base64 root>` for each of `heads` (origin, head)."""
    lines = [f"{origin} {head.size} {base64.b64encode(head.root).decode()}" for origin, head in heads]
    return sign_note("\n".join([_TITLE, *lines]) + "\n", [signer])


def open_peers(note: str, key: VerifierKey) -> list[tuple[str, int, bytes]]:
    """Return (origin, size, root) of each log that a note of `sign_peers` names; raise DamagedError."""
    try:
        title, *lines = open_note(note, [key], verify_ed25519).text.split("\n")[:-1]
        if title == _TITLE:
            named = [line.split(" ") for line in lines]
            return [(origin, int(size), base64.b64decode(root)) for origin, size, root in named]
    except (AuditdError, ValueError) as error:
        raise _damaged(key) from error
    raise _damaged(key)


def _damaged(key: VerifierKey) -> DamagedError:
    return DamagedError("PEERS_DAMAGED", f"log {key.name}: what it says of other logs is damaged")


def require_peers(by: str, said: Iterable[tuple[str, int, bytes]], peers: Mapping[str, Peer]) -> None:
    """Hold every log of the folder, by origin, against what the log `by` says of them in a note of `sign_peers`.

    Raises FolderError for a log that is missing or ends before the size named, DamagedError if its root differs.
    """
    for origin, size, root in said:
        peer = peers.get(origin)
        if peer is not None and peer.size < size <= peer.accounted_size:
            continue
        if peer is None or peer.size < size:
            has = "is missing" if peer is None else f"has {peer.size} entries"
            goes_on = peer is not None and peer.successor is None
            raise FolderError(
                "LOG_PUT_BACK",
                f"log {origin} {has}, but log {by} has recorded that it had {size}: it was put back alone."
                " Put the newest copy of its folder back"
                + (f". {how_to_succeed(origin.rpartition('/')[2])}" if goes_on else ""),
                {"origin": origin, "signed_size": str(size)},
            )
        actual = peer.root_at(size)
        if actual != root:
            raise DamagedError(
                "LOG_REWRITTEN",
                f"log {origin}: its first {size} entries are not those that log {by} has recorded",
                {"origin": origin, "size": str(size), "expected": root.hex(), "actual": actual.hex()},
            )
