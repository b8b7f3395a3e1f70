"""What a filter means, read off `docs/reference/filter.md` alone: nothing here knows how auditd does it.

A filter is a tree of `Term`, `Words`, `Not`, `All` and `Either`. `spelled` writes it as a caller would, `selects`
says of an entry, as plain JSON, whether the filter selects it. Slow, and meant to be read.
"""

from __future__ import annotations

import ipaddress
import json
import operator
import random
import re
from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

EQUALITY = ("=", "!=", ":")
ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
OF_ENTRY = {"log", "index", "recorded_at", "clock", "caller"}
TIMES = {"time", "recorded_at"}
WHOLE_NUMBERS = {"index", "producer.seq"}
BARE = re.compile(r"[A-Za-z0-9_@/#%+][A-Za-z0-9_@/#%+.-]*")
NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Written:
    """A value: its text, whether a `*` stands before or after it, and whether it stands in quotation marks."""

    text: str
    before: bool = False
    after: bool = False
    quoted: bool = True


ANYTHING = Written("", before=True, quoted=False)


@dataclass(frozen=True)
class Term:
    path: tuple[str, ...]
    operator: str
    value: Written


@dataclass(frozen=True)
class Words:
    text: str


@dataclass(frozen=True)
class Not:
    inner: Any


@dataclass(frozen=True)
class All:
    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Either:
    parts: tuple[Any, ...]


def plain(leaf: bytes) -> dict[str, Any]:
    """Read a leaf: whole numbers of 64 bits exactly, all others as doubles."""
    entry: dict[str, Any] = json.loads(leaf, parse_int=number)
    return entry


def number(text: str) -> int | float:
    if re.fullmatch(r"[+-]?[0-9]+", text) and -(2**63) <= int(text) < 2**64:
        return int(text)
    return float(text)


# What is selected.


def selects(tree: Any, entry: dict[str, Any], now_ns: int = 0) -> bool:
    match tree:
        case All(parts):
            return all(selects(part, entry, now_ns) for part in parts)
        case Either(parts):
            return any(selects(part, entry, now_ns) for part in parts)
        case Not(inner):
            return not selects(inner, entry, now_ns)
        case Words(text):
            return any(text.casefold() in said.casefold() for said in strings(entry["event"]))
    return fulfilled(tree, entry, now_ns)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for element in value:
            yield from strings(element)
    elif isinstance(value, dict) and not sealed(value):
        for member in value.values():
            yield from strings(member)


def sealed(value: Any) -> bool:
    return isinstance(value, dict) and re.fullmatch(r'\{"sealed": "[0-9a-f]{64}"\}', json.dumps(value)) is not None


