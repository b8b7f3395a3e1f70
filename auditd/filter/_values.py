"""From what a filter says to a value of its field's kind."""

from __future__ import annotations

import ipaddress
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from auditd.filter._ast import (
    Constant,
    Network,
    Number,
    Operator,
    Pattern,
    Period,
    Present,
    Relative,
    Text,
    Time,
    Value,
)
from auditd.filter._fields import OPERATORS, Field, Kind

_PERIOD = re.compile(
    r"(?P<year>\d{4})(-(?P<month>\d\d)(-(?P<day>\d\d)([Tt](?P<hour>\d\d):(?P<minute>\d\d)(?P<zone>[Zz]|[+-]\d\d:\d\d))?)?)?",
    re.ASCII,
)
_RELATIVE = re.compile(r"now(?:([+-])(\d{1,9})([smhdw]))?", re.ASCII)
_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_MAX_OFFSET_S = 10_000 * 366 * 86_400
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_MAX_NUMBER_LENGTH = 400
_MAX_YEAR = 9_999
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END = "9999-12-31T23:59:60"  # after every canonical time
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Spelling:
    """A value as a filter spells it: its text without quotes and escapes.

    `before` and `after` tell of an unescaped `*` at its start and end.
    """

    text: str
    quoted: bool = True
    before: bool = False
    after: bool = False


def typed_value(field: Field, operator: Operator, spelling: Spelling) -> Value:
    """Return the value that `field operator spelling` compares with.

    Raises:
        ValueError: the operator or the value does not suit the field; the argument says why.

    """
    wildcard = spelling.before or spelling.after
    if wildcard and not spelling.text:
        if operator not in {"=", ":"}:
            raise ValueError(f"{operator} takes no *; write NOT {field.name}:* for an absent field")
        return Present()
    if field.kind is Kind.MESSAGE:
        raise ValueError(f"{field.name} is a group of fields; compare one of them, or write {field.name}:*")
    if operator not in OPERATORS[field.kind]:
        raise ValueError(f"{field.name} is {field.kind.value} and has no order; use =, != or :")
    if wildcard:
        return _pattern(field, operator, spelling)
    value = _plain_value(field, spelling)
    if isinstance(value, Constant) and operator not in {"=", "!=", ":"}:
        raise ValueError(f"{value.text} has no order; use =, != or :")
    return value


def _pattern(field: Field, operator: Operator, spelling: Spelling) -> Pattern:
    if field.kind is Kind.ADDRESS:
        raise ValueError(f"{field.name} takes no *; write a CIDR block such as 203.0.113.0/24")
    if field.kind not in {Kind.STRING, Kind.ANY}:
        raise ValueError(f"{field.name} is {field.kind.value} and takes no *")
    if operator not in {"=", "!=", ":"}:
        raise ValueError(f"{operator} takes no *")
    return Pattern(spelling.text, spelling.before, spelling.after)


def _plain_value(field: Field, spelling: Spelling) -> Value:
    match field.kind:
        case Kind.TIME:
            return _time(spelling.text)
        case Kind.INTEGER:
            return _integer(field, spelling.text)
        case Kind.ADDRESS:
            return _network(spelling.text)
        case Kind.ENUM if spelling.text not in field.words:
            raise ValueError(f"{spelling.text[:80]!r} is no {field.name}; use {', '.join(field.words)}")
        case Kind.ANY if not spelling.quoted:
            return _attribute(spelling.text)
    return Text(spelling.text)


def _time(text: str) -> Value:
    if relative := _RELATIVE.fullmatch(text):
        sign, number, unit = relative.groups()
        offset_s = int(number) * _UNIT_S[unit] if number else 0
        if offset_s > _MAX_OFFSET_S:
            raise ValueError(f"{text!r} lies more than 10,000 years away")
        return Relative(-offset_s if sign == "-" else offset_s)
    if period := _PERIOD.fullmatch(text):
        return _period(text, period.groupdict())
    return Time(canonical_time(text))


