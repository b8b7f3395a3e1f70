"""C2SP signed notes and verifier keys, Ed25519."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from auditd_client.verify._errors import BadSignatureError, MalformedError, WrongLogError, quote
from auditd_client.verify._strict import read_base64, read_text

MAX_NOTE_BYTES = 1_000_000
MAX_SIGNATURES = 100

_ED25519 = 1
_MAX_KEY_BYTES = 10_000
_KEY_BYTES = 32
_KEY_ID_BYTES = 4
_KEY_ID = re.compile(r"[0-9a-f]{8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A log's public key, with the name that its signatures carry: the log's origin.

    `key_id` is 4 bytes, `public_key` 32. Read one with `parse`, from a place you trust.
    """

    name: str
    key_id: bytes
    public_key: bytes

    @classmethod
    def parse(cls, vkey: str) -> VerifierKey:
        """Read a `name+key ID+key` line, as the C2SP signed-note format has it.

        Raises MalformedError, also where the key ID is not that of name and key.
        """
        # Base64 may hold a plus sign itself.
        parts = read_text(vkey, "verifier key", _MAX_KEY_BYTES).split("+", maxsplit=2)
        if len(parts) != 3:
            raise MalformedError("verifier key", f"not of the form name+key ID+key: {quote(vkey)}")
        name, key_id, encoded = parts
        if rule := _broken_name_rule(name):
            raise MalformedError("verifier key", rule)
        if not _KEY_ID.fullmatch(key_id):
            raise MalformedError("verifier key", f"a key ID is 8 lowercase hex digits, found {quote(key_id)}")
        try:
            material = read_base64(encoded)
        except ValueError as error:
            raise MalformedError("verifier key", str(error)) from error
        if material[:1] != bytes([_ED25519]):
            raise MalformedError("verifier key", f"type is 0x{material[:1].hex()}, expected 0x01 (Ed25519)")
        if len(material) != 1 + _KEY_BYTES:
            raise MalformedError("verifier key", f"key is {len(material) - 1} bytes, expected {_KEY_BYTES}")
        computed = hashlib.sha256(name.encode() + b"\n" + material).digest()[:_KEY_ID_BYTES]
        if computed.hex() != key_id:
            raise MalformedError("verifier key", f"key ID is {key_id}, that of name and key {computed.hex()}")
        return cls(name, computed, material[1:])

    def is_signature(self, signature: bytes, text: bytes) -> bool:
        """Return whether `signature` is this key's Ed25519 signature of `text` (RFC 8032)."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text)
        except InvalidSignature:
            return False
        return True


def open_note(note: str | bytes, key: VerifierKey | str) -> str:
    """Return the text of a C2SP signed note, line feed at its end included, that `key` signed.

    Signatures of other keys are ignored; a bad one that names `key` refuses the whole note.

    Raises MalformedError, WrongLogError if `key` did not sign, BadSignatureError.
    """
    if isinstance(key, str):
        key = VerifierKey.parse(key)
    text, first_line, lines = _split(read_text(note, "note", MAX_NOTE_BYTES))
    signatures = [_parse_signature(line, first_line + i) for i, line in enumerate(lines)]
    signed = False
    for line, (name, blob) in enumerate(signatures, first_line):
        if (name, blob[:_KEY_ID_BYTES]) != (key.name, key.key_id):
            continue
        if not key.is_signature(blob[_KEY_ID_BYTES:], text.encode()):
            raise BadSignatureError(key.name, key.key_id, line)
        signed = True
    if not signed:
        signers = ", ".join(f"{name}+{blob[:_KEY_ID_BYTES].hex()}" for name, blob in signatures)
        raise WrongLogError("note is not signed by the key", f"{key.name}+{key.key_id.hex()}", signers)
    return text


def _split(note: str) -> tuple[str, int, list[str]]:
    """Return a note's text, the number of its first signature line, and its signature lines."""
    if not note.endswith("\n"):
        raise MalformedError("note", "no line feed at the end")
    text, separator, block = note.rpartition("\n\n")
    if not separator:
        raise MalformedError("note", "no blank line between text and signatures")
    if not block:
        raise MalformedError("note", "no signature after the last blank line")
    text += "\n"
    lines = block[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise MalformedError("note", f"{len(lines)} signatures, limit {MAX_SIGNATURES}")
    return text, text.count("\n") + 2, lines


def _parse_signature(line: str, number: int) -> tuple[str, bytes]:
    """Return the key name, and the key ID with the signature after it."""
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "\N{EM DASH}":
        raise MalformedError("note", f"not a signature (dash, name, base64): {quote(line)}", number)
    _, name, encoded = parts
    if rule := _broken_name_rule(name):
        raise MalformedError("note", rule, number)
    try:
        blob = read_base64(encoded)
    except ValueError as error:
        raise MalformedError("note", str(error), number) from error
    if len(blob) <= _KEY_ID_BYTES:
        raise MalformedError("note", f"signature is {len(blob)} bytes with its key ID, at least 5", number)
    return name, blob


def _broken_name_rule(name: str) -> str:
    """Return the rule that a key name breaks, or nothing."""
    if not name:
        return "key name is empty"
    if "+" in name or any(character.isspace() for character in name):
        return f"key name has a space or a plus sign: {quote(name)}"
    return ""
