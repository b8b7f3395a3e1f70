"""The formats that the documents state, against the bytes of a real server folder."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sqlite3
import struct
import subprocess
import time
from datetime import datetime
from pathlib import Path

import pytest
import zstandard

from auditd_client.verify import VerifierKey, leaf_hash, open_note
from demo._server import auditlog, running_server

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/formats.md").read_text(encoding="utf-8")
SCHEMA = (ROOT / "auditd/log/schema.sql").read_text(encoding="utf-8")
PAGE_BYTES = 4_096
TRAINING_LIMIT_S = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that was served: entries by a token, among them some compressed with a trained dictionary."""
    folder = tmp_path_factory.mktemp("formats") / "server"
    with running_server(folder, "formats.example.com") as server:
        settings = {"AUDITLOG_ADDRESS": server.address, "AUDITLOG_TOKEN": server.token("svc-formats", "admin")}
        events = folder.parent / "events.jsonl"
        lines = [f'{{"action":"a.b","actor":{{"id":"u{n}"}},"attributes":{{"n":{n}.0}}}}\n' for n in range(2_100)]
        events.write_text("".join(lines))
        auditlog("append", str(events), environment=settings)
        limit = time.monotonic() + TRAINING_LIMIT_S
        while not rows_of(folder, "SELECT 1 FROM dictionaries"):
            assert time.monotonic() < limit, "no dictionary was trained"
            auditlog("append", "--action", "a.c", environment=settings)
        auditlog("prove", "0", "-o", str(folder.parent / "bundle"), environment=settings)
    return folder


def rows_of(folder: Path, sql: str, log: str = "main") -> list[tuple]:
    db = sqlite3.connect(f"file:{folder}/logs/{log}/evidence.db?mode=ro", uri=True)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def entries_of(folder: Path, log: str = "main") -> list[tuple[int, bytes, bytes]]:
    """Return (index, key, leaf) of every entry, read as the page says."""
    dictionaries = dict(rows_of(folder, "SELECT id, dictionary FROM dictionaries", log))
    entries = []
    for index, key, frame in rows_of(folder, "SELECT idx, key, leaf FROM entries ORDER BY idx", log):
        named = zstandard.get_frame_parameters(frame).dict_id
        dictionary = zstandard.ZstdCompressionDict(dictionaries[named]) if named else None
        entries.append((index, key, zstandard.ZstdDecompressor(dict_data=dictionary).decompress(frame)))
    return entries


def documented_tables() -> dict[str, list[str]]:
    section = PAGE.split("### evidence.db")[1].split("\n### ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE)
    return {name: re.findall(r"`(\w+)`", columns) for name, columns in rows}


def test_every_table_of_the_evidence_is_described_with_its_columns():
    db = sqlite3.connect(":memory:")
    db.executescript(SCHEMA)
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    made = {table: [row[1] for row in db.execute(f"PRAGMA table_info({table})")] for table in tables}
    db.close()
    assert documented_tables() == made


def test_the_evidence_identifies_itself_as_described(folder):
    numbers = [rows_of(folder, f"PRAGMA {name}")[0][0] for name in ("application_id", "user_version", "page_size")]
    assert numbers == [0x61756474, 1, PAGE_BYTES]
    assert (folder / "logs/main/evidence.db").read_bytes()[20] == 8, "reserved bytes"


def test_keys_of_event_names_follow_the_formula(folder):
    for log in ("main", "access", "control"):
        for _, key, leaf in entries_of(folder, log):
            entry = json.loads(leaf)
            caller, event = entry["caller"], entry["event"]
            name = [caller.get("iss", ""), caller.get("sub", ""), event["id"], event["time"]]
            prefixed = b"".join(len(text.encode()).to_bytes(4, "big") + text.encode() for text in name)
            moment = datetime.fromisoformat(event["time"])
            milliseconds = int(moment.timestamp()) * 1_000 + moment.microsecond // 1_000
            assert key == milliseconds.to_bytes(6, "big") + hashlib.sha256(prefixed).digest()[:10]


def test_credentials_follow_the_formula_and_leaves_name_them(folder):
    rows = rows_of(folder, "SELECT credential, header, payload, signature_hash FROM credentials")
    assert len(rows) == 1
    [(credential, header, payload, signature_hash)] = rows
    signed = hashlib.sha256(f"{header}.{payload}".encode()).digest()
    assert credential == hashlib.sha256(signed + signature_hash).digest()
    assert {json.loads(leaf)["caller"]["credential"] for _, _, leaf in entries_of(folder)} == {credential.hex()}
    assert rows_of(folder, "SELECT count(*) FROM credential_signatures") == [(0,)]
    pending = sqlite3.connect(folder / "logs/main/pending.db")
    [(waiting, signature)] = pending.execute("SELECT credential, signature FROM signatures")
    pending.close()
    assert waiting == credential
    assert hashlib.sha256(signature.encode()).digest() == signature_hash


def test_issuer_keys_are_named_by_their_thumbprint(folder):
    for thumbprint, jwk in rows_of(folder, "SELECT thumbprint, jwk FROM issuer_keys"):
        digest = hashlib.sha256(jwk.encode()).digest()
        assert thumbprint == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def test_level_0_tiles_are_leaf_hashes_and_the_tree_is_that_of_the_head(folder):
    hashes = [hashlib.sha256(b"\0" + leaf).digest() for _, _, leaf in entries_of(folder)]
    for tile, stored in rows_of(folder, "SELECT tile, hashes FROM tiles WHERE level = 0"):
        assert stored == b"".join(hashes[tile * 256 : (tile + 1) * 256])
    origin, size, root = newest_head(folder)
    assert (origin, size) == ("formats.example.com/main", str(len(hashes)))
    assert base64.b64decode(root) == root_of(hashes)


def root_of(hashes: list[bytes]) -> bytes:
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root_of(hashes[:split]) + root_of(hashes[split:])).digest()