def found_at(node: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """Yield what stands at a path; of a list on the way, or at its end, each element."""
    if isinstance(node, list):
        for element in node:
            yield from found_at(element, path)
    elif not path:
        yield node
    elif isinstance(node, dict) and not sealed(node) and path[0] in node:
        yield from found_at(node[path[0]], path[1:])


def fulfilled(term: Term, entry: dict[str, Any], now_ns: int) -> bool:
    found = list(found_at(entry if term.path[0] in OF_ENTRY else entry["event"], term.path))
    if not term.value.text and (term.value.before or term.value.after):
        return any(value != {} for value in found)
    compared = [value for value in found if not isinstance(value, dict)]
    if term.operator == ":" and term.path[0] == "attributes":
        compared += [key for value in found if isinstance(value, dict) and not sealed(value) for key in value]
    if term.operator == "!=":
        return bool(compared) and not any(equal(term, value, now_ns) for value in compared)
    if term.operator in ORDERS:
        return any(in_order(term, value, now_ns) for value in compared)
    return any(equal(term, value, now_ns) for value in compared)


def equal(term: Term, value: Any, now_ns: int) -> bool:
    name, text = ".".join(term.path), term.value.text
    if name in TIMES:
        start, end = span_ns(text, now_ns)
        return start <= time_ns(value) < end
    if name in WHOLE_NUMBERS:
        return bool(value == int(text))
    if name == "origin.ip":
        return within(value, text)
    if term.path[0] == "attributes" and not term.value.quoted:
        if value == text:
            return True
        if text in {"true", "false", "null"}:
            return json.dumps(value) == text
        if NUMBER.fullmatch(text):
            return is_number(value) and value == number(text)
    if not isinstance(value, str):
        return False
    pattern = ".*" * term.value.before + re.escape(text) + ".*" * term.value.after
    return re.fullmatch(pattern, value, re.DOTALL) is not None


def in_order(term: Term, value: Any, now_ns: int) -> bool:
    name, text, holds = ".".join(term.path), term.value.text, ORDERS[term.operator]
    if name in TIMES:
        start, end = span_ns(text, now_ns)
        moment = time_ns(value)
        outside = {"<": moment < start, ">": moment >= end, "<=": moment < end, ">=": moment >= start}
        return outside[term.operator]
    if name in WHOLE_NUMBERS:
        return holds(value, int(text))
    if term.path[0] == "attributes" and not term.value.quoted and NUMBER.fullmatch(text):
        return is_number(value) and holds(value, number(text))
    # The order of code points is the order of UTF-32.
    return isinstance(value, str) and holds(code_points(value), code_points(text))


def is_number(value: Any) -> bool:
    return type(value) in {int, float}


def code_points(text: str) -> list[int]:
    return [ord(character) for character in text]


def within(value: str, block: str) -> bool:
    network, address = ipaddress.ip_network(block), ipaddress.ip_address(value.split("%")[0])
    mapped = ipaddress.ip_network("::ffff:0:0/96")
    if address.version == 6 and address in mapped:
        address = ipaddress.ip_address(int(address) & 0xFFFFFFFF)
    if network.version == 6 and network.subnet_of(mapped):
        network = ipaddress.ip_network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return address.version == network.version and address in network


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def time_ns(text: str) -> int:
    """Return a time with an offset in nanoseconds since 1970."""
    date, fraction, zone = re.fullmatch(r"([^.Zz]{19})\.?([0-9]*)([Zz]|[+-]..:..)", text).groups()
    whole = datetime.fromisoformat(date + zone.upper().replace("Z", "+00:00"))
    return (whole - EPOCH) // timedelta(seconds=1) * 10**9 + int(fraction.ljust(9, "0"))


def span_ns(text: str, now_ns: int) -> tuple[int, int]:
    """Return where what a filter calls a time begins, and where it is over."""
    if text.startswith("now"):
        moment = now_ns + (int(text[3:-1]) * SECONDS[text[-1]] * 10**9 if len(text) > 3 else 0)
        return moment, moment + 1
    if re.fullmatch(r"[0-9]{4}", text):
        return time_ns(f"{text}-01-01T00:00:00Z"), time_ns(f"{int(text) + 1:04}-01-01T00:00:00Z")
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}", text):
        days = monthrange(int(text[:4]), int(text[5:]))[1]
        start = time_ns(f"{text}-01T00:00:00Z")
        return start, start + days * 86400 * 10**9
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        start = time_ns(f"{text}T00:00:00Z")
        return start, start + 86400 * 10**9
    if minute := re.fullmatch(r"(.{16})([Zz]|[+-].*)", text):
        start = time_ns(f"{minute[1]}:00{minute[2]}")
        return start, start + 60 * 10**9
    return time_ns(text), time_ns(text) + 1


# How it is spelled.


def spelled(tree: Any, choose: random.Random) -> str:
    """Write a filter, in one of the ways in which it can be written."""
    match tree:
        case All(parts) | Either(parts):
            words = [" OR "] if isinstance(tree, Either) else [" AND ", " ", "\nAND\t"]
            written = [_operand(part, choose) for part in parts]
            return written[0] + "".join(choose.choice(words) + part for part in written[1:])
        case Not(inner):
            return choose.choice(["NOT ", "-"]) + _operand(inner, choose)
        case Words(text):
            return _value(Written(text), choose)
    path = ".".join([tree.path[0], *(_segment(segment, choose) for segment in tree.path[1:])])
    space = choose.choice(["", " ", "  "])
    return path + space + tree.operator + space + _value(tree.value, choose)


def _operand(part: Any, choose: random.Random) -> str:
    text = spelled(part, choose)
    loose = isinstance(part, All | Either | Not)
    return f"({text})" if loose or choose.random() < 0.1 else text


def _segment(text: str, choose: random.Random) -> str:
    plain_word = BARE.fullmatch(text) and "." not in text
    return text if plain_word and choose.random() < 0.9 else _quoted(text, choose)


def _value(value: Written, choose: random.Random) -> str:
    if not value.quoted:
        return value.text or "*"
    core = _quoted(value.text, choose)
    return core[0] + "*" * value.before + core[1:-1] + "*" * value.after + core[-1]


def _quoted(text: str, choose: random.Random) -> str:
    mark = choose.choice("\"'")
    return mark + re.sub(rf"[\\*{mark}]", r"\\\g<0>", text) + mark
