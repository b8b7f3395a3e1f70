"""The end of a log, signed with its own key: how far it goes, and with which key its successor goes on."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from auditd.errors import AuditdError, DamagedError
from auditd.log._keys import LogSigner, verify_ed25519
from auditd.log._submission import TreeHead
from auditd.note import VerifierKey, open_note, sign_note

# A checkpoint has its size on the second line; here stands an origin, so that neither passes for the other.
_TITLE = "auditd.v1/closing"


@dataclass(frozen=True, slots=True)
class Closing:
    """What a closed log says of itself: its origin, its last size and root, and its successor's verifier key."""

    origin: str
    size: int
    root: bytes
    successor_key: str


def how_to_succeed(name: str) -> str:
    """Say how a log goes on whose newest entries will not be found again."""
    return f"Where they are lost for good: auditlog log succeed DIR {name} --reason TEXT"


def sign_closing(signer: LogSigner, head: TreeHead, successor_key: str) -> str:
    """Return a note signed with a log's key: title, `<origin> <size> <base64 root>`, its successor's verifier key."""
    root = base64.b64encode(head.root).decode()
    return sign_note(f"{_TITLE}\n{signer.name} {head.size} {root}\n{successor_key}\n", [signer])


def open_closing(note: str, key: VerifierKey) -> Closing:
    """Return what a note of `sign_closing` says, once `key` is found to have signed it; raise DamagedError."""
    try:
        title, last, successor_key = open_note(note, [key], verify_ed25519).text.split("\n")[:-1]
        origin, size, root = last.split(" ")
        if title == _TITLE and origin == key.name:
            return Closing(origin, int(size), base64.b64decode(root), str(VerifierKey.parse(successor_key)))
    except (AuditdError, ValueError) as error:
        raise _damaged(key) from error
    raise _damaged(key)


def _damaged(key: VerifierKey) -> DamagedError:
    return DamagedError("CHAIN_BROKEN", f"log {key.name}: no note signed by its key says that it was closed")