def _period(text: str, parts: dict[str, str | None]) -> Period:
    """Return the year, month, day or minute that a time cut short names, in UTC unless it has an offset."""
    year, month, day = (int(parts[name] or 1) for name in ("year", "month", "day"))
    if parts["zone"] is not None:
        start = canonical_time(f"{text[:16]}:00{parts['zone']}")
        return Period(start, _after(datetime.fromisoformat(start), timedelta(minutes=1)))
    try:
        start_at = datetime(year, month, day, tzinfo=None)  # noqa: DTZ001  canonical times are UTC and say so nowhere
    except ValueError:
        raise ValueError(f"{text!r} is no time that exists") from None
    if parts["day"]:
        return Period(start_at.isoformat(), _after(start_at, timedelta(days=1)))
    months = year * 12 + month if parts["month"] else (year + 1) * 12
    end = f"{months // 12:04}-{months % 12 + 1:02}-01T00:00:00"
    return Period(start_at.isoformat(), end if months // 12 <= _MAX_YEAR else _END)


def _after(start: datetime, length: timedelta) -> str:
    try:
        return (start + length).isoformat()
    except OverflowError:
        return _END


def time_at(seconds: int, nanos: int) -> Time:
    """Return the moment `seconds` and `nanos` after 1970, the nearest one within the years 1 to 9999."""
    try:
        moment = datetime.fromtimestamp(0, UTC).replace(tzinfo=None) + timedelta(seconds=seconds)
    except OverflowError:
        return Time(_END if seconds > 0 else "")
    digits = f"{nanos:09}".rstrip("0")
    return Time(moment.isoformat() + ("." + digits if digits else ""))


def canonical_time(text: str) -> str:
    """Return an RFC 3339 time as UTC without zone and without trailing zeros.

    Of two such texts the earlier time is the lesser string, to the nanosecond.

    Raises:
        ValueError: it is no such time, has more than 9 digits of a second, or has no year in UTC.

    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:80]!r} is no time such as 2026-11-24T00:26:13Z, 2026-11 or now-24h")
    date, clock, fraction, sign, hours, minutes = match.groups()
    try:
        time = datetime.fromisoformat(f"{date}T{clock}")
        if sign:
            if int(hours) > 23 or int(minutes) > 59:
                raise ValueError("offset")
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            time = time - offset if sign == "+" else time + offset
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time that exists") from None
    digits = (fraction or "").rstrip("0")
    return time.isoformat() + ("." + digits if digits else "")


def time_ns(canonical: str) -> int:
    """Return a canonical time as nanoseconds since 1970.

    Raises:
        ValueError: it is no such time.

    """
    if canonical == _END:
        return (253_402_300_799 + 1) * 1_000_000_000
    moment = datetime.fromisoformat(canonical[:19] + "+00:00")
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    return seconds * 1_000_000_000 + int(canonical[20:].ljust(9, "0"))


def leaf_time(value: object) -> str | None:
    """Return the canonical form of a time as leaves have it, in UTC; None for any other value."""
    if not isinstance(value, str) or not value.endswith("Z"):
        return None
    text = value[:-1]
    return text.rstrip("0").rstrip(".") if "." in text else text


def _integer(field: Field, text: str) -> Number:
    if not re.fullmatch(r"-?\d{1,64}", text, re.ASCII):
        raise ValueError(f"{field.name} is a whole number, not {text[:80]!r}")
    return Number(int(text), text)


def _attribute(text: str) -> Value:
    if text in _CONSTANTS:
        return Constant(_CONSTANTS[text], text)
    if not _NUMBER.fullmatch(text):
        return Text(text)
    if len(text) > _MAX_NUMBER_LENGTH:
        raise ValueError(f"a number has at most {_MAX_NUMBER_LENGTH} characters")
    # Beyond 64 bits a leaf's numbers are read as doubles, so the value must be rounded as they are.
    if text.lstrip("+-").isdigit() and -(2**63) <= int(text) < 2**64:
        return Number(int(text), text)
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:80]} is beyond the range of a number")
    return Number(value, text)


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text[:80]!r} is no IP address and no CIDR block") from None
    low, high = int(network.network_address), int(network.broadcast_address)
    if "/" in text and ipaddress.ip_address(text.split("/")[0]) != network.network_address:
        raise ValueError(f"{text!r} has bits set after its prefix; write {str(network)!r}")
    first, last = address_of(str(network.network_address)), address_of(str(network.broadcast_address))
    if first and last and first[0] == last[0] == 4:
        return Network(4, first[1], last[1])
    return Network(network.version, low, high)


def network_text(version: int, low: int, high: int) -> str:
    """Return the addresses from `low` to `high` as a CIDR block, or as one address."""
    bits = 32 if version == 4 else 128
    first = ipaddress.IPv4Address(low) if version == 4 else ipaddress.IPv6Address(low)
    return str(first) if low == high else f"{first}/{bits - (low ^ high).bit_length()}"


@lru_cache(maxsize=65536)
def address_of(text: str) -> tuple[int, int] | None:
    """Return an address as (IP version, number), or None for other text.

    An IPv4 address mapped into IPv6 (`::ffff:203.0.113.9`) counts as the IPv4 address; a zone is dropped.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.version, int(address)
