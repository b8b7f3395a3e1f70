"""Which terms an entry has in the index, and which term an entry must have for a comparison to select it.

A term is one character for the field, then the value, cut. Terms only narrow: two values may share a term,
but whatever a comparison selects has the comparison's term. Both sides are made here, so that they are cut
alike.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from auditd.filter import Comparison, Network, Pattern, Text, address_of

_HEAD = 40
# Random identifiers differ in their last characters, which cost a fifth of the whole.
_TAIL = 8
# A trace is searched by its first 16 digits, with or without the span that follows.
_TRACE = 19

# Fields that nearly all entries share (`caller.kind`, `caller.iss`) would cost more than they narrow; `time`
# and `producer.seq` are searched by order, which terms do not know; attributes are free.
_CODES = {
    ("tenant",): "t",
    ("action",): "a",
    ("outcome",): "o",
    ("reason",): "r",
    ("actor", "type"): "k",
    ("actor", "id"): "u",
    ("actor", "name"): "n",
    ("actor", "roles"): "R",
    ("actor", "auth_method"): "m",
    ("resources", "type"): "y",
    ("resources", "id"): "i",
    ("resources", "name"): "N",
    ("origin", "ip"): "v",
    ("origin", "user_agent"): "w",
    ("origin", "device_id"): "d",
    ("origin", "method"): "M",
    ("origin", "endpoint"): "e",
    ("producer", "id"): "p",
    ("caller", "sub"): "s",
}
_TAIL_CODES = {
    ("id",): "I",
    ("actor", "session_id"): "S",
    ("origin", "request_id"): "q",
    ("caller", "jti"): "j",
}
_TRACE_PATH, _TRACE_CODE = ("origin", "traceparent"), "T"

SEPARATOR = "\n"


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
    # Written out field by field, because a table costs half as much again, in a thread that runs beside the
    # writer. What is sealed is an object in the place of a string, or of a whole group: it has no terms.
    terms: list[str] = []
    event = entry["event"]
    _event_terms(terms.append, event.get)
    if type(group := event.get("actor")) is dict:
        _actor_terms(terms, group.get)
    if type(group := event.get("origin")) is dict:
        _origin_terms(terms.append, group.get)
    if type(resources := event.get("resources")) is list:
        for resource in resources:
            if type(resource) is dict:
                _resource_terms(terms.append, resource.get)
    if type(group := event.get("producer")) is dict and type(value := group.get("id")) is str:
        terms.append("p" + value[:_HEAD])
    if type(group := entry.get("caller")) is dict:
        _caller_terms(terms.append, group.get)
    return SEPARATOR.join(terms)


def caller_terms(caller: Mapping[str, Any]) -> str:
    """Return the terms that the member `caller` contributes to those of an entry."""
    return terms_of({"event": {}, "caller": caller})


def member_terms(members: Mapping[str, Any]) -> str:
    """Return the terms that some members of `event` contribute to those of an entry, a separator behind each."""
    terms = terms_of({"event": members})
    return terms + SEPARATOR if terms else ""


def _event_terms(add: Callable[[str], None], get: Callable[[str], Any]) -> None:
    if type(value := get("id")) is str:
        add("I" + value[-_TAIL:])
    if type(value := get("tenant")) is str:
        add("t" + value[:_HEAD])
    if type(value := get("action")) is str:
        add("a" + value[:_HEAD])
    if type(value := get("outcome")) is str:
        add("o" + value)
    if type(value := get("reason")) is str:
        add("r" + value[:_HEAD])


def _actor_terms(terms: list[str], get: Callable[[str], Any]) -> None:
    if type(value := get("type")) is str:
        terms.append("k" + value[:_HEAD])
    if type(value := get("id")) is str:
        terms.append("u" + value[:_HEAD])
    if type(value := get("name")) is str:
        terms.append("n" + value[:_HEAD])
    if type(value := get("session_id")) is str:
        terms.append("S" + value[-_TAIL:])
    if type(value := get("auth_method")) is str:
        terms.append("m" + value[:_HEAD])
    if type(roles := get("roles")) is list:
        terms.extend("R" + role[:_HEAD] for role in roles if type(role) is str)


def _origin_terms(add: Callable[[str], None], get: Callable[[str], Any]) -> None:
    if type(value := get("ip")) is str and (term := _address_term(value)):
        add(term)
    if type(value := get("user_agent")) is str:
        add("w" + value[:_HEAD])
    if type(value := get("device_id")) is str:
        add("d" + value[:_HEAD])
    if type(value := get("method")) is str:
        add("M" + value[:_HEAD])
    if type(value := get("endpoint")) is str:
        add("e" + value[:_HEAD])
    if type(value := get("request_id")) is str:
        add("q" + value[-_TAIL:])
    if type(value := get("traceparent")) is str:
        add("T" + value[:_TRACE])


def _resource_terms(add: Callable[[str], None], get: Callable[[str], Any]) -> None:
    if type(value := get("type")) is str:
        add("y" + value[:_HEAD])
    if type(value := get("id")) is str:
        add("i" + value[:_HEAD])
    if type(value := get("name")) is str:
        add("N" + value[:_HEAD])


def _caller_terms(add: Callable[[str], None], get: Callable[[str], Any]) -> None:
    if type(value := get("sub")) is str:
        add("s" + value[:_HEAD])
    if type(value := get("jti")) is str:
        add("j" + value[-_TAIL:])


def _address_term(text: str) -> str | None:
    # An IPv4 address has one spelling; IPv6 has many.
    if ":" not in text:
        return "v" + text[:_HEAD]
    address = address_of(text)
    return "v" + _address_text(*address) if address else None


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
    if path in _CODES:
        term = _CODES[path] + text[:_HEAD]
    elif path == _TRACE_PATH:
        term = _TRACE_CODE + text[:_TRACE]
    elif path in _TAIL_CODES and not prefix:
        term = _TAIL_CODES[path] + text[-_TAIL:]
    else:
        return None
    # A separator within ends the term, on both sides; what follows becomes a term that nobody looks for.
    whole, *cut = term.split(SEPARATOR, 1)
    return Term(whole, prefix and not cut)


def _network_term(network: Network) -> Term | None:
    low = _address_text(network.version, network.low)
    if network.low == network.high:
        return Term("v" + low)
    common = (32 if network.version == 4 else 128) - (network.low ^ network.high).bit_length()
    if network.version == 4:
        start = "".join(octet + "." for octet in low.split(".")[: common // 8])
    else:
        start = low[: common // 4]
    return Term("v" + start, prefix=True) if start else None
