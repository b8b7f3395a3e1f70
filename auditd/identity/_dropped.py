"""Claims that are not to be kept: a token's payload without them."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable

from auditd.identity._strict import parse_json_object

DROPPED = "dropped_claims"


def reduce_payload(claims: dict[str, object], drop: Iterable[str], signature: str) -> str | None:
    """Return the text that is kept instead of a payload: JSON, with the hash of each claim in `drop`.

    None where the payload has none of these claims, and so is kept as it is. A hash is the HMAC-SHA256 of the claim,
    as `"name":value` in compact JSON, under the token's signature, which is not kept: nobody can test guesses at the
    claim, but whoever has the token can show that it is this one.
    """
    dropped = {name: _hash(name, claims[name], signature) for name in sorted(set(drop)) if name in claims}
    if not dropped:
        return None
    kept = {name: value for name, value in claims.items() if name not in dropped}
    return _compact({"claims": kept, DROPPED: dropped})


def is_reduced(payload: str) -> bool:
    """Tell whether a recorded payload is what `reduce_payload` made; base64url has no brace."""
    return payload.startswith("{")


def reduced_claims(payload: str) -> tuple[dict[str, object], dict[str, object]]:
    """Return the claims kept in a reduced payload, and the hashes of the others. Raises ValueError."""
    members = parse_json_object(payload.encode())
    kept, dropped = members.get("claims"), members.get(DROPPED)
    if not isinstance(kept, dict) or not isinstance(dropped, dict):
        raise ValueError("no reduced payload")
    return kept, dropped


def _hash(name: str, value: object, signature: str) -> str:
    member = f"{_compact(name)}:{_compact(value)}"
    return hmac.digest(signature.encode("ascii"), member.encode(), "sha256").hex()


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
