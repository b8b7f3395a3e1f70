"""Entries with what verifying their tokens again gave."""

from __future__ import annotations

import json

from auditd_client._model import Entry
from auditd_proto.v1 import audit_log_service_pb2 as pb

TOKEN_COLUMNS = ("caller_token", "actor_token")
_BEFORE_LEAF = b'"leaf":'


def entry_of(message: pb.Entry) -> Entry:
    """Return an entry as it was received."""
    verdicts = _verdict(message.caller_token), _verdict(message.actor_token)
    return Entry(message.index, message.leaf, *verdicts, message.origin)


def token_values(entry: Entry) -> list[object]:
    """Return the values of `TOKEN_COLUMNS`."""
    return [entry.caller_token, entry.actor_token]


def token_verdicts(entry: Entry) -> dict[str, str]:
    """Return the verdicts that there are, by column."""
    named = zip(TOKEN_COLUMNS, (entry.caller_token, entry.actor_token), strict=True)
    return {name: verdict for name, verdict in named if verdict}


def is_invalid(entry: Entry) -> bool:
    """Tell whether a token of the entry does not verify."""
    return "INVALID" in (entry.caller_token, entry.actor_token)


def with_tokens(entry: Entry) -> bytes:
    """Return one line of JSON: the verdicts there are, and the leaf verbatim."""
    verdicts = token_verdicts(entry)
    head = json.dumps(verdicts, separators=(",", ":"))[:-1]
    return f"{head}{',' if verdicts else ''}".encode() + _BEFORE_LEAF + entry.leaf + b"}"


def leaf_within(line: bytes) -> bytes:
    """Return the leaf of a line that `with_tokens` made; raise ValueError for another line."""
    # No verdict has a quote in it, so the first hit is that of the member.
    head, found, rest = line.partition(_BEFORE_LEAF)
    if not (found and rest.endswith(b"}") and head.startswith(b"{")):
        raise ValueError("no leaf with verdicts on its tokens")
    return rest[:-1]


def _verdict(number: int) -> str:
    if not number:
        return ""
    # A verdict of a newer server is shown as its number: it is not for this client to judge.
    return pb.TokenVerdict.Name(number) if number in pb.TokenVerdict.values() else str(number)
