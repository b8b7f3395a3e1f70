"""Range bundles: one text file that verifies offline that these are all entries of a range."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from auditd_client.verify._checkpoint import Checkpoint, open_checkpoint
from auditd_client.verify._entries import verify_range
from auditd_client.verify._errors import MalformedError, MismatchError, quote
from auditd_client.verify._leaf import MAX_LEAF_BYTES, Leaf
from auditd_client.verify._merkle import leaf_hash
from auditd_client.verify._note import MAX_NOTE_BYTES, VerifierKey
from auditd_client.verify._strict import read_decimal, read_hash

RANGE_BUNDLE_START = "auditd.v1/range"
"""First line of a range bundle."""

_MAX_HASHES = 126
_MAX_LINE_BYTES = 10_000


@dataclass(frozen=True, slots=True)
class VerifiedRange:
    """All entries from `first` up to, but without, `last`: found in the tree of `checkpoint`, none left out."""

    first: int
    last: int
    checkpoint: Checkpoint


def range_bundle_head(first: int, last: int, proof: Sequence[bytes], checkpoint_note: str) -> str:
    """Return the text of a range bundle up to the leaves, which follow by index, each with a line feed."""
    hashes = (base64.b64encode(value).decode() for value in proof)
    lines = (RANGE_BUNDLE_START, f"entries {first} {last}", *hashes)
    return "\n".join(lines) + f"\n\n{checkpoint_note}\n"


def verify_range_bundle(
    stream: BinaryIO,
    key: VerifierKey | str,
    origin: str | None = None,
    seen: Callable[[Leaf], None] = lambda _leaf: None,
) -> VerifiedRange:
    """Verify a range bundle: `key` signed the checkpoint of `origin`, and the leaves are all entries of the range.

    `origin` is by default the key's name. Each leaf must name its index and log itself. It is read once and not kept;
    `seen` is called with each leaf as it is read, and what it is told holds only once this returns.

    Raises MalformedError, WrongLogError, BadSignatureError, ProofError, MismatchError.
    """
    reader = _Reader(stream)
    first, last, proof = _read_head(reader)
    checkpoint = open_checkpoint(_read_note(reader), key, origin)
    verify_range(first, last, checkpoint.size, _hashes(reader, first, checkpoint, seen), proof, checkpoint.root)
    return VerifiedRange(first, last, checkpoint)


class _Reader:
    """Lines of a stream, none longer than it may be."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.number = 0

    def line(self, max_bytes: int = _MAX_LINE_BYTES) -> bytes | None:
        """Return the next line without its line feed, None at the end."""
        data = self._stream.readline(max_bytes + 1)
        if not data:
            return None
        self.number += 1
        if not data.endswith(b"\n"):
            rule = f"longer than {max_bytes} bytes" if len(data) > max_bytes else "no line feed at the end"
            raise self.malformed(rule)
        return data[:-1]

    def text(self) -> str:
        """Return the next line as text."""
        data = self.line()
        if data is None:
            raise MalformedError("range bundle", "ends too early")
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise self.malformed("not UTF-8") from error

    def malformed(self, rule: str) -> MalformedError:
        """Return an error that names the line read last."""
        return MalformedError("range bundle", rule, self.number)


def _read_head(reader: _Reader) -> tuple[int, int, list[bytes]]:
    if (start := reader.text()) != RANGE_BUNDLE_START:
        raise reader.malformed(f"expected {RANGE_BUNDLE_START!r}, found {quote(start)}")
    words = reader.text().split(" ")
    if len(words) != 3 or words[0] != "entries":
        raise reader.malformed("expected 'entries FIRST LAST'")
    proof: list[bytes] = []
    try:
        first, last = read_decimal(words[1]), read_decimal(words[2])
        while line := reader.text():
            if len(proof) == _MAX_HASHES:
                raise reader.malformed(f"more than {_MAX_HASHES} hashes")
            proof.append(read_hash(line))
    except ValueError as error:
        raise reader.malformed(str(error)) from error
    if first >= last:
        raise reader.malformed(f"entries {first} up to {last} are none")
    return first, last, proof


def _read_note(reader: _Reader) -> str:
    """Return the signed note: its text, which has no blank line, a blank line, signatures up to the next one."""
    note = ""
    for _part in range(2):
        if note:
            note += "\n"
        while line := reader.text():
            note += line + "\n"
            if len(note) > MAX_NOTE_BYTES:
                raise reader.malformed(f"the checkpoint is longer than {MAX_NOTE_BYTES} bytes")
    return note


def _hashes(reader: _Reader, first: int, checkpoint: Checkpoint, seen: Callable[[Leaf], None]) -> Iterator[bytes]:
    index = first
    while (data := reader.line(MAX_LEAF_BYTES)) is not None:
        leaf = Leaf.parse(data)
        if (leaf.log, leaf.index) != (checkpoint.origin, index):
            expected, found = f"entry {index} of {checkpoint.origin}", f"entry {leaf.index} of {leaf.log}"
            raise MismatchError(f"range bundle line {reader.number}", expected, found)
        seen(leaf)
        yield leaf_hash(data)
        index += 1
