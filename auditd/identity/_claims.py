"""The claims of a token whose signature has been verified (RFC 7519 section 4.1, RFC 8725)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from auditd.identity._errors import TokenError, TokenReason
from auditd.identity._issuer import IssuerConfig
from auditd.identity._strict import check_name, shown

MAX_SUBJECT_BYTES = 256
MAX_JTI_BYTES = 256

_LAST_DATE = 253_402_300_799  # 9999-12-31T23:59:59Z


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says, checked.

    `expires_at` is the Unix time in seconds from which the token is refused: `exp` rounded down, plus the
    leeway.
    """

    subject: str
    jti: str | None
    roles: tuple[str, ...]
    expires_at: int


def check_claims(claims: dict[str, object], config: IssuerConfig, audience: str, now: float) -> Claims:
    """Check every claim that decides whether the token is good here and now.

    `iss` has been matched already: it chose `config`. `now` is Unix time in seconds.

    Raises TokenError: `TOKEN_SENDER_CONSTRAINED`, `TOKEN_WRONG_AUDIENCE`, `TOKEN_EXPIRED`,
    `TOKEN_NOT_YET_VALID`, `TOKEN_LIFETIME`, or `TOKEN_CLAIMS` for a claim that is missing or malformed.
    """
    if "cnf" in claims:
        # To take a token that is bound to a key or certificate as a mere bearer token would undo the binding.
        message = "token claim cnf: tokens bound to a key or certificate are not supported"
        raise TokenError(TokenReason.SENDER_CONSTRAINED, message)
    _check_audience(claims.get("aud"), config.audience or audience)
    expires_at = _check_times(claims, config, now)
    subject = _name(claims, "sub", MAX_SUBJECT_BYTES)
    jti = _name(claims, "jti", MAX_JTI_BYTES) if "jti" in claims else None
    return Claims(subject, jti, _roles(claims, config.roles_claim), expires_at)


def _check_audience(value: object, expected: str) -> None:
    audiences = [value] if isinstance(value, str) else value
    if not isinstance(audiences, list) or not all(isinstance(audience, str) for audience in audiences):
        raise TokenError(TokenReason.CLAIMS, "token claim aud: expected a string or an array of strings")
    if expected not in audiences:
        given = ", ".join(map(shown, audiences[:4])) or "nobody"
        raise TokenError(TokenReason.WRONG_AUDIENCE, f"token claim aud: is for {given}, expected {shown(expected)}")


def _check_times(claims: dict[str, object], config: IssuerConfig, now: float) -> int:
    leeway = config.leeway_s
    exp = _date(claims, "exp")
    if exp is None:
        raise TokenError(TokenReason.CLAIMS, "token claim exp: missing")
    expires_at = math.floor(exp) + leeway
    if now >= expires_at:
        raise TokenError(TokenReason.EXPIRED, f"token claim exp: {max(0, math.floor(now - exp))} s ago")
    issued = _date(claims, "iat")
    for name, date in (("nbf", _date(claims, "nbf")), ("iat", issued)):
        if date is not None and now + leeway < date:
            message = f"token claim {name}: {math.ceil(date - now)} s ahead, leeway {leeway} s"
            raise TokenError(TokenReason.NOT_YET_VALID, message)
    lifetime = exp - (now + leeway if issued is None else issued)
    if lifetime > config.max_lifetime_s:
        message = f"token claim exp: a lifetime of {math.ceil(lifetime)} s, limit {config.max_lifetime_s} s"
        raise TokenError(TokenReason.LIFETIME, message)
    return expires_at


def _date(claims: dict[str, object], name: str) -> int | float | None:
    """Return a NumericDate; fractions are allowed, booleans are not numbers (RFC 7519 section 2)."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenError(TokenReason.CLAIMS, f"token claim {name}: expected a number of seconds")
    if not 0 <= value <= _LAST_DATE:
        raise TokenError(TokenReason.CLAIMS, f"token claim {name}: outside the years 1970 to 9999")
    return value


def _name(claims: dict[str, object], name: str, max_bytes: int) -> str:
    if name not in claims:
        raise TokenError(TokenReason.CLAIMS, f"token claim {name}: missing")
    try:
        return check_name(claims[name], max_bytes)
    except ValueError as error:
        raise TokenError(TokenReason.CLAIMS, f"token claim {name}: {error}") from error


def _roles(claims: dict[str, object], name: str) -> tuple[str, ...]:
    roles = claims.get(name, [])
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise TokenError(TokenReason.CLAIMS, f"token claim {shown(name)}: expected an array of strings")
    return tuple(roles)
