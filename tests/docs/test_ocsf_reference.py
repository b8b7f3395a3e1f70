"""The OCSF page names every column that a part has, and every verb that the mapping knows; no others."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa

from auditd_client.exports._ocsf import _VERBS, activity_of
from auditd_client.exports._parquet import schema

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/ocsf.md").read_text(encoding="utf-8")


def columns(fields, prefix: str = "") -> set[str]:
    found: set[str] = set()
    for field in fields:
        kind = field.type.value_type if pa.types.is_list(field.type) else field.type
        name = prefix + field.name
        found |= columns(kind, f"{name}.") if pa.types.is_struct(kind) else {name}
    return found


def test_every_column_is_described():
    rows = re.findall(r"^\| (`.+?`) \|", PAGE, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row)} == columns(schema())


def test_every_verb_is_listed():
    assert dict(re.findall(r"^\| (\d) \w+ \| (.+) \|$", PAGE, re.MULTILINE)) == {
        str(activity): verbs for activity, verbs in _VERBS.items()
    }


def test_the_activity_is_that_of_the_last_word():
    cases = {"file.read": 2, "s3:GetObject": 2, "GetObject": 2, "create_user": 1, "iam/DeleteRole": 4, "": 0}
    assert {action: activity_of(action) for action in cases} == cases
    assert {activity_of(action) for action in ("user.login", "readable", "x")} == {99}
