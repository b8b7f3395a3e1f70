"""The tour behind `make demo`, given whole."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def start_demo(scratch, *arguments):
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "demo", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def give_demo(scratch, *arguments):
    demo = start_demo(scratch, *arguments)
    told, complaints = demo.communicate(timeout=120)
    assert demo.returncode == 0, told + complaints
    return told


def address_in(told):
    found = re.search(r"--listen (127\.0\.0\.1):(\d+)", told)
    assert found is not None
    return found[1], int(found[2])


@pytest.fixture(scope="module")
def tour(tmp_path_factory):
    scratch = tmp_path_factory.mktemp("demo")
    return give_demo(scratch, "--events", "1500"), scratch


def test_tour_finds_proves_and_catches(tour):
    told, _ = tour
    assert "1,500 events in" in told
    assert re.search(r"203\.0\.113\.77 +64 +24", told)
    index = re.search(r"(\d+) +02:4\d:\d\d +role\.assign", told)
    assert index is not None
    assert f"auditlog prove {index[1]} " in told
    assert f"verified entry: index {index[1]}" in told
    assert "rows are never changed" in told
    before, _, after = told.partition("behind SQLite's back")
    assert re.search(rf"\b{index[1]}\b", after.partition("Exit status 1")[0].partition("auditlog check copy")[2])
    assert "auditlog check server" in before


def test_tour_is_plain_text_when_piped(tour):
    told, _ = tour
    assert "\x1b" not in told
    assert "\r" not in told


def test_tour_leaves_nothing_behind(tour):
    told, scratch = tour
    assert list(scratch.iterdir()) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address_in(told), timeout=5)


def test_tour_over_cloudtrail_files_imports_them(tmp_path):
    data, scratch = tmp_path / "data", tmp_path / "scratch"
    data.mkdir()
    scratch.mkdir()
    records = [
        {
            "eventVersion": "1.08",
            "eventID": f"event-{number}",
            "eventTime": "2023-07-10T12:08:48Z",
            "eventSource": "ec2.amazonaws.com",
            "eventName": "RunInstances",
            "userIdentity": {"type": "IAMUser", "userName": "ada", "arn": "arn:aws:iam::1:user/ada"},
            "sourceIPAddress": "192.0.2.1",
            **({"errorCode": "AccessDenied"} if number == 2 else {}),
        }
        for number in range(4)
    ]
    (data / "1_CloudTrail_us-east-1_20230710T1145Z_x.json").write_text(json.dumps({"Records": records}))
    told = give_demo(scratch, "--data", str(data))
    assert re.search(r"ec2\.RunInstances +ada +1", told)
    assert "verified entry: index 2" in told
    assert "Exit status 1, and the entry is named." in told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-C", "SIGTERM"])
def test_tour_that_is_interrupted_stops_its_server(tmp_path, number):
    demo = start_demo(tmp_path)
    assert demo.stdout is not None
    told = ""
    for line in demo.stdout:
        told += line
        if "verifier key" in line:
            break
    demo.send_signal(number)
    _, complaints = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert complaints == "demo: interrupted; the server is stopped and its folder removed\n"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address_in(told), timeout=5)


def test_folder_that_does_not_exist_is_misuse(tmp_path):
    demo = start_demo(tmp_path, "--data", str(tmp_path / "missing"))
    _, complaints = demo.communicate(timeout=60)
    assert demo.returncode == 2
    assert "no such file or folder" in complaints
