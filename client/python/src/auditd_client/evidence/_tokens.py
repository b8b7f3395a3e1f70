"""The tokens of the callers of a package's entries, with the issuers' keys that verified them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from auditd_client.errors import NotFoundError, PermissionDeniedError
from auditd_client.evidence._archive import PackedReader
from auditd_client.evidence._layout import CREDENTIALS, MAX_SMALL_BYTES
from auditd_client.verify import Credential, Leaf, MismatchError, TokenVerdict, verify_credential

if TYPE_CHECKING:
    from auditd_client._client import Client

_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MAX_KEYS_SHOWN = 20
_MEANINGS = {
    TokenVerdict.VERIFIED: "Verified by an issuer's key",
    TokenVerdict.NOT_YET_RECORDED: "Not expired yet at the export, so the signature is still kept apart",
    TokenVerdict.SIGNATURE_LOST: "Signature lost",
    TokenVerdict.KEY_UNKNOWN: "Issuer's key not at hand",
    TokenVerdict.CLAIMS_DROPPED: "Claims kept as hashes alone, so the signature fits nothing",
}


class Tokens:
    """The credentials that entries name, and what became of them.

    Each takes 32 bytes and a little, which is all that is kept of any entry.
    """

    def __init__(self) -> None:
        # With the issuer that the caller's entries state, in the order of first use: the same entries, the same file.
        self._named: dict[bytes, str] = {}
        self._verdicts: Counter[TokenVerdict] = Counter()
        self._keys: Counter[str] = Counter()

    def add(self, leaf: Leaf) -> None:
        """Note the credentials that an entry names. Raises MismatchError for one of two issuers."""
        actor = leaf.event.get("actor")
        for holder, issuer in ((leaf.caller, leaf.caller.get("iss")), (actor, None)):
            name = holder.get("credential") if isinstance(holder, Mapping) else None
            if not isinstance(name, str) or not _HEX.fullmatch(name):
                continue
            stated = issuer if isinstance(issuer, str) else ""
            known = self._named.setdefault(bytes.fromhex(name), stated)
            if stated and known and stated != known:
                raise MismatchError(f"entry {leaf.index}: caller.iss", known, stated, "of one and the same token")

    def lines(self, client: Client) -> Iterable[bytes]:
        """Yield a line for each credential that the log gives, and take them in."""
        for name in self._named:
            try:
                credential = client.credential(name)
            except NotFoundError:
                continue
            except PermissionDeniedError:
                return  # the report says that they are not there
            self._take(credential)
            yield credential.format().encode()

    def verify(self, reader: PackedReader, trusted_keys: Sequence[Mapping[str, Any]] | None = None) -> int:
        """Verify each line: it is the token that entries commit to. Return their number.

        With `trusted_keys`, JSON Web Keys, each token must also be of one of them, as far as it can be verified.

        Raises MismatchError for a token that no entry names, or whose signature is not its issuer's, MalformedError.
        """
        seen: set[bytes] = set()
        for line in reader.lines(MAX_SMALL_BYTES):
            credential = Credential.parse(line)
            if credential.credential in seen:
                raise MismatchError(CREDENTIALS, "each token once", credential.credential)
            seen.add(credential.credential)
            self._take(credential)
            if trusted_keys is not None:
                verdict = verify_credential(credential, trusted_keys).verdict
                if verdict in (TokenVerdict.INVALID, TokenVerdict.KEY_UNKNOWN):
                    field = f"{CREDENTIALS}: credential {credential.credential.hex()}"
                    raise MismatchError(field, "a token of one of the keys given", str(verdict))
        return len(seen)

    def facts(self) -> list[tuple[str, str]]:
        """Return what is to be said of the tokens: names and values."""
        facts = [("Tokens that the entries name", f"{len(self._named):,}")]
        facts += [(_MEANINGS[verdict], f"{count:,}") for verdict, count in sorted(self._verdicts.items())]
        if missing := len(self._named) - sum(self._verdicts.values()):
            facts.append(("Not in this package", f"{missing:,}"))
        ranked = sorted(self._keys.items(), key=lambda item: (-item[1], item[0]))[:_MAX_KEYS_SHOWN]
        return facts + [("Issuer and thumbprint of its key", key) for key, _ in ranked]

    def _take(self, credential: Credential) -> None:
        field = f"{CREDENTIALS}: credential"
        if credential.credential not in self._named:
            raise MismatchError(field, "named by an entry", credential.credential)
        if (stated := self._named[credential.credential]) and stated != credential.issuer:
            raise MismatchError(f"{CREDENTIALS}: issuer", stated, credential.issuer)
        found = verify_credential(credential)
        if found.verdict is TokenVerdict.INVALID:
            raise MismatchError(field, "what the issuer signed", credential.credential, "the token does not verify")
        self._verdicts[found.verdict] += 1
        if found.key_thumbprint:
            self._keys[f"{credential.issuer} · {found.key_thumbprint}"] += 1
