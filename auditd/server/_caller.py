"""From the metadata of a call to its caller."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from weakref import WeakValueDictionary

import grpc
import orjson

from auditd.entry import KeyMaker, encode_caller
from auditd.errors import ExhaustedError, UnauthenticatedError
from auditd.identity import Authenticator, Caller, ClientCertificate, UnknownKeyError, parse_authorization
from auditd.log import Credential
from auditd.query import caller_terms
from auditd.server._certificates import Certificates
from auditd.server._config import LimitSettings
from auditd.server._pace import Pace
from auditd.server._peers import Held, PeerRates, peer_ip, peer_too_fast


@dataclass(frozen=True, slots=True)
class CallContext:
    """A caller, and what recording its acts needs, computed once a credential."""

    caller: Caller
    json: bytes
    terms: str
    keys: KeyMaker
    credential: Credential | None
    pace: Pace
    """Shared by all credentials of this caller."""


Learn = Callable[[UnknownKeyError], Awaitable[bool]]
"""Says whether a token that was refused for this may be tried again."""


class Callers:
    """Knows the caller of every call. Belongs to the event loop's thread."""

    def __init__(
        self, authenticator: Authenticator, learn: Learn, certificates: Certificates, limits: LimitSettings
    ) -> None:
        self._authenticator = authenticator
        self._learn = learn
        self._certificates = certificates
        self._contexts: OrderedDict[bytes, CallContext] = OrderedDict()
        self._limits = limits
        # As long as one of its calls is under way, or one of its tokens remembered.
        self._paces: WeakValueDictionary[tuple[str, str], Pace] = WeakValueDictionary()
        self._refused = PeerRates(limits.max_refused_per_s_per_peer)
        self._held = Held()

    @property
    def version(self) -> object:
        """Changes with whatever decides over callers."""
        return self._authenticator.version

    async def of(self, context: grpc.aio.ServicerContext) -> CallContext:
        """Return the verified caller of a call, which MUST `pace.leave` once the call is over.

        By its token, or without one by its connection's certificate. Waits for nothing, unless the token is by a key
        that its issuer may have made since, or the certificate calls for the first time, or too much was asked for.
        Raises UnauthenticatedError, UnavailableError, or ExhaustedError.
        """
        try:
            known = await self._known(context)
            if not known.pace.enter():
                await known.pace.wait()
        except ExhaustedError:
            await self._held.hold()
            raise
        return known

    async def _known(self, context: grpc.aio.ServicerContext) -> CallContext:
        if self._refused.seen:
            self._spare_verifying(context)
        try:
            try:
                known = self.now(context)
            except UnknownKeyError as error:
                if not await self._learn(error):
                    raise
                known = self.now(context)
        except UnauthenticatedError:
            if not self._refused.take(peer_ip(context)):
                raise self._too_fast() from None
            raise
        if known.credential is None:
            await self._certificates.require_recorded(known.caller)
        self._authenticator.use_up(known.caller)
        return known

    def _spare_verifying(self, context: grpc.aio.ServicerContext) -> None:
        """Raise ExhaustedError for a token never seen before, from where too many were no good."""
        values = _authorization(context)
        known = not values or any(self._authenticator.remembers(value.partition(" ")[2]) for value in values)
        if not known and self._refused.full(peer_ip(context)):
            raise self._too_fast()

    def _too_fast(self) -> ExhaustedError:
        said = "too many calls from this address had no good token"
        return peer_too_fast(said, self._limits.max_refused_per_s_per_peer)

    def now(self, context: grpc.aio.ServicerContext) -> CallContext:
        """Return the same by the keys at hand, for a call under way; raises as `of` does.

        An open stream asks at least every five seconds: its token may have expired or been revoked meanwhile.
        """
        values = _authorization(context)
        caller = None if values else self._certificates.find(context)
        if caller is None:
            certificate = partial(self._certificates.of, context)
            caller = self._authenticator.authenticate(parse_authorization(values), certificate)
        known = self._contexts.get(caller.credential_id)
        if known is None or known.caller is not caller:
            known = self._contexts[caller.credential_id] = self._context(caller)
            if len(self._contexts) > self._limits.max_cached_tokens:
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
            self._pace(caller.issuer, caller.subject),
        )

    def _pace(self, issuer: str, subject: str) -> Pace:
        return self._paces.setdefault((issuer, subject), Pace(self._limits))


def _authorization(context: grpc.aio.ServicerContext) -> list[str]:
    return [value for key, value in context.invocation_metadata() or () if key == "authorization"]


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
