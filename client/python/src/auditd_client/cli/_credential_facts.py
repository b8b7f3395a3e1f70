"""What `auditlog verify` says of a credential."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from auditd_client.cli._errors import CommandError
from auditd_client.verify import (
    Credential,
    Leaf,
    MismatchError,
    TokenVerdict,
    VerificationError,
    named_as,
    verify_credential,
)

CREDENTIAL_START = b'{"format":"auditd.v1/credential"'
_MAX_JWKS_BYTES = 512 * 1024
_MAX_NAMED = 10


class UnverifiedTokenError(VerificationError):
    """A credential whose token does not verify, or cannot be verified (any more, or yet)."""


class Namings:
    """Which of the verified entries name which credentials, and as whose: a few of each."""

    def __init__(self) -> None:
        self.entries = 0
        self._of: dict[object, list[Leaf]] = {}

    def add(self, leaf: Leaf) -> None:
        """Take in a verified entry."""
        self.entries += 1
        actor = leaf.event.get("actor")
        for party in (leaf.caller, actor if isinstance(actor, Mapping) else {}):
            leaves = self._of.setdefault(party.get("credential"), [])
            if len(leaves) < _MAX_NAMED:
                leaves.append(leaf)

    def of(self, credential: Credential) -> list[str]:
        """Return texts such as `41 (caller)`; raise MismatchError where an entry names another issuer of the token."""
        leaves = self._of.get(credential.credential.hex(), [])
        return [f"{leaf.index} ({named_as(leaf, credential)})" for leaf in leaves]


def credential_facts(
    data: bytes, namings: Namings, trusted_keys: Sequence[Mapping[str, Any]] | None
) -> dict[str, object]:
    """Verify a credential's token, and find which of the verified entries name it, and as whose.

    Raises UnverifiedTokenError unless the token verifies, MismatchError if none of the entries names it,
    MalformedError.
    """
    credential = Credential.parse(data)
    found = verify_credential(credential, trusted_keys)
    if found.verdict is not TokenVerdict.VERIFIED:
        raise UnverifiedTokenError(f"token of {credential.issuer}: {found.verdict}: {_MEANINGS[found.verdict]}")
    facts: dict[str, object] = {
        "kind": "token",
        "credential": credential.credential.hex(),
        "iss": credential.issuer,
        "sub": found.claims.get("sub"),
        "key_thumbprint": found.key_thumbprint,
    }
    named = namings.of(credential)
    if namings.entries and not named:
        raise MismatchError("credential", "named by one of the entries", "named by none of them")
    if named:
        facts["entries"] = ", ".join(named)
    return facts


def read_jwks(file: str) -> list[dict[str, Any]]:
    """Return the keys of a JSON Web Key Set. Raises CommandError."""
    try:
        text = Path(file).read_bytes()[: _MAX_JWKS_BYTES + 1]
        keys = json.loads(text)["keys"]
        if len(text) <= _MAX_JWKS_BYTES and isinstance(keys, list) and all(isinstance(key, dict) for key in keys):
            return keys
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise CommandError(f"{file}: no JSON Web Key Set")


_MEANINGS = {
    TokenVerdict.NOT_YET_RECORDED: "the server keeps its signature apart until it has expired; ask again later",
    TokenVerdict.SIGNATURE_LOST: "its signature was lost before it could be recorded",
    TokenVerdict.KEY_UNKNOWN: "the key that would verify it is not at hand",
    TokenVerdict.CLAIMS_DROPPED: "some of its claims are kept as hashes alone, so its signature fits nothing",
    TokenVerdict.INVALID: "what is recorded of it is not what the issuer signed",
}
