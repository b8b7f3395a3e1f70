"""Page tokens: stateless, authenticated, and good for one query of one caller alone."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from dataclasses import dataclass

from auditd.errors import InvalidRequestError, Violation
from auditd.query._spans import Order

# Filled up so that no token ends in "=".
_POSITION = struct.Struct(">QQQQ2x")
_MAC_LENGTH = hashlib.sha256().digest_size
_TOKEN_LENGTH = len(base64.urlsafe_b64encode(bytes(_POSITION.size + _MAC_LENGTH)))
QUERY_PURPOSE = "auditd page token v2"
AGGREGATE_PURPOSE = "auditd aggregate token v2"
EXPORT_PURPOSE = "auditd export token v2"


@dataclass(frozen=True, slots=True)
class QueryIdentity:
    """What a page token is bound to: the caller, and all of the query that must stay as it was."""

    origin: str
    filter: str
    order: Order
    no_index: bool
    issuer: str
    subject: str


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page begins, in a tree of a size, by a query of a moment. All are at most 2^63-1.

    Attributes:
        tree_size: the size of the tree that all pages read.
        cursor: where the page begins among the entries.
        now_ns: the moment of the query, in nanoseconds since 1970: what `now` means in its filter.
        time_ns: for an order by event time, the time at which the page begins, likewise.

    """

    tree_size: int
    cursor: int
    now_ns: int = 0
    time_ns: int = 0


class PageTokens:
    """Seals and opens page tokens with a key of 32 bytes or more; those of one purpose are no use for another.

    Raises:
        ValueError: the key is shorter.

    """

    def __init__(self, key: bytes, purpose: str = QUERY_PURPOSE) -> None:
        if len(key) < 32:
            raise ValueError(f"a key of {len(key)} bytes; 32 are needed")
        self._key = key
        self._purpose = purpose

    def seal(self, query: QueryIdentity, position: Position) -> str:
        """Return the token of a position: URL-safe text of 88 characters."""
        body = _POSITION.pack(position.tree_size, position.cursor, position.now_ns, position.time_ns)
        return base64.urlsafe_b64encode(body + self._mac(query, body)).decode("ascii")

    def open(self, query: QueryIdentity, token: str, field: str = "page_token") -> Position:
        """Return the position that a token, given in a field of the request, was sealed with.

        Raises:
            InvalidRequestError: `INVALID_PAGE_TOKEN`; it was altered, or made for another query or caller.

        """
        sealed = _decode(token, field)
        body, mac = sealed[: _POSITION.size], sealed[_POSITION.size :]
        if not hmac.compare_digest(mac, self._mac(query, body)):
            raise _refusal(field, "the token belongs to another query, caller or server")
        return Position(*_POSITION.unpack(body))

    def _mac(self, query: QueryIdentity, body: bytes) -> bytes:
        texts = (self._purpose, query.origin, query.filter, query.order.value, query.issuer, query.subject)
        parts = [text.encode("utf-8", "surrogatepass") for text in texts]
        parts += [b"no index" if query.no_index else b"", body]
        # With its length before each part, no two lists of parts give the same bytes.
        message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.digest(self._key, message, "sha256")


def _decode(token: str, field: str) -> bytes:
    if len(token) != _TOKEN_LENGTH:
        raise _refusal(field, f"{len(token)} characters; a token has {_TOKEN_LENGTH}")
    try:
        sealed = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _refusal(field, "the token is not URL-safe base64") from None
    if len(sealed) != _POSITION.size + _MAC_LENGTH:
        raise _refusal(field, "the token is cut")
    return sealed


def _refusal(field: str, problem: str) -> InvalidRequestError:
    return InvalidRequestError("INVALID_PAGE_TOKEN", f"{field}: {problem}", (Violation(field, problem),))
