"""Bundles: one text file that verifies an entry offline, a C2SP tlog-proof with the leaf in it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from auditd_client.verify._checkpoint import open_checkpoint
from auditd_client.verify._entry import VerifiedEntry, verify_entry
from auditd_client.verify._errors import MalformedError, quote
from auditd_client.verify._leaf import MAX_LEAF_BYTES
from auditd_client.verify._note import MAX_NOTE_BYTES, VerifierKey
from auditd_client.verify._strict import (
    check_hash,
    check_integer,
    read_base64,
    read_decimal,
    read_hash,
    read_text,
)

MAX_BUNDLE_BYTES = MAX_NOTE_BYTES + 2 * MAX_LEAF_BYTES

_HEADER = "c2sp.org/tlog-proof@v1"
_MAX_HASHES = 63
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A leaf, its index, its inclusion proof (32-byte hashes from leaf to root) and a signed checkpoint.

    Nothing in it is verified; `verify_bundle` does that.
    """

    leaf: bytes
    index: int
    proof: Sequence[bytes]
    checkpoint_note: str

    def __post_init__(self) -> None:
        check_integer(self.index, "bundle: index")
        if not 1 <= len(self.leaf) <= MAX_LEAF_BYTES:
            raise MalformedError("bundle", f"leaf is {len(self.leaf)} bytes, from 1 to {MAX_LEAF_BYTES}")
        if len(self.proof) > _MAX_HASHES:
            raise MalformedError("bundle", f"{len(self.proof)} hashes, limit {_MAX_HASHES}")
        for position, value in enumerate(self.proof):
            check_hash(value, f"bundle: hash {position}")

    def format(self) -> str:
        """Return the bundle's text, as a `.tlog-proof` file holds it."""
        head = [_HEADER, f"extra {_encode(self.leaf)}", f"index {self.index}", *map(_encode, self.proof)]
        return "\n".join(head) + "\n\n" + self.checkpoint_note

    @classmethod
    def parse(cls, text: str | bytes) -> Bundle:
        """Read a bundle's text (C2SP tlog-proof, with the leaf in the `extra` line).

        Raises MalformedError; the checkpoint is left as it is.
        """
        head, separator, note = read_text(text, "bundle", MAX_BUNDLE_BYTES).partition("\n\n")
        lines = head.split("\n")
        if lines[0] != _HEADER:
            raise MalformedError("bundle", f"expected {_HEADER!r}, found {quote(lines[0])}", 1)
        if not separator:
            raise MalformedError("bundle", "no blank line before the checkpoint")
        leaf = _read(lines, 2, "extra ", read_base64)
        index = _read(lines, 3, "index ", read_decimal)
        proof = tuple(_read(lines, number, "", read_hash) for number in range(4, len(lines) + 1))
        return cls(leaf, index, proof, note)


def verify_bundle(bundle: str | bytes, key: VerifierKey | str, origin: str | None = None) -> VerifiedEntry:
    """Verify a bundle's text: `key` signed the checkpoint of `origin`, and the leaf is in its tree.

    `origin` is by default the key's name. The leaf itself must name the same index and log.

    Raises MalformedError, WrongLogError, BadSignatureError, ProofError, MismatchError.
    """
    parsed = Bundle.parse(bundle)
    checkpoint = open_checkpoint(parsed.checkpoint_note, key, origin)
    return verify_entry(parsed.leaf, parsed.index, parsed.proof, checkpoint)


def _read(lines: Sequence[str], number: int, keyword: str, reader: Callable[[str], _T]) -> _T:
    """Return what `reader` makes of the rest of line `number`, from 1, which starts with `keyword`."""
    line = lines[number - 1] if number <= len(lines) else ""
    if not line.startswith(keyword):
        raise MalformedError("bundle", f"expected {keyword!r}, found {quote(line)}", number)
    try:
        return reader(line.removeprefix(keyword))
    except ValueError as error:
        raise MalformedError("bundle", str(error), number) from error


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()
