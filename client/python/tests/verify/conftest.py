"""A small log signed with a fixed key, and the tree of RFC 6962 written as its definitions stand."""

import base64
import hashlib
import json
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auditd_client.verify import Bundle, Checkpoint, Receipt, open_checkpoint

ORIGIN = "audit.example.com/main"


def sha256(data):
    return hashlib.sha256(data).digest()


def split(size):
    """The largest power of two below `size`."""
    k = 1
    while 2 * k < size:
        k *= 2
    return k


def root(leaves):
    """MTH of RFC 6962 section 2.1."""
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0])
    k = split(len(leaves))
    return sha256(b"\x01" + root(leaves[:k]) + root(leaves[k:]))


def path(index, leaves):
    """PATH of RFC 6962 section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*path(index, leaves[:k]), root(leaves[k:])]
    return [*path(index - k, leaves[k:]), root(leaves[:k])]


def subproof(size, leaves, known=True):
    """SUBPROOF of RFC 6962 section 2.1.2."""
    if size == len(leaves):
        return [] if known else [root(leaves)]
    k = split(len(leaves))
    if size <= k:
        return [*subproof(size, leaves[:k], known), root(leaves[k:])]
    return [*subproof(size - k, leaves[k:], False), root(leaves[:k])]


class Signer:
    """An Ed25519 key with a name, as C2SP signed notes have it."""

    def __init__(self, name, seed=bytes(32)):
        self.name = name
        self.key = Ed25519PrivateKey.from_private_bytes(seed)
        material = b"\x01" + self.key.public_key().public_bytes_raw()
        self.key_id = sha256(name.encode() + b"\n" + material)[:4]
        self.vkey = f"{name}+{self.key_id.hex()}+{base64.b64encode(material).decode()}"

    def line(self, text):
        blob = base64.b64encode(self.key_id + self.key.sign(text.encode())).decode()
        return f"— {self.name} {blob}\n"

    def note(self, text):
        return f"{text}\n{self.line(text)}"


class SignedLog:
    """A log of the given leaves, whatever they say."""

    def __init__(self, leaves, origin=ORIGIN):
        self.leaves = list(leaves)
        self.origin = origin
        self.signer = Signer(origin)
        self.vkey = self.signer.vkey

    def note(self, size=None, extension=""):
        leaves = self.leaves[:size]
        encoded_root = base64.b64encode(root(leaves)).decode()
        return self.signer.note(f"{self.origin}\n{len(leaves)}\n{encoded_root}\n{extension}")

    def checkpoint(self, size=None) -> Checkpoint:
        return open_checkpoint(self.note(size), self.vkey)

    def consistency(self, old_size):
        return subproof(old_size, self.leaves)

    def bundle(self, index, /, **changes):
        members = {
            "leaf": self.leaves[index],
            "index": index,
            "proof": tuple(path(index, self.leaves)),
            "checkpoint_note": self.note(),
        }
        return Bundle(**members | changes)

    def receipt(self, index, /, **changes):
        leaf = self.leaves[index]
        members = {
            "index": index,
            "recorded_at": json.loads(leaf, parse_int=str)["recorded_at"],
            "leaf_hash": sha256(b"\x00" + leaf),
            "duplicate": False,
            "leaf": leaf,
            "inclusion_proof": path(index, self.leaves),
            "tree_size": len(self.leaves),
        }
        return Receipt(**members | changes)


ATTRIBUTES = '{"amount": 1.10,  "note":"\\u00e9 }","big":' + "9" * 5_000 + "}"
"""Text that no round trip through a parser would give back."""

EVENT = {
    "id": "e-0",
    "time": "2026-11-24T00:26:13.100Z",
    "tenant": "acme",
    "action": "user.login",
    "outcome": "FAILURE",
    "reason": "bad password",
    "actor": {"type": "user", "id": "alice", "roles": ["clerk", "approver"]},
    "resources": [{"type": "account", "id": "42", "name": "Zoë"}, {"type": "branch", "id": "7"}],
    "origin": {"ip": "203.0.113.9", "endpoint": "/login"},
    "producer": {"id": "billing-7f", "seq": 1041},
}


def leaf_members(index=0, event=None, **changes):
    """The members of a leaf; its event is `EVENT` with an id of its own and what the server adds."""
    if event is None:
        actor = EVENT["actor"] | {"identity": "asserted"}
        event = EVENT | {"id": f"e-{index}", "actor": actor}
    members = {
        "v": 1,
        "log": ORIGIN,
        "index": index,
        "recorded_at": f"2026-11-24T00:26:{index:02d}.123456Z",
        "salt": "00112233445566778899aabbccddeeff",
        "caller": {"kind": "token", "iss": "https://idp.example.com", "sub": "svc-billing"},
    }
    return members | changes | {"event": event}


def leaf_bytes(index=0, attributes=ATTRIBUTES, **changes):
    """A leaf as a server writes it, with the text of its attributes as given; None leaves them out."""
    text = json.dumps(leaf_members(index, **changes), separators=(",", ":"), ensure_ascii=False)
    if attributes is not None:
        text = f'{text[:-2]},"attributes":{attributes}}}}}'
    return text.encode()


@pytest.fixture(scope="session")
def naive():
    """The tree of RFC 6962 by its definitions."""
    return SimpleNamespace(sha256=sha256, split=split, root=root, path=path, subproof=subproof)


@pytest.fixture(scope="session")
def make():
    """Makers of leaves, logs and signers."""
    return SimpleNamespace(
        leaf=leaf_bytes,
        log=SignedLog,
        signer=Signer,
        origin=ORIGIN,
        event=EVENT,
        attributes=ATTRIBUTES,
    )


@pytest.fixture(scope="session")
def log():
    """A log of seven entries."""
    return SignedLog(leaf_bytes(index) for index in range(7))
