"""Exports into folders: what other programs read there, whatever interrupts it, whoever alters it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
import zstandard

from auditd_client import (
    Client,
    OutputError,
)
from auditd_client.exports import Request, export_to_folder, verify_export
from auditd_client.verify import VerificationError
from tests.hostile_text import is_formula
from tests.system.conftest import Server
from tests.system.export_log import COUNT, DAYS, HOSTILE, LAST_DAY, files, fill, flip, jsonl, run_export


@pytest.fixture(scope="module")
def server(shared_server: Server) -> Server:
    return fill(shared_server)


@pytest.fixture(scope="module")
def client(server: Server):
    with Client(server.address, server.token("admin"), key=server.vkey) as client:
        yield client


@pytest.fixture(scope="module")
def leaves(client: Client) -> list[bytes]:
    return [entry.leaf for entry in client.query(order="asc")]


# Folders


def test_json_lines_are_the_leaves_verbatim_and_verify_as_the_whole_tree(client, server, leaves, tmp_path):
    manifest = export_to_folder(client, tmp_path / "all", jsonl(), round_bytes=1_000_000)
    parts = [tmp_path / "all" / part.path for part in manifest.parts]
    assert len(parts) > 2
    assert b"".join(part.read_bytes() for part in parts) == b"".join(leaf + b"\n" for leaf in leaves)
    assert [hashlib.sha256(part.read_bytes()).hexdigest() for part in parts] == [part.sha256 for part in manifest.parts]
    found = verify_export(tmp_path / "all" / "_manifest.json", server.vkey)
    assert (found.is_whole_tree, found.manifest.rows, found.checkpoint.size) == (True, COUNT, COUNT)
    assert set(files(tmp_path / "all")) == {part.path for part in manifest.parts} | {"_manifest.json"}


def test_zstd_compresses_and_gives_back_the_same(client, leaves, tmp_path):
    manifest = export_to_folder(client, tmp_path / "all", jsonl(compression="zstd"), round_bytes=1_000_000)
    assert all(part.path.endswith(".jsonl.zst") for part in manifest.parts)
    lines = b""
    for part in manifest.parts:
        with (tmp_path / "all" / part.path).open("rb") as file:
            lines += zstandard.ZstdDecompressor().stream_reader(file).read()
    assert lines == b"".join(leaf + b"\n" for leaf in leaves)
    assert sum(part.bytes for part in manifest.parts) < len(lines) / 2
    verify_export(tmp_path / "all" / "_manifest.json", None)


def test_csv_is_rfc_4180_and_safe_in_spreadsheets_and_gives_back_the_exact_text(client, tmp_path):
    columns = ("index", "reason", "attributes.amount", "actor.roles")
    request = Request(log="main", filter="", no_index=False, format="csv", columns=columns)
    manifest = export_to_folder(client, tmp_path / "all", request)
    text = (tmp_path / "all" / manifest.parts[0].path).read_bytes().decode()
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert tuple(rows[0]) == columns
    assert text.startswith("index,reason,attributes.amount,actor.roles\r\n")
    assert len(rows) == COUNT + 1
    assert {len(cells) for cells in rows} == {4}
    assert not [cell for cells in rows for cell in cells if is_formula(cell)]
    assert [cells[1].removeprefix("'") for cells in rows[1:]] == [HOSTILE[n % len(HOSTILE)] for n in range(COUNT)]
    verify_export(tmp_path / "all" / "_manifest.json", None)


@pytest.fixture(scope="module")
def lake(client, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lake") / "lake"
    request = Request(
        log="main", filter="", no_index=False, format="parquet", compression="zstd",
        region="@attributes.region", account="123456789012",
    )  # fmt: skip
    export_to_folder(client, folder, request, round_bytes=1_500_000)
    return folder


def query(sql: str, folder: Path) -> list[tuple]:
    return duckdb.sql(sql.format(f"read_parquet('{folder}/**/*.parquet', hive_partitioning = true)")).fetchall()


def test_duckdb_reads_partitions_and_finds_every_event_once(lake):
    assert query("SELECT count(*), count(DISTINCT metadata.sequence), max(metadata.sequence) FROM {}", lake) == [
        (COUNT, COUNT, COUNT - 1)
    ]
    regions = query('SELECT region, "accountId", count(*) FROM {} GROUP BY ALL ORDER BY 1', lake)
    assert [(region, str(account), count) for region, account, count in regions] == [
        ("eu-central-1", "123456789012", COUNT // 2), ("us/east=1", "123456789012", COUNT // 2)
    ]  # fmt: skip
    days = query('SELECT DISTINCT "eventDay" FROM {} ORDER BY 1', lake)
    assert [str(day) for (day,) in days] == sorted(
        (LAST_DAY - timedelta(days=n)).strftime("%Y%m%d") for n in range(DAYS)
    )
    wrong = "SELECT count(*) FROM {} WHERE strftime(make_timestamp(time * 1000), '%Y%m%d') <> \"eventDay\"::VARCHAR"
    assert query(wrong, lake) == [(0,)]


def test_duckdb_answers_as_the_log_does(lake, client):
    sql = "SELECT count(*) FROM {} WHERE api.operation = 'file.read' AND status_code = 'DENIED'"
    assert query(sql, lake) == [(len(list(client.query('action = "file.read" AND outcome = DENIED'))),)]
    activities = "SELECT api.operation, any_value(activity_id), any_value(type_uid) FROM {} GROUP BY 1 ORDER BY 1"
    assert query(activities, lake) == [
        ("GetObject", 2, 600302), ("file.read", 2, 600302), ("key.rotate", 3, 600303), ("role.create", 1, 600301),
        ("user.login", 99, 600399),
    ]  # fmt: skip


def test_hostile_text_and_leaves_survive_parquet_exactly(lake, leaves):
    rows = query("SELECT metadata.sequence, status_detail, raw_data FROM {} ORDER BY 1", lake)
    assert [reason for _, reason, _ in rows] == [HOSTILE[number % len(HOSTILE)] for number in range(COUNT)]
    assert [raw.encode() for _, _, raw in rows] == leaves


def test_parquet_keeps_the_limits_of_security_lake(lake):
    paths = list(lake.rglob("*.parquet"))
    assert len(paths) > 6
    for path in paths:
        table = pq.read_table(path, columns=["time"], partitioning=None)
        times = table.column("time").to_pylist()
        assert times == sorted(times)
        metadata = pq.read_metadata(path)
        assert metadata.num_row_groups == 1
        group = metadata.row_group(0)
        assert {group.column(n).compression for n in range(group.num_columns)} == {"ZSTD"}
        assert group.total_byte_size < 256 * 1024 * 1024
        assert all("/" not in step or step.count("=") <= 1 for step in path.relative_to(lake).parts)


@pytest.mark.parametrize("text", ["../../etc", "a/b", ".", "..", "x=1", "\0", "\u202e", " ", "%2F", "ü"])
def test_a_partition_is_one_folder_whatever_an_event_says(text):
    from auditd_client.exports._partition import escaped

    assert set(escaped(text)) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-%")
    assert not escaped(text).startswith(".")
    from urllib.parse import unquote

    assert unquote(escaped(text)) == text


def test_a_disk_that_is_full_at_once_leaves_nothing_behind(server, tmp_path):
    done = run_export(server, "--out", str(tmp_path / "all"), limit_kib=100)
    assert done.returncode == 2
    assert b"File too large" in done.stderr
    assert b"Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_export_interrupted_by_a_full_disk_goes_on_to_the_row(client, server, leaves, tmp_path, monkeypatch):
    whole = export_to_folder(client, tmp_path / "whole", jsonl(), round_bytes=1_000_000)
    from auditd_client.exports import _lines

    written = []
    original = _lines.JsonLines.write

    def full(self, entries, file):
        if len(written) == 2:
            file.write(b"half")
            raise OSError(28, "No space left on device", str(tmp_path))
        written.append(len(entries))
        original(self, entries, file)

    with monkeypatch.context() as patched:
        patched.setattr(_lines.JsonLines, "write", full)
        with pytest.raises(OutputError, match=r"No space left on device; \d+ rows in 2 parts are finished: --resume"):
            export_to_folder(client, tmp_path / "all", jsonl(), round_bytes=1_000_000)
    before = files(tmp_path / "all")
    assert (
        sorted(before) == [whole.parts[0].path, whole.parts[1].path, "_export-journal.jsonl"][::1] or len(before) == 3
    )
    inodes = {path: (tmp_path / "all" / path).stat().st_ino for path in before if "journal" not in path}
    again = export_to_folder(client, tmp_path / "all", jsonl(), resume=True, round_bytes=1_000_000)
    assert again == whole
    assert files(tmp_path / "all") == files(tmp_path / "whole")
    assert all(
        (tmp_path / "all" / path).stat().st_ino == inode for path, inode in inodes.items() if "journal" not in path
    )
    assert export_to_folder(client, tmp_path / "all", jsonl(), resume=True) == whole


def test_what_a_crash_left_unfinished_is_removed_when_it_is_resumed(client, tmp_path, monkeypatch):
    whole = export_to_folder(client, tmp_path / "whole", jsonl(), round_bytes=1_000_000)
    from auditd_client.exports import _folder
    from auditd_client.exports._journal import Journal

    commits = []
    original = Journal.commit

    class PowerCut(BaseException):
        pass

    def cut(self, *arguments):
        if len(commits) == 1:
            raise PowerCut
        commits.append(original(self, *arguments))

    monkeypatch.setattr(Journal, "commit", cut)
    monkeypatch.setattr(_folder._Run, "_remove", lambda *_: None)  # nobody cleans up after a power cut
    with pytest.raises(PowerCut):
        export_to_folder(client, tmp_path / "all", jsonl(), round_bytes=1_000_000)
    monkeypatch.undo()
    with (tmp_path / "all" / "_export-journal.jsonl").open("ab") as journal:
        journal.write(b'{"commit":{"par')  # torn
    assert export_to_folder(client, tmp_path / "all", jsonl(), resume=True, round_bytes=2_000_000).rows == COUNT
    verify_export(tmp_path / "all" / "_manifest.json", None)
    assert whole.rows == COUNT


def test_refuses_a_folder_that_holds_something_else(client, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for resume in (False, True):
        with pytest.raises(OutputError, match="not an empty folder"):
            export_to_folder(client, tmp_path, jsonl(), resume=resume)
    assert files(tmp_path) == {"notes.txt": b"mine"}


def test_resumes_only_the_export_that_was_begun(client, tmp_path):
    export_to_folder(client, tmp_path / "all", jsonl())
    with pytest.raises(OutputError, match="another request"):
        export_to_folder(client, tmp_path / "all", jsonl(compression="zstd"), resume=True)


# Verifying


@pytest.fixture
def exported(client, tmp_path):
    return tmp_path / "all", export_to_folder(client, tmp_path / "all", jsonl(), round_bytes=1_000_000)


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder, part: flip(folder / part.path),
        lambda folder, part: (folder / part.path).unlink(),
        lambda folder, part: (folder / "more.jsonl").write_bytes(b"{}\n"),
        lambda folder, part: (folder / part.path).write_bytes((folder / part.path).read_bytes() + b"{}\n"),
        lambda folder, part: change(folder, lambda m: m["parts"][0].update(path="../other.jsonl")),
        lambda folder, part: change(folder, lambda m: m["parts"][0].update(path="/etc/passwd")),
        lambda folder, part: change(folder, lambda m: m["parts"][0].update(rows=1)),
        lambda folder, part: change(folder, lambda m: m.update(rows=m["rows"] + 1)),
        lambda folder, part: change(folder, lambda m: m["parts"].pop()),
        lambda folder, part: change(folder, lambda m: m["parts"].append(m["parts"][0])),
        lambda folder, part: change(folder, lambda m: m.update(version=2)),
        lambda folder, part: change(folder, lambda m: m.update(tree_size=1)),
        lambda folder, part: change(folder, lambda m: m.update(checkpoint="none")),
        lambda folder, part: (folder / "_manifest.json").write_bytes(b'{"kind": "auditd-export"' + b"[" * 9_999),
        lambda folder, part: forge(folder, part),
    ],
    ids=[
        "altered", "missing", "additional", "longer", "climbing path", "absolute path", "fewer rows", "other sum",
        "part left out", "part twice", "version", "tree size", "checkpoint", "no JSON", "rows and checksums forged",
    ],
)  # fmt: skip
def test_an_export_that_was_altered_does_not_verify(exported, server, harm):
    folder, manifest = exported
    harm(folder, manifest.parts[0])
    with pytest.raises(VerificationError):
        verify_export(folder / "_manifest.json", server.vkey)


def change(folder: Path, how) -> None:
    path = folder / "_manifest.json"
    manifest = json.loads(path.read_bytes())
    how(manifest)
    path.write_text(json.dumps(manifest))


def forge(folder: Path, part) -> None:
    """Alter a leaf, and every checksum that a forger can reach: only the tree tells."""
    path = folder / part.path
    path.write_bytes(path.read_bytes().replace(b'"user-1"', b'"user-2"', 1))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    change(folder, lambda manifest: manifest["parts"][0].update(sha256=digest))
