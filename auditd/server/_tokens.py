"""The tokens behind entries, verified again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from auditd.entry import parse_leaf
from auditd.errors import NotFoundError
from auditd.identity import RecordedToken, TokenVerdict, verify_again
from auditd.log import Log, StoredCredential
from auditd_proto.v1 import audit_log_service_pb2 as pb

MAX_REMEMBERED = 4_096
_CODES: dict[TokenVerdict, Any] = {verdict: getattr(pb, verdict) for verdict in TokenVerdict}


def verify_stored(stored: StoredCredential) -> TokenVerdict:
    """Verify the token of a credential that a log holds."""
    return verify_again(
        RecordedToken(
            credential=stored.credential,
            issuer=stored.issuer,
            header=stored.header,
            payload=stored.payload,
            signature_hash=stored.signature_hash,
            key_thumbprint=stored.key_thumbprint,
            key_jwk=stored.key_jwk,
            signature=stored.signature,
            waits=stored.waits,
        )
    )


class EntryTokens:
    """Says of entries what became of their tokens. Safe to use from several threads.

    Verdicts that no longer change are remembered, the 4,096 asked for last.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards _final
        self._final: OrderedDict[tuple[str, str], TokenVerdict] = OrderedDict()

    def judge(self, log: Log, entries: Iterable[pb.Entry]) -> None:
        """Set `caller_token` and `actor_token` of entries that name such tokens."""
        # Of one answer, so that it asks the log once for a token that most of its entries name.
        waiting: dict[str, TokenVerdict] = {}
        for entry in entries:
            leaf = parse_leaf(entry.leaf)
            entry.caller_token = self._verdict(log, leaf["caller"], waiting)
            entry.actor_token = self._verdict(log, leaf["event"].get("actor", {}), waiting)

    def _verdict(self, log: Log, party: Mapping[str, Any], waiting: dict[str, TokenVerdict]) -> Any:  # noqa: ANN401 -- an enum value of the API
        credential = party.get("credential")
        if credential is None or party.get("kind") == "certificate":
            return pb.TOKEN_VERDICT_UNSPECIFIED
        name = (log.origin, credential)
        with self._lock:
            verdict = self._final.get(name)
            if verdict is not None:
                self._final.move_to_end(name)
        verdict = verdict or waiting.get(credential)
        if verdict is None:
            verdict = self._verify(log, credential)
            if verdict is TokenVerdict.NOT_YET_RECORDED:
                waiting[credential] = verdict
            else:
                with self._lock:
                    self._final[name] = verdict
                    if len(self._final) > MAX_REMEMBERED:
                        self._final.popitem(last=False)
        return _CODES[verdict]

    def _verify(self, log: Log, credential: str) -> TokenVerdict:
        try:
            return verify_stored(log.credential(bytes.fromhex(credential)))
        except NotFoundError:
            # The leaf commits to a token of which nothing is left: `check` says so as well.
            return TokenVerdict.INVALID


def credential_message(stored: StoredCredential) -> pb.Credential:
    """Return a credential as the API shows it, verified again."""
    return pb.Credential(
        credential=stored.credential,
        issuer=stored.issuer,
        header=stored.header,
        payload=stored.payload,
        signature_hash=stored.signature_hash,
        signature=stored.signature or "",
        key_thumbprint=stored.key_thumbprint,
        key_jwk=stored.key_jwk or "",
        verdict=_CODES[verify_stored(stored)],
    )
