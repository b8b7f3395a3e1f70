"""Ed25519 keys of logs: made, kept in files of mode 0600, and used to sign and verify notes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from auditd.errors import FolderError
from auditd.note import ED25519, VerifierKey, key_id
from auditd.regular_file import open_regular


class LogSigner:
    """Signs a log's checkpoints; the seam for keys held by hardware or a key service."""

    def __init__(self, origin: str, private_key: Ed25519PrivateKey) -> None:
        self.name = origin
        self._private_key = private_key
        public_key = private_key.public_key().public_bytes_raw()
        self.key_id = key_id(origin, ED25519, public_key)
        self.verifier_key = VerifierKey(origin, self.key_id, ED25519, public_key)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature (RFC 8032) of `message`."""
        return self._private_key.sign(message)


def verify_ed25519(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether `signature` (64 bytes) over `message` was made with the key of `public_key` (32 bytes)."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def create_key_file(path: Path) -> None:
    """Make a new Ed25519 key at `path` (PKCS#8 PEM, mode 0600), which must not exist."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private_file(path, pem)


def write_private_file(path: Path, data: bytes) -> None:
    """Write `data` durably to `path` (mode 0600), which must not exist; raise OSError if that fails."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def load_signer(path: Path, origin: str) -> LogSigner:
    """Load the key at `path`; raise FolderError where it is missing, unreadable, damaged or readable by others."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise FolderError("KEY_EXPOSED", f"{path} can be read by others; run: chmod 600 {path}")
        with open_regular(path) as file:
            pem = file.read()
        key = serialization.load_pem_private_key(pem, password=None)
    except FileNotFoundError as error:
        raise FolderError("KEY_MISSING", f"{path}: the signing key is missing; put it back") from error
    except OSError as error:
        raise FolderError("KEY_UNREADABLE", f"{path}: the signing key cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise FolderError("KEY_DAMAGED", f"{path} holds no usable private key; put the original back") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise FolderError("KEY_DAMAGED", f"{path} holds a key of another kind than Ed25519; put the original back")
    return LogSigner(origin, key)
