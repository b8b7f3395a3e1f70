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
LONG_MESSAGE = bytes.fromhex(
    """
    08b8b2b733424243760fe426a4b54908632110a66c2f6591eabd3345e3e4eb98fa6e264bf09efe12ee50f8f54e9f77b1e355f6c50544e2
    3fb1433ddf73be84d879de7c0046dc4996d9e773f4bc9efe5738829adb26c81b37c93a1b270b20329d658675fc6ea534e0810a4432826b
    f58c941efb65d57a338bbd2e26640f89ffbc1a858efcb8550ee3a5e1998bd177e93a7363c344fe6b199ee5d02e82d522c4feba15452f80
    288a821a579116ec6dad2b3b310da903401aa62100ab5d1a36553e06203b33890cc9b832f79ef80560ccb9a39ce767967ed628c6ad573c
    b116dbefefd75499da96bd68a8a97b928a8bbc103b6621fcde2beca1231d206be6cd9ec7aff6f6c94fcd7204ed3455c68c83f4a41da4af
    2b74ef5c53f1d8ac70bdcb7ed185ce81bd84359d44254d95629e9855a94a7c1958d1f8ada5d0532ed8a5aa3fb2d17ba70eb6248e594e1a
    2297acbbb39d502f1a8c6eb6f1ce22b3de1a1f40cc24554119a831a9aad6079cad88425de6bde1a9187ebb6092cf67bf2b13fd65f27088
    d78b7e883c8759d2c4f5c65adb7553878ad575f9fad878e80a0c9ba63bcbcc2732e69485bbc9c90bfbd62481d9089beccf80cfe2df16a2
    cf65bd92dd597b0707e0917af48bbb75fed413d238f5555a7a569d80c3414a8d0859dc65a46128bab27af87a71314f318c782b23ebfe80
    8b82b0ce26401d2e22f04d83d1255dc51addd3b75a2b1ae0784504df543af8969be3ea7082ff7fc9888c144da2af58429ec96031dbcad3
    dad9af0dcbaaaf268cb8fcffead94f3c7ca495e056a9b47acdb751fb73e666c6c655ade8297297d07ad1ba5e43f1bca32301651339e229
    04cc8c42f58c30c04aafdb038dda0847dd988dcda6f3bfd15c4b4c4525004aa06eeff8ca61783aacec57fb3d1f92b0fe2fd1a85f672451
    7b65e614ad6808d6f6ee34dff7310fdc82aebfd904b01e1dc54b2927094b2db68d6f903b68401adebf5a7e08d78ff4ef5d63653a65040c
    f9bfd4aca7984a74d37145986780fc0b16ac451649de6188a7dbdf191f64b5fc5e2ab47b57f7f7276cd419c17a3ca8e1b939ae49e488ac
    ba6b965610b5480109c8b17b80e1b7b750dfc7598d5d5011fd2dcc5600a32ef5b52a1ecc820e308aa342721aac0943bf6686b64b257937
    6504ccc493d97e6aed3fb0f9cd71a43dd497f01f17c0e2cb3797aa2a2f256656168e6c496afc5fb93246f6b1116398a346f1a641f3b041
    e989f7914f90cc2c7fff357876e506b50d334ba77c225bc307ba537152f3f1610e4eafe595f6d9d90d11faa933a15ef1369546868a7f3a
    45a96768d40fd9d03412c091c6315cf4fde7cb68606937380db2eaaa707b4c4185c32eddcdd306705e4dc1ffc872eeee475a64dfac86ab
    a41c0618983f8741c5ef68d3a101e8a3b8cac60c905c15fc910840b94c00a0b9d0
    """
)
"""That of TEST 1024, whose 1,023 bytes need more than one block of SHA-512."""
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
    "TEST 1024": (
        "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
        "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
        LONG_MESSAGE,
        "0aab4c900501b3e24d7cdf4663326a3a87df5e4843b2cbdb67cbf6e460fec350aa5371b1508f9f4528ecea23c436d94b"
        "5e8fcd4f681e30a6ac00a9704a188a03",
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
    assert key.sign(message).hex() == signature
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
