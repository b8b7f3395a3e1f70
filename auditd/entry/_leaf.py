"""Leaves: an entry's exact bytes, put together without encoding anything twice, and read strictly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from auditd.errors import DamagedError, InvalidRequestError, Violation

from ._limits import MAX_INDEX, MAX_LEAF_BYTES, MAX_VIOLATIONS, SALT_BYTES
from ._time import recorded_at_text

_VERSION = b'{"v":1,'
_MEMBERS = ("v", "log", "index", "recorded_at", "salt", "caller", "event")
_MEMBERS_SUSPECT = ("v", "log", "index", "recorded_at", "clock", "salt", "caller", "event")
_TYPES = {"log": str, "index": int, "recorded_at": str, "salt": str, "caller": dict, "event": dict}
_EVENT = b',"event":{'
_ATTRIBUTES = b',"attributes":'


class LeafTemplate:
    """Puts together the leaves of one log.

    With `clock_suspect`, the leaves say that `recorded_at` was not told by a trusted clock.
    """

    __slots__ = ("_after_index", "_before_index", "_format", "_overhead_bytes")

    def __init__(self, origin: str, *, clock_suspect: bool = False) -> None:
        name = orjson.dumps(origin).replace(b"%", b"%%")
        mark = b'"clock":"SUSPECT",' if clock_suspect else b""
        self._format = (
            _VERSION + b'"log":%b,"index":%%d,"recorded_at":"%%b",%b"salt":"%%b","caller":%%b,"event":%%b}'
        ) % (name, mark)
        self._before_index = _VERSION + b'"log":' + orjson.dumps(origin) + b',"index":'
        self._after_index = b',"recorded_at":"%b",' + mark + b'"salt":"'
        self._overhead_bytes = len(self.leaf(MAX_INDEX, recorded_at_text(0), bytes(SALT_BYTES), b"", b""))

    def leaf(self, index: int, recorded_at: str, salt: bytes, caller_json: bytes, event_json: bytes) -> bytes:
        """Return the leaf of an entry with an index in [0, 2^63).

        `recorded_at` comes from `recorded_at_text`, `caller_json` from `encode_caller`, `event_json` from
        `EncodedEvent.json`; `salt` is 16 random bytes, so that the leaf's hash reveals nothing.
        """
        return self._format % (index, recorded_at.encode(), salt.hex().encode(), caller_json, event_json)

    def parts(self, recorded_at: str, caller_json: bytes) -> tuple[bytes, bytes, bytes]:
        """Return what stands before a leaf's index, between index and salt, and between salt and event."""
        return (
            self._before_index,
            self._after_index % recorded_at.encode(),
            b'","caller":' + caller_json + b',"event":',
        )

    def longest(self, caller_json: bytes, event_json: bytes) -> int:
        """Return the bytes of the leaf at the largest index."""
        return self._overhead_bytes + len(caller_json) + len(event_json)

    def room(self, caller_json: bytes) -> int:
        """Return how many bytes an encoded event may have at most, so that no leaf passes 65,535 bytes."""
        return MAX_LEAF_BYTES - self._overhead_bytes - len(caller_json)

    def check_sizes(self, caller_json: bytes, lengths: Sequence[int]) -> None:
        """Raise InvalidRequestError `LEAF_TOO_LARGE` if the leaf of an event of such a length could be too large."""
        room = self.room(caller_json)
        if max(lengths) > room:
            violations = [
                Violation(f"events[{position}]", f"{length} bytes encoded, limit {room}")
                for position, length in enumerate(lengths)
                if length > room
            ]
            first = violations[0]
            raise InvalidRequestError(
                "LEAF_TOO_LARGE", f"{first.field}: {first.description}", violations[:MAX_VIOLATIONS]
            )


def parse_leaf(leaf: bytes) -> dict[str, Any]:
    """Return the entry that a stored leaf holds.

    Raises DamagedError `UNKNOWN_LEAF_VERSION` unless its version is 1, `LEAF_MALFORMED` if it is no leaf.
    """
    if not leaf.startswith(_VERSION):
        facts = {"leaf": leaf[:64].decode(errors="replace")}
        raise DamagedError("UNKNOWN_LEAF_VERSION", "the leaf is not of version 1", facts)
    try:
        entry = orjson.loads(leaf)
    except orjson.JSONDecodeError as error:
        raise _malformed(leaf, f"not JSON: {error}") from error
    members = tuple(entry)
    if members not in (_MEMBERS, _MEMBERS_SUSPECT):
        raise _malformed(leaf, f"its members are {', '.join(members)[:200]}")
    for name, kind in _TYPES.items():
        if type(entry[name]) is not kind:
            raise _malformed(leaf, f"{name} is no {kind.__name__}")
    return entry  # type: ignore[no-any-return]


def event_text(leaf: bytes) -> bytes:
    """Return the exact text of the leaf's `event` object. Raises DamagedError `LEAF_MALFORMED`."""
    # Within JSON strings every quote stands behind a backslash, so the first hit is the first member of
    # that name; what stands before it in a leaf has none.
    start = leaf.find(_EVENT)
    if start < 0 or not leaf.endswith(b"}}"):
        raise _malformed(leaf, "no event")
    return leaf[start + len(_EVENT) - 1 : -1]


def attributes_text(leaf: bytes) -> bytes:
    """Return the exact text of the event's attributes; empty if absent."""
    event = event_text(leaf)
    start = event.find(_ATTRIBUTES)
    return b"" if start < 0 else event[start + len(_ATTRIBUTES) : -1]


def _malformed(leaf: bytes, why: str) -> DamagedError:
    facts = {"leaf": leaf[:64].decode(errors="replace")}
    return DamagedError("LEAF_MALFORMED", f"the leaf is malformed: {why}", facts)
