"""Whatever bytes come in, what parses them answers, or refuses with an error of its own; nothing else gets out.

Each parser is fed what it takes, with pieces changed, cut out, doubled or put in: 50 examples each in `make test`,
and in `make test-all` 2,000.
"""

from __future__ import annotations

import base64
import json
import random
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditd._native import native
from auditd.entry import parse_leaf
from auditd.errors import AuditdError
from auditd.filter import parse
from auditd.log import verify_ed25519
from auditd.log._frames import FrameCodec
from auditd.note import Checkpoint, VerifierKey, open_note
from auditd.server import load_config, make_folder
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
PIECES = [
    b"\0",
    b"\xff",
    b"\n",
    b'"',
    b"{",
    b"[" * 5_000,
    b"\\ud800",
    b"-",
    b"9" * 400,
    b"e99999",
    b"\xe2\x80\xae",
    b"=",
]


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

    sound: Callable[[], bytes]
    call: Callable[[bytes, Path], object]
    refusals: tuple[type[Exception], ...]


FRAME = zstandard.ZstdCompressor().compress(b'{"v":1,"log":"x","index":0,"recorded_at":"2026-11-24T00:00:00Z"}' * 4)
CODEC = FrameCodec()
BUNDLE = f"c2sp.org/tlog-proof@v1\nextra {base64.b64encode(b'{}').decode()}\nindex 3\n{HASH}\n{HASH}\n\n{NOTE}"


def read_native(data: bytes, _: Path) -> None:
    if native is not None:
        batch = native.encode_append(data, "iss", "sub", "", 1_000)
        if batch is not None:
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
    (folder / "auditd.toml").write_bytes(data)
    load_config(folder)


def read_import(data: bytes, folder: Path) -> None:
    (folder / "trail.json").write_bytes(data)
    list(importer("cloudtrail").read_file(folder / "trail.json"))


PARSERS = {
    "requests, natively": Parser(request, read_native, (AuditdError,)),
    "requests": Parser(request, read_request, (AuditdError,)),
    "filters": Parser(FILTER.encode, lambda data, _: parse(data.decode("utf-8", "replace")), (AuditdError,)),
    "notes": Parser(
        NOTE.encode, lambda data, _: open_note(data.decode("utf-8", "replace"), [], verify_ed25519), (AuditdError,)
    ),
    "checkpoints": Parser(
        NOTE.split("\n\n", maxsplit=1)[0].encode,
        lambda data, _: Checkpoint.parse(data.decode("utf-8", "replace") + "\n"),
        (AuditdError,),
    ),
    "verifier keys": Parser(
        KEY.encode, lambda data, _: VerifierKey.parse(data.decode("utf-8", "replace")), (AuditdError,)
    ),
    "checkpoints, by the client": Parser(
        NOTE.encode, lambda data, _: unverified_checkpoint(data.decode("utf-8", "replace")), (VerificationError,)
    ),
    "bundles": Parser(
        BUNDLE.encode, lambda data, _: Bundle.parse(data.decode("utf-8", "replace")), (VerificationError,)
    ),
    "evidence frames": Parser(lambda: FRAME, lambda data, _: CODEC.decompress(data, 0), (AuditdError,)),
    "leaves": Parser(
        lambda: b'{"v":1,"log":"x","index":0,"recorded_at":"2026-11-24T00:00:00Z","caller":{},"event":{}}',
        lambda data, _: parse_leaf(data),
        (AuditdError,),
    ),
    "configuration": Parser(CONFIG.encode, read_config, (AuditdError,)),
    "import files": Parser(lambda: json.dumps(CLOUDTRAIL).encode(), read_import, (ImportFileError,)),
}


def mutated(sound: bytes, seed: int, many: int) -> bytes:
    """Return bytes with some pieces changed, cut out, doubled or put in."""
    choose, data = random.Random(seed), bytearray(sound)
    for _ in range(many):
        start = choose.randrange(len(data) + 1)
        end = min(len(data), start + choose.choice([0, 1, 1, 4, 40]))
        piece = choose.choice([*PIECES, bytes(data[start:end]) * 2, bytes([choose.randrange(256)]), b""])
        data[start:end] = piece
    return bytes(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("fuzzed") / "server"
    make_folder(made, "audit.example.com")
    return made


def require_answer(parser: Parser, data: bytes, folder: Path) -> None:
    with suppress(*parser.refusals):
        parser.call(data, folder)


def fuzz(parser: Parser, folder: Path, examples: int) -> None:
    sound = parser.sound()

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(st.integers(0, 2**32), st.integers(1, 6), st.one_of(st.just(sound), st.binary(max_size=300)))
    def run(seed: int, many: int, start: bytes) -> None:
        require_answer(parser, mutated(start, seed, many), folder)

    run()


@pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS.keys())
def test_bytes_changed_at_random_are_answered(parser, folder):
    fuzz(parser, folder, 50)


@pytest.mark.soak
@pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS.keys())
def test_bytes_changed_at_random_many_times_are_answered(parser, folder):
    fuzz(parser, folder, 2_000)