def newest_head(folder: Path) -> list[str]:
    data = (folder / "logs/main/head").read_bytes()
    key = VerifierKey.parse(rows_of(folder, "SELECT verifier_key FROM log")[0][0])
    slots = [data[at : at + 4_096].partition(b"\0")[0] for at in (0, 4_096)]
    texts = [open_note(slot, key).splitlines() for slot in slots if slot]
    return max(texts, key=lambda lines: int(lines[1]))


def test_verifier_keys_follow_the_formula(folder):
    name, key_id, encoded = rows_of(folder, "SELECT verifier_key FROM log")[0][0].split("+", 2)
    material = base64.b64decode(encoded)
    assert (material[0], len(material)) == (1, 33)
    assert hashlib.sha256(name.encode() + b"\n" + material).hexdigest()[:8] == key_id


@pytest.mark.parametrize("log", ["control", "access"])
def test_system_logs_say_of_their_peers_what_is_described(folder, log):
    key = VerifierKey.parse(rows_of(folder, "SELECT verifier_key FROM log", log)[0][0])
    [(note,)] = rows_of(folder, "SELECT peers FROM checkpoints ORDER BY id DESC LIMIT 1", log)
    title, *lines = open_note(note, key).splitlines()
    assert title == "auditd.v1/peers"
    others = {"main", "control", "access"} - {log}
    assert {line.split(" ")[0] for line in lines} == {f"formats.example.com/{name}" for name in others}
    sizes = {line.split(" ")[0]: line.split(" ")[1] for line in lines}
    assert sizes["formats.example.com/main"] == newest_head(folder)[1]


def test_page_checksums_follow_the_formula(folder):
    data = (folder / "logs/main/evidence.db").read_bytes()
    for start in range(0, len(data), PAGE_BYTES):
        page = data[start : start + PAGE_BYTES]
        words = struct.unpack(f"<{PAGE_BYTES // 4 - 2}I", page[:-8])
        s1 = s2 = 0
        for a, b in zip(words[::2], words[1::2], strict=True):
            s1 = (s1 + a + s2) % 2**32
            s2 = (s2 + b + s1) % 2**32
        assert page[-8:] == struct.pack("<2I", s1, s2)


def test_dictionaries_lie_beside_the_database_under_their_hash_and_control_names_them(folder):
    [(data,)] = rows_of(folder, "SELECT dictionary FROM dictionaries")
    digest = hashlib.sha256(data).hexdigest()
    assert (folder / f"logs/main/dictionaries/{digest}.zstd-dictionary").read_bytes() == data
    events = [json.loads(leaf)["event"] for _, _, leaf in entries_of(folder, "control")]
    announced = [event["attributes"] for event in events if event["action"] == "dictionary.add"]
    assert {"log": "main", "sha256": digest} in announced


def test_a_bundle_is_laid_out_as_described(folder):
    lines = (folder.parent / "bundle").read_text(encoding="utf-8").split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert base64.b64decode(lines[1].removeprefix("extra ")) == entries_of(folder)[0][2]
    assert lines[2] == "index 0"
    blank = lines.index("")
    assert all(len(base64.b64decode(line)) == 32 for line in lines[3:blank])
    assert lines[blank + 1] == "formats.example.com/main"


def test_the_shown_commands_read_a_leaf_that_needs_a_dictionary(folder, require_tools, tmp_path):
    require_tools("sqlite3", "zstd")
    guide = (ROOT / "docs/guides/verifying.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- dictionary -->\n```console\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    assert shown is not None
    index, _, leaf = entries_of(folder)[-1]
    [(frame,)] = rows_of(folder, f"SELECT leaf FROM entries WHERE idx = {index}")
    assert zstandard.get_frame_parameters(frame).dict_id, "the entry shows what it should only if it has a dictionary"
    (tmp_path / "leaf.zst").write_bytes(frame)
    (tmp_path / "server").symlink_to(folder)
    commands = re.findall(r"^\$ (.*)", shown[1], re.MULTILINE)
    done = subprocess.run(
        ["bash", "-e", "-c", "\n".join(commands)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.split("\n") == ["16384", f"{leaf_hash(leaf).hex()}  -", ""]
