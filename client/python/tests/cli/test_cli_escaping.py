"""Recorded text cannot act on the terminal of whoever reads it."""

from __future__ import annotations

import csv
import io
import json

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditd_client.cli import CommandError, shown, shown_json, shown_lines
from tests.hostile_text import every_hostile_text, every_recordable_text, is_formula, is_harmless, recordable


@every_hostile_text
def test_shows_hostile_characters_as_escapes(hostile):
    assert hostile.escape in shown(hostile.text)
    assert is_harmless(shown(hostile.text))


@pytest.mark.parametrize("text", ["", "alice", "a\\u202eb", "Zo\u00eb \u674e \U0001f600", "[red]x[/red]", "e\u0301"])
def test_leaves_other_text_alone(text):
    assert shown(text) == text


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_shows_any_text_on_one_harmless_line(text):
    assert is_harmless(shown(text))


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_keeps_line_breaks_of_notes_only(text):
    assert shown_lines(text).count("\n") == text.count("\n")
    assert is_harmless(shown_lines(text).replace("\n", ""))


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_escaped_json_is_harmless_and_means_the_same(text):
    written = json.dumps({"a": text}, ensure_ascii=False)
    assert is_harmless(shown_json(written))
    assert json.loads(shown_json(written)) == json.loads(written)


@every_recordable_text
def test_tables_show_hostile_text_escaped(connected, auditlog, connect, hostile):
    text = hostile.text
    connect().append({"action": "a", "id": "1", "actor": {"name": text, "roles": [text]}, "reason": text})
    for arguments in (["query", "--columns", "actor,reason,actor.roles"], ["get", "0"]):
        result = auditlog(*arguments)
        assert result.exit_code == 0
        assert result.stdout.count(hostile.escape or shown(text)) >= 3
        assert is_harmless(result.stdout.replace("\n", ""))


def test_tables_do_not_interpret_markup(connected, auditlog, connect):
    connect().append({"action": "a", "actor": {"name": "[red]x[/red] :smile: [link=http://e]y[/link]"}})
    assert "[red]x[/red] :smile: [link=http://e]y[/link]" in auditlog("query").stdout


@every_recordable_text
def test_leaves_are_verbatim_in_a_file_and_escaped_on_a_terminal(connected, auditlog, connect, hostile, request):
    connect().append({"action": "a", "reason": hostile.text})
    leaf = connected.leaves[0]
    assert auditlog("get", "0", "--output", "jsonl").stdout_bytes == leaf + b"\n"
    request.getfixturevalue("terminal")
    for output in ("jsonl", "json"):
        on_terminal = auditlog("query", "--output", output).stdout
        assert is_harmless(on_terminal.replace("\n", ""))
        read = json.loads(on_terminal)
        assert (read[0] if output == "json" else read) == json.loads(leaf)


@every_recordable_text
def test_errors_show_hostile_text_escaped(connected, auditlog, service, hostile):
    connected.fail(service.Failure(grpc.StatusCode.NOT_FOUND, f"no entry {hostile.text}", "ENTRY_NOT_FOUND"))
    result = auditlog("get", "0")
    assert result.exit_code == 2
    assert is_harmless(result.stderr.replace("\n", ""))
    assert result.stderr.count("\n") == 1


@every_hostile_text
def test_an_error_line_is_one_harmless_line(capsys, hostile):
    CommandError(hostile.text).show()
    assert is_harmless(capsys.readouterr().err.removesuffix("\n"))


@every_recordable_text
def test_usage_errors_show_arguments_escaped(auditlog, hostile):
    result = auditlog("query", "--columns", hostile.text.replace(",", "") or "x")
    assert result.exit_code == 2
    assert is_harmless(result.stderr.removesuffix("\n"))


def test_csv_is_safe_in_a_spreadsheet_and_gives_back_the_exact_text(connected, auditlog, connect):
    texts = [hostile.text for hostile in recordable()]
    connect().append([{"action": "a", "reason": text} for text in texts])
    result = auditlog("query", "--output", "csv", "--columns", "index,reason", "--order", "asc", "--limit", "0")
    rows = list(csv.reader(io.StringIO(result.stdout_bytes.decode(), newline="")))
    assert rows[0] == ["index", "reason"]
    assert [int(index) for index, _ in rows[1:]] == list(range(len(texts)))
    assert [cell for _, cell in rows[1:] if is_formula(cell)] == []
    assert [cell.removeprefix("'") for _, cell in rows[1:]] == texts
