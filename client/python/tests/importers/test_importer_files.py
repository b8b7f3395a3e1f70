"""Which files an importer reads, in which pieces, and what it refuses to read."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc

import pytest
import zstandard

from auditd_client.importers import BadLine, ImportFileError, _source, find_files, importer
from auditd_client.importers._lines import lines
from auditd_client.importers._records import MAX_RECORD_BYTES
from auditd_client.importers._source import Source

CLOUDTRAIL, JSONL = importer("cloudtrail"), importer("jsonl")


def line(number, **members):
    return json.dumps({"id": f"e-{number}", "time": "2026-11-20T10:00:00Z", "action": "a", **members})


def source(data, name="f", file=None):
    return Source(name, file or io.BytesIO(data), lambda *_: None, is_live=False)


def read(data, by=JSONL):
    """Read bytes; ids of events, and (where, reason) of what is bad."""
    found = [one for batch in by.read(source(data)) for one in batch]
    return [(one.where, one.reason) if isinstance(one, BadLine) else one.event.id for one in found]


class Trickle(io.RawIOBase):
    """A file whose reads give a few bytes only, as a pipe may."""

    def __init__(self, data, size):
        self._inner, self._size = io.BytesIO(data), size

    def read(self, size=-1):
        return self._inner.read(self._size)


def test_finds_the_files_of_a_folder_by_name_and_takes_each_once(tmp_path):
    for name in ("b.json", "a.json.gz", "deep/c.json.zst", "notes.txt", "x_CloudTrail-Digest_y.json.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    found = find_files(CLOUDTRAIL, [str(tmp_path / "b.json"), str(tmp_path), str(tmp_path / "notes.txt"), "-"])
    names = [path.removeprefix(f"{tmp_path}/") for path in found]
    assert names == ["b.json", "a.json.gz", "deep/c.json.zst", "notes.txt", "-"]


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress], ids=["plain", "gzip", "zstd"])
def test_the_size_of_pieces_changes_nothing(size, compress):
    one = json.dumps({"Records": [{"eventID": "x", "n": 12, "s": "\u00e9\u20ac"}, {"eventID": "y"}], "tail": 12345})
    text = ("[" + line(1) + ",\n " + line(2, reason="zw\u00f6lf") + "\n]").encode()
    whole = [read(compress(text)), read(compress(one.encode()), CLOUDTRAIL)]
    for data, by, expected in ((text, JSONL, whole[0]), (one.encode(), CLOUDTRAIL, whole[1])):
        trickled = source(b"", file=Trickle(compress(data), size))
        found = [one for batch in by.read(trickled) for one in batch]
        assert [(one.where, one.reason) if isinstance(one, BadLine) else one.event.id for one in found] == expected
    assert whole[0] == ["e-1", "e-2"]
    assert [where for where, _ in whole[1]] == ["f:1: Records[0]", "f:1: Records[1]"]


def test_reads_frames_and_members_that_follow_each_other():
    text = [f"{line(1)}\n".encode(), f"{line(2)}\n".encode()]
    assert read(b"".join(map(gzip.compress, text))) == ["e-1", "e-2"]
    assert read(b"".join(map(zstandard.compress, text))) == ["e-1", "e-2"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(b"text" * 100)[:-4], "damaged gzip data"),
        (b"\x1f\x8b\x08", "damaged gzip data"),
        (gzip.compress(b"text")[:10] + b"\xff" * 20, "damaged gzip data"),
        (gzip.compress(b"text") + b"garbage", "damaged gzip data"),
        (zstandard.compress(b"text" * 100)[:-3], "damaged zstd data: cut off"),
        (zstandard.compress(b"text") + b"garbage", "damaged zstd data"),
        (zstandard.compress(b"text")[:6], "damaged zstd data"),
    ],
    ids=["cut off", "header only", "bad stream", "garbage behind", "zstd cut off", "zstd garbage", "zstd header"],
)
def test_names_a_damaged_file(data, message):
    with pytest.raises(ImportFileError, match=f"^f: {message}"):
        read(data)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_bomb_is_refused_in_little_memory(kind, monkeypatch):
    monkeypatch.setattr(_source, "_EXPANSION_FROM_BYTES", 8 << 20)
    zeros = bytes(64 << 20)
    bomb = gzip.compress(zeros, 9) if kind == "gzip" else zstandard.compress(zeros)
    del zeros
    tracemalloc.start()
    try:
        with pytest.raises(ImportFileError, match=rf"bytes of {kind} data become more than \d+; no log does"):
            read(bomb)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


def test_many_lines_and_long_documents_take_little_memory():
    many = b"".join(f"{line(number, attributes={'x': 'y' * 5000})}\n".encode() for number in range(2_000))
    document = b"[" + b",".join(many.splitlines()) + b"]"
    for data in (many, document):
        tracemalloc.start()
        try:
            count = sum(len(batch) for batch in JSONL.read(source(data)))
            assert count == 2_000
            assert tracemalloc.get_traced_memory()[1] < 12 << 20
        finally:
            tracemalloc.stop()


def test_a_bad_line_is_named_and_the_next_ones_are_read():
    data = b"\n".join(
        [
            line(1).encode(),
            b"",
            b"\xff\xfe",
            b'{"a":',
            b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            b'{"id":"x"}',
            line(2).encode() + b" {}",
            b"[1]",
            line(3, time="yesterday").encode(),
            line(4).encode(),
        ]
    )
    found = read(data)
    assert found[0] == "e-1"
    assert found[-1] == "e-4"
    assert [where for where, _ in found[1:-1]] == [f"f:{number}" for number in range(3, 10)]
    reasons = [reason for _, reason in found[1:-1]]
    assert reasons[0] == "no UTF-8 at byte 0"
    assert "no JSON value" in reasons[1]
    assert "nested too deeply" in reasons[2]
    assert reasons[3] == "time: missing"
    assert "more text after the object" in reasons[4]
    assert "no JSON object" in reasons[5]
    assert reasons[6].startswith("time: 'yesterday' is no RFC 3339 time")


def test_a_line_longer_than_any_event_is_skipped_over():
    data = b'{"a":"' + b"x" * (2 * MAX_RECORD_BYTES) + b'"}\n' + line(1).encode()
    assert read(data) == [("f:1", f"longer than {MAX_RECORD_BYTES} bytes"), "e-1"]
    found = [one for batch in lines(iter([data])) for one in batch]
    assert len(found[0].raw) == 4096


def test_attributes_larger_than_an_event_may_have_are_named_before_they_are_sent():
    data = f"{line(1, attributes={'x': 'y' * 60_000})}\n{line(2)}".encode()
    ((where, reason), second) = read(data)
    assert (where, reason, second) == ("f:1", "event.attributes: 60009 bytes, limit 60000", "e-2")


def test_a_bad_object_of_a_document_is_named_and_the_next_ones_are_read():
    data = f'[\n{line(1)},\n{{"id":1,"id":2}},\n5,\n{line(2)}\n,{line(3)} garbage'.encode()
    found = read(data.replace(b'"e-2"', b'"e-\xff2"'))
    assert found[0] == "e-1"
    assert found[1] == ("f:3: [1]", "member 'id' stands twice, again at character 8")
    assert found[2] == ("f:4: [2]", "no JSON object at character 0")
    assert found[3][0] == "f:5: [3]"
    assert found[3][1].startswith("no UTF-8 at byte ")
    assert found[4] == "e-3"
    assert found[5][0] == "f:6"
    assert found[5][1].endswith("the rest of the file cannot be read")


@pytest.mark.parametrize("text", ["[", "[{", '{"Records":[', '{"Records":[{}', '{"Records":[{},]}', '{"Records":[]} x'])
def test_a_document_that_is_cut_off_or_malformed_says_so(text):
    found = read(text.encode(), CLOUDTRAIL)
    assert found[-1][0].startswith("f:1")
    assert found[-1][1].endswith("the rest of the file cannot be read")


def test_an_endless_object_of_a_document_ends_the_reading():
    data = b'[{"a":"' + b"x" * (3 * MAX_RECORD_BYTES)
    assert read(data) == [("f:1", f"no end within {MAX_RECORD_BYTES} bytes; the rest of the file cannot be read")]


def test_same_lines_are_different_events_and_the_same_again_when_read_again():
    text = '{"time":"2026-11-20T10:00:00Z","action":"a"}\n'
    first, again = read((text * 3).encode()), read((text * 5).encode())
    assert len(set(first)) == 3
    assert again[:3] == first
    assert [name.rpartition("-")[2] for name in again] == ["1", "2", "3", "4", "5"]


def test_what_is_set_for_all_events_is_part_of_a_derived_name():
    text = b'{"time":"2026-11-20T10:00:00Z","action":"a"}'
    web = type(JSONL)(JSONL.mapping.with_constants([("origin.device_id", "web-1")]))
    assert read(text) != read(text, web)
    assert read(line(1).encode(), web) == ["e-1"]
