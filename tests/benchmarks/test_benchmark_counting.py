"""What the harness counts as recorded, and what it refuses to count."""

from __future__ import annotations

import gzip
import json
import os

import pytest

from auditd_client.importers import importer
from auditd_proto.v1 import audit_log_service_pb2 as pb
from benchmarks._append import Recorded, WrongCountError, count_recorded
from benchmarks._imports import copy_files
from benchmarks._process import processor_s, resident_mb


def answer(*indexes: int, commit: int = 1, duplicate: bool = False) -> bytes:
    response = pb.AppendResponse()
    for index in indexes:
        response.receipts.add(index=index, duplicate=duplicate).recorded_at.seconds = commit
    return response.SerializeToString()


def test_counts_events_and_commits():
    answers = [answer(5, 6), answer(9, 10, commit=2), answer(7, 8)]
    assert count_recorded(answers, 2, 5, 11) == Recorded(6, 2)


@pytest.mark.parametrize(
    ("answers", "size_after", "complaint"),
    [
        pytest.param([answer(5), answer(6, 7)], 9, "1 receipts for a batch of 2", id="a receipt is missing"),
        pytest.param([answer(5, 6, duplicate=True)], 7, "duplicate", id="a duplicate"),
        pytest.param([answer(5, 6), answer(6, 7)], 9, "4 events acknowledged at 3 places", id="a place given twice"),
        pytest.param([answer(5, 6)], 6, "the tree grew by 1", id="an event lost"),
        pytest.param([answer(5, 6)], 8, "the tree grew by 3", id="an event more than was sent"),
        pytest.param([answer(4, 6)], 7, "indexes 4 to 6", id="a place that was taken"),
        pytest.param([answer(6, 7)], 7, "indexes 6 to 7", id="a place beyond the tree"),
    ],
)
def test_refuses_to_count_what_was_not_recorded_once(answers, size_after, complaint):
    with pytest.raises(WrongCountError, match=complaint):
        count_recorded(answers, 2, 5, size_after)


def test_copies_of_cloudtrail_files_differ_in_every_id_and_in_nothing_else(tmp_path):
    record = {
        "eventVersion": "1.08",
        "eventTime": "2023-07-10T11:54:47Z",
        "eventSource": "ec2.amazonaws.com",
        "eventName": "RunInstances",
        "eventID": "6e1fbb4a-5c2c-4ae0-a4f0-4a41b1e9c0aa",
    }
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (source / "a.json.gz").write_bytes(
        gzip.compress(json.dumps({"Records": [record, record | {"eventID": "x"}]}).encode())
    )
    assert copy_files(source, target, 3) == 6
    copies = [json.loads(gzip.decompress(file.read_bytes()))["Records"] for file in sorted(target.iterdir())]
    assert len({records[0].pop("eventID") for records in copies} - {record["eventID"]}) == 3
    assert all(records == copies[0] for records in copies)
    assert sum(1 for file in target.iterdir() for _ in importer("cloudtrail").read_file(file)) == 6


def test_a_process_knows_its_memory_and_time():
    if resident_mb(os.getpid()) is None:
        pytest.skip("this system has no /proc")
    assert 1 < resident_mb(os.getpid()) <= resident_mb(os.getpid(), "VmHWM")
    assert processor_s(os.getpid()) > 0


def test_a_process_that_is_gone_has_neither():
    assert resident_mb(2**30) is None
    assert processor_s(2**30) == 0.0
