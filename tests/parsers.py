"""What parses bytes from elsewhere: what it takes, how it is called, and what it may raise. Fuzzed by `test_fuzzing`
at random, and by `guided_fuzzing` along the code that each input reaches.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import zstandard

from auditd._native import native
from auditd.entry import parse_leaf
from auditd.errors import AuditdError
from auditd.filter import parse
from auditd.identity import Authenticator
from auditd.log import verify_ed25519
from auditd.log._frames import FrameCodec
from auditd.note import Checkpoint, VerifierKey, open_note
from auditd.server import Manifest, load_config, local_issuer
from auditd.server._issuers import Issuers
from auditd_client._backup_manifest import read_manifest
from auditd_client.errors import ClientError
from auditd_client.importers import ImportFileError, importer
from auditd_client.verify import Bundle, VerificationError, unverified_checkpoint
from auditd_proto.v1 import audit_log_service_pb2 as pb

KEY = "audit.example.com/main+a8ae6d09+AYCw+yTrSFGbRcRSe7hC3y4rQ5kJ6Yq9DlKQJ4V5bZ1c"
HASH = base64.b64encode(bytes(32)).decode()
NOTE = f"audit.example.com/main\n7\n{HASH}\n\n— audit.example.com/main {base64.b64encode(bytes(68)).decode()}\n"
FILTER = (
    'actor.id = "ali*" AND NOT (outcome = FAILURE OR time >= "2026-11-01T00:00:00Z") AND attributes.a.b > 1.5 "x y"'
)
CONFIG = """format = 1
origin = "audit.example.com"
listen = "127.0.0.1:7443"
[limits]
max_batch_events = 10
[[issuers]]
issuer = "https://idp.example.com"
jwks_file = "keys.json"
[issuers.roles]
"team" = ["reader", "writer"]
"""
CLOUDTRAIL = {
    "Records": [
        {
            "eventVersion": "1.08",
            "eventID": str(uuid.UUID(int=7)),
            "eventTime": "2026-11-24T00:00:00Z",
            "eventName": "ConsoleLogin",
            "eventSource": "signin.amazonaws.com",
            "userIdentity": {"type": "IAMUser", "userName": "alice", "arn": "arn:aws:iam::1:user/alice"},
            "sourceIPAddress": "203.0.113.9",
        }
    ]
}


def request() -> bytes:
    made = pb.AppendRequest(log="main", known_size=3)
    for number in range(3):
        event = made.events.add(id=f"e{number}", action="user.login", attributes_json='{"a":[1,{"b":"c"}],"d":1.10}')
        event.time.FromNanoseconds(1_795_500_000_000_000_000)
        event.actor.id = "alice"
        event.resources.add(type="account", id="42")
        event.origin.ip = "203.0.113.9"
    return made.SerializeToString()


@dataclass
class Parser:
    """What it takes, how it is called, and what it may raise."""

    sound: Callable[[Path], bytes]
    call: Callable[[bytes, Path], object]
    refusals: tuple[type[Exception], ...]


FRAME = zstandard.ZstdCompressor().compress(b'{"v":1,"log":"x","index":0,"recorded_at":"2026-11-24T00:00:00Z"}' * 4)
CODEC = FrameCodec()
BUNDLE = f"c2sp.org/tlog-proof@v1\nextra {base64.b64encode(b'{}').decode()}\nindex 3\n{HASH}\n{HASH}\n\n{NOTE}"


def read_native(data: bytes, _: Path) -> None:
    if native is not None:
        batch = native.read_append(data, "iss", "sub", "", 1_000)
        if not isinstance(batch, int):
            batch.keys(), batch.lengths()
            [batch.event(position) for position in range(len(batch))]


def read_request(data: bytes, _: Path) -> None:
    from google.protobuf.message import DecodeError

    from auditd.entry import encode_events

    try:
        events = pb.AppendRequest.FromString(data).events
    except DecodeError:
        return
    encode_events(events)


def read_config(data: bytes, folder: Path) -> None:
    configured = folder / "configured"
    configured.mkdir(exist_ok=True)
    (configured / "auditd.toml").write_bytes(data)
    load_config(configured)


def read_import(data: bytes, folder: Path) -> None:
    (folder / "trail.json").write_bytes(data)
    list(importer("cloudtrail").read_file(folder / "trail.json"))


MANIFEST = {
    "format": "auditd-backup/1",
    "origin": "audit.example.com",
    "made_at": "2026-11-26T00:00:00Z",
    "with_keys": False,
    "logs": {
        "main": {
            "origin": "audit.example.com/main",
            "verifier_key": KEY,
            "entries": 7,
            "size": 7,
            "root": "00" * 32,
            "checkpoint": NOTE,
            "rows": {"entries": 6},
        }
    },
    "files": {"logs/main/evidence.db": {"bytes": 1, "sha256": "00" * 32}},
    "since": None,
}


@cache
def trusting(folder: Path) -> Authenticator:
    config = load_config(folder)
    return Authenticator(Issuers(config).trusted, config.audience)


def token(folder: Path) -> bytes:
    config = load_config(folder)
    return local_issuer(config).issue("svc", ["writer"], 900, config.audience, time.time()).encode()


def read_token(data: bytes, folder: Path) -> None:
    trusting(folder).authenticate(data.decode("utf-8", "replace"))


def read_server_manifest(data: bytes, _: Path) -> None:
    with suppress(ValueError):
        Manifest.parse(data).text()


PARSERS = {
    "requests, natively": Parser(lambda _: request(), read_native, (AuditdError,)),
    "requests": Parser(lambda _: request(), read_request, (AuditdError,)),
    "filters": Parser(
        lambda _: FILTER.encode(), lambda data, _: parse(data.decode("utf-8", "replace")), (AuditdError,)
    ),
    "notes": Parser(
        lambda _: NOTE.encode(),
        lambda data, _: open_note(data.decode("utf-8", "replace"), [], verify_ed25519),
        (AuditdError,),
    ),
    "checkpoints": Parser(
        lambda _: NOTE.split("\n\n", maxsplit=1)[0].encode(),
        lambda data, _: Checkpoint.parse(data.decode("utf-8", "replace") + "\n"),
        (AuditdError,),
    ),
    "verifier keys": Parser(
        lambda _: KEY.encode(), lambda data, _: VerifierKey.parse(data.decode("utf-8", "replace")), (AuditdError,)
    ),
    "checkpoints, by the client": Parser(
        lambda _: NOTE.encode(),
        lambda data, _: unverified_checkpoint(data.decode("utf-8", "replace")),
        (VerificationError,),
    ),
    "bundles": Parser(
        lambda _: BUNDLE.encode(), lambda data, _: Bundle.parse(data.decode("utf-8", "replace")), (VerificationError,)
    ),
    "evidence frames": Parser(lambda _: FRAME, lambda data, _: CODEC.decompress(data, 0), (AuditdError,)),
    "leaves": Parser(
        lambda _: b'{"v":1,"log":"x","index":0,"recorded_at":"2026-11-24T00:00:00Z","caller":{},"event":{}}',
        lambda data, _: parse_leaf(data),
        (AuditdError,),
    ),
    "configuration": Parser(lambda _: CONFIG.encode(), read_config, (AuditdError,)),
    "import files": Parser(lambda _: json.dumps(CLOUDTRAIL).encode(), read_import, (ImportFileError,)),
    "tokens": Parser(token, read_token, (AuditdError,)),
    "manifests of backups": Parser(lambda _: json.dumps(MANIFEST).encode(), read_server_manifest, ()),
    "manifests of backups, by the client": Parser(
        lambda _: json.dumps(MANIFEST).encode(), lambda data, _: read_manifest(data), (ClientError, VerificationError)
    ),
}


def require_answer(parser: Parser, data: bytes, folder: Path) -> None:
    """Have a parser answer or refuse; `folder` is that of a server."""
    with suppress(*parser.refusals):
        parser.call(data, folder)
