"""Tokens of end users, that come along with what they did: judged as of then, and for no permission."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from auditd.errors import UnavailableError
from auditd.identity._authenticator import Authenticator, read_claims, verify_jws
from auditd.identity._caller import Caller, Credential, credential_of
from auditd.identity._claims import check_claims, token_roles
from auditd.identity._errors import TokenError, TokenReason, UnknownKeyError
from auditd.identity._issuer import MAX_LIFETIME_S, Issuer, Party
from auditd.identity._jws import CompactJws, split_compact
from auditd.identity._keys import VerificationKey
from auditd.identity._roles import permissions_of

UNJUDGED = frozenset(
    {
        TokenReason.UNKNOWN_ISSUER,
        TokenReason.UNKNOWN_KEY,
        TokenReason.EXPIRED,
        TokenReason.NOT_YET_VALID,
        TokenReason.REVOKED,
    }
)
"""Reasons that say nothing against the token itself: it may have been good when it was used, and proves nothing now."""


@dataclass(frozen=True, slots=True)
class JudgedActor:
    """What came of an actor's token.

    `actor` is who it proves, with the roles by the names that the token has; None where it proves nobody. Then
    `refusal` is the error of a token that is no good, and otherwise `unjudged` says why it could not be judged.
    `credential` commits to the token; None for what is no token at all. `key_thumbprint` and `key_jwk` are empty where
    its key is not known.
    """

    credential: Credential | None
    key_thumbprint: str = ""
    key_jwk: str = ""
    actor: Caller | None = None
    refusal: TokenError | None = None
    unjudged: str = ""
    unknown_key: UnknownKeyError | None = None


class ActorJudge:
    """Judges the tokens of actors by the issuers of an authenticator that are trusted for them.

    `clock` gives Unix time in seconds. Safe to use from several threads.
    """

    def __init__(self, authenticator: Authenticator, clock: Callable[[], float]) -> None:
        self._authenticator = authenticator
        self._clock = clock

    @property
    def version(self) -> tuple[int, int]:
        """Changes with whatever decides over tokens; what was judged under another one is to be judged again."""
        return self._authenticator.version

    def judge(self, token: str, at: float) -> JudgedActor:
        """Judge a token as of `at`, Unix time in seconds. Raises nothing: what is wrong is part of the answer.

        Found good as of some time, a token is good as of any later one before `actor.expires_at`, under the same
        `version`.
        """
        try:
            jws = split_compact(token)
            claims = read_claims(jws)
        except TokenError as error:
            return JudgedActor(None, refusal=error)
        issuer: Issuer | None = None
        key: VerificationKey | None = None
        try:
            issuer = self._authenticator.find_issuer(claims.get("iss"), Party.ACTOR)
            key = verify_jws(issuer, jws)
            actor = self._actor(issuer, key, jws, claims, at)
            self._authenticator.revocations.require_good(actor)
        except TokenError as error:
            kept = self._keep(issuer, jws, claims)
            thumbprint, jwk = (key.thumbprint, key.jwk_json) if key is not None else ("", "")
            if error.reason not in UNJUDGED:
                return JudgedActor(kept, refusal=error)
            unknown = error if isinstance(error, UnknownKeyError) else None
            return JudgedActor(kept, thumbprint, jwk, unjudged=error.reason, unknown_key=unknown)
        except UnavailableError as error:
            return JudgedActor(self._keep(issuer, jws, claims), unjudged=error.reason)
        assert isinstance(actor.credential, Credential)
        return JudgedActor(actor.credential, key.thumbprint, key.jwk_json, actor)

    def _actor(
        self, issuer: Issuer, key: VerificationKey, jws: CompactJws, unverified_claims: dict[str, object], at: float
    ) -> Caller:
        config = issuer.config
        audiences = config.actor_audience or (config.audience or self._authenticator.audience,)
        claims = check_claims(unverified_claims, config, audiences, at)
        if claims.bound_to is not None:
            message = "token claim cnf: bound to a client certificate, which whoever passes the token on cannot show"
            raise TokenError(TokenReason.SENDER_CONSTRAINED, message)
        return Caller(
            issuer=config.issuer,
            subject=claims.subject,
            jti=claims.jti,
            roles=token_roles(unverified_claims, config),
            permissions=permissions_of(()),
            kid=key.kid,
            key_thumbprint=key.thumbprint,
            key_jwk=key.jwk_json,
            session=claims.session,
            tenant=claims.tenant,
            method=claims.method,
            issued_at=claims.issued_at,
            credential=credential_of(jws, config, unverified_claims, claims.expires_at),
        )

    def _keep(self, issuer: Issuer | None, jws: CompactJws, claims: dict[str, object]) -> Credential:
        """Return the credential of a token that was not verified, or not as of then."""
        exp = claims.get("exp")
        latest = int(self._clock()) + MAX_LIFETIME_S
        known = isinstance(exp, int | float) and not isinstance(exp, bool) and 0 <= exp < latest
        leeway = issuer.config.leeway_s if issuer is not None else 0
        expires_at = int(exp) + leeway if known else latest  # type: ignore[call-overload]  # a number, as just seen
        return credential_of(jws, None if issuer is None else issuer.config, claims, expires_at)
