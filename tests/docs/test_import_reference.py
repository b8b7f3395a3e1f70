"""The import reference shows the mappings that are used, and its example is one."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from auditd_client.importers import FORMATS, parse_mapping
from auditd_client.importers._clock import RFC_3339, UNITS
from auditd_client.importers._mapping import FORMS
from auditd_client.importers._templates import FILTERS

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from mapping_tables import PAGE, formats_of, with_tables  # noqa: E402

TEXT = PAGE.read_text(encoding="utf-8")
GUIDES = ROOT / "docs" / "guides"


def test_every_format_has_its_mapping_as_a_table():
    assert formats_of(TEXT) == set(FORMATS)
    assert with_tables(TEXT) == TEXT, "run `python scripts/mapping_tables.py`"


def test_the_example_is_a_mapping():
    example = re.search(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    mapping = parse_mapping(example[1].replace("columns = []", 'columns = ["When", "Door"]'))
    assert [rule.to for rule in mapping.rules] == ["time", "action", "outcome", "actor.id"]


def test_every_form_unit_and_filter_is_named():
    for name in (*FORMS, RFC_3339, *UNITS, *FILTERS):
        assert name in TEXT


def test_every_format_stands_in_the_guide_and_the_command_line_reference():
    guide = (GUIDES / "importing.md").read_text(encoding="utf-8")
    command_line = (ROOT / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
    for name in (*FORMATS, "csv"):
        assert f"auditlog import {name} " in guide
        assert f"`{name}`" in command_line
