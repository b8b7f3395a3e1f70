"""From a bearer token to a caller: the one place that decides whom a call comes from."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from auditd.errors import FolderError, UnavailableError
from auditd.identity._caller import Caller, credential_of
from auditd.identity._certificate import ClientCertificate
from auditd.identity._claims import MAX_SUBJECT_BYTES, check_claims
from auditd.identity._errors import TokenError, TokenReason, UnknownKeyError
from auditd.identity._issuer import Issuer, Party
from auditd.identity._jws import CompactJws, require_token_size, split_compact, verify_signature
from auditd.identity._keys import VerificationKey
from auditd.identity._revocations import Revocations
from auditd.identity._roles import permissions_of
from auditd.identity._single_use import SingleUse
from auditd.identity._strict import parse_json_object, printable, shown

DEFAULT_CACHE_SIZE = 2048
ISSUER_RETRY_S = 5.0

_ACCESS_TOKEN_TYPES = frozenset({"at+jwt", "application/at+jwt"})


def parse_authorization(values: Sequence[str]) -> str:
    """Return the token of a call, given all values of its `authorization` metadata (RFC 6750 section 2.1).

    Raises TokenError: `TOKEN_MISSING` when there is no value, `TOKEN_MALFORMED` when there are several,
    or the one is not `Bearer`, one space, and a token.
    """
    if not values:
        raise TokenError(TokenReason.MISSING, "authorization: missing, expected 'Bearer <token>'")
    if len(values) > 1:
        raise TokenError(TokenReason.MALFORMED, f"authorization: given {len(values)} times, expected once")
    scheme, _, token = values[0].partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenError(TokenReason.MALFORMED, "authorization: expected 'Bearer <token>'")
    if token != token.strip():
        message = "authorization: expected 'Bearer <token>', with one space between and none behind; there are more"
        raise TokenError(TokenReason.MALFORMED, message)
    return token


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


PresentedCertificate: TypeAlias = Callable[[], ClientCertificate | None]
"""Returns the certificate that the client of the very connection presented, None if it did not."""


def _no_certificate() -> None:
    return None


@dataclass(slots=True)
class _Verified:
    """A caller, and as of which issuers and which revocations its token was found good."""

    caller: Caller
    epoch: int
    revocations: int


class Authenticator:
    """Verifies tokens against the configured issuers, and remembers the verified ones.

    At most `cache_size` tokens are remembered, by their SHA-256; the one unused for longest goes first. A
    token is found again only in the epoch in which it was verified and before it expires; refused tokens
    are not remembered. What `revocations` says takes effect with the next call, remembered or not. Safe to call
    from several threads.

    `audience` is this server's name in the claim `aud`, where the issuer's configuration has no other.
    `clock` gives Unix time in seconds.

    Raises FolderError: `ISSUER_CONFIG_INVALID`, when two issuers have one name.
    """

    def __init__(
        self,
        issuers: Iterable[Issuer],
        audience: str,
        clock: Callable[[], float] = time.time,
        cache_size: int = DEFAULT_CACHE_SIZE,
        revocations: Revocations | None = None,
    ) -> None:
        self._issuers = _by_name(issuers)
        self.audience = audience
        self._clock = clock
        self._cache_size = cache_size
        self._revocations = Revocations() if revocations is None else revocations
        self._lock = threading.Lock()  # guards the two below
        self._single_use = SingleUse(clock())
        self._cache: OrderedDict[bytes, _Verified] = OrderedDict()
        self._epoch = 0

    @property
    def version(self) -> tuple[int, int]:
        """Changes with whatever decides over tokens; what was judged under another one is to be judged again."""
        return self.epoch, self.revocations.version

    def authenticate(self, token: str, certificate: PresentedCertificate = _no_certificate) -> Caller:
        """Return the caller that `token` proves on a connection whose client presented `certificate`.

        Raises TokenError: with the reason of the first rule broken; UnknownKeyError where the issuer may have
        a newer key. Raises UnavailableError: `ISSUER_UNAVAILABLE`, as long as its issuer's keys are not known.
        """
        caller = self._remembered_or_verified(token)
        if caller.bound_to is not None:
            _require_bound(caller, caller.bound_to, certificate())
        return caller

    def remembers(self, token: str) -> bool:
        """Tell whether a token was verified before, so that it costs next to nothing to find its caller again."""
        with self._lock:
            return _digest(token) in self._cache

    def use_up(self, caller: Caller) -> None:
        """Do nothing, unless the caller's token is good for one call only: then it is used by this one.

        To be called once for each call, not again for a stream that is open. Raises TokenError: `TOKEN_REPLAYED`.
        """
        issuer = self._issuers.get(caller.issuer)
        if issuer is not None and issuer.config.refuse_replayed_jti:
            self._single_use.take(caller, self._clock())

    def _remembered_or_verified(self, token: str) -> Caller:
        require_token_size(token)
        digest = _digest(token)
        now = self._clock()
        # Read before anything is judged by them: what changes meanwhile is looked at again with the next call.
        version = self._revocations.version
        with self._lock:
            epoch = self._epoch
            verified = self._cache.get(digest)
            if verified is not None:
                if verified.epoch == epoch and now < verified.caller.expires_at:
                    self._cache.move_to_end(digest)
                else:
                    del self._cache[digest]
                    verified = None
        if verified is not None:
            if verified.revocations != version:
                self._revocations.require_good(verified.caller)
                verified.revocations = version
            return verified.caller
        caller = self._verify(token, now)
        self._revocations.require_good(caller)
        with self._lock:
            self._cache[digest] = _Verified(caller, epoch, version)
            if len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)
        return caller

    @property
    def epoch(self) -> int:
        """Changes with the issuers and their keys, so that what was found good need be looked at again only then."""
        return self._epoch

    @property
    def revocations(self) -> Revocations:
        """What is revoked."""
        return self._revocations

    def bump_epoch(self) -> None:
        """Have every token verified afresh: after any change of what decides over tokens."""
        with self._lock:
            self._epoch += 1
            self._cache.clear()

    def replace_issuers(self, issuers: Iterable[Issuer]) -> None:
        """Trust these issuers and keys from now on, and no others; every token is verified afresh.

        Raises FolderError: `ISSUER_CONFIG_INVALID`, when two have one name; then nothing changes.
        """
        # In this order: a verification that began with the old issuers is remembered under the old epoch.
        self._issuers = _by_name(issuers)
        self.bump_epoch()

    def replace_issuer(self, issuer: Issuer) -> None:
        """Trust this issuer's keys from now on, instead of those it had; every token is verified afresh."""
        self._issuers = {**self._issuers, issuer.config.issuer: issuer}
        self.bump_epoch()

    def _verify(self, token: str, now: float) -> Caller:
        jws = split_compact(token)
        unverified_claims = read_claims(jws)
        try:
            return self._verify_claims(jws, unverified_claims, now)
        except TokenError as error:
            error.unverified_subject = printable(unverified_claims.get("sub"), MAX_SUBJECT_BYTES)
            raise

    def _verify_claims(self, jws: CompactJws, unverified_claims: dict[str, object], now: float) -> Caller:
        issuer = self.find_issuer(unverified_claims.get("iss"), Party.CALLER)
        config = issuer.config
        key = verify_jws(issuer, jws)
        claims = check_claims(unverified_claims, config, (config.audience or self.audience,), now)
        return Caller(
            issuer=config.issuer,
            subject=claims.subject,
            jti=claims.jti,
            roles=claims.roles,
            permissions=permissions_of(claims.roles),
            kid=key.kid,
            key_thumbprint=key.thumbprint,
            key_jwk=key.jwk_json,
            session=claims.session,
            tenant=claims.tenant,
            method=claims.method,
            issued_at=claims.issued_at,
            bound_to=claims.bound_to,
            credential=credential_of(jws, config, unverified_claims, claims.expires_at),
        )

    def find_issuer(self, name: object, party: Party) -> Issuer:
        """Return the issuer that is trusted for tokens of such a party, given the claim `iss`.

        Raises TokenError: `TOKEN_CLAIMS`, `TOKEN_UNKNOWN_ISSUER`.
        """
        if not isinstance(name, str):
            raise TokenError(TokenReason.CLAIMS, "token claim iss: missing or no string")
        issuer = self._issuers.get(name)
        if issuer is None or party not in issuer.config.identifies:
            message = f"token claim iss: {shown(name)} is not trusted here for the tokens of {party}s"
            raise TokenError(TokenReason.UNKNOWN_ISSUER, message)
        return issuer


