"""Whatever a caller recorded, no output of a real server's data acts on whoever reads it."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess

import pytest

from auditd_client import Client
from tests.hostile_text import is_formula, is_harmless, recordable
from tests.system.conftest import AUDITLOG, Server

TEXTS = [hostile.text for hostile in recordable()]
SHORT = [text for text in TEXTS if len(text.encode()) <= 256]


def hostile_event(number: int) -> dict:
    text = TEXTS[number]
    short = text if text in SHORT else "long"
    return {
        "id": f"event-{number}",
        "action": "a",
        "reason": text,
        "actor": {"id": f"user-{number}", "name": short},
        "resources": [{"type": "file", "name": short}],
        "origin": {"user_agent": text, "endpoint": text},
        "attributes": {"text": text, "key " + short.replace("\0", ""): [text]},
    }


@pytest.fixture(scope="module")
def server(shared_server: Server) -> Server:
    with Client(shared_server.address, shared_server.token("admin")) as client:
        client.append([hostile_event(number) for number in range(len(TEXTS))])
    return shared_server


@pytest.fixture(scope="module")
def environment(server: Server) -> dict[str, str]:
    bare = {key: value for key, value in os.environ.items() if not key.startswith("AUDITLOG_")}
    return {**bare, "AUDITLOG_ADDRESS": server.address, "AUDITLOG_TOKEN": server.token("admin")}


def output_of(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [AUDITLOG, *arguments], env=environment, capture_output=True, timeout=120, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


@pytest.mark.parametrize(
    "arguments",
    [
        ("query", "--limit", "0", "--columns", "index,reason,actor,resources,origin.user_agent,attributes"),
        ("stats", "--by", "reason", "--top", "500"),
        ("stats", "--by", "attributes.text", "--by", "actor.name", "--top", "500"),
    ],
    ids=["query", "stats", "stats by two"],
)
def test_tables_are_harmless(environment, arguments):
    text = output_of(environment, *arguments)
    assert is_harmless(text.replace("\n", ""))
    assert text.count("\n") >= len(set(TEXTS))


def test_a_tail_is_harmless(environment, server):
    process = subprocess.Popen(
        [AUDITLOG, "tail", "--from", "0"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        lines = [process.stdout.readline().decode() for _ in TEXTS]
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
    assert [line.split()[0] for line in lines] == [str(number) for number in range(len(TEXTS))]
    assert all(is_harmless(line.removesuffix("\n")) for line in lines)


def test_json_lines_mean_exactly_what_was_recorded(environment):
    for command in (("query", "--limit", "0", "--order", "asc", "--output", "jsonl"), ("export",)):
        lines = output_of(environment, *command).split("\n")[:-1]
        events = [json.loads(line)["event"] for line in lines]
        assert [event["reason"] for event in events] == TEXTS
        assert [event["attributes"]["text"] for event in events] == TEXTS


@pytest.mark.parametrize(
    "command",
    [("query", "--limit", "0", "--order", "asc"), ("export",)],
    ids=["query", "export"],
)
def test_csv_is_safe_in_a_spreadsheet_and_exact(environment, command):
    columns = ("--columns", "reason,actor.name,origin.endpoint,attributes.text")
    text = output_of(environment, *command, "--output", "csv", *columns)
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))[1:]
    assert [cell for row in rows for cell in row if is_formula(cell)] == []
    assert [[cell.removeprefix("'") for cell in row] for row in rows] == [
        [text, text if text in SHORT else "long", text, text] for text in TEXTS
    ]


def test_counts_as_csv_are_safe_in_a_spreadsheet(environment):
    text = output_of(environment, "stats", "--by", "reason", "--top", "500", "--output", "csv")
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert [cell for row in rows for cell in row if is_formula(cell)] == []
    assert len(rows) >= len(set(TEXTS))


def test_explanations_show_hostile_filters_harmlessly(environment):
    quoted = [text.replace("\\", "\\\\").replace('"', '\\"').replace("*", "\\*") for text in SHORT if text.strip()]
    for start in range(0, len(quoted), 20):
        terms = " OR ".join(f'actor.name = "{text}"' for text in quoted[start : start + 20])
        text = output_of(environment, "query", terms, "--explain", "--limit", "1")
        assert is_harmless(text.replace("\n", ""))
        assert "fields" in text


def test_single_entries_are_shown_harmlessly(environment):
    for index in (0, 7, 15, 20):
        text = output_of(environment, "get", str(index))
        assert is_harmless(text.replace("\n", ""))
        assert f"user-{index}" in text


def test_what_is_wrong_with_a_hostile_file_is_said_harmlessly(environment, tmp_path):
    lines = [json.dumps({"action": text, text: text}, ensure_ascii=False) for text in TEXTS]
    lines += [text.replace("\n", " ").replace("\r", " ") for text in TEXTS]
    (tmp_path / "hostile.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    arguments = ("import", "jsonl", "--skip-bad", str(tmp_path / "bad.jsonl"), str(tmp_path / "hostile.jsonl"))
    done = subprocess.run([AUDITLOG, *arguments], env=environment, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert is_harmless(done.stderr.decode().replace("\n", "")), ascii(done.stderr)
    assert (tmp_path / "bad.jsonl").read_text(encoding="utf-8").count("\n") >= len(TEXTS)
