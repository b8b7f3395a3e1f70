"""Names and keys of those who sign notes: C2SP signed-note."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

from auditd.note._errors import NoteError
from auditd.note._strict import broken_name_rule, quote, read_base64

ED25519: Final = 0x01
"""The signature type of Ed25519 over a note's text."""

KEY_ID_SIZE: Final = 4
"""Bytes of a key ID."""

_PUBLIC_KEY_SIZES: Final = {ED25519: 32}
_KEY_ID: Final = re.compile(r"[0-9a-f]{8}")


class Signer(Protocol):
    """Who signs notes: a key in memory, in hardware, or at a service."""

    @property
    def name(self) -> str:
        """The key's name."""
        ...

    @property
    def key_id(self) -> bytes:
        """The key's ID, 4 bytes."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the algorithm's signature of the note's text; it MUST NOT be empty."""
        ...


def key_id(name: str, type_byte: int, key_material: bytes) -> bytes:
    """Return the 4-byte key ID of a key: signed-note, "Signatures"."""
    return sha256(name.encode() + b"\n" + bytes([type_byte]) + key_material).digest()[:KEY_ID_SIZE]


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key and the name it signs under; `str()` gives its text form, the vkey.

    `key_id` is 4 bytes, `algorithm_byte` the signature type, `public_key` its key, 32 bytes for Ed25519.
    """

    name: str
    key_id: bytes
    algorithm_byte: int
    public_key: bytes

    @classmethod
    def parse(cls, vkey: str) -> VerifierKey:
        """Read `<name>+<key ID>+<base64 of type and key>`; raise NoteError `MALFORMED_KEY`."""
        # The base64 may itself contain a plus sign.
        name, *rest = vkey.split("+", 2)
        if len(rest) != 2:
            raise _malformed(vkey, "must be <name>+<key ID>+<key>")
        id_text, key_text = rest
        broken = broken_name_rule(name)
        if broken:
            raise _malformed(vkey, f"the name {broken}")
        if not _KEY_ID.fullmatch(id_text):
            raise _malformed(vkey, f"the key ID {quote(id_text)} is not 8 lowercase hex digits")
        try:
            material = read_base64(key_text)
        except ValueError as error:
            raise _malformed(vkey, f"the key {quote(key_text)} is not canonical base64") from error
        algorithm_byte, public_key = material[0] if material else 0, material[1:]
        size = _PUBLIC_KEY_SIZES.get(algorithm_byte)
        if size is None:
            raise _malformed(vkey, f"signature type {material[:1].hex() or 'none'} is not supported")
        if len(public_key) != size:
            raise _malformed(vkey, f"the public key has {len(public_key)} bytes, must be {size}")
        computed = key_id(name, algorithm_byte, public_key)
        if computed.hex() != id_text:
            raise _malformed(vkey, f"the key ID is {id_text}, that of this name and key {computed.hex()}")
        return cls(name, computed, algorithm_byte, public_key)

    def __str__(self) -> str:
        material = b64encode(bytes([self.algorithm_byte]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{material}"


def _malformed(vkey: str, rule: str) -> NoteError:
    return NoteError("MALFORMED_KEY", f"verifier key {quote(vkey)}: {rule}")
