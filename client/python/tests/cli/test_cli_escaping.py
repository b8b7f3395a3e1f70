"""Recorded text cannot act on the terminal of whoever reads it."""

from __future__ import annotations

import json
import unicodedata

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditd_client.cli import CommandError, shown, shown_json, shown_lines

# What to recognise it by, the text, and how its dangerous part is shown.
HOSTILE = {
    "escape sequence": ("\x1b[2J\x1b[31m", "\\u001b"),
    "window title": ("\x1b]0;owned\x07", "\\u0007"),
    "one-byte CSI": ("\x9b31m", "\\u009b"),
    "carriage return": ("ok\rFAKE", "\\r"),
    "line feed": ("ok\nFAKE", "\\n"),
    "tab": ("a\tb", "\\t"),
    "backspace": ("abc\b\b\bxyz", "\\u0008"),
    "delete": ("a\x7f", "\\u007f"),
    "null": ("a\0b", "\\u0000"),
    "right-to-left override": ("\u202egnp.exe", "\\u202e"),
    "bidi isolate": ("\u2066a\u2069", "\\u2066"),
    "Arabic letter mark": ("\u061c", "\\u061c"),
    "zero-width space": ("adm\u200bin", "\\u200b"),
    "zero-width joiner": ("adm\u200din", "\\u200d"),
    "byte order mark": ("\ufeffadmin", "\\ufeff"),
    "soft hyphen": ("ad\u00admin", "\\u00ad"),
    "no-break space": ("a\u00a0b", "\\u00a0"),
    "line separator": ("a\u2028b", "\\u2028"),
    "next line": ("a\u0085b", "\\u0085"),
    "tag character": ("a\U000e0041", "\\U000e0041"),
    "variation selector": ("a\ufe0f", "\\ufe0f"),
    "variation selector of plane 14": ("a\U000e0100", "\\U000e0100"),
    "Hangul filler": ("a\u3164", "\\u3164"),
    "private use": ("\ue000", "\\ue000"),
    "noncharacter": ("\ufffe", "\\ufffe"),
    "lone surrogate": ("\ud800", "\\ud800"),
}
corpus = pytest.mark.parametrize(("text", "escape"), HOSTILE.values(), ids=HOSTILE.keys())
recordable = pytest.mark.parametrize(
    ("text", "escape"), [item for name, item in HOSTILE.items() if name != "lone surrogate"]
)


def is_harmless(text):
    """Whether no character of it can move the cursor, hide or reorder text."""
    return not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for c in text)


@corpus
def test_shows_hostile_characters_as_escapes(text, escape):
    assert escape in shown(text)
    assert is_harmless(shown(text))


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


@recordable
def test_tables_show_hostile_text_escaped(connected, auditlog, connect, text, escape):
    connect().append({"action": "a", "id": "1", "actor": {"name": text, "roles": [text]}, "reason": text})
    for arguments in (["query", "--columns", "actor,reason,actor.roles"], ["get", "0"]):
        result = auditlog(*arguments)
        assert result.exit_code == 0
        assert result.stdout.count(escape) >= 3
        assert is_harmless(result.stdout.replace("\n", ""))


def test_tables_do_not_interpret_markup(connected, auditlog, connect):
    connect().append({"action": "a", "actor": {"name": "[red]x[/red] :smile: [link=http://e]y[/link]"}})
    assert "[red]x[/red] :smile: [link=http://e]y[/link]" in auditlog("query").stdout


@recordable
def test_leaves_are_verbatim_in_a_file_and_escaped_on_a_terminal(connected, auditlog, connect, text, escape, request):
    connect().append({"action": "a", "reason": text})
    leaf = connected.leaves[0]
    assert auditlog("get", "0", "--output", "jsonl").stdout_bytes == leaf + b"\n"
    request.getfixturevalue("terminal")
    for output in ("jsonl", "json"):
        on_terminal = auditlog("query", "--output", output).stdout
        assert is_harmless(on_terminal.replace("\n", ""))
        read = json.loads(on_terminal)
        assert (read[0] if output == "json" else read) == json.loads(leaf)


@recordable
def test_errors_show_hostile_text_escaped(connected, auditlog, service, text, escape):
    connected.fail(service.Failure(grpc.StatusCode.NOT_FOUND, f"no entry {text}", "ENTRY_NOT_FOUND"))
    result = auditlog("get", "0")
    assert result.exit_code == 2
    assert is_harmless(result.stderr.replace("\n", ""))
    assert result.stderr.count("\n") == 1


@corpus
def test_an_error_line_is_one_harmless_line(capsys, text, escape):
    CommandError(text).show()
    assert is_harmless(capsys.readouterr().err.removesuffix("\n"))


@recordable
def test_usage_errors_show_arguments_escaped(auditlog, text, escape):
    result = auditlog("query", "--columns", text.replace(",", "") or "x")
    assert result.exit_code == 2
    assert is_harmless(result.stderr.removesuffix("\n"))


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\uff1d1"], ids=["equals", "plus", "minus", "at", "full-width"]
)
def test_a_spreadsheet_takes_no_csv_cell_for_a_formula(connected, auditlog, connect, text):
    connect().append({"action": "a", "reason": text})
    result = auditlog("query", "--output", "csv", "--columns", "index,reason")
    assert result.stdout == f"index,reason\n0,'{text}\n"
