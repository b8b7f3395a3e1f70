"""Evidence packages: from a real server to two verifiers that share no code, and what may be done to them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path

import pytest

from auditd_client import Client
from auditd_client.evidence import standalone, verify_package
from auditd_client.verify import VerificationError, leaf_hash
from tests.hostile_text import is_harmless, recordable
from tests.system.conftest import AUDITLOG, Server, after

SIZE = 24
CHOSEN = 'action = "a.1"'
BOMBS = (
    "entries.jsonl", "proof.hashes", "credentials.jsonl", "omitted.txt", "report.html", "checkpoint-24",
    "manifest.json", "README.txt",
)  # fmt: skip
ALLOWED_TAGS = """html head meta title style body header p h1 h2 h3 div svg g path circle strong dl dt dd a section
    table thead tbody tr th td i b q code pre ul li footer"""
ALLOWED_ATTRIBUTES = """lang charset http-equiv content name class style title href id colspan viewbox aria-hidden fill
    stroke stroke-width stroke-linecap stroke-linejoin d cx cy r"""
Files = list[tuple[str, bytes]]


@pytest.fixture(scope="module")
def server(shared_server: Server) -> Server:
    with Client(shared_server.address, shared_server.token("admin")) as client:
        events = [{"id": f"e{n}", "action": f"a.{n % 3}", "attributes_json": f'{{"n":{n}}}'} for n in range(SIZE)]
        client.append(events[:9])
        shared_server.older = client.checkpoint().checkpoint  # type: ignore[attr-defined]
        client.append(events[9:])
    return shared_server


@pytest.fixture(scope="module")
def package(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight of the entries, with an older checkpoint and the omitted ones listed."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "older").write_text(server.older)  # type: ignore[attr-defined]
    made = folder / "chosen.zip"
    arguments = (CHOSEN, "--evidence", str(made), "--extends", str(folder / "older"), "--list-omitted")
    done = server.cli("export", *arguments, "--key", server.vkey)
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"{made}: 8 entries in a tree of {SIZE}, verified\n"
    return made


@pytest.fixture(scope="module")
def files(package: Path) -> Files:
    with zipfile.ZipFile(package) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def zipped(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def with_manifest(files: Files, change: Callable[[dict], None] = lambda _members: None) -> Files:
    """Return the files with a manifest that fits them: what a cunning forger does as well."""
    members = json.loads(dict(files)["manifest.json"])
    members["files"] = [
        {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files
        if name != "manifest.json"
    ]
    change(members)
    text = (json.dumps(members, ensure_ascii=False, indent=1) + "\n").encode()
    return [(name, text if name == "manifest.json" else data) for name, data in files]


def replaced(files: Files, name: str, data: bytes) -> Files:
    assert name in dict(files)
    return [(other, data if other == name else content) for other, content in files]


class Verdicts:
    """What both verifiers say of a zip, and the small one of the unzipped folder too."""

    def __init__(self, vkey: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.vkey, self.folder, self.capsys = vkey, folder, capsys

    def of(self, data: bytes) -> tuple[str, str]:
        path = self.folder / "judged.zip"
        path.write_bytes(data)
        try:
            with path.open("rb") as file:
                verify_package(file, self.vkey)
            ours = ""
        except VerificationError as error:
            ours = str(error)
        return ours, self.small(path)

    def small(self, path: Path) -> str:
        """Return what the small verifier says against a package, nothing if it is genuine."""
        self.capsys.readouterr()
        status = standalone.main(["--key", self.vkey, str(path)])
        out, err = self.capsys.readouterr()
        assert (status, bool(out), bool(err)) in {(0, True, False), (1, False, True)}
        assert is_harmless(out.replace("\n", "") + err.replace("\n", ""))
        return err

    def refuse(self, data: bytes) -> tuple[str, str]:
        ours, small = self.of(data)
        assert ours
        assert small.startswith("NOT GENUINE")
        return ours, small


@pytest.fixture
def verdicts(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verdicts:
    return Verdicts(server.vkey, tmp_path, capsys)


def test_both_verifiers_find_it_genuine_each_in_a_process_of_its_own(server, package, tmp_path):
    done = server.cli("verify", str(package), "--key", server.vkey, "--output", "jsonl")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    expected = {"verified": True, "kind": "evidence", "entries": 8, "first": 1, "last": 22, "left_out": 14}
    assert said.items() >= (expected | {"tree_size": SIZE, "checkpoints": 2, "filter": CHOSEN}).items()
    assert (said["credentials"], said["report"]) == (1, "verified")
    with zipfile.ZipFile(package) as archive:
        archive.extractall(tmp_path)
    for arguments in ([], [str(package)]):
        command = [sys.executable, "-I", str(tmp_path / "verify.py"), "--key", server.vkey, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("GENUINE: 8 entries of ")
        assert "from 1 to 22, 14 left out between, in a tree of 24." in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(zipfile.ZipFile(package).namelist())


def test_it_holds_the_leaves_verbatim_and_what_the_manifest_says(server, files):
    content = dict(files)
    with Client(server.address, server.token("admin")) as client:
        leaves = [entry.leaf for entry in client.query(CHOSEN, order="asc")]
        omitted = [entry for entry in client.query(order="asc") if entry.leaf not in leaves]
    assert content["entries.jsonl"] == b"".join(leaf + b"\n" for leaf in leaves)
    lines = [f"{entry.index} {leaf_hash(entry.leaf).hex()}" for entry in omitted]
    assert content["omitted.txt"].decode().splitlines() == lines
    members = json.loads(content["manifest.json"])
    assert [file["name"] for file in members["files"]] == [name for name, _ in files][:-1]
    assert members["exported_by"].startswith("svc-test (")
    for file in members["files"]:
        data = content[file["name"]]
        assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


def test_rebuilt_from_its_own_files_it_still_verifies(files, verdicts):
    assert verdicts.of(zipped(with_manifest(files))) == ("", "")
    assert verdicts.of(zipped(files, zipfile.ZIP_STORED)) == ("", "")


def test_every_file_changed_is_refused_whether_or_not_the_manifest_fits(files, verdicts):
    for name, data in files:
        step = max(1, len(data) // 7)
        # Nothing vouches for an issuer's key before there is a signature of it.
        for at in range(0, data.find(b',"waits":') if name == "credentials.jsonl" else len(data), step):
            changed = replaced(files, name, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            verdicts.refuse(zipped(changed))
            if name in ("report.html", "verify.py", "README.txt", "omitted.txt"):
                # A cunning forger needs more than the small verifier to be found out; it says so.
                assert verdicts.of(zipped(with_manifest(changed)))[0], (name, at)
            elif name != "manifest.json":
                verdicts.refuse(zipped(with_manifest(changed)))


@pytest.mark.parametrize("name", ["proof.hashes", "entries.jsonl", "credentials.jsonl", "omitted.txt"])
def test_anything_cut_off_or_appended_is_refused(files, verdicts, name):
    data = dict(files)[name]
    for changed in (b"", data[:-1], data[: len(data) // 2], data + b"\n", data + data, data + bytes(32)):
        ours, small = verdicts.of(zipped(with_manifest(replaced(files, name, changed))))
        if name == "omitted.txt":
            assert ours
        elif name == "credentials.jsonl" and changed == b"":
            assert "report.html" in ours, "what the report says of the tokens does not fit"
        else:
            assert ours
            assert small, (name, changed)


def test_every_file_missing_is_refused(files, verdicts):
    for name, _ in files:
        without = [(other, data) for other, data in files if other != name]
        ours, _ = verdicts.refuse(zipped(without))
        assert name in ours
        if name == "omitted.txt":
            continue  # it is there only if it was asked for
        if name != "manifest.json":
            verdicts.refuse(zipped(with_manifest(without)))


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt", "../evil", "/etc/passwd", "..\\evil", "C:\\evil", "sub/entries.jsonl", "entries.jsonl/",
        "./verify.py", "checkpoint-../x", "checkpoint-\u0661", "ENTRIES.JSONL", "entries.jsonl ", "\u202egnp.exe",
        "a\x1b[2Jb", "__main__.py",
    ],
)  # fmt: skip
def test_a_file_that_does_not_belong_is_refused_by_its_name(files, verdicts, name):
    for added in ([*files, (name, b"x")], with_manifest([*files[:-1], (name, b"x"), files[-1]])):
        ours, small = verdicts.refuse(zipped(added))
        assert "does not belong" in ours
        assert is_harmless(ours)
        assert "does not belong" in small or "missing or added" in small


def test_files_that_stand_twice_are_refused(files, verdicts):
    for name, data in files:
        with pytest.warns(UserWarning, match="Duplicate name"):
            twice = zipped([*files, (name, data)])
        assert "twice" in verdicts.refuse(twice)[0]
        with pytest.warns(UserWarning, match="Duplicate name"):
            twice = zipped(with_manifest([*files[:-1], (name, data), files[-1]]))
        verdicts.refuse(twice)


def test_files_and_entries_in_another_order_are_refused(files, verdicts):
    for at in range(len(files) - 1):
        swapped = [*files[:at], files[at + 1], files[at], *files[at + 2 :]]
        assert "order" in verdicts.refuse(zipped(swapped))[0]
    for at in range(len(files) - 2):
        swapped = [*files[:at], files[at + 1], files[at], *files[at + 2 :]]
        assert "order" in verdicts.of(zipped(with_manifest(swapped)))[0]
    lines = dict(files)["entries.jsonl"].splitlines(keepends=True)
    for changed in (lines[::-1], [lines[1], lines[0], *lines[2:]], [*lines, lines[-1]], lines[1:], lines[:-1]):
        verdicts.refuse(zipped(with_manifest(replaced(files, "entries.jsonl", b"".join(changed)))))


@pytest.mark.parametrize(
    "value", [2**63 - 1, 2**63, 2**64, 10**4_000, 0, -1, str, float, True, None, [8], {}], ids=repr
)
@pytest.mark.parametrize("member", ["entries", "tree_size", "bytes of entries.jsonl", "bytes of report.html"])
def test_counts_that_cannot_be_are_refused_at_once(files, verdicts, member, value):
    def claim(members: dict) -> None:
        count, _, name = member.partition(" of ")
        holder = next((file for file in members["files"] if file["name"] == name), members)
        holder[count] = value(holder[count]) if isinstance(value, type) else value

    verdicts.refuse(zipped(with_manifest(files, claim)))


def test_lists_that_name_a_file_twice_or_too_many_are_refused(files, verdicts):
    def twice(members: dict) -> None:
        members["files"].append(members["files"][0])

    def many(members: dict) -> None:
        members["files"] += [{"name": f"checkpoint-{n}", "bytes": 1, "sha256": "0" * 64} for n in range(1_000)]

    for change in (twice, many, lambda members: members["files"].clear(), lambda members: members.pop("files")):
        verdicts.refuse(zipped(with_manifest(files, change)))


def test_what_the_manifest_claims_is_held_against_what_there_is(files, verdicts):
    for name, value in (("entries", 7), ("tree_size", 9), ("tree_size", 23), ("origin", "evil.example.com/main")):
        verdicts.refuse(
            zipped(with_manifest(files, lambda members, name=name, value=value: members.update({name: value})))
        )
    for name, value in (
        ("filter", "everything"),
        ("exported_by", "the auditor"),
        ("exported_at", "1999-01-01T00:00:00Z"),
    ):
        claimed = with_manifest(files, lambda members, name=name, value=value: members.update({name: value}))
        assert "report.html" in verdicts.of(zipped(claimed))[0], "the report says something else"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"format":"auditd.v1/evidence"}',
        b'{"format":"auditd.v2/evidence"}',
        b"[" * 100_000,
    ],
)
def test_a_malformed_manifest_is_refused(files, verdicts, text):
    verdicts.refuse(zipped(replaced(files, "manifest.json", text)))


@pytest.mark.parametrize("member", ["name", "bytes", "sha256"])
def test_the_small_verifier_says_in_words_what_a_manifest_lacks(files, verdicts, member):
    manifest = json.loads(dict(files)["manifest.json"])
    del manifest["files"][0][member]
    small = verdicts.refuse(zipped(replaced(files, "manifest.json", json.dumps(manifest).encode())))[1]
    assert small == f"NOT GENUINE, something is missing: '{member}'\n"


def test_malformed_entries_are_refused(files, verdicts):
    first = dict(files)["entries.jsonl"].split(b"\n")[0]
    for line in (
        b"",
        b"{}",
        b"null",
        b"\xff",
        b"[" * 60_000,
        b'{"a":' * 10_000,
        first[:-1] + b',"index":1}',
        first.replace(b'"index":1,', b'"index":1.0,'),
        first.replace(b'"index":1,', b'"index":-1,'),
        first.replace(b'"index":1,', b'"index":99999999999999999999,'),
        first.replace(b'"v":1,', b'"v":2,'),
        first + b" " * 70_000,
    ):
        data = dict(files)["entries.jsonl"].replace(first, line, 1)
        verdicts.refuse(zipped(with_manifest(replaced(files, "entries.jsonl", data))))


def test_another_log_or_key_is_refused(files, verdicts, make_server):
    other = make_server(start=False)
    verdicts.vkey = other.vkey
    assert "not signed by the key" in verdicts.refuse(zipped(files))[0]


class TestZips:
    """What a zip can be beside what a package is."""

    def test_with_something_before_between_or_behind(self, files, verdicts):
        data = zipped(files)
        for changed in (
            b"#!/bin/sh\n" + data,
            data + b"x",
            data + data,
            data[:-1],
            data[:100],
            b"",
            b"PK",
            b"PK\5\6" * 9,
        ):
            assert verdicts.of(changed)[0]
        for changed in (data + b"x", data[:-1], b"PK\3\4"):
            verdicts.refuse(changed)

    def test_behind_something_else(self, files, verdicts):
        verdicts.refuse(b"#!/bin/sh\n" + zipped(files))

    def test_with_a_comment(self, files, verdicts):
        out = io.BytesIO(zipped(files))
        with zipfile.ZipFile(out, "a") as archive:
            archive.comment = b"see also the other package"
        verdicts.refuse(out.getvalue())

    def test_with_two_headers_that_differ(self, files, verdicts):
        data = zipped(files)
        assert "two headers" in verdicts.of(data.replace(b"README.txt", b"README.exe", 1))[0]

    def test_with_files_that_overlap(self, files, verdicts):
        data = bytearray(zipped(files))
        directory = data.index(b"PK\1\2")
        second = data.index(b"PK\1\2", directory + 4)
        data[second + 42 : second + 46] = data[directory + 42 : directory + 46]
        verdicts.refuse(bytes(data))

    def test_encrypted_or_of_another_compression(self, files, verdicts):
        data = zipped(files)
        at = data.index(b"PK\1\2")
        verdicts.refuse(data[: at + 8] + b"\1" + data[at + 9 :])
        verdicts.refuse(zipped(files, zipfile.ZIP_LZMA)[:-1])
        assert "unknown compression" in verdicts.of(zipped(files, zipfile.ZIP_BZIP2))[0]

    def test_with_more_files_than_a_package_has(self, files, verdicts):
        crowd = [(f"checkpoint-{number}", b"x") for number in range(1_000, 1_500)]
        ours, small = verdicts.refuse(zipped([*files, *crowd]))
        assert "more than" in ours
        assert "more files" in small

    @pytest.mark.parametrize("name", BOMBS)
    def test_that_are_bombs_are_refused_without_being_unpacked(self, files, verdicts, name):
        bomb = replaced(files, name, bytes(20 << 20))
        packed = zipped(bomb if name == "manifest.json" else with_manifest(bomb))
        assert len(packed) < 1 << 20
        ours, small = verdicts.of(packed)
        assert ours
        assert small or name in ("omitted.txt", "report.html", "README.txt"), "read, not kept, not believed"

    def test_that_hold_more_than_their_manifest_says(self, files, verdicts):
        def understate(members: dict) -> None:
            for file in members["files"]:
                file["bytes"] -= 1

        verdicts.refuse(zipped(with_manifest(files, understate)))

    def test_that_lie_about_a_size(self, files, verdicts):
        data = bytearray(zipped(files))
        at = data.index(b"PK\1\2")
        (size,) = struct.unpack("<I", data[at + 24 : at + 28])
        data[at + 24 : at + 28] = struct.pack("<I", size - 5)
        verdicts.refuse(bytes(data))

    def test_with_bits_flipped_anywhere(self, files, verdicts):
        data = zipped(files)
        directory = data.index(b"PK\1\2")
        for at in (*range(7, directory, directory // 30), *range(directory, len(data), 7)):
            changed = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
            ours, _ = verdicts.of(changed)
            with zipfile.ZipFile(io.BytesIO(data)) as intact:
                same = _contents(changed) == {name: intact.read(name) for name in intact.namelist()}
            assert ours or same, f"byte {at}"


def _contents(data: bytes) -> dict[str, bytes]:
    with suppress(Exception), zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
    return {}


def test_a_folder_is_verified_like_a_zip(files, verdicts, tmp_path):
    folder = tmp_path / "unzipped"
    folder.mkdir()
    for name, data in files:
        (folder / name).write_bytes(data)
    assert verdicts.small(folder) == ""
    (folder / "notes.txt").write_text("mine")
    assert "does not belong" in verdicts.small(folder)
    (folder / "notes.txt").unlink()
    (folder / "entries.jsonl").rename(tmp_path / "elsewhere")
    assert "missing" in verdicts.small(folder)
    (folder / "entries.jsonl").symlink_to(tmp_path / "elsewhere")
    assert "link" in verdicts.small(folder)


def test_a_scattered_selection_of_more_than_a_thousand_runs_is_one_proof(make_server, tmp_path):
    server = make_server()
    with Client(server.address, server.token("admin")) as client:
        for start in range(0, 2_300, 1_000):
            client.append([{"action": f"a.{n % 2}"} for n in range(start, min(start + 1_000, 2_300))])
    made = tmp_path / "many.zip"
    done = server.cli("export", 'action = "a.1"', "--evidence", str(made), "--list-omitted", "--key", server.vkey)
    assert done.returncode == 0, done.stderr
    assert standalone.verify(made, server.vkey).startswith("GENUINE: 1150 entries")
    seen = server.cli("query", 'action = "log.prove"', "--output", "jsonl", env={"AUDITLOG_LOG": "access"}).stdout
    assert '"lowest_index":0,"highest_index":2299}' in seen, "what was proven is recorded"


def test_a_package_past_the_index_holds_the_same_entries(server, files, tmp_path):
    made = tmp_path / "past.zip"
    done = server.cli("export", CHOSEN, "--evidence", str(made), "--no-index", "--key", server.vkey)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(made) as archive:
        assert archive.read("entries.jsonl") == dict(files)["entries.jsonl"]


def test_a_run_without_gaps_is_said_to_be_whole(server, tmp_path, verdicts):
    made = tmp_path / "run.zip"
    done = server.cli("export", "index >= 5 AND index < 21", "--evidence", str(made), "--key", server.vkey)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(made) as archive:
        assert len(archive.read("proof.hashes")) // 32 <= 2 * SIZE.bit_length(), "a range proof"
        assert "All entries from 5 to 20" in archive.read("report.html").decode()
    assert "from 5 to 20, none left out between" in standalone.verify(made, server.vkey)


class TestNothingHalfMade:
    def test_where_nothing_matches(self, server, tmp_path):
        done = server.cli("export", 'action = "no.such"', "--evidence", str(tmp_path / "e.zip"))
        assert done.returncode == 2
        assert "a package of nothing would prove nothing" in done.stderr
        assert list(tmp_path.iterdir()) == []

    def test_where_the_filter_is_none(self, server, tmp_path):
        done = server.cli("export", 'action = "', "--evidence", str(tmp_path / "e.zip"))
        assert done.returncode == 2
        assert list(tmp_path.iterdir()) == []

    def test_where_the_key_is_of_another_log(self, server, tmp_path):
        done = server.cli("export", "", "--evidence", str(tmp_path / "e.zip"), "--key", server.vkeys["control"])
        assert done.returncode == 1
        assert list(tmp_path.iterdir()) == []

    def test_where_the_disk_is_full(self, server, tmp_path):
        environment = {"AUDITLOG_ADDRESS": server.address, "AUDITLOG_TOKEN": server.token("admin")}
        # Python would leave cut-off byte code behind, which counts as a file as well.
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        command = [*after("ulimit -f 16"), "export", "--evidence", f"{tmp_path}/e.zip", "--list-omitted"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (2, f"auditlog: {tmp_path}/e.zip: File too large\n")
        assert list(tmp_path.iterdir()) == []

    def test_where_it_is_told_to_end(self, server, tmp_path):
        environment = {"AUDITLOG_ADDRESS": server.address, "AUDITLOG_TOKEN": server.token("admin")}
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            export = [AUDITLOG, "export", "--evidence", str(tmp_path / "e.zip")]
            process = subprocess.Popen(export, env=environment, stderr=subprocess.PIPE, text=True)
            until = time.monotonic() + 30
            while not list(tmp_path.iterdir()) and time.monotonic() < until:
                os.sched_yield()
            process.send_signal(signal.SIGTERM)
            assert (process.wait(timeout=30), process.stderr.read()) == (143, "")
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
            process.stderr.close()
        assert list(tmp_path.iterdir()) == []

    def test_where_the_folder_is_not_there(self, server, tmp_path):
        done = server.cli("export", "--evidence", str(tmp_path / "nowhere" / "e.zip"))
        assert done.returncode == 2
        assert "No such file" in done.stderr

    def test_where_a_kept_checkpoint_is_none(self, server, tmp_path):
        (tmp_path / "kept").write_text("monday\n")
        done = server.cli("export", "--evidence", str(tmp_path / "e.zip"), "--extends", str(tmp_path / "kept"))
        assert done.returncode == 2
        assert done.stderr == f"auditlog: --extends: {tmp_path / 'kept'}: no signed checkpoint\n"
        assert not (tmp_path / "e.zip").exists()

    def test_where_the_log_is_behind_a_kept_checkpoint(self, server, make_server, tmp_path):
        shorter = make_server()
        (tmp_path / "kept").write_text(server.older)
        done = shorter.cli("export", "--evidence", str(tmp_path / "e.zip"), "--extends", str(tmp_path / "kept"))
        assert done.returncode == 1
        assert "LOG_BEHIND_CALLER" in done.stderr
        assert [path.name for path in tmp_path.iterdir() if path.suffix == ".zip"] == []


class Tags(HTMLParser):
    """Every tag and attribute of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [str(value) for name, value in attrs if name == "href"]


