"""The JSON Schema of a leaf."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import orjson


def leaf_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) that every leaf of version 1 satisfies."""
    return orjson.loads(files("auditd.entry").joinpath("leaf.schema.json").read_bytes())  # type: ignore[no-any-return]
