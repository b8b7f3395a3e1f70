"""How a caller stands in a leaf."""

from __future__ import annotations

from typing import Literal

import orjson

CallerKind = Literal["token", "certificate", "server", "unauthenticated"]


def encode_caller(
    kind: CallerKind, issuer: str = "", subject: str = "", jti: str = "", credential: bytes = b""
) -> bytes:
    """Return the exact text of a leaf's `caller` object; what is empty is left out.

    `credential` is the 32-byte hash of the caller's credential. Raises ValueError for another length, and
    for text that is no UTF-8.
    """
    if len(credential) not in (0, 32):
        raise ValueError(f"credential: {len(credential)} bytes, must be 32")
    members = {"kind": kind, "iss": issuer, "sub": subject, "jti": jti, "credential": credential.hex()}
    try:
        return orjson.dumps({name: text for name, text in members.items() if text})
    except orjson.JSONEncodeError as error:
        raise ValueError("a caller's text holds a lone surrogate, so it is no UTF-8") from error
