"""Signed notes: C2SP signed-note.

A note is a text, a blank line, and one line for each signature. What is signed is the text with its final
newline. Signature algorithms are given by the caller: a `Signer` to sign, a function to verify.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from auditd.note._errors import NoteError
from auditd.note._key import KEY_ID_SIZE, Signer, VerifierKey
from auditd.note._strict import broken_name_rule, broken_text_rule, quote, read_base64

MAX_SIGNATURES: Final = 100
"""Signature lines a note may have."""

Verify = Callable[[bytes, bytes, bytes], bool]
"""Tells whether a public key made a signature of a message, in this order; False for a malformed one."""

_DASH: Final = "\N{EM DASH} "
_SIGNATURE_LINE: Final = re.compile(_DASH + r"([^ ]*) ([^ ]*)")


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature line: `key_id` is 4 bytes, `signature` what the algorithm made."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {b64encode(self.key_id + self.signature).decode()}"


@dataclass(frozen=True, slots=True)
class Note:
    """An opened note: its text, and those of its signatures that verified with a known key, at least one."""

    text: str
    signatures: tuple[Signature, ...]


def sign_note(text: str, signers: Sequence[Signer]) -> str:
    """Return the note of a text signed by each signer in turn.

    Raises ValueError where `open_note` would refuse the note: the text lacks its final newline or has a
    forbidden character, there are no signers or more than 100, or a signer's name or signature is malformed.
    """
    if not text.endswith("\n"):
        raise ValueError(f"text: {quote(text[-20:])} does not end in a newline")
    broken = broken_text_rule(text)
    if broken:
        raise ValueError(f"text: {broken}")
    if not 0 < len(signers) <= MAX_SIGNATURES:
        raise ValueError(f"signers: {len(signers)}, must be 1 to {MAX_SIGNATURES}")
    lines = []
    for signer in signers:
        broken = broken_name_rule(signer.name)
        if broken:
            raise ValueError(f"signer {quote(signer.name)}: the name {broken}")
        signature = signer.sign(text.encode())
        if len(signer.key_id) != KEY_ID_SIZE or not signature:
            raise ValueError(f"signer {quote(signer.name)}: no signature, or a key ID of other than 4 bytes")
        lines.append(f"{Signature(signer.name, signer.key_id, signature)}\n")
    return f"{text}\n{''.join(lines)}"


def open_note(note: bytes | str, keys: Iterable[VerifierKey], verify: Verify) -> Note:
    """Return the text of a note that at least one of the keys signed.

    A line of an unknown (name, key ID) is ignored, and a second line of a known one is not verified again.
    Raises NoteError: `MALFORMED_NOTE`, whoever signed; `BAD_SIGNATURE` if the signature of a known key does
    not verify, even if another does; `NO_KNOWN_SIGNATURE` if there is none. Raises ValueError if two keys
    share name and key ID.
    """
    known: dict[tuple[str, bytes], VerifierKey] = {}
    for key in keys:
        if known.setdefault((key.name, key.key_id), key) is not key:
            raise ValueError(f"keys: two are named {quote(key.name)} with ID {key.key_id.hex()}")
    text, lines = _split(_decode(note))
    message = text.encode()
    verified: dict[tuple[str, bytes], Signature] = {}
    for signature in [_read_signature(number, line) for number, line in lines]:
        pair = signature.name, signature.key_id
        if pair in verified or pair not in known:
            continue
        if not verify(known[pair].public_key, signature.signature, message):
            raise NoteError(
                "BAD_SIGNATURE",
                f"note: the signature of {quote(signature.name)} does not verify with its key {known[pair]}",
                {"name": signature.name, "key_id": signature.key_id.hex()},
            )
        verified[pair] = signature
    if not verified:
        raise NoteError("NO_KNOWN_SIGNATURE", f"note: none of its {len(lines)} signatures is of a known key")
    return Note(text, tuple(verified.values()))


def _decode(note: bytes | str) -> str:
    try:
        text = note.decode() if isinstance(note, bytes) else note
    except UnicodeDecodeError as error:
        raise _malformed(f"is not valid UTF-8 at byte {error.start}") from error
    broken = broken_text_rule(text)
    if broken:
        raise _malformed(broken)
    return text


def _split(note: str) -> tuple[str, list[tuple[int, str]]]:
    """Return the text, and the signature lines with their line numbers."""
    # The text may hold blank lines itself; the last one separates.
    text, blank_line, block = note.rpartition("\n\n")
    if not blank_line:
        raise _malformed("has no blank line before its signatures")
    if not block:
        raise _malformed("has no signatures")
    if not block.endswith("\n"):
        raise _malformed("does not end in a newline")
    lines = block.removesuffix("\n").split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise _malformed(f"has {len(lines)} signatures, at most {MAX_SIGNATURES} are allowed")
    text += "\n"
    return text, list(enumerate(lines, text.count("\n") + 2))


def _read_signature(number: int, line: str) -> Signature:
    match = _SIGNATURE_LINE.fullmatch(line)
    if not match:
        raise _malformed(f"line {number} {quote(line)} is not '{_DASH}<name> <base64>'")
    name, encoded = match.groups()
    broken = broken_name_rule(name)
    if broken:
        raise _malformed(f"line {number}: the name {quote(name)} {broken}")
    try:
        blob = read_base64(encoded)
    except ValueError as error:
        raise _malformed(f"line {number}: the signature {quote(encoded)} is not canonical base64") from error
    if len(blob) <= KEY_ID_SIZE:
        raise _malformed(f"line {number}: key ID and signature have {len(blob)} bytes, must be at least 5")
    return Signature(name, blob[:KEY_ID_SIZE], blob[KEY_ID_SIZE:])


def _malformed(rule: str) -> NoteError:
    return NoteError("MALFORMED_NOTE", f"note: {rule}")
