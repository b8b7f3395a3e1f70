"""Writes the mappings of all import formats as tables into docs/reference/import.md.

    python scripts/mapping_tables.py

A test holds the page against the mappings.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from auditd_client.importers import FORMATS, built_in_text

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "import.md"
_TABLE = re.compile(r"(<!-- mapping: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_HEAD = "| event | from | if | leaves the attributes |\n|---|---|---|---|\n"


def with_tables(page: str) -> str:
    """Return the page with every table as the mappings have it."""
    return _TABLE.sub(lambda found: found[1] + table(found[2]) + found[3], page)


def formats_of(page: str) -> set[str]:
    """Return the formats that a page has a table for."""
    return {found[2] for found in _TABLE.finditer(page)}


def table(name: str) -> str:
    """Return the mapping of a format as a Markdown table."""
    mapping = tomllib.loads(built_in_text(name))
    rows = [_row(f"`{rule['to']}`", rule["from"], rule) for rule in mapping["field"]]
    for rule in mapping.get("resource", ()):
        where = f" of each of `{rule['each']}`" if "each" in rule else ""
        rows += [
            _row(f"`resources.{part}`{where}", rule[part], rule) for part in ("type", "id", "name") if part in rule
        ]
    return _HEAD + "".join(rows)


def _row(field: str, sources: str | list[str], rule: dict[str, Any]) -> str:
    texts = [sources] if isinstance(sources, str) else sources
    origin = ", else ".join(f"`{text}`" for text in texts) + (f" as `{rule['as']}`" if "as" in rule else "")
    conditions = " and ".join(f"`{path}` matches `{pattern}`" for path, pattern in rule.get("when", {}).items())
    moves = rule.get("moves", False)
    leaves = ", ".join(f"`{name}`" for name in moves) if isinstance(moves, list) else "yes" if moves else ""
    cells = (field + (" (required)" if rule.get("required") else ""), origin, conditions, leaves)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    assert formats_of(PAGE.read_text(encoding="utf-8")) == set(FORMATS)
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
