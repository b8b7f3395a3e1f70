"""Which terms an entry has in the index, and which term an entry must have for a comparison to select it.

A term is one character for the field, then the value, cut. Terms only narrow: two values may share a term,
but whatever a comparison selects has the comparison's term. Both sides are made here, so that they are cut
alike.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from auditd.filter import Comparison, Network, Pattern, Text, address_of

_HEAD = slice(0, 40)
# Random identifiers differ in their last characters, which cost a fifth of the whole.
_TAIL = slice(-8, None)
# A trace is searched by its first 16 digits, with or without the span that follows.
_TRACE = slice(0, 19)

# Fields that nearly all entries share (`caller.kind`, `caller.iss`) would cost more than they narrow; `time`
# and `producer.seq` are searched by order, which terms do not know; attributes are free.
_EVENT = {
    "id": ("I", _TAIL),
    "tenant": ("t", _HEAD),
    "action": ("a", _HEAD),
    "outcome": ("o", _HEAD),
    "reason": ("r", _HEAD),
}
_ACTOR = {
    "type": ("k", _HEAD),
    "id": ("u", _HEAD),
    "name": ("n", _HEAD),
    "session_id": ("S", _TAIL),
    "auth_method": ("m", _HEAD),
}
_RESOURCE = {"type": ("y", _HEAD), "id": ("i", _HEAD), "name": ("N", _HEAD)}
_ORIGIN = {
    "user_agent": ("w", _HEAD),
    "device_id": ("d", _HEAD),
    "method": ("M", _HEAD),
    "endpoint": ("e", _HEAD),
    "request_id": ("q", _TAIL),
    "traceparent": ("T", _TRACE),
}
_PRODUCER = {"id": ("p", _HEAD)}
_CALLER = {"sub": ("s", _HEAD), "jti": ("j", _TAIL)}
_ROLE = ("R", _HEAD)
_ADDRESS = "v"
_BY_PATH = {
    ("actor", "roles"): _ROLE,
    **{(name,): spec for name, spec in _EVENT.items()},
    **{
        (group, name): spec
        for group, table in (
            ("actor", _ACTOR),
            ("resources", _RESOURCE),
            ("origin", _ORIGIN),
            ("producer", _PRODUCER),
            ("caller", _CALLER),
        )
        for name, spec in table.items()
    },
}

SEPARATOR = "\n"
# FTS5's ascii tokenizer ends a token at every character below 128 that is neither a letter, a digit nor one
# of these; so only control characters end one.
TOKEN_CHARACTERS = "".join(chr(code) for code in range(0x20, 0x7F) if not chr(code).isalnum())
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Term:
    """A term to look for: the whole of it, or with `prefix` only its beginning."""

    text: str
    prefix: bool = False


def terms_of(entry: Mapping[str, Any]) -> str:
    """Return an entry's terms, separated by `SEPARATOR`.

    Args:
        entry: the members `event` and `caller` of a parsed leaf; others are not looked at.

    """
    terms: list[str] = []
    event = entry["event"]
    _add(terms, event, _EVENT)
    _add(terms, event.get("actor"), _ACTOR)
    _add(terms, event.get("origin"), _ORIGIN)
    _add(terms, event.get("producer"), _PRODUCER)
    _add(terms, entry.get("caller"), _CALLER)
    _add_lists(terms, event)
    _add_address(terms, event.get("origin"))
    return SEPARATOR.join(terms)


def _add(terms: list[str], values: object, table: Mapping[str, tuple[str, slice]]) -> None:
    # What is sealed is an object in the place of a string, or of the whole group: it has no terms.
    if isinstance(values, dict):
        for name, value in values.items():
            spec = table.get(name)
            if spec is not None and isinstance(value, str):
                terms.append(spec[0] + value[spec[1]])


def _add_lists(terms: list[str], event: Mapping[str, Any]) -> None:
    resources = event.get("resources")
    if isinstance(resources, list):
        for resource in resources:
            _add(terms, resource, _RESOURCE)
    actor = event.get("actor")
    roles = actor.get("roles") if isinstance(actor, dict) else None
    if isinstance(roles, list):
        terms.extend(_ROLE[0] + role[_ROLE[1]] for role in roles if isinstance(role, str))


def _add_address(terms: list[str], origin: object) -> None:
    text = origin.get("ip") if isinstance(origin, dict) else None
    if not isinstance(text, str):
        return
    if ":" not in text:
        terms.append(_ADDRESS + text[_HEAD])
    elif (address := address_of(text)) is not None:
        terms.append(_ADDRESS + _address_text(*address))


def _address_text(version: int, number: int) -> str:
    return str(ipaddress.IPv4Address(number)) if version == 4 else f"{number:032x}"


def term_for(comparison: Comparison) -> Term | None:
    """Return the term that every entry selected by a comparison has; None if there is no such term."""
    if comparison.operator not in {"=", ":"}:
        return None
    match comparison.value:
        case Network() as network:
            return _network_term(network)
        case Text(text):
            return _text_term(comparison.path, text, prefix=False)
        case Pattern(text, before=False, after=True):
            return _text_term(comparison.path, text, prefix=True)
        case _:
            return None


def _text_term(path: tuple[str, ...], text: str, *, prefix: bool) -> Term | None:
    spec = _BY_PATH.get(path)
    if spec is None or (prefix and spec[1] is _TAIL):
        return None
    term = spec[0] + text[spec[1]]
    control = _CONTROL.search(term)
    # The tokenizer ends the term there, on both sides; what follows becomes a term that nobody looks for.
    return Term(term[: control.start()]) if control else Term(term, prefix)


def _network_term(network: Network) -> Term | None:
    low = _address_text(network.version, network.low)
    if network.low == network.high:
        return Term(_ADDRESS + low)
    bits = (32 if network.version == 4 else 128) - (network.low ^ network.high).bit_length()
    if network.version == 4:
        start = "".join(octet + "." for octet in low.split(".")[: bits // 8])
    else:
        start = low[: bits // 4]
    return Term(_ADDRESS + start, prefix=True) if start else None
