"""Records of any format: what was read, where, and as which members; or why it could not be read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from collections.abc import Mapping as AnyMapping
from typing import Any, NamedTuple, TypeAlias

from auditd_client.importers._mapping import Reading
from auditd_client.importers._members import JsonObject

MAX_RECORD_BYTES = 4 * 1024 * 1024
"""No request may be larger, so no event can be."""


class Record(NamedTuple):
    """A record as it was read: its first line, counted from 1, its own bytes, and its members.

    `place` says which of several in a document it is, such as `Records[3]`. What is among the values of
    `members` but not among their texts can be mapped, and is no attribute.
    """

    line: int
    raw: bytes
    members: JsonObject
    place: str = ""


class BadRecord(NamedTuple):
    """A piece of a file that is no record; `raw` is what stands there, as far as it was kept."""

    line: int
    raw: bytes
    reason: str
    place: str = ""


Found: TypeAlias = Record | BadRecord
Reader: TypeAlias = Callable[[Iterator[bytes], Reading], Iterator[list[Found]]]
"""Yields what the pieces of a file hold, in lists, each as soon as it can be read. MUST use bounded memory, MUST give
what is the same in the file the same bytes, and MUST answer for every byte of the file with a record or a bad one."""

_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def members_of(values: AnyMapping[str, Any], kept: AnyMapping[str, Any]) -> JsonObject:
    """Return members that come from no JSON: `values` can be mapped, `kept` become attributes."""
    return JsonObject(dict(values), {name: f"{_write(name)}:{_write(value)}" for name, value in kept.items()}, 0)