def read_claims(jws: CompactJws) -> dict[str, object]:
    """Return the claims of a token, none of them verified. Raises TokenError: `TOKEN_MALFORMED`."""
    try:
        return parse_json_object(jws.payload)
    except ValueError as error:
        raise TokenError(TokenReason.MALFORMED, f"token payload: {error}") from error


def verify_jws(issuer: Issuer, jws: CompactJws) -> VerificationKey:
    """Verify header and signature of a token by a key of its issuer; return the key.

    Raises TokenError: `TOKEN_ALGORITHM`, `TOKEN_TYPE`, `TOKEN_UNKNOWN_KEY`, `TOKEN_BAD_SIGNATURE`. Raises
    UnavailableError: `ISSUER_UNAVAILABLE`, as long as its keys are not known.
    """
    config = issuer.config
    if jws.algorithm not in config.algorithms:
        message = f"token header alg: {shown(jws.algorithm)}, allowed are {', '.join(config.algorithms)}"
        raise TokenError(TokenReason.ALGORITHM, message)
    _check_type(jws, config.typ)
    key = _select(issuer, jws)
    verify_signature(jws, key.public_key)
    return key


def _select(issuer: Issuer, jws: CompactJws) -> VerificationKey:
    name = issuer.config.issuer
    if issuer.key_set is None:
        message = f"the keys of issuer {shown(name)} could not be had, so its tokens cannot be judged now"
        raise UnavailableError("ISSUER_UNAVAILABLE", message, ISSUER_RETRY_S)
    try:
        return issuer.key_set.select(jws.kid, jws.algorithm)
    except UnknownKeyError as error:
        error.issuer = name
        raise


def _require_bound(caller: Caller, digest: bytes, certificate: ClientCertificate | None) -> None:
    """Refuse a bound token that did not come over a connection with its certificate (RFC 8705 section 3)."""
    if certificate is not None and hmac.compare_digest(digest, certificate.credential_id):
        return
    presented = "not the one it is bound to" if certificate is not None else "missing on this connection"
    error = TokenError(TokenReason.SENDER_CONSTRAINED, f"token claim cnf: the client certificate is {presented}")
    error.unverified_subject = caller.subject
    raise error


def _check_type(jws: CompactJws, expected: str) -> None:
    if expected == "any":
        return
    typ = jws.header.get("typ")
    if not isinstance(typ, str) or typ.lower() not in _ACCESS_TOKEN_TYPES:
        given = "missing" if typ is None else shown(typ)
        raise TokenError(TokenReason.TYPE, f"token header typ: {given}, expected 'at+jwt'")


def _by_name(issuers: Iterable[Issuer]) -> dict[str, Issuer]:
    named: dict[str, Issuer] = {}
    for issuer in issuers:
        name = issuer.config.issuer
        if name in named:
            raise FolderError("ISSUER_CONFIG_INVALID", f"issuer {shown(name)}: configured twice")
        named[name] = issuer
    return named
