"""The error page knows every reason that the server can give, with its code, and no other."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import auditd.errors
from auditd.identity import TokenError, TokenReason, TokenVerdict
from auditd.note import NoteError
from auditd.server._status import code_of
from auditd_client.verify import TokenVerdict as OfTheClient

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
REASON = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
OF_THE_CLIENT = {"HISTORY_REWRITTEN", "MALFORMED_RESPONSE"}
CLASSES = {**vars(auditd.errors), "NoteError": NoteError}


@cache
def trees() -> tuple[ast.Module, ...]:
    return tuple(ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "auditd").rglob("*.py")))


def reasons_in_code() -> set[str]:
    """Every string that looks like a reason, but for environment variables, names that a package exports, and keys."""
    found: set[str] = set()
    for tree in trees():
        exported = {
            id(item)
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.List)
            for item in node.value.elts
        }
        exported |= {id(key) for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys}
        exported |= {
            id(node.args[1])
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr"
        }
        found |= {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in exported
            if REASON.fullmatch(node.value) and not node.value.startswith(("AUDITD_", "AUDITLOG_", "GRPC_"))
        }
    return found


def raised_directly() -> set[tuple[str, str]]:
    """Each class of error with the reason that it is made with."""
    return {
        (node.func.id, node.args[0].value)
        for tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CLASSES and node.args
        if isinstance(node.args[0], ast.Constant) and REASON.fullmatch(str(node.args[0].value))
    }


def findings() -> set[str]:
    """Every kind of finding, which may be a single word."""
    return {
        node.args[0].value
        for tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add"
        if len(node.args) == 3 and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
    }


def sections() -> dict[str, str]:
    parts = re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text: str) -> set[str]:
    firsts = re.findall(r"^\| (`.+?`) \|", text, re.MULTILINE)
    return {reason for first in firsts for reason in re.findall(r"`([A-Z_0-9]+)`", first)}


def test_every_reason_has_a_row_and_every_row_a_reason():
    described = set().union(*(rows(text) for text in sections().values()))
    assert reasons_in_code() | findings() | set(TokenVerdict) == described


def test_the_code_of_each_reason_is_the_one_that_callers_get():
    described = dict(re.findall(r"^\| `([A-Z_0-9]+)` \| `([A-Z_]+)` \|", PAGE, re.MULTILINE))
    wrong = []
    for name, reason in sorted(raised_directly()):
        error = CLASSES[name].__new__(CLASSES[name])
        code = code_of(error).name
        if name in {"FolderError", "NoteError"} or reason in rows(sections()["The server folder"]):
            continue
        if described.get(reason) != code:
            wrong.append(f"{reason}: {described.get(reason)}, {name} gives {code}")
    assert wrong == []


def test_every_verdict_on_a_token_stands_in_its_section():
    assert rows(sections()["Verdicts on tokens"]) == set(TokenVerdict) == set(OfTheClient)


def test_every_kind_of_finding_stands_in_its_section():
    assert findings() <= rows(sections()["Findings of check"])


def test_reasons_of_folders_stand_in_their_own_section():
    of_folders = {reason for name, reason in raised_directly() if name == "FolderError"}
    # What a command says before it comes to any call, and one that is damage as well.
    assert of_folders - {"KEY_DAMAGED", "EVIDENCE_UNREADABLE"} <= rows(sections()["The server folder"])


def test_every_reason_of_a_token_is_unauthenticated():
    assert rows(sections()["The token"]) == {reason.value for reason in TokenReason}
    assert code_of(TokenError(TokenReason.MISSING, "")).name == "UNAUTHENTICATED"


def test_reasons_of_the_client_are_named_and_are_its_own():
    source = "".join(path.read_text() for path in (ROOT / "client/python/src/auditd_client").rglob("*.py"))
    for reason in OF_THE_CLIENT:
        assert f'"{reason}"' in source
        assert f"`{reason}`" in sections()["In the Python client"]
