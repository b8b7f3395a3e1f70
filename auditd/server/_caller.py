"""From the metadata of a call to its caller."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import unquote

import grpc
import orjson

from auditd.entry import KeyMaker, encode_caller
from auditd.identity import Authenticator, Caller, ClientCertificate, UnknownKeyError, parse_authorization
from auditd.log import Credential
from auditd.query import caller_terms
from auditd.server._certificates import Certificates


@dataclass(frozen=True, slots=True)
class CallContext:
    """A caller, and what recording its acts needs, computed once a credential."""

    caller: Caller
    json: bytes
    terms: str
    keys: KeyMaker
    credential: Credential | None


Learn = Callable[[UnknownKeyError], Awaitable[bool]]
"""Says whether a token that was refused for this may be tried again."""


class Callers:
    """Knows the caller of every call. Belongs to the event loop's thread."""

    def __init__(self, authenticator: Authenticator, learn: Learn, certificates: Certificates, cache_size: int) -> None:
        self._authenticator = authenticator
        self._learn = learn
        self._certificates = certificates
        self._contexts: OrderedDict[bytes, CallContext] = OrderedDict()
        self._cache_size = cache_size

    @property
    def version(self) -> object:
        """Changes with whatever decides over callers."""
        return self._authenticator.version

    async def of(self, context: grpc.aio.ServicerContext) -> CallContext:
        """Return the verified caller of a call: by its token, or without one by its connection's certificate.

        Waits for nothing, unless the token is by a key that its issuer may have made since, or the certificate calls
        for the first time. Raises UnauthenticatedError, or UnavailableError.
        """
        try:
            known = self.now(context)
        except UnknownKeyError as error:
            if not await self._learn(error):
                raise
            known = self.now(context)
        if known.credential is None:
            await self._certificates.require_recorded(known.caller)
        self._authenticator.use_up(known.caller)
        return known

    def now(self, context: grpc.aio.ServicerContext) -> CallContext:
        """Return the same by the keys at hand, for a call under way; raises as `of` does.

        An open stream asks at least every five seconds: its token may have expired or been revoked meanwhile.
        """
        values = [value for key, value in context.invocation_metadata() or () if key == "authorization"]
        caller = None if values else self._certificates.find(context)
        if caller is None:
            certificate = partial(self._certificates.of, context)
            caller = self._authenticator.authenticate(parse_authorization(values), certificate)
        known = self._contexts.get(caller.credential_id)
        if known is None or known.caller is not caller:
            known = self._contexts[caller.credential_id] = self._context(caller)
            if len(self._contexts) > self._cache_size:
                self._contexts.popitem(last=False)
        return known

    def _context(self, caller: Caller) -> CallContext:
        caller_json = encode_caller(caller.kind, caller.issuer, caller.subject, caller.jti or "", caller.credential_id)
        return CallContext(
            caller,
            caller_json,
            caller_terms(orjson.loads(caller_json)),
            KeyMaker(caller.issuer, caller.subject),
            _credential(caller),
        )


def _credential(caller: Caller) -> Credential | None:
    """Return what the log keeps of a token; a certificate is kept in `control`."""
    evidence = caller.credential
    if isinstance(evidence, ClientCertificate):
        return None
    return Credential(
        credential=evidence.credential_id,
        issuer=evidence.issuer,
        header=evidence.header,
        payload=evidence.payload,
        signature=evidence.signature,
        signature_hash=evidence.signature_hash,
        expires_at=evidence.expires_at,
        key_thumbprint=caller.key_thumbprint,
        key_jwk=caller.key_jwk,
    )


def peer_ip(context: grpc.aio.ServicerContext) -> str:
    """Return the address of a call's peer as text; empty where it has none."""
    scheme, _, rest = str(context.peer()).partition(":")
    if scheme == "ipv4":
        return rest.rpartition(":")[0]
    if scheme == "ipv6":
        return unquote(rest).rpartition(":")[0].strip("[]").partition("%")[0]
    return ""