def test_hostile_text_in_every_field_harms_neither_report_nor_verdict(make_server, tmp_path, capsys):
    server = make_server()
    texts = [hostile.text for hostile in recordable() if len(hostile.text.encode()) <= 256]

    def events() -> Iterator[dict]:
        for text in texts:
            quoted = json.dumps({"note": text}, ensure_ascii=False)
            yield {"action": "a.b", "reason": text, "actor": {"name": text}, "attributes_json": quoted}
            yield {"action": "a.b", "resources": [{"type": "file", "name": text}], "origin": {"user_agent": text}}

    with Client(server.address, server.token("admin")) as client:
        client.append(list(events()))
    made = tmp_path / "hostile.zip"
    done = server.cli("export", '"<script>" OR NOT "</td><script>alert(1)</script>"', "--evidence", str(made), "--key",
                      server.vkey)  # fmt: skip
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(made) as archive:
        page = archive.read("report.html").decode()
    assert all(is_harmless(line) for line in page.split("\n"))
    tags = Tags()
    tags.feed(page)
    assert tags.tags <= set(ALLOWED_TAGS.split())
    assert tags.attributes <= set(ALLOWED_ATTRIBUTES.split())
    assert "default-src 'none'" in page
    assert tags.links == ["#verify"], "nothing is fetched"
    assert "url(" not in page
    done = server.cli("verify", str(made), "--key", server.vkey)
    assert done.returncode == 0
    assert is_harmless(done.stdout.rstrip("\n"))
    assert standalone.main(["--key", server.vkey, str(made)]) == 0
    assert is_harmless(capsys.readouterr().out.replace("\n", ""))
