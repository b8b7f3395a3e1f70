"""The API page knows every method, the permission it needs and the record that it leaves."""

from __future__ import annotations

import re
from pathlib import Path

from auditd.identity import ROLES, Permission
from auditd_proto.v1 import admin_service_pb2, audit_log_service_pb2

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reference/api.md").read_text(encoding="utf-8")
ERRORS = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
OPERATING = (ROOT / "docs/guides/operating.md").read_text(encoding="utf-8")
SERVICES = (
    audit_log_service_pb2.DESCRIPTOR.services_by_name["AuditLogService"],
    admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"],
)
METHODS = [method.name for service in SERVICES for method in service.methods]


def test_every_method_has_a_row_and_a_section():
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == METHODS
    headings = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert [heading for heading in headings if heading in METHODS] == METHODS


def test_permissions_are_those_that_exist():
    needed = set(re.findall(r"^\| `\w+` \| (.+?) \|", PAGE, re.MULTILINE))
    named = {name for text in needed for name in re.findall(r"`(\w+)`", text)}
    assert named == {permission.value for permission in Permission}


def test_reasons_are_those_of_the_error_page():
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", PAGE))
    assert named <= set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", ERRORS))


def test_roles_are_described_as_they_are():
    table = OPERATING.split("| role | `main` |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| ?(.*?) ?\|$", table, re.MULTILINE)
    assert [name for name, _, _ in rows] == list(ROLES)
    words = {permission: permission.value for permission in Permission} | {Permission.IMPORT: "older than"}
    for name, ordinary, system in rows:
        if ordinary == "all of these":
            ordinary = "append, also events older than 30 days, get, query, checkpoint, prove"
        assert {word for word in words if words[word] in ordinary} == ROLES[name].ordinary
        assert {word for word in words if words[word] in system} == ROLES[name].system
