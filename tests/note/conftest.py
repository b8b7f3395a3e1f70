"""Ed25519 for notes: the room itself knows no algorithm."""

from collections.abc import Callable

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from auditd.note import ED25519, VerifierKey, key_id


class SeedSigner:
    """Signs with the Ed25519 key of 32 equal bytes."""

    def __init__(self, name: str, seed: int = 0) -> None:
        self.name = name
        self.private_key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        public_key = self.private_key.public_key().public_bytes_raw()
        self.key_id = key_id(name, ED25519, public_key)
        self.verifier_key = VerifierKey(name, self.key_id, ED25519, public_key)

    def sign(self, message: bytes) -> bytes:
        return self.private_key.sign(message)


def verify_ed25519(public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


@pytest.fixture(scope="session")
def signer() -> type[SeedSigner]:
    return SeedSigner


@pytest.fixture(scope="session")
def verify() -> Callable[[bytes, bytes, bytes], bool]:
    return verify_ed25519
