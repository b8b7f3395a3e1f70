"""The table of fields that a filter may name."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import Enum

from auditd.filter._ast import Operator


class Kind(Enum):
    """What a field holds, and so which values and operators suit it."""

    STRING = "a string"
    ENUM = "one of a few words"
    TIME = "a time"
    INTEGER = "a whole number"
    ADDRESS = "an IP address or a CIDR block"
    ANY = "any JSON value"
    MESSAGE = "a group of fields"


_ALL: frozenset[Operator] = frozenset({"=", "!=", "<", "<=", ">", ">=", ":"})
_EQUALITY: frozenset[Operator] = frozenset({"=", "!=", ":"})
OPERATORS: dict[Kind, frozenset[Operator]] = {
    Kind.STRING: _ALL,
    Kind.ENUM: _EQUALITY,
    Kind.TIME: _ALL,
    Kind.INTEGER: _ALL,
    Kind.ADDRESS: _EQUALITY,
    Kind.ANY: _ALL,
    Kind.MESSAGE: frozenset({":"}),
}
_WORDS = {
    "outcome": ("SUCCESS", "FAILURE", "DENIED"),
    "clock": ("SUSPECT",),
    "caller.kind": ("token", "certificate", "server", "unauthenticated"),
    "actor.identity": ("asserted", "verified"),
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field: its path in filters, what it holds, and where its value stands in a leaf."""

    path: tuple[str, ...]
    kind: Kind
    in_event: bool
    repeated: bool
    words: tuple[str, ...] = ()
    """What an enum may be."""

    @property
    def name(self) -> str:
        """The field as a filter writes it."""
        return ".".join(self.path)


def _table() -> dict[tuple[str, ...], Field]:
    caller = ("iss", "sub", "jti", "credential")
    entry = {
        "log": Kind.STRING,
        "index": Kind.INTEGER,
        "recorded_at": Kind.TIME,
        "clock": Kind.ENUM,
        "caller.kind": Kind.ENUM,
        "caller": Kind.MESSAGE,
        **dict.fromkeys([f"caller.{name}" for name in caller], Kind.STRING),
    }
    actor = (
        *("type", "id", "name", "roles", "session_id", "auth_method"),
        *("identity_reason", "verified", "credential"),
    )
    origin = ("user_agent", "device_id", "method", "endpoint", "request_id", "traceparent")
    event = {
        "time": Kind.TIME,
        "outcome": Kind.ENUM,
        "actor.identity": Kind.ENUM,
        "origin.ip": Kind.ADDRESS,
        "producer.seq": Kind.INTEGER,
        "attributes": Kind.ANY,
        **dict.fromkeys(["actor", "resources", "origin", "producer"], Kind.MESSAGE),
        **dict.fromkeys(["id", "tenant", "action", "reason", "producer.id"], Kind.STRING),
        **dict.fromkeys([f"actor.{name}" for name in actor], Kind.STRING),
        **dict.fromkeys([f"resources.{name}" for name in ("type", "id", "name")], Kind.STRING),
        **dict.fromkeys([f"origin.{name}" for name in origin], Kind.STRING),
    }
    fields = {}
    for in_event, kinds in ((False, entry), (True, event)):
        for name, kind in kinds.items():
            path = tuple(name.split("."))
            repeated = path[0] in {"resources", "attributes"} or name in {"actor.roles", "actor.verified"}
            fields[path] = Field(path, kind, in_event, repeated, _WORDS.get(name, ()))
    return fields


FIELDS = _table()


def field_at(path: tuple[str, ...]) -> Field:
    """Return the field that `path` names; every path under `attributes` is one.

    Raises:
        UnknownFieldError: there is no such field; it says so and names the nearest ones.

    """
    if path[0] == "attributes" and len(path) > 1:
        return Field(path, Kind.ANY, in_event=True, repeated=True)
    field = FIELDS.get(path)
    if field is None:
        raise UnknownFieldError(".".join(path))
    return field


class UnknownFieldError(LookupError):
    """No field is called `name`; `nearest` are those that may be meant."""

    def __init__(self, name: str) -> None:
        shown = name if len(name) <= 80 else name[:77] + "..."
        names = [field.name for field in FIELDS.values()]
        nearest = [known for known in names if known.endswith("." + name)]
        self.nearest = nearest or difflib.get_close_matches(shown, names, n=1)
        hint = f"did you mean {' or '.join(self.nearest)}?" if self.nearest else ""
        super().__init__(f"no field is called {shown!r}; {hint or f'an attribute is written attributes.{shown}'}")
