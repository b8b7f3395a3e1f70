"""What to do where something is of another log of the same chain: its key was asked for, or its origin."""

from __future__ import annotations

import re

from auditd_client.verify import WrongLogError

_ORIGIN = re.compile(r"(.+?)(?:~([1-9][0-9]{0,8}))?", re.DOTALL)
_LEARN = (
    "`auditlog logs --output jsonl` prints what the closed log signed as `closing`, and `auditlog verify FILE"
    " --key OLD` of a file with that prints its `successor_key`, the key to give"
)


def other_log_advice(error: WrongLogError, *, asks_server: bool) -> str:
    """Return what helps who met another log of the same chain; empty if, going by the names, it is of no such.

    Names alone prove nothing, so no key is named: it is to be learned from what the log expected has signed.
    """
    expected, found = _named(error.expected)[0], _named(error.actual)
    chain, number = _place(expected)
    others = [(place, origin) for origin in found for of, place in [_place(origin)] if of == chain and place != number]
    if not others:
        return ""
    place, other = max(others)
    if place < number:
        return f"it is of {other}, which {expected} goes on for: verify it with that log's own key"
    advice = f"if {expected} was closed, {other} goes on for it: {_LEARN}"
    return f"{advice}; {_asks_for(expected)}" if asks_server else advice


def other_origin_advice(expected: str, found: str) -> str:
    """Return what helps who asked for the log with one origin and met another; empty if they are of no one chain."""
    return _asks_for(expected) if _place(expected)[0] == _place(found)[0] else ""


def _asks_for(origin: str) -> str:
    chain, number = _place(origin)
    return f"--log {chain.rpartition('/')[2]}~{number} asks for {origin} itself"


def _named(keys: str) -> list[str]:
    """Return the names in what an error says of keys: each `name+key ID`, or an origin alone."""
    return [key.partition("+")[0] for key in keys.split(", ")]


def _place(origin: str) -> tuple[str, int]:
    """Return the origin that a chain began with, and a log's place in it from 1."""
    parts = _ORIGIN.fullmatch(origin)
    return (parts[1], int(parts[2] or 1)) if parts else (origin, 1)
