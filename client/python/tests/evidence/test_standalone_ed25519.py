"""The small verifier's Ed25519: the vectors of RFC 8032, and agreement with a library on good and bad signatures."""

from __future__ import annotations

import ast
import hashlib
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

import auditd_client.evidence
from auditd_client.evidence import standalone

# Section 7.1: secret key, public key, message, signature.
VECTORS = {
    "TEST 1": (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        b"",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    "TEST 2": (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        b"\x72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    "TEST 3": (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        b"\xaf\x82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
    "TEST SHA(abc)": (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").digest(),
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e030"
        "3dca179c138ac17ad9bef1177331a704",
    ),
}


@pytest.mark.parametrize(("secret", "public", "message", "signature"), VECTORS.values(), ids=VECTORS)
def test_accepts_the_vectors_of_rfc_8032(secret, public, message, signature):
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
    assert key.public_key().public_bytes_raw().hex() == public
    standalone.require_signature(bytes.fromhex(public), bytes.fromhex(signature), message)


@pytest.mark.parametrize(("secret", "public", "message", "signature"), VECTORS.values(), ids=VECTORS)
def test_refuses_each_with_any_bit_of_a_byte_changed(secret, public, message, signature):
    key, signed = bytes.fromhex(public), bytes.fromhex(signature)
    for at in range(0, 64, 5):
        with pytest.raises((standalone.NotGenuineError, ValueError)):
            standalone.require_signature(
                key, signed[:at] + bytes([signed[at] ^ 1 << at % 8]) + signed[at + 1 :], message
            )
    for at in range(0, 32, 5):
        with pytest.raises((standalone.NotGenuineError, ValueError)):
            standalone.require_signature(key[:at] + bytes([key[at] ^ 1 << at % 8]) + key[at + 1 :], signed, message)
    with pytest.raises(standalone.NotGenuineError):
        standalone.require_signature(key, signed, message + b"\0")


@settings(max_examples=15, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_accepts_what_another_implementation_signs(secret, message):
    key = Ed25519PrivateKey.from_private_bytes(secret)
    standalone.require_signature(key.public_key().public_bytes_raw(), key.sign(message), message)


def test_refuses_a_signature_that_could_be_written_in_two_ways():
    _, public, message, signature = VECTORS["TEST 2"]
    key, signed = bytes.fromhex(public), bytes.fromhex(signature)
    scalar = int.from_bytes(signed[32:], "little") + standalone.L
    with pytest.raises(standalone.NotGenuineError):
        standalone.require_signature(key, signed[:32] + scalar.to_bytes(32, "little"), message)
    for length in (0, 63, 65):
        with pytest.raises(standalone.NotGenuineError):
            standalone.require_signature(key, signed[:length].ljust(length, b"\0"), message)


@pytest.mark.parametrize(
    "encoded",
    [
        (2**255 - 19).to_bytes(32, "little"),
        (2**255 - 18).to_bytes(32, "little"),
        (1 | 1 << 255).to_bytes(32, "little"),
        (2).to_bytes(32, "little"),
        b"",
        bytes(31),
    ],
    ids=["y is p", "y is p + 1", "x is 0 and negative", "not on the curve", "empty", "short"],
)
def test_refuses_encodings_of_no_point(encoded):
    with pytest.raises(standalone.NotGenuineError):
        standalone.decode_point(encoded)


def test_the_small_verifier_needs_nothing_but_the_standard_library_and_is_short():
    path = Path(standalone.__file__)
    source = path.read_text(encoding="utf-8")
    imported = set()
    for found in ast.walk(ast.parse(source)):
        if isinstance(found, ast.Import):
            imported |= {name.name for name in found.names}
        elif isinstance(found, ast.ImportFrom):
            imported.add(str(found.module))
    assert {name.split(".")[0] for name in imported} <= set(sys.stdlib_module_names)
    assert not imported & {"subprocess", "socket", "os", "shutil", "tempfile", "importlib", "ctypes"}
    assert sum(1 for line in source.splitlines() if line.strip()) < 300
    written = {"write", "write_text", "write_bytes", "unlink", "rename", "extract", "extractall", "exec", "eval"}
    called = {found.attr for found in ast.walk(ast.parse(source)) if isinstance(found, ast.Attribute)}
    assert not called & written, "it reads, prints, and does no more"


def test_no_other_module_of_the_package_is_used_by_the_small_verifier_or_uses_it():
    folder = Path(auditd_client.evidence.__file__).parent
    users = [
        path.name
        for path in folder.glob("_*.py")
        if any("standalone" in line for line in path.read_text(encoding="utf-8").splitlines() if "import" in line)
    ]
    assert users == []
