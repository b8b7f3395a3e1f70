"""Which files an importer reads, and what it refuses to read."""

from __future__ import annotations

import gzip

import pytest

from auditd_client.importers import ImportFileError, _source, find_files, read_text
from auditd_client.importers.cloudtrail import CLOUDTRAIL


def test_finds_the_files_of_a_folder_by_name_and_takes_each_once(tmp_path):
    for name in ("b.json", "a.json.gz", "deep/c.json", "notes.txt", "x_CloudTrail-Digest_y.json.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    found = find_files(CLOUDTRAIL, [tmp_path / "b.json", tmp_path, tmp_path / "notes.txt"])
    assert [str(path.relative_to(tmp_path)) for path in found] == ["b.json", "a.json.gz", "deep/c.json", "notes.txt"]


def test_reads_gzip_by_its_first_bytes_whatever_the_name(tmp_path):
    (tmp_path / "a.json").write_bytes(gzip.compress(b"one") + gzip.compress("twö".encode()))
    assert read_text(tmp_path / "a.json") == "onetwö"


def test_refuses_a_file_that_grows_beyond_all_measure(tmp_path, monkeypatch):
    monkeypatch.setattr(_source, "MAX_TEXT_BYTES", 1000)
    (tmp_path / "bomb").write_bytes(gzip.compress(bytes(1001)))
    with pytest.raises(ImportFileError, match="more than 1000 bytes once decompressed"):
        read_text(tmp_path / "bomb")
    (tmp_path / "fits").write_bytes(gzip.compress(bytes(1000)))
    assert len(read_text(tmp_path / "fits")) == 1000


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(b"text" * 100)[:-4], "damaged gzip data"),
        (b"\x1f\x8b\x08", "damaged gzip data"),
        (gzip.compress(b"text")[:10] + b"\xff" * 20, "damaged gzip data"),
        (gzip.compress(b"text") + b"garbage", "damaged gzip data"),
        (b"ok\xff", "no UTF-8 at byte 2"),
    ],
    ids=["cut off", "header only", "bad stream", "garbage behind", "no UTF-8"],
)
def test_names_a_damaged_file(tmp_path, data, message):
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(ImportFileError, match=message):
        read_text(tmp_path / "f")
