"""Events of every kind, and filters of every kind about them, for Hypothesis to choose from."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import product
from typing import Any

from hypothesis import strategies as st

from tests.filter_meaning import ANYTHING, EQUALITY, ORDERS, All, Either, Not, Term, Words, Written

Choose = Callable[[Any], Any]
NOW_NS = 1_795_651_200_123_456_789  # 2026-11-26T00:00:00.123456789Z
SEALED = {"sealed": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}
NAMES = [
    "alice",
    "Alice",
    "alina",
    "ali*",
    "bob",
    "Zoë",
    "ﬁn",
    "STRASSE",
    "Straße",
    "\u212aelvin",
    "\U0001f512",
    "\uffef",
]
NAMES += ['quo"te', "ap'os", "back\\slash", "a.b", "(a) OR b", "NOT", "x" * 60, "x" * 60 + "y", "true", "null", "1000"]
PROSE = ["bad password", "Bad Password\nsecond line", "tab\there", "\u202eevil", "100%", "amount"]
ADDRESSES = ["203.0.113.9", "203.0.113.77", "203.0.114.1", "10.0.0.1", "2001:db8::1", "2001:0DB8:0::0001", "::1"]
ADDRESSES += ["::ffff:10.0.0.1", "::ffff:cb00:7109"]
BLOCKS = ["203.0.113.0/24", "203.0.112.0/22", "10.0.0.1/32", "0.0.0.0/0", "2001:db8::/32", "::/0", "::/64"]
BLOCKS += ["::ffff:203.0.113.0/120", "::ffff:0:0/96", "::ffff:10.0.0.1", "128.0.0.0/1"]
MOMENTS = ["2026-11-24T23:59:59.999999999Z", "2026-11-25T00:00:00Z", "2026-11-25T10:30:00.100Z", "2026-11-25T10:30:59Z"]
MOMENTS += [
    "2026-11-26T00:00:00.123456789Z",
    "2026-10-31T23:59:59.500Z",
    "2026-11-01T00:00:00Z",
    "2026-12-01T00:00:00Z",
]
MOMENTS += ["2025-12-31T23:59:59.999Z", "2024-02-29T12:00:00Z", "2026-11-25T23:00:00.123456789Z"]
NUMBERS: list[Any] = [0, 1, -1, 1000, 2.5, 1e3, 9007199254740992, 9007199254740993, 2**63 - 1, 2**63, 2**64 - 1]
NUMBERS += [-(2**63), 2**64, 2**64 + 1, -(2**63) - 1, 1e300, 5e-324, -0.0]
KEYS = ["note", "a.b", "content-type (raw)", "sealed", "AND", ""]


def event(choose: Choose, number: int) -> dict[str, Any]:
    """Return the event of a number, as a leaf holds it."""
    actor = {"type": choose(["user", "service"]), "id": choose(NAMES), "roles": choose([["admin"], ["ops", "admin"]])}
    actor |= choose([{}, {"name": choose([*NAMES, SEALED])}, {"session_id": "s-1", "auth_method": "password"}])
    actor |= choose([{}, {"identity": choose(["asserted", "verified"]), "verified": ["id", "roles"]}])
    members = {
        "id": f"01936f5e-{number:08x}",
        "time": choose(MOMENTS),
        "tenant": choose(["acme", "umbrella", SEALED]),
        "action": choose(["user.login", "user.logout", "record.read", "Record.Read"]),
        "outcome": choose(["SUCCESS", "FAILURE", "DENIED", SEALED]),
        "reason": choose([*PROSE, SEALED]),
        "actor": choose([actor, actor, SEALED]),
        "resources": [resource(choose) for _ in choose([(1,), (1, 2), (1, 2, 3)])],
        "origin": {"ip": choose([*ADDRESSES, SEALED]), "user_agent": choose(PROSE), "method": choose(["GET", "POST"])},
        "producer": {"id": choose(["p-1", "p-2"]), "seq": choose([1, 1000, 9007199254740993, 2**63 - 1])},
        "attributes": {choose(KEYS): value(choose, 2) for _ in range(4)},
    }
    left_out = choose([(), (), ("actor",), ("origin", "reason"), ("attributes",), ("outcome", "resources", "producer")])
    return {name: member for name, member in members.items() if name not in left_out}


def resource(choose: Choose) -> Any:
    return choose([{"type": choose(["account", "test"]), "id": choose(["42", "43", *NAMES])}, {"name": "n"}, SEALED])


def value(choose: Choose, depth: int) -> Any:
    """Return anything that may stand among attributes."""
    kinds = ["text", "text", "number", "number", "constant", "sealed"] + ["list", "object", "object"] * (depth > 0)
    match choose(kinds):
        case "text":
            return choose([*NAMES, *PROSE, "", "1e3", "9007199254740993", "needle in here"])
        case "number":
            return choose(NUMBERS)
        case "constant":
            return choose([True, False, None])
        case "sealed":
            return SEALED
        case "list":
            return [value(choose, depth - 1) for _ in choose([(), (1,), (1, 2)])]
    return {choose(KEYS): value(choose, depth - 1) for _ in choose([(), (1,), (1, 2)])}


ALL_OPERATORS = (*EQUALITY, *ORDERS)
TEXT_FIELDS = ["tenant", "action", "reason", "actor.type", "actor.id", "actor.name", "actor.roles", "actor.verified"]
TEXT_FIELDS += ["actor.session_id", "resources.type", "resources.id", "resources.name", "origin.user_agent"]
TEXT_FIELDS += ["origin.method", "producer.id"]
GROUPS = ["actor", "resources", "origin", "producer", "attributes"]
PARTS = ["ali", "Ali", "user.", "in", "42", "x" * 50, "\\", "*", "ß", "needle", "\n", "1", "s-", "d"]
LITERALS = ["0", "1", "-1", "1000", "1e3", "2.5", "2.50", "9007199254740992", "9007199254740993", "-0"]
LITERALS += ["9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "1e300"]
LITERALS += ["-9223372036854775808", "-9223372036854775809", "+1", "9007199254740992.0"]
SPANS = ["2026", "2026-11", "2026-11-25", "2026-11-25T10:30Z", "2026-11-25T11:30+01:00", "2024-02", "2024-02-29"]
SPANS += ["now", "now-24h", "now-1h", "now+5d", "now-90m", "now-4w", "now-3600s", "2025-12", *MOMENTS]
SPANS += ["2026-11-25T11:30:00.1+01:00", "2026-11-24T18:29:59.999999999-05:30", "0001-01-01T00:00:00Z"]


def quoted(*texts: str) -> list[Written]:
    return [Written(text) for text in texts]


def bare(*texts: str) -> list[Written]:
    return [Written(text, quoted=False) for text in texts]


def both_ways(*texts: str) -> list[Written]:
    return quoted(*texts) + bare(*texts)


def terms(paths: list[tuple[str, ...]], operators: tuple[str, ...], values: list[Written]) -> list[Term]:
    return [Term(*parts) for parts in product(paths, operators, values)]


def at(*names: str) -> list[tuple[str, ...]]:
    return [tuple(name.split(".")) for name in names]


EXACT = quoted(*NAMES, *PROSE, "user.login", "admin", "42", "acme", "s-1", "id", "POST")
PATTERNS = [Written(text, before, after) for text in PARTS for before, after in [(1, 0), (0, 1), (1, 1)]]
ATTRIBUTES = [("attributes", *keys) for depth in range(3) for keys in product(KEYS, repeat=depth)]

OF_THE_EVENT: dict[str, list[Any]] = {
    "text": terms(at(*TEXT_FIELDS), EQUALITY, EXACT),
    "text in order": terms(at(*TEXT_FIELDS), tuple(ORDERS), EXACT),
    "patterns": terms(at(*TEXT_FIELDS), EQUALITY, PATTERNS),
    "bare words": terms(at("actor.id", "action", "actor.roles"), ALL_OPERATORS, bare("alice", "user.login", "admin")),
    "presence": terms(at(*TEXT_FIELDS, *GROUPS, "origin.ip", "outcome", "producer.seq", "time"), (":",), [ANYTHING]),
    "outcomes": terms(at("outcome"), EQUALITY, both_ways("SUCCESS", "FAILURE", "DENIED")),
    "identities": terms(at("actor.identity"), EQUALITY, both_ways("asserted", "verified")),
    "addresses": terms(at("origin.ip"), EQUALITY, quoted(*BLOCKS, *ADDRESSES)),
    "whole numbers": terms(
        at("producer.seq"), ALL_OPERATORS, both_ways("1", "1000", "9007199254740992", "9223372036854775808", "-5")
    ),
    "attributes as text": terms(ATTRIBUTES, EQUALITY, [*EXACT, *quoted(*KEYS[:-1]), *PATTERNS]),
    "attributes as text in order": terms(ATTRIBUTES, tuple(ORDERS), [*EXACT, *bare("alice", "needle")]),
    "attributes as numbers": terms(ATTRIBUTES, ALL_OPERATORS, bare(*LITERALS)),
    "attributes as constants": terms(ATTRIBUTES, EQUALITY, bare("true", "false", "null", "note")),
    "attributes that are there": terms(ATTRIBUTES, (":",), [ANYTHING]),
    "free text": [
        Words(text) for text in ["ALICE", "needle", "in here", "ss", "k", '"', "\\", "login", "ﬁ", "line", "note"]
    ],
}
"""Terms about what a caller sent, but for its identifier and times, by kind."""

OF_THE_ENTRY: dict[str, list[Any]] = {
    "indexes": terms(at("index"), ALL_OPERATORS, both_ways("-1", "0", "17", "50", "119", "99999999999999999999")),
    "event times": terms(at("time"), ALL_OPERATORS, both_ways(*SPANS)),
    "times of recording": terms(at("recorded_at"), ALL_OPERATORS, both_ways(*SPANS)),
    "identifiers": terms(at("id"), ALL_OPERATORS, quoted("01936f5e-00000011"))
    + terms(at("id"), EQUALITY, [Written("01936f5e-0000001", after=True)]),
    "callers": terms(at("caller.kind"), EQUALITY, both_ways("token", "certificate", "server", "unauthenticated"))
    + terms(at("caller.sub", "caller.iss", "log"), ALL_OPERATORS, quoted("svc", "svc-test")),
    "clocks": terms(at("clock"), EQUALITY, both_ways("SUSPECT"))
    + terms(at("clock", "caller", "caller.sub", "caller.jti"), (":",), [ANYTHING]),
}


def of_kinds(kinds: dict[str, list[Any]]) -> st.SearchStrategy[Any]:
    """Return any term, each kind as likely as the others."""
    return st.sampled_from(list(kinds.values())).flatmap(st.sampled_from)


def trees(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return filters made of these terms."""
    return st.recursive(
        leaves,
        lambda inner: (
            st.builds(Not, inner)
            | st.lists(inner, min_size=2, max_size=3).map(lambda parts: All(tuple(parts)))
            | st.lists(inner, min_size=2, max_size=3).map(lambda parts: Either(tuple(parts)))
        ),
        max_leaves=6,
    )


SPELLINGS = st.integers(0, 2**32).map(random.Random)
