"""Keys of logs in files: private, whole, and of the right kind, or refused with what to do."""

from __future__ import annotations

import os
import stat

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auditd.errors import FolderError
from auditd.log import create_key_file, load_signer, verify_ed25519

ORIGIN = "audit.example.com/main"
PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


def written(path, data, mode=0o600):
    path.write_bytes(data)
    path.chmod(mode)
    return path


def refusal(path):
    with pytest.raises(FolderError) as caught:
        load_signer(path, ORIGIN)
    return caught.value


def test_a_key_file_is_made_for_its_owner_alone_and_never_over_another(tmp_path):
    umask = os.umask(0)
    try:
        create_key_file(tmp_path / "main.pem")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "main.pem").stat().st_mode) == 0o600
    before = (tmp_path / "main.pem").read_bytes()
    with pytest.raises(FileExistsError):
        create_key_file(tmp_path / "main.pem")
    assert (tmp_path / "main.pem").read_bytes() == before


def test_a_loaded_key_signs_what_its_verifier_key_verifies(key_file):
    signer = load_signer(key_file, ORIGIN)
    signature = signer.sign(b"message")
    public_key = signer.verifier_key.public_key
    assert verify_ed25519(public_key, signature, b"message")
    assert not verify_ed25519(public_key, signature, b"massage")
    assert not verify_ed25519(public_key, signature[:-1], b"message")
    assert not verify_ed25519(public_key[:-1], signature, b"message")
    assert load_signer(key_file, ORIGIN).verifier_key == signer.verifier_key
    assert load_signer(key_file, "audit.example.com/other").verifier_key != signer.verifier_key


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
def test_a_key_that_others_can_read_is_refused(tmp_path, key_file, mode):
    path = written(tmp_path / "main.pem", key_file.read_bytes(), mode)
    error = refusal(path)
    assert error.reason == "KEY_EXPOSED"
    assert f"chmod 600 {path}" in error.message


def test_a_missing_key_is_refused(tmp_path):
    error = refusal(tmp_path / "main.pem")
    assert (error.reason, "put it back" in error.message) == ("KEY_MISSING", True)


def test_a_key_that_is_no_file_is_refused(tmp_path):
    (tmp_path / "main.pem").mkdir(mode=0o700)
    assert refusal(tmp_path / "main.pem").reason == "KEY_UNREADABLE"


def whole():
    return Ed25519PrivateKey.generate().private_bytes(PEM, PKCS8, serialization.NoEncryption())


DAMAGED = {
    "empty": b"",
    "garbage": os.urandom(200),
    "cut short": whole()[:-40],
    "one letter changed": whole().replace(b"MC4C", b"MC5C"),
    "the public key": Ed25519PrivateKey.generate()
    .public_key()
    .public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    "encrypted": Ed25519PrivateKey.generate().private_bytes(PEM, PKCS8, serialization.BestAvailableEncryption(b"pw")),
    "of another kind": ec.generate_private_key(ec.SECP256R1()).private_bytes(PEM, PKCS8, serialization.NoEncryption()),
    "of an unknown kind": (
        b"-----BEGIN PRIVATE KEY-----\nMBYCAQAwCwYJYIZIAYb4QgEBBAQBAgME\n-----END PRIVATE KEY-----\n"
    ),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_key_that_cannot_be_used_is_refused(tmp_path, data):
    error = refusal(written(tmp_path / "main.pem", data))
    assert error.reason == "KEY_DAMAGED"
    assert "put the original back" in error.message
    assert "PRIVATE" not in error.message
