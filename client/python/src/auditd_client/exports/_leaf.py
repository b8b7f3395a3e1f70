"""Leaves read in bulk: what an export of millions needs, without the strictness of the verifier."""

from __future__ import annotations

import json

from auditd_client.verify import Leaf, MalformedError

_ATTRIBUTES = ',"attributes":'


def read_leaf(leaf: bytes, index: int) -> Leaf:
    """Return what a leaf says; as genuine as whoever sent it.

    Raises MalformedError unless it is the leaf of version 1 at `index`.
    """
    try:
        text = leaf.decode()
        # Within JSON strings every quote stands behind a backslash, and no member before the attributes of an event
        # bears their name: the first hit is theirs, and they are the last member of the last member.
        start = text.find(_ATTRIBUTES)
        entry = json.loads(text if start < 0 else text[:start] + "}}")
        read = Leaf(
            raw=leaf,
            log=entry["log"],
            index=entry["index"],
            recorded_at=entry["recorded_at"],
            clock=entry.get("clock"),
            salt=entry["salt"],
            caller=entry["caller"],
            event=entry["event"],
            attributes_text=None if start < 0 else text[start + len(_ATTRIBUTES) : -2],
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MalformedError("leaf", f"entry {index} is no leaf as this client knows it: {error}") from error
    if entry.get("v") != 1:
        raise MalformedError("leaf", f"entry {index} is of version {entry.get('v')!r}, this client knows 1")
    if read.index != index:
        raise MalformedError("leaf", f"entry {index} says it is entry {read.index}")
    return read


def text_of(value: object) -> str | None:
    """Return text as it is, and None for what is absent, sealed or no text."""
    return value if isinstance(value, str) and value else None
